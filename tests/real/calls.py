"""Calls of other people's packages: what is called, on what, and the unit of what comes out.

A `Call` is a function of arrays that calls a package as its authors meant it for plain numbers. The
units of its arguments are such that the numbers are right as they stand: the oracle is the same
call on the numbers. Packages are imported when they are first used.
"""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Package:
    """A package or module, imported at its first use."""

    def __init__(self, name: str, distribution: str = "", field: str = ""):
        self.name, self.field = name, field
        self.distribution = distribution or name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self.name), attribute)

    def installed(self) -> bool:
        return importlib.util.find_spec(self.name.partition(".")[0]) is not None


class Given(NamedTuple):
    """An argument: a number or an array, and its unit; None for what has none."""

    value: Any
    unit: str | None


class Call(NamedTuple):
    """`unit` is the result's, or each result's; `trust`, whether it takes `trust_literals`.

    `forward` says that plain JAX cannot differentiate it in reverse either.
    """

    package: Package
    name: str
    function: Callable[..., Any]
    arguments: tuple[Given, ...]
    unit: str | tuple[str, ...]
    trust: bool = False
    forward: bool = False

    @property
    def id(self) -> str:
        return f"{self.package.distribution}-{self.name}"


class Refusal(NamedTuple):
    """A call that is refused, within `trust_literals` too: what it says, and why it is right."""

    package: Package
    name: str
    function: Callable[..., Any]
    arguments: tuple[Given, ...]
    message: str
    reason: str

    @property
    def id(self) -> str:
        return f"{self.package.distribution}-{self.name}"


CALLS: list[Call] = []
REFUSALS: list[Refusal] = []


class Table:
    """Adds the calls of one package."""

    def __init__(self, name: str, distribution: str, field: str):
        self.package = Package(name, distribution, field)

    def __call__(
        self, name: str, function: Callable[..., Any], *arguments: tuple, unit: Any, **how: bool
    ) -> None:
        given = tuple(Given(np.asarray(a[0]), *a[1:] or (None,)) for a in arguments)
        CALLS.append(Call(self.package, name, function, given, unit, **how))

    def refuses(
        self,
        name: str,
        function: Callable[..., Any],
        *arguments: tuple,
        message: str,
        reason: str,
    ) -> None:
        given = tuple(Given(np.asarray(a[0]), *a[1:] or (None,)) for a in arguments)
        REFUSALS.append(Refusal(self.package, name, function, given, message, reason))


LOGARITHM = "the logarithm of something with a unit has none; its differences would"
DIMENSIONS = "one array cannot hold things of several dimensions"
ROLES = (
    "a literal serves as a threshold and as a factor: give it a unit, `delta=Quantity(1.0, 'm')`"
)
