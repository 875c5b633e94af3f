"""`NamedArray`: an array whose axes have names."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import numpy as np

from sciquax.core import MODE, ArrayValue, aval_of, is_value, user_line
from sciquax.core.internal import METHODS, bound_methods, indexed_update, library_called

from ._analysis.along import AlongCoordinates
from ._analysis.groups import GroupReductions
from ._analysis.missing import Missing
from ._analysis.relabelling import Relabelling
from ._analysis.weighting import Weighted
from ._array.annotations import annotation
from ._array.axes import Attributes, Axis, axes
from ._array.base import NamedBase, _as_array, bare, checked_axes
from ._array.errors import AxisError, PositionalError, show_dims
from ._array.flattening import _flatten, _flatten_with_keys, _unflatten
from ._array.printing import Printing
from ._array.value_contract import Nesting
from ._by_name.expanding import Expanding
from ._by_name.indexing import Indexing
from ._by_name.moving import Moving
from ._by_name.operators import Operators
from ._by_name.quantity_methods import PassingThrough
from ._by_name.reductions import Reductions
from ._by_name.shapes import Shapes


class NamedArray(  # pyright: ignore[reportIncompatibleMethodOverride]  # by name
    Operators, Reductions, Shapes, Expanding, Moving, Indexing, PassingThrough, AlongCoordinates,
    Missing, Relabelling, Nesting, Printing, NamedBase,
    ArrayValue,
    flattening=(_flatten, _flatten_with_keys, _unflatten),
):  # fmt: skip
    """An array whose axes have names.

    **Arguments**

    - `array`: anything `jnp.asarray` takes, or a value such as a quantity.
    - `dims`: a name for each axis: a string, an `Axis`, whose size is checked, or None for an axis
      without a name.
    - `coords`: for any of the names, what its places stand for: one known array each (numbers,
      dates or strings), or a quantity.

    **Raises** `AxisError` for a wrong number of names or a repeated one, `AxisSizeError` for an
    `Axis` of another size, `CoordinateError` for coordinates that do not fit.

    Operators and methods align by name: the order in which axes are stored does not matter, axes
    that one operand lacks are broadcast, and one name has one size (1 is a size). Results have
    their names in the order of first appearance. Under [`sciquax.quaxify`][] code is positional,
    and names validate and label.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.named import NamedArray
    >>> a = NamedArray(jnp.arange(6.0).reshape(2, 3), ("x", "y"))
    >>> b = NamedArray(jnp.array([10.0, 20.0]), ("x",))
    >>> (a + b).sum("y")
    NamedArray(f32[x=2])
    [33. 72.]

    ```
    """

    array: Any
    _axes: Any

    layer: ClassVar[int] = 300
    polymorphic_constants: ClassVar[bool] = True
    own_operators: ClassVar[bool] = True
    explains_itself: ClassVar[bool] = True
    payload: ClassVar[str | None] = "array"
    # Equinox's, written in Python, makes methods pytrees; it costs 0.3 us at each attribute.
    if not TYPE_CHECKING:
        __getattribute__ = object.__getattribute__

    def __init__(self, array: Any, dims: Any, coords: Mapping[Any, Any] | None = None):
        if isinstance(array, (str, bytes)) or array is None:
            raise PositionalError(f"{array!r} is not an array.").at(user_line())
        array = array.canonical() if is_value(array) else _as_array(array)
        if isinstance(array, NamedArray):
            raise AxisError(
                f"The array has dims already: {show_dims(array.dims)}.",
                "Use `rename` for other names, `tag` for axes without one.",
            ).at(user_line())
        self.array = array
        self._axes = checked_axes(array.shape, dims, coords)

    @classmethod
    def with_attributes(
        cls,
        array: Any,
        dims: Any,
        coords: Mapping[Any, Any] | None = None,
        *,
        name: str | None = None,
        attrs: Mapping[str, Any] | None = None,
        coord_attrs: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> "NamedArray":
        """A named array with what a file says of it: `name` and `attrs` give it back.

        **Arguments**: `array`, `dims` and `coords` as of the class; the variable's name, its
        attributes, and those of its coordinates by their names.
        """
        made = cls(array, dims, coords)
        said = Attributes(name, attrs or {}, coord_attrs)
        return bare(made.array, axes(made.dims, made._axes.coords, said, made._axes.beside))

    def aval(self) -> Any:
        self._axes.dims  # noqa: B018  # says so if a transformation took a named axis
        return aval_of(self.array)

    def materialise(self) -> Any:
        """The number that an array without axes holds. **Raises** `PositionalError` otherwise."""
        if self._axes.dims:
            raise PositionalError(
                f"Refusing to make a plain array of one with the dims {show_dims(self.dims)}.",
                "Take `.array`, whose axes are in the order of `.dims`.",
            )
        return self.array.materialise() if is_value(self.array) else self.array

    # -- meeting Python, NumPy and JAX ------------------------------------------------------------

    __array_ufunc__ = None  # NumPy's operators leave it to ours, its functions refuse

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        """The numbers as a NumPy array, with axes in the order of `dims`."""
        self._axes.dims  # noqa: B018
        return np.asarray(self.array, dtype=dtype)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any
    ) -> Any:
        if function in (np.shape, np.ndim, np.size):
            return function(self.__array__())
        if _drawn():
            plain = [x.to_numpy() if isinstance(x, NamedArray) else x for x in args]
            return function(*plain, **kwargs)
        raise PositionalError(
            f"`numpy.{function.__name__}` does not know names.",
            "Use a function of `sciquax.named` or a method, or `.array` of each operand.",
        ).at(user_line())

    def _scalar(self, op: str) -> Any:
        if self.size != 1 or self.ndim > 0:
            raise PositionalError(
                f"`{op}` takes one number, and this array has the dims {show_dims(self.dims)}.",
                "Reduce or select by name first.",
            ).at(user_line())
        return self.array

    def __float__(self) -> float:
        return float(self._scalar("float"))

    def __int__(self) -> int:
        return int(self._scalar("int"))

    def __complex__(self) -> complex:
        return complex(self._scalar("complex"))

    def __index__(self) -> int:
        return self._scalar("index").__index__()

    def __bool__(self) -> bool:
        return bool(self._scalar("bool"))

    def __len__(self) -> int:
        if self.ndim == 1 and _drawn():
            return self.size
        raise PositionalError("A named array has no `len`.", "Ask for `.sizes['x']` by name.").at(
            user_line()
        )

    def __iter__(self) -> Iterator[Any]:
        if self.ndim == 1 and _drawn():
            return iter(self.to_numpy())
        raise PositionalError(
            "A named array is not iterated by position.", "Use `.unstack('x')` by name."
        ).at(user_line())

    def __contains__(self, item: Any) -> bool:
        raise PositionalError("`in` is not defined for a named array.", "Use `.dims`.").at(
            user_line()
        )

    def item(self, *args: Any) -> Any:
        """The Python number that an array without axes holds."""
        return self._scalar("item").item(*args)

    def block_until_ready(self) -> "NamedArray":
        jax.block_until_ready(self.array)
        return self

    def __class_getitem__(cls, spec: Any) -> Any:
        return annotation(spec)


def _drawn() -> bool:
    """Whether matplotlib asks, which draws elements in the order in which they are stored."""
    return (library_called() or ("",))[0] == "matplotlib"


def _called_dim(word: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """A method that understands xarray's word for its name or names as well."""
    given = list(inspect.signature(method).parameters).index(word) - 1  # parameters before it

    @functools.wraps(method)
    def understood(self: Any, *args: Any, **kwargs: Any) -> Any:
        for other in ("dim", "coord"):
            if other in kwargs:
                if len(args) > given or word in kwargs:
                    raise AxisError(
                        f"`{method.__name__}` got `{other}` and a name.", "Give the name alone."
                    ).at(user_line())
                kwargs[word] = kwargs.pop(other)
        return method(self, *args, **kwargs)

    return understood


def _or_by_position(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """A method that is asked by position within `quaxify`, where code is positional.

    A captured array is then an array of the program, as an argument is.
    """

    @functools.wraps(method)
    def asked(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except (AxisError, TypeError):
            if not (MODE.staging or MODE.direct) or _has_names(name, args, kwargs):
                raise
        array = self._jax_array()
        if name == "_update":
            return indexed_update(array, *args, **kwargs)
        return getattr(array, name)(*args, **kwargs)

    return asked


def _has_names(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if not kwargs.keys().isdisjoint(("dim", "name", "names")):
        return True
    given = args[:1] if name == "_update" else args  # then comes what is to be done
    given = [y for x in given for y in (x if isinstance(x, (tuple, list)) else (x,))]
    return any(isinstance(x, (str, Axis, Mapping)) for x in given)


for _part in NamedArray.__bases__[:11]:
    bound_methods(_part)

for _cls in (GroupReductions, Weighted):
    for _method, _function in vars(_cls).copy().items():
        if not _method.startswith("_") and "names" in inspect.signature(_function).parameters:
            setattr(_cls, _method, _called_dim("names", _function))
for _word, _methods in {
    "name": "argmax argmin nanargmax nanargmin idxmax idxmin cumsum cumprod cummax cummin sort "
    "argsort diff drop_duplicates ffill bfill dropna interpolate_na differentiate "
    "cumulative_integrate polyfit",
    "names": "ptp squeeze flip integrate count quantile nanquantile percentile weighted_mean "
    "softmax log_softmax",
}.items():
    for _method in _methods.split():
        setattr(NamedArray, _method, _called_dim(_word, getattr(NamedArray, _method)))

_PYTHON = ("_update", "__getitem__", "__iter__", "__len__", "__matmul__", "__rmatmul__")
for _method in (*METHODS, *_PYTHON):
    if isinstance(_function := getattr(NamedArray, _method), FunctionType):
        setattr(NamedArray, _method, _or_by_position(_method, _function))
