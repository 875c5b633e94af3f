"""Optimistix with units: plain Optimistix on magnitudes is the oracle."""

import linecache
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix
import pytest

import sciquax
from sciquax import quaxify
from sciquax.interop import diffrax as dfx, optimistix as optx
from sciquax.named import NamedArray
from sciquax.units import DimensionalityError, OffsetUnitCalculusError, Quantity

G = Quantity(9.81, "m/s**2")
NEWTON = optimistix.Newton(rtol=1e-6, atol=1e-4)


def fall(t, height):
    return 0.5 * G * t**2 - height


def plain_fall(t, height):
    return 0.5 * 9.81 * t**2 - height


# -- against plain Optimistix ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "solver",
    [
        NEWTON,
        optimistix.Bisection(rtol=1e-4, atol=1e-3),
        optimistix.LevenbergMarquardt(rtol=1e-4, atol=1e-3),
    ],
    ids=lambda s: type(s).__name__,
)
def test_root_find(solver):
    bounds = {"lower": 0.1, "upper": 5.0} if isinstance(solver, optimistix.Bisection) else {}
    plain = optimistix.root_find(plain_fall, solver, jnp.array(1.5), 20.0, bounds)
    bounds = {name: Quantity(1000 * x, "ms") for name, x in bounds.items()}
    y0, height = Quantity(1.5, "s"), Quantity(20.0, "m")
    found = optx.root_find(fall, solver, y0, height, bounds)
    assert str(found.value.units) == "second"
    assert found.value.magnitude == plain.value
    assert found.stats["num_steps"] == plain.stats["num_steps"]
    assert found.result == optimistix.RESULTS.successful


def test_root_find_in_a_tree_of_mixed_units():
    def fn(y, args):
        v, t = y["v"], y["t"]
        return (v * t - args["reach"], 0.5 * G * t**2 - args["drop"])

    def plain(y, args):
        return (y["v"] * y["t"] - args["reach"], 0.5 * 9.81 * y["t"] ** 2 - args["drop"])

    y0 = {"v": Quantity(1.0, "m/s"), "t": Quantity(1.0, "s")}
    args = {"reach": Quantity(0.012, "km"), "drop": Quantity(500.0, "cm")}
    atol = {"v": Quantity(0.1, "mm/s"), "t": Quantity(0.1, "ms")}
    solver = optimistix.Newton(rtol=1e-5, atol=1e-4)
    found = optx.root_find(fn, solver, y0, args)
    want = optimistix.root_find(
        plain, solver, {"v": jnp.array(1.0), "t": jnp.array(1.0)}, {"reach": 12.0, "drop": 5.0}
    )
    for name, unit in (("v", "meter / second"), ("t", "second")):
        np.testing.assert_allclose(found.value[name].magnitude, want.value[name], rtol=1e-6)
        assert str(found.value[name].units) == unit
    with pytest.raises(TypeError, match="tolerance for each leaf of `y0`"):
        optx.root_find(fn, optimistix.Newton(rtol=1e-5, atol=atol), y0, args)
    # `y0` and what the function returns have the same leaves here.
    by_name = lambda y, args: dict(zip(("v", "t"), fn(y, args), strict=True))
    again = optx.root_find(by_name, optimistix.Newton(rtol=1e-5, atol=atol), y0, args)
    np.testing.assert_allclose(again.value["v"].m_as("m/s"), want.value["v"], rtol=1e-5)


