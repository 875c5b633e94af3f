"""Histograms: the edges measure what the data do, counts carry the weights' unit."""

from typing import Any

import jax.numpy as jnp

from .._quantity.arithmetic import multiplicative, unify
from .._quantity.base import magnitude_of, own_unit, wrap
from .._unit.unit import InternedUnit, difference_unit, dimensionless
from .signature import call, enrol, rule

enrol(
    "jax.numpy",
    "histogram_bin_edges",
    "a:a, bins:a, range:a, weights:* -> a",
    counts=("bins",),
    affine=True,
)


def _coordinate(name: str, data: Any, bins: Any, limits: Any) -> tuple[Any, Any, Any, InternedUnit]:
    """One axis of a histogram: data, bins and limits in one unit, and that unit."""
    operands = [data]
    has_edges = bins is not None and jnp.ndim(magnitude_of(bins)) > 0 and not isinstance(bins, str)
    if has_edges:
        operands += list(bins) if isinstance(bins, (tuple, list)) else [bins]
    n_edges = len(operands) - 1
    if limits is not None:
        low, high = limits
        operands += [low, high]
    magnitudes, unit = unify(name, operands)
    if has_edges:
        edges = magnitudes[1 : 1 + n_edges]
        bins = jnp.asarray(edges) if isinstance(bins, (tuple, list)) else edges[0]
    if limits is not None:
        limits = tuple(magnitudes[-2:])
    return magnitudes[0], bins, limits, unit


def _counts(units: list[InternedUnit], weights: Any, density: Any) -> InternedUnit:
    """The weights' unit; a density has their share per cell."""
    if not density:
        return dimensionless() if weights is None else multiplicative("weights", own_unit(weights))
    unit = dimensionless()
    for own in units:
        unit = unit if own.unitless else unit / difference_unit(own)
    return unit


@rule("jax.numpy.histogram")
def _histogram(
    a: Any, bins: Any = 10, range: Any = None, weights: Any = None, density: Any = None
) -> Any:
    data, bins, limits, unit = _coordinate("histogram", a, bins, range)
    counts, edges = call(
        jnp.histogram,
        data,
        bins=bins,
        range=limits,
        weights=None if weights is None else magnitude_of(weights),
        density=density,
    )
    return wrap(counts, _counts([unit], weights, density)), wrap(edges, unit)


def _several(name: str, columns: list[Any], bins: Any, ranges: Any) -> Any:
    n = len(columns)
    own_bins = isinstance(bins, (tuple, list)) and len(bins) == n
    each_bins = list(bins) if own_bins else [bins] * n
    each_range = list(ranges) if ranges is not None else [None] * n
    parts = [_coordinate(name, *x) for x in zip(columns, each_bins, each_range, strict=True)]
    data, new_bins, limits, units = map(list, zip(*parts, strict=True))
    if not own_bins and jnp.ndim(new_bins[0]) == 0:
        new_bins = bins
    return data, new_bins, None if ranges is None else limits, units


@rule("jax.numpy.histogram2d")
def _histogram2d(
    x: Any, y: Any, bins: Any = 10, range: Any = None, weights: Any = None, density: Any = None
) -> Any:
    (x, y), bins, limits, units = _several("histogram2d", [x, y], bins, range)
    counts, *edges = call(
        jnp.histogram2d,
        x,
        y,
        bins=bins,
        range=limits,
        weights=None if weights is None else magnitude_of(weights),
        density=density,
    )
    edges = [wrap(e, u) for e, u in zip(edges, units, strict=True)]
    return (wrap(counts, _counts(units, weights, density)), *edges)


@rule("jax.numpy.histogramdd")
def _histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, weights: Any = None, density: Any = None
) -> Any:
    unit, rows = own_unit(sample), magnitude_of(sample)
    columns = [wrap(column, unit) for column in rows.T]
    data, bins, limits, units = _several("histogramdd", columns, bins, range)
    counts, edges = call(
        jnp.histogramdd,
        jnp.stack(data, axis=-1),
        bins=bins,
        range=limits,
        weights=None if weights is None else magnitude_of(weights),
        density=density,
    )
    edges = [wrap(e, u) for e, u in zip(edges, units, strict=True)]
    return wrap(counts, _counts(units, weights, density)), edges
