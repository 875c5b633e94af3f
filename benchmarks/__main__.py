"""All measurements: `python -m benchmarks [--output FOLDER]`.

Prints the tables as Markdown; with `--output`, also writes them to FOLDER/benchmarks.txt and two
plots beside it.
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, help="a folder for the tables and the plots")
    output = parser.parse_args().output
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
    found = []
    for title, modules in (
        ("Against plain JAX", (eager, dispatch, tracing, named, arrays)),
        ("Structured matrices", (structured, structures)),
        ("Other libraries of units", (peers,)),
        ("Labels, against xarray", (labels,)),
        ("Other people's functions", (real,)),
    ):
        say(f"\n{title}\n\n{HEADER}")
        for module in modules:
            for ratio in module.run():
                found.append(ratio)
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
        _plots.ratios(found, output / "benchmarks-ratios.png")
        _plots.scaling(output / "benchmarks-scaling.png")
    say(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