@pytest.mark.parametrize(
    "solver",
    [
        optimistix.LevenbergMarquardt(rtol=1e-5, atol=1e-5),
        optimistix.Dogleg(rtol=1e-5, atol=1e-5),
    ],
    ids=lambda s: type(s).__name__,
)
def test_least_squares(solver):
    t = jnp.linspace(0.0, 3.0, 7)
    x = 2.0 * jnp.exp(-0.7 * t) + 0.01 * jnp.sin(9 * t)

    def fn(y, data):
        return y[0] * jnp.exp(-y[1] * data[0]) - data[1]

    want = optimistix.least_squares(fn, solver, (jnp.array(1.0), jnp.array(1.0)), (t, x))
    data = (Quantity(t / 60, "min"), Quantity(x, "m"))
    found = optx.least_squares(fn, solver, (Quantity(1.0, "m"), Quantity(1.0, "1/s")), data)
    np.testing.assert_allclose(found.value[0].magnitude, want.value[0], rtol=1e-3)
    np.testing.assert_allclose(found.value[1].magnitude, want.value[1], rtol=1e-3)
    assert [str(q.units) for q in found.value] == ["meter", "1 / second"]


def test_residuals_in_several_units_of_one_dimension_weigh_the_same():
    def fn(y, _):
        return {"near": y - Quantity(1.0, "m"), "far": (y - Quantity(3.0, "m")).to("mm")}

    def plain(y, _):
        return {"near": y - 1.0, "far": y - 3.0}

    solver = optimistix.GaussNewton(rtol=1e-5, atol=1e-5)
    want = optimistix.least_squares(plain, solver, jnp.array(0.0))
    found = optx.least_squares(fn, solver, Quantity(0.0, "m"))
    np.testing.assert_allclose(found.value.m_as("m"), want.value, rtol=1e-6)  # 2 m, not 3 m


MINIMISERS = {
    "BFGS": lambda unit: optimistix.BFGS(rtol=1e-5, atol=1e-5),
    "best so far": lambda unit: optimistix.BestSoFarMinimiser(
        optimistix.NelderMead(rtol=1e-5, atol=unit(1e-5))
    ),
}


@pytest.mark.parametrize("name", MINIMISERS)
def test_minimise(name):
    plain_solver, solver = (
        MINIMISERS[name](unit) for unit in (float, lambda x: Quantity(10 * x, "angstrom"))
    )

    def fn(r, args):
        depth, r0 = args
        return depth * ((r0 / r) ** 12 - 2 * (r0 / r) ** 6)

    want = optimistix.minimise(fn, plain_solver, jnp.array(1.2), (2.0, 1.1))
    found = optx.minimise(
        fn, solver, Quantity(1.2, "nm"), (Quantity(2.0, "eV"), Quantity(1.1, "nm"))
    )
    assert found.value.magnitude == want.value
    assert str(found.value.units) == "nanometer"
    # Units whose scales differ by 1e12 after the powers: tolerances count in eV all the same.
    args = Quantity(2.0, "eV"), Quantity(11.0, "angstrom")
    found = optx.minimise(fn, solver, Quantity(1.2, "nm"), args)
    np.testing.assert_allclose(found.value.m_as("nm"), 1.1, rtol=1e-3)


def test_bounded_minimisation():
    fn = lambda y, _: (y - Quantity(3.0, "m")) ** 2
    golden = optimistix.GoldenSearch(rtol=1e-4, atol=Quantity(0.1, "mm"))
    bounds = {"lower": Quantity(200.0, "cm"), "upper": Quantity(0.008, "km")}
    found = optx.minimise(fn, golden, Quantity(4.0, "m"), None, bounds)
    np.testing.assert_allclose(found.value.m_as("m"), 3.0, rtol=1e-3)


def test_fixed_point():
    def fn(y, area):
        return (y + area / y) / 2

    solver = optimistix.FixedPointIteration(rtol=1e-5, atol=1e-5)
    want = optimistix.fixed_point(fn, solver, jnp.array(1.0), 7.0)
    found = optx.fixed_point(fn, solver, Quantity(1.0, "m"), Quantity(7.0, "m**2"))
    assert found.value.magnitude == want.value and str(found.value.units) == "meter"
    found = optx.fixed_point(fn, NEWTON, Quantity(100.0, "cm"), Quantity(7e-6, "km**2"))
    np.testing.assert_allclose(found.value.m_as("m"), want.value, rtol=1e-5)


