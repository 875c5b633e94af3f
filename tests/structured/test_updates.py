"""Corrections of low rank, and `A.at[...]`: structures kept, or widened; dense is the oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sciquax import quaxify
from sciquax.core import RuleError
from sciquax.structured import (
    CyclicTridiagonalMatrix,
    DiagonalMatrix,
    KroneckerSumMatrix,
    LowRankMatrix,
    ToeplitzMatrix,
    TridiagonalMatrix,
)
from sciquax.units import Quantity
from tests.structured.specimens import dense, largest_intermediate
from tests.structured.test_operations import assert_close

RNG = np.random.default_rng(7)

pytestmark = pytest.mark.usefixtures("lenient")


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


n = 7
T = TridiagonalMatrix(normal(n - 1), normal(n) + 4, normal(n - 1))
D = DiagonalMatrix(normal(n) + 3)
TOEPLITZ = ToeplitzMatrix(normal(n).at[0].add(6), normal(n))
CYCLIC = CyclicTridiagonalMatrix(normal(n), normal(n) + 4, normal(n))
NEUMANN = TridiagonalMatrix(
    jnp.ones(n - 1), jnp.full(n, -2.0).at[jnp.array([0, n - 1])].set(-1.0), jnp.ones(n - 1)
)
u, v, U, V, b = normal(n), normal(n), normal(n, 2), normal(2, n), normal(n)
SUMS = {
    "outer": lambda A: A + jnp.outer(u, v),
    "factors": lambda A: 2 * A - 0.5 * (U @ V),
    "columns": lambda A: u[:, None] * v - A,
    "two": lambda A: A + jnp.einsum("i,j->ij", u, v) + jnp.outer(v, u).T / 3,
    "mean": lambda A: A + jnp.ones((n, n)) / n,
}
KEPT = {"T": T, "D": D, "NEUMANN": NEUMANN, "TOEPLITZ": TOEPLITZ}
CASES = [(s, m) for s in SUMS for m in KEPT]


@pytest.mark.parametrize(
    "name, of",
    [
        c if c[1] == "NEUMANN" or c[0] == "outer" else pytest.param(*c, marks=pytest.mark.slow)
        for c in CASES
    ],
)
def test_a_product_of_thin_factors_is_a_correction(name, of):
    """Also of a singular matrix, where the sum is not."""
    A = KEPT[of]

    def program(A):
        M = SUMS[name](A)
        return M @ b, jnp.linalg.solve(M, b), tuple(jnp.linalg.slogdet(M)), jnp.diag(M)

    assert_close(jax.jit(quaxify(program))(A), program(A.materialise()))


def test_thin_factors_elsewhere():
    """Products with them, and elementwise ones; where nothing knows them they are arrays."""

    def program(A):
        P = jnp.outer(u, v)
        return A * P, A @ P, P @ A.T, P.T @ (A @ b), jnp.exp(P) + (A @ b), b @ (U @ V), 2 * P

    ours = jax.jit(quaxify(program))(T)
    assert_close(dense(ours), program(T.materialise()))
    assert type(ours[0]) is TridiagonalMatrix
    assert all(isinstance(x, jax.Array) for x in ours[1:])


def test_no_thin_product_is_multiplied_out():
    size = 64
    A = TridiagonalMatrix(jnp.ones(size - 1), 5 * jnp.ones(size), jnp.ones(size - 1))
    x = jnp.cos(jnp.arange(float(size)))

    def program(A, x):
        M = A + jnp.outer(x, x) - 2 * (x[:, None] @ x[None])
        return jnp.linalg.solve(M, x) + M @ x, jnp.linalg.slogdet(M), M.at[0].set(x) @ x

    gradient = jax.grad(lambda A, x: jnp.sum(quaxify(program)(A, x)[0]), argnums=(0, 1))
    for run in (quaxify(program), gradient):
        assert largest_intermediate(jax.make_jaxpr(run)(A, x)) < size * size / 2


@pytest.mark.slow
def test_gradients_units_and_batches_of_corrections():
    def loss(A, u):
        M = A + jnp.outer(u, v)
        return jnp.sum(jnp.linalg.solve(M, b) ** 2) + jnp.linalg.slogdet(M)[1]

    ours = jax.grad(quaxify(loss), argnums=(0, 1))(T, u)
    plain = jax.grad(loss, argnums=(0, 1))(T.materialise(), u)
    assert_close(ours[1], plain[1])
    assert_close(ours[0].main_diag, jnp.diag(plain[0]))
    us = normal(3, n)
    each = lambda A: jax.vmap(lambda u: jnp.linalg.solve(A + jnp.outer(u, v), b))(us)  # noqa: E731
    assert_close(quaxify(each)(T), each(T.materialise()))
    solve = quaxify(lambda A, u, b: jnp.linalg.solve(A + jnp.outer(u, v), b))
    x = solve(Quantity(T, "N/m"), Quantity(u, "N/m"), Quantity(b, "N"))
    assert str(x.units) == "meter"
    assert_close(x.m, jnp.linalg.solve(T.materialise() + jnp.outer(u, v), b))


def test_low_rank_matrices():
    A, B = LowRankMatrix(U, V), LowRankMatrix(u[:, None], v[None])
    for function in (
        lambda A, B: A + B, lambda A, B: A - B, lambda A, B: A @ B, lambda A, B: A * B,
        lambda A, B: A.T @ B.T, lambda A, B: jnp.linalg.norm(A) * B, lambda A, B: A[1],
    ):  # fmt: skip
        assert_close(dense(quaxify(function)(A, B)), function(A.materialise(), B.materialise()))
    assert type(quaxify(lambda A: A + jnp.eye(n))(A)).__name__ == "LowRankPlusDiagonalMatrix"
    with pytest.raises(ValueError, match=r"^A `LowRankMatrix` takes u of shape"):
        LowRankMatrix(U, U)


ROW = normal(n)


def _ends():
    return jnp.array([0, n - 1])


def _ones():
    return jnp.array([1, 1])


UPDATES = {
    "element": (lambda A: A.at[0, 1].set(5.0), "same"),
    "add": (lambda A: A.at[3, 3].add(2.0).at[2, 2].subtract(1.0), "same"),
    "wider": (lambda A: A.at[0, 2].set(1.5), "Banded"),
    "corners": (lambda A: A.at[0, -1].add(1.5).at[-1, 0].set(2.0), "CyclicTridiagonal"),
    "twice": (lambda A: A.at[_ones(), _ones()].add(jnp.array([1.0, 2.0])), "same"),
    "outside": (lambda A: A.at[20, 3].set(1.0), "same"),
    "rows of zeros": (lambda A: A.at[_ends()].set(0.0).at[_ends(), _ends()].set(1.0), "same"),
    "row": (lambda A: A.at[0].set(ROW), "Sum"),
    "column": (lambda A: A.at[:, 2].add(ROW), "Sum"),
    "row found": (lambda A: A.at[jnp.argmax(b)].set(ROW), "Sum"),
}  # fmt: skip


@pytest.mark.parametrize("name", UPDATES)
def test_updates(name):
    program, kept = UPDATES[name]
    made = jax.jit(quaxify(program))(T)
    assert (
        type(made) is TridiagonalMatrix
        if kept == "same"
        else type(made).__name__ == f"{kept}Matrix"
    )
    np.testing.assert_allclose(made.materialise(), program(T.materialise()), atol=1e-6)
    x = jax.jit(quaxify(jnp.linalg.solve))(made, b)
    np.testing.assert_allclose(program(T.materialise()) @ x, b, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize("of", ["D", "NEUMANN", "TOEPLITZ", "CYCLIC"])
def test_updates_of_others(name, of):
    program, A = UPDATES[name][0], {**KEPT, "CYCLIC": CYCLIC}[of]
    for run in (quaxify(program), jax.jit(quaxify(program))):
        np.testing.assert_allclose(run(A).materialise(), program(A.materialise()), atol=1e-6)


def test_updates_outside_of_quaxify_with_units_and_gradients():
    made = Quantity(T, "N/m").at[0, 0].set(Quantity(1.0, "N/cm"))
    assert str(made.units) == "newton / meter" and float(made.m.main_diag[0]) == 100.0
    assert type(T.at[0, 0].set(1.0)) is TridiagonalMatrix

    def loss(s, A):
        return jnp.sum(jnp.linalg.solve(A.at[0, 0].set(s), b) ** 2)

    assert_close(jax.grad(quaxify(loss))(3.0, T), jax.grad(loss)(3.0, T.materialise()))


def test_updates_without_a_structure_are_refused():
    for program in (
        lambda A: A.at[0:3, 3:7].set(1.0),
        lambda A: A.at[0, 0].max(1.0),
        lambda A, i: A.at[i].set(ROW),
    ):
        operands = (T,) if program.__code__.co_argcount == 1 else (T, jnp.array([0, 3]))
        with pytest.raises(RuleError, match="has no structured result"):
            jax.jit(quaxify(program))(*operands)


def test_a_number_added_to_a_band_matrix():
    """A matrix plus one of rank one, to whoever is no function of the elements."""

    def program(A):
        B = A + 1.5
        return (
            B @ b,
            jnp.linalg.solve(B, b),
            jnp.linalg.det(1.0 - A),
            (2 * B - jnp.eye(n)).T @ b,
            B[1, 2],
            jnp.exp(B).max(),
        )

    assert_close(jax.jit(quaxify(program))(T), program(T.materialise()))
    made = quaxify(lambda A: A + 1.5)(T)
    assert type(made).__name__ == "SumMatrix"
    np.testing.assert_allclose(made.materialise(), T.materialise() + 1.5, rtol=1e-6)
    with pytest.raises(RuleError, match="^`exp` of TridiagonalMatrix"):
        quaxify(lambda A: jnp.exp(A) @ b)(T)


def test_inner_products_of_matrices_without_a_layout_of_their_product():
    K = KroneckerSumMatrix(normal(3, 3), normal(2, 2))
    program = lambda A: (jnp.vdot(A, A), jnp.tensordot(A, A.T, 2))  # noqa: E731
    assert_close(jax.jit(quaxify(program))(K), program(K.materialise()))


def test_functions_of_some_elements_are_refused():
    """`A.at[...].apply` is a scatter too, whose updates do not say what is there."""
    with pytest.raises(RuleError, match="`scatter` of TridiagonalMatrix.* has no struc"):
        quaxify(lambda A: A.at[0].apply(jnp.square))(T)
