"""Every row of the catalogue: value and unit against plain JAX, in any units, eager and compiled.

The oracle computes with plain JAX on the magnitudes in base units. Changing the units of the
operands must not change the physical result.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

import sciquax
from sciquax import quaxify
from sciquax.core import is_value
from sciquax.units import DimensionalityError, Quantity

from .catalogue import CASES, REFUSALS, UNCLAIMED, Q
from .catalogue._public import public_functions
from .coverage_table import PAGE, page

# Other units of each base unit, and how many of them it has: each operand gets the next.
OTHER = {
    "m": [("km", 1e-3), ("cm", 1e2)],
    "s": [("ms", 1e3), ("min", 1 / 60)],
    "kg": [("g", 1e3)],
    "K": [("mK", 1e3)],
    "rad": [("deg", 180 / np.pi)],
    "deg": [("rad", np.pi / 180)],
    "1": [("percent", 100.0), ("m/km", 1e3)],
    "m**2": [("km**2", 1e-6)],
    "m**3": [("cm**3", 1e6)],
    "1/s": [("kHz", 1e-3)],
}

pytestmark = pytest.mark.usefixtures("lenient")


def in_base(operands: tuple) -> list[Any]:
    return [
        Quantity(x.magnitude, "" if x.unit == "1" else x.unit) if isinstance(x, Q) else x
        for x in operands
    ]


def in_others(operands: tuple) -> list[Any]:
    out, used = [], 0
    for x in operands:
        if isinstance(x, Q):
            choices = OTHER[x.unit]
            unit, factor = choices[used % len(choices)]
            used += 1
            x = Quantity(np.asarray(x.magnitude * factor, np.asarray(x.magnitude).dtype), unit)
        out.append(x)
    return out


def plain(operands: tuple) -> list[Any]:
    return [jnp.asarray(x.magnitude) if isinstance(x, Q) else x for x in operands]


def run(f: Any, root: Any, operands: list[Any]) -> tuple[Callable, list[Any]]:
    """Quantities are arguments; what else an operand is, the program states."""
    arrays = [i for i, x in enumerate(operands) if isinstance(x, (jax.Array, Quantity))]

    def program(*given: Any) -> Any:
        args = list(operands)
        for i, x in zip(arrays, given, strict=True):
            args[i] = x
        return f(root, *args)

    return program, [operands[i] for i in arrays]


def check(case: Any, actual: Any, expected: Any, exact_unit: bool) -> None:
    expected = jtu.tree_leaves(expected)
    leaves = jtu.tree_leaves(actual, is_leaf=is_value)
    units = case.out if isinstance(case.out, tuple) else (case.out,) * len(leaves)
    assert len(leaves) == len(expected) == len(units), (leaves, expected)
    for x, e, unit in zip(leaves, expected, units, strict=True):
        if unit is None and not exact_unit and is_value(x):
            x = x.m_as("")  # a number: km/cm, percent
        if unit is None:
            assert not is_value(x), f"{x!r} is not plain"
        else:
            assert isinstance(x, Quantity), f"{x!r} is plain"
            if exact_unit:
                assert x.units == Quantity(1.0, unit).units, f"{x.units} is not {unit}"
            x = x.m_as(unit)
        assert np.shape(x) == np.shape(e)
        if exact_unit:
            assert jnp.result_type(x) == jnp.result_type(e)
        scale = np.max(np.abs(np.nan_to_num(np.asarray(e, complex))), initial=0.0)
        np.testing.assert_allclose(
            np.asarray(x), np.asarray(e), rtol=case.rtol, atol=case.atol * (1 + scale)
        )


def check_unit(case: Any, out: Any) -> None:
    leaves = jtu.tree_leaves(out, is_leaf=is_value)
    units = case.out if isinstance(case.out, tuple) else (case.out,) * len(leaves)
    assert len(leaves) == len(units), leaves
    for x, unit in zip(leaves, units, strict=True):
        if unit is None:
            assert not is_value(x), f"{x!r} is not plain"
        else:
            assert isinstance(x, Quantity), f"{x!r} is plain"
            assert x.units == Quantity(1.0, unit).units, f"{x.units} is not {unit}"


@pytest.mark.parametrize("case", [c for c in CASES if c.jit], ids=str)
def test_units(case: Any) -> None:
    """Traced, not compiled: the units of the results."""
    program, args = run(case.f, jax, in_base(case.operands))
    check_unit(case, jax.eval_shape(quaxify(program), *args))


# Compiling takes most of the time: a quarter is compiled at every run of the tests.
COMPILED = [
    pytest.param(case, marks=[pytest.mark.slow] if i % 4 else [], id=str(case))
    for i, case in enumerate(c for c in CASES if c.jit)
]


@pytest.mark.parametrize("case", COMPILED)
def test_compiled(case: Any) -> None:
    """In base units and in others, under jit: one program, compiled once with its oracle."""
    oracle, plain_args = run(case.f, jax, plain(case.operands))
    program, args = run(case.f, jax, in_base(case.operands))
    _, other_args = run(case.f, jax, in_others(case.operands) if case.rescale else [])

    def everything(plain_args: Any, args: Any, other_args: Any) -> Any:
        others = quaxify(program)(*other_args) if case.rescale else None
        return oracle(*plain_args), quaxify(program)(*args), others

    expected, actual, others = jax.jit(everything)(plain_args, args, other_args)
    check(case, actual, expected, True)
    if case.rescale:
        check(case, others, expected, False)


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in CASES if c.jit and c.eager], ids=str)
def test_eager(case: Any) -> None:
    """Functions of `sciquax`'s namespaces, called on quantities."""
    expected = case.f(jax, *plain(case.operands))
    check(case, case.f(sciquax, *in_base(case.operands)), expected, True)


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in CASES if c.jit], ids=str)
def test_quaxified(case: Any) -> None:
    """Operation by operation."""
    program, args = run(case.f, jax, in_base(case.operands))
    check(case, quaxify(program)(*args), case.f(jax, *plain(case.operands)), True)