def test_functions_of_every_kind():
    """Plain code, quaxified code, code that uses methods, modules, NumPy names, auxiliary data."""

    class Fall(eqx.Module):
        g: Quantity

        def __call__(self, t, height):
            return 0.5 * self.g * t**2 - height

    by_method = lambda t, height: (0.5 * G * t**2).to("m") - height.to("m")
    by_numpy = lambda t, height: sciquax.numpy.sqrt(2 * height / G) - t
    with_aux = lambda t, height: (fall(t, height), {"speed": G * t})
    height = Quantity(20.0, "m")
    want = np.sqrt(2 * 20 / 9.81)
    for fn in (fall, quaxify(fall), Fall(G), by_method, by_numpy, jax.jit(quaxify(fall))):
        found = optx.root_find(fn, NEWTON, Quantity(1.5, "s"), height)
        np.testing.assert_allclose(found.value.m_as("s"), want, rtol=1e-5)
    found = optx.root_find(with_aux, NEWTON, Quantity(1.5, "s"), height, has_aux=True)
    np.testing.assert_allclose(found.aux["speed"].m_as("m/s"), 9.81 * want, rtol=1e-4)


def test_without_quantities_it_is_optimistix():
    found = optx.root_find(plain_fall, NEWTON, jnp.array(1.5), 20.0)
    assert isinstance(found.value, jax.Array)
    assert found.value == optimistix.root_find(plain_fall, NEWTON, jnp.array(1.5), 20.0).value
    assert optx.Newton is optimistix.Newton and "RESULTS" in dir(optx)
    with pytest.raises(AttributeError, match="module 'optimistix' has no attribute 'newton'"):
        optx.newton  # noqa: B018


def test_named_arrays_and_other_libraries_quantities():
    squares = NamedArray(Quantity(jnp.array([4.0, 9.0]), "m**2"), ("x",))
    y0 = NamedArray(Quantity(jnp.ones(2), "m"), ("x",))
    root = lambda squares: optx.root_find(lambda y, _: y**2 - squares, NEWTON, y0).value
    found = root(squares)
    assert found.dims == ("x",)
    np.testing.assert_allclose(found.array.m_as("m"), [2.0, 3.0], rtol=1e-5)
    grad = sciquax.grad(lambda squares: root(squares).sum("x"))(squares)
    np.testing.assert_allclose(grad.array.m_as("1/m"), [1 / 4, 1 / 6], rtol=1e-4)
    bfgs = optimistix.BFGS(rtol=1e-4, atol=Quantity(0.1, "mm"))
    nearest = lambda y, to: ((y["near"] - to) ** 2).sum("x") + y["far"] ** 2
    start = {"near": y0, "far": Quantity(1.0, "m")}
    found = optx.minimise(nearest, bfgs, start, y0 * 3).value
    np.testing.assert_allclose(found["near"].array.m_as("m"), 3.0, rtol=1e-3)
    theirs = Quantity(1.5, "s").to_pint()
    found = optx.root_find(fall, NEWTON, theirs, Quantity(20.0, "m").to_pint())
    np.testing.assert_allclose(found.value.m_as("s"), np.sqrt(40 / 9.81), rtol=1e-5)


def test_integers_and_temperatures():
    found = optx.root_find(fall, NEWTON, Quantity(1, "s"), Quantity(20, "m"))
    np.testing.assert_allclose(found.value.m_as("s"), np.sqrt(40 / 9.81), rtol=1e-5)
    hot = lambda T, _: (T.to("kelvin") / Quantity(300.0, "kelvin")) ** 4 - 2.0
    found = optx.root_find(hot, NEWTON, Quantity(20.0, "degC"))
    np.testing.assert_allclose(found.value.m_as("kelvin"), 300 * 2**0.25, rtol=1e-5)


# -- transformations ------------------------------------------------------------------------------


def solve(height):
    return optx.root_find(fall, NEWTON, Quantity(1.5, "s"), height).value


