"""What is refused, while JAX traces, and what the user is told: whole messages."""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import optimistix as optx
import pytest

from sciquax import quaxify
from sciquax.core import RuleError
from sciquax.interop import diffrax as dfx
from sciquax.units import DimensionalityError, OffsetUnitCalculusError

from .diffrax_problems import Q, place

Y0 = {"x": Q(1.0, "km"), "v": Q(0.0, "m/s")}
K = Q(4.0, "1/s**2")
NO_UNIT = "Only literal 0, inf and nan belong to every unit."


def spring(t, y, args):
    return {"x": y["v"], "v": -args * y["x"]}


def solve(vector_field: Any = spring, solver: Any = None, **given: Any) -> Any:
    arguments: dict[str, Any] = dict(t0=Q(0.0, "s"), t1=Q(1.0, "s"), dt0=Q(0.1, "s"), y0=Y0, args=K)
    arguments |= given
    return dfx.diffeqsolve(dfx.ODETerm(vector_field), solver or dfx.Euler(), **arguments)


HERE = place(solve, "dfx.diffeqsolve", column=False)


def refused(error: type[Exception], message: str, **given: Any) -> None:
    """The same message at once and while a jitted function is traced."""
    for run in (lambda: solve(**given), lambda: jax.jit(lambda: solve(**given).ys)()):
        with pytest.raises(error) as caught:
            run()
        assert str(caught.value) == message


# -- the vector field -----------------------------------------------------------------------------


def wrong_dimension(t, y, args):
    return {"x": y["v"], "v": args * y["v"]}


def plain_array(t, y, args):
    return {"x": y["v"], "v": jnp.ones(())}


def wrong_structure(t, y, args):
    return y["v"], -args * y["x"]


def exponential(t, y, args):
    return {"x": y["v"], "v": -args * y["x"] * jnp.exp(y["x"])}


def metres_plus_seconds(t, y, args):
    far = y["x"] + t
    return {"x": y["v"], "v": -args * far}


PRODUCT = 'args * y["v"]'


class Model:
    def __call__(self, t, y, args):
        return wrong_dimension(t, y, args)


@pytest.mark.parametrize("wrap", [lambda f: f, quaxify, jax.jit], ids=["plain", "quaxify", "jit"])
def test_derivative_of_another_dimension(wrap):
    """The line that made it; of a function that was jitted by itself, the function."""
    line = None if wrap is jax.jit else PRODUCT
    refused(
        DimensionalityError,
        "The vector field returned 'm/s**3' for y['v'], whose time derivative is in 'm/s**2'.\n"
        f"{place(wrong_dimension, line)}\n"
        "Return something that converts to 'm/s**2'.",
        vector_field=wrap(wrong_dimension),
    )


def test_a_vector_field_that_is_an_object():
    refused(
        DimensionalityError,
        "The vector field returned 'm/s**3' for y['v'], whose time derivative is in 'm/s**2'.\n"
        f"{place(wrong_dimension, PRODUCT)}\n"
        "Return something that converts to 'm/s**2'.",
        vector_field=Model(),
    )


def test_plain_array_where_an_acceleration_is_due():
    refused(
        DimensionalityError,
        "The vector field returned a plain array (f32[]) for y['v'], whose time derivative is in "
        "'m/s**2'.\n"
        f"{place(plain_array)}\n"
        "Compute it from quantities, or give it its unit, `Quantity(x, 'm/s**2')`.",
        vector_field=plain_array,
    )


def test_a_state_alone_is_called_y():
    def rhs(t, y, args):
        return y

    refused(
        DimensionalityError,
        "The vector field returned 'm' for y, whose time derivative is in 'm/s'.\n"
        f"{place(rhs)}\n"
        "Return something that converts to 'm/s'.",
        vector_field=rhs,
        y0=Q(1.0, "m"),
    )


def test_a_dimensionless_leaf_has_a_rate_with_a_unit():
    def rhs(t, y, args):
        return (y[0] / Q(1.0, "s"), y[1])

    refused(
        DimensionalityError,
        "The vector field returned a plain array (f32[]) for y[1], whose time derivative is in "
        "'1/s'.\n"
        f"{place(rhs)}\n"
        "Compute it from quantities, or give it its unit, `Quantity(x, '1/s')`.",
        vector_field=rhs,
        y0=(Q(1.0, "m"), jnp.asarray(0.5)),
    )


