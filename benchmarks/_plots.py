"""The tables as pictures: every ratio with its quartiles, and how structure scales."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sciquax import quaxify
from sciquax.structured import TridiagonalMatrix

from ._timing import Ratio, compare


def ratios(found: Sequence[Ratio], path: Path) -> None:
    """A dot for each ratio on a logarithmic axis, a bar for its quartiles; left of 1 we win."""
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 0.19 * len(found) + 1), layout="constrained")
    places = np.arange(len(found))[::-1]
    for place, ratio in zip(places, found, strict=True):
        colour = "tab:green" if ratio.ratio <= 1 else "tab:red"
        axis.plot([ratio.low, ratio.high], [place, place], color=colour, alpha=0.5)
        axis.plot(ratio.ratio, place, "o", color=colour, markersize=4)
    axis.axvline(1, color="0.5", linewidth=0.8)
    axis.set(xscale="log", xlabel="our time for one of the other's", ylim=(-1, len(found)))
    axis.set_yticks(places, [ratio.name for ratio in found], fontsize=6)
    axis.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=110)
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
    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    axis.loglog(n, np.asarray(dense) * 1e3, "s-", label="dense, LAPACK's LU")
    axis.loglog(n, np.asarray(ours) * 1e3, "o-", label="TridiagonalMatrix")
    axis.set(xlabel="n", ylabel="milliseconds", title="jnp.linalg.solve(A, b), jitted")
    axis.legend()
    axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)
