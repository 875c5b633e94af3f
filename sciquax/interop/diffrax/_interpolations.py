"""Paths through data: times with units in, values with units out.

A path holds quantities. To evaluate it, the same path of Diffrax's is made of their magnitudes,
and what it gives is labelled.
"""

from typing import Any

import diffrax
import jax.numpy as jnp
import jax.tree_util as jtu

from sciquax.core import LocatedError, is_value
from sciquax.core.internal import add_hook, takes_foreign
from sciquax.named import NamedArray
from sciquax.units import DimensionalityError, Quantity
from sciquax.units.internal import InternedUnit, own_unit, wrap

from .._solving.by_hand import function_goes_to, methods_go_to
from .._solving.deferred_calls import deferrable
from .._solving.edited import edited
from .._solving.tree_units import (
    TreeUnits,
    Working,
    is_quantity,
    leaves_to_units,
    time_to_unit,
    without_units,
)
from .._solving.user_functions import caller_line


class QuantityPath:
    """The base of all paths. Subclasses give `_bare`, the path on magnitudes, and `_values`."""

    ts: Any

    @property
    def _bare(self) -> Any:
        raise NotImplementedError

    @property
    def _values(self) -> Any:
        """A tree whose leaves have the units of the path's values."""
        raise NotImplementedError

    @property
    def _working(self) -> Working:
        return Working(own_unit(self.ts), TreeUnits.of(self._values))

    def _time(self, t: Any, name: str, owner: str) -> Any:
        t = time_to_unit(t, self._working.time, name, owner)
        if isinstance(t, int | float) and jnp.issubdtype(self.ts.dtype, jnp.floating):
            return jnp.asarray(t, self.ts.dtype)  # a literal 0
        return t

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True) -> Any:
        """The value at `t0`, or its increment from `t0` to `t1`.

        **Arguments**: times, in any unit of time, and Diffrax's `left`.

        **Returns** a tree of values in their units; an increment's are those of differences.

        **Raises** `DimensionalityError` for times that are none.
        """
        if t1 is not None and type(self).evaluate is not QuantityPath.evaluate:
            start, stop = self.evaluate(t0, left=left), self.evaluate(t1, left=left)  # as Diffrax's
            return jtu.tree_map(lambda a, b: b - a, start, stop, is_leaf=is_quantity)
        return _evaluate(path=self, t0=t0, t1=t1, left=left)

    def derivative(self, t: Any, left: bool = True) -> Any:
        """The derivative of the path, in units of its values per unit of time.

        **Raises** `DimensionalityError` for a time that is none.
        """
        return _differentiate(path=self, t=t, left=left)

    @property
    def t0(self) -> Any:
        """The start of the interval over which the path is defined."""
        return wrap(self._bare.t0, self._working.time)

    @property
    def t1(self) -> Any:
        """The end of the interval over which the path is defined."""
        return wrap(self._bare.t1, self._working.time)


@deferrable(keep=("t0", "t1"))
def _evaluate(path: Any, t0: Any, t1: Any, left: bool) -> Any:
    start = path._bare.evaluate(path._time(t0, "t0", "evaluate"), left=left)
    if t1 is None:
        return path._working.state.label(start)
    stop = path._bare.evaluate(path._time(t1, "t1", "evaluate"), left=left)
    return path._working.differences.label(jtu.tree_map(lambda a, b: a - b, stop, start))


@deferrable(keep=("t",))
def _differentiate(path: Any, t: Any, left: bool) -> Any:
    t = path._time(t, "t", "derivative")
    return path._working.rates.label(path._bare.derivative(t, left=left))


class DenseInterpolation(QuantityPath, diffrax.DenseInterpolation):
    """A dense solution, what `sol.interpolation` is.

    The units are those of `ts` and of `y0_if_trivial`; the polynomials in `infos` are on bare
    magnitudes.
    """

    ts: Any
    infos: Any
    t0_if_trivial: Any
    y0_if_trivial: Any

    @property
    def _values(self) -> Any:
        return self.y0_if_trivial

    @property
    def _bare(self) -> Any:
        fields = {name: getattr(self, name) for name in DENSE_FIELDS}
        fields["y0_if_trivial"] = self._working.state.strip(self.y0_if_trivial)
        return diffrax.DenseInterpolation(
            **{k: v if k == "infos" else without_units(v) for k, v in fields.items()}
        )


