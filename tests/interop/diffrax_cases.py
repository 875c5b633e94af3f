"""The acceptance table: every public part of Diffrax, written once for numbers and quantities.

A case is a function `case(lib, q)`: with `lib=diffrax` and `q` dropping the unit it is plain
Diffrax, with `lib=dfx` and `q=Quantity` the same on quantities. The cases of `CASES` return a tree
of numbers and its units; those of `REFUSED`, on quantities only, must raise `DimensionalityError`.
All times are in s, all lengths in m, so that no conversion is between the two.
"""

import warnings
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import lineax as lx
import optimistix as optx

import sciquax
from sciquax.interop import diffrax as dfx
from sciquax.units import Quantity

CASES: dict[str, Callable] = {}
REFUSED: dict[str, Callable] = {}
FAST = ("Tsit5", "SRA1", "own term", "PID tree atol", "event root-found", "dense derivative vmap")

# Whose compiled programs are compared, and so not their results again.
FAMILIES = ("Tsit5", "SemiImplicitEuler", "ReversibleHeun", "KenCarp3", "EulerHeun")
LONG = ("Kvaerno3", "SRA1", "ALIGN", "HalfSolver", "event root-found")


def case(name: str, table: dict[str, Callable] = CASES) -> Callable[[Callable], Callable]:
    def add(function: Callable) -> Callable:
        assert name not in table
        table[name] = function
        return function

    return add


def plain(x: Any, unit: str) -> Any:
    return jnp.asarray(x)


UNITS = {"x": "m", "v": "m/s"}


def spring(t, y, k):
    return {"x": y["v"], "v": -k * y["x"]}


def solve(lib: Any, q: Any, solver: Any = None, **given: Any) -> Any:
    """One spring from rest, with whatever differs."""
    defaults: dict[str, Any] = dict(
        terms=lib.ODETerm(spring),
        solver=solver or lib.Heun(),
        t0=q(0.0, "s"),
        t1=q(1.0, "s"),
        dt0=q(0.125, "s"),
        y0={"x": q(1.5, "m"), "v": q(0.25, "m/s")},
        args=q(4.0, "1/s**2"),
    )
    return lib.diffeqsolve(**(defaults | given))


def adaptive(lib: Any, **given: Any) -> Any:
    return lib.PIDController(rtol=1e-4, atol=1e-5, **given)


# -- solvers of ordinary equations ----------------------------------------------------------------


def _ode_case(name: str) -> None:
    @case(name)
    def run(lib, q):
        fixed = name in ("Euler", "LeapfrogMidpoint")
        steps = lib.ConstantStepSize() if fixed else adaptive(lib)
        sol = solve(lib, q, getattr(lib, name)(), stepsize_controller=steps)
        return sol.ys, UNITS


for _name in (
    "Euler", "Heun", "Midpoint", "Ralston", "Bosh3", "Tsit5", "Dopri5", "Dopri8", "ReversibleHeun",
    "LeapfrogMidpoint", "ImplicitEuler", "Kvaerno3", "Kvaerno4", "Kvaerno5",
):  # fmt: skip
    _ode_case(_name)


def _split_case(name: str) -> None:
    @case(name)
    def run(lib, q):
        rate = q(0.5, "1/s")
        decay = lib.ODETerm(lambda t, y, args: {k: -rate * x for k, x in y.items()})
        terms = lib.MultiTerm(lib.ODETerm(spring), decay)
        controller = adaptive(lib)
        sol = solve(lib, q, getattr(lib, name)(), terms=terms, stepsize_controller=controller)
        return sol.ys, UNITS


for _name in ("Sil3", "KenCarp3", "KenCarp4", "KenCarp5"):
    _split_case(_name)


@case("SemiImplicitEuler")
def _(lib, q):
    terms = lib.ODETerm(lambda t, v, k: v), lib.ODETerm(lambda t, x, k: -k * x)
    y0 = q(1.5, "m"), q(0.25, "m/s")
    return solve(lib, q, lib.SemiImplicitEuler(), terms=terms, y0=y0).ys, ("m", "m/s")


@case("HalfSolver")
def _(lib, q):
    solver = lib.HalfSolver(lib.Euler())
    return solve(lib, q, solver, stepsize_controller=adaptive(lib)).ys, UNITS


