"""Reductions of windows, in a time that grows with the logarithm of their size.

Windows of 1, 2, 4, ... places are each made of two of half the size; those of any size are made of
these, as a number is of powers of two. A window is combined of its own elements alone: a nan or a
large number elsewhere does not show in it, as it would in differences of cumulative sums.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Places = tuple[tuple[int, int, int], ...]
"""The axis, the size and the places before its own of each window."""


def _total(a: Any, b: Any) -> Any:
    return (a[0] + b[0],)


def _product(a: Any, b: Any) -> Any:
    return (a[0] * b[0],)


def _either(a: Any, b: Any) -> Any:
    return (a[0] | b[0],)


def _largest(a: Any, b: Any) -> Any:
    return (jnp.maximum(a[0], b[0]),)


def _smallest(a: Any, b: Any) -> Any:
    return (jnp.minimum(a[0], b[0]),)


def _moments(a: Any, b: Any) -> Any:
    """Chan, Golub and LeVeque's formula: how many, their mean, their squared distances from it."""
    (n, mean, squares), (m, other, more) = a, b
    both = jnp.maximum(n + m, 1)
    apart = other - mean
    between = jnp.where(n * m > 0, jnp.square(jnp.abs(apart)) * (n * m / both), 0)
    return n + m, mean + apart * (m / both), squares + more + between


def _placed(a: Any, b: Any) -> Any:
    """The larger of two elements, its place, and whether it is one; the first of equal ones."""
    later = b[2] & (~a[2] | (b[0] > a[0]))
    return tuple(jnp.where(later, y, x) for x, y in zip(a, b, strict=True))


def _slid(parts: Any, start: Any, combine: Callable[[Any, Any], Any], places: Places) -> Any:
    """Each window's elements combined, in which `start` stands beyond the array."""
    for axis, size, before in places:
        parts = _along(parts, start, combine, axis, size, before)
    return parts


def _along(
    parts: Any, start: Any, combine: Callable[[Any, Any], Any], axis: int, size: int, before: int
) -> Any:  # fmt: skip
    n, bits = parts[0].shape[axis], size.bit_length()
    reach = 2 ** (bits - 1)

    def filled(x: Any, s: Any, front: int, back: int) -> Any:
        widths = [(front, back) if i == axis else (0, 0) for i in range(x.ndim)]
        return jnp.pad(x, widths, constant_values=s)

    def cut(xs: Any, at: Any, length: int) -> Any:
        return tuple(lax.dynamic_slice_in_dim(x, at, length, axis) for x in xs)

    def level(state: Any, k: Any) -> Any:
        # `power`: the windows of 2**k places from each place on; `out`: those of the bits so far.
        power, out, offset = state
        width = jnp.int32(1) << k
        longer = tuple(map(partial(filled, front=0, back=reach), power, start))
        wanted = (jnp.int32(size) >> k) & 1 == 1
        more = combine(out, cut(longer, offset, n))
        out = tuple(jnp.where(wanted, y, x) for x, y in zip(out, more, strict=True))
        offset = jnp.where(wanted, offset + width, offset)
        return (combine(power, cut(longer, width, n + size - 1)), out, offset), None

    power = tuple(map(partial(filled, front=before, back=size - 1 - before), parts, start))
    out = tuple(jnp.full_like(x, s) for x, s in zip(parts, start, strict=True))
    state = (power, out, jnp.int32(0))
    return lax.scan(level, state, jnp.arange(bits, dtype=jnp.int32))[0][1]


def _extreme(x: Any, valid: Any, kind: str, places: Places) -> Any:
    worst, combine = (-jnp.inf, _largest) if kind == "max" else (jnp.inf, _smallest)
    return _slid((jnp.where(valid, x, worst),), (worst,), combine, places)[0]


def _place(x: Any, valid: Any, kind: str, places: Places) -> Any:
    """The place within each window of its extreme, as floating point."""
    ((axis, _, before),) = places
    own = lax.broadcasted_iota(jnp.int32, x.shape, axis)
    parts = (x if kind == "argmax" else -x, own, valid)
    found = _slid(parts, (0, 0, False), _placed, places)[1]
    return (found - own + before).astype(x.dtype)


def _spread(x: Any, valid: Any, kind: str, places: Places, ddof: int) -> Any:
    real = jnp.finfo(x.dtype).dtype
    known = valid.astype(real)
    parts = (known, jnp.where(valid, x, 0), jnp.zeros(x.shape, real))
    n, _, squares = _slid(parts, (0, 0, 0), _moments, places)
    out = squares / jnp.where(n > ddof, n - ddof, jnp.nan)
    return jnp.sqrt(out) if kind == "std" else out


@partial(jax.jit, static_argnames=("kind", "places", "least", "ddof"))
def sliding(x: Any, kind: str, places: Places, least: int | None, ddof: int = 0) -> Any:
    """A reduction of each place's window, nan where it is not whole.

    **Arguments**: floating point; "sum", "mean", "std", ...; the windows; how many elements that
    are no nan suffice, where these are left out (None: windows are whole, and a nan counts).
    """
    skip = least is not None
    valid = ~jnp.isnan(x)
    held = valid if skip else jnp.ones(x.shape, bool)
    if kind in ("sum", "mean"):
        out = _slid((jnp.where(held, x, 0),), (0,), _total, places)[0]
    elif kind == "prod":
        out = _slid((jnp.where(held, x, 1),), (1,), _product, places)[0]
    elif kind in ("max", "min"):
        out = _extreme(x, held, kind, places)
    elif kind in ("std", "var"):
        out = _spread(x, held, kind, places, ddof)
    else:
        out = _place(x, valid, kind, places)
    if not skip:
        if kind == "mean":
            out = out / math.prod(size for _, size, _ in places)
        if kind in ("argmax", "argmin"):
            gap = _slid((~valid,), (False,), _either, places)[0]
            out = jnp.where(gap, jnp.nan, out)
        return jnp.where(whole(x.shape, places), out, jnp.nan)
    count = counted(valid, places)
    if kind == "mean":
        out = out / jnp.maximum(count, 1).astype(jnp.finfo(x.dtype).dtype)
    return jnp.where(count >= least, out, jnp.nan)


def counted(valid: Any, places: Places) -> Any:
    """How many elements of each place's window are valid."""
    return _slid((valid.astype(jnp.int32),), (0,), _total, places)[0]


def whole(shape: Sequence[int], places: Places) -> np.ndarray:
    """Whether the window of each place is within the array."""
    out = np.ones(shape, bool)
    for axis, size, before in places:
        n = shape[axis]
        inside = np.zeros(n, bool)
        inside[before : before + n - size + 1] = True
        out &= inside.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return out
