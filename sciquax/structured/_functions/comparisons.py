"""Whether all elements of two operands are alike: `allclose`, `array_equal`, `array_equiv`.

From the stored elements, where those of two matrices are in the same places; else from one row at a
time, O(n) memory.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from sciquax.core import register_rule

from .._arithmetic.layouts import stored
from .._matrix.matrix import StructuredMatrix
from .._matrix.operands import _is, _plain


def _for_all(alike: Callable[..., Any], operands: Sequence[Any]) -> Any:
    """Whether `alike(*arrays)` holds for all elements of the operands, or NotImplemented."""
    plain = _plain(operands)
    if plain is None or any(_is(x) and len(x.shape) < 2 for x in plain):
        return NotImplemented
    matrices = [x for x in plain if _is(x)]
    whole = matrices[0].shape
    if any(m.shape[-2:] != whole[-2:] for m in matrices):
        return NotImplemented
    if any(not _is(x) and np.shape(x) == whole for x in plain):  # as large as a dense matrix
        return alike(*[x.materialise() if _is(x) else x for x in plain])
    numbers = [_is(x) or np.size(x) == 1 for x in plain]
    found = stored(matrices) if all(numbers) else None
    if found is None:
        return _for_all_rows(alike, plain)
    rows, others = found
    given = iter(rows)
    numbers = [None if _is(x) else jnp.reshape(x, ()) for x in plain]
    out = alike(*[next(given) if x is None else x for x in numbers])
    if not others:
        return out
    zeros = iter([jnp.zeros((), m.dtype) for m in matrices])
    return out & alike(*[next(zeros) if x is None else x for x in numbers])


def _for_all_rows(alike: Callable[..., Any], operands: Sequence[Any]) -> Any:
    rows, columns = next(x.shape[-2:] for x in operands if _is(x))
    shape = jnp.broadcast_shapes(*map(np.shape, operands))
    place = np.arange(columns)
    if shape[-2:] != (rows, columns) or any(
        x.entries(np.zeros_like(place), place) is NotImplemented for x in operands if _is(x)
    ):
        return NotImplemented

    def row(x: Any, i: Any) -> Any:
        if _is(x):
            return x.entries(jnp.full(place.shape, i), place)
        x = jnp.asarray(x)
        return x if x.ndim < 2 else jnp.take(x, i if x.shape[-2] > 1 else 0, axis=-2)

    return jnp.all(lax.map(lambda i: alike(*[row(x, i) for x in operands]), jnp.arange(rows)))


def _allclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    numbers = _plain([rtol, atol])
    if numbers is None:
        return NotImplemented
    relative, absolute = numbers
    return _for_all(lambda x, y: jnp.allclose(x, y, relative, absolute, equal_nan), [a, b])


def _array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    if np.shape(a1) != np.shape(a2):
        return jnp.zeros((), bool)
    return _array_equiv(a1, a2) if not equal_nan else _for_all(_equal_or_nan, [a1, a2])


def _array_equiv(a1: Any, a2: Any) -> Any:
    try:
        jnp.broadcast_shapes(np.shape(a1), np.shape(a2))
    except ValueError:
        return jnp.zeros((), bool)
    return _for_all(lambda x, y: jnp.all(x == y), [a1, a2])


def _equal_or_nan(x: Any, y: Any) -> Any:
    return jnp.all((x == y) | (jnp.isnan(x) & jnp.isnan(y)))


register_rule(StructuredMatrix, jnp.allclose, _allclose)
register_rule(StructuredMatrix, "jax.numpy.array_equal", _array_equal)
register_rule(StructuredMatrix, "jax.numpy.array_equiv", _array_equiv)
