"""Lineax with units: plain Lineax on magnitudes is the oracle."""

import functools

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

import sciquax
from sciquax import quaxify, show
from sciquax.core import RuleError
from sciquax.interop import lineax as slx
from sciquax.structured import SymmetricTridiagonalMatrix
from sciquax.units import DimensionalityError, OffsetUnitCalculusError, Quantity

A = jnp.array([[3.0, -1.0, 0.0], [-2.0, 4.0, 0.5], [0.0, 1.0, 5.0]])
B = jnp.array([1.0, 2.0, -4.0])
STRUCT = jax.ShapeDtypeStruct((3,), jnp.float32)
K = Quantity(A, "kN/m")
F = Quantity(B, "N")


@functools.cache
def operators():
    """Each with a plain twin; all in kN/m."""
    diagonals = jnp.diag(A), jnp.diag(A, -1), jnp.diag(A, 1)
    in_units = [Quantity(d, "kN/m") for d in diagonals[:2]] + [Quantity(1e3 * diagonals[2], "N/m")]
    springs = lambda x, _: jnp.matmul(K, x) + K[0, 0] * x**3 / Quantity(1.0, "m**2")
    plain_springs = lambda x, _: jnp.matmul(A, x) + A[0, 0] * x**3
    x = jnp.array([0.1, 0.2, 0.3])
    identity = lx.IdentityLinearOperator(STRUCT)
    matrix, plain = lx.MatrixLinearOperator(K), lx.MatrixLinearOperator(A)
    return {
        "matrix": (matrix, plain),
        "diagonal": (
            lx.DiagonalLinearOperator(in_units[0]),
            lx.DiagonalLinearOperator(diagonals[0]),
        ),
        "tridiagonal": (
            slx.TridiagonalLinearOperator(*in_units),
            lx.TridiagonalLinearOperator(*diagonals),
        ),
        "function": (
            slx.FunctionLinearOperator(lambda x: jnp.matmul(K, x), STRUCT),
            lx.FunctionLinearOperator(lambda x: A @ x, STRUCT),
        ),
        "stock function": (lx.FunctionLinearOperator(lambda x: K @ x, STRUCT), plain),
        "function of lengths": (
            slx.FunctionLinearOperator(lambda x: jnp.matmul(K, x), Quantity(x, "m")),
            plain,
        ),
        "jacobian": (
            slx.JacobianLinearOperator(springs, Quantity(x, "m")),
            lx.JacobianLinearOperator(plain_springs, x),
        ),
        "stock jacobian": (
            lx.JacobianLinearOperator(quaxify(springs), Quantity(x, "m"), jac="fwd"),
            lx.JacobianLinearOperator(plain_springs, x),
        ),
        "sum": (
            matrix + lx.MulLinearOperator(identity, Quantity(500.0, "N/m")),
            plain + lx.MulLinearOperator(identity, jnp.array(0.5)),
        ),
        "difference": (
            matrix
            - slx.JacobianLinearOperator(lambda x, _: x * Quantity(2.0, "MN/m"), Quantity(x, "mm")),
            plain - lx.MulLinearOperator(identity, jnp.array(2000.0)),
        ),
        "composition": (
            lx.MatrixLinearOperator(Quantity(A, "kN/s"))
            @ slx.DiagonalLinearOperator(Quantity(B, "s/m")),
            plain @ lx.DiagonalLinearOperator(B),
        ),
        "composed jacobian": (
            slx.JacobianLinearOperator(springs, Quantity(x, "m")) @ lx.DiagonalLinearOperator(B),
            lx.JacobianLinearOperator(plain_springs, x) @ lx.DiagonalLinearOperator(B),
        ),
        "tagged quotient": (
            lx.TaggedLinearOperator(lx.DivLinearOperator(-matrix, Quantity(2.0, "s")), ()),
            lx.DivLinearOperator(-plain, jnp.array(2.0)),
        ),
        "structured": (
            slx.to_lineax(
                Quantity(SymmetricTridiagonalMatrix(jnp.full(3, 4.0), jnp.ones(2)), "kN/m")
            ),
            lx.TridiagonalLinearOperator(jnp.full(3, 4.0), jnp.ones(2), jnp.ones(2)),
        ),
        "plain": (plain, plain),
    }


UNITS = {"tagged quotient": "mm*s", "plain": "N"}


