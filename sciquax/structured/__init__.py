"""Arrays with structure: matrices, low-rank updates, sparse and quantised arrays, zeros."""

from typing import Any

from sciquax.core._adapters import adapter

from . import (  # enrol their rules
    _functions as _functions,
    _lora_rules as _lora_rules,
    _pieces as _pieces,
    _quantised_rules as _quantised_rules,
    _rules as _rules,
    _sparse_bands as _sparse_bands,
    _sparse_elementwise as _sparse_elementwise,
    _sparse_functions as _sparse_functions,
    _sparse_moves as _sparse_moves,
    _sparse_products as _sparse_products,
    _sparse_reduce as _sparse_reduce,
)
from ._band_factors import (
    EliminationMatrix as EliminationMatrix,
    ReflectorsMatrix as ReflectorsMatrix,
)
from ._banded import BandedMatrix as BandedMatrix
from ._bidiagonal import BidiagonalMatrix as BidiagonalMatrix
from ._block_diagonal import BlockDiagonalMatrix as BlockDiagonalMatrix
from ._cholesky import (
    SemiseparableMatrix as SemiseparableMatrix,
    ToeplitzCholeskyMatrix as ToeplitzCholeskyMatrix,
)
from ._circulant import CirculantMatrix as CirculantMatrix
from ._diagonal import DiagonalMatrix as DiagonalMatrix
from ._exponential import ExponentialMatrix as ExponentialMatrix
from ._identity import IdentityMatrix as IdentityMatrix, ScalarMatrix as ScalarMatrix
from ._kronecker import KroneckerMatrix as KroneckerMatrix
from ._lazy import (
    InverseMatrix as InverseMatrix,
    ProductMatrix as ProductMatrix,
    SumMatrix as SumMatrix,
)
from ._lora import LoraArray as LoraArray
from ._loraify import (
    adapter_filter as adapter_filter,
    extract_adapters as extract_adapters,
    load_adapters as load_adapters,
    lora_dropout as lora_dropout,
    loraify as loraify,
    merge as merge,
    read_adapters as read_adapters,
    save_adapters as save_adapters,
    unmerge as unmerge,
)
from ._low_rank import LowRankPlusDiagonalMatrix as LowRankPlusDiagonalMatrix
from ._matrix import StructuredMatrix as StructuredMatrix
from ._permutation import PermutationMatrix as PermutationMatrix
from ._properties import PROPERTIES as PROPERTIES
from ._quantised import (
    QuantisedArray as QuantisedArray,
    quantise as quantise,
    quantise_model as quantise_model,
)
from ._sparse import BCOO as BCOO
from ._toeplitz import ToeplitzMatrix as ToeplitzMatrix
from ._triangular import TriangularMatrix as TriangularMatrix
from ._tridiagonal import (
    SymmetricTridiagonalMatrix as SymmetricTridiagonalMatrix,
    TridiagonalMatrix as TridiagonalMatrix,
)
from ._zero import Zero as Zero


def to_lineax(matrix: Any) -> Any:
    """A structured matrix, or an array, as a Lineax operator: `sciquax.interop.lineax.to_lineax`.

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
    return adapter("lineax").to_lineax(matrix)


def from_lineax(operator: Any) -> Any:
    """A Lineax operator as a structured matrix: `sciquax.interop.lineax.from_lineax`."""
    return adapter("lineax").from_lineax(operator)
