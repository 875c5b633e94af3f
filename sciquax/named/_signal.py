"""Signals along a name: convolution and power spectra."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core import is_value, user_line
from sciquax.core.internal import taken_apart, takes_values_apart

from ._array.axes import name_of
from ._array.base import as_named, bare
from ._array.errors import AxisError, AxisSizeError, CoordinateError
from ._labels.distances import coordinate_along, frequencies_of, from_first, inexact, measured
from ._mapping import cmap


def convolve(a: Any, kernel: Any, name: Any, mode: str = "full") -> Any:
    """The convolution of two arrays along a name that both have; other names align.

    **Arguments**: the array, the kernel, the name, and `mode`, "full", "same" or "valid" as of
    `jnp.convolve`. Only "same" keeps coordinates along the name: those of the array.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import named
    >>> kernel = named.NamedArray(jnp.array([1.0, -1.0]), "t")
    >>> named.convolve(named.arange("t", 4, dtype=float) ** 2, kernel, "t", "valid").array.tolist()
    [1.0, 3.0, 5.0]

    ```
    """
    a, kernel = as_named(a, "convolve"), as_named(kernel, "convolve")
    n = a.dims[a._axes.position("convolve", name, a)]
    kernel._axes.position("convolve", n)
    if mode not in ("full", "same", "valid"):
        raise AxisError(f"`convolve` got mode={mode!r}.", "It is 'full', 'same' or 'valid'.").at(
            user_line()
        )
    if not a.sizes[n] >= kernel.sizes[n] > 0:
        raise AxisSizeError(
            f"`convolve` got a kernel of {kernel.sizes[n]} for {a.sizes[n]} places along {n!r}.",
            "The kernel is the shorter of the two, and not empty.",
        ).at(user_line())
    out = cmap(lambda x, y: jnp.convolve(x, y, mode=mode))(a.untag(n), kernel.untag(n)).tag(n)
    out = out.transpose(*a.dims, ...)
    if mode == "same" and n in a._axes.coords:
        return bare(out.array, out._axes.with_coord(n, a._axes.coords[n]))
    return out


@takes_values_apart
def welch(
    a: Any, name: Any, nperseg: int = 256, noverlap: int | None = None, window: Any = "hann",
    detrend: Any = "constant", scaling: str = "density", into: Any = "frequency",
) -> Any:  # fmt: skip
    """The power spectrum along a name by Welch's method, as of `jax.scipy.signal.welch`.

    **Arguments**: an array with evenly spaced coordinates along the name; the other arguments are
    SciPy's. The name becomes `into`, whose coordinates are the frequencies.

    **Returns** the spectral density, in the array's unit squared per frequency; with
    `scaling="spectrum"` the spectrum, in its unit squared.

    **Raises** `CoordinateError` for coordinates that are not evenly spaced.
    """
    a = inexact(as_named(a, "welch"))
    n, known = coordinate_along(a, "welch", name, 2)
    axis, length = a._axes.place[n], min(nperseg, a.sizes[n])
    frequencies = frequencies_of("rfft", a, axis, length)
    if frequencies is None:
        raise CoordinateError(
            f"`welch` needs numbers as coordinates along {n!r}, evenly spaced.",
            "Use `interp` first; for dates, the seconds since the first.",
        ).at(user_line())
    step = measured(a, known, np.asarray(np.diff(from_first(known))[0]), None)
    leaves, tree = taken_apart(a.array)
    if len(leaves) != 1:
        raise AxisError(f"`welch` cannot take a {type(a.array).__name__}.").at(user_line())
    _, power = jax.scipy.signal.welch(
        leaves[0], 1.0, window, length, noverlap, detrend=detrend, scaling=scaling, axis=axis
    )
    if is_value(a.array):
        one = jtu.tree_unflatten(tree, [jnp.ones((), a.dtype)])
        difference = taken_apart(one - one)[1]
        one = jtu.tree_unflatten(difference, [jnp.ones((), a.dtype)])
        power = power * one * one
    if scaling == "density":
        power = power * step
    layout = a._axes.without(n)
    dims = tuple(name_of(into) if d == n else d for d in a.dims)
    return bare(power, layout.with_dims(dims).with_coord(name_of(into), frequencies))