# -- solvers of stochastic equations --------------------------------------------------------------


def noise(lib: Any, q: Any, levy_area: Any = diffrax.BrownianIncrement, tree: bool = True) -> Any:
    if not tree:
        return lib.UnsafeBrownianPath((2,), jr.key(3), levy_area)
    times = q(0.0, "s"), q(2.0, "s"), q(0.01, "s")
    return lib.VirtualBrownianTree(*times, (2,), jr.key(3), levy_area)


def diffuse(lib: Any, q: Any, solver: Any, path: Any, kind: str = "matrix", **given: Any) -> Any:
    """An Ornstein-Uhlenbeck process in two dimensions, with sigma in m/s**(1/2)."""
    sigma = q(jnp.array([0.3, 0.4]), "m/s**0.5")

    def diffusion(t, y, args):
        return lx.DiagonalLinearOperator(sigma) if kind == "diagonal" else jnp.diag(sigma)

    if kind == "multiplicative":
        rough = q(0.2, "1/s**0.5")
        diffusion = lambda t, y, args: lx.DiagonalLinearOperator(rough * y)  # noqa: E731

    terms = lib.MultiTerm(
        lib.ODETerm(lambda t, y, args: -args * y), lib.ControlTerm(diffusion, path)
    )
    y0, theta = q(jnp.array([1.0, 2.0]), "m"), q(1.5, "1/s")
    given = {"terms": terms, "y0": y0, "args": theta} | given
    return solve(lib, q, solver, **given).ys, "m"


STOCHASTIC = {
    "EulerHeun": (diffrax.BrownianIncrement, "matrix"),
    "ItoMilstein": (diffrax.BrownianIncrement, "multiplicative"),
    "StratonovichMilstein": (diffrax.BrownianIncrement, "multiplicative"),
    "SEA": (diffrax.SpaceTimeLevyArea, "matrix"),
    "SRA1": (diffrax.SpaceTimeLevyArea, "matrix"),
    "ShARK": (diffrax.SpaceTimeLevyArea, "diagonal"),
    "GeneralShARK": (diffrax.SpaceTimeLevyArea, "multiplicative"),
    "SlowRK": (diffrax.SpaceTimeLevyArea, "multiplicative"),
    "SPaRK": (diffrax.SpaceTimeLevyArea, "multiplicative"),
}


def _sde_case(name: str, levy_area: Any, kind: str) -> None:
    @case(name)
    def run(lib, q):
        return diffuse(lib, q, getattr(lib, name)(), noise(lib, q, levy_area), kind)


for _name, (_area, _kind) in STOCHASTIC.items():
    _sde_case(_name, _area, _kind)


@case("Euler on an SDE, unsafe path")
def _(lib, q):
    adjoint = lib.ForwardMode()  # the default does not take this path
    return diffuse(lib, q, lib.Euler(), noise(lib, q, tree=False), adjoint=adjoint)


@case("Heun on an SDE, adaptive")
def _(lib, q):
    controller = lib.PIDController(rtol=1e-2, atol=1e-2, dtmin=q(0.02, "s"))
    return diffuse(lib, q, lib.Heun(), noise(lib, q), "diagonal", stepsize_controller=controller)


@case("old tuple of terms")
def _(lib, q):
    sigma = q(jnp.eye(2), "m/s**0.5")
    terms = (
        lib.ODETerm(lambda t, y, args: -args * y),
        lib.ControlTerm(lambda t, y, args: sigma, noise(lib, q)),
    )
    if lib is diffrax:
        terms = lib.MultiTerm(*terms)  # its `diffeqsolve` takes the tuple no more
    return diffuse(lib, q, lib.EulerHeun(), None, terms=terms)


@case("WeaklyDiagonalControlTerm")
def _(lib, q):
    sigma = q(jnp.array([0.3, 0.4]), "m/s**0.5")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        term = lib.WeaklyDiagonalControlTerm(lambda t, y, args: sigma, noise(lib, q))
    terms = lib.MultiTerm(lib.ODETerm(lambda t, y, args: -args * y), term)
    return diffuse(lib, q, lib.Euler(), None, terms=terms)


