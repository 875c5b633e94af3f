"""Quantities of other libraries: converted or refused, never stripped of their unit."""

import operator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pint
import pytest

import sciquax
import sciquax.numpy as sqnp
from sciquax import quaxify
from sciquax.core import RuleError
from sciquax.units import DimensionalityError, Quantity, get_registry
from tests.helpers import assert_same

u = pytest.importorskip("astropy.units")
from astropy.coordinates import Angle  # noqa: E402
from astropy.utils.masked import Masked  # noqa: E402

from sciquax.units._astropy import from_astropy, to_astropy  # noqa: E402

UREG = get_registry()
X = np.array([1.0, 2.0])
FOREIGN = {
    "pint": UREG.Quantity(X, "km"),
    "pint-other-registry": pint.UnitRegistry().Quantity(X, "km"),
    "astropy": X * u.km,
}
OURS = Quantity(X, "km")
Q = Quantity(jnp.array([300.0, 5.0]), "m")

USES = {
    "constructor": lambda x: Quantity(x),
    "conversion": lambda x: Quantity(x, "cm"),
    "argument": quaxify(lambda x: jnp.sum(x**2)),
    "nested": lambda x: quaxify(lambda d: d["a"][0] * 2.0)({"a": (x,)}),
    "keyword": lambda x: quaxify(lambda *, x: jnp.cumsum(x))(x=x),
    "jitted": quaxify(jax.jit(lambda x: jnp.where(x > 1.0 * x[0], x, 0.0))),
    "namespace": lambda x: sqnp.hypot(x, Q),
    "namespace-list": lambda x: sqnp.stack([x, Q]),
    "where": lambda x: sqnp.where(Q > Quantity(50.0, "m"), Q, x),
    "update": lambda x: Q.at[1].set(x[0]),
    "grad": sciquax.grad(lambda x: jnp.sum(x**3)),
    "jvp": lambda x: sciquax.jvp(jnp.square, (x,), (x,)),
    "vjp": lambda x: sciquax.vjp(jnp.square, x)[1](x),
    "jacfwd": sciquax.jacfwd(lambda x: x**2),
    "numpy": lambda x: np.add(Q, x),
}
for _name in ("add", "sub", "mul", "truediv", "matmul", "lt", "ge", "eq", "mod", "floordiv"):
    _op = getattr(operator, _name)
    USES[_name] = lambda x, op=_op: op(Q, x)
    USES["r" + _name] = lambda x, op=_op: op(x, Q)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("library", FOREIGN)
def test_as_if_it_were_ours(library, use):
    if use == "rfloordiv" and library == "astropy":
        pytest.skip("NumPy calls Astropy's own floor_divide")
    expected = USES[use](OURS)
    assert_same(Quantity(USES[use](FOREIGN[library])), Quantity(expected)) if not isinstance(
        expected, tuple
    ) else assert_same(USES[use](FOREIGN[library]), expected)


@pytest.mark.parametrize("library", FOREIGN)
def test_wrong_dimensions_are_refused(library):
    x = FOREIGN[library]
    for call in (
        lambda: Quantity(x, "s"),
        lambda: Q * Quantity(1.0, "s") + x,
        lambda: x + Quantity(1.0, "s"),
        lambda: quaxify(jnp.exp)(x),
        lambda: sqnp.where(True, x, Quantity(1.0, "s")),
    ):
        with pytest.raises((DimensionalityError, pint.DimensionalityError, u.UnitsError)):
            call()


@pytest.mark.parametrize("library", FOREIGN)
def test_captured_ones_are_not_stripped(library):
    x = FOREIGN[library]
    for f in (lambda y: y * x, lambda y: jnp.where(y > 0, y, x), lambda y: jnp.sin(x) + y):
        with pytest.raises(TypeError):
            quaxify(f)(Q)
    # Outside of quaxified functions, JAX refuses it as it does ours.
    if library == "astropy":
        with pytest.raises(TypeError, match="outside of `quaxify`"):
            jnp.sum(x)


