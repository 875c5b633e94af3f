"""With units or without: the same numbers, the same compiled program, the same use."""

import re
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sciquax import quaxify
from sciquax.interop import diffrax as dfx
from sciquax.units import Quantity

from .diffrax_cases import CASES, FAMILIES, LONG, plain
from .diffrax_problems import Oven, Q, assert_same_numbers, bare, run_and_program, units_of

STATE = {"x": "km", "v": "m/s", "T": "K"}
SOLVERS = [diffrax.Tsit5(), diffrax.Kvaerno3()]


def name(solver: Any) -> str:
    return type(solver).__name__


@pytest.mark.parametrize("solver", SOLVERS, ids=name)
def test_numbers_and_program_are_those_of_plain_diffrax(solver):
    plain, oven = Oven(units=False), Oven(units=True)

    def solve(problem):
        def run(y0, args):
            sol = problem.solve(solver, y0, args)
            return sol.ts, sol.ys, sol.stats["num_steps"]

        return run

    expected, due = run_and_program(solve(plain), plain.y0, plain.args)
    got, program = run_and_program(solve(oven), oven.y0, oven.args)
    assert_same_numbers(bare(got), expected)
    assert units_of(got[0]) == "s"
    assert units_of(got[1]) == STATE
    assert program == due


@pytest.mark.usefixtures("x64")
@pytest.mark.filterwarnings("ignore:.*is not marked as converging:UserWarning")
@pytest.mark.parametrize(
    "case", [*FAMILIES, *(pytest.param(case, marks=pytest.mark.slow) for case in LONG)]
)
def test_optimised_programs_of_each_family_are_identical(case):
    """Explicit, symplectic, reversible, implicit-explicit, stochastic, ...: letter by letter.

    So are their results, of which only the units are left to look at.
    """

    def text(lib, q):
        given = {}

        def run():
            found, due = CASES[case](lib, q)
            given.update(units=units_of(found), due=due)
            return bare(found)

        compiled = jax.jit(run).lower().compile()
        assert lib is diffrax or given["units"] == given["due"]
        return re.sub(r", metadata=\{[^}]*\}|, frontend_attributes=\{[^}]*\}", "", body(compiled))

    def body(compiled):  # without the header, whose tables name files and lines
        found = compiled.as_text()
        return found[found.index("\n%") if "\n%" in found else found.index("\nENTRY") :]

    assert text(dfx, Quantity) == text(diffrax, plain)


def test_no_equation_is_added_where_units_agree():
    """The programs agree before they are optimised, too."""

    def rhs(t, y, args):
        return {"x": y["v"], "v": -args * y["x"]}

    def solve(lib, q):
        def run(x, v, k):
            return lib.diffeqsolve(
                lib.ODETerm(rhs), lib.Tsit5(), q(0.0, "s"), q(1.0, "s"), q(0.1, "s"),
                {"x": q(x, "m"), "v": q(v, "m/s")}, q(k, "1/s**2"),
                saveat=lib.SaveAt(ts=q(jnp.linspace(0.0, 1.0, 3), "s")),
                stepsize_controller=lib.PIDController(rtol=1e-4, atol=1e-5, dtmax=q(0.5, "s")),
            ).ys["x"]  # fmt: skip

        return run

    plain = jax.make_jaxpr(solve(diffrax, lambda x, unit: jnp.asarray(x)))(1.0, 0.0, 4.0)
    units = jax.make_jaxpr(lambda *xs: solve(dfx, Quantity)(*xs).magnitude)(1.0, 0.0, 4.0)
    assert _primitives(units) == _primitives(plain)


def _primitives(closed: Any) -> list[str]:
    """All primitives in the order of their equations, inner programs included."""
    found = []

    def walk(jaxpr):
        for eqn in getattr(jaxpr, "jaxpr", jaxpr).eqns:
            found.append(eqn.primitive.name)
            for param in eqn.params.values():
                for inner in param if isinstance(param, (list, tuple)) else (param,):
                    if hasattr(inner, "eqns") or hasattr(getattr(inner, "jaxpr", None), "eqns"):
                        walk(inner)

    walk(closed)
    return found


