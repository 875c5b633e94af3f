"""Direct solution and determinants of sparse matrices, by LU factors on the host.

Arrays have one leading axis, as `host_primitive` says: data (1 or batch, nse), places
(1 or batch, nse, 2), right-hand sides (1 or batch, n, columns).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.interpreters import ad

from sciquax._storage.host_primitive import host_primitive, length
from sciquax.core.internal import ShapedArray

from .factor_cache import Definite, Incomplete, factors

Kind = Incomplete | Definite | None
"""Of factors: of any matrix, unless it says otherwise."""

_COLUMNS = 64
"""Of the inverse that are computed at a time, for the derivative of a determinant."""


def at(x: Any, i: int) -> Any:
    """Of a batch, or the one that serves all of it."""
    return x[i if x.shape[0] > 1 else 0]


# -- systems --------------------------------------------------------------------------------------


def _solve_avals(data: Any, places: Any, b: Any, **params: Any) -> list[Any]:
    return [ShapedArray((length(data, places, b), *b.shape[1:]), b.dtype)]


def _solve_on_host(
    data: Any, places: Any, b: Any, *, transposed: bool, incomplete: Kind
) -> list[Any]:
    """One factorisation for each matrix; one solution for all right-hand sides of one matrix."""
    n, count = b.shape[1], length(data, places, b)
    if data.shape[0] == places.shape[0] == 1:
        each = b.shape[2]
        columns = np.moveaxis(b, 0, 1).reshape(n, count * each)
        x = factors(n, places[0], data[0], incomplete).solve(columns, transposed)
        return [np.ascontiguousarray(np.moveaxis(x.reshape(n, count, each), 1, 0), b.dtype)]
    out = np.empty((count, *b.shape[1:]), b.dtype)
    for i in range(count):
        lu = factors(n, at(places, i), at(data, i), incomplete)
        out[i] = lu.solve(at(b, i), transposed)
    return [out]


solve_p = host_primitive("sparse_solve", _solve_avals, _solve_on_host)


def solve(
    data: Any,
    places: Any,
    b: Any,
    transposed: bool = False,
    incomplete: Kind = None,
) -> Any:
    """The solution of systems with a sparse matrix, or with its transpose.

    With incomplete factors an approximation, which has no derivatives by the elements.
    """
    if isinstance(incomplete, Incomplete):
        data = lax.stop_gradient(data)
    return solve_p.bind(data, places, b, transposed=transposed, incomplete=incomplete)[0]


def times(data: Any, places: Any, x: Any, transposed: bool = False) -> Any:
    """The product of a sparse matrix, or of its transpose, with columns of as many rows."""

    def one(data: Any, places: Any, x: Any) -> Any:
        rows, columns = (places[:, 1], places[:, 0]) if transposed else (places[:, 0], places[:, 1])
        terms = data[:, None] * x.at[columns].get(mode="fill", fill_value=0)
        return jnp.zeros(x.shape, terms.dtype).at[rows].add(terms, mode="drop")

    count = length(data, places, x)
    axes = [0 if a.shape[0] == count else None for a in (data, places, x)]
    given = [a if d == 0 else a[0] for a, d in zip((data, places, x), axes, strict=True)]
    return jax.vmap(one, in_axes=axes)(*given)


def _solve_jvp(primals: Any, tangents: Any, **params: Any) -> Any:
    data, places, b = primals
    d_data, _, d_b = tangents
    x = solve(data, places, b, **params)
    right = None if type(d_b) is ad.Zero else d_b
    if type(d_data) is not ad.Zero:
        change = times(d_data, places, x, params["transposed"])
        right = -change if right is None else right - change
    if right is None:
        return [x], [jnp.zeros_like(x)]
    return [x], [solve(data, places, right, **params)]


def _solve_transpose(
    cts: Any, data: Any, places: Any, b: Any, *, transposed: bool, incomplete: Any
) -> Any:
    (ct,) = cts
    if type(ct) is ad.Zero:
        return [None, None, ad.Zero(b.aval)]
    if b.aval.shape[0] < ct.shape[0] and data.shape[0] == places.shape[0] == 1:
        ct = jnp.sum(ct, 0, keepdims=True)
    out = solve(data, places, ct, not transposed, incomplete)
    if b.aval.shape[0] < out.shape[0]:
        out = jnp.sum(out, 0, keepdims=True)
    return [None, None, out]


ad.primitive_jvps[solve_p] = _solve_jvp
ad.primitive_transposes[solve_p] = _solve_transpose


# -- determinants ---------------------------------------------------------------------------------


def _slogdet_avals(data: Any, places: Any, *, n: int) -> list[Any]:
    shape, real = (length(data, places),), np.finfo(data.dtype).dtype
    return [ShapedArray(shape, data.dtype), ShapedArray(shape, real)]


def _slogdet_on_host(data: Any, places: Any, *, n: int) -> list[Any]:
    count = length(data, places)
    sign, log = np.zeros(count, data.dtype), np.full(count, -np.inf, np.finfo(data.dtype).dtype)
    for i in range(count):
        superlu = factors(n, at(places, i), at(data, i)).superlu
        if superlu is None:
            continue
        diagonal = superlu.U.diagonal()
        size = np.abs(diagonal)
        with np.errstate(divide="ignore"):
            log[i] = np.log(size.astype(np.float64)).sum()
        if size.all():
            parity = _parity(superlu.perm_r) * _parity(superlu.perm_c)
            sign[i] = parity * np.prod(diagonal / size)
    return [sign, log]


def _parity(order: np.ndarray) -> int:
    """The sign of a permutation: by the number of its cycles."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(order)
    links = coo_array((np.ones(n, np.int8), (np.arange(n), order)), shape=(n, n))
    cycles = connected_components(links, directed=False, return_labels=False)
    return -1 if (n - cycles) % 2 else 1


