"""The algorithms: sizes at the edges of what they unroll or group, ill-conditioned matrices."""

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
import pytest

from sciquax import quaxify
from sciquax.core import RuleError
from sciquax.structured import (
    BandedMatrix,
    DiagonalMatrix,
    SymmetricTridiagonalMatrix,
    ToeplitzMatrix,
    TridiagonalMatrix,
)
from sciquax.structured._kernels import thomas

solve = quaxify(jnp.linalg.solve)

pytestmark = pytest.mark.usefixtures("lenient")


@pytest.mark.parametrize("n", [2, 5, 13])
@pytest.mark.parametrize("widths", [(1, 1), (3, 0), (0, 2), (2, 1)], ids=str)
def test_product_with_bands(x64, rng, n, widths):
    lower, upper = (min(w, n - 1) for w in widths)
    A = BandedMatrix(jnp.asarray(rng.normal(size=(2, lower + upper + 1, n))), lower, upper)
    x, X = rng.normal(size=n), rng.normal(size=(2, n, 3))
    np.testing.assert_allclose(A.matvec(jnp.asarray(x)), A.materialise() @ x, atol=1e-12)
    np.testing.assert_allclose(A.matmat(jnp.asarray(X)), A.materialise() @ X, atol=1e-12)


@pytest.mark.parametrize("count", [1, 3, 205])
def test_batches_of_systems_without_pivoting(x64, rng, count):
    """Groups of systems of equal size, the last filled up."""
    n = 7
    A = TridiagonalMatrix(
        rng.normal(size=(count, n - 1)),
        rng.normal(size=(count, n)) + 9,
        rng.normal(size=(count, n - 1)),
    )
    b = rng.normal(size=(count, n))
    expected = np.linalg.solve(np.asarray(A.materialise()), b[..., None])[..., 0]
    actual = thomas.solve(A.lower_diag, A.main_diag, A.upper_diag, jnp.asarray(b))
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


@pytest.mark.parametrize("tiny", [1e-14, 0.0])
def test_pivoting_where_it_matters(x64, tiny):
    """Elimination without pivoting would divide by the tiny element."""
    n = 40
    main = np.full(n, 0.3)
    main[::3] = tiny
    A = TridiagonalMatrix(np.ones(n - 1), main, 2 * np.ones(n - 1))
    dense, x = np.asarray(A.materialise()), np.linspace(-1, 1, n)
    for matrix in (A, BandedMatrix(jnp.stack(_rows(A)), 1, 1)):
        found = solve(matrix, jnp.asarray(dense @ x))
        np.testing.assert_allclose(found, x, atol=1e-15 * np.linalg.cond(dense))


def _rows(A):
    return [jnp.pad(A.upper_diag, (1, 0)), A.main_diag, jnp.pad(A.lower_diag, (0, 1))]


def test_determinant_neither_overflows_nor_cancels():
    n = 2000
    A = SymmetricTridiagonalMatrix(1e5 * jnp.ones(n), jnp.ones(n - 1))
    sign, log = quaxify(jnp.linalg.slogdet)(A)
    assert sign == 1 and np.isclose(log, n * np.log(1e5), rtol=1e-5)
    second_difference = SymmetricTridiagonalMatrix(2 * jnp.ones(n), -jnp.ones(n - 1))
    assert np.isclose(quaxify(jnp.linalg.det)(second_difference), n + 1, rtol=1e-3)


def test_ill_conditioned(x64):
    """The second difference, squared and not, of condition numbers up to 10^11; a Toeplitz one."""
    n = 800
    A = SymmetricTridiagonalMatrix(
        2 * jnp.ones(n), -jnp.ones(n - 1), properties={"positive_definite"}
    )
    x = jnp.sin(jnp.arange(n) / 50.0)
    np.testing.assert_allclose(solve(A, A @ x), x, atol=1e-9)
    square = quaxify(lambda A: A @ A)(A)
    np.testing.assert_allclose(solve(square, square @ x), x, atol=1e-4)
    T = ToeplitzMatrix(0.99 ** jnp.arange(200.0))
    y = x[:200]
    np.testing.assert_allclose(solve(T, T @ y), y, atol=1e-10)


def test_diagonal_of_an_inverse(x64, rng):
    lower, main, upper = rng.normal(size=8), rng.normal(size=9) + 6, rng.normal(size=8)
    for properties in (set(), {"diagonally_dominant"}):
        A = TridiagonalMatrix(lower, main, upper, properties=properties)
        expected = np.diag(np.linalg.inv(np.asarray(A.materialise())))
        found = quaxify(lambda A: jnp.diag(jnp.linalg.inv(A)))(A)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_outputs_without_structure_are_refused_when_used(rng):
    """The singular values come without the vectors; whoever multiplies by these is told."""
    A = TridiagonalMatrix(jnp.ones(4), jnp.arange(1.0, 6.0), jnp.ones(4))
    values = quaxify(lambda A: jnp.linalg.svd(A)[1])(A)
    np.testing.assert_allclose(values, np.linalg.svd(A.materialise())[1], rtol=1e-5)
    with pytest.raises(RuleError, match="This output of `svd` has no structured result"):
        quaxify(lambda A: jnp.linalg.svd(A)[0] @ jnp.ones(5))(A)
    allowed = A.rebuild(A.arrays(), allow_materialise=True)
    u, values, vh = quaxify(jnp.linalg.svd)(allowed)
    np.testing.assert_allclose(u @ np.diag(values) @ vh, A.materialise(), atol=1e-5)


