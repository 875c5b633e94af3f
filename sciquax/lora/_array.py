"""`LoraArray`: a weight plus a low-rank update that is never multiplied out.

`W + s A B` of E. J. Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models* (2021),
section 4.1, for an array of any number of axes: each axis of the weight is one of the rows (an axis
of `a`), of the columns (an axis of `b`), or a batch axis (of both). A convolution's kernel has its
output channels as rows and its input channels and window as columns.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu
from jax import lax

from sciquax.core import (
    ArrayValue,
    RuleError,
    Unsettled,
    aval_of,
    describe,
    is_value,
    materialised,
    quaxify,
    short_aval,
)

from ._factor_arrays import combine, principal

ROW, COLUMN, BATCH = "row", "column", "batch"


class LoraArray(
    ArrayValue,
    leaves=("weight", "a", "b"),
    static=("axes", "scaling", "dropout", "init", "stop_gradient", "allow_materialise"),
):
    """A weight `W` and an update of low rank: the array `W + scaling * a @ b`, not multiplied out.

    In programs, `W @ x` becomes `W @ x + a @ (b @ x)`, and so on for every contraction,
    convolution, transpose, slice, gather of rows, sum and scaling. Any other operation would need
    the whole array and is refused, unless `allow_materialise`.

    **Arguments**

    - `weight`: an array of shape `(*batch, m, n)`, or an array-ish value such as a
      `QuantisedArray`.
    - `rank`: r, the number of columns of `a` and rows of `b`.
    - `scale`: the standard deviation of the initial `a`; `b` starts at zero, and the update too.
    - `alpha`: if given, the update is scaled by `alpha / rank`; otherwise by 1.
    - `rank_stabilised`: scale by `alpha / sqrt(rank)` instead (D. Kalajdzievski, *A Rank
      Stabilization Scaling Factor for Fine-Tuning with LoRA*, 2023).
    - `dropout`: the rate that `lora_dropout` drops input features at.
    - `init`: `"zero"`; or `"pissa"`: the factors start as the weight's principal components, and
      `weight` as what they leave of it (F. Meng et al., *PiSSA*, 2024). Needs a plain weight.
    - `stop_gradient`: whether gradients reach `a` and `b` alone.
    - `allow_materialise`: whether operations without a rule may multiply the update out.
    - `row_axes`, `column_axes`: the axes that belong to `a` and to `b`, for weights that are not
      matrices: `(0,)` and `(1, 2, 3)` for the kernel of a two-dimensional convolution.
    - `key`: a JAX key, for the initial `a`.

    **Attributes**: `weight`; `a`, of shape `(*batch, *rows, rank)`; `b`, of shape
    `(*batch, rank, *columns)`; `scaling`, the factor of the update.

    ```python
    >>> import equinox as eqx, jax, jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.lora import LoraArray
    >>> W = LoraArray(jnp.ones((3, 4)), rank=1, key=jax.random.key(0))
    >>> W = eqx.tree_at(lambda w: (w.a, w.b), W, (jnp.ones((3, 1)), jnp.full((1, 4), 0.5)))
    >>> quaxify(lambda W, x: W @ x)(W, jnp.ones(4))
    Array([6., 6., 6.], dtype=float32)

    ```
    """

    weight: Any
    a: Any
    b: Any
    # What each of the weight's last axes is; those before them are batch axes. So a value under
    # `vmap` or `scan`, whose leaves lose their leading axes, is still right.
    axes: tuple[str, ...]
    scaling: float
    dropout: float
    init: str
    stop_gradient: bool
    allow_materialise: bool

    layer: ClassVar[int] = 110
    payload: ClassVar[str | None] = "weight"

    def __init__(
        self,
        weight: Any,
        *,
        rank: int,
        scale: float | int = 0.01,
        alpha: float | int | None = None,
        rank_stabilised: bool = False,
        dropout: float | int = 0.0,
        init: str = "zero",
        stop_gradient: bool = True,
        allow_materialise: bool = False,
        row_axes: Sequence[int] | None = None,
        column_axes: Sequence[int] | None = None,
        key: Any,
    ):
        weight = weight if is_value(weight) else jnp.asarray(weight)
        aval = aval_of(weight)
        shape, ndim = aval.shape, len(aval.shape)
        if ndim < 2 or not jnp.issubdtype(aval.dtype, jnp.inexact):
            raise ValueError(
                f"A LoraArray needs an inexact weight of two axes or more, not {short_aval(aval)}."
            )
        if isinstance(rank, bool) or rank < 1:
            raise ValueError(f"The rank of a LoraArray is at least 1, not {rank}.")
        if init not in ("zero", "pissa"):
            raise ValueError(f"`init` is 'zero' or 'pissa', not {init!r}.")
        if init == "pissa" and is_value(weight):
            raise ValueError(
                f"`init='pissa'` needs a plain weight, not {type(weight).__name__}. A quantised "
                "one is made of the adapted model: `quantise_model(loraify(..., init='pissa'))`."
            )
        rows = {ndim - 2} if row_axes is None else {d % ndim for d in row_axes}
        columns = {ndim - 1} if column_axes is None else {d % ndim for d in column_axes}
        if not rows or not columns or rows & columns:
            raise ValueError(f"Rows {sorted(rows)} and columns {sorted(columns)} must be disjoint.")
        kinds = [ROW if d in rows else COLUMN if d in columns else BATCH for d in range(ndim)]
        leading = min(rows | columns)
        self.weight = weight
        self.axes = tuple(kinds[leading:])
        divisor = math.sqrt(rank) if rank_stabilised else rank
        self.scaling = 1.0 if alpha is None else alpha / divisor
        batch = [d for d in range(ndim) if kinds[d] == BATCH]
        if init == "pissa":
            a, b = principal(weight, batch, sorted(rows), sorted(columns), rank)
            self.a, self.b = a, b / self.scaling if self.scaling != 1.0 else b
            self.weight = weight - combine(*aligned(self), self.scaling)
        else:
            a_shape = [n for n, k in zip(shape, kinds, strict=True) if k != COLUMN]
            b_shape = [[shape[d] for d in axes] for axes in (batch, sorted(columns))]
            self.a = jr.normal(key, (*a_shape, rank), aval.dtype) * scale
            self.b = jnp.zeros((*b_shape[0], rank, *b_shape[1]), aval.dtype)
        self.dropout = dropout
        self.init = init
        self.stop_gradient = stop_gradient
        self.allow_materialise = allow_materialise

    @property
    def rank(self) -> int:
        return self.a.shape[-1]

    @property
    def w(self) -> Any:
        """The weight, behind `stop_gradient` where that was asked for."""
        if not self.stop_gradient:
            return self.weight
        return jtu.tree_map(
            lambda x: lax.stop_gradient(x) if jnp.issubdtype(x.dtype, jnp.inexact) else x,
            self.weight,
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kind of each axis of the weight: row, column or batch."""
        ndim = self.a.ndim - 1 + self.axes.count(COLUMN)
        return (BATCH,) * (ndim - len(self.axes)) + self.axes

    def aval(self) -> Any:
        aval = aval_of(self.weight)
        if len(self.axes) > len(aval.shape):
            raise RuleError(
                "A LoraArray was sliced along an axis of its rows or columns.",
                "Only leading batch axes can be mapped over by `vmap` outside of `quaxify`.",
            )
        return aval

    def as_sliceable(self) -> Any:
        """Only batch axes are on every part: the rows of an update are made together."""
        if self.kinds[0] != BATCH:
            return self.materialise()
        return super().as_sliceable()

    def update(self) -> jax.Array:
        """`scaling * a @ b`, multiplied out."""
        return combine(*aligned(self), self.scaling)

    def materialise(self) -> Any:
        """The whole array. **Raises** `RuleError` unless `allow_materialise`."""
        if not self.allow_materialise:
            raise RuleError(
                f"Refusing to materialise `{self.__short__()}`.",
                "Pass `allow_materialise=True`, or `merge` the model first.",
            )
        return self.merged()

    def merged(self) -> Any:
        """The whole array, whether it may be materialised or not."""
        weight = self.w
        weight = weight.materialise() if is_value(weight) else weight
        return (
            weight + self.update()
            if not is_value(weight)
            else quaxify(jnp.add)(weight, self.update())
        )

    @staticmethod
    def default(primitive: Any, values: Sequence[Any], params: dict[str, Any]) -> Any:
        for x in values:
            if type(x) is LoraArray and not x.allow_materialise:
                raise RuleError(
                    f"`{primitive.name}` needs all elements of `{x.__short__()}`, whose update of "
                    f"rank {x.rank} is not multiplied out.",
                    "Pass `allow_materialise=True`, or `merge` the model first.",
                )
        return ArrayValue.default(primitive, values, params)

    @classmethod
    def common_type(cls, lhs: Any, rhs: Any) -> Any:
        """Two of one form as such, of the larger rank; with another array, dense if allowed."""
        if type(lhs) is type(rhs) and _stopped(lhs) == _stopped(rhs):
            shapes = [[x.shape for x in jtu.tree_leaves(v.weight)] for v in (lhs, rhs)]
            if shapes[0] == shapes[1]:
                larger = lhs if lhs.rank >= rhs.rank else rhs
                if jtu.tree_structure(lhs) == jtu.tree_structure(rhs) and lhs.rank == rhs.rank:
                    return larger
                return _unstopped(larger, lhs.scaling if lhs.scaling == rhs.scaling else 1.0)
        if any(type(x) is LoraArray and not x.allow_materialise for x in (lhs, rhs)):
            raise Unsettled
        aval = aval_of(lhs)
        return jax.ShapeDtypeStruct(aval.shape, aval.dtype)

    @classmethod
    def convert_to(cls, value: Any, example: Any) -> Any:
        if type(value) is type(example) is LoraArray:
            if _stopped(value) != _stopped(example) or value.rank > example.rank:
                raise Unsettled
            more = [(0, 0)] * len(value.kinds) + [(0, example.rank - value.rank)]
            a, b = (jnp.pad(x, more) for x in aligned(value))
            if value.scaling != example.scaling:
                b = b * (value.scaling / example.scaling)
            return make(example, value.w, a, b, value.kinds)
        if is_value(example):
            raise Unsettled
        return materialised(value, "join") if is_value(value) else value

    @classmethod
    def zeros_like(cls, example: Any) -> Any:
        """A value of this type, shape and structure that is zero."""
        return jtu.tree_map(lambda x: jnp.zeros(x.shape, x.dtype), example)

    def __short__(self) -> str:
        return f"LoraArray({describe(self.weight)}, rank={self.a.shape[-1]})"

    def __repr__(self) -> str:
        return describe(self)


