"""The metaclass of values, which enrols each class and registers how it is flattened."""

import contextlib
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, dataclass_transform

import equinox as eqx
import jax.tree_util as jtu

from .._compat.modules import ModuleMeta, construct
from .._compat.registries import dataclass_registration, pytree_registration
from .array_methods import NAMES, ArrayMethods
from .kinds import add_value_type, adopt_arguments
from .mode import leaving
from .operators import Operators


@dataclass_transform(field_specifiers=(dataclasses.field, eqx.field))
class ValueMeta(ModuleMeta):
    """Equinox's metaclass, which also enrols the class and may give it a cheaper flattening.

    `class Quantity(ArrayValue, leaves=("magnitude",), static=("_unit",))` registers a pytree whose
    flattening reads just these attributes and whose unflattening skips `__init__`. A type that
    needs more gives `flattening=(flatten, flatten_with_keys, unflatten)`, where `unflatten` also
    takes the class.

    With `unique_static`, the name of a static field whose values no other class has, JAX flattens
    it as a dataclass, in C++. It tells dataclasses apart by their static fields alone.
    """

    _unflattened_by: str | None
    _leaf_names: tuple[str, ...] | None = None
    _of_one_leaf: tuple[Callable[..., Any], Callable[..., Any]] | None = None

    def __new__(
        cls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        leaves: tuple[str, ...] = (),
        static: tuple[str, ...] = (),
        unique_static: str | None = None,
        flattening: tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]] | None = None,
        **kwargs: Any,
    ):
        for field in NAMES.intersection(_annotated(namespace)) - namespace.keys():
            namespace[field] = dataclasses.field()  # a method of that name is no default value
        registration: Any = contextlib.nullcontext()
        if unique_static is not None:
            registration = dataclass_registration(leaves, static)
        elif flattening is not None or leaves or static:
            registration = pytree_registration(*(flattening or _flatten_functions(leaves, static)))
        with registration:
            made: Any = super().__new__(cls, name, bases, namespace, **kwargs)
        made._unflattened_by = unique_static
        made._of_one_leaf = None  # not inherited
        if flattening is None and len(leaves) == len(static) == 1:
            made._of_one_leaf = _flatten_functions(leaves, static)[::2]
        if leaves:
            made._leaf_names = leaves
        _prefer_mixins(made)
        add_value_type(made)
        return made

    if not TYPE_CHECKING:  # a call makes an instance, as of any class

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            if kwargs and cls._unflattened_by in kwargs:  # JAX's C++, for a dataclass
                value = object.__new__(cls)
                for name, x in kwargs.items():
                    _set(value, name, x)
                return value
            try:
                args, kwargs = adopt_arguments(args, kwargs)
                return construct(cls, super().__call__, args, kwargs)
            except Exception as error:
                leaving(error)
                raise


def _prefer_mixins(made: Any) -> None:
    """Put operators and methods of classes listed after `ArrayValue` before the default ones."""
    mro = made.__mro__
    family = next((c for c in mro if ArrayMethods in c.__bases__), made)
    mixins = [c for c in mro[mro.index(family) :] if c not in family.__mro__]
    for name in _DEFAULTS.intersection(name for c in mixins for name in vars(c)):
        if next(c for c in mro if name in vars(c)) in (ArrayMethods, Operators):
            setattr(made, name, next(vars(c)[name] for c in mixins if name in vars(c)))


_DEFAULTS = NAMES | {n for n, x in vars(Operators).items() if n[:2] == "__" and callable(x)}


def _annotated(namespace: dict[str, Any]) -> list[str]:
    """The names that a class body annotates, other than as variables of the class."""
    annotations = namespace.get("__annotations__", {})
    return [name for name, hint in annotations.items() if "ClassVar" not in str(hint)]


_set = object.__setattr__


def _flatten_functions(
    leaves: tuple[str, ...], static: tuple[str, ...]
) -> tuple[Callable, Callable, Callable]:
    keys = tuple(jtu.GetAttrKey(name) for name in leaves)

    if len(leaves) == 1 and len(static) == 1:  # the common case, worth its own code
        (leaf,), (aux_name,) = leaves, static
        # As code, as `dataclasses` and `namedtuple` do: a third of the time of `getattr`.
        flatten = eval(f"lambda value: ((value.{leaf},), value.{aux_name})")

        def unflatten(cls, aux, children):
            value = object.__new__(cls)
            _set(value, leaf, children[0])
            _set(value, aux_name, aux)
            return value

        def flatten_with_keys(value):
            return ((keys[0], getattr(value, leaf)),), getattr(value, aux_name)

        return flatten, flatten_with_keys, unflatten

    def flatten_many(value):
        return tuple(getattr(value, n) for n in leaves), tuple(getattr(value, n) for n in static)

    def unflatten_many(cls, aux, children):
        value = object.__new__(cls)
        for name, child in zip(leaves, children, strict=True):
            _set(value, name, child)
        for name, item in zip(static, aux, strict=True):
            _set(value, name, item)
        return value

    def flatten_with_keys_many(value):
        children, aux = flatten_many(value)
        return tuple(zip(keys, children, strict=True)), aux

    return flatten_many, flatten_with_keys_many, unflatten_many
