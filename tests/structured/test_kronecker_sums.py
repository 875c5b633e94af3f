"""Kronecker sums: grids of two and three dimensions, dense arrays as the oracle."""

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
import pytest

from sciquax import quaxify
from sciquax.structured import (
    IdentityMatrix,
    KroneckerMatrix,
    KroneckerSumMatrix,
    SymmetricTridiagonalMatrix,
    TridiagonalMatrix,
)
from sciquax.units import Quantity
from tests.structured.specimens import dense
from tests.structured.test_operations import assert_close

RNG = np.random.default_rng(2)


def _second(n):
    return SymmetricTridiagonalMatrix(
        -2.0 * jnp.ones(n) - 0.1 * jnp.arange(float(n)), jnp.ones(n - 1)
    )


def _advection(n):
    return TridiagonalMatrix(2.0 * jnp.ones(n - 1), -4.0 * jnp.ones(n), jnp.ones(n - 1))


LAPLACIAN = KroneckerSumMatrix(_second(3), _second(4))
SUMS = {
    "tridiagonal": LAPLACIAN,
    "cube": KroneckerSumMatrix(_second(2), KroneckerSumMatrix(_second(3), _second(2))),
    "not symmetric": KroneckerSumMatrix(_advection(3), _second(4)),
    "arrays": KroneckerSumMatrix(
        jnp.asarray(RNG.normal(size=(3, 3)), jnp.float32) + 4 * jnp.eye(3),
        jnp.asarray(RNG.normal(size=(4, 4)), jnp.float32) + 4 * jnp.eye(4),
    ),
}
n = 12
b = jnp.asarray(RNG.normal(size=n), jnp.float32)


def steps(A):
    def step(dt):
        return jnp.linalg.solve(jnp.eye(n) - dt * A, b)

    return (
        A @ b,
        step(0.05),
        jnp.linalg.solve(A, jnp.stack([b, b**2], 1)),
        jax.vmap(step)(jnp.array([0.01, 0.03])),
        jax.jacfwd(step)(0.05),
        jax.grad(lambda dt: step(dt) @ b)(0.05),
        tuple(jnp.linalg.slogdet(A + 3 * jnp.eye(n))),
        jsp.linalg.expm(0.1 * A) @ b,
        (jnp.diag(A), A[1], A[2, 5], A.sum(0), A.T @ b, (A - 2 * A) @ b),
    )


@pytest.mark.parametrize("name", [*SUMS])
def test_steps(name):
    A = SUMS[name]
    with jax.numpy_dtype_promotion("standard"):
        assert_close(dense(quaxify(steps)(A)), steps(A.materialise()))


def test_eigenvalues_and_vectors():
    values, vectors = quaxify(jnp.linalg.eigh)(LAPLACIAN)
    assert_close(values, jnp.linalg.eigvalsh(LAPLACIAN.materialise()))
    back = vectors.materialise() @ jnp.diag(values) @ vectors.materialise().T
    assert_close(back, LAPLACIAN.materialise())


def test_gradients_of_the_factors():
    def loss(off, main, s):
        A = KroneckerSumMatrix(SymmetricTridiagonalMatrix(main, off), _second(4))
        solved = quaxify(lambda A: jnp.linalg.solve(jnp.eye(n) - s * A, b))(A)
        return solved @ b + quaxify(lambda A: jnp.linalg.slogdet(A - 9 * jnp.eye(n))[1])(A)

    def plain(off, main, s):
        a = jnp.diag(main) + jnp.diag(off, 1) + jnp.diag(off, -1)
        A = jnp.kron(a, jnp.eye(4)) + jnp.kron(jnp.eye(3), _second(4).materialise())
        solved = jnp.linalg.solve(jnp.eye(n) - s * A, b)
        return solved @ b + jnp.linalg.slogdet(A - 9 * jnp.eye(n))[1]

    given = jnp.array([1.0, 1.5]), jnp.array([-2.0, -2.5, -3.0]), 0.1
    assert_close(jax.grad(loss, (0, 1, 2))(*given), jax.grad(plain, (0, 1, 2))(*given))


