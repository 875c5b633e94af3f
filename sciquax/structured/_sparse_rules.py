"""What primitives do to a `BCOO`: JAX's sparse kernels where they are good, others written here."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import sparse as jsparse

from sciquax.core import (
    RuleError,
    Scaling,
    aval_of,
    describe,
    facts_of,
    is_value,
    register_family,
    register_function,
    strip,
)
from sciquax.core._compat import Tracer

from ._rows import matmul
from ._sparse import BCOO, wrap

Params = dict[str, Any]
Operands = Sequence[Any]


def _array(x: Any) -> Any:
    """A plain array of an operand: stored ones, such as quantised, are read."""
    return x.materialise() if is_value(x) else x


def _foreign(*operands: Any) -> bool:
    """Whether a value is among them that must not be made dense here, such as a banded matrix."""
    return any(
        is_value(x) and not isinstance(x, BCOO) and type(x).layer > BCOO.layer for x in operands
    )


def _data(x: BCOO) -> Any:
    return _array(x.data)


def unique(x: BCOO) -> BCOO:
    """With duplicates added up, so that a function may be applied to each element."""
    if x.unique_indices or x.nse <= 1:
        return x
    return wrap(jsparse.bcoo_sum_duplicates(x.to_jax(), nse=x.nse), x)


def _number(x: Any) -> Any:
    """A number that stands in the program, or None."""
    if isinstance(x, (bool, int, float, complex)):
        return x
    if isinstance(x, (np.ndarray, np.generic)) and x.ndim == 0:
        return x.item()
    return None


# -- elementwise ----------------------------------------------------------------------------------

_LINEAR = {
    "neg", "real", "imag", "conj", "copy", "copy_p", "stop_gradient", "reduce_precision", "name",
    "sharding_constraint", "nonbatchable",
}  # fmt: skip


def _unary(primitive: Any, operands: Operands, params: Params) -> Any:
    """f(0) = 0: the stored elements alone."""
    if len(operands) != 1 or not facts_of(primitive).zero:
        return NotImplemented
    (x,) = operands
    linear = primitive.name in _LINEAR or (
        primitive.name == "convert_element_type"
        and jnp.issubdtype(params["new_dtype"], jnp.inexact)
    )
    x = x if linear else unique(x)
    return x.with_payload(primitive.bind(_data(x), **params))


def _sign(primitive: Any, operands: Operands, params: Params) -> Any:
    if primitive.name != "sign":
        return NotImplemented
    x = unique(operands[0])
    return x.with_payload(primitive.bind(_data(x), **params))


def _integer_pow(primitive: Any, operands: Operands, params: Params) -> Any:
    if params["y"] <= 0:
        return NotImplemented
    return _sign_like(primitive, operands[0], params)


def _sign_like(primitive: Any, x: BCOO, params: Params) -> BCOO:
    x = unique(x)
    return x.with_payload(primitive.bind(_data(x), **params))


def _pow(primitive: Any, operands: Operands, params: Params) -> Any:
    x, exponent = map(strip, operands)
    number = _number(exponent)
    if not isinstance(x, BCOO) or number is None or not number > 0:
        return NotImplemented
    x = unique(x)
    return x.with_payload(primitive.bind(_data(x), exponent, **params))


def _extremum(primitive: Any, operands: Operands, params: Params) -> Any:
    """With a literal 0, as in `relu`."""
    x, y = map(strip, operands)
    mat, other = (x, y) if isinstance(x, BCOO) else (y, x)
    if _number(other) != 0:
        return NotImplemented
    mat = unique(mat)
    return mat.with_payload(primitive.bind(_data(mat), other, **params))


def _at(array: Any, mat: BCOO, fill: int) -> Any:
    """Elements of an array, of `mat`'s shape or of length one along axes, at its places."""
    shape = aval_of(array).shape
    if shape == ():
        return array

    def one(array: Any, indices: Any) -> Any:
        places = tuple(
            indices[:, d] if n != 1 else jnp.zeros_like(indices[:, d])
            for d, n in enumerate(array.shape)
        )
        return array.at[places].get(mode="fill", fill_value=fill)

    for d in reversed(range(mat.n_batch)):
        one = jax.vmap(one, in_axes=(None if shape[d] == 1 else 0, 0))
        array = lax.squeeze(array, [d]) if shape[d] == 1 else array
    return one(array, mat.indices)