EXPLICIT = [
    "Euler", "Heun", "Midpoint", "Ralston", "Bosh3", "Tsit5", "Dopri5", "Dopri8",
    "ReversibleHeun", "LeapfrogMidpoint",
]  # fmt: skip
IMPLICIT = ["ImplicitEuler", "Kvaerno3", "Kvaerno4", "Kvaerno5"]
SPLIT = ["Sil3", "KenCarp3", "KenCarp4", "KenCarp5"]
NO_ERROR_ESTIMATE = ["Euler", "LeapfrogMidpoint", "SemiImplicitEuler"]


def _options(problem: Oven, solver: str) -> dict[str, Any]:
    if solver in NO_ERROR_ESTIMATE:
        return {"stepsize_controller": problem.library.ConstantStepSize()}
    return {}


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["Dopri8", "ReversibleHeun", "LeapfrogMidpoint", "Kvaerno5"])
def test_solvers_where_units_are_converted(solver):
    """One of each kind; `test_diffrax_acceptance.py` has them all, where nothing is converted."""
    plain, oven = Oven(units=False), Oven(units=True)
    expected = plain.solve(getattr(diffrax, solver)(), **_options(plain, solver))
    got = oven.solve(getattr(dfx, solver)(), **_options(oven, solver))
    assert_same_numbers((bare(got.ts), bare(got.ys)), (expected.ts, expected.ys))
    assert units_of(got.ys) == STATE


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["Sil3", "KenCarp4"])
def test_solvers_of_split_systems(solver):
    """A `MultiTerm` of two vector fields."""

    def solve(problem):
        lib, q = problem.library, problem.q

        def decay(t, y, args):
            return {name: -args[3] * x for name, x in y.items()}

        return lib.diffeqsolve(
            lib.MultiTerm(lib.ODETerm(problem.rhs), lib.ODETerm(decay)),
            getattr(lib, solver)(),
            q(0.0, "s"),
            q(0.2, "s"),
            q(0.01, "s"),
            problem.y0,
            problem.args,
            saveat=lib.SaveAt(ts=problem.times(end=0.2)),
            stepsize_controller=lib.PIDController(rtol=1e-4, atol=1e-5),
        )

    expected, got = solve(Oven(units=False)), solve(Oven(units=True))
    assert_same_numbers(bare(got.ys), expected.ys)
    assert units_of(got.ys) == STATE


def test_all_ode_solvers_of_diffrax_are_in_these_lists():
    """A solver that a release of Diffrax adds must be put in a list, or among the stochastic."""
    stochastic = {
        "ALIGN", "EulerHeun", "GeneralShARK", "ItoMilstein", "QUICSORT", "SEA", "SPaRK", "SRA1",
        "ShARK", "ShOULD", "SlowRK", "StratonovichMilstein",
    }  # fmt: skip
    known = {*EXPLICIT, *IMPLICIT, *SPLIT, *stochastic, "SemiImplicitEuler", "HalfSolver"}
    found = {
        n
        for n in dir(diffrax)
        if isinstance(getattr(diffrax, n), type)
        and issubclass(getattr(diffrax, n), diffrax.AbstractSolver)
        and not n.startswith("Abstract")
    }
    assert found == known


@pytest.mark.parametrize("library", [diffrax, dfx], ids=["diffrax", "dfx"])
@pytest.mark.parametrize("half", [False, True])
def test_semi_implicit_euler_gives_each_half_the_other(library, half):
    q = Quantity if library is dfx else lambda x, unit: jnp.asarray(x)
    k = q(4.0, "1/s**2")
    thousand = 1.0 if library is dfx else 1000.0
    terms = (
        library.ODETerm(lambda t, v, args: v / thousand),
        library.ODETerm(lambda t, x, args: -k * x * thousand),
    )
    solver = library.SemiImplicitEuler()
    solver = library.HalfSolver(solver) if half else solver
    sol = library.diffeqsolve(
        terms, solver, q(0.0, "s"), q(1.0, "s"), q(0.001, "s"), (q(1.0, "km"), q(0.0, "m/s"))
    )
    x, v = bare(sol.ys)
    np.testing.assert_allclose(x, np.cos(2.0), rtol=5e-3)
    np.testing.assert_allclose(v, -2000 * np.sin(2.0), rtol=5e-3)
    if library is dfx:
        assert units_of(sol.ys) == ("km", "m/s")


