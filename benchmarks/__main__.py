"""All measurements: `python -m benchmarks [--output FOLDER]`.

Prints the tables as Markdown; with `--output`, also writes them to FOLDER/benchmarks.txt, and
draws them beside it. `--tables benchmarks/README.md --output FOLDER` measures nothing and draws the
tables of that file.
"""

import argparse
import platform
import time
from pathlib import Path

import jax

from . import (
    _plots,
    arrays,
    dispatch,
    eager,
    importing,
    labels,
    memory,
    named,
    peers,
    real,
    structured,
    structures,
    tracing,
)
from ._timing import HEADER

TITLES = (
    "Against plain JAX",
    "Structured matrices",
    "Other libraries of units",
    "Against xarray",
    "Other people's functions",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, help="a folder for the tables and the plots")
    parser.add_argument("--tables", type=Path, help="draw the tables in this file")
    output, tables = (options := parser.parse_args()).output, options.tables
    if tables is not None:
        return _plots.ratios(tables.read_text(encoding="utf-8"), TITLES, output)
    start = time.perf_counter()
    lines: list[str] = []

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    say(
        f"Python {platform.python_version()}, JAX {jax.__version__}, "
        f"{jax.devices()[0].platform}, {platform.machine()}\n"
    )
    say(f"`import sciquax` after `import jax, equinox`: {importing.run() * 1e3:.0f} ms\n")
    groups = (
        (eager, dispatch, tracing, named, arrays),
        (structured, structures),
        (peers,),
        (labels,),
        (real,),
    )
    for title, modules in zip(TITLES, groups, strict=True):
        say(f"\n{title}\n\n{HEADER}")
        for module in modules:
            for ratio in module.run():
                say(ratio.row())
    say("\n| optimised program | instructions | ours | flops | ours | |\n|---|---|---|---|---|---|")
    for row in (*tracing.identity(), *named.identity()):
        say(row)
    say(f"\n{memory.HEADER}")
    for row in memory.rows():
        say(memory.row(*row))
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        (output / "benchmarks.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        _plots.ratios("\n".join(lines), TITLES, output)
        _plots.scaling(output / "benchmarks-scaling.png")
    say(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