@pytest.mark.parametrize("name", operators())
def test_agrees_with_lineax(name):
    operator, plain = operators()[name]
    want = lx.linear_solve(plain, B)
    found = slx.linear_solve(operator, F)
    unit = UNITS.get(name, "mm")
    np.testing.assert_allclose(found.value.m_as(unit), want.value, rtol=2e-5)
    assert found.result == lx.RESULTS.successful
    if name in ("matrix", "tridiagonal", "structured"):
        assert str(found.value.units) == "meter * newton / kilonewton"


@pytest.mark.parametrize(
    "solver",
    [lx.SVD(), lx.GMRES(rtol=1e-6, atol=1e-6)],
    ids=lambda s: type(s).__name__,
)
def test_solvers(solver):
    want = lx.linear_solve(lx.MatrixLinearOperator(A), B, solver)
    found = slx.linear_solve(slx.MatrixLinearOperator(K), F, solver)
    np.testing.assert_allclose(found.value.m_as("mm"), want.value, rtol=1e-5)
    spd = A @ A.T
    definite = slx.MatrixLinearOperator(Quantity(spd, "kg"), lx.positive_semidefinite_tag)
    cg = lx.CG(rtol=1e-6, atol=1e-6)
    guess = {"y0": Quantity(jnp.linalg.solve(spd, B), "m/s**2")}
    found = slx.linear_solve(definite, F, cg, options=guess)
    np.testing.assert_allclose(found.value.m_as("m/s**2"), guess["y0"].magnitude, rtol=1e-4)
    assert found.stats["num_steps"] <= 2


def test_least_squares_of_a_tall_matrix():
    tall = jnp.concatenate([A, A[:1] * 2])
    b = jnp.array([1.0, 2.0, 3.0, 4.0])
    solver = lx.AutoLinearSolver(well_posed=False)
    want = lx.linear_solve(lx.MatrixLinearOperator(tall), b, solver).value
    operator = lx.MatrixLinearOperator(Quantity(tall, "m/s"))
    found = slx.linear_solve(operator, Quantity(b, "km"), solver).value
    np.testing.assert_allclose(found.m_as("ks"), want, rtol=1e-5)


def circuit():
    """Kirchhoff's laws: a conductance and a dimensionless row, a voltage and a current."""
    rows = {
        "node": {"v": Quantity(jnp.array([[2.0]]), "mA/V"), "i": Quantity(jnp.array([[-1.0]]), "")},
        "loop": {"v": Quantity(jnp.array([[1.0]]), ""), "i": Quantity(jnp.array([[3.0]]), "V/mA")},
    }
    out = {"node": jnp.zeros(1), "loop": jnp.zeros(1)}
    vector = {"node": Quantity(jnp.array([4e-3]), "A"), "loop": Quantity(jnp.array([9e3]), "mV")}
    return slx.PyTreeLinearOperator(rows, out), vector


def test_a_system_of_several_dimensions():
    operator, vector = circuit()
    found = slx.linear_solve(operator, vector).value
    v, i = np.linalg.solve([[2.0, -1.0], [1.0, 3.0]], [4.0, 9.0])
    np.testing.assert_allclose(found["v"].m_as("V"), [v], rtol=1e-5)
    np.testing.assert_allclose(found["i"].m_as("mA"), [i], rtol=1e-5)
    back = operator.mv(found)
    for name in vector:
        np.testing.assert_allclose(back[name].to(vector[name]).m, vector[name].m, rtol=1e-5)
    transposed = operator.T.mv(
        {"node": Quantity(jnp.ones(1), "V"), "loop": Quantity(jnp.ones(1), "A")}
    )
    np.testing.assert_allclose(transposed["v"].m_as("A"), [1.002], rtol=1e-5)
    with pytest.raises(TypeError, match="The blocks of this operator have several units"):
        operator.as_matrix()
    with pytest.raises(
        DimensionalityError, match="beside the first, the operator makes the second"
    ):
        slx.linear_solve(operator, vector | {"loop": Quantity(jnp.ones(1), "A")})
    wrong = {"node": Quantity(jnp.ones(1), "A"), "loop": jnp.ones(2)}
    with pytest.raises(DimensionalityError, match="vector\\['loop'\\] in 'dimensionless'|in ''"):
        slx.linear_solve(operator, wrong)


