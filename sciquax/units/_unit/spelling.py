"""Spellings of units: what is no unit at all, and those of files that pint does not know.

Texts come from files too, so that they are looked at before pint computes what they say: `9**9**9`
would take it for ever. pint's own grammar comes first; what it does not know is read once more as
CF conventions (`kg m-2 s-1`, `degrees_north`), FITS and astronomers spell it (`erg / s / cm2`,
`M_sun`).
"""

import contextlib
import re
from typing import Any

LONGEST = 300  # characters of a unit or a quantity
LARGEST = 100  # exponent
_SHOWN = 80  # characters of an input that a message quotes

_ALLOWED = re.compile(r"[\w\s.+\-*/^()%°µμΩÅΔ'\"‰²³¹⁰⁴⁵⁶⁷⁸⁹⁻·⋅×$€′″∞∆ℓ\[\]]*")  # noqa: RUF001
_NUMBER = re.compile(r"(?<![\w.])(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?")
_POWER = re.compile(r"(?:\*\*|\^)\s*")
_EXPONENT = re.compile(
    r"[+-]?\s*(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
    r"|\(\s*[+-]?\s*(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*(?:/\s*(?:\d+\.?\d*|\.\d+)\s*)?\)"
)
_FORBIDDEN = (
    (re.compile(r"\bsince\b"), "it says what dates are counted from"),
    (
        re.compile(r"(?<!\bper)(?<=[\w.)%°²³])\s+(?!1\s*/)\.?\d"),
        "it has a number after a number or a unit, with nothing between",
    ),
    (re.compile(r"//"), "it has `//`"),
    (re.compile(r"%\s*[\w(]"), "it has `%` between two parts"),
)


def quoted(text: str) -> str:
    """A text for a message: not all of it where it is long."""
    return f"'{text}'" if len(text) <= _SHOWN else f"'{text[: _SHOWN - 3]}...'"


def no_unit(text: str, why: Any) -> ValueError:
    """The error for what is not a unit."""
    why = str(why) or "it cannot be read."
    return ValueError(f"{quoted(text)} is not a unit: {why[:_SHOWN]}")


def check_spelling(text: str, brackets: bool = False) -> None:
    """**Raises** ValueError for a text that is no unit or quantity, or would take too long."""
    if len(text) > LONGEST:
        raise no_unit(text, f"it has {len(text)} characters, and at most {LONGEST} are read.")
    if (found := _ALLOWED.match(text)) is not None and found.end() < len(text):
        raise no_unit(text, f"it has a {text[found.end()]!r}.")
    if not brackets and "[" in text:
        raise no_unit(text, "it has a '['.")
    for pattern, why in _FORBIDDEN:
        if pattern.search(text):
            raise no_unit(text, f"{why}.")
    depth = 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if depth < 0 or depth > 10:
            break
    if depth:
        raise no_unit(text, "its parentheses do not match.")
    for number in _NUMBER.finditer(text):
        if len(number[1]) > 40 or float(number[0].replace("_", "")) == float("inf"):
            raise no_unit(text, "it has a number that is too large.")
    for power in _POWER.finditer(text):
        exponent = _EXPONENT.match(text, power.end())
        if exponent is None:
            raise no_unit(text, "it has an exponent that is no number.")
        if _POWER.match(text[exponent.end() :].lstrip()):
            raise no_unit(text, "it has a power of a power.")
        if abs(_value(exponent[0])) > LARGEST:
            raise no_unit(text, f"it has an exponent beyond {LARGEST}.")


def _value(exponent: str) -> float:
    above, _, below = re.sub(r"[()\s]", "", exponent).partition("/")
    if below and not float(below):
        return float("inf")
    return float(above) / float(below or 1)


# -- the spellings of files -----------------------------------------------------------------------

_TEMPERATURE = re.compile(r"\b[dD]eg(?:ree)?s?[ _]?(C|F|K|[Cc]elsius|[Ff]ahrenheit|[Kk]elvin)\b")
_SCALES = {"c": "degC", "f": "degF", "k": "kelvin"}
_OTHERWISE = {"pct": "percent", "cts": "count", "ph": "photon"}
_BARE_POINT = re.compile(r"(?<![\w.])(\d+)\.(?=[eE][+-]?\d)")
"""As in `1.e-8`: pint, and the dots of files, would take an elementary charge out of it."""
_LEVEL = re.compile(r"(?<![\w.])(mag|dex|dB|bel|neper|decibel)\s*\(\s*([^()]*?)\s*\)")
LEVELS = {"mag(AB)": "ABmag", "mag(ST)": "STmag", "dB(mW)": "dBm", "dB(W)": "dBW"}
LEVELS |= {f"{name}(1)": name for name in ("mag", "dex", "dB")}
"""Pint's levels and gains by Astropy's spelling, which pint would read as a product."""
_IN_PARENTHESES = re.compile(r"(?<![\w.])([A-Za-zµμÅ°_]+)\(\s*([+-]?[\d.]+)\s*(/\s*\d+\s*)?\)")


