"""`BCOO`: a sparse array of stored elements and their places, on JAX's own sparse kernels."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax.experimental import sparse as jsparse

from sciquax._storage.origin import operation, refusal
from sciquax.core import (
    ArrayValue,
    RuleError,
    Unsettled,
    aval_of,
    describe,
    from_foreign,
    is_value,
    materialised,
    quaxify,
    short_aval,
)
from sciquax.core.internal import ShapedArray, Tracer

from ._conversions import bcoo_of_jax, check, dense, distinct, in_order, in_slices, to_scipy
from ._row_layout import RowLayout, in_layout_order, most_of, row_layout

_SHORT = 1 << 16
"""Vectors of more elements are not made dense by themselves."""
_AT_ONCE = 1 << 17
"""Products with as many elements take longer than staging them again."""


class BCOO(
    ArrayValue,
    leaves=("data", "indices", "layout"),
    static=("sparse_shape", "indices_sorted", "unique_indices", "allow_materialise", "most"),
):
    """A sparse array: the elements that are stored, and the places of each. All others are zero.

    The format is JAX's batched COO: duplicates add up, places out of range are padding. Matrices
    of some size also keep their elements by rows, in a few rectangles, which is what `A @ x` runs
    on.

    **Arguments**

    - `data`: the stored elements, of shape `(*batch, nse)`.
    - `indices`: their places, integers of shape `(*batch, nse, ndim)`.
    - `shape`: the array's shape, batch axes included.
    - `indices_sorted`, `unique_indices`: what is known of the places.
    - `allow_materialise`: whether operations without a rule may make the dense array.

    Products, sums, slices, reductions and functions with f(0) = 0 keep to the stored elements;
    what would need the others is refused. Gradients reach `data` alone.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.sparse import BCOO
    >>> A = BCOO(jnp.array([2.0, 3.0]), jnp.array([[0, 1], [1, 2]]), (2, 3))
    >>> quaxify(lambda A, x: A @ x)(A, jnp.array([1.0, 10.0, 100.0]))
    Array([ 20., 300.], dtype=float32)

    ```
    """

    optional_leaves = ("layout",)

    data: Any
    indices: Any
    layout: RowLayout | None
    sparse_shape: tuple[int, ...]  # without batch axes, which the leaves tell
    indices_sorted: bool
    unique_indices: bool
    allow_materialise: bool
    most: tuple[int, int] | None  # how many elements a row, a column has at most, where known

    layer: ClassVar[int] = 60  # outside of masks and constants by formula
    payload: ClassVar[str | None] = "data"
    wants_deferred: ClassVar[bool] = True
    differentiable_rules: ClassVar[bool] = True

    def __init__(
        self,
        data: Any,
        indices: Any,
        shape: Sequence[int],
        *,
        indices_sorted: bool = False,
        unique_indices: bool = False,
        allow_materialise: bool = False,
    ):
        self.data = data if is_value(data) else jnp.asarray(data)
        with jax.ensure_compile_time_eval():  # places that are known stay so, under `jit` too
            self.indices = indices if isinstance(indices, Tracer) else jnp.asarray(indices)
        shape = tuple(int(n) for n in shape)
        check(self.data, self.indices, shape)
        self.sparse_shape = shape[self.indices.ndim - 2 :]
        self.indices_sorted = indices_sorted
        self.unique_indices = unique_indices
        self.allow_materialise = allow_materialise
        with jax.ensure_compile_time_eval():
            self.layout = row_layout(self.indices, self.sparse_shape)
        self.most = most_of(self.indices, self.sparse_shape)

    # -- what it is -------------------------------------------------------------------------------

    @property
    def n_batch(self) -> int:
        return self.indices.ndim - 2

    @property
    def nse(self) -> int:
        """How many elements are stored (in each batch)."""
        return self.indices.shape[-2]

    @property
    def dtype(self) -> Any:
        return aval_of(self.data).dtype

    def aval(self) -> Any:
        data = aval_of(self.data)
        if self.indices.ndim < 2 or len(data.shape) != self.indices.ndim - 1:
            raise RuleError("A BCOO was sliced along an axis that is not a batch axis.")
        return ShapedArray((*data.shape[: self.n_batch], *self.sparse_shape), data.dtype)

    def by_rows(self) -> "BCOO":
        """The same with its elements stored in the order that `A @ x` reads them in.

        Padding included, where rows differ in length. For matrices of some size; others, and those
        whose places are only known when the program runs, come back as they are.
        """
        if self.layout is None or not self.layout.slots or is_value(self.data):
            return self
        data, indices, layout = in_layout_order(
            self.layout, self.data, self.indices, self.sparse_shape
        )
        value = self.with_payload(data)
        for name, field in (("indices", indices), ("layout", layout), ("indices_sorted", False)):
            object.__setattr__(value, name, field)
        return value

    def sum_duplicates(self) -> "BCOO":
        """The same with each place stored once, in order, and no padding: fewer to multiply.

        For matrices whose places are known before the program runs.
        """
        segments, indices = distinct(self.indices, self.sparse_shape)
        count = len(indices)
        return BCOO(
            quaxify(jax.ops.segment_sum)(self.data, segments, count + 1)[:count],
            indices,
            self.sparse_shape,
            indices_sorted=True,
            unique_indices=True,
            allow_materialise=self.allow_materialise,
        )

    # -- conversions ------------------------------------------------------------------------------

    @classmethod
    def from_jax(cls, mat: Any) -> "BCOO":
        """From a `jax.experimental.sparse` array: BCOO, BCSR, COO, CSR or CSC."""
        mat = bcoo_of_jax(mat)
        return cls(
            mat.data,
            mat.indices,
            mat.shape,
            indices_sorted=mat.indices_sorted,
            unique_indices=mat.unique_indices,
        ).by_rows()

    def to_jax(self) -> jsparse.BCOO:
        """The same as a `jax.experimental.sparse.BCOO`."""
        data = self.data.materialise() if is_value(self.data) else self.data
        return jsparse.BCOO(
            (data, self.indices),
            shape=self.aval().shape,
            indices_sorted=self.indices_sorted,
            unique_indices=self.unique_indices,
        )

    @classmethod
    def from_scipy(cls, mat: Any) -> "BCOO":
        """From a SciPy sparse matrix or array of any format."""
        coo = in_order(mat)
        return cls(
            jnp.asarray(coo.data),
            jnp.asarray(np.stack([coo.row, coo.col], axis=-1).astype(np.int32)),
            coo.shape,
            indices_sorted=True,
            unique_indices=True,
        ).by_rows()

    def to_scipy(self) -> Any:
        """A SciPy `coo_array`, duplicates added up and padding left out."""
        return to_scipy(self.to_jax())

    @classmethod
    def from_dense(cls, array: Any, nse: int | None = None) -> "BCOO":
        """The elements of an array that are not zero; `nse` is how many to store, under `jit`."""
        array = from_foreign(array)
        if is_value(array) and array.payload is not None:  # a quantity of the sparse array
            held = getattr(array, array.payload)
            return array.with_payload(cls.from_dense(held, nse))
        return cls.from_jax(jsparse.BCOO.fromdense(array, nse=nse))

    def todense(self) -> jax.Array:
        """The dense array."""
        return dense(self.to_jax())

    def _binary(self, name: str, lhs: Any, rhs: Any) -> Any:
        """Products at once: SciPy's for large matrices, and as long as places are known."""
        other = rhs if lhs is self else lhs
        if name == "matmul" and isinstance(other, (BCOO, jax.Array, np.ndarray)):
            if isinstance(other, BCOO) or self.nse >= _AT_ONCE:
                return quaxify(jnp.matmul)(lhs, rhs)
        return super()._binary(name, lhs, rhs)

    def materialise(self) -> jax.Array:
        """The dense array. **Raises** `RuleError` unless `allow_materialise`, or a short vector."""
        if not self.may_materialise():
            raise RuleError(
                f"Refusing to materialise `{self.__short__()}`.",
                "Pass `allow_materialise=True`, or call its `todense()`.",
            )
        return self.todense()

    def may_materialise(self) -> bool:
        """If allowed; vectors anyway, but for long and nearly empty ones (a ravelled matrix)."""
        shape = self.aval().shape
        short = len(shape) <= 1 and math.prod(shape) <= max(_SHORT, 32 * self.nse)
        return self.allow_materialise or short

    # -- for the interpreter ----------------------------------------------------------------------

    def as_sliceable(self) -> Any:
        """The leading axis becomes a batch axis, if it is known how many elements a slice has."""
        made = None if is_value(self.data) else in_slices(self.to_jax())
        return super().as_sliceable() if made is None else wrap(made, self)

    def as_point(self) -> "BCOO":
        """With each place stored once: else a derivative would be added up by place."""
        if self.unique_indices or self.nse <= 1:
            return self
        return wrap(jsparse.bcoo_sum_duplicates(self.to_jax(), nse=self.nse), self)

    @staticmethod
    def default(primitive: Any, values: Sequence[Any], params: dict[str, Any]) -> Any:
        for x in values:
            if isinstance(x, BCOO) and not x.may_materialise():
                raise refusal(operation(primitive, values))
        return ArrayValue.default(primitive, values, params)

    @classmethod
    def common_type(cls, lhs: Any, rhs: Any) -> Any:
        """Two of one structure as they are; else with room for the elements of the larger one."""
        if jtu.tree_structure(lhs) == jtu.tree_structure(rhs):
            shapes = [[x.shape for x in jtu.tree_leaves(v)] for v in (lhs, rhs)]
            if shapes[0] == shapes[1]:
                return lhs
        if _alike(lhs, rhs):
            larger = lhs if lhs.nse >= rhs.nse else rhs
            shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in (larger.data, larger.indices)]
            return _without_claims(larger, *shapes)
        if any(isinstance(x, BCOO) and not x.allow_materialise for x in (lhs, rhs)):
            raise Unsettled
        aval = aval_of(lhs)
        return jax.ShapeDtypeStruct(aval.shape, aval.dtype)

    @classmethod
    def convert_to(cls, value: Any, example: Any) -> Any:
        if _alike(value, example) and value.nse <= example.nse:
            more = [(0, 0)] * value.n_batch + [(0, example.nse - value.nse)]
            data = jnp.pad(value.data, more)
            outside = jnp.asarray(value.sparse_shape, value.indices.dtype)
            padding = jnp.broadcast_to(
                outside, (*data.shape[:-1], example.nse - value.nse, len(outside))
            )
            indices = jnp.concatenate([value.indices, padding], axis=-2)
            return _without_claims(value, data, indices.astype(example.indices.dtype))
        if is_value(example):
            raise Unsettled
        return materialised(value, "join") if is_value(value) else value

    @classmethod
    def zeros_like(cls, example: Any) -> Any:
        """A value of this type, shape and number of elements that is zero."""
        return jtu.tree_map(lambda x: jnp.zeros(x.shape, x.dtype), example)

    def __short__(self) -> str:
        inside = f", data={describe(self.data)}" if is_value(self.data) else ""
        return f"BCOO({short_aval(self.aval())}, nse={self.nse}{inside})"

    def __repr__(self) -> str:
        return describe(self)


def _alike(lhs: Any, rhs: Any) -> bool:
    """Whether two differ only in which elements they store, or how many."""
    both = isinstance(lhs, BCOO) and isinstance(rhs, BCOO)
    return both and not (
        is_value(lhs.data)
        or is_value(rhs.data)
        or lhs.aval() != rhs.aval()
        or lhs.n_batch != rhs.n_batch
        or lhs.allow_materialise != rhs.allow_materialise
    )


def _without_claims(like: BCOO, data: Any, indices: Any) -> BCOO:
    """Other elements in any order, perhaps some twice."""
    return _made(like, data, indices, like.sparse_shape)


def wrap(mat: jsparse.BCOO, like: BCOO, most: Any = None) -> BCOO:
    """The result of a kernel of JAX's, with the options of its operand and without a row layout."""
    shape = tuple(mat.shape[mat.n_batch :])
    claims = mat.indices_sorted, mat.unique_indices, most
    return _made(like, mat.data, mat.indices, shape, *claims)


def _made(
    like: BCOO,
    data: Any,
    indices: Any,
    shape: Any,
    indices_sorted: bool = False,
    unique_indices: bool = False,
    most: Any = None,
) -> BCOO:
    value = object.__new__(BCOO)
    for name, field in (
        ("data", data),
        ("indices", indices),
        ("layout", None),
        ("sparse_shape", shape),
        ("indices_sorted", indices_sorted),
        ("unique_indices", unique_indices),
        ("allow_materialise", like.allow_materialise),
        ("most", most),
    ):
        object.__setattr__(value, name, field)
    return value
