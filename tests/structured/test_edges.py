"""The edges of every type: one element, sizes zero and one, one triangle, zero scales."""

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
import pytest

import tests.structured.specimens as specimens
from sciquax import quaxify
from sciquax.structured import (
    BandedMatrix,
    BidiagonalMatrix,
    BlockDiagonalMatrix,
    CirculantMatrix,
    IdentityMatrix,
    KroneckerMatrix,
    PermutationMatrix,
    ScalarMatrix,
    SymmetricTridiagonalMatrix,
    ToeplitzMatrix,
    TriangularMatrix,
    TridiagonalMatrix,
)
from tests.structured.specimens import SPECIMENS, N, dense
from tests.structured.test_operations import BY_NAME, assert_close

RNG = np.random.default_rng(8)
b = jnp.asarray(RNG.normal(size=N), jnp.float32)
D = jnp.asarray(RNG.normal(size=(N, N)), jnp.float32)
several = jnp.array([0.25, 0.5, 0.75])
rows = jnp.asarray(RNG.normal(size=(3, N)), jnp.float32)

pytestmark = pytest.mark.usefixtures("lenient")


def agrees(program, matrix):
    assert_close(dense(quaxify(program)(matrix)), program(matrix.materialise()))


def of_one_element(A):
    """Every shape of one element, by a number of the program and by one that it computes."""
    out = []
    for shape in ((), (1,), (1, 1), (1, 1, 1)):
        for s in (jnp.full(shape, 2.5), jnp.sum(b).reshape(shape)):
            out += [A * s, A / s, (s * A)[..., 1, :], (A / s) @ b]
    return [*out, A * jnp.ones((N, N)), A * D[None], A * jnp.ones((2, N, N))]


def of_keepdims(A):
    return A / jnp.linalg.norm(b, keepdims=True), A / (9 + A.sum(1, keepdims=True))


def derivatives_of_numbers(A):
    by_size = jax.jacfwd(lambda s: (s * A) @ b)(1.5)
    by_rows = jax.jacfwd(lambda d: (d[:, None] * A) @ b)(b)
    by_one = jax.jacfwd(lambda s: (A / s) @ b)(jnp.full((1,), 1.5))
    return by_size, by_rows, by_one, jax.jacrev(lambda s: (A / s) @ b)(1.5)


def mapped(A):
    return (
        jax.vmap(lambda s: (s * A) @ b)(several),
        jax.vmap(lambda s: A / s)(several),
        jax.vmap(lambda d: (d[:, None] * A) @ b)(rows),
        jax.vmap(lambda x: (A * jnp.ones((1, N))) @ x)(rows),
        jax.vmap(lambda r: jax.vmap(lambda s: (s * A) @ r)(several))(rows),
    )


NUMBERS = [of_one_element, of_keepdims, derivatives_of_numbers, mapped]
QUICK = ("tridiagonal", "lower triangular", "toeplitz", "kronecker", "permutation", "scalar")


def _each(names):
    for specimen in SPECIMENS:
        marks = () if specimen.name in names else pytest.mark.slow
        yield pytest.param(specimen, id=specimen.name, marks=marks)


@pytest.mark.parametrize("program", NUMBERS)
@pytest.mark.parametrize("specimen", [*_each(QUICK)])
def test_numbers_broadcast_as_arrays_do(specimen, program):
    agrees(program, specimen.make(np.random.default_rng(3)))


def steps(A):
    def step(s):
        return jnp.linalg.solve(jnp.eye(N) - s * A, b)

    def shifted(s):
        return b @ jnp.linalg.solve(A + s * jnp.eye(N), b)

    return (
        jax.jacfwd(step)(0.15),
        jax.jacrev(step)(0.15),
        jax.vmap(lambda s, x: jnp.linalg.solve(jnp.eye(N) - s * A, x))(several / 5, rows),
        jax.hessian(shifted)(9.0),
    )


@pytest.mark.parametrize("name", ["tridiagonal", "dominant tridiagonal", "diagonal", "low rank"])
def test_implicit_steps_by_their_length(name):
    """The tangent of a tridiagonal matrix plus s I is diagonal, and has other leaves."""
    agrees(steps, BY_NAME[name].make(np.random.default_rng(3)))


def test_a_dense_matrix_moves_along_a_structured_one():
    eye = jnp.eye(N)
    matrix = BY_NAME["tridiagonal"].make(np.random.default_rng(3))
    agrees(lambda A: jax.jacfwd(lambda s: jnp.linalg.solve(eye - s * A, b))(0.15), matrix)