def test_a_diagonal_takes_each_leaf_by_itself():
    diagonal = {"a": jnp.array([2.0]), "b": Quantity(jnp.array([4.0]), "kg")}
    vector = {"a": Quantity(jnp.array([1.0]), "m"), "b": Quantity(jnp.array([1.0]), "N")}
    found = slx.linear_solve(lx.DiagonalLinearOperator(diagonal), vector).value
    np.testing.assert_allclose(found["a"].m_as("m"), 0.5)
    np.testing.assert_allclose(found["b"].m_as("m/s**2"), 0.25)


def test_jacobian_of_a_system():
    """A Newton step by hand, in a tree of mixed units."""

    def fn(y, c):
        return {"reach": y["v"] * y["t"] - c, "drop": 0.5 * Quantity(9.81, "m/s**2") * y["t"] ** 2}

    y = {"v": Quantity(2.0, "m/s"), "t": Quantity(500.0, "ms")}
    operator = slx.JacobianLinearOperator(fn, y, Quantity(1.0, "m"))
    step = slx.linear_solve(
        operator, {"reach": Quantity(1.0, "m"), "drop": Quantity(10.0, "cm")}
    ).value
    jacobian = np.array([[0.5, 2.0], [0.0, 9.81 * 0.5]])
    want = np.linalg.solve(jacobian, [1.0, 0.1])
    np.testing.assert_allclose(step["v"].m_as("m/s"), want[0], rtol=1e-5)
    np.testing.assert_allclose(step["t"].m_as("s"), want[1], rtol=1e-5)
    assert [str(step[name].units) for name in ("v", "t")] == ["meter / second", "millisecond"]


# -- transformations ------------------------------------------------------------------------------


def compliance(k, f):
    return jnp.sum(slx.linear_solve(lx.MatrixLinearOperator(k), f).value * f)


def test_transformations():
    plain = lambda k, f: jnp.sum(lx.linear_solve(lx.MatrixLinearOperator(k), f).value * f)
    want = plain(A, B)
    for f in (quaxify(compliance), jax.jit(quaxify(compliance))):
        np.testing.assert_allclose(f(K, F).m_as("N**2*m/kN"), want, rtol=1e-5)
    by_k, by_f = sciquax.grad(compliance, (0, 1))(K, F)
    want_k, want_f = jax.grad(plain, (0, 1))(A, B)
    np.testing.assert_allclose(by_k.m_as("N**2*m**2/kN**2"), want_k, rtol=1e-4)
    np.testing.assert_allclose(by_f.m_as("N*m/kN"), want_f, rtol=1e-4)
    many = Quantity(jnp.stack([B, 2 * B]), "N")
    found = jax.vmap(lambda f: slx.linear_solve(lx.MatrixLinearOperator(K), f).value)(many)
    np.testing.assert_allclose(found.m_as("mm")[1], 2 * np.linalg.solve(A, B), rtol=1e-4)


def test_late_solves_in_other_ways():
    """Within a program: in batches, with what is a literal in it, twice differentiated."""

    def displacement(f, guess, k):
        options = {"y0": guess}
        return slx.linear_solve(lx.MatrixLinearOperator(k), f, options=options).value

    def many(k, fs):
        guess = jnp.zeros(3)  # of every unit
        return jax.vmap(displacement, (1, None, None), 1)(fs, guess, k)

    fs = jnp.stack([B, 2 * B, B**2, -B], axis=1)
    found = quaxify(many)(K, Quantity(fs, "N"))
    np.testing.assert_allclose(found.m_as("mm"), np.linalg.solve(A, fs), rtol=1e-4)
    energy = lambda k, f: jnp.sum(slx.linear_solve(lx.MatrixLinearOperator(k), f).value * f)
    by_f = quaxify(jax.hessian(energy, 1))(K, F)
    np.testing.assert_allclose(by_f.m_as("mm/N"), np.linalg.inv(A) + np.linalg.inv(A).T, rtol=1e-4)


def test_late_solves_are_shown_by_name(capsys):
    show(lambda k, f: slx.linear_solve(slx.MatrixLinearOperator(k), f).value)(K, F)
    shown = capsys.readouterr().out
    assert "a, b = call[linear_solve] k f  Quantity(f32[3], 'm*N/kN'), i32[]" in shown


