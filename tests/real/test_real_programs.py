"""Public packages, unmodified, on quantities: the oracle is the package on plain numbers."""

import contextlib
import tomllib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciquax
from sciquax import quaxify
from sciquax.units import DimensionalityError, Quantity, trust_literals

from .calls import CALLS, REFUSALS, Call, Given
from .table import PAGE, page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # the packages' own
    pytest.mark.usefixtures("x64", "standard_promotion"),
]

# What each unit is converted to, so that arguments of one kind come in several units.
OTHERS = {
    "m": "km", "km": "m", "nm": "angstrom", "s": "minute", "day": "hour", "kg": "g", "K": "mK",
    "kJ": "J", "J": "mJ", "N": "kN", "m/s": "km/hour", "km/s": "m/s", "m**2": "cm**2", "W": "mW",
    "1/m": "1/km", "1/nm": "1/angstrom", "km**3/s**2": "m**3/s**2", "m**2/s": "cm**2/s",
    "radian": "degree",
}  # fmt: skip


@pytest.fixture
def standard_promotion():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def quantities(arguments: tuple[Given, ...], mixed: bool) -> list:
    """The arguments with their units; mixed, every other one of a unit in another of its kind."""
    made, seen = [], {}
    for value, unit in arguments:
        if unit is None:
            made.append(jnp.asarray(value))
            continue
        q = Quantity(jnp.asarray(value, float), unit)
        seen[unit] = seen.get(unit, -1) + 1
        first_too = unit not in ("m", "km", "nm", "day", "s")
        if mixed and unit in OTHERS and (first_too or seen[unit] % 2):
            q = q.to(OTHERS[unit])
        made.append(q)
    return made


def assert_agrees(got, expected, unit) -> None:
    got = jax.tree.leaves(got, is_leaf=lambda x: isinstance(x, Quantity))
    expected = jax.tree.leaves(expected)
    units = unit if isinstance(unit, tuple) else (unit,) * len(expected)
    for x, y, u in zip(got, expected, units, strict=True):
        x = x.m_as(u) if isinstance(x, Quantity) else x
        assert isinstance(x, jax.Array)
        assert u == "" or not np.any(np.isfinite(y) & (y != 0)) or isinstance(got[0], Quantity)
        assert x.shape == y.shape and x.dtype == y.dtype
        scale = np.max(np.abs(y), initial=0.0)
        np.testing.assert_allclose(x, y, rtol=1e-7, atol=1e-9 * scale)


def total(x):
    return jnp.sum(jax.tree.leaves(x, is_leaf=lambda x: isinstance(x, Quantity))[0])


def needed(row) -> None:
    if not row.package.installed():
        pytest.skip(f"{row.package.distribution} is not installed: pip install 'sciquax[real]'")


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.id)
def test_call(call: Call):
    needed(call)
    numbers = [jnp.asarray(x, float) for x, _ in call.arguments]
    expected = call.function(*numbers)
    given, mixed = quantities(call.arguments, False), quantities(call.arguments, True)
    if call.trust:
        mixed = given  # the numbers in the package count in these units
        with pytest.raises(DimensionalityError):
            quaxify(call.function)(*given)
    with trust_literals() if call.trust else contextlib.nullcontext():
        assert_agrees(quaxify(call.function)(*given), expected, call.unit)
        assert_agrees(jax.jit(quaxify(call.function))(*mixed), expected, call.unit)
        if call.forward:
            return
        slope = sciquax.grad(lambda *a: total(call.function(*a)))(*mixed)
    plain = jax.grad(lambda *a: total(call.function(*a)))(*numbers)
    unit = Quantity(1.0, call.unit if isinstance(call.unit, str) else call.unit[0])
    per = unit / Quantity(1.0, call.arguments[0].unit or "")
    assert_agrees(slope, plain, str(per.units) if isinstance(per, Quantity) else "")


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: row.id)
def test_refused(row):
    needed(row)
    numbers = [jnp.asarray(x, float) for x, _ in row.arguments]
    row.function(*numbers)
    given = quantities(row.arguments, False)
    with pytest.raises(DimensionalityError):
        quaxify(row.function)(*given)
    with trust_literals(), pytest.raises((DimensionalityError, TypeError), match=row.message):
        quaxify(row.function)(*given)


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == page(), "run `python -m tests.real.table`"


def test_enough_of_them():
    assert len(CALLS) >= 60 and len({call.package.distribution for call in CALLS}) >= 12
    assert len({call.id for call in CALLS}) == len(CALLS)


def test_the_extra_names_them():
    project = tomllib.loads((PAGE.parents[1] / "pyproject.toml").read_text())["project"]
    names = {line.split(">")[0] for line in project["optional-dependencies"]["real"]}
    assert {call.package.distribution for call in CALLS} - {"optax"} == names