@pytest.mark.parametrize("solver", [diffrax.Tsit5(), diffrax.Kvaerno3()], ids=name)
@pytest.mark.slow
def test_vector_fields_of_many_kinds_of_operations(solver):
    """Conditionals, loops, linear solves, custom derivatives and norms, differentiated or not."""
    matrix = jnp.array([[2.0, 1.0], [1.0, 3.0]])

    def rhs(t, y, args):
        size = jnp.linalg.norm(y)
        slow = jax.lax.cond(size > args["r"], lambda: y, lambda: 2 * y) / args["tau"]
        solved = jnp.linalg.solve(args["A"], y) / args["B"]
        positive = jnp.where(y > 0 * size, y, 0.0) / args["tau"]
        last, _ = jax.lax.scan(lambda c, _: (c * 0.5, c), y, None, length=3)
        soft = jax.nn.softplus(size / args["r"]) * last / args["tau"]
        return jnp.sin(t / args["tau"]) * y / args["tau"] - slow - solved - positive - soft

    def solve(lib, q):
        args = {"r": q(1.0, "m"), "tau": q(0.5, "s"), "A": q(matrix, "kg"), "B": q(1.0, "s/kg")}
        return lib.diffeqsolve(
            lib.ODETerm(rhs), solver, q(0.0, "s"), q(0.5, "s"), q(0.01, "s"),
            q(jnp.array([1.0, -2.0]), "m"), args, throw=False,
            stepsize_controller=lib.PIDController(rtol=1e-2, atol=1e-2),
        ).ys  # fmt: skip

    expected = solve(diffrax, lambda x, unit: jnp.asarray(x))
    got = solve(dfx, Quantity)
    assert_same_numbers(bare(got), expected)
    assert units_of(got) == "m"


@pytest.mark.parametrize("solver", [diffrax.Tsit5(), diffrax.Kvaerno3()], ids=name)
@pytest.mark.slow
def test_a_solve_within_a_vector_field(solver):
    def solve(lib, q):
        def rhs(t, y, args):
            inner = lib.diffeqsolve(
                lib.ODETerm(lambda s, z, _: -z * y / q(3.0, "m*s")), lib.Heun(), q(0.0, "s"),
                q(1.0, "s"), q(0.25, "s"), q(1.0, "K"), adjoint=lib.ForwardMode(),
            )  # fmt: skip
            return -y * inner.ys[0] / q(1.0, "K*s")

        return lib.diffeqsolve(
            lib.ODETerm(rhs), solver, q(0.0, "s"), q(1.0, "s"), q(0.1, "s"), q(2.0, "m"),
            stepsize_controller=lib.PIDController(rtol=1e-2, atol=1e-2),
        ).ys  # fmt: skip

    expected = solve(diffrax, lambda x, unit: jnp.asarray(x))
    got = solve(dfx, Quantity)
    np.testing.assert_allclose(got.m, expected, rtol=1e-6)
    assert units_of(got) == "m"


@pytest.mark.slow
def test_scan_kind_and_other_options_pass_through():
    plain, oven = Oven(units=False), Oven(units=True)
    options = dict(max_steps=64, throw=False, adjoint=diffrax.DirectAdjoint())
    expected = plain.solve(diffrax.Tsit5(scan_kind="bounded"), **options)
    got = oven.solve(dfx.Tsit5(scan_kind="bounded"), **options)
    assert_same_numbers(bare(got.ys), expected.ys)
    assert got.result == expected.result
    assert got.stats["max_steps"] == 64
    few = oven.solve(dfx.Tsit5(), max_steps=2, throw=False)
    assert few.result == diffrax.RESULTS.max_steps_reached
    with pytest.raises(Exception, match="maximum number of solver steps was reached"):
        oven.solve(dfx.Tsit5(), max_steps=2)


