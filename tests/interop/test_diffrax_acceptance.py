"""Every public part of Diffrax on quantities, against plain Diffrax, with 64-bit numbers."""

import diffrax
import jax
import jax.tree_util as jtu
import numpy as np
import pytest

from sciquax.interop import diffrax as dfx
from sciquax.units import DimensionalityError, Quantity, unit

from .diffrax_cases import CASES, FAMILIES, FAST, LONG, REFUSED, plain

pytestmark = [
    pytest.mark.usefixtures("x64"),
    pytest.mark.filterwarnings("ignore:.*is not marked as converging:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*Complex dtype:UserWarning"),
]


def is_quantity(x):
    return isinstance(x, Quantity)


ELSEWHERE = {*FAMILIES, *LONG} - {*FAST}  # whose compiled programs are those of plain Diffrax


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[] if n in FAST else pytest.mark.slow)
        for n in CASES
        if n not in ELSEWHERE
    ],
)
def test_agrees_with_plain_diffrax(name):
    expected, _ = CASES[name](diffrax, plain)
    got, units = CASES[name](dfx, Quantity)
    leaves, tree = jtu.tree_flatten(got, is_leaf=is_quantity)
    due = jtu.tree_leaves(units, is_leaf=lambda x: x is None)
    numbers = jtu.tree_leaves(expected)
    assert len(leaves) == len(due) == len(numbers), tree
    for x, text, y in zip(leaves, due, numbers, strict=True):
        assert is_quantity(x) == (text is not None)
        x = x if text is None else x.m_as(unit(text))
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)
    jax.effects_barrier()


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused(name):
    with pytest.raises(DimensionalityError):
        REFUSED[name]()


def test_size_of_the_table():
    assert len(CASES) >= 79
    assert len(REFUSED) >= 12
