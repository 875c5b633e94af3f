"""Weighted reductions: `a.weighted(w).mean("x")`."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sciquax.core import user_line
from sciquax.core.internal import taken_apart

from .._array.axes import axes
from .._array.base import as_named, bare
from .._array.coordinates import Coordinate, meet, single
from .._array.errors import AxisError
from .._by_name.call_jax import apply
from .._by_name.weights import weighted_mean
from .._labels.distances import inexact, with_leaf


class Weighted:
    """`a.weighted(w)`: reductions in which elements count by their weights.

    Nans are left out, with their weights, as in xarray; `skipna=False` keeps them. Weights may lack
    names of the array's.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.named import NamedArray
    >>> a = NamedArray(jnp.array([1.0, 4.0, jnp.nan]), ("x",))
    >>> w = NamedArray(jnp.array([1.0, 2.0, 5.0]), ("x",))
    >>> float(a.weighted(w).mean("x"))
    3.0

    ```
    """

    def __init__(self, a: Any, weights: Any):
        weights = inexact(as_named(weights, "weighted"))
        for name in weights.dims:
            a._axes.position("weighted", name)
        self._array, self._weights = inexact(a), weights
        meet("weighted", a._axes.coords, weights._axes.coords)

    def mean(self, names: Any = None, *, skipna: bool = True) -> Any:
        """sum(weights * a) / sum(weights)."""
        return weighted_mean(self._array, "weighted", self._weights, names, skipna)

    def _counted(self, skipna: bool) -> tuple[Any, Any]:
        """The array with zeros, and its weights, zero, where an element does not count."""
        a = self._array
        weights = self._weights.broadcast_like(a).transpose(*a.dims)
        valid = ~jnp.isnan(taken_apart(a.array)[0][0])
        weights = bare(with_leaf(weights, lambda w: jnp.where(valid, w, 0)), weights._axes)
        if skipna:
            a = bare(with_leaf(a, lambda x: jnp.where(valid, x, 0)), a._axes)
        return a, weights

    def sum(self, names: Any = None, *, skipna: bool = True) -> Any:
        """sum(weights * a)."""
        a, weights = self._counted(skipna)
        return (a * weights).sum(names)

    def sum_of_weights(self, names: Any = None) -> Any:
        """The sum of the weights of elements that are not nan; nan where there are none."""
        total = self._counted(True)[1].sum(names)
        return bare(with_leaf(total, lambda w: jnp.where(w == 0, jnp.nan, w)), total._axes)

    def sum_of_squares(self, names: Any = None, *, skipna: bool = True) -> Any:
        """sum(weights * (a - mean)**2)."""
        apart = self._array - self.mean(names, skipna=skipna).broadcast_like(self._array)
        apart = Weighted(apart.transpose(*self._array.dims), self._weights)._counted(skipna)
        return (apart[0] * apart[0] * apart[1]).sum(names)

    def var(self, names: Any = None, *, skipna: bool = True) -> Any:
        """The weighted mean of the squared distance from the weighted mean."""
        return self.sum_of_squares(names, skipna=skipna) / self.sum_of_weights(names)

    def std(self, names: Any = None, *, skipna: bool = True) -> Any:
        """The square root of `var`."""
        out = self.var(names, skipna=skipna)
        return bare(apply(jnp.sqrt, out.array), out._axes)

    def quantile(self, q: Any, names: Any = None, *, skipna: bool = True) -> Any:
        """Quantiles in which elements count by their weights, as xarray's.

        Type 7 of Hyndman and Fan, of as many elements as the weights are worth,
        (sum w)^2 / sum w^2: A. Akinshin, "Weighted quantile estimators", arXiv:2304.07265. Equal
        weights give what `quantile` does. `q` is a number, or several along the new leading axis
        `quantile`.
        """
        a = self._array
        over = range(a.ndim) if names is None else a._axes.positions("quantile", names, a)
        rest = [i for i in range(a.ndim) if i not in over]
        given = np.asarray(q, float)
        if given.ndim > 1 or not ((given >= 0) & (given <= 1)).all():
            raise AxisError(
                f"`quantile` got {q!r}.", "It takes a number from 0 to 1, or a list of such."
            ).at(user_line())
        weights = self._weights.broadcast_like(a).transpose(*a.dims)
        share = taken_apart(apply(jnp.true_divide, weights.array, apply(jnp.max, weights.array)))
        count = int(np.prod([a.shape[i] for i in over]))

        def quantiles(x: Any) -> Any:
            x, w = (
                jnp.transpose(y, (*rest, *over)).reshape(*(a.shape[i] for i in rest), count)
                for y in (x, share[0][0])
            )
            return _quantiles(x, w, jnp.asarray(given.ravel(), x.dtype), skipna)

        layout = a._axes.keep(rest)
        out = with_leaf(a, quantiles)
        if not given.ndim:
            return bare(out[0], layout.with_beside(quantile=single(given)))
        coords = {**layout.coords, "quantile": Coordinate(given)}
        return bare(out, axes(("quantile", *layout.dims), coords, beside=layout.beside))


@partial(jax.jit, static_argnames="skipna")
def _quantiles(x: Any, weights: Any, q: Any, skipna: bool) -> Any:
    """Weighted quantiles over the last axis, along a new first one."""
    missing = jnp.isnan(x)
    weights = jnp.where(jnp.isnan(x), 0, weights)
    order = jnp.argsort(x, axis=-1)
    x, weights = (jnp.take_along_axis(y, order, -1) for y in (x, weights))
    total = weights.sum(-1, keepdims=True)
    worth = total**2 / (weights**2).sum(-1, keepdims=True)
    upto = jnp.cumsum(weights, -1) / total
    upto = jnp.concatenate([jnp.zeros_like(upto[..., :1]), upto], -1)
    gone = missing.any(-1) & (not skipna) | (total[..., 0] == 0)

    def at(one: Any) -> Any:
        place = (worth - 1) * one + 1
        within = jnp.clip(upto, (place - 1) / worth, place / worth)
        counts = jnp.diff(within * worth - place + 1, axis=-1)
        return jnp.where(gone, jnp.nan, jnp.where(counts == 0, 0, counts * x).sum(-1))

    return jax.vmap(at)(q)