def test_a_quantity_where_a_number_is_due():
    """Plain time and state, and a captured quantity: the derivative is a number."""

    def rhs(t, y, args):
        return -args * y

    refused(
        DimensionalityError,
        "The vector field returned '1/s**2' for y, whose time derivative is in 'dimensionless'.\n"
        f"{place(rhs, '-args * y')}\n"
        "Return something that converts to 'dimensionless'.",
        vector_field=rhs,
        y0=1.0,
        t0=0.0,
        t1=1.0,
        dt0=0.1,
    )


def test_another_structure():
    with pytest.raises(ValueError) as caught:
        solve(wrong_structure)
    assert str(caught.value) == (
        "The vector field must return a tree shaped like `y0`, PyTreeDef({'v': *, 'x': *}), and "
        f"gave PyTreeDef((*, *)).\n{place(wrong_structure)}"
    )


def test_exp_of_a_length():
    refused(
        DimensionalityError,
        "`exp` takes numbers, and got Quantity(f32[], 'km') in 'km'.\n"
        f"{place(exponential, 'jnp.exp')}\n"
        "Divide by a reference scale first, or convert with `.to(...)`.",
        vector_field=exponential,
    )


@pytest.mark.parametrize("solver", [dfx.Tsit5(), dfx.Kvaerno3()], ids=["explicit", "implicit"])
def test_kilometres_plus_seconds(solver):
    refused(
        DimensionalityError,
        "`add` got operands in 'km' and 's', which measure different things.\n"
        f"{place(metres_plus_seconds, 'far = ', 10)}\n"
        "Convert one with `.to(...)`, or divide by a reference scale first.",
        vector_field=metres_plus_seconds,
        solver=solver,
        stepsize_controller=dfx.PIDController(rtol=1e-3, atol=1e-3),
    )


def test_methods_of_quantities_and_jax_numpy_in_one_function():
    def rhs(t, y, args):
        return {"x": y["v"].magnitude * y["v"].units, "v": -args * jnp.abs(y["x"])}

    with pytest.raises(AttributeError) as caught:
        solve(rhs)
    (note,) = [n for n in caught.value.__notes__ if n.startswith("While calling")]
    assert note == (
        f"While calling {place(rhs).removeprefix('  at ')} on quantities. A function that uses a "
        "quantity's own methods must take JAX's functions from `sciquax.numpy`, not from "
        "`jax.numpy`."
    )


# -- times ----------------------------------------------------------------------------------------


def plain_number(name: str, owner: str = "diffeqsolve", aval: str = "f32[]") -> str:
    return (
        f"`{owner}` got `{name}` as a plain array ({aval}), and time is in 's' (as `t0` is).\n"
        f"{HERE}\nGive it a unit, `Quantity(x, 's')`. {NO_UNIT}"
    )


def other_dimension(name: str, owner: str = "diffeqsolve") -> str:
    return (
        f"`{owner}` got `{name}` in 'm', and time is in 's' (as `t0` is).\n"
        f"{HERE}\nGive `{name}` in a unit that converts to 's'."
    )


TIMES = jnp.linspace(0.0, 1.0, 3)
PID = dict(rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "name, given",
    [
        ("t1", dict(t1=1.0)),
        ("dt0", dict(dt0=0.1)),
        ("saveat.ts", dict(saveat=dfx.SaveAt(ts=TIMES))),
        ("saveat.ts", dict(saveat=diffrax.SaveAt(ts=TIMES))),
        ("saveat.ts", dict(saveat=dfx.SaveAt(subs=[dfx.SubSaveAt(ts=TIMES)]))),
    ],
)
def test_plain_times_where_time_has_a_unit(name, given):
    aval = "f32[3]" if "saveat" in given else "f32[]"
    refused(DimensionalityError, plain_number(name, aval=aval), **given)


@pytest.mark.parametrize(
    "name, given",
    [
        ("t1", dict(t1=Q(1.0, "m"))),
        ("dt0", dict(dt0=Q(1.0, "m"))),
        ("saveat.ts", dict(saveat=dfx.SaveAt(ts=Q(TIMES, "m")))),
    ],
)
def test_times_that_measure_something_else(name, given):
    refused(DimensionalityError, other_dimension(name), **given)


@pytest.mark.parametrize("name", ["t1", "dt0", "saveat.ts"])
def test_quantities_where_time_is_plain(name):
    given: dict[str, Any] = dict(t0=0.5, t1=1.0, dt0=0.1)
    if name == "saveat.ts":
        given["saveat"] = dfx.SaveAt(ts=Q(TIMES, "s"))
    else:
        given[name] = Q(1.0, "s")
    refused(
        DimensionalityError,
        f"`diffeqsolve` got `{name}` in 's', and time is a plain number (as `t0` is).\n"
        f"{HERE}\nGive `t0` a unit, `Quantity(t0, 's')`, or strip `{name}`.",
        **given,
    )


