"""The eigenvectors of a Hermitian band matrix."""

from typing import Any, ClassVar

import jax.numpy as jnp

from .._kernels import eigenvectors, spectra
from .._kernels.bands import pad
from .._matrices.bands import BandMatrix
from .._matrices.identity import identity_like
from .._matrix import operations
from .._matrix.fields import leaf, static
from .._matrix.matrix import StructuredMatrix


class EigenvectorsMatrix(StructuredMatrix):
    """The eigenvectors of a Hermitian band matrix, which are computed where they are used.

    What `jnp.linalg.eigh` gives for a band matrix. It stores the matrix's diagonals on and above
    the main one, `bands` (..., w + 1, n), each with zeros at its end. Each use asks LAPACK on the
    host, O(n^2) time for a tridiagonal matrix and O(n^3) for others, and has n^2 elements.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.structured import SymmetricTridiagonalMatrix
    >>> a = SymmetricTridiagonalMatrix(2 * jnp.ones(3), -jnp.ones(2))
    >>> values, vectors = quaxify(jnp.linalg.eigh)(a)
    >>> jnp.abs(vectors @ jnp.array([0.0, 1.0, 0.0])).round(4)
    Array([0.7071, 0.    , 0.7071], dtype=float32)

    ```
    """

    claims: ClassVar[frozenset[str]] = frozenset({"orthogonal"})

    bands: Any = leaf(core_ndim=2)
    transposed: bool = static(converter=bool, default=False)

    @staticmethod
    def of(a: BandMatrix) -> Any:
        n = a.shape[-1]
        upper = {k: x for k, x in a.diagonals().items() if 0 <= k < n}
        rows = [pad(x, k, -1) for k, x in enumerate(spectra.filled(upper))]
        rows = jnp.stack([x.astype(a.dtype) for x in rows], -2)
        return EigenvectorsMatrix.build([rows], transposed=False, allow_materialise=True)

    def aval(self) -> Any:
        *batch, _, n = self.bands.shape
        return self.matrix_aval((*batch, n, n))

    def materialise(self) -> Any:
        _, vectors = eigenvectors.eigh(self.bands)
        return jnp.swapaxes(vectors, -1, -2) if self.transposed else vectors

    def matmat(self, x: Any) -> Any:
        return jnp.matmul(self.materialise(), x, precision="highest")

    def solve(self, b: Any) -> Any:
        return self.adjoint().matmat(b)

    def transpose(self) -> Any:
        return self.rebuild(
            self.arrays(), transposed=not self.transposed, properties=self.properties
        )

    def scale(self, s: Any, function: Any = jnp.multiply, properties: str = "scale") -> Any:
        one = identity_like(self, self.dtype, allow=True)
        return operations.kept_product(one.scale(s, function), self)

    def convert(self, dtype: Any) -> Any:
        kept = jnp.issubdtype(dtype, jnp.inexact) and (
            jnp.issubdtype(dtype, jnp.complexfloating)
            or not jnp.issubdtype(self.dtype, jnp.complexfloating)
        )
        if not kept:
            return NotImplemented
        return self.rebuild([self.bands.astype(dtype)], properties=self.properties)


operations.inverse.register(EigenvectorsMatrix)(lambda a: a.adjoint())


@operations.eigh.register(BandMatrix)
def _eigh(a: BandMatrix) -> tuple[Any, Any]:
    values = operations.eigvalsh(a)
    return values, EigenvectorsMatrix.of(a)
