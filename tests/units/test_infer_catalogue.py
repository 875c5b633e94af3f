"""`infer` on every row of the catalogue: it finds what is known there."""

from fractions import Fraction
from typing import Any

import jax
import jax.tree_util as jtu
import pytest

from sciquax.units import Inferred, Quantity, Unknown, infer

from .catalogue import CASES
from .test_catalogue import in_base, run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lenient")]


def dimension(x: Any) -> dict[str, Fraction]:
    dimensionality = x.dimensionality if isinstance(x, Quantity) else {}
    return {k: Fraction(v).limit_denominator(1000) for k, v in dict(dimensionality).items()}


def evaluated(found: Inferred, inputs: dict[str, dict[str, Fraction]]) -> dict[str, Fraction]:
    """The dimension of what was found, once the unknowns have the units that they have."""
    total = {k: Fraction(v).limit_denominator(1000) for k, v in found.known.items()}
    for name, power in found.exponents.items():
        for k, v in inputs[name].items():
            total[k] = total.get(k, Fraction(0)) + power * v
    return {k: v for k, v in total.items() if v}


@pytest.mark.parametrize("case", [c for c in CASES if c.jit], ids=str)
def test_catalogue(case: Any) -> None:
    program, args = run(case.f, jax, in_base(case.operands))
    unknown = [
        Unknown(x.magnitude, name=f"x{i}") if isinstance(x, Quantity) else x
        for i, x in enumerate(args)
    ]
    inputs = {f"x{i}": dimension(x) for i, x in enumerate(args) if isinstance(x, Quantity)}
    found = infer(program)(*unknown)
    for name, unit in found.inputs.items():
        assert evaluated(unit, inputs) == inputs[name], f"{name}: {unit}"
    outs = jtu.tree_leaves(found.outputs, is_leaf=lambda x: isinstance(x, Inferred))
    units = case.out if isinstance(case.out, tuple) else (case.out,) * len(outs)
    for out, unit in zip(outs, units, strict=True):
        expected = {} if unit is None else dimension(Quantity(1.0, unit))
        assert evaluated(out, inputs) == expected, f"{out} is not {unit}"