def test_an_array_of_zeros_is_no_literal():
    """Array contents are never read: they are not known under `jit`."""
    refused(DimensionalityError, plain_number("t1"), t0=Q(-1.0, "s"), t1=jnp.asarray(0.0))


def test_time_on_a_scale_with_an_offset():
    refused(
        OffsetUnitCalculusError,
        "`t0` is in '°C', whose scale has an offset: no system can evolve in it.\n"
        f"{HERE}\nConvert to an absolute scale first, `.to('kelvin')`.",
        t0=Q(0.0, "degC"),
        t1=Q(1.0, "degC"),
    )


# -- controllers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, owner, aval, controller",
    [
        ("dtmax", "PIDController", "f32[]", lambda: dfx.PIDController(**PID, dtmax=0.1)),
        ("dtmin", "PIDController", "f32[]", lambda: diffrax.PIDController(**PID, dtmin=0.1)),
        ("jump_ts", "ClipStepSizeController", "f32[3]",
         lambda: dfx.PIDController(**PID, jump_ts=TIMES)),
        ("step_ts", "ClipStepSizeController", "f32[3]",
         lambda: dfx.ClipStepSizeController(dfx.PIDController(**PID), step_ts=TIMES)),
        ("ts", "StepTo", "f32[3]", lambda: dfx.StepTo(TIMES)),
    ],
)  # fmt: skip
def test_plain_times_of_controllers(name, owner, aval, controller):
    refused(
        DimensionalityError,
        plain_number(name, owner, aval),
        stepsize_controller=controller(),
        solver=dfx.Heun(),
    )


@pytest.mark.parametrize(
    "name, owner, controller",
    [
        ("dtmax", "PIDController", lambda: dfx.PIDController(**PID, dtmax=Q(0.1, "m"))),
        ("jump_ts", "ClipStepSizeController",
         lambda: dfx.PIDController(**PID, jump_ts=Q(TIMES, "m"))),
        ("ts", "StepTo", lambda: dfx.StepTo([Q(0.0, "m"), Q(1.0, "m")])),
    ],
)  # fmt: skip
def test_times_of_controllers_that_measure_something_else(name, owner, controller):
    refused(
        DimensionalityError,
        other_dimension(name, owner),
        stepsize_controller=controller(),
        solver=dfx.Heun(),
    )


def test_atol_of_another_dimension_than_a_leaf():
    refused(
        DimensionalityError,
        "`PIDController` got `atol` in 'm', and y['v'] is in 'm/s'.\n"
        f"{HERE}\n"
        "Give `atol` as a tree shaped like `y0`, or as a number, which counts in the units of "
        "`y0`, leaf by leaf.",
        stepsize_controller=dfx.PIDController(rtol=1e-3, atol=Q(1.0, "m")),
        solver=dfx.Heun(),
    )


def test_atol_that_does_not_fit():
    refused(
        RuleError,
        "`PIDController` got `atol` as a tree, PyTreeDef((*, *)), that does not fit `y0`, "
        "PyTreeDef({'v': *, 'x': *}).\n"
        f"{HERE}\nGive it shaped like `y0`, or one number for all leaves.",
        stepsize_controller=dfx.PIDController(rtol=1e-3, atol=(1.0, 1.0)),
        solver=dfx.Heun(),
    )


def test_atol_on_a_scale_with_an_offset():
    refused(
        OffsetUnitCalculusError,
        "`PIDController` got `atol` in '°C', whose scale has an offset; a tolerance is a "
        f"difference.\n{HERE}\nGive it in 'Δ°C'.",
        stepsize_controller=dfx.PIDController(rtol=1e-3, atol=Q(1.0, "degC")),
        solver=dfx.Heun(),
        y0=Q(20.0, "degC"),
    )


def test_rtol_is_a_number():
    refused(
        DimensionalityError,
        "`PIDController` got `rtol` in 's', but it is a number.\n"
        f"{HERE}\nAn absolute tolerance is `atol`; `rtol` is a fraction of the state.",
        stepsize_controller=dfx.PIDController(rtol=Q(1.0, "s"), atol=1e-3),
        solver=dfx.Heun(),
    )


class OwnController(diffrax.PIDController):
    limit: Any = None