def _one_factor(lower):
    """A solve with L alone, or with U alone, of what `lu` gives."""

    def solved(A):
        lu = jax.lax.linalg.lu(A)[0]
        options = {"left_side": True, "lower": lower, "unit_diagonal": lower}
        return jax.lax.linalg.triangular_solve(lu, jnp.ones((4, 1)), **options).sum(-1)

    return solved


ONE_FACTOR = {
    "solve_triangular": lambda A: jsp.linalg.solve_triangular(
        jsp.linalg.lu_factor(A)[0], jnp.ones(4)
    ),
    "L": _one_factor(True),
    "U": _one_factor(False),
}


@pytest.mark.parametrize("name", ONE_FACTOR)
def test_half_of_a_factorisation_is_refused(name):
    """`lu_factor` keeps the matrix; one of its factors alone does not exist, and is never both."""
    A = TridiagonalMatrix(jnp.ones(3), 4 * jnp.ones(4), 2 * jnp.ones(3))
    half = ONE_FACTOR[name]
    batch = jax.tree.map(lambda x: jnp.stack([x, x]), A)
    total = lambda A: half(A).sum()
    for program in (
        lambda: quaxify(half)(A),
        lambda: quaxify(jax.jit(half))(A),
        lambda: jax.jit(quaxify(half))(A),
        lambda: quaxify(jax.grad(total))(A),
        lambda: jax.grad(quaxify(total))(A),
        lambda: quaxify(jax.vmap(half))(batch),
        lambda: quaxify(half)(A) * 2,
    ):
        with pytest.raises(RuleError, match="needs the elements of an LU factorisation"):
            program()


def test_one_factor_returned_is_refused():
    """Nothing half solved leaves a function."""
    A = TridiagonalMatrix(jnp.ones(3), 4 * jnp.ones(4), 2 * jnp.ones(3))

    def solved(A):
        return jax.lax.linalg.triangular_solve(
            jax.lax.linalg.lu(A)[0], jnp.ones((4, 1)), left_side=True
        )

    for program in (quaxify(solved), quaxify(jax.jit(solved)), jax.jit(quaxify(solved))):
        with pytest.raises(RuleError, match="A solution by U alone needs the elements"):
            program(A)


COMPLEX = pytest.param(True, marks=pytest.mark.slow)


def _band(rng, lower, upper, n=9, complex_=False):
    bands = rng.normal(size=(lower + upper + 1, n))
    bands = bands + 1j * rng.normal(size=bands.shape) if complex_ else bands
    return BandedMatrix(jnp.asarray(bands), lower, upper)


@pytest.mark.parametrize("complex_", [False, COMPLEX], ids=["real", "complex"])
def test_factors_of_a_band_matrix(x64, rng, complex_):
    """QR with LAPACK's signs, LU with its pivots, and both within the bands."""
    A = _band(rng, 2, 1, complex_=complex_)
    dense = A.materialise()
    q, r = quaxify(jnp.linalg.qr)(A)
    assert (type(q).__name__, type(r).__name__) == ("ReflectorsMatrix", "BandedMatrix")
    for x, expected in zip((q, r), jnp.linalg.qr(dense), strict=True):
        np.testing.assert_allclose(x.materialise(), expected, atol=1e-12)
    np.testing.assert_allclose(quaxify(lambda A: jnp.linalg.qr(A, mode="r"))(A).bands, r.bands)
    factors = quaxify(jsp.linalg.lu)(A)
    for x, expected in zip(factors, jsp.linalg.lu(dense), strict=True):
        np.testing.assert_allclose(x.materialise(), expected, atol=1e-12)
    b = dense[0]
    lower = factors[1]
    np.testing.assert_allclose(solve(lower, lower @ b), b, atol=1e-12)
    np.testing.assert_allclose(solve(lower.T, lower.T @ b), b, atol=1e-12)


@pytest.mark.parametrize("complex_", [False, COMPLEX], ids=["real", "complex"])
def test_spectra_of_a_band_matrix(x64, rng, complex_):
    A = _band(rng, 2, 1, complex_=complex_)
    dense = np.asarray(A.materialise())
    values = jax.jit(quaxify(jnp.linalg.svdvals))(A)
    np.testing.assert_allclose(values, np.linalg.svd(dense, compute_uv=False), atol=1e-13)
    values = jax.jit(quaxify(jnp.linalg.eigvalsh))(A)
    np.testing.assert_allclose(values, np.linalg.eigvalsh((dense + dense.conj().T) / 2), atol=1e-13)