def test_jit_and_vmap():
    heights = Quantity(jnp.array([5.0, 20.0]), "m")
    want = np.sqrt(2 * heights.magnitude / 9.81)
    for f in (jax.vmap(solve), jax.jit(jax.vmap(solve)), quaxify(jax.vmap(solve))):
        found = f(heights)
        np.testing.assert_allclose(found.m_as("s"), want, rtol=1e-5)


def test_gradients():
    # dt/dh = 1 / sqrt(2 g h), by the implicit function theorem, in s/m.
    want = 1 / np.sqrt(2 * 9.81 * 20)
    grad = sciquax.grad(solve)(Quantity(0.02, "km"))
    np.testing.assert_allclose(grad.m_as("s/m"), want, rtol=1e-4)
    grad = jax.jit(sciquax.grad(solve))(Quantity(20.0, "m"))
    np.testing.assert_allclose(grad.m_as("s/m"), want, rtol=1e-4)

    def of_captured(g):  # the function captures what is differentiated
        fn = lambda t, _: 0.5 * g * t**2 - Quantity(20.0, "m")
        sol = optx.root_find(fn, NEWTON, Quantity(1500.0, "ms"))
        return sol.value * Quantity(2.0, "m/s")

    value, grad = sciquax.value_and_grad(of_captured)(G)
    np.testing.assert_allclose(value.m_as("m"), 2 * np.sqrt(40 / 9.81), rtol=1e-4)
    np.testing.assert_allclose(grad.m_as("s**2"), -np.sqrt(40) * 9.81**-1.5, rtol=1e-3)
    tangent = sciquax.jvp(solve, (Quantity(20.0, "m"),), (Quantity(3.0, "m/s"),))[1]
    np.testing.assert_allclose(tangent, 3 * want, rtol=1e-4)  # metres per second, by s/m


def test_gradient_of_a_fit():
    """The sensitivity of a fitted stiffness to the data, through least squares."""
    x = Quantity(jnp.array([1.0, 2.0, 3.0]), "cm")
    solver = optimistix.LevenbergMarquardt(rtol=1e-6, atol=1e-6)

    def fit(f):
        fn = lambda k, data: k * data[0] - data[1]
        return optx.least_squares(fn, solver, Quantity(10.0, "N/m"), (x, f)).value

    force = Quantity(jnp.array([0.5, 1.1, 1.4]), "N")
    jacobian = sciquax.jacrev(fit)(force)
    np.testing.assert_allclose(
        jacobian.m_as("1/m"), 100 * x.magnitude / jnp.sum(x.magnitude**2), rtol=1e-4
    )


@pytest.mark.slow
def test_fit_through_diffrax():
    """A spring's constant from its motion, the model a solve with units itself."""
    ts = Quantity(jnp.linspace(0.1, 1.0, 5), "s")

    def motion(k):
        field = lambda t, y, k: {"x": y["v"], "v": -k * y["x"]}
        y0 = {"x": Quantity(1.0, "m"), "v": Quantity(0.0, "m/s")}
        how = dict(saveat=dfx.SaveAt(ts=ts), adjoint=dfx.ForwardMode(), max_steps=64)
        dt = Quantity(50.0, "ms")
        sol = dfx.diffeqsolve(dfx.ODETerm(field), dfx.Heun(), 0, ts[-1], dt, y0, k, **how)
        return sol.ys["x"]

    measured = Quantity(100 * jnp.cos(2.0 * ts.magnitude), "cm")
    solver = optimistix.LevenbergMarquardt(rtol=1e-4, atol=1e-4)
    residual = lambda k, measured: motion(k) - measured
    found = optx.least_squares(residual, solver, Quantity(2.0, "1/s**2"), measured)
    np.testing.assert_allclose(found.value.m_as("1/s**2"), 4.0, rtol=1e-2)