def test_late_solves_are_not_transposed():
    def transposed(k, f):
        solve = lambda f: slx.linear_solve(slx.MatrixLinearOperator(k), f).value
        return jax.linear_transpose(solve, f)(f)

    with pytest.raises(RuleError) as error:
        quaxify(transposed)(K, F)
    place = f"{error.value.location}"
    assert str(error.value) == (
        "`linear_solve` on quantities within `quaxify` has no rule for this kind of derivative."
        f"\n  at {place}\n"
        "Differentiate outside: `sciquax.grad(f)(...)` of a function `f` that solves."
    )
    assert "transposed" in place


def test_a_jacobian_within_a_gradient():
    def step(x, c):
        fn = lambda y, a: c * y**3 / x[0] ** 2
        operator = slx.JacobianLinearOperator(fn, x)
        return slx.linear_solve(operator, fn(x, None)).value[1]

    x, c = Quantity(jnp.array([1.0, 2.0]), "m"), Quantity(3.0, "N/m")
    grad = sciquax.grad(step)(x, c)  # a step of y/3, whatever c is
    np.testing.assert_allclose(grad, [0.0, 1 / 3], atol=1e-5)
    np.testing.assert_allclose(quaxify(step)(x, c).m_as("cm"), 200 / 3, rtol=1e-5)


def test_operators_made_within_a_program():
    """Where units are not known yet: by Lineax's constructors and by ours."""
    programs = {
        "tridiagonal": lambda k, f: slx.TridiagonalLinearOperator(
            jnp.diag(k), jnp.diag(k, -1), jnp.diag(k, 1)
        ),
        "multiple": lambda k, f: lx.MatrixLinearOperator(k) * k[0, 0] / k[0, 0],
        "sum": lambda k, f: slx.MatrixLinearOperator(k) + slx.DiagonalLinearOperator(0 * k[0]),
        "tree": lambda k, f: slx.PyTreeLinearOperator(k, f),
        "stock function": lambda k, f: lx.FunctionLinearOperator(lambda x: k @ x, STRUCT),
        "function": lambda k, f: slx.FunctionLinearOperator(lambda x: jnp.matmul(k, x), STRUCT),
        "stock jacobian": lambda k, f: lx.JacobianLinearOperator(lambda x, _: k @ x, f),
        "jacobian": lambda k, f: slx.JacobianLinearOperator(lambda x, _: k @ x, f),
    }
    banded = K.at[0, 2].set(0.0)
    want = np.linalg.solve(np.asarray(banded.magnitude), np.asarray(B))
    for name, make in programs.items():
        program = quaxify(lambda k, f, make=make: slx.linear_solve(make(k, f), f).value)
        found = program(banded, F)
        np.testing.assert_allclose(found.m_as("mm"), want, rtol=1e-4, err_msg=name)


def test_operators_of_captured_quantities_and_arguments():
    """What is an argument is bare while the program is staged, and is not taken for a number."""

    def solve(a, made):
        return slx.linear_solve(made({"a": a, "b": Quantity(2.0, "s")}), energies).value

    energies = {"a": Quantity(6.0, "J"), "b": Quantity(8.0, "J")}
    found = quaxify(lambda a: solve(a, slx.DiagonalLinearOperator))(Quantity(2.0, "m"))
    assert {k: str(x.units) for k, x in found.items()} == {
        "a": "joule / meter",
        "b": "joule / second",
    }
    assert (found["a"].m, found["b"].m) == (3.0, 4.0)


def test_gradients_within_a_program():
    def stretch(k, f):
        return slx.linear_solve(slx.MatrixLinearOperator(K * k), F * f).value[0]

    found = quaxify(jax.grad(stretch, (0, 1)))(Quantity(2.0, "1/s"), Quantity(3.0, "s"))
    x = np.linalg.solve(A, B)[0]
    np.testing.assert_allclose(found[0].m_as("mm*s**3"), -x * 3 / 4, rtol=1e-5)
    np.testing.assert_allclose(found[1].m_as("mm*s"), x / 2, rtol=1e-5)


def test_multiples_and_products():
    operator = slx.MatrixLinearOperator(K)
    for multiple in (operator * Quantity(2.0, "s"), Quantity(2.0, "s") * operator):
        found = slx.linear_solve(multiple, F).value
        np.testing.assert_allclose(found.m_as("mm/s"), np.linalg.solve(2 * A, B), rtol=1e-4)
    found = slx.linear_solve(operator / Quantity(2.0, "s"), F).value
    np.testing.assert_allclose(found.m_as("mm*s"), np.linalg.solve(A / 2, B), rtol=1e-4)
    product = (operator @ operator.T).mv(F)
    np.testing.assert_allclose(product.m_as("N*kN**2/m**2"), A @ (A.T @ B), rtol=1e-5)
    np.testing.assert_allclose(operator.as_matrix().m_as("N/mm"), A)


