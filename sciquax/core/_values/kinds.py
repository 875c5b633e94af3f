"""Which objects count as values: our types, and objects of other libraries that become values."""

import functools
import html
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import wadler_lindig as wl  # with which Equinox prints trees

from .._compat.jaxprs import Tracer, aval_of_struct, typeof
from .._compat.registries import guard_array_type
from .._errors import RuleError, user_line
from .mode import MODE

VALUE_TYPES: set[type] = set()
"""Every subclass of `Value`. `type(x) in VALUE_TYPES` costs a tenth of `isinstance` on an ABC."""


def is_value(x: Any) -> bool:
    """Whether the class of `x` is a subclass of [`sciquax.Value`][]."""
    return type(x) in VALUE_TYPES


def aval_of(x: Any) -> Any:
    """The shape and dtype of a value, an array or a Python scalar, as JAX's `ShapedArray`.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.core import aval_of
    >>> from sciquax.units import Quantity
    >>> aval_of(Quantity(jnp.zeros((2, 3)), "m")).shape
    (2, 3)

    ```
    """
    if type(x) in VALUE_TYPES:
        return type(x).aval(x)  # Equinox makes a pytree of `x.aval`
    if isinstance(x, jax.ShapeDtypeStruct):
        return aval_of_struct(x)
    return typeof(x)


def describe(x: Any) -> str:
    """A short description of a value or an array for error messages.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.core import describe
    >>> from sciquax.units import Quantity
    >>> describe(Quantity(jnp.zeros(3), "m")), describe(jnp.zeros(3))
    ("Quantity(f32[3], 'm')", 'f32[3]')

    ```
    """
    if type(x) in VALUE_TYPES:
        if not is_whole(x):
            return f"{type(x).__name__}(...)"
        short = getattr(x, "__short__", None)
        return short() if short is not None else f"{type(x).__name__}({short_aval(x.aval())})"
    return short_aval(aval_of(x))


def is_whole(x: Any) -> bool:
    """Whether every field that holds an array has one: a filter may take some away."""
    if type(x) not in VALUE_TYPES:
        return hasattr(x, "shape") or isinstance(x, (bool, int, float, complex))

    def is_part(y: Any) -> bool:
        return y is None or y is not x and type(y) in VALUE_TYPES

    return all(
        getattr(path[0], "name", None) in x.optional_leaves if part is None else is_whole(part)
        for path, part in jtu.tree_flatten_with_path(x, is_leaf=is_part)[0]
    )


_SHORT = {"float": "f", "int": "i", "uint": "u", "complex": "c", "bfloat": "bf"}


def brief(x: Any) -> str:
    """A short text of a value or an array: its numbers if they are few, else dtype and shape."""
    if type(x) in VALUE_TYPES or not hasattr(x, "dtype"):
        return repr(x)
    if isinstance(x, (Tracer, jax.ShapeDtypeStruct)) or np.size(x) > 8:
        return short_aval(x)
    return np.array2string(np.asarray(x), separator=", ", precision=4).replace("\n", "")


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


class Display:
    """The display of values in notebooks and by `eqx.tree_pprint`."""

    def _repr_html_(self) -> str:
        """The HTML for notebooks: a description, and the representation if that says more."""
        short, full = describe(self), repr(self)
        more = "" if full == short else f"<pre>{html.escape(full)}</pre>"
        return f"<div><code>{html.escape(short)}</code>{more}</div>"

    def __pdoc__(self, **_: Any) -> Any:
        """One line in a printed tree; or every field, where a filter took some arrays away."""
        return wl.TextDoc(describe(self)) if is_whole(self) else None


class Guard(NamedTuple):
    """A class of another library's arrays, subclasses of NumPy's, and how to take one over.

    **Attributes**: where the class is, its `module` and `name`; `static`, the hashable thing that
    an array is beside its numbers, or raises; `on_host`, an array of the library made of numbers of
    NumPy's and that; and `take`, a value, or an array, made of JAX's.
    """

    module: str
    name: str
    static: Callable[[Any], Any]
    on_host: Callable[[Any, Any], Any]
    take: Callable[[Any, Any], Any]


Taker = Callable[[Any], Any]

_finders: list[Callable[[type], Taker | None]] = []
_takers: dict[type, Taker | None] = {}
_guards: list[Guard] = []
_guarded: dict[type, Guard] = {}


def register_foreign(find: Callable[[type], Taker | None], guards: Sequence[Guard] = ()) -> None:
    """Say which objects of other libraries are taken over as values.

    **Arguments**

    - `find`: for a class, what makes a value of an instance, or raises for one that cannot be; or
      None for a class that it does not know. Asked once for each class.
    - `guards`: classes of arrays that JAX would silently read as bare numbers. They are refused
      where a staged function captures one, and taken over where JAX hands one to a function.
    """
    _finders.append(find)
    _guards.extend(guards)
    _takers.clear()