def test_within_quaxify():
    def program(height):
        first = optx.root_find(fall, NEWTON, Quantity(1.5, "s"), height).value
        return jnp.sqrt(first) * 2

    found = quaxify(program)(Quantity(20.0, "m"))
    np.testing.assert_allclose(found.m_as("s**0.5"), 2 * (40 / 9.81) ** 0.25, rtol=1e-5)

    def with_aux(height):
        fn = lambda t, h: (fall(t, h), G * t)
        sol = optx.root_find(fn, NEWTON, Quantity(1.5, "s"), height, has_aux=True)
        return sol.aux, sol.stats["num_steps"]

    speed, steps = quaxify(with_aux)(Quantity(20.0, "m"))
    np.testing.assert_allclose(speed.m_as("m/s"), np.sqrt(2 * 9.81 * 20), rtol=1e-4)
    assert steps > 2


@pytest.mark.parametrize(
    "transform",
    [jax.grad, jax.jacfwd, jax.hessian, lambda f: lambda x: jax.jvp(f, (x,), (2 * x,))],
    ids=["grad", "jacfwd", "hessian", "jvp"],
)
def test_derivatives_within_quaxify(transform):
    """Of the time of a fall from a height, by the implicit function theorem."""

    def time(height):
        return optx.root_find(fall, NEWTON, Quantity(1.0, "s"), height).value

    def plain(height):
        return jnp.sqrt(2 * height / 9.81)

    found, due = quaxify(transform(time))(Quantity(20.0, "m")), transform(plain)(20.0)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(due), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)
    if transform is jax.hessian:
        assert found.is_compatible_with("s/m**2")


def test_auxiliary_data_that_cannot_be_known():
    fn = lambda t, h: (Quantity(t.m, t.units) - h / Quantity(1.0, "m/s"), t)
    program = lambda h: optx.root_find(fn, NEWTON, Quantity(1.0, "s"), h, has_aux=True).aux
    np.testing.assert_allclose(program(Quantity(2.0, "m")).m_as("s"), 2.0, rtol=1e-5)
    with pytest.raises(TypeError, match="What `fn` returns beside its value is not known"):
        quaxify(program)(Quantity(2.0, "m"))


def test_compiled_once_and_the_same_program():
    count = 0

    def fn(t, height):
        nonlocal count
        count += 1
        return fall(t, height)

    after = 0
    for h in (5.0, 7.0, 9.0):
        optx.root_find(fn, NEWTON, Quantity(1.5, "s"), Quantity(h, "m"))
        after = count if h == 5.0 else after
    assert count == after

    def text(f, *args):
        program = jax.jit(f).lower(*args).compile().as_text()
        return re.sub(r'metadata=\{[^}]*\}|, entry_computation_layout=.*|"[^"]*"', "", program)

    plain = lambda y0, h: optimistix.root_find(plain_fall, NEWTON, y0, h).value
    quantities = lambda y0, h: (
        optx.root_find(fall, NEWTON, Quantity(y0, "s"), Quantity(h, "m")).value.magnitude
    )
    arguments = jnp.array(1.5), jnp.array(20.0)
    count_of = lambda program: len(re.findall(r"^ +\S+ = ", program, re.M))
    assert count_of(text(quantities, *arguments)) == count_of(text(plain, *arguments))


# -- failures and refusals ------------------------------------------------------------------------


def test_a_failed_solve_says_so():
    never = lambda t, _: t**2 + Quantity(1.0, "s**2")
    sol = optx.root_find(never, NEWTON, Quantity(1.0, "s"), throw=False, max_steps=5)
    assert sol.result != optimistix.RESULTS.successful
    with pytest.raises(eqx.EquinoxRuntimeError):
        optx.root_find(never, NEWTON, Quantity(1.0, "s"), max_steps=5)


def message(error):
    """The text, with this file's lines left out."""
    return re.sub(
        r"  at .*test_optimistix\.py:\d+(:\d+)? \((\S+ )?", "  at here (", str(error.value)
    )


