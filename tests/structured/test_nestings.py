"""No cell of the table of types and families is wrong, and the page shows the table."""

import pytest

from .nesting_table import NESTED, PAGE, PAIRS, SPECIMENS, binary_row, unary_row


def documented(prefix):
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| {prefix} |")]
    assert len(rows) == 1, f"`docs/nestings.md` has {len(rows)} rows for {prefix}"
    return [c.strip() for c in rows[0].removeprefix(f"| {prefix} |").strip("| ").split("|")]


@pytest.mark.parametrize(("lhs", "rhs"), PAIRS)
def test_two_operands(lhs, rhs):
    assert list(binary_row(lhs, rhs).values()) == documented(f"{lhs} | {rhs}")


@pytest.mark.parametrize("name", [n for n in (*SPECIMENS, *NESTED) if n != "array"])
def test_one_operand(name):
    row = list(unary_row(name).values())
    assert row in [
        [c.strip() for c in line.removeprefix(f"| {name} |").strip("| ").split("|")]
        for line in PAGE.read_text().splitlines()
        if line.startswith(f"| {name} |")
    ]