DENSE_FIELDS = tuple(diffrax.DenseInterpolation.__dataclass_fields__)


class _PathMeta(type(diffrax.LinearInterpolation)):
    """Of paths that the user makes, of quantities of other libraries too."""

    @takes_foreign
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs)


class LinearInterpolation(QuantityPath, diffrax.LinearInterpolation, metaclass=_PathMeta):
    """Interpolates data linearly, as `diffrax.LinearInterpolation`.

    **Arguments**: `ts`, increasing times; `ys`, a tree of the data at those times. Both may be
    quantities.
    """

    ts: Any
    ys: Any

    @property
    def _values(self) -> Any:
        return _at_one_time(self.ys)

    @property
    def _bare(self) -> Any:
        ys = TreeUnits.of(self.ys).strip(self.ys)
        return diffrax.LinearInterpolation(without_units(self.ts), ys)


class CubicInterpolation(QuantityPath, diffrax.CubicInterpolation, metaclass=_PathMeta):
    """Piecewise cubic polynomials, as `diffrax.CubicInterpolation`.

    **Arguments**: `ts`, increasing times; `coeffs`, the trees `(d, c, b, a)` that
    [`backward_hermite_coefficients`][sciquax.interop.diffrax.backward_hermite_coefficients] gives,
    in units of the data per unit of time to the powers 3, 2, 1 and 0.
    """

    ts: Any
    coeffs: tuple[Any, Any, Any, Any]

    @property
    def _values(self) -> Any:
        return _at_one_time(self.coeffs[3])

    @property
    def _bare(self) -> Any:
        working = Working(own_unit(self.ts), TreeUnits.of(self.coeffs[3]))
        coeffs = tuple(map(_in_units, self.coeffs, _cubic_units(working), "dcba"))
        return diffrax.CubicInterpolation(without_units(self.ts), coeffs)


def _sizes_only(original: Any) -> Any:
    """Wrap the check of coefficients, which maps over them as trees of one structure."""

    def hook(path: Any) -> None:
        original(edited(path, coeffs=tuple(map(without_units, path.coeffs))))

    return hook


add_hook(diffrax.CubicInterpolation.__check_init__, _sizes_only, now=True)
for _cls in LinearInterpolation, CubicInterpolation:
    methods_go_to(_cls, getattr(diffrax, _cls.__name__), "evaluate", "derivative")


def _at_one_time(data: Any) -> Any:
    """Data as at one time: the axis of times goes, and its name with it."""
    if TreeUnits.of(data).bare == jtu.tree_structure(data, is_leaf=is_quantity):
        return data

    def first(x: Any) -> Any:
        return NamedArray(x.array[0], x.dims[1:]) if isinstance(x, NamedArray) else x[0]

    return jtu.tree_map(first, data, is_leaf=is_value)


def _cubic_units(working: Working) -> list[TreeUnits]:
    d = c = b = working.rates
    c = c.map(lambda unit: unit / working.time)
    d = c.map(lambda unit: unit / working.time)
    return [d, c, b, working.state]


def _in_units(coefficient: Any, units: TreeUnits, name: str) -> Any:
    def complain(x: Any, unit: InternedUnit, i: int) -> LocatedError:
        error = DimensionalityError(
            f"`CubicInterpolation` got its coefficient `{name}` in '{own_unit(x)}', which for its "
            f"`ts` and its coefficient `a` is in '{unit}'.",
            own_unit(x).pint,
            unit.pint,
            "`backward_hermite_coefficients` gives all four.",
        )
        return error.at(caller_line())

    return units.bare.unflatten(units.parts(leaves_to_units(coefficient, units, complain)))


# -- data with missing values ---------------------------------------------------------------------


