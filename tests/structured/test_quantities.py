"""Matrices of quantities, gradients, Lineax, refusals, properties: what is not one type's table."""

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import jax.tree_util as jtu
import lineax as lx
import numpy as np
import pytest

import sciquax
from sciquax import quaxify
from sciquax.core import is_value
from sciquax.interop.lineax._structured import (
    BandedJacobianSolver,
    StructuredSolver,
    from_lineax,
    to_lineax,
)
from sciquax.named import NamedArray
from sciquax.structured import (
    BandedMatrix,
    DiagonalMatrix,
    KroneckerMatrix,
    SymmetricTridiagonalMatrix,
    TridiagonalMatrix,
)
from sciquax.units import DimensionalityError, Quantity
from tests.helpers import assert_raises

from .specimens import SPECIMENS, largest_intermediate

LOWER, MAIN, UPPER = jnp.array([1.0, 2, 3]), jnp.array([10.0, 11, 12, 13]), jnp.array([2.0, 3, 4])
b = jnp.array([1.0, 2, 3, 5])


def plain(**options):
    return TridiagonalMatrix(LOWER, MAIN, UPPER, **options)


def test_units_are_outside_and_one():
    matrix = TridiagonalMatrix(
        Quantity(LOWER, "m"), Quantity(100 * MAIN, "cm"), Quantity(UPPER, "m")
    )
    assert isinstance(matrix, Quantity) and str(matrix.units) == "meter"
    np.testing.assert_allclose(matrix.magnitude.main_diag, MAIN, rtol=1e-6)
    with pytest.raises(DimensionalityError):
        TridiagonalMatrix(Quantity(LOWER, "m"), Quantity(MAIN, "s"), Quantity(UPPER, "m"))


@pytest.mark.parametrize(
    "program, unit",
    [
        (lambda A: A @ Quantity(b, "s"), "m * s"),
        (lambda A: jnp.linalg.solve(A, Quantity(b, "kg")), "kg / m"),
        (jnp.linalg.det, "m**4"),
        (jnp.trace, "m"),
        (jnp.linalg.norm, "m"),
        (lambda A: jnp.linalg.inv(A) @ b, "1/m"),
        (lambda A: (A + Quantity(2.0, "m") * jnp.eye(4)) @ b, "m"),
    ],
)
def test_units_of_results(program, unit):
    matrix = plain()
    out = quaxify(program)(Quantity(matrix, "m"))
    dense = quaxify(program)(Quantity(matrix.materialise(), "m"))
    assert out.is_compatible_with(unit)
    np.testing.assert_allclose(out.m_as(unit), dense.m_as(unit), rtol=1e-4)


def _gram(R):
    return R.T @ R  # the signs of R's rows are free


@pytest.mark.parametrize(
    "name, program, unit",
    [
        ("diagonal", lambda A: _gram(jnp.linalg.qr(A).R), "m**2"),
        ("kronecker", lambda A: _gram(jnp.linalg.qr(A, mode="r")), "m**2"),
        ("kronecker", lambda A: jnp.linalg.cholesky(A @ A.T), "m"),
        ("tridiagonal", lambda A: jnp.linalg.trace(jnp.linalg.inv(A)), "1/m"),
        ("tridiagonal", lambda A: jnp.kron(A, Quantity(jnp.array([[1.0, 2.0]]), "s")), "m*s"),
        ("banded", lambda A: jnp.tril(A) @ jnp.arange(6.0), "m"),
        ("tridiagonal", lambda A: jnp.linalg.eigh(A + A.T).eigenvalues, "m"),
        ("tridiagonal", lambda A: jnp.linalg.svd(A, compute_uv=False), "m"),
        ("banded", jnp.linalg.svdvals, "m"),
    ],
)
@pytest.mark.parametrize("named", [False, True], ids=["unnamed", "named"])
def test_whole_functions_of_matrices_beneath(name, program, unit, named):
    """The structure's rule is reached beneath units, and beneath names over units."""
    (specimen,) = (s for s in SPECIMENS if s.name == name)
    matrix = specimen.make(np.random.default_rng(3))
    given = Quantity(matrix, "m")
    out = quaxify(program)(NamedArray(given, (None, None)) if named else given)
    expected = quaxify(program)(Quantity(matrix.materialise(), "m"))
    if named:
        out = out.array
    assert out.units == expected.units == Quantity(1.0, unit).units
    held = out.magnitude.materialise() if is_value(out.magnitude) else out.magnitude
    np.testing.assert_allclose(held, expected.m, rtol=2e-3, atol=2e-3)