def _fits(array: Any, mat: BCOO) -> bool:
    own, shape = aval_of(array).shape, mat.aval().shape
    return own == () or (
        len(own) == len(shape) and all(m in (1, n) for m, n in zip(own, shape, strict=True))
    )


def _mul(primitive: Any, operands: Operands, params: Params) -> Any:
    """The stored elements, times what stands at their places."""
    x, y = map(strip, operands)
    if _foreign(x, y):
        return NotImplemented
    if isinstance(x, BCOO) and isinstance(y, BCOO):
        return _mul_sparse(primitive, x, y, params)
    mat, other = (x, y) if isinstance(x, BCOO) else (y, x)
    other = _array(other)
    if not _fits(other, mat):
        return NotImplemented
    factor = _at(other, mat, 0)
    pair = (_data(mat), factor) if mat is x else (factor, _data(mat))
    return mat.with_payload(primitive.bind(*pair, **params))


def _div(primitive: Any, operands: Operands, params: Params) -> Any:
    """A sparse numerator; what a zero that is not stored is divided by is not looked at."""
    x, y = map(strip, operands)
    if _foreign(x, y):
        return NotImplemented
    if isinstance(y, BCOO):
        return NotImplemented
    y = _array(y)
    number = _number(y)
    if not _fits(y, x) or (number is not None and (number == 0 or number != number)):
        return NotImplemented
    return x.with_payload(primitive.bind(_data(x), _at(y, x, 1), **params))


def _mul_sparse(primitive: Any, x: BCOO, y: BCOO, params: Params) -> Any:
    """Where both are stored: by sorting the places of both together."""
    if x.indices is y.indices and x.unique_indices:
        return x.with_payload(primitive.bind(_data(x), _data(y), **params))
    same = x is y or (x.indices is y.indices and x.data is y.data)
    x = unique(x)
    if same:
        return x.with_payload(primitive.bind(_data(x), _data(x), **params))
    y = unique(y)
    shape = x.aval().shape
    if shape != y.aval().shape:
        return NotImplemented

    def one(xd: Any, xi: Any, yd: Any, yi: Any) -> Any:
        places = jnp.concatenate([xi, yi.astype(xi.dtype)])
        which = jnp.concatenate([jnp.zeros(len(xi), jnp.int32), jnp.ones(len(yi), jnp.int32)])
        order = jnp.lexsort((which, *places.T[::-1]))
        places, data = places[order], jnp.concatenate([xd, yd])[order]
        which = which[order]
        both = (places[1:] == places[:-1]).all(axis=1) & (which[1:] != which[:-1])
        product = jnp.where(both, primitive.bind(data[:-1], data[1:], **params), 0)
        first = jnp.argsort(~both, stable=True)[: min(len(xi), len(yi))]
        outside = jnp.asarray(x.sparse_shape, places.dtype)
        places = jnp.where(both[:, None], places[:-1], outside)
        return product[first], places[first]

    for _ in range(x.n_batch):
        one = jax.vmap(one)
    data, indices = one(_data(x), x.indices, _data(y), y.indices)
    return wrap(jsparse.BCOO((data, indices), shape=shape, unique_indices=True), x)