def langevin(lib: Any, q: Any, solver: Any) -> Any:
    gamma, u, width = q(2.0, "1/s"), q(0.5, "m**2/s**2"), q(1.5, "m")
    path = noise(lib, q, diffrax.SpaceTimeTimeLevyArea)
    terms = lib.MultiTerm(
        lib.UnderdampedLangevinDriftTerm(gamma, u, lambda x, args: x / width**2),
        lib.UnderdampedLangevinDiffusionTerm(gamma, u, path),
    )
    y0 = q(jnp.array([1.0, 2.0]), "m"), q(jnp.array([0.0, 0.5]), "m/s")
    return solve(lib, q, solver, terms=terms, y0=y0).ys, ("m", "m/s")


def _langevin_case(name: str) -> None:
    @case(name)
    def run(lib, q):
        return langevin(lib, q, getattr(lib, name)())


for _name in ("ALIGN", "ShOULD", "QUICSORT"):
    _langevin_case(_name)


@case("Langevin terms, Euler")
def _(lib, q):
    return langevin(lib, q, lib.Euler())


# -- terms ----------------------------------------------------------------------------------------


class Own(diffrax.AbstractTerm):
    """A spring as a term of one's own, whose constant may be a quantity."""

    k: Any

    def vf(self, t, y, args):
        return spring(t, y, self.k)

    def contr(self, t0, t1, **kwargs):
        return t1 - t0

    def prod(self, vf, control):
        return jax.tree_util.tree_map(lambda x: control * x, vf)


class Driven(diffrax.ODETerm):
    """A subclass of `ODETerm`."""


@case("own term")
def _(lib, q):
    return solve(lib, q, lib.Tsit5(), terms=Own(q(4.0, "1/s**2"))).ys, UNITS


@case("own term, implicit solver")
def _(lib, q):
    controller = adaptive(lib)
    own = Own(q(4.0, "1/s**2"))
    return solve(lib, q, lib.Kvaerno3(), terms=own, stepsize_controller=controller).ys, UNITS


@case("own subclass of ODETerm")
def _(lib, q):
    return solve(lib, q, terms=Driven(spring)).ys, UNITS


def controlled(lib: Any, q: Any, ode: bool = False) -> Any:
    """Charge that a voltage drives through a conductor, the voltage given as data."""
    ts = q(jnp.linspace(0.0, 1.0, 5), "s")
    volts = q(jnp.array([0.0, 1.0, 4.0, 2.0, 3.0]), "V")
    path = lib.CubicInterpolation(ts, lib.backward_hermite_coefficients(ts, volts))
    capacity, slope = q(2.0, "C/V"), q(0.1, "1/V")
    term = lib.ControlTerm(lambda t, y, args: capacity - slope * y, path)
    terms = term.to_ode() if ode else term
    return solve(lib, q, lib.Heun(), terms=terms, y0=q(0.5, "C")).ys, "C"


@case("CDE")
def _(lib, q):
    return controlled(lib, q)


@case("CDE as an ODE")
def _(lib, q):
    return controlled(lib, q, True)


@case("control that is a function")
def _(lib, q):
    rate = q(3.0, "m/s**2")
    term = lib.ControlTerm(lambda t, y, args: q(2.0, "s"), lambda t0, t1: rate * (t1 - t0))
    return solve(lib, q, terms=term, y0=q(1.0, "m")).ys, "m"


@case("CDE of a matrix and several controls")
def _(lib, q):
    ts = q(jnp.linspace(0.0, 1.0, 5), "s")
    volts = q(jnp.stack([jnp.linspace(0.0, 1.0, 5) ** k for k in (1, 2, 3)], axis=1), "V")
    capacity = q(jnp.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), "C/V")
    path = lib.LinearInterpolation(ts, volts)
    found = []
    for field in (lambda t, y, c: c, lambda t, y, c: lx.MatrixLinearOperator(c)):
        term = lib.ControlTerm(field, path)
        found.append(solve(lib, q, terms=term, y0=q(jnp.zeros(2), "C"), args=capacity).ys)
    return found, ["C", "C"]


@case("data that forces an equation")
def _(lib, q):
    ts, newtons = q(jnp.linspace(0.0, 1.0, 3), "s"), q(jnp.array([0.0, 3.0, 1.0]), "N")
    mass = q(2.0, "kg")
    term = lib.ODETerm(lambda t, v, force: force.evaluate(t) / mass)
    path = lib.LinearInterpolation(ts, newtons)
    return solve(lib, q, terms=term, y0=q(0.5, "m/s"), args=path).ys, "m/s"


