"""Comparing trees of values within tolerances."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core import describe, from_foreign, is_value, is_value_or_foreign
from sciquax.named import NamedArray
from sciquax.units import DimensionalityError, Quantity
from sciquax.units.internal import as_unit, span_unit

_RTOL = {2: 1e-2, 4: 1e-5, 8: 1e-7}


def assert_allclose(
    actual: Any,
    desired: Any,
    rtol: float | None = None,
    atol: Any = 0,
    *,
    same_type: bool = False,
) -> None:
    """Raise AssertionError unless two trees are equal up to a tolerance.

    What is compared is what the values mean. Quantities are compared in the unit of `desired`,
    metres with kilometres, and dimensions must agree; named arrays by name, whatever the order of
    their axes, and names and coordinates must agree; structured, sparse and other arrays as the
    arrays they stand for. Trees must have the same structure, arrays the same shape, except that a
    `desired` of shape () stands for any. Dtypes may differ; nan equals nan.

    **Arguments**

    - `actual`, `desired`: values, arrays, numbers, quantities of pint, or trees of these.
    - `rtol`: relative tolerance; by default 1e-5, for 64-bit numbers 1e-7, for 16-bit ones 1e-2.
    - `atol`: absolute tolerance: a quantity where quantities of a dimension are compared, for a
      bare number would depend on their unit.
    - `same_type`: whether values must also be of one type (a `DiagonalMatrix` and its dense array
      are not).

    **Raises** AssertionError; TypeError for a bare `atol` other than 0 beside a dimension.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.testing import assert_allclose
    >>> from sciquax.units import Quantity
    >>> assert_allclose(Quantity(1500.0, "m"), Quantity(1.5, "km"))
    >>> assert_allclose(Quantity(1501.0, "m"), Quantity(1.5, "km"), atol=Quantity(2.0, "m"))
    >>> assert_allclose(Quantity(1.0, "s"), Quantity(1.0, "m"))
    Traceback (most recent call last):
    AssertionError: actual is in 's' and desired in 'm', which measure different things.

    ```
    """
    __tracebackhide__ = True
    leaves, tree = _leaves(actual)
    if jtu.treedef_is_leaf(tree) and isinstance(desired, (list, tuple)):
        desired = np.asarray(desired)  # the numbers of one array
    wanted, wanted_tree = _leaves(desired)
    assert tree == wanted_tree, f"actual is a {tree}\nand desired a {wanted_tree}"
    for (path, x), (_, y) in zip(leaves, wanted, strict=True):
        _compare(x, y, jtu.keystr(path), rtol, atol, same_type)


def approx(desired: Any, rtol: float | None = None, atol: Any = 0) -> Any:
    """An object equal to all that [`sciquax.testing.assert_allclose`][] accepts: `pytest.approx`.

    For `assert` statements: after a comparison that was not true, its representation, which pytest
    prints, says why. **Arguments** as for `assert_allclose`.

    ```python
    >>> from sciquax.testing import approx
    >>> from sciquax.units import Quantity
    >>> {"v": Quantity(36.0, "km/hour")} == approx({"v": Quantity(10.0, "m/s")})
    True
    >>> expected = approx(Quantity(1.0, "m"))
    >>> Quantity(1.0, "s") == expected
    False
    >>> expected
    approx(Quantity(1.0, 'm')): actual is in 's' and desired in 'm', which measure different things.

    ```
    """
    return _Approx(desired, rtol, atol)


class _Approx:
    """See `approx`."""

    __array_ufunc__ = None  # arrays leave `==` to it
    __array_priority__ = 1000
    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __init__(self, desired: Any, rtol: float | None, atol: Any):
        self._desired, self._rtol, self._atol = desired, rtol, atol
        self._why_not = ""

    def __eq__(self, actual: Any) -> bool:
        try:
            assert_allclose(actual, self._desired, self._rtol, self._atol)
        except AssertionError as error:
            self._why_not = f": {str(error).strip()}"
            return False
        self._why_not = ""
        return True

    def __repr__(self) -> str:
        return f"approx({self._desired!r}){self._why_not}"


def _leaves(tree: Any) -> Any:
    paths, structure = jtu.tree_flatten_with_path(tree, is_leaf=is_value_or_foreign)
    return [(path, _adopted(x)) for path, x in paths], structure


def _adopted(x: Any) -> Any:
    x = from_foreign(x)
    return x.canonical() if is_value(x) else x


def _compare(x: Any, y: Any, path: str, rtol: Any, atol: Any, same_type: bool) -> None:
    __tracebackhide__ = True
    actual, desired = f"actual{path}", f"desired{path}"
    if same_type:
        assert type(x) is type(y), f"{actual} is {_called(x)} and {desired} {_called(y)}"
    if isinstance(x, NamedArray) or isinstance(y, NamedArray):
        x, y = _by_name(x, y, actual, desired)
        return _compare(x, y, path, rtol, atol, same_type)
    if isinstance(x, Quantity) or isinstance(y, Quantity):
        x, y, atol, unit = _in_one_unit(x, y, atol, actual, desired)
        actual = f"{actual} in '{_short(unit)}'"
        if same_type:
            assert type(x) is type(y), f"{actual} is {_called(x)} and {desired} {_called(y)}"
    elif isinstance(atol, Quantity):
        atol = float(atol)
    _compare_numbers(_numbers(x), _numbers(y), actual, desired, rtol, atol)


def _by_name(x: Any, y: Any, actual: str, desired: str) -> tuple[Any, Any]:
    """The arrays of two named arrays, in the order of the second's axes."""
    __tracebackhide__ = True
    both = isinstance(x, NamedArray) and isinstance(y, NamedArray)
    if not both and jnp.ndim(y if isinstance(x, NamedArray) else x) == 0:
        return (x.array, y) if isinstance(x, NamedArray) else (x, y.array)
    assert both, f"{actual} is {_called(x)} and {desired} {_called(y)}"
    names = f"{actual} has the dims {x.dims} and {desired} {y.dims}"
    assert len(x.dims) == len(y.dims) and all(x.dims.count(d) == y.dims.count(d) for d in y.dims), (
        names
    )
    if x.dims != y.dims:
        assert None not in x.dims, names
        x = x.transpose(*y.dims)
    for name in set(x.coords) | set(y.coords):
        assert name in x.coords and name in y.coords, (
            f"only one of {actual} and {desired} has a coordinate for '{name}'"
        )
        _compare(x.coords[name], y.coords[name], f"{actual[6:]}.coords[{name!r}]", None, 0, False)
    return x.array, y.array


def _in_one_unit(x: Any, y: Any, atol: Any, actual: str, desired: str) -> tuple[Any, Any, Any, Any]:
    """Two numbers and a tolerance in the unit of the second."""
    __tracebackhide__ = True
    unit = y.units if isinstance(y, Quantity) else ""
    if not isinstance(x, Quantity):
        x = Quantity(x, "")
    try:
        magnitude = x.m_as(unit)
    except DimensionalityError:
        shown = [f"'{_short(q.units)}'" if isinstance(q, Quantity) else "" for q in (x, y)]
        assert shown[1], f"{actual} is in {shown[0]} and {desired} is a number."
        raise AssertionError(
            f"{actual} is in {shown[0]} and {desired} in {shown[1]}, "
            "which measure different things."
        ) from None
    if isinstance(atol, Quantity):
        atol = float(np.asarray(atol.m_as(span_unit(as_unit(unit)))))
    elif atol != 0 and isinstance(y, Quantity) and not y.is_compatible_with(""):
        raise TypeError(
            f"`assert_allclose` compares quantities in '{_short(unit)}', and `atol` is the "
            f"number {atol}. Give it as a quantity."
        )
    return magnitude, y.m if isinstance(y, Quantity) else y, atol, unit


def _short(unit: Any) -> str:
    return str(as_unit(unit))


def _numbers(x: Any) -> Any:
    """The plain array that a value stands for, also of types that refuse to make it otherwise."""
    for method in ("todense", "merged", "materialise"):
        if is_value(x) and hasattr(x, method):
            x = getattr(x, method)()
    if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    return np.asarray(x)


def _compare_numbers(x: Any, y: Any, actual: str, desired: str, rtol: Any, atol: Any) -> None:
    __tracebackhide__ = True
    assert y.shape in ((), x.shape), (
        f"{actual} has shape {x.shape} and {desired} has shape {y.shape}"
    )
    inexact = [a.dtype for a in (x, y) if jnp.issubdtype(a.dtype, jnp.inexact)]
    if not all(jnp.issubdtype(a.dtype, jnp.number) or a.dtype == bool for a in (x, y)):
        np.testing.assert_array_equal(x, y, err_msg=actual)
        return
    if rtol is None:
        sizes = [d.itemsize // (2 if d.kind == "c" else 1) for d in inexact]
        rtol = _RTOL.get(min(sizes), 1e-2) if sizes else 0.0
    # NumPy only stores bfloat16 and its like.
    x, y = (a.astype(np.float32) if a.dtype.kind == "V" else a for a in (x, y))
    np.testing.assert_allclose(x, y, rtol=rtol, atol=atol, err_msg=actual)


def _called(x: Any) -> str:
    return describe(x) if is_value(x) else f"a plain {type(x).__name__}"