def guard_foreign(anew: bool = False) -> None:
    """Guard the classes imported since the last call; with `anew`, also their subclasses."""
    for guard in list(_guards):
        if guard.module in sys.modules:
            kind = getattr(sys.modules[guard.module], guard.name)
            guard_array_type(kind, _refuse_while_staging)
            _guards.remove(guard)
            _register(kind, guard)
            anew = True
    if anew:
        for kind, guard in list(_guarded.items()):
            _register_subclasses(kind, guard)


def _register(kind: type, guard: Guard) -> None:
    """Register a class of arrays as pytrees.

    `jax.jit(quaxify(f))(x)` would otherwise hand `f` a tracer in which nothing is left of a unit.
    So JAX keeps what `x` is beside its numbers apart, as it does a shape, and gives the function a
    value that is made of both. On the host such arrays stay what they are.
    """
    _guarded[kind] = guard

    def flatten(x: Any) -> tuple[tuple[Any], Any]:
        _refuse_while_staging(x)
        return (x.view(np.ndarray),), guard.static(x)

    def unflatten(static: Any, leaves: Any) -> Any:
        (leaf,) = leaves
        if isinstance(leaf, (np.ndarray, np.generic)):
            return guard.on_host(leaf, static)
        return guard.take(leaf, static) if isinstance(leaf, jax.Array) else leaf

    try:
        jtu.register_pytree_node(kind, flatten, unflatten)
    except ValueError:  # the user's own registration stays
        return
    _register_subclasses(kind, guard)


def _register_subclasses(kind: type, guard: Guard) -> None:
    for made in kind.__subclasses__():
        if made not in _guarded:
            _register(made, guard)


def _refuse_while_staging(x: Any) -> None:
    if MODE.staging or MODE.direct:
        raise captured_foreign(x)


def captured_foreign(x: Any) -> RuleError:
    """The error for another library's object that a staged function captured."""
    name = f"{type(x).__module__.partition('.')[0]}.{type(x).__name__}"
    return RuleError(
        f"A quaxified function captured a `{name}`, which an array of the program would read as "
        "bare numbers.",
        "Pass it as an argument, or capture it as a value: `sciquax.units.Quantity(x)`.",
    ).at(user_line())


def converter_for(kind: type) -> Taker | None:
    """The function that turns instances of another library's class into values.

    **Returns** None for a class that no [`sciquax.core.register_foreign`][] knows.
    """
    try:
        return _takers[kind]
    except KeyError:
        found = None
        if kind not in VALUE_TYPES:
            found = next((t for find in _finders if (t := find(kind)) is not None), None)
        _takers[kind] = found
        return found


def from_foreign(x: Any) -> Any:
    """Turn another library's object into a value; return anything else unchanged.

    ```python
    >>> import pint
    >>> from sciquax.core import from_foreign
    >>> from_foreign(pint.Quantity(3.0, "m"))
    Quantity(3.0, 'm')

    ```
    """
    taker = converter_for(type(x))
    return x if taker is None else taker(x)


_CONTAINERS = (list, tuple, dict)


def adopt_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """The arguments of a call with the objects of other libraries among them taken over.

    The gate of everything that takes arrays: whoever makes a value, or hands arrays on, calls it.
    """
    for x in (*args, *kwargs.values()) if kwargs else args:
        if _holds_foreign(x):
            return adopt_all((args, kwargs))
    return args, kwargs


def _holds_foreign(x: Any) -> bool:
    if type(x) in _CONTAINERS:
        return any(map(_holds_foreign, x.values() if type(x) is dict else x))
    return converter_for(type(x)) is not None


F = TypeVar("F", bound=Callable[..., Any])


def takes_foreign(function: F) -> F:
    """Decorator: quantities of other libraries among the arguments, in trees too, become ours."""

    @functools.wraps(function)
    def taking(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = adopt_arguments(args, kwargs)
        return function(*args, **kwargs)

    return taking  # pyright: ignore[reportReturnType]


_on_new_type: list[Callable[[type], None]] = []


def each_value_type(tell: Callable[[type], None]) -> None:
    """Call `tell` with each type of values, now and when later types are defined."""
    for kind in VALUE_TYPES:
        tell(kind)
    _on_new_type.append(tell)


def add_value_type(kind: type) -> None:
    """Enrol a type of values."""
    VALUE_TYPES.add(kind)
    for tell in _on_new_type:
        tell(kind)


def adopt_all(tree: Any) -> Any:
    """A tree in which objects of other libraries are replaced by values."""
    leaves, treedef = jtu.tree_flatten(tree, is_leaf=is_value_or_foreign)
    if all(converter_for(type(x)) is None for x in leaves):
        return tree
    return jtu.tree_unflatten(treedef, map(from_foreign, leaves))


def is_value_or_foreign(x: Any) -> bool:
    """Whether `x` is a value, or an object that [`sciquax.core.from_foreign`][] turns into one."""
    kind = type(x)
    return kind in VALUE_TYPES or converter_for(kind) is not None
