"""Units as text: what is refused, how soon, and the spellings of files."""

import json
import re
import time

import astropy.units as au
import jax
import jax.numpy as jnp
import numpy as np
import pint
import pytest

import sciquax.numpy as sqnp
from sciquax import quaxify
from sciquax.interop.astropy import from_astropy, to_astropy
from sciquax.interop.json import decode
from sciquax.named import NamedArray
from sciquax.units import (
    MixedRegistriesError,
    Quantity,
    UndefinedUnitError,
    context,
    get_registry,
    set_registry,
    unit,
)

ENDLESS = [
    "9**9**9**9",
    "m**9**9**9",
    "m^9^9^9",
    "10**10**10 m",
    "m" * 10**5,
    "9" * 10**5,
    "(" * 10**4 + "m" + ")" * 10**4,
    "m**1e308",
    "m**(10**7)",
    "m * " * 10**4 + "m",
    "kilo" * 1000 + "m",
    "m**9999",
    "m**(1/0)",
]
NONSENSE = ["m,s", "m,", "(5 % 2) m", "1e400 m", "m // s", "m;", "(m", "m)", "[m]", "m!", "m @ s"]
NONSENSE += ["1 000 m", "5 ft 3 in", "m 2", "days since 2000-01-01", "ppt"]
NONSENSE += ["__import__('os')", "print(1)", "m[0]", "m=3", "m == s", "not m", "m**s", "**m", "{m}"]


@pytest.mark.parametrize("text", [*ENDLESS, *NONSENSE], ids=lambda t: t[:20])
def test_what_is_no_unit_is_refused_at_once(text):
    length = Quantity(1.0, "m")
    in_file = json.dumps({"__quantity__": text, "dtype": "float32", "magnitude": 1.0})
    for way in (
        lambda: Quantity(1.0, text),
        lambda: Quantity(text),
        lambda: unit(text),
        lambda: length.to(text),
        lambda: length.check(text),
        lambda: Quantity[text],
        lambda: json.loads(in_file, object_hook=decode),
    ):
        start = time.process_time()
        with pytest.raises((ValueError, TypeError, UndefinedUnitError)) as caught:
            way()
        assert time.process_time() - start < 0.3
        assert len(str(caught.value)) < 500 and not isinstance(caught.value, AssertionError)


def test_messages_quote_little():
    with pytest.raises(ValueError) as caught:
        unit("m" * 1000)
    assert str(caught.value) == (
        f"'{'m' * 77}...' is not a unit: it has 1000 characters, and at most 300 are read."
    )


def test_exponents_of_a_text():
    assert Quantity(2.0, "m**0").unitless and Quantity(2.0, "s/m**0").units == unit("s")
    for text in ("m**12", "m**-2", "m**0.5", "m**(1/3)", "kg m^2/s^3", "m ** (-2)"):
        assert Quantity(1.0, text).to(text).m == 1.0


SPELLINGS = {
    "m s-1": "m/s",
    "kg m-2 s-1": "kg/m**2/s",
    "W m-2": "W/m**2",
    "W m-2 sr-1": "W/m**2/sr",
    "m2 s-2": "m**2/s**2",
    "J kg-1 K-1": "J/kg/K",
    "s-1": "1/s",
    "m.s-1": "m/s",
    "kg kg-1": "",
    "degrees_north": "degree",
    "degree_E": "degree",
    "degreesN": "degree",
    "(0 - 1)": "",
    "1": "",
    "1e-3": "permille",
    "erg / s / cm2": "erg/s/cm**2",
    "erg/s/cm^2/Hz": "erg/s/cm**2/Hz",
    "kpc2": "kpc**2",
    "m(1/2)": "m**0.5",
    "V Hz(-1/2)": "V/Hz**0.5",
    "arcsec2": "arcsec**2",
    "R_sun": "6.957e8 m",
    "Msun": "1.988409870698051e30 kg",
    "M_sun yr-1": "1.988409870698051e30 kg/year",
    "L_sun": "3.828e26 W",
    "mJy": "1e-29 W/m**2/Hz",
    "uJy": "1e-32 W/m**2/Hz",
    "R_earth": "6.3781e6 m",
    "R_jup": "7.1492e7 m",
    "gpm": "m",
    "DU": "4.4615e-4 mol/m**2",
    "Angstrom": "angstrom",
    "lyr": "light_year",
    "uas": "microarcsecond",
    "hourangle": "15 degree",
    "pct": "percent",
    "ppbv": "1e-3 ppm",
    "Sverdrup": "1e6 m**3/s",
    "W m-2 deg K-1": "W/m**2/K",
}


@pytest.mark.parametrize("text", SPELLINGS)
def test_spellings_of_files(text):
    meant = SPELLINGS[text]
    size = pint.Quantity(meant) if meant[:1].isdigit() else pint.Quantity(1.0, meant)
    with jax.enable_x64(True):
        ours = Quantity(np.float64(1.0), text).to_pint()
        assert float((ours / size).to("").magnitude) == pytest.approx(1.0, rel=1e-9)
        assert Quantity(1.0, unit(text)).is_compatible_with(Quantity(1.0, str(size.units)))
        if not text[0].isdigit() and "(" not in text:
            assert Quantity(f"2.5 {text}") == Quantity(2.5, text)