def test_jax_hands_arrays_of_astropy_on_with_their_unit():
    double, x = quaxify(lambda x: x * 2.0), np.array([1.0, 2.0], np.float32)
    jitted = jax.jit(double)
    assert_same(jitted(x), 2 * x)  # compiled for plain arrays of that shape
    for unit in ("km", "m", "deg"):
        assert_same(jitted(x * u.Unit(unit)), Quantity(2 * x, unit))
    assert_same(jax.jit(double)(3.0 * u.km), Quantity(jnp.float32(6.0), "km"))
    assert_same(jitted(Angle(x * u.deg)), Quantity(2 * x, "deg"))
    assert_same(jitted(x * u.dimensionless_unscaled), 2 * x)
    for way in (lambda f: jax.jit(jax.vmap(f)), jax.vmap, jax.checkpoint):
        assert_same(way(lambda d: double(d["a"]))({"a": x * u.km}), Quantity(2 * x, "km"))
    start = Quantity(0.0, "m")
    last, _ = jax.lax.scan(quaxify(lambda c, x: (c + x, None)), start, x * u.km)
    assert_same(last, Quantity(3000.0, "m"))
    for refused in (x * u.mag(u.ct / u.s), Masked(x * u.km, mask=[True, False])):
        with pytest.raises(TypeError, match="is a logarithm|the mask would be lost"):
            jax.jit(quaxify(lambda x: x * 2.0))(refused)
    on_host = jax.tree.map(lambda leaf: leaf * 2, {"a": x * u.km})["a"]
    assert isinstance(on_host, u.Quantity) and (on_host == 2 * x * u.km).all()


def test_output_of_another_library_passes_through():
    x = UREG.Quantity(3.0, "s")
    out, same = quaxify(lambda y: (2.0 * y, x))(Q)
    assert same is x and out.units == Q.units


class Mystery(np.ndarray):
    """An array of some library that has a unit."""

    unit = "furlong"


def test_unknown_units_are_refused():
    x = np.array([1.0, 2.0]).view(Mystery)
    for call in (
        lambda: Quantity(x),
        lambda: Q + x,
        lambda: quaxify(jnp.sum)(x),
        lambda: sqnp.sum(x),
        lambda: sqnp.hypot(Q, x),
        lambda: quaxify(lambda d: d["x"] * 2)({"x": x}),
    ):
        with pytest.raises(TypeError, match="has a unit that sciquax cannot read"):
            call()


def test_measurements_are_refused():
    pytest.importorskip("uncertainties")
    x = UREG.Measurement(3.0, 0.1, "m")
    with pytest.raises(TypeError, match="has an uncertainty, which a Quantity does not carry"):
        Quantity(x)


ASTROPY = [
    u.m, u.kg * u.m**2 / u.s**2, u.km / u.h, u.mas, u.deg, u.eV, u.lyr, u.AU, u.percent, u.T, u.erg,
    u.AA, u.cm**0.5, u.imperial.mi, u.bit, u.deg_C, u.imperial.deg_F, u.dimensionless_unscaled,
    u.km / u.m, u.Unit("1e3 kg"), u.rad / u.s, u.mol / u.L,
]  # fmt: skip


@pytest.mark.parametrize("unit", ASTROPY, ids=str)
def test_astropy_units(unit, x64):
    x = np.array([3.0, -4.5]) * unit
    ours = from_astropy(x)
    back = to_astropy(ours)
    np.testing.assert_allclose(back.to_value(unit), x.value, rtol=1e-12)
    if unit not in (u.deg_C, u.imperial.deg_F, u.bit):
        np.testing.assert_allclose(
            Quantity(ours).to_base_units().m, x.si.value, rtol=1e-9
        )  # astropy's SI


@pytest.mark.parametrize("unit", [u.solMass, u.G, u.Jy, u.pc, u.M_e * u.km], ids=str)
def test_astropy_units_that_pint_sizes_otherwise(unit, x64):
    """Their size is Astropy's."""
    ours = from_astropy(2.0 * u.Unit(unit))
    np.testing.assert_allclose(
        Quantity(ours).to_base_units().m, (2.0 * u.Unit(unit)).si.value, rtol=1e-12
    )