@pytest.mark.parametrize("name", ["tridiagonal", "kronecker", "permutation", "lower triangular"])
def test_a_constant_matrix_is_of_rank_one(name):
    matrix = BY_NAME[name].make(np.random.default_rng(3))
    agrees(lambda A: (A + jnp.ones((N, N)) / N) @ b, matrix)
    agrees(lambda A: (jnp.full((N, N), 0.5) - A) @ b, matrix)


def centred(A):
    H = jnp.eye(N) - jnp.ones((N, N)) / N
    return H @ (A @ (H @ b)), jnp.linalg.solve(A + jnp.ones((N, N)) / N, b)


def test_centring():
    agrees(centred, BY_NAME["tridiagonal"].make(np.random.default_rng(3)))


# -- one triangle ---------------------------------------------------------------------------------

TRIANGLES = ["upper bidiagonal", "tridiagonal", "banded", "block diagonal", "diagonal"]


@pytest.mark.parametrize("uplo", ["L", "U"])
@pytest.mark.parametrize("name", TRIANGLES)
def test_eigenvalues_of_one_triangle(name, uplo):
    matrix = BY_NAME[name].make(np.random.default_rng(3))
    agrees(lambda A: jnp.linalg.eigvalsh(A, UPLO=uplo, symmetrize_input=False), matrix)
    agrees(lambda A: jnp.linalg.eigh(A, UPLO=uplo, symmetrize_input=False)[0], matrix)


def test_eigenvalues_of_a_stored_triangle():
    array = D + 4 * jnp.eye(N)
    for lower in (True, False):
        matrix = TriangularMatrix(array, lower=lower)
        uplo = "L" if lower else "U"
        agrees(lambda A, u=uplo: jnp.linalg.eigvalsh(A, UPLO=u, symmetrize_input=False), matrix)
        positive = TriangularMatrix(array @ array.T, lower=lower)
        agrees(lambda A, w=lower: jsp.linalg.solve(A, b, assume_a="pos", lower=w), positive)


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("name", [*TRIANGLES, "toeplitz", "circulant", "low rank", "permutation"])
def test_systems_assumed_positive_definite(name, lower):
    """By the lower or upper triangle; not a number where that is indefinite."""
    matrix = BY_NAME[name].make(np.random.default_rng(3))
    array = matrix.materialise()

    def program(A):
        return jsp.linalg.solve(A, b, assume_a="pos", lower=lower)

    ours, theirs = quaxify(program)(matrix), program(array)
    if np.isnan(theirs).any():
        assert np.isnan(ours).all()
    else:
        assert_close(ours, theirs)


def test_derivatives_of_systems_assumed_positive_definite():
    main, off = 4 + b**2, 0.5 * b[1:]

    def program(main, off, s):
        A = SymmetricTridiagonalMatrix(main, off)
        return jnp.sum(quaxify(lambda A: jsp.linalg.solve(s * A, b, assume_a="pos"))(A) ** 2)

    def plain(main, off, s):
        A = s * (jnp.diag(main) + jnp.diag(off, 1) + jnp.diag(off, -1))
        return jnp.sum(jsp.linalg.solve(A, b, assume_a="pos") ** 2)

    assert_close(
        jax.grad(program, (0, 1, 2))(main, off, 2.0), jax.grad(plain, (0, 1, 2))(main, off, 2.0)
    )


# -- scaled inverses ------------------------------------------------------------------------------


def scaled_inverses(A):
    inverse = jnp.linalg.inv(A)
    return (
        (0.0 * inverse) @ b,
        (jnp.sum(0 * b) * inverse)[1],
        jnp.diag(0 * inverse),
        (inverse / 1e20 / 1e15) @ b * 1e30,
        ((inverse + inverse)[0], (inverse + A)[1, 2]),
        inverse[jnp.array([0, 2]), jnp.array([1, 1])],
        jax.jacfwd(lambda s: (s * inverse) @ b)(0.0),
        jnp.linalg.det(2 * inverse),
        jnp.linalg.solve(2 * inverse, b),
    )


@pytest.mark.parametrize("name", ["tridiagonal", "toeplitz", "upper bidiagonal"])
def test_scaled_inverses(name):
    agrees(scaled_inverses, BY_NAME[name].make(np.random.default_rng(3)))


# -- sizes zero and one ---------------------------------------------------------------------------