@pytest.mark.parametrize(
    "text", ["deg C", "degrees C", "degree Celsius", "degrees_celsius", "Deg_C", "degreesC"]
)
def test_degrees_celsius_are_no_degrees_times_coulombs(text):
    assert unit(text) == unit("degC") and str(unit("degrees F")) == "degree_Fahrenheit"
    assert Quantity(f"20 {text}") == Quantity(20, "degC")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("5.e-3 m s-1", Quantity(5e-3, "m/s")),
        ("-1.E+3 W m-2", Quantity(-1e3, "W/m**2")),
        ("10**-17 erg/s/cm2", Quantity(1e-17, "erg/s/cm**2")),
        ("10-17 erg s-1 cm-2", Quantity(1e-17, "erg/s/cm**2")),
        ("10+3 J", Quantity(1e3, "J")),
    ],
)
def test_powers_of_ten_are_no_elementary_charges(text, meant):
    read = Quantity(text)
    assert read.units == meant.units
    np.testing.assert_allclose(read.m, meant.m, rtol=1e-6)
    with pytest.raises(ValueError, match="is not a unit"):
        unit(text)


def test_counts_are_no_carats():
    assert str(unit("cts/s")) == "count / second"
    for text, why in (
        ("5 ft 3 in", "it has a number after a number or a unit, with nothing between."),
        ("ppt", "it has 'ppt', parts per thousand or per trillion: write 'permille' or 'pptv'."),
        ("m(2)", "it has 'm(2)': write 'm**2' or '2*m'."),
        ("days since 1970-01-01", "it says what dates are counted from."),
    ):
        with pytest.raises(ValueError, match=re.escape(f"'{text}' is not a unit: {why}")):
            Quantity(1.0, text)
    with pytest.raises(UndefinedUnitError, match="'gC' is not defined"):
        unit("gC m-2 day-1")


def test_what_detectors_count():
    gain = Quantity(2.0, "electron adu-1")
    assert str((gain * Quantity(3.0, "kadu")).to("electron")) == "6000.0 electron"
    assert Quantity(2.0, "Jy/beam").m_as("mJy beam-1") == 2000.0
    assert unit("ph cm-2") == unit("photon/cm**2")
    with pytest.raises(TypeError, match="Cannot convert from 'photon'"):
        Quantity(1.0, "photon").to("electron")
    assert from_astropy(3.0 * au.Unit("electron/s")).units == unit("electron/s")
    assert to_astropy(Quantity(3.0, "ADU/s")).unit == au.Unit("adu/s")


def test_what_pint_knows_is_pints():
    assert str(Quantity(1.0, "psu").units) == "practical_salinity_unit"
    assert Quantity(1.0, "ct").check("[mass]")
    assert str(unit("cmH2O")) == "centimeter_H2O"


def test_a_dimension_without_brackets_is_suggested():
    with pytest.raises(UndefinedUnitError, match=r"Did you mean '\[length\]'"):
        Quantity["length"]


def test_parameters_that_a_context_does_not_have_are_refused():
    green = Quantity(532.0, "nm")
    for way in (
        lambda: green.to("THz", "sp", N=1.33),
        lambda: green.m_as("THz", "sp", N=1.33),
        lambda: green.is_compatible_with("THz", "sp", N=1.33),
        lambda: context("sp", N=1.33).__enter__(),
    ):
        with pytest.raises(TypeError, match="N: not a parameter of context 'spectroscopy', which"):
            way()
    assert float(green.m_as("THz", "sp", "boltzmann", n=1.33)) == pytest.approx(423.7, rel=1e-4)


def test_the_registry_is_a_part_of_every_key():
    old, new = get_registry(), pint.UnitRegistry()
    old.define("pace_of_test = 2 m")
    new.define("pace_of_test = 3 m")
    x, named = Quantity(1.0, "m"), NamedArray(jnp.ones(2), ("x",))

    def add(x):
        return x + Quantity(1.0, "km")

    def paces(a):
        return (a * Quantity(1.0, "pace_of_test")).to("m")

    added, paced = jax.jit(quaxify(add)), jax.jit(paces)
    for _ in range(3):
        for way in (quaxify(add), added, lambda x: sqnp.add(x, Quantity(1.0, "km"))):
            assert float(way(x).m_as("m")) == 1001
    assert np.array_equal(paced(named).array.m, [2.0, 2.0])
    set_registry(new)
    try:
        for way in (quaxify(add), added, lambda x: sqnp.add(x, Quantity(1.0, "km"))):
            with pytest.raises(MixedRegistriesError):
                way(x)
        assert np.array_equal(paced(named).array.m, [3.0, 3.0])
    finally:
        set_registry(old)
    assert np.array_equal(paced(named).array.m, [2.0, 2.0])
