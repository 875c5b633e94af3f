"""Gives the reference the signatures of constructors that classes get from their fields."""

import importlib
import inspect
from typing import Any

import griffe  # pyright: ignore[reportMissingImports]

KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: griffe.ParameterKind.positional_only,
    inspect.Parameter.POSITIONAL_OR_KEYWORD: griffe.ParameterKind.positional_or_keyword,
    inspect.Parameter.VAR_POSITIONAL: griffe.ParameterKind.var_positional,
    inspect.Parameter.KEYWORD_ONLY: griffe.ParameterKind.keyword_only,
    inspect.Parameter.VAR_KEYWORD: griffe.ParameterKind.var_keyword,
}


class Constructors(griffe.Extension):
    """A class without an `__init__` of its own gets one, of its signature when it is imported."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Give all classes of a package theirs."""
        if pkg.name == "sciquax":
            self._give(pkg)

    def _give(self, holder: griffe.Module | griffe.Class) -> None:
        for member in holder.members.values():
            if member.is_alias or member.name in ("interop", "testing"):
                continue
            if isinstance(member, griffe.Module):
                self._give(member)
            elif isinstance(member, griffe.Class) and "__init__" not in member.members:
                give_one(member)


def give_one(described: griffe.Class) -> None:
    folder, _, name = described.canonical_path.rpartition(".")
    here = getattr(importlib.import_module(folder), name, None)
    if not isinstance(here, type) or here.__init__ is object.__init__:
        return
    try:
        found = inspect.signature(here).parameters.values()
    except (TypeError, ValueError):
        return
    parameters = [
        griffe.Parameter(
            p.name,
            kind=KINDS[p.kind],
            default=None if p.default is p.empty else repr(p.default),
        )
        for p in found
    ]
    made = griffe.Function("__init__", parameters=griffe.Parameters(*parameters))
    described.set_member("__init__", made)
