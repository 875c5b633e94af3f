"""States whose leaves are named arrays and structured matrices; steady states in units."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciquax
from sciquax.core import RuleError
from sciquax.interop import diffrax as dfx
from sciquax.interop._solving.tree_units import StructureError
from sciquax.lora import LoraArray
from sciquax.named import NamedArray
from sciquax.structured import (
    BandedMatrix,
    DiagonalMatrix,
    IdentityMatrix,
    KroneckerMatrix,
    LowRankPlusDiagonalMatrix,
    TridiagonalMatrix,
)
from sciquax.units import DimensionalityError, Quantity as Q

pytestmark = pytest.mark.usefixtures("x64")

CELLS = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
RATE = np.array([1.0, 2.0, 0.5])


def decay(t, y, rate):
    return -rate * y


def solve(y0, rate, field=decay, **given):
    defaults = dict(dt0=Q(0.25, "s"), solver=dfx.Heun(), terms=dfx.ODETerm(field), t0=Q(0.0, "s"))
    return dfx.diffeqsolve(**(defaults | dict(t1=Q(1.0, "s"), y0=y0, args=rate) | given))


def plain(y0, rate, field=decay, **given):
    defaults = dict(dt0=0.25, solver=diffrax.Heun(), terms=diffrax.ODETerm(field), t0=0.0)
    return diffrax.diffeqsolve(**(defaults | dict(t1=1.0, y0=y0, args=rate) | given))


def request(lib, times, function):
    subs = {"y": lib.SubSaveAt(ts=times), "sum": lib.SubSaveAt(t1=True, fn=function)}
    return lib.SaveAt(subs=subs, dense=True)


def test_named_state():
    y0 = NamedArray(Q(CELLS, "mol/L"), ("cell", "site"))
    # By name the product is (site, cell): it is transposed to what the state is.
    rate = NamedArray(Q(RATE, "1/s"), ("site",))
    times = jnp.array([0.25, 0.5])
    sol = solve(y0, rate, saveat=request(dfx, Q(times, "s"), lambda t, y, _: y.sum("cell")))
    due = plain(CELLS, RATE[None], saveat=request(diffrax, times, lambda t, y, _: y.sum(0)))

    def check(found, dims, unit, expected):
        assert found.dims == dims
        np.testing.assert_array_equal(found.array.m_as(unit), expected)

    check(sol.ys["y"], (None, "cell", "site"), "mol/L", due.ys["y"])
    check(sol.ys["sum"], (None, "site"), "mol/L", due.ys["sum"])
    check(sol.evaluate(Q(0.3, "s")), ("cell", "site"), "mol/L", due.evaluate(0.3))
    check(sol.derivative(Q(0.3, "s")), ("cell", "site"), "mol/L/s", due.derivative(0.3))
    vmapped = jax.vmap(sol.evaluate)(Q(times, "s"))
    check(vmapped, (None, "cell", "site"), "mol/L", jax.vmap(due.evaluate)(times))


@pytest.mark.slow
def test_named_state_under_grad_and_stiff_solver():
    y0 = {"c": NamedArray(Q(RATE, "mol/L"), ("site",))}
    field = lambda t, y, rate: {"c": -rate * y["c"]}
    atol = {"c": Q(1e-5, "mmol/L")}

    def loss(rate):
        controller = dfx.PIDController(rtol=1e-6, atol=atol)
        sol = solve(y0, rate, field, solver=dfx.Kvaerno3(), stepsize_controller=controller)
        return sol.ys["c"].array.sum()

    def plain_loss(rate):
        controller = diffrax.PIDController(rtol=1e-6, atol=1e-8)
        sol = plain({"c": RATE}, rate, field, solver=diffrax.Kvaerno3(),
                    stepsize_controller=controller)  # fmt: skip
        return sol.ys["c"].sum()

    found = sciquax.grad(loss)(Q(2.0, "1/s"))
    np.testing.assert_allclose(found.m_as("mol/L*s"), jax.grad(plain_loss)(2.0), rtol=1e-9)


def test_named_state_without_units():
    sol = solve(NamedArray(RATE, ("site",)), 2.0, t0=0.0, t1=1.0, dt0=0.25)
    assert sol.ys.dims == (None, "site")
    np.testing.assert_array_equal(sol.ys.array, plain(RATE, 2.0).ys)


def test_named_data():
    ts = Q(jnp.array([0.0, 1.0, 3.0]), "s")
    data = jnp.array([[1.0, 2.0], [3.0, 5.0], [9.0, 7.0]])
    ys = NamedArray(Q(data, "K"), ("time", "site"))
    path = dfx.LinearInterpolation(ts, ys)
    for x, unit in ((path.evaluate(Q(0.5, "s")), "K"), (path.derivative(Q(0.5, "s")), "K/s")):
        assert x.dims == ("site",)
        assert x.array.is_compatible_with(unit)
    coefficients = dfx.backward_hermite_coefficients(ts, ys)
    cubic = dfx.CubicInterpolation(ts, coefficients).evaluate(Q(2.0, "s"))
    expected = diffrax.CubicInterpolation(ts.m, diffrax.backward_hermite_coefficients(ts.m, data))
    np.testing.assert_array_equal(cubic.array.m_as("K"), expected.evaluate(2.0))


def test_structured_state():
    claims = {"diagonally_dominant"}
    ones = jnp.ones(2)
    y0 = Q(TridiagonalMatrix(ones / 4, RATE, ones / 8, properties=claims), "m")
    sol = solve(y0, Q(2.0, "1/s"), saveat=dfx.SaveAt(t1=True, dense=True))
    due = plain({"main": RATE, "upper": ones / 8}, 2.0,
                lambda t, y, rate: {k: -rate * x for k, x in y.items()},
                saveat=diffrax.SaveAt(t1=True, dense=True))  # fmt: skip
    matrix = sol.ys.m_as("m")
    assert type(matrix) is TridiagonalMatrix
    assert matrix.properties == frozenset()  # nothing says that the solver keeps them
    np.testing.assert_array_equal(matrix.main_diag, due.ys["main"])
    found = sol.evaluate(Q(0.3, "s")).m_as("m")
    np.testing.assert_array_equal(found.upper_diag, due.evaluate(0.3)["upper"])


def test_structured_state_changed_by_a_narrower_matrix():
    y0 = Q(TridiagonalMatrix(jnp.ones(2), RATE, jnp.ones(2)), "m")
    change = Q(DiagonalMatrix(jnp.array([1.0, 2.0, 3.0])), "m/s")
    found = solve(y0, None, lambda t, y, _: change).ys.m_as("m")
    np.testing.assert_array_equal(found.main_diag[0], RATE + np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(found.lower_diag[0], jnp.ones(2))


def test_banded_state():
    """What is in the corners of its array is no element, and counts in no norm."""
    bands = jnp.array([[jnp.nan, 1.0, 2.0], RATE, [3.0, 4.0, jnp.nan]])
    y0 = Q(BandedMatrix(bands, lower=1, upper=1), "m")
    change = Q(DiagonalMatrix(jnp.array([1.0, 2.0, 3.0])), "m/s")
    controller = dfx.PIDController(rtol=1e-4, atol=Q(0.1, "mm"))
    found = solve(
        y0, Q(2.0, "1/s"), lambda t, y, rate: -rate * y + change,
        solver=dfx.Kvaerno3(), stepsize_controller=controller,
    ).ys.m_as("m")  # fmt: skip
    assert type(found) is BandedMatrix
    full = np.nan_to_num(bands) * np.exp(-2.0)
    full[1] += np.array([1.0, 2.0, 3.0]) * (1 - np.exp(-2.0)) / 2
    np.testing.assert_allclose(found.bands[0], full, rtol=1e-3, atol=1e-5)
    wide = Q(BandedMatrix(jnp.ones((3, 3)), lower=2, upper=0), "m/s")
    with pytest.raises(StructureError) as caught:
        solve(y0, None, lambda t, y, _: wide)
    assert "`y0`, BandedMatrix(lower=1, upper=1), and gave BandedMatrix(lower=2" in str(caught)


def test_structured_state_refuses_what_does_not_fit_in_it():
    y0 = Q(DiagonalMatrix(RATE), "m")
    wide = Q(TridiagonalMatrix(jnp.ones(2), RATE, jnp.ones(2)), "m/s")
    with pytest.raises(StructureError, match="`y0`, DiagonalMatrix, and gave TridiagonalMatrix"):
        solve(y0, None, lambda t, y, _: wide)
    with pytest.raises(StructureError, match="`y0`, DiagonalMatrix, and gave array"):
        solve(y0, None, lambda t, y, _: Q(jnp.ones((3, 3)), "m/s"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: KroneckerMatrix(jnp.eye(2), jnp.ones((2, 2))),
        lambda: LowRankPlusDiagonalMatrix(RATE, jnp.ones((3, 1)), jnp.ones((1, 3))),
        lambda: LoraArray(jnp.ones((3, 3)), rank=1, key=jax.random.key(0)),
        lambda: IdentityMatrix(3),
    ],
    ids=["Kronecker", "low rank", "LoRA", "identity"],
)
def test_values_that_do_not_add_by_parts_are_refused(make):
    value = make()
    with pytest.raises(
        RuleError, match=f"cannot step a `{type(value).__name__}` in `y0`: the arrays of"
    ):
        solve(value, 2.0, t0=0.0, t1=1.0, dt0=0.25)


# -- steady states --------------------------------------------------------------------------------

SPRING = {"x": 1.5, "v": 0.25}


def damped(t, y, k):
    return {"x": y["v"], "v": -k * y["x"] - 2 * k**0.5 * y["v"]}


def until_steady(condition, atol=1e-8):
    y0 = {"x": Q(1.5, "m"), "v": Q(0.25, "m/s")}
    controller = dfx.PIDController(rtol=1e-6, atol=atol)
    sol = solve(
        y0, Q(4.0, "1/s**2"), damped, solver=dfx.Tsit5(), t1=Q(50.0, "s"),
        event=dfx.Event(condition), stepsize_controller=controller,
    )  # fmt: skip
    return sol.ts.m_as("s")


@pytest.mark.slow
def test_steady_state_in_units():
    controller = diffrax.PIDController(rtol=1e-6, atol=1e-8)
    expected = plain(SPRING, 4.0, damped, solver=diffrax.Tsit5(), t1=50.0,
                     event=diffrax.Event(diffrax.steady_state_event(1e-4, 1e-6)),
                     stepsize_controller=controller).ts  # fmt: skip
    rates = {"x": Q(1e-4, "cm/s"), "v": Q(1e-6, "m/s**2")}
    np.testing.assert_allclose(until_steady(dfx.steady_state_event(1e-4, 1e-6)), expected, 1e-12)
    found = until_steady(dfx.steady_state_event(Q(0.1, "1/ks"), rates))
    np.testing.assert_allclose(found, expected, 1e-12)


def test_steady_state_takes_the_controllers_tree():
    controller = diffrax.PIDController(rtol=1e-6, atol=1e-8)
    expected = plain(SPRING, 4.0, damped, solver=diffrax.Tsit5(), t1=50.0,
                     event=diffrax.Event(diffrax.steady_state_event()),
                     stepsize_controller=controller).ts  # fmt: skip
    tree = {"x": Q(1e-6, "cm"), "v": Q(1e-8, "m/s")}
    found = until_steady(dfx.steady_state_event(), tree)
    np.testing.assert_allclose(found, expected, 1e-12)


def test_steady_state_tolerances_of_another_dimension():
    with pytest.raises(DimensionalityError, match="`atol` in 'm', and the derivative of y"):
        until_steady(dfx.steady_state_event(1e-4, {"x": Q(1.0, "m"), "v": Q(1.0, "m/s**2")}))
    with pytest.raises(DimensionalityError, match="got `rtol` in 'm', but it is a rate"):
        until_steady(dfx.steady_state_event(Q(1.0, "m"), 1e-6))