def test_results_have_the_names_of_jax():
    A = SPECIMENS[0].make(np.random.default_rng(3))
    for given in (A, Quantity(A, "m")):
        assert quaxify(jnp.linalg.qr)(given).R is not None
        assert quaxify(jnp.linalg.eigh)(given).eigenvalues.shape == A.shape[:1]
    assert sciquax.numpy.linalg.slogdet(A).sign.shape == ()
    raw = quaxify(lambda A: jnp.linalg.qr(A, mode="raw"))(Quantity(jnp.eye(3), "m"))
    direct = sciquax.numpy.linalg.qr(Quantity(jnp.eye(3), "m"), mode="raw")
    assert str(raw.Q.units) == str(direct.Q.units) == "meter"
    assert not is_value(raw.R) and not is_value(direct.R)


@pytest.mark.parametrize("function", [jsp.linalg.solve_triangular, jnp.linalg.solve])
def test_systems_of_numbers_with_quantities_on_the_right(function):
    (specimen,) = (s for s in SPECIMENS if s.name == "upper triangular")
    matrix = specimen.make(np.random.default_rng(3))
    right = jnp.arange(1.0, 7.0)
    expected = np.linalg.solve(matrix.materialise(), right)
    out = quaxify(function)(matrix, Quantity(right, "s"))
    np.testing.assert_allclose(out.m_as("s"), expected, rtol=1e-4)
    named = NamedArray(Quantity(right, "s"), ("row",))
    out = quaxify(function)(NamedArray(matrix, ("row", "column")), named)
    assert out.dims == ("column",)
    np.testing.assert_allclose(out.array.m_as("s"), expected, rtol=1e-4)


def test_matrix_made_within():
    def program(lower, main, upper, b):
        return jnp.linalg.solve(TridiagonalMatrix(lower, main, upper), b)

    out = quaxify(program)(*(Quantity(x, "m") for x in (LOWER, MAIN, UPPER)), Quantity(b, "s"))
    np.testing.assert_allclose(
        out.m_as("s/m"), np.linalg.solve(plain().materialise(), b), rtol=1e-5
    )


def loss(A):
    return jnp.sum(jnp.linalg.solve(A, b) ** 2)


@pytest.mark.parametrize("properties", [(), ("diagonally_dominant",)])
def test_gradients_have_the_structure(properties):
    ours = jax.grad(quaxify(loss))(plain(properties=properties))
    dense = jax.grad(loss)(plain().materialise())
    np.testing.assert_allclose(ours.main_diag, jnp.diag(dense), rtol=1e-4)
    np.testing.assert_allclose(ours.upper_diag, jnp.diag(dense, 1), rtol=1e-4)
    np.testing.assert_allclose(ours.lower_diag, jnp.diag(dense, -1), rtol=1e-4)


def test_gradient_by_the_right_hand_side_within():
    gradient = quaxify(lambda A: jax.grad(lambda b: jnp.sum(jnp.linalg.solve(A, b) ** 2))(b))
    np.testing.assert_allclose(gradient(plain()), gradient(plain().materialise()), rtol=1e-4)


def test_gradient_of_the_determinant():
    ours = jax.grad(quaxify(jnp.linalg.det))(plain())
    dense = jax.grad(jnp.linalg.det)(plain().materialise())
    np.testing.assert_allclose(ours.main_diag, jnp.diag(dense), rtol=1e-4)
    np.testing.assert_allclose(ours.lower_diag, jnp.diag(dense, -1), rtol=1e-4)


def test_gradients_claim_no_properties():
    matrix = plain(properties={"diagonally_dominant"})
    assert sciquax.grad(loss)(matrix).properties == frozenset()


def test_refusal_names_the_operation():
    def program(A):
        return jnp.exp(A)  # HERE

    assert_raises(
        sciquax.core.RuleError,
        lambda: quaxify(program)(plain()),
        "`exp` of TridiagonalMatrix(f32[4,4]) has no structured result, and making it dense is not "
        "allowed.\n{place}\nPass `allow_materialise=True` to the matrix's constructor, or write "
        "`.materialise()` where a dense array is meant.",
        at=program,
    )
    allowed = quaxify(jnp.exp)(plain(allow_materialise=True))
    np.testing.assert_allclose(allowed, jnp.exp(plain().materialise()))


def test_determinants_do_not_overflow():
    n = 3000
    matrix = SymmetricTridiagonalMatrix(jnp.full(n, 4.0), jnp.ones(n - 1))
    sign, log = quaxify(jnp.linalg.slogdet)(matrix)
    minor = np.log(2 + np.sqrt(3))  # the root of the recurrence
    expected = (n + 1) * minor - np.log(2 * np.sqrt(3))
    assert sign == 1
    np.testing.assert_allclose(log, expected, rtol=1e-5)