def _add(primitive: Any, operands: Operands, params: Params) -> Any:
    """Two sparse arrays' elements side by side; with a dense array of the same shape, dense."""
    x, y = map(strip, operands)
    if _foreign(x, y):
        return NotImplemented
    if isinstance(x, BCOO) and isinstance(y, BCOO):
        if x.aval().shape != y.aval().shape or x.n_batch != y.n_batch:
            return NotImplemented
        if x.indices is y.indices:
            return x.with_payload(primitive.bind(_data(x), _data(y), **params))
        other = -_data(y) if primitive.name == "sub" else _data(y)
        n = x.n_batch
        data = jnp.concatenate([_data(x), other], axis=n)
        indices = jnp.concatenate([x.indices, y.indices.astype(x.indices.dtype)], axis=n)
        return wrap(jsparse.BCOO((data, indices), shape=x.aval().shape), x)
    mat, other = (x, y) if isinstance(x, BCOO) else (y, x)
    if _number(other) == 0:
        return mat.with_payload(-_data(mat)) if primitive.name == "sub" and mat is y else mat
    if is_value(other) and not isinstance(other, BCOO):
        other = _array(other)
    if aval_of(other).shape != mat.aval().shape:
        return NotImplemented
    data = _data(mat)
    if primitive.name == "sub":
        data, other = (-data, other) if mat is y else (data, -other)  # pyright: ignore[reportOperatorIssue]

    def one(dense: Any, data: Any, indices: Any) -> Any:
        places = tuple(indices[:, d] for d in range(indices.shape[1]))
        return dense.at[places].add(data, mode="drop")

    for _ in range(mat.n_batch):
        one = jax.vmap(one)
    return one(other, data, mat.indices)


# -- moving elements ------------------------------------------------------------------------------


def _kernel(function: Callable, *names: str) -> Callable:
    """A rule that calls a kernel of JAX's with these parameters of the primitive."""

    def rule(primitive: Any, operands: Operands, params: Params) -> Any:
        mat, *rest = operands
        if not isinstance(mat, BCOO) or rest:
            return NotImplemented
        try:
            out = function(mat.to_jax(), **{n: params[n] for n in names})
        except NotImplementedError as error:
            raise RuleError(f"`{primitive.name}` of {describe(mat)}: {error}") from None
        return wrap(out, mat)

    return rule


def _slice(mat: Any, *, start_indices: Any, limit_indices: Any, strides: Any) -> Any:
    return jsparse.bcoo_slice(
        mat, start_indices=start_indices, limit_indices=limit_indices, strides=strides
    )


def _dynamic_slice(primitive: Any, operands: Operands, params: Params) -> Any:
    mat, *starts = operands
    if not isinstance(mat, BCOO):
        return NotImplemented
    out = jsparse.bcoo_dynamic_slice(mat.to_jax(), [*map(_array, starts)], params["slice_sizes"])
    return wrap(out, mat)


def _concatenate(primitive: Any, operands: Operands, params: Params) -> Any:
    if not all(isinstance(x, BCOO) for x in operands):
        return NotImplemented
    out = jsparse.bcoo_concatenate([x.to_jax() for x in operands], dimension=params["dimension"])
    return wrap(out, operands[0])


def _gather(primitive: Any, operands: Operands, params: Params) -> Any:
    """Whole rows picked by number: a sparse matrix of one element a row picks them."""
    mat, indices = operands
    numbers = params["dimension_numbers"]
    rows_alone = (
        isinstance(mat, BCOO)
        and mat.n_batch == 0
        and len(mat.sparse_shape) == 2
        and tuple(numbers.collapsed_slice_dims) == (0,) == tuple(numbers.start_index_map)
        and tuple(params["slice_sizes"]) == (1, mat.sparse_shape[1])
        and len(aval_of(indices).shape) == 2
        and tuple(numbers.offset_dims) == (1,)
        and params["mode"] is not lax.GatherScatterMode.FILL_OR_DROP
    )
    if not rows_alone:
        return NotImplemented
    rows = jnp.clip(_array(indices)[:, 0], 0, mat.sparse_shape[0] - 1)
    n = rows.shape[0]
    places = jnp.stack([jnp.arange(n, dtype=rows.dtype), rows], axis=-1)
    pick = BCOO(jnp.ones(n, mat.dtype), places, (n, mat.sparse_shape[0]), unique_indices=True)
    return _product(pick, mat, (((1,), (0,)), ((), ())), {})


# -- reducing -------------------------------------------------------------------------------------


