"""The data of a matrix's class: its fields, and matrices made of other arrays."""

import functools
from collections.abc import Iterable
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from sciquax.core import VALUE_TYPES, ArrayValue
from sciquax.core.internal import ShapedArray, default_promotion, quoted

from .fields import StructuredMeta, static, unchecked
from .properties import checked

_CALLED = set(
    "T mT adjoint allow_materialise at astype batch_shape conj det diagonal dtype is_hermitian "
    "is_square is_triangular materialise matmat matvec ndim properties shape size slogdet solve "
    "transpose".split()
)
"""What users call of the names that classes of matrices define."""


class MatrixBase(ArrayValue, metaclass=StructuredMeta):
    """The fields that all matrices have, and what their class says of them."""

    layer: ClassVar[int] = 100
    LEAF_NAMES: ClassVar[tuple[str, ...]]
    CORE_NDIMS: ClassVar[tuple[int, ...]]
    STATIC: ClassVar[tuple[str, ...]]
    scaled_leaves: ClassVar[tuple[str, ...] | None] = None
    scaling: ClassVar[str] = "join"
    claims: ClassVar[frozenset[str]] = frozenset()
    arrays_are_entries: ClassVar[bool] = False
    covers_all: ClassVar[bool] = False

    def __dir__(self) -> list[str]:
        """The names for users, without those that the arithmetic of matrices calls."""
        ours = (c for c in type(self).__mro__ if c.__module__.startswith("sciquax.structured."))
        asked = {name for c in ours for name in vars(c)} - _CALLED - set(self.LEAF_NAMES)
        return [x for x in super().__dir__() if x[:2] == "__" or x not in asked]

    allow_materialise: bool = static(default=False, kw_only=True, converter=bool)
    properties: frozenset[str] = static(default=frozenset(), kw_only=True, converter=checked)

    def arrays(self) -> list[Any]:
        """The defining arrays."""
        return [getattr(self, name) for name in self.LEAF_NAMES]

    def rebuild(self, arrays: Iterable[Any], **static: Any) -> Any:
        """A matrix of this structure and other arrays, unchecked; unless given, without properties.

        **Arguments**: the defining arrays, in their order; by name, other static fields.
        """
        own = {name: getattr(self, name) for name in self.STATIC}
        return self.build(arrays, **{**own, "properties": frozenset(), **static})

    @classmethod
    def build(cls, arrays: Iterable[Any], **static: Any) -> Any:
        """A matrix of these arrays, without the constructor: nothing is converted or checked.

        **Arguments**: the defining arrays, in their order, of one dtype and one batch shape; by
        name, the static fields: `allow_materialise` and `properties` are False and none unless
        given.
        """
        fields = {"allow_materialise": False, "properties": frozenset(), **static}
        return unchecked(cls, **dict(zip(cls.LEAF_NAMES, arrays, strict=True)), **fields)

    @classmethod
    def build_equal(cls, matrix: "MatrixBase", arrays: Iterable[Any], **static: Any) -> Any:
        """As `build`, for a matrix that equals another, of which it knows what that knew."""
        return cls.build(
            arrays,
            allow_materialise=matrix.allow_materialise,
            properties=matrix.known() - {"unit_diagonal"},
            **static,
        )

    def in_type_of(self, example: "MatrixBase") -> Any:
        """The same arrays with the static fields of another matrix of this type."""
        return self.rebuild(self.arrays(), **{name: getattr(example, name) for name in self.STATIC})

    def known(self) -> frozenset[str]:
        """All properties: those claimed for this matrix and those of its structure."""
        found = self.properties | self.claims
        if not jnp.issubdtype(self.dtype, jnp.complexfloating):
            if "symmetric" in found or "hermitian" in found:
                found |= {"symmetric", "hermitian"}
        return found

    def __check_init__(self) -> None:
        """The end of each constructor."""
        for name in self.LEAF_NAMES:
            x = getattr(self, name)
            object.__setattr__(self, name, x if type(x) in VALUE_TYPES else jnp.asarray(x))
        with default_promotion():
            self.normalise()

    def normalise(self) -> None:
        """The defining arrays in one dtype and one batch shape, their sizes checked.

        **Raises** ValueError if they do not make a matrix.
        """
        arrays = self.arrays()
        for name, x, ndim in zip(self.LEAF_NAMES, arrays, self.CORE_NDIMS, strict=True):
            if x.ndim < ndim:
                raise ValueError(
                    f"`{name}` of a `{type(self).__name__}` has {ndim} axes and leading batch "
                    f"axes; got shape {x.shape}."
                )
        self.check()
        if any(type(x) in VALUE_TYPES for x in arrays):
            return
        numbers = [n for n in self.LEAF_NAMES if n not in self.index_leaves()]
        dtype = functools.reduce(jnp.promote_types, [getattr(self, n).dtype for n in numbers], bool)
        batch = np.broadcast_shapes(
            *[x.shape[: x.ndim - ndim] for x, ndim in zip(arrays, self.CORE_NDIMS, strict=True)]
        )
        for name, x, ndim in zip(self.LEAF_NAMES, arrays, self.CORE_NDIMS, strict=True):
            if name in numbers and x.dtype != dtype:
                x = x.astype(dtype)
            shape = (*batch, *x.shape[x.ndim - ndim :])
            object.__setattr__(self, name, x if x.shape == shape else jnp.broadcast_to(x, shape))

    def check(self) -> None:
        """**Raises** ValueError if the defining arrays' sizes do not make a matrix."""

    def matrix_aval(self, shape: tuple[int, ...]) -> ShapedArray:
        """The result of `aval`: this shape, with batch axes, in the arrays' dtype.

        **Raises** ValueError for a shape that no matrix has: of one that a loop takes rows of.
        """
        if len(shape) < 2:
            raise ValueError(f"A matrix has two axes; got shape {quoted(shape)}.")
        return ShapedArray(shape, jnp.result_type(*[x.dtype for x in self.arrays()]))

    @classmethod
    def index_leaves(cls) -> tuple[str, ...]:
        """The defining arrays that are indices rather than numbers."""
        return ()


def real_dtype(dtype: Any) -> Any:
    """The dtype of absolute values, and of the permutations that JAX's `lu` gives."""
    return jnp.zeros((), dtype).real.dtype


def allow_both(*matrices: Any) -> bool:
    """A result may become dense only if everything that went into it may."""
    return all(x.allow_materialise for x in matrices if isinstance(x, MatrixBase))