def test_fixed_point_of_another_dimension():
    def fn(y, _):
        return y * y

    with pytest.raises(DimensionalityError) as error:
        solver = optimistix.FixedPointIteration(rtol=1e-5, atol=1e-5)
        optx.fixed_point(fn, solver, Quantity(1.0, "m"))
    assert "The function to find a fixed point of returned 'm**2' for y, which must be in 'm'" in (
        message(error)
    )
    assert "return y * y" in linecache.getline(__file__, error.value.location.line)


def test_residuals_that_do_not_add():
    fn = lambda y, _: (y - Quantity(1.0, "m"), y / Quantity(2.0, "m/s"))
    with pytest.raises(DimensionalityError) as error:
        optx.least_squares(fn, optimistix.GaussNewton(rtol=1e-5, atol=1e-5), Quantity(2.0, "m"))
    assert message(error).splitlines()[0] == (
        "`least_squares` adds up the squares of residuals, and residual[0] is in 'm', residual[1] "
        "in 's', which measure different things."
    )
    # A root does not depend on how they are weighed.
    pair = lambda y, _: (y - Quantity(1.0, "m"), (y - Quantity(100.0, "cm")) / Quantity(2.0, "m/s"))
    solver = optimistix.LevenbergMarquardt(rtol=1e-4, atol=1e-4)
    found = optx.root_find(pair, solver, Quantity(2.0, "m"))
    np.testing.assert_allclose(found.value.m_as("m"), 1.0, rtol=1e-3)


@pytest.mark.parametrize(
    ("refused", "text"),
    [
        (
            lambda: optx.root_find(
                fall, optimistix.Newton(rtol=1e-6, atol=Quantity(1.0, "m")), Quantity(1.0, "s"), 1.0
            ),
            None,  # the function itself adds a number to metres
        ),
        (
            lambda: optx.root_find(
                fall,
                optimistix.Newton(rtol=1e-6, atol=Quantity(1.0, "m")),
                Quantity(1.0, "s"),
                Quantity(1.0, "m"),
            ),
            "`Newton` got `atol` in 'm', and y is in 's'.",
        ),
        (
            lambda: optx.root_find(
                fall,
                optimistix.Newton(rtol=Quantity(1.0, "s"), atol=1e-3),
                Quantity(1.0, "s"),
                Quantity(1.0, "m"),
            ),
            "`Newton` got `rtol` in 's', but it is a number.",
        ),
        (
            lambda: optx.root_find(
                fall,
                optimistix.Bisection(rtol=1e-4, atol=1e-4),
                Quantity(1.0, "s"),
                Quantity(1.0, "m"),
                {"lower": Quantity(0.1, "m"), "upper": Quantity(2.0, "s")},
            ),
            "`root_find` got `options['lower']` in 'm', and y is in 's' in `y0`.",
        ),
        (
            lambda: optx.root_find(
                fall,
                optimistix.Bisection(rtol=1e-4, atol=1e-4),
                Quantity(1.0, "s"),
                Quantity(1.0, "m"),
                {"lower": 0.0, "upper": 2.0},
            ),
            "`root_find` got `options['upper']` as",
        ),
        (
            lambda: sciquax.grad(
                lambda h: optx.root_find(fall, NEWTON, Quantity(1.0, "s"), h).value
            )(Quantity(1.0, "kg")),
            "`sub` got operands in",
        ),
    ],
    ids=["function", "atol", "rtol", "bound", "bare-bound", "in-gradient"],
)
def test_refused(refused, text):
    with pytest.raises(DimensionalityError) as error:
        refused()
    assert error.value.location.file == __file__
    assert text is None or message(error).startswith(text)


def test_a_root_needs_a_zero():
    with pytest.raises(OffsetUnitCalculusError, match="whose zero is not zero"):
        optx.root_find(lambda T, _: T, NEWTON, Quantity(20.0, "degC"))


# -- solvers of the user's own --------------------------------------------------------------------