def _stopped(lora: LoraArray) -> tuple:
    """The key that two arrays share if they are one once their weights' gradients are stopped."""
    structure = jtu.tree_structure(lora.weight)
    return structure, lora.kinds, lora.dropout, lora.init, lora.allow_materialise


def _unstopped(lora: LoraArray, scaling: float) -> LoraArray:
    """As an operation makes it: the gradient of the weight has been stopped already."""
    value = lora.with_payload(lora.weight)
    object.__setattr__(value, "stop_gradient", False)
    object.__setattr__(value, "scaling", scaling)
    return value


def make(like: LoraArray, weight: Any, a: Any, b: Any, kinds: Sequence[str]) -> LoraArray:
    """A LoraArray made by an operation: its weight's gradient has been stopped already.

    **Arguments**: what it came from; the weight; the factors, aligned as by `aligned`; the kinds of
    the weight's axes.
    """
    n = len(kinds)
    a = lax.squeeze(a, [d for d in range(n) if kinds[d] == COLUMN])
    b = lax.squeeze(b, [d for d in range(n) if kinds[d] == ROW])
    # The batch axes first, then the rank, then the columns.
    left = [k for k in kinds if k != ROW]
    order = [i for i, k in enumerate(left) if k == BATCH]
    order += [b.ndim - 1, *[i for i, k in enumerate(left) if k == COLUMN]]
    b = lax.transpose(b, order)
    return remade(like, weight, a, b, kinds)


