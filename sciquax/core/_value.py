"""`Value`: what a custom array-ish object is to the interpreter."""

import abc
import contextlib
import dataclasses
import html
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from ._compat import (
    ModuleMeta,
    ShapedArray,
    asked_what_it_is,
    construct,
    dataclass_registration,
    pytree_registration,
    typeof,
)
from ._errors import RuleError, Unsettled, outside
from ._materialising import materialised, tell

VALUE_TYPES: set[type] = set()
"""Every subclass of `Value`. `type(x) in VALUE_TYPES` costs a tenth of `isinstance` on an ABC."""


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
        registration: Any = contextlib.nullcontext()
        if unique_static is not None:
            registration = dataclass_registration(leaves, static)
        elif flattening is not None or leaves or static:
            registration = pytree_registration(*(flattening or _flatten_functions(leaves, static)))
        with registration:
            made: Any = super().__new__(cls, name, bases, namespace, **kwargs)
        made._unflattened_by = unique_static
        VALUE_TYPES.add(made)
        return made

    if not TYPE_CHECKING:  # a call makes an instance, as of any class

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            if kwargs and cls._unflattened_by in kwargs:  # JAX's C++, for a dataclass
                value = object.__new__(cls)
                for name, x in kwargs.items():
                    _set(value, name, x)
                return value
            return construct(cls, super().__call__, args, kwargs)


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


class Mode(threading.local):
    """What this thread is doing, which decides what `__jax_array__` means.

    `staging`: a quaxified function is being traced; a value that meets a tracer is injected.
    `direct`: a quaxified function was called without values; if it turns out to have captured
    one, the call is abandoned and staged instead.
    `apart`: what is being traced was quaxified with a `filter_spec`, so that quaxified functions in
    it handle their own values rather than hand them over.
    `signature_rules_called`: how many rules of somebody's own have been called.
    `deferring`: a program is interpreted that holds types which want formulas, see `_deferred.py`.
    `observer`: who is told what the interpreter does, see `_observe.py`.
    """

    staging = False
    direct = False
    apart = False
    signature_rules_called = 0
    deferring = False
    observer: Any = None


MODE = Mode()


# JAX keeps the traces of jitted functions. What it traces while a function is staged is not what it
# traces elsewhere: captured values and functions with rules of their own leave equations there.
traced_for_staging = jax.make_user_context(False)


@contextlib.contextmanager
def staging(apart: bool = False) -> Iterator[None]:
    """While a function of the user's is being traced for interpretation."""
    before = MODE.staging, MODE.direct, MODE.apart
    MODE.staging, MODE.direct, MODE.apart = True, False, apart
    try:
        with traced_for_staging(True):
            yield
    finally:
        MODE.staging, MODE.direct, MODE.apart = before


class CapturedValue(BaseException):
    """Internal: a function called directly handed a captured value to JAX; stage it instead.

    Not an `Exception`, so that `except Exception` in the user's code does not swallow it.
    """