def test_controllers_of_the_users():
    given = dict(rtol=1e-3, atol=1e-3, limit=Q(1.0, "s"))
    refused(
        DimensionalityError,
        "`OwnController` got `rtol` in 'm', but it is a number.\n"
        f"{HERE}\nAn absolute tolerance is `atol`; `rtol` is a fraction of the state.",
        stepsize_controller=OwnController(**(given | {"rtol": Q(1.0, "m")})),
        solver=dfx.Heun(),
    )


class Driven(diffrax.ODETerm):
    """All of its methods are Diffrax's."""


class Twice(diffrax.AbstractTerm):
    term: diffrax.AbstractTerm

    def vf(self, t, y, args):
        return self.term.vf(t, y, args)

    def contr(self, t0, t1, **kwargs):
        return self.term.contr(t0, t1)

    def prod(self, vf, control):
        return self.term.prod(vf, 2 * control)


def test_terms_of_the_users_are_named_by_what_the_user_wrote():
    for term, name, function in (
        (Driven(spring), "Driven.vector_field", spring),
        (Twice(diffrax.ODETerm(spring)), "Twice.prod", Twice.prod),
    ):
        with pytest.raises(DimensionalityError) as caught:
            dfx.diffeqsolve(
                term, dfx.Euler(), Q(0.0, "s"), Q(1.0, "s"), Q(0.1, "s"), Y0, Q(4.0, "1/s")
            )
        assert str(caught.value) == (
            f"`{name}` returned 'km' for y['v'], whose change over a step must be in 'm/s'.\n"
            f"{place(function)}\nReturn something that converts to 'm/s'."
        )


def test_a_state_on_a_logarithmic_scale():
    refused(
        OffsetUnitCalculusError,
        "A difference in 'dBm' has no unit of its own: its scale is logarithmic.\n"
        f"{HERE}\nConvert to a linear unit first.",
        y0=Q(10.0, "dBm"),
    )


def test_adjoints_that_do_not_fit():
    atol = {"x": Q(1.0, "m"), "v": Q(1.0, "m/s")}
    refused(
        RuleError,
        "`BacksolveAdjoint` solves for the state and its adjoints together, to which an `atol` "
        f"shaped like `y0` does not apply.\n{HERE}\n"
        "Give it its own, `BacksolveAdjoint(stepsize_controller=PIDController(rtol=..., "
        "atol=...))`, with `atol` a number.",
        stepsize_controller=dfx.PIDController(rtol=1e-3, atol=atol),
        adjoint=dfx.BacksolveAdjoint(),
        solver=dfx.Heun(),
    )
    refused(
        RuleError,
        "`BacksolveAdjoint` holds quantities in a place where they are not understood.\n"
        f"{HERE}\nGive plain numbers, in the units of `t0` and `y0`.",
        adjoint=dfx.BacksolveAdjoint(max_steps=Q(1, "s")),
    )


# -- events, terms, solvers, states ---------------------------------------------------------------


def test_conditions_are_checked():
    def condition(t, y, args, **kwargs):
        return y["x"] > t

    refused(
        DimensionalityError,
        "`gt` got operands in 'km' and 's', which measure different things.\n"
        f"{place(condition, 'y[')}\n"
        "Convert one with `.to(...)`, or divide by a reference scale first.",
        event=dfx.Event(condition),
    )


def test_a_zero_that_is_not_zero():
    def condition(t, y, args, **kwargs):
        return y

    refused(
        RuleError,
        "An event's condition returned '°C', whose zero is not where nothing is: its change of "
        f"sign means nothing.\n{place(condition)}\n"
        "Subtract the value to watch for, or convert with `.to('kelvin')`.",
        vector_field=lambda t, y, args: Q(1.0, "K/s"),
        y0=Q(20.0, "degC"),
        event=dfx.Event(condition),
    )


def test_a_root_finder_with_quantities():
    finder = optx.Newton(1e-3, Q(1.0, "m"))  # type: ignore[arg-type]
    refused(
        RuleError,
        "The root finder of an `Event` holds Quantity(1.0, 'm'): its tolerances are used for the "
        "time of the event and for the condition's value alike, in their own units.\n"
        f"{HERE}\nGive plain numbers: of the unit of `t0`, and of what the condition returns.",
        event=dfx.Event(lambda t, y, args, **kwargs: y["x"], finder),
    )


