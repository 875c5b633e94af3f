"""The tables as pictures: every ratio with its quartiles, and how structure scales."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sciquax import quaxify
from sciquax.structured import TridiagonalMatrix

from ._timing import compare

ROW = re.compile(r"^\| (.+?) \| [\d.]+ \w+ \| [\d.]+ \w+ \| ([\d.]+) \| ([\d.]+) to ([\d.]+) \|")
MOST = 13  # rows in a picture


def ratios(text: str, titles: Sequence[str], folder: Path) -> None:
    """A picture for at most thirteen rows of each table of ratios in a Markdown text.

    **Arguments**: `text`; `titles`, one for each table of ratios; the folder of
    `benchmarks-ratios-1.png` and its like.
    """
    tables: list[list[Any]] = []
    inside = False
    for line in text.splitlines():
        if found := ROW.match(line):
            tables += [] if inside else [[]]
            tables[-1].append((found[1], *map(float, found.groups()[1:])))
        inside = line.startswith("|") and bool(found or inside)
    for old in folder.glob("benchmarks-ratios*.png"):
        old.unlink()
    number = 0
    for title, table in zip(titles, tables, strict=False):
        pieces = -(-len(table) // MOST)
        cuts = [len(table) * k // pieces for k in range(pieces + 1)]
        for k in range(pieces):
            number += 1
            part = f" ({k + 1} of {pieces})" if pieces > 1 else ""
            rows = table[cuts[k] : cuts[k + 1]]
            _draw(rows, title + part, folder / f"benchmarks-ratios-{number}.png")


def _draw(rows: list[tuple[str, float, float, float]], title: str, path: Path) -> None:
    """A dot for each ratio on a logarithmic axis, a bar for its quartiles, its name above."""
    from matplotlib import pyplot as plt

    height = 0.36 * len(rows) + 1.4
    figure, axis = plt.subplots(figsize=(5.5, height), layout="constrained")
    for place, (name, ratio, low, high) in zip(range(len(rows))[::-1], rows, strict=True):
        colour = "tab:green" if ratio <= 1 else "tab:red"
        axis.plot([low, high], [place, place], color=colour, alpha=0.5, linewidth=2)
        axis.plot(ratio, place, "o", color=colour, markersize=5)
        axis.text(
            0.01,
            place + 0.28,
            name,
            transform=axis.get_yaxis_transform(),
            va="center",
            fontsize=8.5,
        )
    least, most = min(0.5, *(row[2] for row in rows)), max(2.0, *(row[3] for row in rows))
    axis.set(xscale="log", xlim=(least / 1.15, most * 1.15), ylim=(-0.5, len(rows)), title=title)
    ticks = {0.25: "1/4", 0.33: "1/3", 0.5: "1/2", 1: "1", 2: "2", 3: "3", 4: "4"}
    axis.set_xticks(list(ticks), list(ticks.values()))
    axis.set_xlim(least / 1.15, most * 1.15)
    axis.minorticks_off()
    axis.set_yticks([])
    axis.set_xlabel("time of sciquax / time of the other; bars are quartiles")
    axis.axvline(1, color="0.5", linewidth=0.8)
    axis.grid(axis="x", alpha=0.3)
    axis.plot([], [], "o", color="tab:green", label="sciquax is as fast or faster")
    axis.plot([], [], "o", color="tab:red", label="slower")
    figure.legend(loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def scaling(path: Path, sizes: Sequence[int] = (100, 300, 1000, 3000, 10_000, 100_000)) -> None:
    """A tridiagonal solve as n grows, and the same with the dense matrix as far as that goes."""
    from matplotlib import pyplot as plt

    solve = jax.jit(quaxify(jnp.linalg.solve))
    rows: list[tuple[int, float, float]] = []
    for n in sizes:
        ones, b = jnp.ones(n - 1), jnp.ones(n)
        stencil: Any = TridiagonalMatrix(-ones, 2.5 * b, -ones)
        other = stencil.materialise() if n <= 3000 else stencil
        found = compare(
            "solve",
            lambda other=other, b=b: jax.block_until_ready(solve(other, b)),
            lambda stencil=stencil, b=b: jax.block_until_ready(solve(stencil, b)),
            rounds=5,
        )
        rows.append((n, found.plain if n <= 3000 else np.nan, found.ours))
    n, dense, ours = zip(*rows, strict=True)
    figure, axis = plt.subplots(figsize=(5.5, 3.8), layout="constrained")
    axis.loglog(n, np.asarray(dense) * 1e3, "s-", label="dense, LAPACK's LU")
    axis.loglog(n, np.asarray(ours) * 1e3, "o-", label="TridiagonalMatrix")
    axis.set(xlabel="unknowns", ylabel="milliseconds", title="jnp.linalg.solve(A, b), jitted")
    axis.legend()
    axis.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
    plt.close(figure)
