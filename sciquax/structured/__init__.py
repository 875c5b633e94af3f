"""Matrices by structure, which keep it through ordinary `jnp` code."""

from typing import Any as _Any

from sciquax.core.internal import adapter as _adapter

from ._blocks.block_matrix import BlockMatrix as BlockMatrix
from ._blocks.cyclic import (
    CyclicBandedMatrix as CyclicBandedMatrix,
    CyclicTridiagonalMatrix as CyclicTridiagonalMatrix,
)
from ._blocks.zeros import ZeroMatrix as ZeroMatrix
from ._composite.band_factors import (
    EliminationMatrix as EliminationMatrix,
    ReflectorsMatrix as ReflectorsMatrix,
)
from ._composite.cholesky_factors import (
    SemiseparableMatrix as SemiseparableMatrix,
    ToeplitzCholeskyMatrix as ToeplitzCholeskyMatrix,
)
from ._composite.eigenvectors import EigenvectorsMatrix as EigenvectorsMatrix
from ._composite.exponential import ExponentialMatrix as ExponentialMatrix
from ._composite.lazy import (
    InverseMatrix as InverseMatrix,
    ProductMatrix as ProductMatrix,
    SumMatrix as SumMatrix,
)
from ._matrices.banded import BandedMatrix as BandedMatrix
from ._matrices.bands import BandMatrix as BandMatrix
from ._matrices.bidiagonal import BidiagonalMatrix as BidiagonalMatrix
from ._matrices.block_diagonal import BlockDiagonalMatrix as BlockDiagonalMatrix
from ._matrices.block_tridiagonal import (
    BlockBidiagonalMatrix as BlockBidiagonalMatrix,
    BlockTridiagonalMatrix as BlockTridiagonalMatrix,
)
from ._matrices.circulant import CirculantMatrix as CirculantMatrix
from ._matrices.diagonal import DiagonalMatrix as DiagonalMatrix
from ._matrices.fourier import FourierMatrix as FourierMatrix
from ._matrices.identity import IdentityMatrix as IdentityMatrix, ScalarMatrix as ScalarMatrix
from ._matrices.kronecker import KroneckerMatrix as KroneckerMatrix
from ._matrices.kronecker_sum import KroneckerSumMatrix as KroneckerSumMatrix
from ._matrices.low_rank import LowRankPlusDiagonalMatrix as LowRankPlusDiagonalMatrix
from ._matrices.narrowest import from_bands as from_bands
from ._matrices.outer import LowRankMatrix as LowRankMatrix
from ._matrices.permutation import PermutationMatrix as PermutationMatrix
from ._matrices.rectangular import RectangularBandedMatrix as RectangularBandedMatrix
from ._matrices.toeplitz import ToeplitzMatrix as ToeplitzMatrix
from ._matrices.triangular import TriangularMatrix as TriangularMatrix
from ._matrices.tridiagonal import (
    SymmetricTridiagonalMatrix as SymmetricTridiagonalMatrix,
    TridiagonalMatrix as TridiagonalMatrix,
)
from ._matrix import operations as operations
from ._matrix.fields import leaf as leaf, static as static
from ._matrix.matrix import StructuredMatrix as StructuredMatrix
from ._matrix.properties import PROPERTIES as PROPERTIES

# These enrol rules, and the operations of two types.
from . import _arithmetic as _arithmetic, _functions as _functions, _primitives as _primitives  # isort: skip


def to_lineax(matrix: _Any) -> _Any:
    """The Lineax operator of a structured matrix: as `sciquax.interop.lineax.to_lineax`.

    **Arguments**: a matrix of this package, or an array, of shape (m, n).

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.structured import DiagonalMatrix, from_lineax, to_lineax
    >>> operator = to_lineax(DiagonalMatrix(jnp.array([2.0, 4.0])))
    >>> operator.mv(jnp.ones(2))
    Array([2., 4.], dtype=float32)
    >>> type(from_lineax(operator)).__name__
    'DiagonalMatrix'

    ```
    """
    return _adapter("lineax").to_lineax(matrix)


def from_lineax(operator: _Any) -> _Any:
    """The structured matrix of a Lineax operator: as `sciquax.interop.lineax.from_lineax`.

    **Raises** TypeError for an operator without a structure.
    """
    return _adapter("lineax").from_lineax(operator)