def _of_size(n):
    one = jnp.full((n,), 3.0)
    rest = jnp.zeros((max(n - 1, 0),))
    return [
        TridiagonalMatrix(rest, one, rest),
        SymmetricTridiagonalMatrix(one, rest),
        BidiagonalMatrix(one, rest),
        BandedMatrix(one[None], lower=0, upper=0),
        TriangularMatrix(jnp.diag(one)),
        ToeplitzMatrix(one, one),
        CirculantMatrix(one),
        BlockDiagonalMatrix(one[:, None, None]),
        KroneckerMatrix(jnp.diag(one), jnp.ones((1, 1))),
        PermutationMatrix(jnp.arange(n)),
        IdentityMatrix(n),
        ScalarMatrix(2.0, n),
    ]


def small_programs(A):
    n = A.shape[-1]
    x, eye = jnp.arange(1.0, n + 1), jnp.eye(n)
    return (
        A @ x,
        A @ jnp.ones((n, 3)),
        A @ A,
        jnp.linalg.multi_dot([A, A, x]),
        A / 2 - A,
        A * jnp.full((1, 1), 2.0),
        jax.vmap(lambda s: jnp.linalg.solve(eye + s * A, x))(jnp.arange(3.0)),
        jnp.linalg.solve(A, x),
        jnp.linalg.inv(A),
        jnp.linalg.det(A),
        jnp.linalg.cholesky(A @ A.T + eye),
        jnp.linalg.lstsq(A, x)[0],
        jsp.linalg.cho_solve(jsp.linalg.cho_factor(A), x),
        (A.sum(), A.T, jnp.diag(A), jnp.trace(A), jnp.linalg.norm(A)),
        jnp.linalg.eigvalsh(A),
        jax.lax.map(jnp.sum, A),
    )


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("k", range(12))
def test_sizes_zero_and_one(n, k):  # of every type
    agrees(small_programs, _of_size(n)[k])


def test_one_by_one_beside_larger_arrays():
    agrees(lambda A: (A * jnp.ones((3, 3)), A + D, D / A), _of_size(1)[0])


@pytest.mark.parametrize("name", ["lower triangular", "upper triangular", "tridiagonal"])
def test_rows_in_loops(name):
    agrees(
        lambda A: (jax.lax.map(lambda r: r @ b, A), jax.lax.scan(lambda c, r: (c + r, r[0]), b, A)),
        BY_NAME[name].make(np.random.default_rng(3)),
    )


@pytest.mark.parametrize("lower", [True, False])
def test_a_band_without_places(lower):
    """One by one, with a diagonal that has no elements."""
    matrix = BidiagonalMatrix([2.0], [], lower=lower)
    agrees(lambda A: (A[1:], A[:, 1:], A[0], A.at[0].set(3.0), A.at[:, 0].add(1.0)), matrix)


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: PermutationMatrix([0, 0, 1]), ValueError, "`perm` holds each of 0 to 2 once"),
        (lambda: PermutationMatrix([-1, 0, 1]), ValueError, "`perm` holds each of 0 to 2 once"),
        (
            lambda: IdentityMatrix(-1),
            ValueError,
            "`IdentityMatrix`: A size must not be negative; got -1.",
        ),
        (lambda: IdentityMatrix(2.5), TypeError, "2.5|integer"),
        (
            lambda: ScalarMatrix(1.0, -2),
            ValueError,
            "`ScalarMatrix`: A size must not be negative; got -2.",
        ),
    ],
)
def test_what_is_no_matrix(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_right_hand_sides_of_another_size():
    with pytest.raises(ValueError, match=r"^A system with a matrix of shape \(6, 6\) takes right"):
        BY_NAME["tridiagonal"].make(np.random.default_rng(3)).linear_solve(jnp.ones((5, 1)))


def test_an_output_that_was_not_computed_says_so():
    matrix = specimens.SPECIMENS[5].make(np.random.default_rng(3))
    vectors, values, _ = quaxify(jnp.linalg.svd)(matrix)
    assert values.shape == (N,)
    assert repr(vectors) == "<an output of `svd` without a structured result, not computed>"
    with pytest.raises(Exception, match="^This output of `svd` has no structured result"):
        jnp.sum(vectors)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
@pytest.mark.parametrize("name", ["upper bidiagonal", "toeplitz", "block diagonal"])
def test_triangular_systems_of_16_bits(name, dtype):
    """JAX solves no others in 16 bits."""
    matrix = BY_NAME[name].make(np.random.default_rng(3)).convert(dtype)
    program = lambda A: jsp.linalg.solve_triangular(A, b.astype(dtype), lower=True)  # noqa: E731
    found, wanted = quaxify(program)(matrix), program(matrix.materialise())
    assert found.dtype == wanted.dtype == dtype
    assert jnp.allclose(found.astype(float), wanted.astype(float), rtol=0.1, atol=0.05)
