# pyright: reportAssignmentType=false
# Reductions take the places of methods by position, and the types that these have.
"""Reductions, cumulative operations, sorting: along names."""

from collections.abc import Callable
from typing import Any, Concatenate, TypeVar, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sciquax.core import is_value, user_line

from .._array.axes import Axis, axes
from .._array.base import N, NamedBase, as_named, bare
from .._array.coordinates import Coordinate, single
from .._array.errors import AxisError, AxisSizeError, show_dims
from .alignment import alignment
from .call_jax import apply
from .extremes import label_of, place_of
from .weights import weighted_mean


def reduce(a: NamedBase, op: str, function: Callable[..., Any], names: Any, **kwargs: Any) -> Any:
    """`function(array, axis=...)` over names (all axes, if None), which the result lacks."""
    if names is None:
        positions = tuple(range(a.ndim))
    else:
        positions = a._axes.positions(op, names, a)
    where = kwargs.pop("where", None)
    if where is not None:
        kwargs["where"] = _mask(a, op, where)
    rest = [i for i in range(a.ndim) if i not in positions]
    return bare(apply(function, a.array, axis=positions, **kwargs), a._axes.keep(rest))


def _mask(a: NamedBase, op: str, where: Any) -> Any:
    """A mask with the axes of `a`, of size 1 where it has none."""
    mask = as_named(where, op)
    plan = alignment(op, (a._axes, mask._axes))
    plan.check(op, (a.shape, mask.shape))
    if plan.axes.dims != a.dims:
        raise AxisError(
            f"`{op}` got a mask with the dims {show_dims(mask.dims)} for an array with "
            f"{show_dims(a.dims)}.",
            "Broadcast the array first: `a.broadcast_like(mask)`.",
        ).at(user_line())
    return jnp.broadcast_to(plan.steps[1](mask.array), a.shape)


def along(a: NamedBase, op: str, function: Callable[..., Any], name: Any, **kwargs: Any) -> Any:
    """`function(array, axis=...)` along one name, which the result keeps."""
    axis = a._axes.position(op, name, a)
    return bare(apply(function, a.array, axis=axis, **kwargs), a._axes.plain)


def only_name(a: NamedBase, op: str, name: Any) -> Any:
    """`name`, or the only one there is: a flat place would depend on how axes are stored."""
    if name is not None:
        return name
    if a.ndim == 1 and a.dims[0] is not None:
        return a.dims[0]
    raise AxisError(
        f"`{op}` needs a name: the array's dims are {show_dims(a.dims)}.",
        f"Write `.{op}('{next((d for d in a.dims if d), 'x')}')`, or `flatten` first.",
    ).at(user_line())


def _reduction(op: str, function: Callable, doc: str) -> Callable[Concatenate[N, ...], N]:
    without_nans = getattr(jnp, f"nan{op}", None)

    def method(self: Any, names: Any = None, **kwargs: Any) -> Any:
        names = _names(op, names, kwargs)
        least = kwargs.pop("min_count", None) if op in ("sum", "prod") else None
        if least is not None:
            return method(self, names, **kwargs).where(self.count(names) >= least)
        if kwargs.pop("skipna", False) and (
            jnp.issubdtype(self.dtype, jnp.inexact) or np.dtype(self.dtype).kind in "mM"
        ):
            if without_nans is None:
                raise AxisError(f"`{op}` takes no `skipna`.").at(user_line())
            return reduce(self, f"nan{op}", without_nans, names, **kwargs)
        return reduce(self, op, function, names, **kwargs)

    method.__name__ = method.__qualname__ = op
    skipping = "" if without_nans is None else " `skipna=True` leaves nans out."
    if op in ("sum", "prod"):
        skipping += (
            " Of less than `min_count` elements that are no nan, if that is given, it is nan."
        )
    method.__doc__ = (
        f"{doc}, over a name or several (all axes, if None).\n\n"
        f"Keywords are those of `{function.__module__}.{op}`; `where` is a mask with names."
        f"{skipping} **Raises** `AxisError` for an absent or repeated name."
    )
    return method


