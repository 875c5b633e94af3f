"""Specimens: one factory per structured type, enrolled in every test of `test_operations.py`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sciquax.structured import (
    BandedMatrix,
    BidiagonalMatrix,
    BlockDiagonalMatrix,
    BlockMatrix,
    BlockTridiagonalMatrix,
    CirculantMatrix,
    CyclicBandedMatrix,
    CyclicTridiagonalMatrix,
    DiagonalMatrix,
    IdentityMatrix,
    KroneckerMatrix,
    KroneckerSumMatrix,
    LowRankPlusDiagonalMatrix,
    PermutationMatrix,
    ScalarMatrix,
    SymmetricTridiagonalMatrix,
    ToeplitzMatrix,
    TriangularMatrix,
    TridiagonalMatrix,
    ZeroMatrix,
)

N = 6
GUIDE = Path(__file__).parents[2] / "docs" / "add-a-matrix.md"


def _from_guide(name: str) -> Any:
    """The type that the first code of the guide adds, as its reader writes it."""
    names: dict[str, Any] = {"__name__": __name__}
    exec(GUIDE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0], names)
    return names[name]


CyclicTridiagonal = _from_guide("CyclicTridiagonal")


class Specimen(NamedTuple):
    """A structured type: how to make one of size 6 from random numbers, batched or not."""

    name: str
    make: Callable[..., Any]
    dense_storage: bool = False  # it stores n by n numbers itself

    def __str__(self) -> str:
        return self.name


def _normal(rng: np.random.Generator, *shape: int) -> jax.Array:
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def _symmetric(x: Any) -> Any:
    return x + jnp.swapaxes(x, -1, -2)


def _diagonal(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    return DiagonalMatrix(_normal(rng, *batch, N) + 3, **options)


def _upper(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    return BidiagonalMatrix(_normal(rng, *batch, N) + 4, _normal(rng, *batch, N - 1), **options)


def _lower(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    return BidiagonalMatrix(
        _normal(rng, *batch, N) + 4, _normal(rng, *batch, N - 1), lower=True, **options
    )


def _tridiagonal(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    return TridiagonalMatrix(
        _normal(rng, *batch, N - 1), _normal(rng, *batch, N), _normal(rng, *batch, N - 1), **options
    )


def _dominant(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    return TridiagonalMatrix(
        _normal(rng, *batch, N - 1),
        _normal(rng, *batch, N) + 9,
        _normal(rng, *batch, N - 1),
        properties={"diagonally_dominant"},
        **options,
    )


def _symmetric_tridiagonal(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    return SymmetricTridiagonalMatrix(
        _normal(rng, *batch, N) + 6, _normal(rng, *batch, N - 1), **options
    )


def _banded(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    return BandedMatrix(_normal(rng, *batch, 4, N), lower=2, upper=1, **options)


def _triangular(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    return TriangularMatrix(_normal(rng, *batch, N, N) + 4 * jnp.eye(N), **options)


def _upper_triangular(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    return TriangularMatrix(_normal(rng, *batch, N, N) + 4 * jnp.eye(N), lower=False, **options)


def _toeplitz(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    column = _normal(rng, *batch, N)
    return ToeplitzMatrix(column.at[..., 0].add(8), _normal(rng, *batch, N), **options)


def _circulant(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    return CirculantMatrix(_normal(rng, *batch, N).at[..., 0].add(6), **options)


def _blocks(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    return BlockDiagonalMatrix(_normal(rng, *batch, 3, 2, 2) + 3 * jnp.eye(2), **options)


def _block_tridiagonal(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    off = (_normal(rng, *batch, N // 2 - 1, 2, 2) for _ in range(2))
    main = _normal(rng, *batch, N // 2, 2, 2)
    return BlockTridiagonalMatrix(next(off), main, next(off), **options)


def _tridiagonal_of(rng: Any, batch: tuple[int, ...], n: int) -> Any:
    off = (_normal(rng, *batch, n - 1) for _ in range(2))
    return TridiagonalMatrix(next(off), _normal(rng, *batch, n) + 4, next(off))


def _zeros(batch: tuple[int, ...], rows: int, columns: int) -> Any:
    made = ZeroMatrix(rows, columns)
    return made.rebuild([jnp.zeros(batch, jnp.float32)])


def _apart(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    blocks = BlockDiagonalMatrix(_normal(rng, *batch, 1, 2, 2) + 3 * jnp.eye(2))
    zeros = _zeros(batch, N - 2, 2), _zeros(batch, 2, N - 2)
    return BlockMatrix(_tridiagonal_of(rng, batch, N - 2), *zeros, blocks, **options)


def _bordered(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    column, row = _normal(rng, *batch, N - 1, 1), _normal(rng, *batch, 1, N - 1)
    corner = _normal(rng, *batch, 1, 1) + 3
    return BlockMatrix(_tridiagonal_of(rng, batch, N - 1), column, row, corner, **options)


def _periodic(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    lower, main, upper = (_normal(rng, *batch, N) for _ in range(3))
    return CyclicTridiagonalMatrix(lower, main + 3, upper, **options)


def _cyclic_banded(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    return CyclicBandedMatrix(_normal(rng, *batch, 4, N), lower=2, upper=1, **options)


def _kronecker(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    return KroneckerMatrix(
        _normal(rng, *batch, 2, 2) + 3 * jnp.eye(2),
        _normal(rng, *batch, 3, 3) + 3 * jnp.eye(3),
        **options,
    )


def _kronecker_sum(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    return KroneckerSumMatrix(
        _normal(rng, *batch, 2, 2) + 3 * jnp.eye(2),
        _normal(rng, *batch, 3, 3) + 3 * jnp.eye(3),
        **options,
    )


def _low_rank(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    return LowRankPlusDiagonalMatrix(
        _normal(rng, *batch, N) + 5,
        _normal(rng, *batch, N, 2),
        _normal(rng, *batch, 2, N),
        **options,
    )


def _permutation(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    count = int(np.prod(batch, dtype=int))
    perms = np.stack([rng.permutation(N) for _ in range(count)])
    return PermutationMatrix(jnp.asarray(perms.reshape(*batch, N), jnp.int32), **options)


def _identity(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    made = IdentityMatrix(N, **options)
    return made.rebuild([jnp.ones(batch, jnp.float32)])


def _scalar(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    return ScalarMatrix(_normal(rng, *batch) + 3, N, **options)


def _cyclic(rng: Any, batch: tuple[int, ...] = (), **options: Any) -> Any:
    lower, main, upper = (_normal(rng, *batch, N) for _ in range(3))
    return CyclicTridiagonal(lower, main + 6, upper, **options)


SPECIMENS = [
    Specimen("diagonal", _diagonal),
    Specimen("upper bidiagonal", _upper),
    Specimen("lower bidiagonal", _lower),
    Specimen("tridiagonal", _tridiagonal),
    Specimen("dominant tridiagonal", _dominant),
    Specimen("symmetric tridiagonal", _symmetric_tridiagonal),
    Specimen("banded", _banded),
    Specimen("lower triangular", _triangular, True),
    Specimen("upper triangular", _upper_triangular, True),
    Specimen("toeplitz", _toeplitz),
    Specimen("circulant", _circulant),
    Specimen("block diagonal", _blocks),
    Specimen("block tridiagonal", _block_tridiagonal),
    Specimen("blocks apart", _apart),
    Specimen("bordered", _bordered),
    Specimen("kronecker", _kronecker),
    Specimen("kronecker sum", _kronecker_sum),
    Specimen("low rank", _low_rank),
    Specimen("permutation", _permutation),
    Specimen("identity", _identity),
    Specimen("scalar", _scalar),
    Specimen("cyclic tridiagonal", _periodic),
    Specimen("cyclic banded", _cyclic_banded),
    Specimen("of the guide", _cyclic),
]


def largest_intermediate(closed: Any) -> int:
    """The number of elements of the largest array in a jaxpr, bodies included."""
    jaxpr = getattr(closed, "jaxpr", closed)
    largest = 0
    for eqn in jaxpr.eqns:
        for var in eqn.outvars:
            largest = max(largest, int(np.prod(getattr(var.aval, "shape", ()), dtype=int)))
        for param in eqn.params.values():
            for body in param if isinstance(param, (tuple, list)) else (param,):
                if hasattr(body, "eqns") or hasattr(body, "jaxpr"):
                    largest = max(largest, largest_intermediate(body))
    return largest


def dense(tree: Any) -> Any:
    """`tree` with structured matrices as plain arrays."""
    from sciquax.core import is_value

    return jax.tree.map(lambda x: x.materialise() if is_value(x) else x, tree, is_leaf=is_value)