# -- step sizes -----------------------------------------------------------------------------------


@case("dt0=None")
def _(lib, q):
    return solve(lib, q, lib.Tsit5(), dt0=None, stepsize_controller=adaptive(lib)).ys, UNITS


@case("PID one atol")
def _(lib, q):
    controller = lib.PIDController(rtol=1e-4, atol=q(1e-5, "m"))
    decay = lib.ODETerm(lambda t, y, args: -q(2.0, "1/s") * y)
    sol = solve(lib, q, lib.Tsit5(), terms=decay, y0=q(1.0, "m"), stepsize_controller=controller)
    return sol.ys, "m"


@case("PID tree atol")
def _(lib, q):
    # Diffrax takes no tree: the same number twice, in other units.
    mixed = {"x": Quantity(10.0, "um"), "v": Quantity(1e-8, "km/s")}
    controller = lib.PIDController(rtol=1e-4, atol=mixed if lib is dfx else 1e-5)
    return solve(lib, q, lib.Tsit5(), stepsize_controller=controller).ys, UNITS


@case("PID dtmin, dtmax, coefficients")
def _(lib, q):
    controller = adaptive(
        lib, pcoeff=0.2, icoeff=0.5, dcoeff=0.1, dtmin=q(0.05, "s"), dtmax=q(0.2, "s")
    )
    return solve(lib, q, lib.Bosh3(), stepsize_controller=controller).ys, UNITS


@case("clipped step_ts and jump_ts")
def _(lib, q):
    controller = lib.ClipStepSizeController(
        adaptive(lib), step_ts=q(jnp.array([0.3, 0.7]), "s"), jump_ts=q(jnp.array([0.5]), "s"),
        store_rejected_steps=10,
    )  # fmt: skip
    return solve(lib, q, lib.Bosh3(), stepsize_controller=controller).ys, UNITS


@case("StepTo")
def _(lib, q):
    controller = lib.StepTo(ts=q(jnp.array([0.0, 0.2, 0.5, 1.0]), "s"))
    return solve(lib, q, dt0=None, stepsize_controller=controller).ys, UNITS


@case("root finder tolerances")
def _(lib, q):
    root_finder = lib.with_stepsize_controller_tols(lib.VeryChord)()
    solver = lib.Kvaerno3(root_finder=root_finder)
    return solve(lib, q, solver, stepsize_controller=adaptive(lib)).ys, UNITS


@case("backwards in time")
def _(lib, q):
    times = dict(t0=q(1.0, "s"), t1=q(0.0, "s"), dt0=q(-0.1, "s"))
    return solve(
        lib, q, lib.Tsit5(), saveat=lib.SaveAt(ts=q(jnp.array([0.7, 0.2]), "s")), **times
    ).ys, UNITS


# -- adjoints -------------------------------------------------------------------------------------


def gradient(lib: Any, q: Any, adjoint: Any, solver: Any = None) -> Any:
    """Of energy over mass with respect to the constant: (m/s)**2 over 1/s**2."""

    def loss(k):
        y = solve(lib, q, solver, args=k, adjoint=adjoint).ys
        return jnp.sum(y["v"] ** 2)

    grad = sciquax.grad if lib is dfx else jax.grad
    return grad(loss)(q(4.0, "1/s**2")), "m**2"


for _name in ("RecursiveCheckpointAdjoint", "DirectAdjoint", "BacksolveAdjoint"):

    @case(_name)
    def _(lib, q, name=_name):
        return gradient(lib, q, getattr(lib, name)())


@case("BacksolveAdjoint with its own steps")
def _(lib, q):
    controller = adaptive(lib, dtmax=q(0.1, "s"))
    return gradient(lib, q, lib.BacksolveAdjoint(stepsize_controller=controller), lib.Tsit5())


@case("ForwardMode")
def _(lib, q):
    def loss(k):
        return solve(lib, q, args=k, adjoint=lib.ForwardMode()).ys["x"][0]

    jacobian = sciquax.jacfwd if lib is dfx else jax.jacfwd
    return jacobian(loss)(q(4.0, "1/s**2")), "m*s**2"