class Value(eqx.Module, metaclass=ValueMeta):
    """An array-ish object that JAX programs can be interpreted on. Subclass to make one.

    A value is an Equinox module: its fields are its leaves, or are marked
    `eqx.field(static=True)`. Register rules for it with [`sciquax.register`][], or give whole
    families with `register_family`; what has neither goes to `default`.

    **Attributes for subclasses**

    - `layer`: how far out the type sits when values nest; the outermost operand's rule is asked
      first. Names are 300, units 200, structure 100, storage 0.
    - `pure_rules`: whether rules do nothing but compute, so that a call of an un-jitted function
      may run the operations that the last one came to.
    - `polymorphic_constants`: whether rules want to see literal 0, inf and nan as such.
    - `differentiable_rules`: whether rules for whole functions are differentiated themselves under
      `grad` of the caller; otherwise the function's own derivative is interpreted.
    - `explains_itself`: whether JAX functions called outside of `quaxify` get our error for a type
      that defines `__array__`, rather than treat it as they do any object with that method.
    - `own_operators`: whether operators and methods mean something else than JAX's. Functions given
      to `sciquax.grad` and its siblings are then called on the values first, and staged only if
      they hand one to JAX; and values of inner layers leave mixed operators to this type's.
    - `families`: this type's rules by primitive, filled by `register_family`.
    - `wants_deferred`: whether it would rather meet masks and constants as formulas than as arrays;
      `transient`: whether it is such a formula. See `_deferred.py`.
    - `of_every_unit`: whether the value measures anything, as a literal 0 does.
    - `payload`: the field that holds the array inside, if that may be a value of another type.
    - `sums_by_parts`: whether the arrays of a sum of two are the sums of their arrays, for a solver
      to step. Of other types that is found out by adding two.
    """

    layer: ClassVar[int] = 0
    polymorphic_constants: ClassVar[bool] = False
    differentiable_rules: ClassVar[bool] = False
    explains_itself: ClassVar[bool] = False
    pure_rules: ClassVar[bool] = False
    families: ClassVar[dict[Any, Callable[..., Any]]] = {}
    wants_deferred: ClassVar[bool] = False
    transient: ClassVar[bool] = False
    of_every_unit: ClassVar[bool] = False
    payload: ClassVar[str | None] = None
    own_operators: ClassVar[bool] = False
    sums_by_parts: ClassVar[bool] = False

    @abc.abstractmethod
    def aval(self) -> ShapedArray:
        """The shape and dtype that JAX programs see."""

    def materialise(self) -> Any:
        """A plain array of the same meaning, or an error where there is none.

        **Raises** `RuleError` unless the subclass defines it.
        """
        raise RuleError(f"Refusing to materialise `{type(self).__name__}`.")

    @staticmethod
    def default(primitive: Any, values: Sequence[Any], params: dict[str, Any]) -> Any:
        """What to do for a primitive without a rule: materialise every value and bind it.

        Override it to do something else. Where several types meet, at most one of them may.

        **Arguments**: the primitive, its operands (values and arrays) and its parameters.

        **Raises** `RuleError` if a value's type does not define `materialise`, or whatever its
        `materialise` raises.
        """
        arrays = [_materialise(x, primitive, values) for x in values]
        return primitive.bind(*arrays, **primitive.get_bind_params(params))

    # -- joining: loops and conditionals ----------------------------------------------------------

    @classmethod
    def join(cls, lhs: Any, rhs: Any) -> Any:
        """An example of the type that both `lhs` and `rhs` can become. Raises `Unsettled`."""
        if jtu.tree_structure(lhs) == jtu.tree_structure(rhs):
            return lhs
        raise Unsettled

    @classmethod
    def coerce(cls, value: Any, example: Any) -> Any:
        """`value` in the type of `example`, which came from `join`."""
        raise Unsettled

    # -- leading axes: scans, and functions under `vmap` ------------------------------------------

    def as_sliceable(self) -> Any:
        """This value such that its leaves' slices along their leading axes make its slices.

        Asked where they do not as it is. The array inside is, of what has one; else it is
        materialised, or refuses.
        """
        inner: Any = None if self.payload is None else getattr(self, self.payload)
        if type(inner) in VALUE_TYPES:
            return self.with_payload(inner.as_sliceable())
        return self.materialise()

    def as_element(self, leaves: Sequence[Any]) -> Any:
        """The value of one slice along this one's leading axis, made of its leaves' slices."""
        return jtu.tree_unflatten(jtu.tree_structure(self), leaves)

    def as_stacked(self, leaves: Sequence[Any]) -> Any:
        """The value of several like this one along a new leading axis, made of stacked leaves."""
        return jtu.tree_unflatten(jtu.tree_structure(self), leaves)

    @classmethod
    def scanned_axis(cls, scanned: Sequence[Any]) -> Any:
        """What values say of the leading axis along which they are all scanned: None is nothing."""
        return None

    @classmethod
    def stacked_along(cls, element: Any, leaves: Sequence[Any], axis: Any) -> Any:
        """Several values like `element`, which may be a plain array, stacked along a new axis.

        `axis` is what this type's `scanned_axis` said of it.
        """
        raise NotImplementedError

    # -- meeting other values ---------------------------------------------------------------------

    def canonical(self) -> Any:
        """The same value in canonical nesting order, its invariants checked.

        What sits further out by its `layer` is taken out of the `payload` of what does not.
        """
        inner: Any = None if self.payload is None else getattr(self, self.payload)
        if type(inner) not in VALUE_TYPES:
            return self
        settled = inner.canonical()
        if settled.payload is None or settled.layer <= self.layer:
            return self if settled is inner else self.with_payload(settled)
        return settled.with_payload(
            self.with_payload(getattr(settled, settled.payload)).canonical()
        )

    def with_payload(self, inner: Any) -> Any:
        """This value around another array, without asking `__init__`."""
        assert self.payload is not None
        value = object.__new__(type(self))
        for field in dataclasses.fields(self):  # pyright: ignore[reportArgumentType]
            object.__setattr__(value, field.name, getattr(self, field.name))
        object.__setattr__(value, self.payload, inner)
        return value

    def as_tangent(self, leaves: Any) -> Any:
        """The value of this type's tangent space made of `leaves`, shaped like this one's."""
        return jtu.tree_unflatten(jtu.tree_structure(self), leaves)

    def as_cotangent(self, leaves: Any) -> Any:
        """The value of this type's cotangent space made of `leaves`."""
        return jtu.tree_unflatten(jtu.tree_structure(self), leaves)

    @classmethod
    def derivative(cls, out: Any, arg: Any, leaf: Any) -> Any:
        """The derivative of `out` by `arg` whose bare array is `leaf`.

        `out` is None where a cotangent has been pulled back to `arg` and only its side counts.
        """
        return jtu.tree_unflatten(jtu.tree_structure(arg), jtu.tree_leaves(leaf))

    @classmethod
    def align(
        cls, primals: Sequence[Any], tangents: Sequence[Any], inverse: bool
    ) -> tuple[list[Any], Callable[[Any], Any] | None]:
        """Tangents (cotangents if `inverse`) in the types of the primals, up to one common factor.

        **Returns** them, and what multiplies a result of this type by that factor (or None).
        """
        return list(tangents), None

    def unclaimed(self) -> Any:
        """The same numbers with nothing claimed of them, as sums and multiples of them are."""
        return self

    # -- looks ------------------------------------------------------------------------------------

    def _repr_html_(self) -> str:
        """What notebooks show: what the value is, and its representation if that says more."""
        short, full = describe(self), repr(self)
        more = "" if full == short else f"<pre>{html.escape(full)}</pre>"
        return f"<div><code>{html.escape(short)}</code>{more}</div>"

    # -- meeting JAX ------------------------------------------------------------------------------

    @property
    def __jax_array__(self) -> Callable[[], Any]:
        if MODE.staging or MODE.direct:
            if asked_what_it_is(operators=False):
                raise AttributeError("__jax_array__")
        else:
            if asked_what_it_is():
                raise AttributeError("__jax_array__")  # so that Python tries our reflected operator
            if hasattr(type(self), "__array__") and not self.explains_itself:
                raise AttributeError("__jax_array__")  # so that `jnp.asarray` tries `__array__`
        return self._jax_array

    def _jax_array(self) -> Any:
        if MODE.staging:
            from ._inject import inject

            return inject(self)
        if MODE.direct:
            raise CapturedValue
        raise outside(type(self).__name__)