def test_progress_meter(capsys):
    oven = Oven(units=True)
    oven.solve(dfx.Tsit5(), progress_meter=dfx.TextProgressMeter(minimum_increase=0.1))
    jax.effects_barrier()
    assert "100.00%" in capsys.readouterr().out


# -- without units --------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", [diffrax.Tsit5(), diffrax.Kvaerno3()], ids=name)
@pytest.mark.slow
def test_plain_arrays_are_plain_diffrax(solver):
    plain = Oven(units=False)

    def solve(lib):
        def run(y0, args):
            sol = lib.diffeqsolve(
                lib.ODETerm(plain.rhs), solver, 0, 1.0, 0.01, y0, args,
                saveat=lib.SaveAt(t0=True, ts=[0.1, 0.5], t1=True),
                stepsize_controller=lib.PIDController(
                    rtol=1e-4, atol=1e-5, dtmax=0.2, jump_ts=[0.25], step_ts=[0.3]
                ),
                event=lib.Event(lambda t, y, args, **kwargs: y["T"] < 200.0),
            )  # fmt: skip
            return sol.ts, sol.ys, sol.t0, sol.t1, sol.stats, sol.event_mask

        return run

    expected, due = run_and_program(solve(diffrax), plain.y0, plain.args)
    got, program = run_and_program(solve(dfx), plain.y0, plain.args)
    assert_same_numbers(got, expected)
    assert program == due


def test_plain_arrays_raise_what_diffrax_raises():
    def rhs(t, y, args):
        return (y, y)

    def message(lib):
        with pytest.raises(ValueError) as caught:
            lib.diffeqsolve(lib.ODETerm(rhs), lib.Tsit5(), 0.0, 1.0, 0.1, jnp.ones(2))
        return str(caught.value)

    assert message(dfx) == message(diffrax)


def test_every_public_name_of_diffrax_is_here():
    names = [n for n in dir(diffrax) if not n.startswith("_")]
    assert names
    for n in names:
        assert hasattr(dfx, n), n
        assert n in dir(dfx)
    assert dfx.Tsit5 is diffrax.Tsit5
    assert issubclass(dfx.PIDController, diffrax.PIDController)
    with pytest.raises(AttributeError, match="module 'diffrax' has no attribute 'Tsit55'"):
        _ = dfx.Tsit55


# -- costs ----------------------------------------------------------------------------------------


def test_a_second_call_traces_nothing():
    traced = 0

    def rhs(t, y, args):
        nonlocal traced
        traced += 1
        return -args * y

    def solve(value):
        return dfx.diffeqsolve(
            dfx.ODETerm(rhs), dfx.Tsit5(), Q(0.0, "s"), Q(1.0, "s"), Q(0.1, "s"), Q(value, "m"),
            Q(2.0, "1/s"), saveat=dfx.SaveAt(t1=True, fn=lambda_fn), event=dfx.Event(condition),
            stepsize_controller=dfx.PIDController(rtol=1e-3, atol=Q(1.0, "mm"), dtmax=Q(1.0, "s")),
        )  # fmt: skip

    def lambda_fn(t, y, args):
        return y

    def condition(t, y, args, **kwargs):
        return y < Q(1.0, "mm")

    first = solve(1.0)
    count = traced
    second = solve(2.0)
    assert traced == count
    np.testing.assert_allclose(second.ys.m, 2 * first.ys.m, rtol=1e-2)


def test_the_vector_field_is_traced_as_often_as_by_diffrax():
    def count(lib, units):
        calls = 0
        problem = Oven(units)
        inner = problem.rhs

        def rhs(t, y, args):
            nonlocal calls
            calls += 1
            return inner(t, y, args)

        problem.rhs = rhs  # type: ignore[method-assign]
        problem.solve(lib.Tsit5())
        return calls

    assert count(dfx, True) == count(diffrax, False)


def test_quaxified_vector_fields_are_taken_as_they_are():
    oven = Oven(units=True)
    expected = oven.solve(dfx.Tsit5())
    inner = oven.rhs
    oven.rhs = quaxify(inner)  # type: ignore[method-assign]
    assert_same_numbers(bare(oven.solve(dfx.Tsit5()).ys), bare(expected.ys))