@case("ImplicitAdjoint")
def _(lib, q):
    def loss(a):
        term = lib.ODETerm(lambda t, y, a: (a - y) / q(0.1, "s"))
        sol = solve(
            lib, q, lib.Tsit5(), terms=term, y0=q(1.0, "m"), args=a, t1=q(50.0, "s"),
            event=lib.Event(lib.steady_state_event()), adjoint=lib.ImplicitAdjoint(),
            stepsize_controller=lib.PIDController(rtol=1e-8, atol=1e-8),
        )  # fmt: skip
        return sol.ys[0] ** 2

    with jax.numpy_dtype_promotion("standard"):  # Diffrax needs it for this adjoint
        return (sciquax.grad if lib is dfx else jax.grad)(loss)(q(2.0, "m")), "m"


# -- events ---------------------------------------------------------------------------------------


@case("event boolean")
def _(lib, q):
    low = q(0.5, "m")
    sol = solve(lib, q, event=lib.Event(lambda t, y, args, **kwargs: y["x"] < low))
    return (sol.ts, sol.ys, sol.event_mask), ("s", UNITS, None)


@case("event root-found")
def _(lib, q):
    event = lib.Event(lambda t, y, args, **kwargs: y["x"], optx.Newton(1e-10, 1e-10))
    sol = solve(lib, q, lib.Tsit5(), event=event)
    return (sol.ts, sol.ys), ("s", UNITS)


@case("events, a tree of them, with directions")
def _(lib, q):
    conditions = {
        "wall": lambda t, y, args, **kwargs: y["x"] - q(0.2, "m"),
        "late": lambda t, y, args, **kwargs: t > q(0.9, "s"),
    }
    event = lib.Event(conditions, optx.Newton(1e-9, 1e-9), {"wall": False, "late": None})
    sol = solve(lib, q, lib.Tsit5(), event=event)
    return (sol.ts, sol.ys, sol.event_mask), ("s", UNITS, {"wall": None, "late": None})


@case("gradient of the time of an event")
def _(lib, q):
    g = q(9.81, "m/s**2")

    def landing(height):
        sol = solve(
            lib, q, lib.Tsit5(), terms=lib.ODETerm(lambda t, y, args: (y[1], -g)),
            y0=(height, q(0.0, "m/s")), t1=q(10.0, "s"),
            event=lib.Event(lambda t, y, args, **kwargs: y[0], optx.Newton(1e-10, 1e-10)),
        )  # fmt: skip
        return sol.ts[0]

    return (sciquax.grad if lib is dfx else jax.grad)(landing)(q(20.0, "m")), "s/m"


@case("steady_state_event")
def _(lib, q):
    term = lib.ODETerm(lambda t, y, args: -y / q(0.1, "s"))
    sol = solve(
        lib, q, lib.Tsit5(), terms=term, y0=q(1.0, "m"), t1=q(50.0, "s"),
        event=lib.Event(lib.steady_state_event()), stepsize_controller=adaptive(lib),
    )  # fmt: skip
    return (sol.ts, sol.ys), ("s", "m")


# -- what is saved --------------------------------------------------------------------------------


@case("SaveAt t0, t1, ts")
def _(lib, q):
    ts = q(jnp.array([0.2, 0.7]), "s")
    sol = solve(lib, q, lib.Tsit5(), saveat=lib.SaveAt(t0=True, t1=True, ts=ts))
    return (sol.t0, sol.t1, sol.ts, sol.ys), ("s", "s", "s", UNITS)


@case("SaveAt steps")
def _(lib, q):
    sol = solve(lib, q, saveat=lib.SaveAt(steps=3), max_steps=16)
    return (sol.ts, sol.ys), ("s", UNITS)


@case("SaveAt fn")
def _(lib, q):
    mass = q(2.0, "kg")
    saveat = lib.SaveAt(t1=True, fn=lambda t, y, k: (mass * y["v"] ** 2 / 2, t * y["v"]))
    return solve(lib, q, saveat=saveat).ys, ("kg*m**2/s**2", "m")