def not_as_pint(text: str, registry: Any) -> str:
    """A text that pint would take for something else (degree * coulomb, carats), as it is meant.

    `m(1/2)` is a power, as FITS has it. **Raises** ValueError for `ppt` and `m(2)`, of two
    meanings, and for logarithms that are no unit. The user's own units of these names stay.
    """

    def meant(word: str) -> str:
        if word in registry._units:
            return word
        if word == "ppt":
            why = "it has 'ppt', parts per thousand or per trillion: write 'permille' or 'pptv'."
            raise no_unit(text, why)
        return _OTHERWISE.get(word, word)

    def power(found: re.Match[str]) -> str:
        name, above, below = found.groups("")
        if not below:
            why = f"it has '{found[0]}': write '{name}**{above}' or '{above}*{name}'."
            raise no_unit(text, why)
        return f"{name}**({above}{below})"

    def level(found: re.Match[str]) -> str:
        spelled = f"{found[1]}({found[2]})"
        if spelled not in LEVELS:
            known = ", ".join(LEVELS)
            raise no_unit(text, f"'{spelled}' is none of {known}.")
        return LEVELS[spelled]

    text = _LEVEL.sub(level, text)
    text = _IN_PARENTHESES.sub(power, _BARE_POINT.sub(r"\1", text))
    text = _TEMPERATURE.sub(lambda m: _SCALES[m[1][0].lower()], text)
    return _WORD.sub(lambda m: meant(m[0]), text)


_WAYS = [*(f"_{w}" for w in ("north", "south", "east", "west", "true", *"NSEWT")), *"NSEWT"]
_DEGREES = [degree + way for degree in ("degree", "degrees") for way in _WAYS]
_NAMES = {
    **dict.fromkeys(_DEGREES, "degree"),
    "Celsius": "degC",
    **dict.fromkeys(("Angstrom", "angstroms", "Angstroms", "AA"), "angstrom"),
    **dict.fromkeys(("psu", "PSU", "practical_salinity_unit"), "practical_salinity_unit"),
    **dict.fromkeys(("gpm", "geopotential_meter"), "geopotential_meter"),
    **dict.fromkeys(("DU", "dobson"), "dobson_unit"),
    **dict.fromkeys(("R_sun", "Rsun", "solRad", "R_sol"), "solar_radius"),
    **dict.fromkeys(("M_sun", "Msun", "solMass", "M_sol"), "solar_mass"),
    **dict.fromkeys(("L_sun", "Lsun", "solLum", "L_sol"), "solar_luminosity"),
    **dict.fromkeys(("R_earth", "Rearth", "earthRad"), "earth_radius"),
    **dict.fromkeys(("M_earth", "Mearth", "earthMass"), "earth_mass"),
    **dict.fromkeys(("R_jup", "Rjup", "R_jupiter", "jupiterRad"), "jupiter_radius"),
    **dict.fromkeys(("M_jup", "Mjup", "M_jupiter", "jupiterMass"), "jupiter_mass"),
    **{f"{p}Jy": f"{q}jansky" for p, q in (("", ""), ("m", "milli"), ("u", "micro"), ("n", "nano"),
                                           ("k", "kilo"), ("M", "mega"), ("µ", "micro"))},
    **dict.fromkeys(("ADU", "analog_to_digital_unit"), "adu"),
    **dict.fromkeys(("DN", "dn"), "data_number"),
    **{f"{prefix}as": f"{name}arcsecond" for prefix, name in (("m", "milli"), ("u", "micro"),
                                                              ("µ", "micro"))},
    **dict.fromkeys(("lyr", "lightyear"), "light_year"),
    "Fahrenheit": "degF",
    **dict.fromkeys(("AB_mag", "mag_AB"), "ABmag"),
    **dict.fromkeys(("ST_mag", "mag_ST"), "STmag"),
    "pix": "pixel",
    **dict.fromkeys(("ppmv", "ppmV"), "ppm"),
    **dict.fromkeys(("ppbv", "ppbV"), "ppb"),
    "pptv": "pptv",
    "percentage": "percent",
    **dict.fromkeys(("Ohm", "Ohms"), "ohm"),
    **dict.fromkeys(("rev", "revs"), "turn"),
    **dict.fromkeys(("Sverdrup", "sverdrup"), "sverdrup"),
    "Torr": "torr",
    "Debye": "debye",
    "Ang": "angstrom",
    "Kelvin": "kelvin",
    "Pascal": "pascal",
}  # fmt: skip