LEVELS = [u.mag, u.Unit("mag(1)"), u.dB, u.dex, u.ABmag, u.STmag, u.dB(u.mW), u.dB(u.W)]


@pytest.mark.parametrize("unit", LEVELS, ids=str)
def test_astropy_levels(unit, x64):
    x = np.array([3.0, -4.5]) * unit
    ours = from_astropy(x)
    assert to_astropy(ours).unit == unit and np.array_equal(to_astropy(ours).value, x.value)
    assert str(Quantity(3.0, unit).units) == str(Quantity(3.0, str(unit)).units) == str(ours.units)
    physical = u.Unit("mag(1)") if unit == u.mag else unit
    physical = getattr(u, f"{unit}")(1) if hasattr(unit, "bases") else physical
    np.testing.assert_allclose(
        ours.to_base_units().m, (x.value * physical).physical.si.value, rtol=1e-12
    )


@pytest.mark.parametrize("unit", [u.dex(u.cm / u.s**2), u.mag(u.ct / u.s), u.dB(u.V)], ids=str)
def test_astropy_logarithms_without_counterpart(unit):
    for way in (lambda: from_astropy(3.0 * unit), lambda: Quantity(3.0, unit)):
        with pytest.raises(TypeError) as error:
            way()
        assert str(error.value) == (
            f"The unit '{unit}' of Astropy is a logarithm, and no unit of the registry: give "
            "`x.physical`."
        )
    with pytest.raises(ValueError, match="is none of mag"):
        Quantity(3.0, str(unit))


def test_astropy_units_without_counterpart():
    with pytest.raises(TypeError, match="has no counterpart in the other library"):
        from_astropy(3.0 * u.pix)


@pytest.mark.parametrize("unit", ["dBu", "smoot", "degC", "planck_length", "acre", "psi"])
def test_to_astropy(unit, x64):
    registry = get_registry()
    if unit == "smoot":
        unit = "hand"
    if unit == "dBu":
        with pytest.raises(TypeError, match="has no counterpart"):
            to_astropy(Quantity(1.0, unit))
        return
    x = to_astropy(Quantity(np.float64(3.0), unit))
    if unit == "degC":
        assert x.unit == u.deg_C and x.value == 3.0
    else:
        expected = registry.Quantity(3.0, unit).to_base_units()
        np.testing.assert_allclose(x.si.value, expected.m, rtol=1e-9)


CAPTURING = {
    "sum": lambda x, c: x + c,
    "where": lambda x, c: jnp.where(x > c, x, 0.0),
    "vmap": lambda x, c: jax.vmap(lambda e: e + c)(x),
    "scan": lambda x, c: jax.lax.scan(lambda s, e: (s + e, e - c), x[0], x),
    "maximum": lambda x, c: jnp.maximum(x, c),
}


@pytest.mark.parametrize("name", CAPTURING)
@pytest.mark.parametrize("captured", [3.0 * u.km, get_registry().Quantity(3.0, "km")], ids=str)
def test_captured_quantities_are_refused_in_our_words(captured, name):
    with pytest.raises(RuleError) as error:
        quaxify(lambda x: CAPTURING[name](x, captured))(Quantity(jnp.ones(2), "m"))
    library = type(captured).__module__.partition(".")[0]
    assert str(error.value).splitlines()[0] == (
        f"A quaxified function captured a `{library}.Quantity`, which an array of the program "
        "would read as bare numbers."
    )


def test_captured_quantities_are_no_arrays_to_equinox():
    seen = []

    def f(x):
        module = {"weight": x, "scale": get_registry().Quantity(3.0, "km")}
        arrays, rest = eqx.partition(module, eqx.is_array_like)
        seen.append((arrays["scale"], rest["weight"]))
        return eqx.combine(arrays, rest)["weight"] * 2

    assert_same(quaxify(f)(Quantity(jnp.ones(2), "m")), Quantity(jnp.full(2, 2.0), "m"))
    assert seen == [(None, None)]
