"""Timing two things against each other: interleaved, in one process, as a median ratio."""

import gc
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple


class Ratio(NamedTuple):
    """How long `ours` takes for each second of `plain`."""

    name: str
    plain: float
    ours: float
    ratio: float
    low: float
    high: float
    limit: float | None

    def row(self) -> str:
        target = "" if self.limit is None else f"{self.limit:g}"
        return (
            f"| {self.name} | {_time(self.plain)} | {_time(self.ours)} | {self.ratio:.2f} "
            f"| {self.low:.2f} to {self.high:.2f} | {target} |"
        )


HEADER = "| what | plain | sciquax | ratio | quartiles | aim |\n|---|---|---|---|---|---|"


def compare(
    name: str,
    plain: Callable[[], object],
    ours: Callable[[], object],
    *,
    number: int = 1,
    rounds: int = 31,
    limit: float | None = None,
) -> Ratio:
    """Time `plain` and `ours` in turn and compare their medians.

    **Arguments**: what is compared; two callables; how many calls make one timing; how many
    timings; the ratio aimed at.
    """
    plain()
    ours()
    times: tuple[list[float], list[float]] = ([], [])
    gc.collect()
    gc.disable()
    try:
        for i in range(rounds):
            order = (0, 1) if i % 2 else (1, 0)
            for which in order:
                call = (plain, ours)[which]
                start = time.perf_counter()
                for _ in range(number):
                    call()
                times[which].append((time.perf_counter() - start) / number)
    finally:
        gc.enable()
    ratios = sorted(b / a for a, b in zip(*times, strict=True))
    quarter = len(ratios) // 4
    base, own = map(statistics.median, times)
    # The median of the rounds' ratios: a round's two timings are neighbours in time, so that what
    # else the machine does concerns both.
    ratio = statistics.median(ratios)
    return Ratio(name, base, own, ratio, ratios[quarter], ratios[-1 - quarter], limit)


def _time(seconds: float) -> str:
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