def test_functions_of_operators():
    operator = slx.MatrixLinearOperator(K)
    for same in (lx.linearise, lx.materialise, lx.conj):
        np.testing.assert_allclose(same(operator).as_matrix().m_as("N/mm"), A)
    np.testing.assert_allclose(lx.diagonal(operator).m_as("N/mm"), np.diag(A))
    main, lower, upper = (Quantity(jnp.diag(A, k), "kN/m") for k in (0, -1, 1))
    bands = lx.tridiagonal(slx.TridiagonalLinearOperator(main, lower, upper))
    for found, due in zip(bands, (main, lower, upper), strict=True):
        assert (found == due).all()
    slope = slx.JacobianLinearOperator(lambda x, k: k @ x**2, Quantity(B, "mm"), K)
    np.testing.assert_allclose(slx.materialise(slope).as_matrix().m_as("N"), 2 * A * B[None])


def test_inverses():
    inverse = slx.invert(slx.MatrixLinearOperator(K))
    want = np.linalg.solve(A, B)
    np.testing.assert_allclose(inverse.mv(F).m_as("mm"), want, rtol=1e-5)
    assert inverse.as_matrix().is_compatible_with("m/N")
    again = slx.linear_solve(inverse, Quantity(want, "mm")).value
    np.testing.assert_allclose(again.m_as("N"), B, rtol=1e-4)
    program = quaxify(lambda k, f: slx.invert(slx.MatrixLinearOperator(k)).mv(f))
    np.testing.assert_allclose(program(K, F).m_as("mm"), want, rtol=1e-5)


def test_structured_matrices_and_back():
    q = Quantity(SymmetricTridiagonalMatrix(jnp.full(3, 4.0), jnp.ones(2)), "kN/m")
    back = slx.from_lineax(slx.to_lineax(q))
    assert str(back.units) == "kilonewton / meter"
    assert type(back.magnitude) is SymmetricTridiagonalMatrix
    found = slx.linear_solve(slx.to_lineax(q), F, slx.StructuredSolver()).value
    np.testing.assert_allclose(
        found.m_as("mm"), slx.linear_solve(slx.to_lineax(q), F).value.m_as("mm"), rtol=1e-5
    )


# -- refusals -------------------------------------------------------------------------------------


def test_refused():
    matrix = lx.MatrixLinearOperator(K)
    with pytest.raises(DimensionalityError) as error:
        slx.linear_solve(matrix + lx.IdentityLinearOperator(STRUCT), F)
    assert error.value.what() == (
        "The sum of linear operators in 'kN/m' and 'dimensionless', which measure different things."
    )
    assert error.value.location.file == __file__
    with pytest.raises(DimensionalityError, match="`TridiagonalLinearOperator` got operands in"):
        slx.TridiagonalLinearOperator(F, B[1:], F[1:])
    guess = {"y0": Quantity(B, "s")}
    with pytest.raises(DimensionalityError, match="in .s., and the solution is in .m"):
        slx.linear_solve(matrix, F, lx.GMRES(rtol=1e-5, atol=1e-5), options=guess)
    with pytest.raises(TypeError, match="got a `Quantity` as its operator"):
        slx.linear_solve(K, F)
    with pytest.raises(OffsetUnitCalculusError) as error:
        slx.linear_solve(matrix, Quantity(B, "degC"))
    assert error.value.location.file == __file__
    with pytest.raises(TypeError, match="Give it the structure of the operator"):
        slx.linear_solve(matrix, {"f": F})
    with pytest.raises(AttributeError, match="module 'lineax' has no attribute 'lu'"):
        slx.lu  # noqa: B018
    singular = lx.MatrixLinearOperator(Quantity(jnp.zeros((3, 3)), "N/m"))
    assert slx.linear_solve(singular, F, throw=False).result != lx.RESULTS.successful