def test_gradients_of_singular_values(x64, rng):
    """As of the dense matrix; where values coincide, which has no derivative, not a number."""
    A = _band(rng, 1, 2, n=6)
    total = lambda svdvals, A: jnp.sum(jnp.sin(svdvals(A)))
    actual = jax.jit(jax.grad(lambda A: total(quaxify(jnp.linalg.svdvals), A)))(A)
    expected = jax.grad(lambda A: total(jnp.linalg.svdvals, A.materialise()))(A)
    np.testing.assert_allclose(actual.bands, expected.bands, atol=1e-11)
    same = SymmetricTridiagonalMatrix(jnp.ones(4), jnp.zeros(3))
    slope = jax.grad(lambda A: quaxify(jnp.linalg.eigvalsh)(A)[0])(same)
    assert np.isnan(slope.main_diag).all()


def test_exponential(x64, rng):
    """Of norms for one step and for many; and its gradient."""
    b = jnp.asarray(rng.normal(size=9))
    times = jax.jit(lambda A: quaxify(lambda A: jsp.linalg.expm(A) @ b)(A))
    for scale in (1.0, 50.0):
        A = _band(rng, 1, 2).scale(scale) - scale * 4 * DiagonalMatrix(jnp.ones(9))
        expected = jsp.linalg.expm(A.materialise()) @ b
        np.testing.assert_allclose(times(A), expected, rtol=1e-10, atol=1e-12 * abs(expected).max())
    slope = jax.grad(lambda A: times(A).sum())(A)
    expected = jax.grad(lambda A: (jsp.linalg.expm(A.materialise()) @ b).sum())(A)
    scale = abs(expected.bands).max()
    np.testing.assert_allclose(slope.bands, expected.bands, atol=1e-9 * scale)


def test_results_that_are_not_zero_outside(rng):
    """They are reduced, and refused as matrices, by the operation's name and place."""
    A = _band(rng, 1, 2)
    dense = A.materialise()
    for program in (
        lambda A: (jnp.exp(A).sum(), jnp.exp(A).sum(0), jnp.cos(A).min(), (A + 1).max()),
        lambda A: (jnp.exp(A) + jnp.cos(A @ A)).sum(1),
        lambda A: (jnp.isfinite(A / 0).all(), (A == A.T).sum(), jnp.allclose(A, A + 1e-9)),
        lambda A: (jnp.array_equal(A, A), jnp.array_equal(A, A.T), jnp.where(A > 0, A, 2).sum()),
    ):
        actual, expected = jax.jit(quaxify(program))(A), jax.jit(program)(dense)
        for x, y in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-5)
    with pytest.raises(RuleError, match="(?s)`exp` of BandedMatrix.*test_algorithms.py:\\d+:\\d+"):
        quaxify(lambda A: 2 * jnp.exp(A) @ jnp.ones(9))(A)


def _kernel(n, **options):
    """Of a Gaussian process on a grid."""
    column = jnp.exp(-0.5 * (jnp.arange(n) / 4.0) ** 2).at[0].add(0.1)
    return ToeplitzMatrix(column, **options)


def test_positive_definite_toeplitz_systems_by_conjugate_gradients():
    """Also with a diagonal; what they do not solve is solved otherwise, or not a number."""
    A, n = _kernel(60, properties={"positive_definite"}), 60
    array, b = A.materialise(), jnp.cos(jnp.arange(n * 2.0)).reshape(n, 2)
    noise = 0.5 + jnp.sin(jnp.arange(float(n))) ** 2

    def program(A, noise):
        return jnp.linalg.solve(A, b), jnp.linalg.solve(A + jnp.diag(noise), b)

    ours = jax.jit(quaxify(program))(A, noise)
    for x, wanted in zip(ours, program(array, noise), strict=True):
        np.testing.assert_allclose(x, wanted, atol=1e-4)
    loss = lambda d, A: jnp.sum(program(A, d)[1] ** 2)  # noqa: E731
    slope = jax.grad(quaxify(loss))(noise, A)
    np.testing.assert_allclose(slope, jax.grad(loss)(noise, array), rtol=1e-3, atol=1e-4)
    assert jnp.isfinite(jnp.stack([x.sum() for x in ours])).all()
    claimed = ToeplitzMatrix(jnp.array([1.0, 2.0, 0.5]), properties={"positive_definite"})  # is not
    x = quaxify(jnp.linalg.solve)(claimed, jnp.ones(3))
    np.testing.assert_allclose(claimed.materialise() @ x, jnp.ones(3), atol=1e-5)
    with pytest.raises(RuleError, match="^`solve` of SumMatrix"):
        quaxify(lambda A: jnp.linalg.solve(A + jnp.diag(noise), b))(_kernel(n))
