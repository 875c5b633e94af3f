"""Eigenvectors in closed form, and functions of matrices by their eigenvalues."""

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
import pytest

from sciquax import quaxify
from sciquax.structured import (
    BlockDiagonalMatrix,
    BlockTridiagonalMatrix,
    CirculantMatrix,
    DiagonalMatrix,
    KroneckerMatrix,
    KroneckerSumMatrix,
    PermutationMatrix,
    SymmetricTridiagonalMatrix,
    TriangularMatrix,
    TridiagonalMatrix,
)

from .specimens import dense

pytestmark = pytest.mark.usefixtures("lenient")
rng = np.random.default_rng(8)
x = jnp.arange(1.0, 7.0)
REAL = CirculantMatrix(jnp.array([5.0, 1.0, 0.3, 0.2, -0.3, 0.7]))
COMPLEX = CirculantMatrix(jnp.array([5.0, 1 + 1j, 0.3, 0.2, 0.3, 1 - 1j]))


def normal(*shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def definite(n):
    a = normal(n, n)
    return a @ a.T + jnp.eye(n)


def close(actual, expected, tol=2e-5):
    actual = dense(actual)
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=tol, atol=tol)


@pytest.mark.parametrize("matrix", [REAL, COMPLEX], ids=["real", "complex"])
def test_eigenvectors_of_circulant_matrices(matrix):
    """As a matrix: of pairs of equal eigenvalues there is no one pair of vectors."""
    values, vectors = jax.jit(quaxify(jnp.linalg.eigh))(matrix)
    half = (matrix.materialise() + matrix.materialise().conj().T) / 2
    close(values, jnp.linalg.eigvalsh(half))
    assert vectors.dtype == matrix.dtype
    v = vectors.materialise()
    close(v.conj().T @ v, jnp.eye(6, dtype=v.dtype))
    close(half @ v, v * values)
    close(quaxify(lambda v: v[:, :2])(vectors), v[:, :2])
    values, vectors = quaxify(jnp.linalg.eig)(matrix)
    close(matrix.materialise() @ vectors.materialise(), vectors.materialise() * values)
    close(quaxify(lambda v: v[1, 2])(vectors), vectors.materialise()[1, 2])


def test_derivative_through_eigenvectors_of_a_circulant_matrix():
    def program(A):
        values, vectors = jnp.linalg.eigh(A)
        return x @ (vectors @ (values * (vectors.T @ x)))

    gradient = jax.grad(quaxify(program))(REAL)
    close(gradient.column, jnp.stack([x @ jnp.roll(x, k) for k in range(6)]), 1e-4)


def test_periodic_equation_on_a_torus():
    """Kronecker sums of circulant matrices are solved by Fourier transforms."""
    ring = CirculantMatrix(jnp.array([3.0, -1.0, -1.0]), properties={"hermitian"})
    A = KroneckerSumMatrix(CirculantMatrix(jnp.array([2.0, -1.0])), ring)
    close(quaxify(jnp.linalg.solve)(A, x), jnp.linalg.solve(A.materialise(), x))


P, Q = definite(2), definite(3)
ROOTS = {
    "diagonal": DiagonalMatrix(jnp.array([4.0, -1.0, 0.0])),
    "circulant": REAL,
    "complex circulant": COMPLEX,
    "blocks": BlockDiagonalMatrix(jnp.stack([P, -P])),
    "upper": TriangularMatrix(jnp.triu(normal(3, 3)) + 4 * jnp.eye(3), lower=False),
    "lower": TriangularMatrix(jnp.tril(normal(3, 3)) + 4 * jnp.eye(3)),
    "kronecker": KroneckerMatrix(P, Q),
    "two negative factors": KroneckerMatrix(-P, -Q),
    "not Hermitian": KroneckerMatrix(P + jnp.triu(normal(2, 2)), Q),
    "indefinite": KroneckerMatrix(P, Q - 3 * jnp.eye(3), properties={"hermitian"}),
    "kronecker sum": KroneckerSumMatrix(P, Q, properties={"hermitian"}),
}


@pytest.mark.parametrize("name", ROOTS)
def test_square_roots(name):
    matrix = ROOTS[name]
    close(quaxify(jsp.linalg.sqrtm)(matrix), jsp.linalg.sqrtm(matrix.materialise()), 2e-4)


def test_another_root_is_none():
    """Negative eigenvalues of both factors, besides positive ones: the roots' product is wrong."""
    matrix = KroneckerMatrix(jnp.diag(jnp.array([1.0, -2.0])), jnp.diag(jnp.array([3.0, -4.0])))
    assert np.isnan(dense(quaxify(jsp.linalg.sqrtm)(matrix))).all()


@pytest.mark.parametrize("name", ["diagonal", "circulant", "blocks", "kronecker sum"])
def test_functions_by_eigenvalues(name):
    def program(A):
        return jsp.linalg.funm(A, lambda z: jnp.sin(z) + 2 * z)

    close(quaxify(program)(ROOTS[name]), program(ROOTS[name].materialise()), 2e-4)


BLOCKS = BlockTridiagonalMatrix(normal(2, 2, 2), normal(3, 2, 2), normal(2, 2, 2))


@pytest.mark.parametrize("allowed", [False, True])
def test_masks_of_blocks(allowed):
    matrix = BLOCKS.rebuild(BLOCKS.arrays(), allow_materialise=allowed)
    for program in (lambda A: A > 0, lambda A: ~(A > 0) if allowed else A != 0):
        close(quaxify(program)(matrix), program(matrix.materialise()))


def small():
    return [
        TridiagonalMatrix(jnp.zeros(0), jnp.ones(1), jnp.zeros(0)),
        SymmetricTridiagonalMatrix(jnp.ones(1), jnp.zeros(0)),
        PermutationMatrix(jnp.zeros(1, int)),
        DiagonalMatrix(jnp.zeros(0)),
    ]


@pytest.mark.parametrize("matrix", small(), ids=lambda m: f"{type(m).__name__} {m.shape[0]}")
def test_one_row_or_none(matrix):
    """Loops over them, and diagonals beside the main one, which have no elements."""
    for program in (
        lambda A: jax.lax.fori_loop(0, 2, lambda _, B: 1.5 * B, A),
        lambda A: jnp.diag(jnp.linalg.inv(A), 1),
        lambda A: jnp.trace(A @ A.T, -1),
        lambda A: jnp.diag(jsp.linalg.expm(A), -1),
    ):
        close(quaxify(program)(matrix), program(matrix.materialise()))


def test_parts_of_what_has_products_alone():
    A = TridiagonalMatrix(jnp.arange(1.0, 6.0), jnp.arange(9.0, 15.0), -jnp.ones(5))
    for program in (
        lambda A: jnp.linalg.inv(A)[1:3],
        lambda A: jnp.linalg.inv(A)[:, :2],
        lambda A: jnp.linalg.inv(A)[1:3, 2:5],
        lambda A: jnp.linalg.inv(A)[:, jnp.array([4, 2])],
        lambda A: jnp.diag(jnp.linalg.inv(A), -2),
        lambda A: jnp.trace(jnp.linalg.inv(A) @ A.T, 1),
    ):
        close(quaxify(program)(A), program(A.materialise()))