def remade(like: LoraArray, weight: Any, a: Any, b: Any, kinds: Sequence[str]) -> LoraArray:
    """As `make`, of factors in the shapes that a `LoraArray` has."""
    n_batch = next((i for i, k in enumerate(kinds) if k != BATCH), len(kinds))
    return build(
        weight=weight,
        a=a,
        b=b,
        axes=tuple(kinds[n_batch:]),
        scaling=like.scaling,
        dropout=like.dropout,
        init="zero",
        stop_gradient=False,
        allow_materialise=like.allow_materialise,
    )


def build(**fields: Any) -> LoraArray:
    """A LoraArray with these fields, which its `__init__` is not asked about."""
    value = object.__new__(LoraArray)
    for name, field in fields.items():
        object.__setattr__(value, name, field)
    return value


def aligned(lora: LoraArray) -> tuple[Any, Any]:
    """The factors with the weight's axes, of length one where they do not vary, and the rank last.

    So the update is the sum over the last axis of their elementwise product.
    """
    kinds = lora.kinds
    n = len(kinds)
    a = lax.expand_dims(lora.a, [d for d in range(n) if kinds[d] == COLUMN])
    n_batch = sum(k == BATCH for k in kinds)
    left = [k for k in kinds if k != ROW]
    batch, column = iter(range(n_batch)), iter(range(n_batch + 1, lora.b.ndim))
    order = [next(batch) if k == BATCH else next(column) for k in left]
    b = lax.transpose(lora.b, (*order, n_batch))
    b = lax.expand_dims(b, [d for d in range(n) if kinds[d] == ROW])
    return a, b