def test_the_old_kind_of_event():
    with pytest.raises(RuleError) as caught:
        solve(discrete_terminating_event=diffrax.SteadyStateEvent())
    assert str(caught.value) == (
        "`diffeqsolve` does not take quantities together with `discrete_terminating_event`.\n"
        f"{HERE}\nUse `event=Event(...)`."
    )


def saved(t, y, args):
    return jnp.log(y["x"])


def test_saved_functions_are_checked():
    refused(
        DimensionalityError,
        "`log` takes numbers, and got Quantity(f32[], 'km') in 'km'.\n"
        f"{place(saved, 'jnp.log')}\n"
        "Divide by a reference scale first, or convert with `.to(...)`.",
        saveat=dfx.SaveAt(t1=True, fn=saved),
    )


def langevin(gamma=None, u=None, velocity=None, gradient=None):
    gamma = Q(1.0, "1/s") if gamma is None else gamma
    u = Q(1.0, "m**2/s**2") if u is None else u
    gradient = gradient or (lambda x, args: x / Q(1.0, "m**2"))
    path = dfx.VirtualBrownianTree(
        Q(0.0, "s"), Q(1.0, "s"), Q(0.1, "s"), (), jax.random.key(0), diffrax.SpaceTimeLevyArea
    )
    terms = dfx.MultiTerm(
        dfx.UnderdampedLangevinDriftTerm(gamma, u, gradient),
        dfx.UnderdampedLangevinDiffusionTerm(gamma, u, path),
    )
    y0 = (Q(1.0, "m"), Q(0.0, "m/s") if velocity is None else velocity)
    return dfx.diffeqsolve(terms, dfx.ALIGN(), Q(0.0, "s"), Q(1.0, "s"), Q(0.1, "s"), y0)


def slope(x, args):
    return x


@pytest.mark.parametrize(
    "given, text",
    [
        (
            {"gamma": Q(1.0, "s")},
            "`UnderdampedLangevinDriftTerm` got `gamma` in 's' for y[0], but it must be in '1/s'.",
        ),
        (
            {"u": Q(1.0, "1/kg")},
            "`UnderdampedLangevinDriftTerm` got `u` in '1/kg' for y[0], but it must be in "
            "'m**2/s**2'.",
        ),
        (
            {"u": 1.0},
            "`UnderdampedLangevinDriftTerm` got `u` in plain numbers for y[0], but it must be in "
            "'m**2/s**2'.",
        ),
        (
            {"velocity": Q(1.0, "m")},
            "`diffeqsolve` got the velocity y0[1] of a Langevin diffusion in 'm', and its position "
            "is in 'm', so that it must be in 'm/s'.",
        ),
        (
            {"gradient": slope},
            "`grad_f` returned 'm' for y[0], along which a potential, a number, changes in '1/m'.",
        ),
    ],
    ids=["gamma", "u", "plain u", "velocity", "gradient"],
)
def test_langevin_diffusions_are_checked(given, text):
    with pytest.raises(DimensionalityError) as caught:
        langevin(**given)
    assert str(caught.value).splitlines()[0] == text
    if "gradient" in given:
        assert str(caught.value).splitlines()[1].startswith(place(slope, "def slope", column=False))


class OwnSolver(diffrax.Euler):
    term_structure = (diffrax.AbstractTerm, diffrax.AbstractTerm)  # type: ignore[assignment]


def test_solvers_of_the_users_with_several_terms():
    def run():
        terms = (dfx.ODETerm(spring), dfx.ODETerm(spring))
        ends = Q(0.0, "s"), Q(1.0, "s"), Q(0.1, "s")
        return dfx.diffeqsolve(terms, OwnSolver(), *ends, (Y0, Y0))

    with pytest.raises(RuleError) as caught:
        run()
    assert str(caught.value) == (
        "`OwnSolver` takes several terms, and what part of the state each one sees is not known.\n"
        f"{place(run, 'return dfx', column=False)}\n"
        "Strip the units by hand: solve on `.m_as(unit)` and put the units back."
    )


def test_solvers_that_hold_quantities():
    refused(
        DimensionalityError,
        "`VeryChord` got `rtol` in 'm', but it is a number.\n"
        f"{HERE}\nAn absolute tolerance is `atol`; `rtol` is a fraction of the state.",
        solver=dfx.Kvaerno3(root_finder=dfx.VeryChord(Q(1.0, "m"), 1e-3)),
        stepsize_controller=dfx.PIDController(**PID),
    )
    refused(
        RuleError,
        "`Kvaerno3` has quantity fields that this adapter cannot convert.\n"
        f"{HERE}\nHold plain numbers, in the units of `t0` and `y0`.",
        solver=dfx.Kvaerno3(root_finder=dfx.VeryChord(1e-3, 1e-3, kappa=Q(1.0, "m"))),
        stepsize_controller=dfx.PIDController(**PID),
    )