def _reduce_sum(primitive: Any, operands: Operands, params: Params) -> Any:
    """Vectors of sums are dense; a sum that leaves a matrix is sparse."""
    (mat,) = operands
    out = jsparse.bcoo_reduce_sum(mat.to_jax(), axes=params["axes"])
    return out.todense() if out.ndim <= 1 else wrap(out, mat)


def _reduce_extremum(primitive: Any, operands: Operands, params: Params) -> Any:
    """Over a matrix's rows, columns or all of it; the zeros that are not stored take part."""
    (mat,) = operands
    axes = tuple(sorted(params["axes"]))
    if mat.n_batch or len(mat.sparse_shape) != 2 or axes == ():
        return NotImplemented
    mat = unique(mat)
    data, indices = _data(mat), mat.indices
    n_rows, n_columns = mat.sparse_shape
    inside = (indices < jnp.asarray(mat.sparse_shape, indices.dtype)).all(axis=1)
    if axes == (0, 1):
        segments, count, across = jnp.zeros(mat.nse, jnp.int32), 1, n_rows * n_columns
    else:
        kept = 1 - axes[0]
        segments, count = indices[:, kept], mat.sparse_shape[kept]
        across = mat.sparse_shape[axes[0]]
    if across == 0:
        return NotImplemented
    segments = jnp.where(inside, segments, count)
    largest = primitive.name == "reduce_max"
    reduce = jax.ops.segment_max if largest else jax.ops.segment_min
    out = reduce(data, segments, count)
    stored = jax.ops.segment_sum(inside.astype(jnp.int32), segments, count)
    zero = jnp.zeros_like(out)
    with_zero = jnp.maximum(out, zero) if largest else jnp.minimum(out, zero)
    out = jnp.where(stored == 0, zero, jnp.where(stored < across, with_zero, out))
    return out[0] if axes == (0, 1) else out


# -- contracting ----------------------------------------------------------------------------------


def _dot_general(primitive: Any, operands: Operands, params: Params) -> Any:
    if _foreign(*map(strip, operands)):
        return NotImplemented
    lhs, rhs = (x if isinstance(x, BCOO) else _array(x) for x in map(strip, operands))
    return _product(lhs, rhs, params["dimension_numbers"], params)


def _product(lhs: Any, rhs: Any, dimensions: Any, params: Params) -> Any:
    (contract, batch) = dimensions
    if isinstance(lhs, BCOO) and isinstance(rhs, BCOO):
        return _sparse_sparse(lhs, rhs, dimensions, params)
    side = 0 if isinstance(lhs, BCOO) else 1
    mat: Any = lhs if side == 0 else rhs
    dense: Any = rhs if side == 0 else lhs
    by_rows = (
        mat.layout is not None
        and batch == ((), ())
        and tuple(contract[side]) == (1,)
        and mat.n_batch == 0
    )
    if by_rows:
        x = jnp.moveaxis(dense, contract[1 - side][0], 0)
        layout: Any = mat.layout
        out = matmul(layout, _data(mat), x)
        out = out if side == 0 else jnp.moveaxis(out, 0, -1)
        return _preferred(out, params)
    options = {
        k: params[k] for k in ("precision", "preferred_element_type") if params.get(k) is not None
    }
    if side == 0:
        return jsparse.bcoo_dot_general(
            mat.to_jax(), dense, dimension_numbers=dimensions, **options
        )
    out: Any = jsparse.bcoo_dot_general(
        mat.to_jax(),
        dense,
        dimension_numbers=(tuple(contract)[::-1], tuple(batch)[::-1]),
        **options,
    )
    # Batch axes, the matrix's, the array's: the last two change places.
    n_batch = len(batch[0])
    n_mat = len(mat.aval().shape) - n_batch - len(contract[1])
    order = [*range(n_batch), *range(n_batch + n_mat, out.ndim), *range(n_batch, n_batch + n_mat)]
    return lax.transpose(out, order)


def _preferred(out: Any, params: Params) -> Any:
    dtype = params.get("preferred_element_type")
    return out if dtype is None else out.astype(dtype)


_MOST_PRODUCTS = 50_000_000