class ArrayValue(Value):
    """A `Value` that stands for one array: `aval()` is its shape and dtype.

    Primitives without a rule materialise it, if it agrees to.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        return self.aval().shape

    @property
    def dtype(self) -> np.dtype:
        return self.aval().dtype

    @property
    def ndim(self) -> int:
        return len(self.aval().shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.aval().shape, dtype=np.int64))

    @classmethod
    def join(cls, lhs: Any, rhs: Any) -> Any:
        """Types that materialise by default become a plain array with a plain array or another."""
        if jtu.tree_structure(lhs) == jtu.tree_structure(rhs):
            return lhs
        types = {type(x) for x in (lhs, rhs) if type(x) in VALUE_TYPES}
        if type(lhs) is type(rhs) or any(t.default is not Value.default for t in types):
            raise Unsettled
        aval = aval_of(lhs)
        return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type)

    @classmethod
    def coerce(cls, value: Any, example: Any) -> Any:
        if type(value) in VALUE_TYPES and type(example) not in VALUE_TYPES:
            return materialised(value, "join")
        raise Unsettled


def _materialise(x: Any, primitive: Any, values: Sequence[Any]) -> Any:
    """`x` as a plain array for a primitive that has no rule; an error says so."""
    if type(x) not in VALUE_TYPES:
        return x
    if type(x).materialise is Value.materialise:
        raise RuleError(
            f"{_missing(primitive, values)}.",
            f"Register one with `sciquax.register({primitive.name}_p)`.",
        )
    tell(x, primitive.name)
    try:
        return x.materialise()
    except Exception as error:
        error.add_note(
            f"{_missing(primitive, values)}, so `{type(x).__name__}` was to be materialised."
        )
        raise


def _missing(primitive: Any, values: Sequence[Any]) -> str:
    return f"`{primitive.name}` has no rule for ({', '.join(map(describe, values))})"


def is_value(x: Any) -> bool:
    """Whether `x` is a custom array-ish object."""
    return type(x) in VALUE_TYPES


def aval_of(x: Any) -> Any:
    """The abstract value of a value, an array or a Python scalar."""
    if type(x) in VALUE_TYPES:
        return type(x).aval(x)  # Equinox makes a pytree of `x.aval`
    if isinstance(x, jax.ShapeDtypeStruct):
        return ShapedArray(x.shape, x.dtype, weak_type=x.weak_type)
    return typeof(x)


def describe(x: Any) -> str:
    """A short description of an operand for error messages: type, dtype and shape, unit."""
    if type(x) in VALUE_TYPES:
        short = getattr(x, "__short__", None)
        return short() if short is not None else f"{type(x).__name__}({short_aval(x.aval())})"
    return short_aval(aval_of(x))


_SHORT = {"float": "f", "int": "i", "uint": "u", "complex": "c", "bfloat": "bf"}


def short_aval(aval: Any) -> str:
    """`f32[3]`, as JAX prints abstract values."""
    dtype = (
        np.dtype(aval.dtype).name
        if not jnp.issubdtype(aval.dtype, jax.dtypes.extended)
        else str(aval.dtype)
    )
    kind = dtype.rstrip("0123456789")
    dtype = _SHORT.get(kind, kind) + dtype[len(kind) :]
    return f"{dtype}[{','.join(map(str, aval.shape))}]"
