"""Rows and columns of matrices, rolled and updated ones; dense is the oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sciquax import quaxify
from sciquax.structured import (
    BandedMatrix,
    CirculantMatrix,
    CyclicBandedMatrix,
    CyclicTridiagonalMatrix,
    KroneckerMatrix,
    LowRankPlusDiagonalMatrix,
    PermutationMatrix,
    ProductMatrix,
    RectangularBandedMatrix,
    TridiagonalMatrix,
)
from sciquax.units import Quantity
from tests.structured.specimens import dense, largest_intermediate
from tests.structured.test_operations import assert_close

RNG = np.random.default_rng(11)
n = 8

pytestmark = pytest.mark.usefixtures("lenient")


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


T = TridiagonalMatrix(normal(n - 1), normal(n) + 4, normal(n - 1))
B = BandedMatrix(normal(4, n), lower=2, upper=1)
K = KroneckerMatrix(normal(2, 2), normal(4, 4))
P = PermutationMatrix(jnp.asarray([3, 0, 1, 2, 7, 5, 6, 4]))
x, normal_columns = normal(n), normal(n, 3)


def _parts(A):
    D, E = A[1:], A[:, 2:]
    return {
        "rows": D,
        "columns": E,
        "both": A[1:, 2:],
        "differences": jnp.diff(A, axis=0),
        "twice": jnp.diff(A, 2, axis=1),
        "gram": D.T @ D,
        "products": (D + 2 * A[:-1]) @ E,
        "elementwise": jnp.maximum(D, 0) * A[:-1],
        "half": jnp.tril(D, -1),
        "again": D[1:, 1:],
        "scaled": D / x,
        "applied": (D @ x, x[1:] @ D, E @ x[2:], E.T @ x, D.sum(1), D.max(0), D[2:4], D[3, 2]),
        "array": (D @ normal_columns, normal_columns[1:].T @ D),
        "norms": (jnp.linalg.norm(D), jnp.diagonal(D, 1), jnp.count_nonzero(E)),
        "masked": jnp.where(D > 0, D, 0),
        "joined": jnp.concatenate([D, A[:2]]) @ x,
    }


@pytest.mark.parametrize("A", [B, pytest.param(T, marks=pytest.mark.slow)], ids=["B", "T"])
def test_parts_of_bands_are_bands(A):
    ours = jax.jit(quaxify(_parts))(A)
    assert_close(dense(ours), _parts(A.materialise()))
    arrays = {k for k, v in ours.items() if isinstance(v, (tuple, jax.Array))}
    assert arrays == {"applied", "array", "norms", "joined"}
    assert isinstance(ours["rows"], RectangularBandedMatrix)
    assert isinstance(ours["gram"], BandedMatrix)


def test_parts_of_others_are_products():
    def program(A):
        D = A[1:]
        return D, D @ x, D.T @ x[1:], A[:, 1:-2] @ x[3:], (D.T @ D) @ x, jnp.diff(A, axis=0) @ x

    ours = jax.jit(quaxify(program))(K)
    assert_close(dense(ours), program(K.materialise()))
    assert isinstance(ours[0], ProductMatrix)


def test_differences_of_the_identity():
    """As a smoother has them: nothing of n by n numbers is made."""
    size = 40

    def smooth(A, y, s):
        D = jnp.diff(jnp.eye(size), 2, axis=0)
        return jnp.linalg.solve(A + s * D.T @ D, y)

    eye = BandedMatrix(jnp.ones((1, size)), lower=0, upper=0)
    y = normal(size)
    run = jax.jit(jax.value_and_grad(lambda s: jnp.sum(quaxify(smooth)(eye, y, s) ** 2)))
    assert largest_intermediate(jax.make_jaxpr(run)(3.0)) < 10 * size
    whole = jax.value_and_grad(lambda s: jnp.sum(smooth(jnp.eye(size), y, s) ** 2))
    assert_close(run(3.0), whole(3.0))


def test_batches_and_units_of_parts():
    s = jnp.arange(1.0, 4.0)
    program = lambda A: jax.vmap(lambda t: (t * A)[1:] @ x)(s)  # noqa: E731
    assert_close(jax.jit(quaxify(program))(T), program(T.materialise()))

    def labelled(A):
        return A[1:] @ x, jnp.roll(A, 1, 0) @ x, A.at[2:4].set(0.0) @ x

    ours = jax.jit(quaxify(labelled))(Quantity(T, "N/m"))
    assert all(str(q.units) == "newton / meter" for q in ours)
    assert_close([q.m for q in ours], [*labelled(T.materialise())])


ROLLS = [((1, 0), {}), ((-2, 1), {}), (((1, 1), (0, 1)), {}), (((3, -2), (1, 0)), {})]


@pytest.mark.parametrize(
    "A, kind",
    [
        (T, CyclicBandedMatrix),
        (CyclicTridiagonalMatrix(normal(n), normal(n), normal(n)), CyclicBandedMatrix),
        (CirculantMatrix(normal(n)), CirculantMatrix),
        (P, PermutationMatrix),
        (K, ProductMatrix),
    ],
    ids=lambda v: type(v).__name__ if not isinstance(v, type) else "",
)
def test_rolls(A, kind):
    program = lambda A: [jnp.roll(A, *args) for args, _ in ROLLS]  # noqa: E731
    ours = quaxify(program)(A)
    assert_close(dense(ours), program(A.materialise()))
    assert isinstance(ours[0], kind)


def test_differences_around_the_circle():
    def laplacian(A):
        eye = jnp.eye(n)
        return A + jnp.roll(eye, 1, 0) + jnp.roll(eye, -1, axis=0) - 2 * eye

    ours = quaxify(laplacian)(T)
    assert type(ours) is CyclicTridiagonalMatrix
    assert_close(dense(ours), laplacian(T.materialise()))


UPDATES = {
    "rows": lambda A: A.at[1:4].set(0.0),
    "columns": lambda A: A.at[:, 5:].set(0.0),
    "part": lambda A: A.at[2:5, 3:5].set(0.0),
    "every other": lambda A: A.at[::2].set(0.0),
    "many": lambda A: A.at[np.arange(n)].multiply(2.0),
    "scaled": lambda A: A.at[1:-1].multiply(3.0),
    "row": lambda A: A.at[-1].multiply(0.5),
    "element": lambda A: A.at[2, 1].multiply(4.0),
    "where": lambda A: jnp.where(x > 0, A, 0.0),
    "where not": lambda A: jnp.where(x[:, None] > 0, 0.0, A),
}


def _updated(A):
    return {k: f(A) for k, f in UPDATES.items()}


@pytest.mark.parametrize("A", [T, CyclicTridiagonalMatrix(x, x + 4, x[::-1])], ids=["T", "cyclic"])
def test_updates_of_whole_rows_and_columns_keep_bands(A):
    ours = jax.jit(quaxify(_updated))(A)
    assert_close(dense(ours), _updated(A.materialise()))
    kind = TridiagonalMatrix if A is T else CyclicTridiagonalMatrix
    assert {type(v) for v in ours.values()} == {kind}


@pytest.mark.parametrize(
    "A",
    [
        K,
        pytest.param(
            LowRankPlusDiagonalMatrix(x, normal_columns, normal_columns.T), marks=pytest.mark.slow
        ),
    ],
    ids=["K", "L"],
)
def test_updates_of_others(A):
    of = ("rows", "many", "row", "element", "where", "where not")
    only = lambda A: {k: UPDATES[k](A) @ x for k in of}  # noqa: E731
    assert_close(jax.jit(quaxify(only))(A), only(A.materialise()))


def test_a_part_set_within_the_bands():
    program = lambda A: A.at[1:3, 1:3].set(7.0).at[4:6, 4:7].add(x[:3])  # noqa: E731
    ours = quaxify(program)(B)
    assert isinstance(ours, BandedMatrix)
    assert_close(dense(ours), program(B.materialise()))


def test_elements_that_do_not_fit_are_refused():
    message = (
        "A `RectangularBandedMatrix` of 3 rows and 4 columns has 6 elements on the diagonals "
        "(0, 1), which ascend; got shape (5,)."
    )
    with pytest.raises(ValueError) as caught:
        RectangularBandedMatrix(jnp.ones(5), 3, 4, (0, 1))
    assert str(caught.value) == message