def _sparse_sparse(lhs: BCOO, rhs: BCOO, dimensions: Any, params: Params) -> Any:
    """Sparse; exactly the products that occur, where the places are known."""
    (contract, batch) = dimensions
    known = not any(isinstance(x.indices, Tracer) for x in (lhs, rhs))
    matrices = all(x.n_batch == 0 and len(x.sparse_shape) <= 2 for x in (lhs, rhs))
    if known and matrices and len(contract[0]) == 1 and batch == ((), ()):
        return _preferred_sparse(_known_product(lhs, rhs, contract[0][0], contract[1][0]), params)
    if lhs.nse * rhs.nse > _MOST_PRODUCTS:
        raise RuleError(
            f"`dot_general` of {describe(lhs)} and {describe(rhs)}, whose places are only known "
            "when the program runs, would make room for the product of their numbers of elements.",
            "Multiply them outside of `jit`, or apply one after the other: `A @ (B @ x)`.",
        )
    out = jsparse.bcoo_dot_general(lhs.to_jax(), rhs.to_jax(), dimension_numbers=dimensions)
    if not isinstance(out, jsparse.BCOO):
        return _preferred(out, params)
    return out.todense() if out.ndim <= 1 else _preferred_sparse(wrap(out, lhs), params)


def _preferred_sparse(out: Any, params: Params) -> Any:
    if not isinstance(out, BCOO):
        return _preferred(out, params)
    return out.with_payload(_preferred(out.data, params))


def _known_product(lhs: BCOO, rhs: BCOO, lhs_axis: int, rhs_axis: int) -> Any:
    """Every pair of elements that meet, found on the host; their products, added up by place."""
    left, right = np.asarray(lhs.indices), np.asarray(rhs.indices)
    left_ok = np.flatnonzero((left < np.asarray(lhs.sparse_shape)).all(axis=1))
    right_ok = np.flatnonzero((right < np.asarray(rhs.sparse_shape)).all(axis=1))
    order = right_ok[np.argsort(right[right_ok, rhs_axis], kind="stable")]
    keys = right[order, rhs_axis]
    wanted = left[left_ok, lhs_axis]
    first, last = np.searchsorted(keys, wanted), np.searchsorted(keys, wanted, side="right")
    counts = last - first
    pairs_left = np.repeat(left_ok, counts)
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    pairs_right = order[np.repeat(first, counts) + offsets]
    columns = [np.delete(left, lhs_axis, 1)[pairs_left], np.delete(right, rhs_axis, 1)[pairs_right]]
    places = np.concatenate(columns, axis=1)
    shape = (*np.delete(lhs.sparse_shape, lhs_axis), *np.delete(rhs.sparse_shape, rhs_axis))
    shape = tuple(int(n) for n in shape)
    products = _data(lhs)[pairs_left] * _data(rhs)[pairs_right]
    if not shape:
        return jnp.sum(products)
    flat = np.ravel_multi_index(tuple(places.T), shape) if len(places) else np.zeros(0, np.int64)
    distinct, segment = np.unique(flat, return_inverse=True)
    data = jax.ops.segment_sum(products, jnp.asarray(segment), len(distinct))
    if len(shape) == 1:
        return jnp.zeros(shape, data.dtype).at[jnp.asarray(distinct)].set(data)
    indices = np.stack(np.unravel_index(distinct, shape), axis=-1).astype(np.int32)
    out = BCOO(
        data,
        indices,
        shape,
        indices_sorted=True,
        unique_indices=True,
        allow_materialise=lhs.allow_materialise,
    )
    return out


