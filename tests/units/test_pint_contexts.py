"""Contexts, systems and registries: what pint has besides units."""

import copy
import operator
import pickle
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pint
import pytest

from sciquax import quaxify, units
from sciquax.units import (
    DimensionalityError,
    MixedRegistriesError,
    Quantity,
    get_registry,
    set_registry,
)
from tests.helpers import assert_raises, assert_same

UREG = get_registry()

CASES = [
    (500.0, "nm", "THz", ("spectroscopy",), {}),
    (500.0, "nm", "THz", ("sp",), {"n": 1.33}),
    (2.0, "eV", "nm", ("spectroscopy",), {}),
    (3.0, "THz", "1/cm", ("spectroscopy",), {}),
    (300.0, "kelvin", "meV", ("boltzmann",), {}),
    (1.0, "MeV", "kg", ("energy",), {}),
    (3.0, "mol", "g", ("chemistry",), {"mw": UREG.Quantity(18.0, "g/mol")}),
    (
        2.0,
        "mol",
        "mol/l",
        ("chemistry",),
        {"volume": UREG.Quantity(4.0, "l"), "mw": UREG.Quantity(18.0, "g/mol")},
    ),
    (1.5, "statcoulomb", "C", ("Gaussian",), {}),
    (20.0, "tex", "number_english", ("textile",), {}),
    (300.0, "kelvin", "THz", ("boltzmann", "spectroscopy"), {}),
]