def test_internal_states_in_other_units():
    first = solve(saveat=dfx.SaveAt(t1=True, solver_state=True, controller_state=True))
    for name in ("solver_state", "controller_state"):
        state = getattr(first, name) or first.controller_state
        refused(
            RuleError,
            f"`diffeqsolve` got a `{name}` of a solve in other units: time in 's' and states in "
            f"'m/s', 'km', now 's' and 'm/s', 'm'.\n{HERE}\n"
            "Start both solves with `t0` and `y0` in the same units, by `.to(...)`.",
            y0={"x": Q(1.0, "m"), "v": Q(0.0, "m/s")},
            **{name: state},
        )
        refused(
            RuleError,
            f"`diffeqsolve` got `{name}` as bare numbers, whose units are not known.\n"
            f"{HERE}\nPass the `{name}` of a solution of this module's `diffeqsolve`.",
            **{name: state.state},
        )


# -- paths ----------------------------------------------------------------------------------------


def test_evaluating_a_solution_at_no_time():
    def run(t):
        return sol.evaluate(t)

    sol = solve(saveat=dfx.SaveAt(dense=True))
    at = place(run, "return", column=False)
    with pytest.raises(DimensionalityError) as caught:
        run(Q(1.0, "m"))
    assert str(caught.value) == (
        f"`evaluate` got `t0` in 'm', and time is in 's' (as `t0` is).\n{at}\n"
        "Give `t0` in a unit that converts to 's'."
    )
    with pytest.raises(DimensionalityError) as caught:
        run(0.5)
    assert str(caught.value) == (
        "`evaluate` got `t0` as a plain array (f32[]), and time is in 's' (as `t0` is).\n"
        f"{at}\nGive it a unit, `Quantity(x, 's')`. {NO_UNIT}"
    )


def test_coefficients_that_do_not_fit():
    ts, ys = Q(jnp.arange(4.0), "s"), Q(jnp.arange(4.0), "m")
    d, c, b, a = dfx.backward_hermite_coefficients(ts, ys)

    def run():
        return dfx.CubicInterpolation(ts, (d, c, c, a)).evaluate(Q(1.0, "s"))

    with pytest.raises(DimensionalityError) as caught:
        run()
    assert str(caught.value) == (
        "`CubicInterpolation` got its coefficient `b` in 'm/s**2', which for its `ts` and its "
        f"coefficient `a` is in 'm/s'.\n{place(run, 'return', column=False)}\n"
        "`backward_hermite_coefficients` gives all four."
    )


def test_data_that_does_not_fit():
    ts, ys = Q(jnp.arange(4.0), "s"), {"a": Q(jnp.arange(4.0), "m")}

    def run(**given):
        return dfx.backward_hermite_coefficients(ts, ys, **given)

    at = place(run, "return", column=False)
    with pytest.raises(DimensionalityError) as caught:
        run(deriv0={"a": Q(1.0, "m")})
    assert str(caught.value) == (
        "`backward_hermite_coefficients` got `deriv0` in 'm' for ys['a'], but it must be in "
        f"'m/s'.\n{at}\nGive it in a unit that converts to 'm/s'."
    )
    with pytest.raises(DimensionalityError) as caught:
        run(replace_nans_at_start={"a": 1.0})
    assert str(caught.value) == (
        "`backward_hermite_coefficients` got `replace_nans_at_start` in plain numbers for ys['a'], "
        f"but it must be in 'm'.\n{at}\nGive it in a unit that converts to 'm'."
    )


def test_plain_diffrax_refuses_quantities_as_times():
    """By hand, on Diffrax itself: nothing is dropped silently."""
    with pytest.raises(TypeError, match="was given a `Quantity` outside of `quaxify`"):
        diffrax.diffeqsolve(
            diffrax.ODETerm(quaxify(spring)), diffrax.Euler(),
            Q(0.0, "s"), Q(1.0, "s"), Q(0.1, "s"), Y0, K,  # type: ignore[arg-type]
        )  # fmt: skip
    with pytest.raises(ValueError, match="structures must match"):
        diffrax.diffeqsolve(diffrax.ODETerm(quaxify(spring)), diffrax.Euler(), 0.0, 1.0, 0.1, Y0, K)