register_family(
    BCOO,
    [Scaling.FIRST, Scaling.POWER, Scaling.ROUND, Scaling.ANGLE, Scaling.ARC, Scaling.PURE],
    _unary,
)
register_family(BCOO, "stop_gradient name copy copy_p".split(), _unary)
register_family(BCOO, Scaling.PREDICATE, _sign)
register_family(BCOO, "integer_pow", _integer_pow)
register_family(BCOO, "pow", _pow)
register_family(BCOO, "max min".split(), _extremum)
register_family(BCOO, "mul", _mul)
register_family(BCOO, "div", _div)
register_family(BCOO, "add sub add_any".split(), _add)
register_family(BCOO, "transpose", _kernel(jsparse.bcoo_transpose, "permutation"))
register_family(BCOO, "squeeze", _kernel(jsparse.bcoo_squeeze, "dimensions"))
register_family(BCOO, "rev", _kernel(jsparse.bcoo_rev, "dimensions"))
register_family(
    BCOO,
    "broadcast_in_dim",
    _kernel(jsparse.bcoo_broadcast_in_dim, "shape", "broadcast_dimensions"),
)
register_family(
    BCOO,
    "reshape",
    _kernel(lambda mat, new_sizes: jsparse.bcoo_reshape(mat, new_sizes=new_sizes), "new_sizes"),
)
register_family(BCOO, "slice", _kernel(_slice, "start_indices", "limit_indices", "strides"))
register_family(BCOO, "dynamic_slice", _dynamic_slice)
register_family(BCOO, "gather", _gather)
register_family(BCOO, "concatenate", _concatenate)
register_family(BCOO, "reduce_sum", _reduce_sum)
register_family(BCOO, "reduce_max reduce_min".split(), _reduce_extremum)
register_family(BCOO, "dot_general", _dot_general)


# -- whole functions ------------------------------------------------------------------------------


def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The elements on a diagonal, added up by place."""
    if a.n_batch or len(a.sparse_shape) != 2 or {axis1 % 2, axis2 % 2} != {0, 1}:
        raise RuleError(f"The diagonal of {describe(a)} along these axes is not supported.")
    rows, columns = a.indices[:, axis1 % 2], a.indices[:, axis2 % 2]
    n_rows, n_columns = a.sparse_shape[axis1 % 2], a.sparse_shape[axis2 % 2]
    length = max(
        0, min(n_rows, n_columns - offset) if offset >= 0 else min(n_rows + offset, n_columns)
    )
    start = rows if offset >= 0 else columns
    on = (columns - rows == offset) & (rows < n_rows) & (columns < n_columns)
    at = jnp.where(on, start, length)
    return jnp.zeros(length, a.dtype).at[at].add(_data(a), mode="drop")


def _diag(v: Any, k: int = 0) -> Any:
    if len(v.aval().shape) == 2:
        return _diagonal(v, k)
    raise RuleError(f"`diag` of a vector takes a dense one, not {describe(v)}.")


def _trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
) -> Any:
    del out
    total = jnp.sum(_diagonal(a, offset, axis1, axis2))
    return total if dtype is None else total.astype(dtype)


def _solve(a: Any, b: Any) -> Any:
    """Direct, by JAX's `spsolve`: SuperLU on the CPU, cuSOLVER on a GPU."""
    from jax.experimental.sparse.linalg import spsolve

    if not isinstance(a, BCOO) or a.n_batch or isinstance(b, BCOO):
        raise RuleError(f"`solve` takes a sparse matrix and a dense array, not {describe(b)}.")
    mat = jsparse.BCSR.from_bcoo(jsparse.bcoo_sort_indices(unique(a).to_jax()))
    solve = functools.partial(spsolve, mat.data, mat.indices, mat.indptr)
    b = _array(b)
    if b.ndim == 1:
        return solve(b)
    if b.ndim != 2:
        raise RuleError(
            f"`solve` with a sparse matrix takes vectors or a matrix, not {describe(b)}."
        )
    return lax.map(solve, b.T).T


def _refuse_inverse(a: Any) -> Any:
    raise RuleError(
        f"The inverse of {describe(a)} is dense.", "Solve for what it would be multiplied with."
    )


register_function(BCOO, jnp.diagonal, _diagonal)
register_function(BCOO, jnp.diag, _diag)
register_function(BCOO, jnp.trace, _trace)
register_function(BCOO, jnp.linalg.solve, _solve)
register_function(BCOO, jnp.linalg.inv, _refuse_inverse)
