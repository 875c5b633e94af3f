"""Singular and eigenvectors, sums with low rank, and what has no positive pivots."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sciquax import quaxify
from sciquax.core import RuleError
from sciquax.structured import (
    BandedMatrix,
    BlockDiagonalMatrix,
    CirculantMatrix,
    DiagonalMatrix,
    KroneckerMatrix,
    LowRankPlusDiagonalMatrix,
    PermutationMatrix,
    ScalarMatrix,
    TridiagonalMatrix,
)
from sciquax.units import Quantity

rng = np.random.default_rng(21)

pytestmark = pytest.mark.usefixtures("lenient")


def normal(*shape, dtype=np.complex64):
    return jnp.asarray(rng.normal(size=shape) + 1j * rng.normal(size=shape), dtype)


WITH_VECTORS = [
    DiagonalMatrix(normal(4)),
    ScalarMatrix(normal(), 4),
    BlockDiagonalMatrix(normal(2, 2, 2)),
    KroneckerMatrix(normal(2, 2), normal(2, 2)),
]


def close(a, b, tol=2e-5):
    np.testing.assert_allclose(a, b, rtol=tol, atol=tol)


@pytest.mark.parametrize("matrix", WITH_VECTORS, ids=lambda m: type(m).__name__)
def test_vectors(matrix):
    dense = matrix.materialise()
    u, s, vh = quaxify(jnp.linalg.svd)(matrix)
    close(s, jnp.linalg.svdvals(dense))
    close((u.materialise() * s) @ vh.materialise(), dense)
    close(u.materialise().conj().T @ u.materialise(), np.eye(4))
    w, v = quaxify(jnp.linalg.eig)(matrix)
    close(dense @ v.materialise(), v.materialise() * w)


def test_vectors_without_structure_are_withheld():
    matrix = TridiagonalMatrix(jnp.ones(3), jnp.arange(4.0), jnp.ones(3))
    close(quaxify(lambda A: jnp.linalg.svd(A)[1])(matrix), jnp.linalg.svdvals(matrix.materialise()))
    with pytest.raises(RuleError, match="This output of `svd` has no structured result"):
        quaxify(lambda A: jnp.linalg.svd(A)[0] @ jnp.ones(4))(matrix)


def test_traces_of_factors():
    """Which have products alone: their diagonals are found column by column."""
    matrix = TridiagonalMatrix(jnp.ones(3), jnp.array([3.0, -4.0, 5.0, 6.0]), 2 * jnp.ones(3))
    for program in (
        lambda A: jnp.trace(jnp.linalg.qr(A)[0]),
        lambda A: jnp.trace(jax.scipy.linalg.lu(A)[1]),
        lambda A: jnp.trace(jnp.linalg.inv(A)),
        lambda A: jnp.diag(jax.scipy.linalg.expm(A)),
        lambda A: jnp.trace(jnp.linalg.inv(A) @ jnp.linalg.qr(A)[0]),
    ):
        close(quaxify(program)(matrix), program(matrix.materialise()), 1e-4)


def test_sum_with_low_rank():
    """Sherman, Morrison and Woodbury: systems, determinants, inverses and their derivatives."""
    band = TridiagonalMatrix(jnp.ones(3), jnp.arange(4.0) + 3, -jnp.ones(3))
    low = LowRankPlusDiagonalMatrix(
        jnp.arange(4.0), jnp.asarray(rng.normal(size=(4, 2)), jnp.float32), jnp.ones((2, 4))
    )
    b = jnp.array([1.0, -2.0, 0.5, 3.0])

    def program(A, L):
        S = A + L
        return jnp.linalg.solve(S, b), jnp.linalg.slogdet(S)[1], jnp.linalg.inv(S).T @ b

    dense = [x.materialise() for x in (band, low)]
    for ours, jax_own in zip(quaxify(program)(band, low), program(*dense), strict=True):
        close(ours, jax_own, 1e-4)

    def loss(run, A, L):
        return sum(jnp.sum(jnp.sin(x)) for x in run(A, L))

    ours = jax.grad(lambda A, L: loss(quaxify(program), A, L), (0, 1))(band, low)
    plain = jax.grad(
        lambda A, L: loss(program, A.materialise(), L.materialise()), (0, 1)
    )(band, low)  # fmt: skip
    for a, e in zip(jax.tree.leaves(ours), jax.tree.leaves(plain), strict=True):
        close(a, e, 1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
@pytest.mark.parametrize("d", [[1.0, -3.0, 2.0], [1.0, 0.0, 2.0]])
def test_cholesky_of_what_is_not_positive_definite(d, dtype):
    d = jnp.asarray(d, dtype)
    for matrix in (DiagonalMatrix(d), ScalarMatrix(d[1], 3)):
        assert jnp.isnan(quaxify(jnp.linalg.cholesky)(matrix).materialise()).any()


def test_kronecker_product_that_is_not_hermitian():
    """Its Hermitian part is no Kronecker product; skew factors make a symmetric one that is."""
    skew = jnp.array([[0.0, 1.0], [-1.0, 0.0]])
    for factors in ((skew, skew), (jnp.array([[2.0, 1.0], [0.5, 3.0]]),) * 2):
        matrix = KroneckerMatrix(*factors)
        with pytest.raises(RuleError, match="`eigvalsh` of KroneckerMatrix"):
            quaxify(jnp.linalg.eigvalsh)(matrix)
        assert jnp.isnan(jax.jit(quaxify(jnp.linalg.eigvalsh))(matrix)).all()
        allowed = matrix.rebuild(matrix.arrays(), allow_materialise=True)
        wanted = jnp.linalg.eigvalsh(matrix.materialise())
        for program in (quaxify(jnp.linalg.eigvalsh), jax.jit(quaxify(jnp.linalg.eigvalsh))):
            close(program(allowed), wanted)
    a = jnp.array([[2.0, 0.5], [0.5, 3.0]])
    matrix = KroneckerMatrix(a, a.at[0, 1].add(1e-7))  # but for a rounding error
    close(quaxify(jnp.linalg.eigvalsh)(matrix), jnp.linalg.eigvalsh(matrix.materialise()))


def test_branches_of_different_rank():
    d, u, v = jnp.arange(1.0, 4), jnp.ones((3, 1)), jnp.arange(3.0)[None]
    low = LowRankPlusDiagonalMatrix(d, u, v)

    def program(A, flag):
        return jax.lax.cond(flag, lambda: A, lambda: A + A)

    for flag in (True, False):
        out = quaxify(program)(low, jnp.asarray(flag))
        assert out.u.shape == (3, 2)
        close(out.materialise(), program(low.materialise(), flag))


def test_carry_becomes_as_wide_as_what_is_added():
    band = BandedMatrix(jnp.asarray(rng.normal(size=(4, 5)), jnp.float32), lower=2, upper=1)

    def program(A):
        return jax.lax.fori_loop(0, 2, lambda _, x: x * 0.5 + A, jnp.eye(5))

    out = quaxify(program)(band)
    assert (type(out), out.lower, out.upper) == (BandedMatrix, 2, 1)
    close(out.materialise(), program(band.materialise()))


def test_branches_without_a_common_type():
    permutation = PermutationMatrix(jnp.array([2, 0, 1]))
    with pytest.raises(RuleError, match="have no common type"):
        quaxify(lambda A: jax.lax.cond(A[0, 0] > 0, lambda: A, lambda: A + A.T) @ jnp.ones(3))(
            permutation
        )


@pytest.mark.parametrize("axis", [0, 1])
def test_along_one_axis(axis):
    """Extremes and norms of rows and columns, elements outside of the bands being zeros."""
    band = TridiagonalMatrix(-jnp.ones(3), -jnp.arange(2.0, 6), jnp.arange(3.0) - 4)
    blocks = BlockDiagonalMatrix(jnp.asarray(rng.normal(size=(2, 2, 2)), jnp.float32))

    def program(A):
        return A.max(axis), A.min(axis), (A < 0).any(axis), jnp.linalg.norm(A, axis=axis)

    for matrix in (band, blocks):
        for ours, own in zip(quaxify(program)(matrix), program(matrix.materialise()), strict=True):
            close(ours, own)
    close(quaxify(jax.vmap(jnp.max))(band), band.materialise().max(1))


def test_elementwise_einsum():
    band = TridiagonalMatrix(jnp.ones(2), jnp.arange(3.0), 2 * jnp.ones(2))
    out = quaxify(lambda A: jnp.einsum("ij,ij->ij", A, A.T))(band)
    assert isinstance(out, TridiagonalMatrix)
    close(out.materialise(), band.materialise() * band.materialise().T)


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_dtypes_of_permutations(dtype):
    """Norms are real, and so is the permutation that `lu` gives."""
    lu = jax.scipy.linalg.lu
    permutation = PermutationMatrix(jnp.array([2, 0, 1]), dtype)
    band = TridiagonalMatrix(*(jnp.asarray(rng.normal(size=n), dtype) for n in (2, 3, 2)))
    for matrix in (permutation, DiagonalMatrix(jnp.ones(3, dtype)), band):
        ours, own = quaxify(lu)(matrix), lu(matrix.materialise())
        assert [x.dtype for x in ours] == [x.dtype for x in own]
        close(
            quaxify(lambda A: A @ jnp.ones(3))(ours[0] @ ours[1] @ ours[2]),
            sum(matrix.materialise().T),
        )
    norms = jnp.array([quaxify(jnp.linalg.norm)(permutation, p) for p in (1, np.inf, -1)])
    assert norms.dtype == np.float32
    close(norms, np.ones(3))


def test_matrices_of_one_element():
    """Off-diagonals without elements, and a dense array of the shape of a number."""
    none, one = jnp.zeros(0), jnp.array([3.0])
    for lower, upper in ((none, none), (jnp.zeros((2, 0)), jnp.zeros((2, 0)))):
        matrix = TridiagonalMatrix(lower, one, upper)
        close(quaxify(lambda A: jnp.linalg.solve(A, jnp.ones((1, 1))))(matrix)[..., 0, 0], 1 / 3)
        close(quaxify(lambda A: jnp.triu(A, 1) @ one)(matrix), 0.0)
        dense = jnp.full(matrix.shape, 2.0)
        close(quaxify(lambda A, D: A + D)(matrix, dense), matrix.materialise() + dense)


def slopes_of_determinants(A):
    """By numbers and vectors that the matrix is made of, within the program."""
    one, d = jnp.eye(4), jnp.arange(1.0, 5.0)
    log = lambda A: jnp.linalg.slogdet(A)[1]  # noqa: E731
    likelihood = lambda s: d @ jnp.linalg.solve(s * A + one, d) + log(s * A + one)  # noqa: E731
    return (
        jax.grad(lambda s: log(A + s * one))(2.0),
        jax.jvp(lambda s: log(s * A + s**2 * one), (2.0,), (1.0,)),
        jax.grad(lambda d: log(A + jnp.diag(d)))(d),
        jax.vmap(jax.grad(lambda s: jnp.linalg.det(s * A)))(d),
        jax.value_and_grad(likelihood)(1.5),
    )


@pytest.mark.parametrize(
    "matrix",
    [
        TridiagonalMatrix(jnp.ones(3), jnp.array([3.0, -4.0, 5.0, 6.0]), 2 * jnp.ones(3)),
        DiagonalMatrix(jnp.array([3.0, -4.0, 5.0, 6.0])),
        BlockDiagonalMatrix(jnp.array([[[3.0, 1.0], [0.5, 2.0]], [[1.0, -2.0], [2.0, 2.0]]])),
    ],
    ids=lambda m: type(m).__name__,
)
def test_determinants_are_differentiated_within_the_program(matrix):
    expected = slopes_of_determinants(matrix.materialise())
    for x, y in zip(
        jax.tree.leaves(quaxify(slopes_of_determinants)(matrix)),
        jax.tree.leaves(expected),
        strict=True,
    ):
        close(x, y, 1e-4)


def test_determinants_of_quantities_are_differentiated():
    matrix = TridiagonalMatrix(jnp.ones(3), jnp.array([3.0, -4.0, 5.0, 6.0]), 2 * jnp.ones(3))
    program = lambda K: jax.grad(lambda s: jnp.linalg.det(s * K))(1.5)  # noqa: E731
    found = quaxify(program)(Quantity(matrix, "m"))
    assert str(found.units) == "meter ** 4"
    close(found.m, program(matrix.materialise()), 1e-4)


def test_second_derivatives_of_determinants():
    matrix = TridiagonalMatrix(jnp.ones(3), jnp.array([3.0, -4.0, 5.0, 6.0]), 2 * jnp.ones(3))
    log = lambda A, s: jnp.linalg.slogdet(A + s * jnp.eye(4))[1]  # noqa: E731
    within = quaxify(lambda A: jax.hessian(lambda s: log(A, s))(9.0))
    first = quaxify(lambda A, s: jax.grad(lambda s: log(A, s))(s))
    expected = within(matrix.materialise())
    close(within(matrix), expected, 1e-4)
    close(jax.grad(lambda s: first(matrix, s))(9.0), expected, 1e-4)


def test_determinants_of_many_are_differentiated():
    """The arrays of a circulant matrix's inverse are not its own: by what a rule says of itself."""
    matrix = CirculantMatrix(jnp.array([4.0, 1.0, -0.5, 0.3]))

    def slope(A):
        many = lambda s: jax.vmap(lambda t: jnp.linalg.slogdet(t * s * A)[1] * t)(ts)  # noqa: E731
        return jax.grad(lambda s: jnp.sum(many(s)))(1.5)

    ts = jnp.array([0.2, 0.5])
    close(quaxify(slope)(matrix), slope(matrix.materialise()), 1e-4)
