"""Eigenvectors in closed form, and functions of matrices by their eigenvalues."""

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
import pytest
import scipy.linalg
from jax import lax

from sciquax import quaxify
from sciquax.structured import (
    BandedMatrix,
    BlockDiagonalMatrix,
    BlockTridiagonalMatrix,
    CirculantMatrix,
    CyclicTridiagonalMatrix,
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


off = jnp.array([0.5, 2.0, -1.0, 0.25, 3.0])
BANDS = {
    "tridiagonal": TridiagonalMatrix(off, jnp.arange(6.0) ** 2, 2 * off),
    "complex": TridiagonalMatrix(
        lax.complex(off, -off), lax.complex(x**2, 0 * x), lax.complex(off, off)
    ),
    "banded": BandedMatrix(jnp.outer(jnp.arange(1.0, 6.0), x), lower=2, upper=2),
    "cyclic": CyclicTridiagonalMatrix(x, x**2, -2 * x),
    "one": TridiagonalMatrix(off[:0], off[:1], off[:0]),
}


@pytest.mark.parametrize("matrix", BANDS.values(), ids=BANDS)
def test_eigenvectors_of_band_matrices(matrix):
    n = matrix.shape[-1]
    values, vectors = quaxify(jnp.linalg.eigh)(matrix)
    half = (matrix.materialise() + matrix.materialise().conj().T) / 2
    v = vectors.materialise()
    assert v.dtype == matrix.dtype
    close(v.conj().T @ v, jnp.eye(n, dtype=v.dtype), 1e-6)
    close(half @ v, v * values, 5e-6)
    start = jnp.arange(1.0, n + 1)

    def evolved(A):
        values, vectors = jnp.linalg.eigh(A)
        return vectors @ (jnp.exp(-values) * (vectors.conj().T @ start))

    close(jax.jit(quaxify(evolved))(matrix), evolved(matrix.materialise()), 1e-4)


def test_eigenvectors_of_a_batch_and_their_derivatives():
    main = jnp.stack([x**2, jnp.cos(x), x])

    def first(main, form=lambda A: A):
        A = form(SymmetricTridiagonalMatrix(main, off))
        return quaxify(lambda A: jnp.linalg.eigh(A)[1][0] ** 2)(A) @ jnp.arange(6.0)

    wanted = jax.vmap(jax.grad(lambda main: first(main, dense)))(main)
    close(jax.vmap(jax.grad(first))(main), wanted, 1e-3)


def test_square_root_of_a_band_matrix():
    A = SymmetricTridiagonalMatrix(jnp.full(6, 9.0), off, properties={"positive_definite"})
    root = quaxify(jax.scipy.linalg.sqrtm)(A)
    wanted = A.materialise() @ x
    close(quaxify(lambda r: r @ (r @ x))(root), wanted.astype(complex), 1e-4)
    squared = quaxify(lambda A: jsp.linalg.funm(A, jnp.square) @ x)(A)  # a jitted function
    close(squared, (A.materialise() @ wanted).astype(complex), 1e-4)


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
    close(jax.jit(quaxify(jnp.linalg.solve))(A, x), np.linalg.solve(A.materialise(), x))


P, Q = definite(2), definite(3)
ROOTS = {
    "diagonal": DiagonalMatrix(jnp.array([4.0, -1.0, 9.0])),
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
    expected = scipy.linalg.sqrtm(np.asarray(matrix.materialise())).astype(np.complex64)
    close(quaxify(jsp.linalg.sqrtm)(matrix), expected, 2e-4)


def test_another_root_is_none():
    """Negative eigenvalues of both factors, besides positive ones: the roots' product is wrong."""
    matrix = KroneckerMatrix(jnp.diag(jnp.array([1.0, -2.0])), jnp.diag(jnp.array([3.0, -4.0])))
    assert np.isnan(dense(quaxify(jsp.linalg.sqrtm)(matrix))).all()


@pytest.mark.parametrize("name", ["circulant", "blocks", "kronecker sum"])
def test_functions_by_eigenvalues(name):
    expected = scipy.linalg.expm(2 * np.asarray(ROOTS[name].materialise())).astype(np.complex64)
    found = jax.jit(quaxify(lambda A: jsp.linalg.funm(A, lambda z: jnp.exp(2 * z))))(ROOTS[name])
    scale = np.abs(expected).max()
    close(jax.tree.map(lambda x: x / scale, dense(found)), expected / scale, 2e-4)


MASKED = {
    "blocks": BlockTridiagonalMatrix(normal(2, 2, 2), normal(3, 2, 2), normal(2, 2, 2)),
    "cyclic": CyclicTridiagonalMatrix(normal(4), normal(4), normal(4)),
}


@pytest.mark.parametrize("name", MASKED)
def test_masks_become_dense(name):
    matrix = MASKED[name]
    found = quaxify(lambda A: A > 0)(matrix)
    close(found, np.asarray(matrix.materialise()) > 0)


def small():
    return [
        TridiagonalMatrix(jnp.zeros(0), jnp.ones(1), jnp.zeros(0)),
        PermutationMatrix(jnp.zeros(1, int)),
        DiagonalMatrix(jnp.zeros(0)),
    ]


@pytest.mark.parametrize("matrix", small(), ids=lambda m: f"{type(m).__name__} {m.shape[0]}")
def test_one_row_or_none(matrix):
    """Loops over them, and diagonals beside the main one, which have no elements."""

    def program(A):
        looped = jax.lax.fori_loop(0, 2, lambda _, B: 1.5 * B, A)
        none = jnp.diag(jnp.linalg.inv(A), 1), jnp.diag(jsp.linalg.expm(A), -1)
        return looped, *none, jnp.trace(A @ A.T, -1)

    looped, above, below, trace = jax.jit(quaxify(program))(matrix)
    close(looped, 2.25 * np.asarray(matrix.materialise()))
    assert above.shape == below.shape == (0,) and trace == 0


def test_parts_of_what_has_products_alone():
    A = TridiagonalMatrix(jnp.arange(1.0, 6.0), jnp.arange(9.0, 15.0), -jnp.ones(5))

    def program(A):
        X = jnp.linalg.inv(A)
        some = jnp.array([4, 2])
        parts = X[1:3], X[:, :2], X[1:3, 2:5], X[:, some], jnp.diag(X, -2), jnp.trace(X @ A.T, 1)
        return *parts, jnp.einsum("ij,ij->i", A, A), jnp.einsum("ij,ji->j", A, A)

    a = np.asarray(A.materialise())
    x = np.linalg.inv(a)
    parts = x[1:3], x[:, :2], x[1:3, 2:5], x[:, [4, 2]], np.diag(x, -2), np.trace(x @ a.T, 1)
    expected = *parts, (a * a).sum(1), (a * a.T).sum(0)
    for actual, wanted in zip(jax.jit(quaxify(program))(A), expected, strict=True):
        close(actual, wanted)


@pytest.mark.parametrize("claimed", [True, False])
def test_sum_of_two_kronecker_products(claimed):
    """Stiffness and mass on a grid: by Cholesky factors, or of any matrices by Schur's forms."""
    if claimed:
        known = {"properties": {"positive_definite"}}
        k, m = (DiagonalMatrix(jnp.array(x), **known) for x in ([1.0, 3.0], [0.5, 2.0]))
        K, M = (
            TridiagonalMatrix(off, main, off, **known)
            for off, main in ((-jnp.ones(2), jnp.arange(3.0, 6.0)), (jnp.ones(2) / 6, jnp.ones(3)))
        )
    else:
        k, m, K, M = (normal(n, n) + 3 * jnp.eye(n) for n in (2, 2, 3, 3))
        m = m.at[0].set(0.0)  # it has no inverse
    first, second = KroneckerMatrix(k, M), KroneckerMatrix(m, K)
    program = lambda A, B: (jnp.linalg.solve(A - B, x), jnp.linalg.slogdet(A - B))  # noqa: E731
    whole = np.asarray(first.materialise()) - np.asarray(second.materialise())
    solution, (sign, log) = jax.jit(quaxify(program))(first, second)
    close(solution, np.linalg.solve(whole, x), 2e-4)
    wanted = np.linalg.slogdet(whole)
    close(sign, wanted[0])
    close(log, wanted[1], 1e-4)