def test_sum_of_products_with_the_identity():
    a, c = _second(3), _advection(4)

    def program(a, c):
        return jnp.kron(a, jnp.eye(4)) + jnp.kron(jnp.eye(3), c)

    def difference(a, c):
        return jnp.kron(jnp.eye(3), c) - jnp.kron(2 * a, jnp.eye(4))

    for made in (program, difference):
        found = quaxify(made)(a, c)
        assert isinstance(found, KroneckerSumMatrix)
        assert_close(found.materialise(), made(a.materialise(), c.materialise()))


def test_other_sums_of_products_stay_sums():
    found = quaxify(lambda x, y: x + y)(
        KroneckerMatrix(_second(3), _second(4)), KroneckerMatrix(_second(3), IdentityMatrix(4))
    )
    assert type(found).__name__ == "SumMatrix"


def test_units():
    A = KroneckerSumMatrix(Quantity(_second(3), "1/cm**2"), Quantity(_second(4), "1/cm**2"))
    heat = quaxify(lambda A, u, dt: jnp.linalg.solve(jnp.eye(n) - dt * A, u))
    found = heat(A, Quantity(b, "K"), Quantity(0.05, "cm**2"))
    expected = jnp.linalg.solve(jnp.eye(n) - 0.05 * LAPLACIAN.materialise(), b)
    assert_close(found.m_as("K"), expected)


def test_what_is_not_square():
    with pytest.raises(ValueError, match="^A `KroneckerSumMatrix` is made of square matrices"):
        KroneckerSumMatrix(jnp.ones((2, 3)), jnp.ones((2, 2)))


# -- products and noise ---------------------------------------------------------------------------


def _covariance(count):
    x = jnp.arange(float(count))
    return jnp.exp(-jnp.abs(x[:, None] - x[None]) / 2)


def noisy(K):
    """A kernel on a grid with noise, by whose variance the likelihood is differentiated."""
    eye = jnp.eye(K.shape[-1])

    def likelihood(s):
        return b @ jnp.linalg.solve(K + s * eye, b) + jnp.linalg.slogdet(K + s * eye)[1]

    values, vectors = jnp.linalg.eigh(K + 0.5 * eye)
    return (
        jax.value_and_grad(likelihood)(0.5),
        values,
        vectors @ (values * (vectors.T @ b)),
        jnp.linalg.slogdet(eye - 0.1 * K),
    )


def moved(K):
    eye = jnp.eye(K.shape[-1])
    return (
        jnp.linalg.inv(2 * eye - K) @ b,
        jax.jacfwd(lambda s: jnp.linalg.solve(K + s * eye, b))(0.5),
        jnp.linalg.slogdet(K + eye),
    )


def test_a_kernel_with_noise():
    matrix = KroneckerMatrix(_covariance(3), _covariance(4))
    assert_close(dense(quaxify(noisy)(matrix)), noisy(matrix.materialise()))


def test_a_kernel_that_is_not_symmetric():
    """However small its first factor is beside the other one."""
    first = 1e-4 * jnp.asarray(RNG.normal(size=(3, 3)), jnp.float32)
    second = 1e4 * jnp.asarray(RNG.normal(size=(4, 4)), jnp.float32)
    matrix = KroneckerMatrix(first, second)
    assert_close(quaxify(moved)(matrix), moved(matrix.materialise()))


def test_least_squares_by_factors():
    first = jnp.asarray(RNG.normal(size=(3, 2)), jnp.float32)
    matrix = KroneckerMatrix(first, jnp.asarray(RNG.normal(size=(4, 3)), jnp.float32))
    program = lambda K: (jnp.linalg.lstsq(K, b)[:2], jnp.linalg.pinv(K.T) @ jnp.arange(6.0))  # noqa: E731
    assert_close(quaxify(program)(matrix), program(matrix.materialise()))