def _names(op: str, names: Any, kwargs: dict[str, Any]) -> Any:
    """The names to reduce, which xarray calls `dim`."""
    if "dim" in kwargs:
        if names is not None:
            raise AxisError(
                f"`{op}` got names and `dim`.", "They are the same: give the names alone."
            ).at(user_line())
        names = kwargs.pop("dim")
        names = None if names is ... else names
    _no_positions(op, kwargs)
    return names


def _no_positions(op: str, kwargs: dict[str, Any]) -> None:
    for key in ("axis", "keepdims", "out"):
        if key in kwargs:
            raise AxisError(
                f"`{op}` takes names, not `{key}`.",
                "Name the axes to reduce; broadcasting by name needs no `keepdims`.",
            ).at(user_line())


def _logsumexp(x: Any, axis: Any) -> Any:
    return jax.scipy.special.logsumexp(x, axis=axis)


R = TypeVar("R", bound="Reductions")


class Reductions(NamedBase):
    """The reductions of [`sciquax.named.NamedArray`][], and what runs along a name."""

    sum = _reduction("sum", jnp.sum, "Sum")
    mean = _reduction("mean", jnp.mean, "Arithmetic mean")
    prod = _reduction("prod", jnp.prod, "Product")
    max = _reduction("max", jnp.max, "Largest element")
    min = _reduction("min", jnp.min, "Smallest element")
    std = _reduction("std", jnp.std, "Standard deviation (`ddof=1` for a sample's)")
    var = _reduction("var", jnp.var, "Variance (`ddof=1` for a sample's)")
    median = _reduction("median", jnp.median, "Median")
    nansum = _reduction("nansum", jnp.nansum, "Sum without nans")
    nanmean = _reduction("nanmean", jnp.nanmean, "Mean without nans")
    nanmax = _reduction("nanmax", jnp.nanmax, "Largest element that is not nan")
    nanmin = _reduction("nanmin", jnp.nanmin, "Smallest element that is not nan")
    nanstd = _reduction("nanstd", jnp.nanstd, "Standard deviation without nans")
    nanvar = _reduction("nanvar", jnp.nanvar, "Variance without nans")
    nanprod = _reduction("nanprod", jnp.nanprod, "Product without nans")
    nanmedian = _reduction("nanmedian", jnp.nanmedian, "Median without nans")
    count_nonzero = _reduction("count_nonzero", jnp.count_nonzero, "Number of nonzero elements")
    logsumexp = _reduction("logsumexp", _logsumexp, "log(sum(exp(x))), without overflow")

    def all(  # pyright: ignore[reportIncompatibleMethodOverride]
        self: R, names: Any = None, **kwargs: Any
    ) -> R:
        """Whether all elements are true, over one or more names."""
        return reduce(self, "all", jnp.all, _names("all", names, kwargs), **kwargs)

    def any(  # pyright: ignore[reportIncompatibleMethodOverride]
        self: R, names: Any = None, **kwargs: Any
    ) -> R:
        """Whether any element is true, over one or more names."""
        return reduce(self, "any", jnp.any, _names("any", names, kwargs), **kwargs)

    def ptp(self: R, names: Any = None) -> R:
        """The largest minus the smallest element, over one or more names."""
        return self.max(names) - self.min(names)

    def quantile(
        self: R, q: Any, names: Any = None, *, method: str = "linear", skipna: bool = False
    ) -> R:
        """Quantiles over one or more names; `skipna` ignores nans.

        `q` is a number; a list, along the new axis `quantile`; or a named array, whose axes lead.
        """
        return _quantile(
            self, "quantile", jnp.nanquantile if skipna else jnp.quantile, q, names, method
        )

    def percentile(
        self: R, q: Any, names: Any = None, *, method: str = "linear", skipna: bool = False
    ) -> R:
        """Percentiles over a name or several, as `quantile`."""
        return _quantile(
            self, "percentile", jnp.nanpercentile if skipna else jnp.percentile, q, names, method
        )

    def nanquantile(self: R, q: Any, names: Any = None, *, method: str = "linear") -> R:
        """Quantiles without nans, as `quantile`."""
        return _quantile(self, "nanquantile", jnp.nanquantile, q, names, method)

    def weighted_mean(self: R, weights: Any, names: Any = None, *, skipna: bool = False) -> R:
        """sum(weights * a) / sum(weights) over a name or several; `skipna` leaves nans out.

        Weights may lack names of the array's; those they have beyond them are refused.
        """
        return weighted_mean(self, "weighted_mean", weights, names, skipna)

    @overload
    def argmax(self: R, name: str | Axis | None = None, *, skipna: bool = False) -> R: ...
    @overload
    def argmax(self, name: Any, *, skipna: bool = False) -> Any: ...
    def argmax(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, name: Any = None, *, skipna: bool = False
    ) -> Any:
        """The place of the largest element along a name. One-dimensional arrays need no name.

        Along several, or `...` for all, a dictionary of places by name. `skipna` leaves nans out,
        as `nanargmax` does.
        """
        return _place(self, "argmax", jnp.nanargmax if skipna else jnp.argmax, name)

    @overload
    def argmin(self: R, name: str | Axis | None = None, *, skipna: bool = False) -> R: ...
    @overload
    def argmin(self, name: Any, *, skipna: bool = False) -> Any: ...
    def argmin(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, name: Any = None, *, skipna: bool = False
    ) -> Any:
        """The place of the smallest element along a name. One-dimensional arrays need no name.

        Along several, or `...` for all, a dictionary of places by name. `skipna` leaves nans out,
        as `nanargmin` does.
        """
        return _place(self, "argmin", jnp.nanargmin if skipna else jnp.argmin, name)

    def nanargmax(self, name: Any = None) -> Any:
        """The place of the largest element along a name that is not nan; -1 if all are nan."""
        return _place(self, "nanargmax", jnp.nanargmax, name)

    def nanargmin(self, name: Any = None) -> Any:
        """The place of the smallest element along a name that is not nan; -1 if all are nan."""
        return _place(self, "nanargmin", jnp.nanargmin, name)

    def idxmax(self, name: Any = None, *, skipna: bool = True) -> Any:
        """The coordinate of the largest element that is not nan; nan if all are nan."""
        return label_of(self, "idxmax", only_name(self, "idxmax", name), skipna)

    def idxmin(self, name: Any = None, *, skipna: bool = True) -> Any:
        """The coordinate of the smallest element that is not nan; nan if all are nan."""
        return label_of(self, "idxmin", only_name(self, "idxmin", name), skipna)

    def cumsum(self: R, name: Any = None, *, skipna: bool = False) -> R:
        """The cumulative sum along a name. Small integers are summed in the dtype of `sum`."""
        return _cumulated(self, "cumsum", jnp.nancumsum if skipna else jnp.cumsum, name)

    def cumprod(self: R, name: Any = None, *, skipna: bool = False) -> R:
        """The cumulative product along a name. Small integers get the dtype of `prod`."""
        return _cumulated(self, "cumprod", jnp.nancumprod if skipna else jnp.cumprod, name)

    def cummax(self: R, name: Any = None) -> R:
        """The largest element up to each place along a name."""
        return along(self, "cummax", _cummax, only_name(self, "cummax", name))

    def cummin(self: R, name: Any = None) -> R:
        """The smallest element up to each place along a name."""
        return along(self, "cummin", _cummin, only_name(self, "cummin", name))

    def cumlogsumexp(self: R, name: Any = None) -> R:
        """Cumulative log(sum(exp(x))) along a name."""
        return along(self, "cumlogsumexp", _cumlogsumexp, only_name(self, "cumlogsumexp", name))

    def sort(self: R, name: Any = None, *, descending: bool = False) -> R:
        """Sort in ascending order along a name, whose coordinates are dropped."""
        name = only_name(self, "sort", name)
        out = along(self, "sort", jnp.sort, name, descending=descending)
        return bare(out.array, out._axes.without(_name(self, "sort", name)))

    def argsort(  # pyright: ignore[reportIncompatibleMethodOverride]
        self: R, name: Any = None, *, descending: bool = False
    ) -> R:
        """The places that put the array in order along a name."""
        name = only_name(self, "argsort", name)
        out = along(self, "argsort", jnp.argsort, name, descending=descending)
        return bare(out.array, out._axes.without(_name(self, "argsort", name)))

    def top_k(self: R, k: Any, name: Any = None) -> tuple[R, R]:
        """The k largest elements along a name, largest first, and their places.

        `top_k("x", 2)`, with the name first as elsewhere, is `top_k(2, "x")`.
        """
        if isinstance(k, (str, Axis)):
            k, name = name, k
        name = only_name(self, "top_k", name)
        axis = self._axes.position("top_k", name, self)
        size = self.shape[axis]
        if not 0 <= k <= size:
            raise AxisSizeError(f"`top_k` got k = {k} for an axis of size {size}.").at(user_line())
        moved = apply(jnp.moveaxis, self.array, axis, -1)
        values, places = apply(lax.top_k, moved, k)
        layout = self._axes.without(self.dims[axis])
        return tuple(bare(apply(jnp.moveaxis, x, -1, axis), layout) for x in (values, places))  # pyright: ignore[reportReturnType]

    def softmax(self: R, names: Any) -> R:
        """exp(x) / sum(exp(x)) over a name or several, without overflow."""
        positions = self._axes.positions("softmax", names, self)
        return bare(apply(jax.nn.softmax, self.array, axis=positions), self._axes.plain)

    def log_softmax(self: R, names: Any) -> R:
        """The logarithm of `softmax`."""
        positions = self._axes.positions("log_softmax", names, self)
        return bare(apply(jax.nn.log_softmax, self.array, axis=positions), self._axes.plain)


