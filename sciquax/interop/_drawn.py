"""Plots for which matplotlib does not ask for units: colours, arrows, histograms.

Its axes' methods are replaced, while quantities are registered, by ones that pass numbers on.
"""

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import matplotlib.axes
import matplotlib.figure
import numpy as np
import pint

from sciquax.core import user_line
from sciquax.named import NamedArray
from sciquax.units import DimensionalityError, Quantity
from sciquax.units.internal import as_unit


def colours(name: str) -> Callable[..., Any]:
    """Wrap a method that maps numbers to colours; limits are converted to the numbers' unit."""

    def method(original: Any, ax: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        place: Any = _COLOURED[name](args)
        if name not in ("scatter", "hexbin", "quiver", "barbs") and place == 2:
            _check_points(name, ax, args)
        holder: Any = kwargs if place not in range(len(args)) else args
        z = holder.get(place) if holder is kwargs else holder[place]
        if not isinstance(z, Quantity):
            return original(ax, *args, **kwargs)
        unit = z.units
        holder[place] = _numbers(z, unit)
        for key in ("vmin", "vmax", "levels"):
            if isinstance(kwargs.get(key), Quantity):
                kwargs[key] = _numbers(kwargs[key], unit)
        if holder is args and len(args) > place + 1 and isinstance(args[place + 1], Quantity):
            args[place + 1] = _numbers(args[place + 1], unit)  # a contour's levels
        drawn = original(ax, *args, **kwargs)
        drawn.sciquax_unit = unit
        return drawn

    return method


_COLOURED: dict[str, Callable[[Sequence[Any]], Any]] = {
    "scatter": lambda args: 3 if len(args) > 3 else "c",
    "imshow": lambda args: 0 if args else "X",
    "pcolor": lambda args: len(args) - 1,
    "pcolormesh": lambda args: len(args) - 1,
    "contour": lambda args: 2 if len(args) > 2 else 0,
    "contourf": lambda args: 2 if len(args) > 2 else 0,
    "hexbin": lambda args: 2 if len(args) > 2 else "C",
    "quiver": lambda args: len(args) - 1 if len(args) % 2 else "C",
    "barbs": lambda args: len(args) - 1 if len(args) % 2 else "C",
}


def _arrows(name: str) -> Callable[..., Any]:
    """Wrap a method that draws arrows: both components in the unit of the first."""

    def method(original: Any, ax: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        first = 2 if len(args) > 3 else 0
        if first:
            _check_points(name, ax, args)
        u, v = args[first : first + 2]
        if isinstance(u, Quantity) or isinstance(v, Quantity):
            unit = u.units if isinstance(u, Quantity) else v.units
            args[first : first + 2] = [_numbers(x, unit) for x in (u, v)]
        return colours(name)(original, ax, args, kwargs)

    return method


def _on_axes(name: str, ax: Any, args: list[Any]) -> list[Any]:
    """Convert the first two arguments to the units of the axes, in place; return these units."""
    units = []
    for i, axis in enumerate((ax.xaxis, ax.yaxis)):
        _check(name, ax, axis, args[i])
        if isinstance(args[i], Quantity):
            axis.update_units(args[i])
        unit = axis.get_units()
        units.append(unit if isinstance(unit, pint.Unit) else None)
        if units[i] is not None:
            args[i] = _numbers(args[i], unit)
    return units


def _hexagons(original: Any, ax: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Draw points and limits in the units of the axes, colours in their own."""
    for name in ("x", "y"):
        if name in kwargs:
            args.append(kwargs.pop(name))
    units = _on_axes("hexbin", ax, args)
    if (limits := kwargs.get("extent")) is not None:
        ends = zip(limits, (units[0], units[0], units[1], units[1]), strict=True)
        kwargs["extent"] = [x if unit is None else float(_numbers(x, unit)) for x, unit in ends]
    return colours("hexbin")(original, ax, args, kwargs)


def _streams(original: Any, ax: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Draw lines along arrows, with components divided by the axes' units: slopes are drawn."""
    x, y = _on_axes("streamplot", ax, args)
    u, v = args[2:4]
    if isinstance(u, Quantity) or isinstance(v, Quantity):
        slope = as_unit(y) / as_unit(x)
        first = as_unit(u.units) if isinstance(u, Quantity) else as_unit(v.units) / slope
        args[2:4] = _numbers(u, first.pint), _numbers(v, (first * slope).pint)
    elif x is not None and y is not None and x != y:
        what = f"plain numbers for arrows between axes in '{x:~C}' and '{y:~C}'"
        raise _mixture("streamplot", what, x, "Give the arrows a unit")
    color = kwargs.get("color")
    if isinstance(color, Quantity):
        kwargs["color"] = _numbers(color, color.units)
    drawn = original(ax, *args, **kwargs)
    if isinstance(color, Quantity):
        drawn.lines.sciquax_unit = color.units
    return drawn


def _spread(along: Callable[[dict[str, Any]], str]) -> Callable[..., Any]:
    """Draw a histogram or its like, the data and its bins in the unit of the axis."""

    def method(original: Any, ax: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        data = args[0] if args else None
        several = [data] if isinstance(data, Quantity) else data
        if not isinstance(several, (list, tuple)) or not any(
            isinstance(x, Quantity) for x in several
        ):
            _check("hist", ax, getattr(ax, along(kwargs)), data)
            return original(ax, *args, **kwargs)
        axis = getattr(ax, along(kwargs))
        axis.update_units(next(x for x in several if isinstance(x, Quantity)))
        unit = axis.get_units()
        args[0] = _numbers(data, unit)
        for key in ("bins", "range"):
            if not isinstance(kwargs.get(key), (int, str, type(None))):
                kwargs[key] = _numbers(kwargs[key], unit)
        if len(args) > 1 and not isinstance(args[1], (int, str)):
            args[1] = _numbers(args[1], unit)
        return original(ax, *args, **kwargs)

    return method


def _numbers(x: Any, unit: Any) -> Any:
    """Numbers in a unit. **Raises** `DimensionalityError` for what has none."""
    if isinstance(x, (list, tuple)):
        return [_numbers(y, unit) for y in x]
    return np.asarray((x if isinstance(x, Quantity) else Quantity(x)).m_as(unit))


# -- numbers and quantities on one axis -----------------------------------------------------------


def _checked(name: str) -> Callable[..., Any]:
    """Wrap a method that draws points to refuse plain numbers on an axis with a unit."""

    def method(original: Any, ax: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        groups = _groups(args) if name == "plot" else [args[:2]]
        if kwargs.get("data") is None:
            for group in groups:
                axes = (ax.yaxis,) if len(group) == 1 else (ax.xaxis, ax.yaxis)
                axes = axes[::-1] if name in _LYING else axes
                for axis, x in zip(axes, group, strict=True):
                    _check(name, ax, axis, x)
        draw = colours(name) if name in _COLOURED else None
        return draw(original, ax, args, kwargs) if draw else original(ax, *args, **kwargs)

    return method


def _groups(args: Sequence[Any]) -> list[list[Any]]:
    """The points that `plot` is given: `x, y, "r--", x, y`."""
    groups: list[list[Any]] = [[]]
    for x in args:
        if isinstance(x, str) or len(groups[-1]) == 2:
            groups.append([])
        if not isinstance(x, str):
            groups[-1].append(x)
    return [group for group in groups if group]


def _check_points(name: str, ax: Any, args: Sequence[Any]) -> None:
    for axis, x in zip((ax.xaxis, ax.yaxis), args, strict=False):
        _check(name, ax, axis, x)


def _check(name: str, ax: Any, axis: Any, x: Any) -> None:
    there = axis.get_units()
    known = isinstance(there, pint.Unit) and not as_unit(there).unitless
    if known and isinstance(x, (np.ndarray, jax.Array, list, tuple)):
        array = np.asarray(x, object) if isinstance(x, (list, tuple)) else x
        if array.dtype.kind in "biuf" or all(isinstance(y, (int, float)) for y in array.ravel()):
            what = f"plain numbers for the {axis.axis_name} axis, which is in '{there:~C}'"
            raise _mixture(name, what, there, "Give them a unit, or draw them on axes of their own")
    if (
        isinstance(x, Quantity)
        and there is None
        and not as_unit(x.units).unitless
        and ax.has_data()
    ):
        what = (
            f"a quantity in '{x.units:~C}' for the {axis.axis_name} axis, which has plain numbers"
        )
        raise _mixture(name, what, x.units, "Give the others a unit, or draw on axes of its own")


def _mixture(name: str, what: str, unit: Any, remedy: str) -> DimensionalityError:
    error = DimensionalityError(f"`{name}` got {what}.", unit, as_unit("").pint, f"{remedy}.")
    return error.at(user_line())


# -- in matplotlib's classes ----------------------------------------------------------------------


def _upright(kwargs: dict[str, Any]) -> bool:
    return kwargs.get("orientation", "vertical") == "vertical" and kwargs.get("vert") is not False


_POINTS = (
    "plot", "scatter", "errorbar", "fill_between", "step", "stem", "bar", "loglog", "semilogx",
    "semilogy", "barh", "fill_betweenx", "hlines", "vlines",
    "hist2d",
)  # fmt: skip
_LYING = ("barh", "fill_betweenx", "hlines")  # `y` comes first
_METHODS: dict[str, Callable[..., Any]] = {
    **{name: colours(name) for name in _COLOURED},
    **{name: _checked(name) for name in _POINTS},
    "quiver": _arrows("quiver"),
    "barbs": _arrows("barbs"),
    "hexbin": _hexagons,
    "streamplot": _streams,
    "hist": _spread(lambda kwargs: "xaxis" if _upright(kwargs) else "yaxis"),
    "ecdf": _spread(lambda kwargs: "xaxis" if _upright(kwargs) else "yaxis"),
    "boxplot": _spread(lambda kwargs: "yaxis" if _upright(kwargs) else "xaxis"),
    "violinplot": _spread(lambda kwargs: "yaxis" if _upright(kwargs) else "xaxis"),
}
_originals: dict[tuple[Any, str], Any] = {}


def install(label: Callable[[Any], str | None]) -> None:
    """Make the methods of matplotlib's axes accept quantities; `label` gives a unit's text."""
    remove()
    axes = matplotlib.axes.Axes
    for name, method in _METHODS.items():
        _replace(axes, name, method)

    def colorbar(original: Any, figure: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        bar = original(figure, *args, **kwargs)
        unit = getattr(bar.mappable, "sciquax_unit", None)
        if unit is not None and not kwargs.get("label") and (text := label(unit)):
            bar.set_label(text)
        return bar

    _replace(matplotlib.figure.FigureBase, "colorbar", colorbar)


def _replace(cls: Any, name: str, method: Callable[..., Any]) -> None:
    original = _originals[cls, name] = getattr(cls, name)

    @functools.wraps(original)
    def replaced(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _called_by_matplotlib():  # on numbers
            return original(self, *args, **kwargs)
        one = ("levels",)  # others may be of several units, as `extent`
        named = {
            key: _as_one(x) if key in one or isinstance(x, NamedArray) else x
            for key, x in kwargs.items()
        }
        return method(original, self, [*map(_as_one, args)], named)

    setattr(cls, name, replaced)


def _called_by_matplotlib() -> bool:
    """Whether matplotlib itself makes the current call, rather than a user or `pyplot`."""
    frame: Any = sys._getframe(1)
    while frame.f_globals.get("__name__", "").startswith(_BETWEEN):
        frame = frame.f_back
    module = frame.f_globals.get("__name__", "")
    return module.startswith("matplotlib.") and module != "matplotlib.pyplot"


_BETWEEN = (__name__, "jaxtyping", "beartype")


def _as_one(x: Any) -> Any:
    """A list of scalar quantities as one quantity; a named array as the array in it."""
    if isinstance(x, NamedArray):
        return x.array
    if isinstance(x, (list, tuple)) and any(isinstance(y, NamedArray) for y in x):
        return [*map(_as_one, x)]
    scalars = (
        isinstance(x, (list, tuple))
        and x
        and all(isinstance(y, Quantity) and y.ndim == 0 for y in x)
    )
    return Quantity(list(x)) if scalars else x


def remove() -> None:
    """Restore the methods of matplotlib's axes."""
    for (cls, name), original in _originals.items():
        setattr(cls, name, original)
    _originals.clear()