class Own(eqx.Module):
    """Newton's method for a root, or steps downhill, none of them longer than `cap`."""

    cap: object
    rtol: float = 1e-3
    atol: float = 1e-3
    norm: object = eqx.field(static=True, default=optimistix.max_norm)

    def init(self, fn, y, args, options, f_struct, aux_struct, tags):
        return jnp.inf * jnp.ones(f_struct.shape)

    def step(self, fn, y, args, options, state, tags):
        f, slope = jax.value_and_grad(lambda y: fn(y, args)[0])(y)
        change = slope if isinstance(self, optimistix.AbstractMinimiser) else f / slope
        return y - jnp.clip(change, -self.cap, self.cap), f, fn(y, args)[1]

    def terminate(self, fn, y, args, options, state, tags):
        return state == 0, optimistix.RESULTS.successful

    def postprocess(self, fn, y, aux, args, options, state, tags, result):
        return y, aux, {}


class OwnRootFinder(Own, optimistix.AbstractRootFinder):
    pass


class OwnMinimiser(Own, optimistix.AbstractMinimiser):
    pass


@pytest.mark.parametrize("in_units", ["m", "cm"])
@pytest.mark.parametrize("wrap", [lambda x: x, optimistix.BestSoFarMinimiser, None])
def test_solvers_of_ones_own_run_on_quantities(wrap, in_units):
    cls = OwnRootFinder if wrap is None else OwnMinimiser
    wrap, solve = wrap or (lambda x: x), "root_find" if wrap is None else "minimise"
    fn = lambda y, wall: (y - wall) ** 2  # noqa: E731
    given = {"max_steps": 10, "throw": False}
    plain = getattr(optimistix, solve)(fn, wrap(cls(0.02)), jnp.array(1.0), 2.0, **given)
    y0, wall = Quantity(1.0, "m").to(in_units), Quantity(2.0, "m")
    found = getattr(optx, solve)(fn, wrap(cls(Quantity(20.0, "mm"))), y0, wall, **given)
    assert str(found.value.units) == str(y0.units)
    np.testing.assert_allclose(found.value.m_as("m"), plain.value, rtol=1e-5)

    with pytest.raises(sciquax.core.RuleError) as caught:
        getattr(optx, solve)(fn, wrap(cls(0.02)), y0, wall, **given)
    kind = "a minimiser" if cls is OwnMinimiser else "a root finder"
    assert str(caught.value).splitlines()[0] == (
        f"`{cls.__name__}`, {kind} of your own, runs on numbers in working units, and means "
        f"another thing in others. Tried on quantities: `clip` got operands in '{in_units}' and "
        "plain numbers (f32[]); a bare number has no unit."
    )


class Downhill(OwnMinimiser):
    def step(self, fn, y, args, options, state, tags):
        slopes, aux = jax.grad(fn, has_aux=True)(y, args)
        return jax.tree.map(lambda y, slope, cap: y - slope * cap, y, slopes, self.cap), state, aux


def test_such_a_solver_is_compiled_and_differentiated():
    def nearest(rate):
        y0 = {"x": Quantity(jnp.ones(2), "m"), "t": Quantity(2500.0, "ms")}
        rates = {"x": Quantity(1.0, "m**2"), "t": Quantity(1.0, "s**2")}
        return optx.minimise(
            lambda y, rate: jnp.sum((y["x"] / Quantity(3.0, "m") - 1) ** 2)
            + (y["t"] * rate - 1) ** 2,
            Downhill(rates), y0, rate, max_steps=50, throw=False,
            adjoint=optimistix.RecursiveCheckpointAdjoint(),
        ).value["t"]  # fmt: skip

    rate = Quantity(0.5, "Hz")
    np.testing.assert_allclose(jax.jit(nearest)(rate).m_as("s"), 2.0, rtol=1e-3)
    np.testing.assert_allclose(sciquax.grad(nearest)(rate).m_as("s**2"), -4.0, rtol=1e-3)