@case("SaveAt subs")
def _(lib, q):
    subs = {
        "end": lib.SubSaveAt(t1=True),
        "speed": lib.SubSaveAt(ts=q(jnp.array([0.5]), "s"), fn=lambda t, y, args: y["v"]),
    }
    sol = solve(lib, q, lib.Tsit5(), saveat=lib.SaveAt(subs=subs))
    return (sol.ts, sol.ys), ({"end": "s", "speed": "s"}, {"end": UNITS, "speed": "m/s"})


@case("restart")
def _(lib, q):
    saveat = lib.SaveAt(t1=True, solver_state=True, controller_state=True, made_jump=True)
    first = solve(lib, q, lib.Tsit5(), stepsize_controller=adaptive(lib), saveat=saveat)
    start = jax.tree_util.tree_map(lambda x: x[-1], first.ys)
    sol = solve(
        lib, q, lib.Tsit5(), t0=first.ts[-1], t1=q(2.0, "s"), y0=start, dt0=None,
        stepsize_controller=adaptive(lib), solver_state=first.solver_state,
        controller_state=first.controller_state, made_jump=first.made_jump,
    )  # fmt: skip
    return sol.ys, UNITS


# -- dense output and interpolations --------------------------------------------------------------


def dense(lib: Any, q: Any, solver: Any = None, **given: Any) -> Any:
    return solve(lib, q, solver or lib.Tsit5(), saveat=lib.SaveAt(dense=True), **given)


@case("dense evaluate")
def _(lib, q):
    # One array: Diffrax itself takes no increments of trees.
    term = lib.ODETerm(lambda t, y, rate: -q(0.5, "s") * rate * y)
    sol = dense(lib, q, terms=term, y0=q(jnp.array([1.5, 0.5]), "m"))
    at, to = q(0.3, "s"), q(0.8, "s")
    return (sol.evaluate(at), sol.evaluate(at, to), sol.evaluate(to, left=False)), ("m", "m", "m")


@case("dense derivative vmap")
def _(lib, q):
    ts = q(jnp.array([0.1, 0.6, 0.9]), "s")
    sol = dense(lib, q)
    derivatives = {"x": "m/s", "v": "m/s**2"}
    return (jax.vmap(sol.derivative)(ts), jax.vmap(sol.evaluate)(ts)), (derivatives, UNITS)


@case("dense Hermite and polynomial interpolations")
def _(lib, q):
    found = [
        dense(lib, q, solver, stepsize_controller=adaptive(lib)).evaluate(q(0.3, "s"))
        for solver in (lib.Kvaerno3(), lib.Dopri5())
    ]
    return found, [UNITS, UNITS]


@case("LinearInterpolation")
def _(lib, q):
    ts, ys = q(jnp.array([0.0, 1.0, 3.0]), "s"), q(jnp.array([1.0, jnp.nan, 5.0]), "K")
    path = lib.LinearInterpolation(ts, lib.linear_interpolation(ts, ys))
    t = q(0.5, "s")
    found = (path.evaluate(t), path.evaluate(t, q(2.0, "s")), path.derivative(t), path.t1)
    return found, ("K", "K", "K/s", "s")


@case("CubicInterpolation")
def _(lib, q):
    ts, ys = q(jnp.array([0.0, 1.0, 3.0]), "s"), q(jnp.array([1.0, 2.0, 5.0]), "V")
    path = lib.CubicInterpolation(ts, lib.backward_hermite_coefficients(ts, ys))
    return (path.evaluate(q(0.5, "s")), path.derivative(q(2.5, "s"))), ("V", "V/s")


@case("rectilinear_interpolation")
def _(lib, q):
    ts, ys = q(jnp.array([0.0, 1.0, 3.0]), "s"), q(jnp.array([1.0, 2.0, 5.0]), "V")
    path = lib.LinearInterpolation(*lib.rectilinear_interpolation(ts, ys))
    return path.evaluate(q(0.5, "s"), q(1.0, "s")), "V"


@case("Brownian increments")
def _(lib, q):
    path = noise(lib, q, diffrax.SpaceTimeLevyArea)
    w = path.evaluate(q(0.25, "s"), q(0.75, "s"))
    area = path.evaluate(q(0.25, "s"), q(0.75, "s"), use_levy=True)
    return (w, area.dt, area.W, area.H), ("s**0.5", "s", "s**0.5", "s**0.5")


# -- what the state may be ------------------------------------------------------------------------


