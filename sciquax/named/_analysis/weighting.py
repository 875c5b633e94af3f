"""Weighted reductions: `a.weighted(w).mean("x")`."""

from typing import Any

import jax.numpy as jnp

from sciquax.core.internal import taken_apart

from .._array.base import as_named, bare
from .._array.coordinates import meet
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
        """The sum of the weights of elements that are no nan; nan where there are none."""
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
