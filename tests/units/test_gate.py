"""Quantities of pint and Astropy at every door: taken over with their unit, or refused."""

import inspect

import astropy.units as au
import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pint
import pytest

import sciquax.numpy as sqnp
import sciquax.structured as structured
from sciquax import ArrayValue
from sciquax.core import is_value
from sciquax.interop import diffrax as dfx, lineax as lx
from sciquax.interop.pandas import to_dataframe, to_series
from sciquax.lora import LoraArray
from sciquax.named import NamedArray, full
from sciquax.quantised import quantise
from sciquax.sparse import BCOO
from sciquax.units import Quantity, any_unit, get_registry, unit

ROW = np.array([1.0, 2.0, 3.0], np.float32)
SQUARE = np.diag(ROW) + 1
NAMED = NamedArray(jnp.ones(3), ("x",))
INDICES = jnp.array([[0], [1], [2]])


@pytest.fixture(params=["pint", "astropy"])
def of_metres(request):
    if request.param == "pint":
        return lambda x: get_registry().Quantity(x, "m")
    return lambda x: au.Quantity(x, "m")


def dimension(out):
    """The powers of metres in what came out, a quantity or one within."""
    found = [
        dict(x._unit.container)
        for x in jax.tree.leaves(out, is_leaf=lambda x: isinstance(x, Quantity))
        if isinstance(x, Quantity)
    ]
    assert found, f"{out!r} has no unit"
    return found[0]


def _decay(t, y, args):
    return jax.tree.map(lambda x: -x / Quantity(2.0, "s"), y)


def _solved(y0, **kwargs):
    time = dict(t0=Quantity(0.0, "s"), t1=Quantity(1.0, "s"), dt0=Quantity(0.1, "s"))
    return dfx.diffeqsolve(dfx.ODETerm(_decay), dfx.Tsit5(), y0=y0, **time, **kwargs).ys


DOORS = {
    "NamedArray": lambda m: NamedArray(m(ROW), ("x",)).array,
    "named-product": lambda m: (NAMED * m(2.0)).array,
    "product-named": lambda m: (m(2.0) * NAMED).array,
    "named.full": lambda m: full({"x": 3}, m(2.0)).array,
    "named-set": lambda m: NamedArray(Quantity(ROW, "km"), ("x",)).at[{"x": 0}].set(m(2.0)).array,
    "coords": lambda m: NamedArray(jnp.ones(3), ("x",), coords={"x": m(ROW)}).coord("x"),
    "BCOO": lambda m: BCOO(m(ROW), INDICES, (3,)),
    "from_dense": lambda m: BCOO.from_dense(m(SQUARE)),
    "LoraArray": lambda m: LoraArray(m(SQUARE), rank=1, key=jax.random.key(0)) @ jnp.ones(3),
    "y0": lambda m: _solved(m(1.0)),
    "y0-tree": lambda m: _solved({"x": m(1.0)}),
    "operator": lambda m: lx.linear_solve(lx.MatrixLinearOperator(SQUARE), m(ROW)).value,
    "diagonal": lambda m: lx.DiagonalLinearOperator(m(ROW)).mv(jnp.ones(3)),
    "SaveAt": lambda m: dfx.SaveAt(ts=m(ROW)).subs.ts,
    "Diffrax's SaveAt": lambda m: diffrax.SaveAt(ts=[m(1.0), m(2.0)]).subs.ts,
    "StepTo": lambda m: dfx.StepTo(ts=m(ROW)).ts,
    "LinearInterpolation": lambda m: dfx.LinearInterpolation(m(ROW), ROW).ts,
    "CubicInterpolation": lambda m: (
        dfx.CubicInterpolation(m(ROW), dfx.backward_hermite_coefficients(m(ROW), ROW)).t1
    ),
    "rectilinear": lambda m: dfx.rectilinear_interpolation(m(ROW), ROW)[0],
    "unit of": lambda m: Quantity(2.0, "km").to(m(1.0)),
    "sqnp": lambda m: sqnp.stack([m(1.0), m(2.0)]),
    "quantise": lambda m: quantise(m(SQUARE), axis=0),
    "set": lambda m: Quantity(ROW, "km").at[0].set(m(2.0)).to("m"),
}


@pytest.mark.parametrize("name", DOORS)
def test_taken_over_with_the_unit(name, of_metres):
    assert dimension(DOORS[name](of_metres)) in ({"meter": 1}, {"kilometer": 1})


def _constructors():
    for name, kind in vars(structured).items():
        if inspect.isclass(kind) and issubclass(kind, ArrayValue) and name.endswith("Matrix"):
            yield name, kind


@pytest.mark.parametrize(
    "name, kind", list(_constructors()), ids=lambda x: x if type(x) is str else ""
)
def test_every_matrix(name, kind, of_metres):
    arguments = [ROW, SQUARE, ROW[:2], np.stack([SQUARE, SQUARE]), np.ones((1, 3), np.float32)]
    made = 0
    for first in arguments:
        for others in ([], [ROW], [ROW[:2]], [SQUARE], [ROW, ROW[:2]]):
            try:
                kind(first, *others)
            except (TypeError, ValueError, IndexError, AttributeError):
                continue
            made += 1
            try:
                value = kind(of_metres(first), *map(of_metres, others))
            except (TypeError, ValueError):
                continue  # refused
            assert is_value(value)
            leaves = jax.tree.leaves(value, is_leaf=lambda x: isinstance(x, Quantity))
            assert any(isinstance(x, Quantity) for x in leaves), f"{value!r} has no unit"


def test_refused_or_labelled(of_metres):
    with pytest.raises((TypeError, ValueError)):
        any_unit(of_metres(1.0))
    assert to_dataframe({"x": of_metres(ROW)}).columns[0] == ("x", "meter")
    assert to_series(of_metres(ROW)).attrs == {"units": "meter"}
    controller = dfx.PIDController(rtol=1e-3, atol=of_metres(1e-3))
    assert dimension(_solved(Quantity(1.0, "m"), stepsize_controller=controller)) == {"meter": 1}


def test_products_with_units_are_our_quantities():
    km, s = unit("km"), unit("s")
    for out, expected in (
        (jnp.ones(3) * km, "kilometer"),
        (np.ones(3) * km, "kilometer"),
        (km * 2.0, "kilometer"),
        (2.0 / km, "1 / kilometer"),
        (km / 2.0, "kilometer"),
        ([1.0, 2.0] * km, "kilometer"),
        (jnp.ones(3) * km / s, "kilometer / second"),
        (2 * (km * s), "kilometer * second"),
        (2 * km**2, "kilometer ** 2"),
        (Quantity(2.0, "s") * km, "kilometer * second"),
        ((NAMED * km).array, "kilometer"),
        (jax.jit(lambda x: x * km)(jnp.ones(3)), "kilometer"),
    ):
        assert type(out) is Quantity and str(out.units) == expected
    assert km == Quantity(1.0, "km").units and Quantity(1.0, "km").units == km
    assert hash(km) == hash(Quantity(1.0, "km").units) and isinstance(km, pint.Unit)
    assert (2 * km).dtype == jnp.int32


def test_units_of_astropy_are_read():
    assert unit(au.km / au.s) == unit("km/s")
    assert str(Quantity(3.0, au.km).to(au.m)) == "3000.0 meter"