class Cell(eqx.Module):
    charge: Any
    label: str = eqx.field(static=True)


@case("Equinox state and vector field")
def _(lib, q):
    class Leak(eqx.Module):
        rate: Any

        def __call__(self, t, y, args):
            return Cell(-self.rate * y.charge, y.label)

    term = lib.ODETerm(Leak(q(2.0, "1/s")))
    sol = solve(lib, q, lib.Tsit5(), terms=term, y0=Cell(q(jnp.array([1.0, 2.0]), "C"), "a"))
    return sol.ys.charge, "C"


@case("complex state")
def _(lib, q):
    spin = q(3.0j, "1/s")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Diffrax calls complex numbers work in progress
        term = lib.ODETerm(lambda t, y, args: spin * y)
        return solve(lib, q, lib.Tsit5(), terms=term, y0=q(1.0 + 0.5j, "V")).ys, "V"


@case("plain leaves among quantities")
def _(lib, q):
    def rhs(t, y, args):
        return [args * y[0] * y[1][0], (-args * y[1][0],)]

    sol = solve(
        lib, q, terms=lib.ODETerm(rhs), y0=[q(1.0, "mol/L"), (jnp.array(0.5),)], args=q(2.0, "1/s")
    )
    return sol.ys, ["mol/L", (None,)]


@case("MultiTerm of two forces")
def _(lib, q):
    push = q(0.5, "m/s**2")

    def force(t, y, args):
        return {"x": q(0.0, "m/s"), "v": push}

    terms = lib.MultiTerm(lib.ODETerm(spring), lib.ODETerm(force))
    return solve(lib, q, lib.Tsit5(), terms=terms).ys, UNITS


# -- transformations and the rest -----------------------------------------------------------------


@case("jit")
def _(lib, q):
    return jax.jit(lambda k: solve(lib, q, args=k).ys)(q(4.0, "1/s**2")), UNITS


@case("vmap")
def _(lib, q):
    ks = q(jnp.array([1.0, 4.0, 9.0]), "1/s**2")
    return jax.vmap(lambda k: solve(lib, q, lib.Tsit5(), args=k).ys)(ks), UNITS


@case("grad of jit of vmap")
def _(lib, q):
    def loss(ks):
        found = jax.jit(jax.vmap(lambda k: solve(lib, q, args=k).ys["x"]))(ks)
        return jnp.sum(found**2)

    grad = sciquax.grad if lib is dfx else jax.grad
    return grad(loss)(q(jnp.array([1.0, 4.0]), "1/s**2")), "m**2*s**2"


@case("jvp")
def _(lib, q):
    jvp = sciquax.jvp if lib is dfx else jax.jvp
    k, dk = q(4.0, "1/s**2"), q(0.5, "1/s**2")
    adjoint = lib.DirectAdjoint()
    out = jvp(lambda k: solve(lib, q, args=k, adjoint=adjoint).ys["x"], (k,), (dk,))
    return out, ("m", "m")


@case("throw=False and RESULTS")
def _(lib, q):
    sol = solve(lib, q, max_steps=3, throw=False)
    assert sol.result == lib.RESULTS.max_steps_reached
    assert not lib.is_successful(sol.result)
    return sol.ys, UNITS


@case("progress meters")
def _(lib, q):
    sol = solve(lib, q, lib.Tsit5(), progress_meter=lib.TextProgressMeter(minimum_increase=0.5))
    return sol.ys, UNITS


@case("max_steps=None")
def _(lib, q):
    sol = solve(lib, q, lib.Tsit5(), max_steps=None, stepsize_controller=adaptive(lib))
    return (sol.ys, sol.stats["num_steps"]), (UNITS, None)


# -- refused --------------------------------------------------------------------------------------

Q = Quantity


def refused(name: str) -> Callable[[Callable], Callable]:
    return case(name, REFUSED)


@refused("derivative of another dimension")
def _():
    solve(dfx, Q, terms=dfx.ODETerm(lambda t, y, k: {"x": y["v"], "v": -k * y["v"]}))


@refused("plain derivative")
def _():
    solve(dfx, Q, terms=dfx.ODETerm(lambda t, y, k: {"x": y["v"], "v": jnp.ones(())}))


