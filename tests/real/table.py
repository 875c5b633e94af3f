"""`docs/real-programs.md`, made of the calls: `python -m tests.real.table`."""

import pathlib

from . import bodies as bodies, fields as fields  # which fill the table
from .calls import CALLS, REFUSALS, Call, Given, Refusal

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "real-programs.md"
_HEAD = """# Real programs

Functions of other people's packages, called through `quaxify` as they are. Made from the tables in
`tests/real`, each row of which is tested: with the units shown and with others of the same kind,
under `jit` and differentiated, against the package itself on plain numbers. Do not edit; write
`python -m tests.real.table`.

*trust* marks what needs `trust_literals` ([Other people's code](other-peoples-code.md)), since a
bare number in the package meets something with a unit. What is refused, and why, is at the end.
[Five of these packages](real-packages.md) are worked through.
"""


def page() -> str:
    """The page's text."""
    packages: dict[tuple[str, str], list[Call]] = {}
    for call in CALLS:
        packages.setdefault((call.package.distribution, call.package.field), []).append(call)
    count = len({name for name, _ in packages})
    lines = [_HEAD, f"{len(CALLS)} calls of {count} packages.", ""]
    for (name, field), calls in packages.items():
        lines += [
            f"## {name}: {field}",
            "",
            "| call | units | result | |",
            "| --- | --- | --- | --- |",
        ]
        for call in calls:
            trust = "trust" if call.trust else ""
            lines.append(
                f"| `{call.name}` | {_units(call.arguments)} | {_result(call)} | {trust} |"
            )
        lines.append("")
    lines += ["## Refused", "", "| call | units | why that is right |", "| --- | --- | --- |"]
    for row in REFUSALS:
        lines.append(f"| `{_called(row)}` | {_units(row.arguments)} | {row.reason} |")
    return "\n".join(lines) + "\n"


def _called(row: Refusal) -> str:
    return f"{row.package.name}: {row.name}"


def _units(arguments: tuple[Given, ...]) -> str:
    return ", ".join(f"`{x.unit}`" if x.unit else "1" for x in arguments)


def _result(call: Call) -> str:
    units = call.unit if isinstance(call.unit, tuple) else (call.unit,)
    return ", ".join(f"`{unit}`" if unit else "1" for unit in units)


if __name__ == "__main__":
    PAGE.write_text(page())