def test_zero_minors_need_no_pivoting_for_determinants():
    matrix = TridiagonalMatrix(jnp.ones(3), jnp.zeros(4), jnp.ones(3))
    assert quaxify(jnp.linalg.det)(matrix) == 1.0
    x = quaxify(jnp.linalg.solve)(matrix, b)
    np.testing.assert_allclose(matrix.materialise() @ x, b, rtol=1e-5)


def test_banded_solve_pivots():
    bands = np.zeros((5, 6), np.float32)
    bands[1, 1:], bands[3, :-1], bands[0, 2:], bands[4, :-2] = 1, 2, 0.5, 0.25
    matrix = BandedMatrix(jnp.asarray(bands), lower=2, upper=2)  # its diagonal is zero
    right = jnp.arange(1.0, 7.0)
    x = quaxify(jnp.linalg.solve)(matrix, right)
    np.testing.assert_allclose(matrix.materialise() @ x, right, atol=1e-4)


def test_singular_systems_are_not_finite():
    x = quaxify(jnp.linalg.solve)(DiagonalMatrix(jnp.array([1.0, 0.0])), jnp.ones(2))
    assert not np.all(np.isfinite(x))


def test_kronecker_of_structured_factors():
    product = KroneckerMatrix(plain(), DiagonalMatrix(jnp.array([1.0, 2.0])))
    dense = jnp.kron(plain().materialise(), jnp.diag(jnp.array([1.0, 2.0])))
    right = jnp.arange(1.0, 9.0)
    solution = quaxify(jnp.linalg.solve)(product, right)
    np.testing.assert_allclose(solution, jnp.linalg.solve(dense, right), rtol=1e-4)


def test_lineax_there_and_back():
    operator = to_lineax(plain())
    expected = jnp.linalg.solve(plain().materialise(), b)
    for solver in (lx.AutoLinearSolver(well_posed=True), StructuredSolver()):
        out = lx.linear_solve(operator, b, solver).value
        np.testing.assert_allclose(out, expected, rtol=1e-5)
    assert lx.is_tridiagonal(operator) and not lx.is_symmetric(operator)
    back = from_lineax(lx.TridiagonalLinearOperator(MAIN, LOWER, UPPER))
    assert jtu.tree_structure(back) == jtu.tree_structure(plain())


def test_banded_jacobian_from_products():
    dense = plain().materialise()
    operator = lx.FunctionLinearOperator(lambda x: dense @ x, jax.ShapeDtypeStruct((4,), b.dtype))
    out = lx.linear_solve(operator, b, BandedJacobianSolver(1, 1)).value
    np.testing.assert_allclose(out, jnp.linalg.solve(dense, b), rtol=1e-5)


def test_no_dense_array_in_a_stiff_solve():
    """Nothing in Diffrax's program with a tridiagonal Jacobian grows with the square of n."""
    dfx = pytest.importorskip("sciquax.interop.diffrax")
    n = 500
    stencil = SymmetricTridiagonalMatrix(jnp.full(n, -2.0), jnp.ones(n - 1))
    A = NamedArray(Quantity(stencil, "1/s"), ("row", "position"))

    def solve(start):
        finder = dfx.VeryChord(1e-5, 1e-5, linear_solver=BandedJacobianSolver(1, 1))
        return dfx.diffeqsolve(
            dfx.ODETerm(lambda t, u, A: A.dot(NamedArray(u, ("position",)), "position").array),
            dfx.Kvaerno3(root_finder=finder), Quantity(0.0, "s"), Quantity(1.0, "min"),
            Quantity(1.0, "s"), Quantity(start, "K"), A,
            stepsize_controller=dfx.PIDController(rtol=1e-4, atol=1e-4),
        ).ys.magnitude  # fmt: skip

    assert largest_intermediate(jax.make_jaxpr(solve)(jnp.ones(n))) <= 20 * n


def test_named_and_measured_matrices_show_their_structure():
    A = TridiagonalMatrix(jnp.ones(2), jnp.ones(3), jnp.ones(2))
    rows = ("row", "column")
    assert repr(NamedArray(A, rows)) == (
        f"NamedArray(f32[row=3, column=3], TridiagonalMatrix)\n{A!r}"
    )
    shown = f"NamedArray(f32[row=3, column=3], 'N / m', TridiagonalMatrix)\n{A!r}"
    assert repr(NamedArray(Quantity(A, "N/m"), rows)).replace("N/m", "N / m") == shown