@pytest.mark.parametrize("how", ["named", "block", "jit"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_context_is_pints(case, how, x64):
    x, source, target, contexts, parameters = case
    expected = UREG.Quantity(np.array([x, 2 * x]), source).to(target, *contexts, **parameters)
    q = Quantity(np.array([x, 2 * x]), source)
    if how == "block":
        with units.context(*contexts, **parameters):
            actual = q.to(target)
    else:
        convert = lambda q: q.to(target, *contexts, **parameters)
        actual = (jax.jit(convert) if how == "jit" else convert)(q)
    assert_same(actual, Quantity(expected), rtol=1e-12)


def test_compiled_functions_see_the_context():
    """The same compiled function under another context, or none, is another function."""
    traces = []

    @jax.jit
    def frequency(q):
        traces.append(None)
        return q.to("THz")

    q = Quantity(500.0, "nm")
    with units.context("spectroscopy"):
        first = frequency(q)
    with units.context("spectroscopy", n=2.0):
        assert_same(frequency(q), Quantity(first.m / 2.0, "THz"))
    assert len(traces) == 2
    with units.context("spectroscopy"):
        assert_same(frequency(q), first)
    assert len(traces) == 2
    with pytest.raises(DimensionalityError):
        frequency(q)


def test_context_of_ones_own():
    c = pint.Context("flow", defaults={"rho": 2.0})
    c.add_transformation("[speed]", "[length] ** 2", lambda ureg, v, rho: rho * v * ureg("1 s * m"))
    convert = jax.jit(lambda q: q.to("cm**2"))
    q = Quantity(jnp.array([1.0, 3.0]), "m/s")
    with units.context(c):
        assert_same(convert(q), Quantity(jnp.array([2e4, 6e4]), "cm**2"))
    with units.context(c, rho=3.0):
        assert_same(convert(q), Quantity(jnp.array([3e4, 9e4]), "cm**2"))
    # A transformation that is replaced later makes another function.
    c.add_transformation("[length]/[time]", "[length]**2", lambda ureg, v, rho: v * ureg("1 s * m"))
    with units.context(c):
        assert_same(convert(q), Quantity(jnp.array([1e4, 3e4]), "cm**2"))
    before = set(UREG._contexts)
    UREG.add_context(c)
    try:
        assert_same(q.to("m**2", "flow"), Quantity(jnp.array([1.0, 3.0]), "m**2"))
    finally:
        UREG.remove_context("flow")
    assert set(UREG._contexts) == before


def test_redefinition_in_a_context():
    c = pint.Context("light")
    c.redefine("pound = 0.5 kg")
    convert = jax.jit(lambda q: q.to("kg"))
    q = Quantity(2.0, "pound")
    with units.context(c):
        assert_same(convert(q), Quantity(1.0, "kg"))
        assert_same(q.to("g"), Quantity(1000.0, "g"))
        assert_same(q + Quantity(1.0, "kg"), Quantity(4.0, "pound"))
    assert_same(q.to("kg", c), Quantity(1.0, "kg"))
    np.testing.assert_allclose(convert(q).m, 0.90718474, rtol=1e-6)
    np.testing.assert_allclose(q.to("g").m, 907.18474, rtol=1e-6)


def test_parameters_are_inherited_and_may_be_traced():
    q = Quantity(500.0, "nm")
    with units.context("spectroscopy", n=2.0):
        with units.context("boltzmann"), units.context("spectroscopy"):
            inner = q.to("THz")
    assert_same(inner, q.to("THz", "spectroscopy", n=2.0))
    by_index = jax.jit(lambda q, n: q.to("THz", "spectroscopy", n=n))
    assert_same(by_index(q, jnp.float32(2.0)), inner)
    slope = jax.grad(lambda n: q.to("THz", "spectroscopy", n=n).m)(2.0)
    np.testing.assert_allclose(slope, -inner.m / 2.0, rtol=1e-5)
    mass = Quantity(2.0, "mol").to("g", "chemistry", mw=Quantity(18.0, "g/mol"))
    assert_same(mass, Quantity(36.0, "g"))
    theirs = pint.UnitRegistry().Quantity(18.0, "g/mol")
    assert_same(Quantity(2.0, "mol").to("g", "chemistry", mw=theirs), mass)


def test_contexts_are_of_the_thread():
    entered, leave, seen = threading.Event(), threading.Event(), []

    def other():
        with units.context("spectroscopy"):
            entered.set()
            leave.wait(10)
            seen.append(Quantity(500.0, "nm").to("THz").m)

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait(10)
    with pytest.raises(DimensionalityError):
        Quantity(500.0, "nm").to("THz")
    leave.set()
    thread.join()
    np.testing.assert_allclose(seen, 599.58, rtol=1e-4)


def test_context_messages():
    q = Quantity(500.0, "nm")
    with pytest.raises(KeyError, match="'optics' is not a context of the unit registry, which has"):
        q.to("THz", "optics")
    with pytest.raises(TypeError, match="Parameters \\(n\\) without a context"):
        q.to("THz", n=2)
    with pytest.raises(TypeError, match="A context is a name or a `pint.Context`, not int"):
        with units.context(3):
            pass

    def call():
        return q.to("kg", "spectroscopy")  # HERE

    assert_raises(
        DimensionalityError,
        call,
        "Cannot convert from 'nm' ([length]) to 'kg' ([mass]) in context 'spectroscopy'.\n{place}",
    )
    assert q.is_compatible_with("THz", "spectroscopy")
    assert not q.is_compatible_with("THz") and not q.is_compatible_with("kg", "spectroscopy")
    with UREG.context("spectroscopy"):
        with pytest.raises(RuntimeError, match="A context is active on the pint registry itself"):
            q.to("THz")
    with pytest.raises(TypeError, match="which a block cannot hold"):

        def block(n):
            with units.context("sp", n=n):
                return q.to("THz")

        jax.jit(block)(2.0)


def test_sums_do_not_follow_contexts():
    with units.context("spectroscopy"):
        with pytest.raises(DimensionalityError):
            _ = Quantity(1.0, "m") + Quantity(1.0, "Hz")


# -- systems and preferred units


SYSTEMS = ["SI", "mks", "cgs", "imperial", "US", "Planck", "atomic"]


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("unit", ["J", "km/hour", "degC", "statcoulomb", "T", "dBm", "percent"])
def test_systems_are_pints(unit, system, x64):
    source = UREG.Quantity(3.0, unit)
    base = UREG.get_base_units(source.units, check_nonmult=False, system=system)[1]
    actual = Quantity(np.float64(3.0), unit).to_base_units(system)
    assert actual.units == base
    np.testing.assert_allclose(actual.m, source.to(base).m, rtol=1e-12)


def test_default_system():
    registry = pint.UnitRegistry(system="cgs")
    q = Quantity(2.0, "N")
    before = get_registry()
    set_registry(registry)
    try:
        assert_same(Quantity(2.0, "N").to_base_units(), Quantity(2e5, "g*cm/s**2"))
        assert_same(Quantity(2.0, "N").to_root_units(), Quantity(2e3, "g*m/s**2"))
    finally:
        set_registry(before)
    assert_same(q.to_base_units(), Quantity(2.0, "kg*m/s**2"))
    with pytest.raises(ValueError, match="'stones' is not a unit system of the registry"):
        q.to_base_units("stones")


def test_preferred_reduced_compact():
    q = Quantity(jnp.array([1.0, 2.0]), "N*m")
    assert_same(q.to_preferred(["J", "s"]), Quantity(jnp.array([1.0, 2.0]), "J"))
    # pint keeps whichever unit of a dimension it meets first.
    reduced = Quantity(3.0, "km*m").to_reduced_units()
    assert reduced.units in (UREG.Unit("m**2"), UREG.Unit("km**2"))
    assert_same(reduced.to("m**2"), Quantity(3000.0, "m**2"))
    assert str(Quantity(1e-6, "m").to_compact()) == "1.0 micrometer"
    assert str(Quantity(jnp.array([10.0, 4e6]), "Pa").to_compact()) == "[1.e-05 4.e+00] megapascal"
    with pytest.raises(jax.errors.TracerArrayConversionError):
        jax.jit(lambda q: q.to_compact().m)(q)


# -- registries


@pytest.fixture
def other():
    before = get_registry()
    registry = pint.UnitRegistry()
    registry.define("smoot = 1.7018 m")
    set_registry(registry)
    yield registry
    set_registry(before)


def test_registries_do_not_mix(other):
    theirs = Quantity(UREG.Quantity(2.0, "m"), UREG.Unit("m"))  # taken over
    assert theirs.units._REGISTRY is other
    set_registry(UREG)
    ours = Quantity(2.0, "m")
    for op in (operator.add, operator.mul, operator.lt, operator.eq, operator.truediv):
        for call in (op, quaxify(op), jax.jit(quaxify(op))):
            with pytest.raises(MixedRegistriesError) as caught:
                call(ours, theirs)
            assert "'m' and 'm' belong to two pint registries." in str(caught.value)
            assert isinstance(caught.value, ValueError)
    with pytest.raises(MixedRegistriesError):
        quaxify(jnp.where)(True, ours, theirs)
    # A unit equals only units of its own registry: compiled functions are kept apart.
    assert jax.tree.structure(ours) != jax.tree.structure(theirs)
    assert jax.tree.structure(ours) == jax.tree.structure(Quantity(3.0, "meter"))
    assert hash(jax.tree.structure(ours)) == hash(jax.tree.structure(Quantity(3.0, "meter")))
    assert_same(Quantity(theirs.to_pint()) + ours, Quantity(4.0, "m"))
    # Strings are read in the quantity's own registry, plain numbers go with both.
    assert_same(theirs.to("km").m, jnp.asarray(0.002))
    assert theirs.is_compatible_with("smoot") and str(2.0 * theirs) == "4.0 meter"
    error = pickle.loads(pickle.dumps(caught.value))
    assert str(error) == str(caught.value)


def test_definitions():
    registry = get_registry()
    registry.define("sciquax_test_unit = 3.5 m = stu")
    assert_same(Quantity(2.0, "stu").to("m"), Quantity(7.0, "m"))
    assert_same(Quantity("2.0 kilostu"), Quantity(2.0, "kilosciquax_test_unit"))


def test_definition_file(tmp_path, other):
    file = tmp_path / "units.txt"
    file.write_text("meter = [length]\nsecond = [time]\nwarp = 2 * meter / second\n")
    set_registry(pint.UnitRegistry(str(file)))
    assert_same(Quantity(3.0, "warp").to("meter/second").m, jnp.asarray(6.0))
    with pytest.raises(units.UndefinedUnitError):
        Quantity(1.0, "kilogram")
    with pytest.raises(TypeError, match="A registry is a `pint.UnitRegistry`, not str"):
        set_registry(str(file))


def test_threads():
    """Many threads meet a fresh registry at once: one unit stays one object, factors are right."""
    before = get_registry()
    set_registry(pint.UnitRegistry())
    names = ["m", "km", "inch", "mile", "cm", "light_year", "m/s", "N", "kg*m/s**2", "dyn"]
    barrier, results, errors = threading.Barrier(8), [], []

    def work():
        try:
            barrier.wait()
            found = [Quantity(1.0, n)._unit for n in names]
            product = [a * b / found[0] for a in found[:3] for b in found[3:6]]
            factor = [float(Quantity(np.float32(2.0), n).to_base_units().m) for n in names]
            with units.context("spectroscopy"):
                factor.append(float(Quantity(np.float32(500.0), "nm").to("THz").m))
            results.append((tuple(map(id, (*found, *product))), tuple(factor)))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    try:
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        set_registry(before)
    assert not errors
    assert len(set(results)) == 1 and len(results) == 8


def test_first_use_by_threads():
    """pint's application registry is lazy; the first users may be many."""
    import subprocess
    import sys

    code = """
import threading
from sciquax.units import Quantity, get_registry
barrier, found = threading.Barrier(6), []
def work():
    barrier.wait()
    found.append((id(get_registry()), id(Quantity(1.0, "km/hour")._unit)))
threads = [threading.Thread(target=work) for _ in range(6)]
[t.start() for t in threads]; [t.join() for t in threads]
assert len(found) == 6 and len(set(found)) == 1, found
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_units_survive_copies():
    q = Quantity(jnp.array([1.0, 2.0]), "km/hour")
    for other in (pickle.loads(pickle.dumps(q)), copy.copy(q), copy.deepcopy(q)):
        assert_same(other, q)
        assert other._unit is q._unit


def test_pickles_of_other_definitions_are_refused(other):
    theirs = pickle.dumps([Quantity(2.0, "smoot"), Quantity(20.0, "degC"), Quantity(3.0, "dBm")])
    assert_same(pickle.loads(theirs)[0], Quantity(2.0, "smoot"))
    changed = pint.UnitRegistry()
    changed.define("smoot = 1.8 m")
    set_registry(changed)
    with pytest.raises(ValueError, match="'smoot' was pickled as 1.7018 meter, and is 1.8 meter"):
        pickle.loads(theirs)
