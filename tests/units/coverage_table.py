"""`docs/units-coverage.md`, made of the catalogue: `python -m tests.units.coverage_table`."""

import pathlib

from .catalogue import ROWS, UNCLAIMED, Case, Q

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "units-coverage.md"
_HEAD = """# Units: functions and what they do

Made from the rows of `tests/units/catalogue`, each of which is tested: value and unit against plain
JAX, in base units and in others, under `jit` and operation by operation. Do not edit; write
`python -m tests.units.coverage_table`.

`m`, `s`, `kg` stand for any units (those of one letter agree up to a factor), `1` for a number or
anything that reduces to one (`percent`, `m/km`), `rad` for an angle; `-` is a plain array. Where a
number is required, a quantity with a dimension is refused with `DimensionalityError`.
"""


def page() -> str:
    """The page's text."""
    signatures: dict[str, dict[str, None]] = {}
    refused: dict[str, dict[str, None]] = {}
    for row in ROWS:
        operands = ", ".join(x.unit for x in row.operands if isinstance(x, Q))
        if isinstance(row, Case):
            signatures.setdefault(row.name, {})[f"{operands} → {_results(row.out)}"] = None
        else:
            shown = [x.unit if isinstance(x, Q) else "-" for x in row.operands if _is_data(x)]
            refused.setdefault(row.name, {})[", ".join(shown)] = None
    modules: dict[str, list[str]] = {}
    for name in sorted({*signatures, *refused}):
        modules.setdefault(name.rpartition(".")[0], []).append(name)
    count = len({*signatures, *refused})
    lines = [
        _HEAD,
        f"{count} functions; {len(UNCLAIMED)} more take no quantities, see the end.",
        "",
    ]
    for module, names in modules.items():
        lines += [f"## jax.{module}", "", "| function | units | refused |", "| --- | --- | --- |"]
        for name in names:
            does = "; ".join(f"`{x}`" for x in signatures.get(name, ()))
            not_ = "; ".join(f"`{x}`" for x in refused.get(name, ()))
            lines.append(f"| {name.rpartition('.')[2]} | {does} | {not_} |")
        lines.append("")
    lines += ["## Not claimed", ""]
    reasons: dict[str, list[str]] = {}
    for name, reason in UNCLAIMED.items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in sorted(reasons.items()):
        lines += [f"- {reason}: {', '.join(f'`{n}`' for n in sorted(names))}"]
    return "\n".join(lines) + "\n"


def _results(out: object) -> str:
    each = out if isinstance(out, tuple) else (out,)
    return ", ".join("-" if unit is None else str(unit) for unit in each)


def _is_data(x: object) -> bool:
    return isinstance(x, Q) or hasattr(x, "dtype") or isinstance(x, float)


if __name__ == "__main__":
    PAGE.write_text(page())