# IAU 2015 Resolution B3, nominal values; masses are the nominal GM over CODATA 2018's G.
_DEFINITIONS = {
    "practical_salinity_unit": "[] = psu",
    "geopotential_meter": "meter",
    "ppb": "1e-9",
    "pptv": "1e-12",
    "sverdrup": "1e6 * meter ** 3 / second",
    "dobson_unit": "4.4615e-4 * mole / meter ** 2",
    "solar_radius": "6.957e8 * meter = R_sun",
    "solar_mass": "1.988409870698051e30 * kilogram = M_sun",
    "solar_luminosity": "3.828e26 * watt = L_sun",
    "earth_radius": "6.3781e6 * meter = R_earth",
    "earth_mass": "5.972167867791379e24 * kilogram = M_earth",
    "jupiter_radius": "7.1492e7 * meter = R_jup",
    "jupiter_mass": "1.8981245973360505e27 * kilogram = M_jup",
    "mag": "1 ; logbase: 10; logfactor: -2.5",
    "mmag": "1 ; logbase: 10; logfactor: -2500",
    "ABmag": "3.6307805477010e-20 * erg / second / centimeter ** 2 / hertz "
    "; logbase: 10; logfactor: -2.5",
    "STmag": "3.6307805477010e-9 * erg / second / centimeter ** 2 / angstrom "
    "; logbase: 10; logfactor: -2.5",
    "dex": "1 ; logbase: 10; logfactor: 1",
    "adu": "[analog_to_digital_unit]",
    "data_number": "[data_number]",
    "electron": "[electron]",
    "photon": "[photon]",
    "beam": "[beam]",
    "hourangle": "15 * degree",
    "jansky": "1e-26 * watt / meter ** 2 / hertz = Jy",
}

_WHOLE = {
    **dict.fromkeys(
        (
            "(0 - 1)",
            "(0-1)",
            "0-1",
            "0 - 1",
            "fraction",
            "unitless",
            "-",
            "none",
            "None",
            "no units",
            "nondim",
        ),
        "",
    ),
    **dict.fromkeys(("1e-2", "1.e-2", "0.01"), "percent"),
    **dict.fromkeys(("1e-3", "1.e-3", "0.001"), "permille"),
    **dict.fromkeys(("1e-6", "1.e-6"), "ppm"),
}
"""Units that are a number."""

_POWERED = re.compile(r"(?<![\w.])([A-Za-zµμÅ°_]+)([+-]?\d+)(?![\w.])")
_WORD = re.compile(r"[A-Za-zµμÅ°_][\w°]*")  # noqa: RUF001
_TENS = re.compile(r"^\s*10([+-]\d+)[\s*.]*(?=[A-Za-zµμÅ°])")
"""FITS's power of ten before a unit, `10-17 erg`."""
_ZEROTH = re.compile(r"(?<!\w)[A-Za-zµμÅ°_]\w*\s*(?:\*\*|\^)\s*[+-]?0+(?:\.0*)?(?![\w.])")
"""A unit to the power 0, at which pint stumbles."""
_DOT = re.compile(r"(?<=[A-Za-z\d])\.(?=[A-Za-z])")


def as_in_files(text: str, registry: Any) -> str | None:
    """A unit as files spell it, in pint's grammar; None if nothing in it is known."""
    if (whole := _WHOLE.get(text.strip())) is not None:
        return whole
    known = len(registry._units)
    out = _ZEROTH.sub("1", _DOT.sub("*", _TENS.sub(r"1e\1 ", text)))
    out = _POWERED.sub(lambda m: m[0] if m[0] in registry._units else f"{m[1]}**({m[2]})", out)
    out = _WORD.sub(lambda m: _named(m[0], registry), out)
    return None if out == text and len(registry._units) == known else out


def _named(word: str, registry: Any) -> str:
    if word in registry._units or word not in _NAMES and word not in _DEFINITIONS:
        return word
    name = _NAMES.get(word, word)
    for base in (name, name.removeprefix("milli"), name[len(name) - 6 :]):
        if base in _DEFINITIONS and base not in registry._units:
            with contextlib.suppress(Exception):  # the user's own of that symbol stays
                registry.define(f"{base} = {_DEFINITIONS[base]}")
    return name