@refused("time of another dimension")
def _():
    solve(dfx, Q, t1=Q(1.0, "m"))


@refused("plain step")
def _():
    solve(dfx, Q, dt0=0.1)


@refused("atol of another dimension")
def _():
    atol = {"x": Q(1.0, "m"), "v": Q(1.0, "m")}
    solve(dfx, Q, dfx.Tsit5(), stepsize_controller=dfx.PIDController(rtol=1e-3, atol=atol))


@refused("saving at lengths")
def _():
    solve(dfx, Q, saveat=dfx.SaveAt(ts=Q(jnp.array([0.5]), "m")))


@refused("dtmax that is no duration")
def _():
    solve(dfx, Q, dfx.Tsit5(), stepsize_controller=adaptive(dfx, dtmax=Q(1.0, "1/s")))


@refused("diffusion without the root of time")
def _():
    terms = dfx.MultiTerm(
        dfx.ODETerm(lambda t, y, args: -args * y),
        dfx.ControlTerm(lambda t, y, args: Q(jnp.eye(2), "m/s"), noise(dfx, Q)),
    )
    diffuse(dfx, Q, dfx.Euler(), None, terms=terms)


@refused("Brownian motion in plain time")
def _():
    path = diffrax.VirtualBrownianTree(0.0, 2.0, 0.01, (2,), jr.key(3))
    diffuse(dfx, Q, dfx.Euler(), path)


@refused("condition that compares a length with a time")
def _():
    solve(dfx, Q, event=dfx.Event(lambda t, y, args, **kwargs: y["x"] < Q(1.0, "s")))


@refused("dense output at a length")
def _():
    dense(dfx, Q).evaluate(Q(0.5, "m"))


@refused("Langevin diffusion at an energy in joules")
def _():
    gamma, u = Q(2.0, "1/s"), Q(0.5, "1/kg")
    path = noise(dfx, Q, diffrax.SpaceTimeLevyArea)
    terms = dfx.MultiTerm(
        dfx.UnderdampedLangevinDriftTerm(gamma, u, lambda x, args: x * Q(1.0, "N/m")),
        dfx.UnderdampedLangevinDiffusionTerm(gamma, u, path),
    )
    y0 = Q(jnp.array([1.0, 2.0]), "m"), Q(jnp.zeros(2), "m/s")
    solve(dfx, Q, dfx.ALIGN(), terms=terms, y0=y0)


@refused("control of another dimension")
def _():
    term = dfx.ControlTerm(lambda t, y, args: Q(2.0, "m"), lambda t0, t1: t1 - t0)
    solve(dfx, Q, terms=term, y0=Q(1.0, "m"))


@refused("steps at lengths")
def _():
    controller = dfx.ClipStepSizeController(adaptive(dfx), step_ts=Q(jnp.array([0.5]), "m"))
    solve(dfx, Q, dfx.Tsit5(), stepsize_controller=controller)


@refused("StepTo lengths")
def _():
    solve(dfx, Q, dt0=None, stepsize_controller=dfx.StepTo(Q(jnp.array([0.0, 1.0]), "m")))


@refused("Brownian tree from a time to a length")
def _():
    dfx.VirtualBrownianTree(Q(0.0, "s"), Q(1.0, "m"), Q(0.1, "s"), (), jr.key(0))


@refused("steps of BacksolveAdjoint in metres")
def _():
    solve(dfx, Q, adjoint=dfx.BacksolveAdjoint(dt0=Q(1.0, "m")))


@refused("steady state within metres")
def _():
    event = dfx.Event(dfx.steady_state_event(1e-3, Q(1.0, "m")))
    solve(dfx, Q, dfx.Tsit5(), stepsize_controller=adaptive(dfx), event=event)


@refused("own term whose product is no change of the state")
def _():
    solve(dfx, Q, terms=Own(Q(4.0, "1/s")))


@refused("function of what is saved")
def _():
    solve(dfx, Q, saveat=dfx.SaveAt(t1=True, fn=lambda t, y, args: y["x"] + t))


@refused("relative tolerance in metres")
def _():
    root_finder = dfx.VeryChord(rtol=Q(1e-3, "m"), atol=1e-3)
    solve(dfx, Q, dfx.Kvaerno3(root_finder=root_finder), stepsize_controller=adaptive(dfx))