def _name(a: Any, op: str, name: Any) -> Any:
    return a.dims[a._axes.position(op, name, a)]


def _place(a: Any, op: str, function: Callable[..., Any], name: Any) -> Any:
    return place_of(a, op, function, only_name(a, op, name))


def _quantile(a: Any, op: str, function: Callable, q: Any, names: Any, method: str) -> Any:
    one = float(q) if isinstance(q, (int, float)) and "quantile" in op else None
    if isinstance(q, (list, tuple)) or type(q) is np.ndarray and q.ndim == 1:
        given = np.asarray(q, float)
        q = bare(jnp.asarray(given), axes(("quantile",), {"quantile": Coordinate(given)}))
    q = as_named(q, op)
    for name in q.dims:
        if name in a.dims or name is None:
            raise AxisError(
                f"`{op}` got quantiles with the dims {show_dims(q.dims)} for an array with "
                f"{show_dims(a.dims)}.",
                "Name the axis of the quantiles apart.",
            ).at(user_line())
    positions = tuple(range(a.ndim)) if names is None else a._axes.positions(op, names, a)
    rest = [i for i in range(a.ndim) if i not in positions]
    out = apply(function, a.array, q.array, axis=positions, method=method)
    layout = a._axes.keep(rest)
    known = {**q._axes.coords, **layout.coords}
    layout = axes((*q.dims, *layout.dims), known, beside=layout.beside)
    return bare(out, layout if one is None else layout.with_beside(quantile=single(one)))


def _cumulated(a: Any, op: str, function: Callable[..., Any], name: Any) -> Any:
    """Unlike `jnp.cumsum`, which wraps uint8 at 256, in the dtype that `jnp.sum` has."""
    if not is_value(a.array) and np.dtype(a.dtype).kind in "iu":
        a = a.astype(jax.eval_shape(jnp.sum, jax.ShapeDtypeStruct((), a.dtype)).dtype)
    return along(a, op, function, only_name(a, op, name))


def _cummax(x: Any, axis: int) -> Any:
    return lax.cummax(x, axis)


def _cummin(x: Any, axis: int) -> Any:
    return lax.cummin(x, axis)


def _cumlogsumexp(x: Any, axis: int) -> Any:
    return lax.cumlogsumexp(x, axis)