@takes_foreign
def linear_interpolation(
    ts: Any,
    ys: Any,
    *,
    fill_forward_nans_at_end: bool = False,
    replace_nans_at_start: Any = None,
) -> Any:
    """Fill in missing data linearly, as `diffrax.linear_interpolation`.

    **Arguments**: as there; `ts`, `ys` and `replace_nans_at_start` may be quantities.

    **Returns** `ys` without nans, in its units.

    **Raises** `DimensionalityError` for a `replace_nans_at_start` that is not what `ys` is.
    """
    return _linear(
        ts=ts, ys=ys, start=replace_nans_at_start, fill_forward_nans_at_end=fill_forward_nans_at_end
    )


@deferrable(keep=("start",))
def _linear(ts: Any, ys: Any, start: Any, **options: Any) -> Any:
    units = TreeUnits.of(ys, "ys")
    filled = diffrax.linear_interpolation(
        without_units(ts),
        units.strip(ys),
        replace_nans_at_start=_like(start, units, "linear_interpolation", "replace_nans_at_start"),
        **options,
    )
    return units.label(filled)


@takes_foreign
def rectilinear_interpolation(ts: Any, ys: Any, replace_nans_at_start: Any = None) -> Any:
    """Interpolate in steps, as `diffrax.rectilinear_interpolation`.

    **Arguments**: as there; all may be quantities.

    **Returns** new `ts` and `ys`, in their units.

    **Raises** `DimensionalityError` for a `replace_nans_at_start` that is not what `ys` is.
    """
    return _rectilinear(ts=ts, ys=ys, start=replace_nans_at_start)


@deferrable(keep=("start",))
def _rectilinear(ts: Any, ys: Any, start: Any) -> Any:
    units = TreeUnits.of(ys, "ys")
    start = _like(start, units, "rectilinear_interpolation", "replace_nans_at_start")
    new_ts, new_ys = diffrax.rectilinear_interpolation(without_units(ts), units.strip(ys), start)
    return wrap(new_ts, own_unit(ts)), units.label(new_ys)


@takes_foreign
def backward_hermite_coefficients(
    ts: Any,
    ys: Any,
    *,
    deriv0: Any = None,
    replace_nans_at_start: Any = None,
    fill_forward_nans_at_end: bool = False,
) -> Any:
    """Coefficients of cubic splines, as `diffrax.backward_hermite_coefficients`.

    **Arguments**: as there; all data may be quantities, `deriv0` in units of `ys` per unit of time.

    **Returns** `(d, c, b, a)`, for
    [`CubicInterpolation`][sciquax.interop.diffrax.CubicInterpolation], each in its own units.

    **Raises** `DimensionalityError` for a `deriv0` or a `replace_nans_at_start` that does not fit.
    """
    return _hermite(
        ts=ts,
        ys=ys,
        deriv0=deriv0,
        start=replace_nans_at_start,
        fill_forward_nans_at_end=fill_forward_nans_at_end,
    )


@deferrable(keep=("start", "deriv0"))
def _hermite(ts: Any, ys: Any, deriv0: Any, start: Any, **options: Any) -> Any:
    working = Working(own_unit(ts), TreeUnits.of(ys, "ys"))
    owner = "backward_hermite_coefficients"
    coeffs = diffrax.backward_hermite_coefficients(
        without_units(ts),
        working.state.strip(ys),
        deriv0=_like(deriv0, working.rates, owner, "deriv0"),
        replace_nans_at_start=_like(start, working.state, owner, "replace_nans_at_start"),
        **options,
    )
    return tuple(u.label(x) for u, x in zip(_cubic_units(working), coeffs, strict=True))


def _like(given: Any, units: TreeUnits, owner: str, name: str) -> Any:
    """An argument shaped like the data, in given units; None stays None."""
    if given is None:
        return None

    def complain(x: Any, unit: InternedUnit, i: int) -> LocatedError:
        came = f"'{x._unit}'" if isinstance(x, Quantity) else "plain numbers"
        error = DimensionalityError(
            f"`{owner}` got `{name}` in {came} for {units.names()[i]}, but it must be in '{unit}'.",
            own_unit(x).pint,
            unit.pint,
            f"Give it in a unit that converts to '{unit}'.",
        )
        return error.at(caller_line())

    return units.bare.unflatten(units.parts(leaves_to_units(given, units, complain)))


for _ours in backward_hermite_coefficients, linear_interpolation, rectilinear_interpolation:
    function_goes_to(_ours, getattr(diffrax, _ours.__name__))
