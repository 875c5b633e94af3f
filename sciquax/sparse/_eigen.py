"""Some eigenvalues and eigenvectors of a Hermitian sparse matrix, by SciPy's Lanczos iteration.

On the host, in 64 bits. Arrays have one leading axis, as `host_primitive` says.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import ad

from sciquax._storage.host_primitive import host_primitive, length
from sciquax.core import RuleError, describe, register_rule
from sciquax.core.internal import ShapedArray

from ._array import BCOO
from ._host import direct
from ._host.factor_cache import matrix_of
from ._indices import data_of

_DENSE = 48
"""Matrices up to this size have all their eigenvalues computed."""
_ENDS = ("LM", "SM", "LA", "SA")


@functools.partial(jax.jit, static_argnames=("k", "which"))
def eigsh(a: Any, k: int = 6, *, which: str = "LM", sigma: Any = None) -> Any:
    """Some eigenvalues, ascending, and eigenvectors of a sparse matrix that is Hermitian.

    To be called within a quaxified function, or itself quaxified. SciPy's `eigsh` computes them on
    the host, in 64 bits. Of a matrix that is not Hermitian the Hermitian part counts, as for
    `jnp.linalg.eigh`.

    **Arguments**: the matrix; how many; `which`: the largest or smallest ones, `"LA"`, `"SA"`, or
    those of the largest or smallest size, `"LM"`, `"SM"`. With `sigma` those closest to it, by a
    factorisation: for the smallest ones of a Laplacian `sigma=0` is quicker than `"SA"`.

    **Returns** the eigenvalues, of shape `(k,)`, and the eigenvectors, `(n, k)`, of length one,
    each up to its sign; nan where the iteration does not converge. Derivatives by the elements take
    one factorisation for each; those of multiple eigenvalues' vectors are nan.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.sparse import BCOO, eigsh
    >>> A = BCOO.from_dense(jnp.diag(jnp.array([3.0, 1.0, 2.0])))
    >>> values, vectors = quaxify(eigsh)(A, 2, which="SA")
    >>> values.round(4), abs(vectors[:, 0]).round(4)
    (Array([1., 2.], dtype=float32), Array([0., 1., 0.], dtype=float32))

    ```
    """
    values, vectors = jnp.linalg.eigh(a)
    chosen = jnp.sort(_ranked(jnp, values, which, sigma)[:k])
    return values[chosen], vectors[:, chosen]


def _ranked(xp: Any, values: Any, which: str, sigma: Any) -> Any:
    """The numbers of ascending eigenvalues, the wanted ones first."""
    if sigma is not None:
        return xp.argsort(xp.abs(values - sigma))
    keys = {"SA": values, "LA": -values, "SM": xp.abs(values), "LM": -xp.abs(values)}
    return xp.argsort(keys[which])


def _eigsh(a: Any, k: int = 6, *, which: str = "LM", sigma: Any = None) -> Any:
    shape = a.aval().shape
    if len(shape) != 2 or shape[0] != shape[1] or a.n_batch:
        raise RuleError(f"`eigsh` takes a square matrix, not {describe(a)}.")
    if which not in _ENDS or not 0 < k <= shape[0]:
        raise ValueError(
            f"`eigsh` gives 1 to {shape[0]} eigenvalues of {describe(a)}, `which` of "
            f"{', '.join(_ENDS)}; got k={k} and which={which!r}."
        )
    data = data_of(a)
    dtype = jnp.promote_types(data.dtype, jnp.float32)
    data = data.astype(dtype) / 2
    data = jnp.concatenate([data, jnp.conj(data)])
    places = jnp.concatenate([a.indices, a.indices[:, ::-1]])
    options = {"n": shape[0], "k": int(k), "which": which, "shifted": sigma is not None}
    near = jnp.asarray(0 if sigma is None else sigma, np.finfo(dtype).dtype)
    values, vectors = eigsh_p.bind(data[None], places[None], near[None], **options)
    return values[0], vectors[0]


def _avals(data: Any, places: Any, near: Any, *, n: int, k: int, **options: Any) -> list[Any]:
    count, real = length(data, places, near), np.finfo(data.dtype).dtype
    return [ShapedArray((count, k), real), ShapedArray((count, n, k), data.dtype)]


def _on_host(
    data: Any, places: Any, near: Any, *, n: int, k: int, which: str, shifted: bool
) -> list[Any]:
    count = length(data, places, near)
    values = np.empty((count, k), np.finfo(data.dtype).dtype)
    vectors = np.empty((count, n, k), data.dtype)
    for i in range(count):
        elements = direct.at(data, i).astype(np.result_type(data.dtype, np.float64))
        sigma = float(direct.at(near, i)) if shifted else None
        found = _pairs(matrix_of(n, direct.at(places, i), elements), k, which, sigma)
        order = np.argsort(found[0])
        values[i], vectors[i] = found[0][order], found[1][:, order]
    return [values, vectors]


def _pairs(mat: Any, k: int, which: str, sigma: Any) -> tuple[Any, Any]:
    from scipy.sparse.linalg import ArpackNoConvergence, eigsh

    n = mat.shape[0]
    if not np.isfinite(mat.data).all():
        return np.full(k, np.nan), np.full((n, k), np.nan)
    if n <= _DENSE or k >= n // 2:
        values, vectors = np.linalg.eigh(mat.toarray())
        chosen = _ranked(np, values, which, sigma)[:k]
        return values[chosen], vectors[:, chosen]
    start = np.random.default_rng(0).normal(size=n)
    options = {"which": "LM" if sigma is not None else which, "sigma": sigma, "v0": start}
    try:
        values, vectors = eigsh(mat, k, return_eigenvectors=True, **options)
        return values, vectors
    except ArpackNoConvergence:
        return np.full(k, np.nan), np.full((n, k), np.nan)


eigsh_p = host_primitive("sparse_eigsh", _avals, _on_host)


def _jvp(primals: Any, tangents: Any, *, n: int, **options: Any) -> Any:
    """v^H dA v; and by systems bordered with the eigenvectors, which fix their lengths.

    [[A - lambda, v], [v^H, 0]] [dv, m] = [-dA v, 0], where m = -dlambda.
    """
    data, places, near = primals
    values, vectors = eigsh_p.bind(data, places, near, n=n, **options)
    if type(tangents[0]) is ad.Zero:
        return [values, vectors], [jnp.zeros_like(values), jnp.zeros_like(vectors)]
    change = direct.times(tangents[0], places, vectors)  # (count, n, k)
    count, k = values.shape
    each = jnp.swapaxes(vectors, -1, -2)  # (count, k, n)
    i = jnp.arange(n, dtype=places.dtype)
    border = [
        jnp.stack(x, -1) for x in ((i, i), (i, jnp.full_like(i, n)), (jnp.full_like(i, n), i))
    ]
    inside = (places < n).all(-1, keepdims=True)
    places = jnp.where(inside, places, n + 1)  # padding stays outside
    shape = (count, k, -1)
    whole = jnp.concatenate(
        [
            jnp.broadcast_to(data[:, None], (count, k, data.shape[-1])),
            jnp.broadcast_to(-values[..., None], each.shape).astype(data.dtype),
            each,
            jnp.conj(each),
        ],
        -1,
    ).reshape(count * k, -1)
    border = jnp.broadcast_to(jnp.concatenate(border), (places.shape[0], 3 * n, 2))
    places = jnp.concatenate([places, border], 1)
    if places.shape[0] > 1:
        places = jnp.repeat(places, k, 0)
    right = jnp.pad(-jnp.swapaxes(change, -1, -2), [(0, 0), (0, 0), (0, 1)])
    found = direct.solve(whole, places, right.reshape(count * k, n + 1, 1)).reshape(shape)
    slopes = jnp.sum(jnp.conj(vectors) * change, 1).real  # without a factorisation
    return [values, vectors], [slopes, jnp.swapaxes(found[..., :n], -1, -2)]


ad.primitive_jvps[eigsh_p] = _jvp
register_rule(BCOO, eigsh, _eigsh)