slogdet_p = host_primitive("sparse_slogdet", _slogdet_avals, _slogdet_on_host)


def inverse_at(data: Any, places: Any, n: int) -> Any:
    """The elements (j, i) of the inverse for each place (i, j): zero for padding."""
    count = length(data, places)
    columns = np.arange(-(-n // _COLUMNS) * _COLUMNS, dtype=np.int32).reshape(-1, _COLUMNS)
    rows, cols = places[..., 0], places[..., 1]

    def block(found: Any, numbers: Any) -> Any:
        unit = (jnp.arange(n)[:, None] == numbers).astype(data.dtype)
        x = solve(data, places, unit[None])
        at = rows - numbers[0]
        mine = (at >= 0) & (at < _COLUMNS) & (rows < n) & (cols < n)
        batch = jnp.arange(x.shape[0])[:, None]
        value = x[batch, jnp.minimum(cols, n - 1), jnp.clip(at, 0, _COLUMNS - 1)]
        return jnp.where(mine, value, found), None

    start = jnp.zeros((count, data.shape[1]), data.dtype)
    return lax.scan(block, start, jnp.asarray(columns))[0]


def _slogdet_jvp(primals: Any, tangents: Any, *, n: int) -> Any:
    """That of the logarithm is the trace of the inverse times the change: n solutions."""
    data, places = primals
    d_data, _ = tangents
    sign, log = slogdet_p.bind(data, places, n=n)
    if type(d_data) is ad.Zero:
        return [sign, log], [jnp.zeros_like(sign), jnp.zeros_like(log)]
    change = jnp.sum(inverse_at(data, places, n) * d_data, -1)
    if jnp.iscomplexobj(data):
        return [sign, log], [sign * (1j * change.imag).astype(sign.dtype), change.real]
    return [sign, log], [jnp.zeros_like(sign), change]


ad.primitive_jvps[slogdet_p] = _slogdet_jvp