@pytest.mark.parametrize("case", [c for c in CASES if not c.jit], ids=str)
def test_concrete(case: Any) -> None:
    """What depends on the data's values, in base units and in others."""
    expected = case.f(jax, *plain(case.operands))
    check(case, case.f(sciquax, *in_base(case.operands)), expected, True)
    if case.rescale:
        check(case, case.f(sciquax, *in_others(case.operands)), expected, False)


@pytest.mark.parametrize("case", [c for c in CASES if c.refuses], ids=str)
def test_numbers_only(case: Any) -> None:
    """A length where a number is due is refused."""
    for i in case.refuses:
        operands = list(in_base(case.operands))
        operands[i] = Quantity(case.operands[i].magnitude, "m")
        program, args = run(case.f, jax, operands)
        with pytest.raises(DimensionalityError):
            jax.eval_shape(quaxify(program), *args)
        if case.eager:
            with pytest.raises(DimensionalityError):
                case.f(sciquax, *operands)


@pytest.mark.parametrize("case", REFUSALS, ids=str)
def test_refused(case: Any) -> None:
    with pytest.raises(DimensionalityError):
        case.f(sciquax, *in_base(case.operands))
    program, args = run(case.f, jax, in_base(case.operands))
    with pytest.raises((DimensionalityError, jax.errors.ConcretizationTypeError)):
        jax.eval_shape(quaxify(program), *args)


def test_every_public_function_is_accounted_for() -> None:
    """Claimed by a row, refused by one, or listed with the reason why neither."""
    known = {*(c.name for c in CASES), *(r.name for r in REFUSALS), *UNCLAIMED}
    missing = [name for name in public_functions() if name not in known]
    assert not missing, f"not in the catalogue: {missing}"
    claimed = {*(c.name for c in CASES), *(r.name for r in REFUSALS)}
    assert not claimed & UNCLAIMED.keys()


def test_coverage_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.units.coverage_table`"