def test_operators_are_of_classes():
    array = jnp.array([[3.0, 1.0], [1.0, 2.0]])
    bare, labelled = (
        slx.MatrixLinearOperator(array),
        slx.MatrixLinearOperator(Quantity(array, "N/m")),
    )
    for operator in bare, labelled, lx.MatrixLinearOperator(array):
        assert isinstance(operator, slx.MatrixLinearOperator)
        assert not isinstance(operator, slx.DiagonalLinearOperator)
    assert isinstance(bare, lx.MatrixLinearOperator)
    names = [n for n in dir(lx) if n.endswith("LinearOperator")]
    assert all(issubclass(getattr(slx, n), getattr(lx, n)) for n in names)

    @functools.singledispatch
    def kind(operator):
        return "other"

    kind.register(slx.MatrixLinearOperator)(lambda operator: "matrix")
    assert kind(bare) == "matrix"


def test_operators_may_be_subclassed():
    class Twice(slx.MatrixLinearOperator):
        def mv(self, vector):
            return 2 * super().mv(vector)

        def as_matrix(self):
            return 2 * super().as_matrix()

    for check in (
        lx.is_symmetric, lx.is_diagonal, lx.is_tridiagonal, lx.is_lower_triangular,
        lx.is_upper_triangular, lx.is_positive_semidefinite, lx.is_negative_semidefinite,
    ):  # fmt: skip
        check.register(Twice)(lambda operator: False)
    lx.linearise.register(Twice)(lambda operator: operator)
    array, vector = jnp.array([[3.0, 1.0], [1.0, 2.0]]), jnp.array([1.0, 2.0])
    assert type(Twice(array)) is Twice
    x = slx.linear_solve(Twice(array), Quantity(vector, "N")).value
    np.testing.assert_allclose(x.m_as("N"), jnp.linalg.solve(2 * array, vector), atol=1e-6)

    class Own(lx.MatrixLinearOperator):
        pass

    def run():
        return slx.linear_solve(Own(Quantity(array, "N/m")), Quantity(vector, "N"))

    with pytest.raises(RuleError) as caught:
        run()
    assert str(caught.value).splitlines()[::2] == [
        "`Own` has quantity fields that this adapter cannot convert.",
        "Wrap the bare one: `UnitLinearOperator(operator, takes, gives)`.",
    ]


def test_a_state_is_used_again():
    array, vector = jnp.array([[3.0, 1.0], [1.0, 2.0]]), Quantity(jnp.array([1.0, 2.0]), "N")
    operator, solver = slx.MatrixLinearOperator(Quantity(array, "N/m")), slx.LU()
    first = slx.linear_solve(operator, vector, solver)
    for state in first.state, solver.init(operator.operator, {}):
        again = slx.linear_solve(operator, 2 * vector, solver, state=state).value
        np.testing.assert_allclose(again.m_as("m"), 2 * first.value.m_as("m"))
    bare = slx.MatrixLinearOperator(array)
    run = quaxify(lambda b: slx.linear_solve(bare, b, solver, state=solver.init(bare, {})).value)
    np.testing.assert_allclose(run(vector).m_as("N"), first.value.m_as("m"))


def test_functions_are_converted_or_not():
    array = jnp.array([[3.0, 1.0], [1.0, 2.0]])
    x = jnp.array([1.0, 2.0])
    for convert in True, False:
        shape = jax.eval_shape(lambda: x)
        linear = slx.FunctionLinearOperator(lambda x: array @ x, shape, closure_convert=convert)
        slope = slx.JacobianLinearOperator(lambda x, args: array @ x, x, closure_convert=convert)
        for operator in linear, slope:
            np.testing.assert_allclose(operator.mv(x), array @ x)


def test_least_squares_weigh_what_measures_one_thing_alike():
    t, damping, r = np.float32([1, 2]), np.float32(0.5), np.float32([2, 3])

    def operator(in_ms):
        d = Quantity(damping * 1000, "ms") if in_ms else Quantity(damping, "s")
        structure = jax.ShapeDtypeStruct((), jnp.float32)
        return slx.FunctionLinearOperator(lambda p: (Quantity(t, "s") * p, d * p), structure)

    vector = Quantity(r, "m"), Quantity(np.float32(1000.0), "mm")
    expected = (t @ r + damping) / (t @ t + damping**2)
    for in_ms in (False, True):
        value = slx.linear_solve(operator(in_ms), vector, lx.QR()).value
        np.testing.assert_allclose(value.m_as("m/s"), expected, rtol=1e-5)
    state = slx.linear_solve(operator(True), vector, lx.QR()).state
    with pytest.raises(RuleError, match="in which of them it was computed is not known"):
        slx.linear_solve(operator(True), vector, lx.QR(), state=state)
