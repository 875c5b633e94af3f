"""What Diffrax, Optimistix and Lineax have, held against what this version knows of them.

A new field of a class or a new argument of a function may hold a time, a state or a tolerance. See
what it measures, adapt `sciquax.interop` if it is any of these, then write `known_releases.txt`:
`python -m tests.interop.test_known_releases`.
"""

import dataclasses
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import diffrax
import lineax
import optimistix
import pytest

from sciquax.core import RuleError
from sciquax.interop import diffrax as dfx
from sciquax.units import Quantity as Q

KNOWN = Path(__file__).with_name("known_releases.txt")


def public(module: ModuleType) -> dict[str, list[str]]:
    """For each public class its fields, for each public function its arguments."""
    found = {}
    for name, thing in sorted(vars(module).items()):
        if name.startswith("_") or inspect.ismodule(thing) or not callable(thing):
            continue
        if dataclasses.is_dataclass(thing):
            found[name] = [field.name for field in dataclasses.fields(thing)]
        elif not isinstance(thing, type):
            found[name] = list(inspect.signature(thing).parameters)
    return {f"{module.__name__}.{name}": names for name, names in found.items()}


def text() -> str:
    found: dict[str, Any] = {}
    for module in diffrax, optimistix, lineax:
        found |= public(module)
    return "".join(f"{name}: {' '.join(names)}".rstrip() + "\n" for name, names in found.items())


def test_nothing_is_new():
    known = set(KNOWN.read_text(encoding="utf-8").splitlines())
    now = set(text().splitlines())
    assert not now - known, "new or changed, see this file's docstring:\n" + "\n".join(now - known)
    assert not known - now, "no longer there:\n" + "\n".join(known - now)


def test_arguments_that_are_not_known():
    def solve(**given):
        return dfx.diffeqsolve(
            dfx.ODETerm(lambda t, y, args: -y / Q(1.0, "s")), dfx.Euler(), Q(0.0, "s"),
            Q(1.0, "s"), Q(0.5, "s"), Q(1.0, "m"), **given,
        )  # fmt: skip

    with pytest.raises(RuleError) as caught:
        solve(warp=Q(1.0, "s"))
    assert str(caught.value).splitlines()[::2] == [
        "`diffeqsolve` got `warp` with quantities, and does not know what they measure.",
        "Give it plain numbers, in the units of `t0` and `y0`.",
    ]
    with pytest.raises(TypeError, match="unexpected keyword argument 'warp'"):
        solve(warp=1.0)  # as Diffrax says


if __name__ == "__main__":
    KNOWN.write_text(text(), encoding="utf-8")
