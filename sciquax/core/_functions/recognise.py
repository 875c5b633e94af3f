"""How a call equation was written: its arrays, its static arguments, the maps around it."""

import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._compat.jaxprs import open_jaxpr
from .batched import Batch, unbatchings

# What a static argument may be, by the name it has in JAX and NumPy signatures. The default is
# tried first; these are tried after it when the trace with defaults is another jaxpr.
_STATIC_CHOICES: dict[str, Callable[[int], Sequence[Any]]] = {
    "axis": lambda ndim: [None, *range(-ndim, ndim)],
    "axis1": lambda ndim: range(-ndim, ndim),
    "axis2": lambda ndim: range(-ndim, ndim),
    "offset": lambda ndim: range(-4, 5),
    "k": lambda ndim: range(-4, 5),
    "n": lambda ndim: range(-8, 17),
    "ord": lambda ndim: [None, 1, 2, -1, -2, 0, 3, np.inf, -np.inf, "fro", "nuc"],
    "UPLO": lambda ndim: ["L", "U"],
    "trans": lambda ndim: [0, 1, 2, "N", "T", "C"],
    "assume_a": lambda ndim: ["gen", "sym", "her", "pos"],
    "keepdims": lambda ndim: [False, True],
    "lower": lambda ndim: [False, True],
    "unit_diagonal": lambda ndim: [False, True],
    "upper": lambda ndim: [False, True],
    "symmetrize_input": lambda ndim: [True, False],
    "permute_l": lambda ndim: [False, True],
    "full_matrices": lambda ndim: [True, False],
    "compute_uv": lambda ndim: [True, False],
    "hermitian": lambda ndim: [False, True],
    "equal_nan": lambda ndim: [False, True],
    "left": lambda ndim: ["extrapolate"],
    "right": lambda ndim: ["extrapolate"],
    "side": lambda ndim: ["left", "right"],
    "method": lambda ndim: ["scan", "scan_unrolled", "sort", "compare_all", "lu", "qr"],
}
# Options that leave no trace in a program, `overwrite_a` and `check_finite`, are not among them.
_MAX_TRIES = 400
_MAX_TRIES_MAPPED, _MAX_MAPS = 200, 12
_MAX_ILLEGAL = 8  # choices that could not be traced, none could before: not the shapes of a call


class Arguments(NamedTuple):
    """How a function was called: the optional parameters that are arrays, and the static ones.

    `batches` are the `vmap`s around it, the outermost first.
    """

    arrays: tuple[str, ...]
    statics: dict[str, Any]
    batches: tuple[Batch, ...] = ()


def _static_arguments(parameters: Sequence[Any], ndim: int) -> Iterator[dict[str, Any]]:
    """Every choice of static arguments; those that differ least from the defaults come first."""
    choices = []
    for p in parameters:
        others = [c for c in _STATIC_CHOICES.get(p.name, lambda _: [])(ndim) if c is not p.default]
        choices.append(others if p.default is p.empty else [p.default, *others])
    combinations = itertools.islice(itertools.product(*[range(len(c)) for c in choices]), 4000)
    for combo in sorted(combinations, key=lambda numbers: sum(i > 0 for i in numbers)):
        yield {p.name: c[i] for p, c, i in zip(parameters, choices, combo, strict=True)}


def _spellings(
    optional: Sequence[Any], arrays: dict[str, Any], statics: dict[str, Any]
) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """Ways to write a call's optional arguments, by position and by keyword.

    JAX keys its traces by them: `norm(x, 2)` and `norm(x, ord=2)` are two.
    """
    values = {**arrays, **statics}
    defaults = {p.name: p.default for p in optional}
    for count in range(len(optional) + 1):
        if count and optional[count - 1].kind is inspect.Parameter.KEYWORD_ONLY:
            return
        positional = [values[p.name] for p in optional[:count]]
        yield (
            positional,
            {
                p.name: values[p.name]
                for p in optional[count:]
                if p.name in arrays or values[p.name] is not defaults[p.name]
            },
        )


def _unmapped(avals: Sequence[Any], depth: int) -> Iterator[tuple[Sequence[Any], list[Any]]]:
    """What a function may have seen below `depth` maps, and those maps, the outermost first."""
    if depth == 0:
        yield avals, []
        return
    for size, dims, inner in unbatchings(avals):
        for seen, maps in _unmapped(inner, depth - 1):
            yield seen, [(size, dims), *maps]


def same_letters(traced: Any, body: Any) -> bool:
    """Whether the body of a call is to the letter what tracing the function gave.

    JAX keeps the traces of jitted functions, and identity tells. It keeps none of a `custom_jvp`
    function's, and keys those made within a `vmap` apart; there, equality of all equations and
    parameters does: what computes the same is the same, whoever wrote it.
    """
    if traced is None:
        return False
    (jaxpr, consts), (other, other_consts) = open_jaxpr(traced), open_jaxpr(body)
    return (
        len(jaxpr.eqns) == len(other.eqns)
        and not consts
        and not other_consts
        and all(a.primitive is b.primitive for a, b in zip(jaxpr.eqns, other.eqns, strict=True))
        and str(traced) == str(body)
    )


def function_name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", None) or type(function).__name__


def call_body(eqn: Any) -> Any:
    """The body of an equation that calls a function, or None."""
    params = eqn.params
    body = params.get("jaxpr", params.get("call_jaxpr"))
    return body


def call_name(eqn: Any) -> str:
    name = eqn.params.get("name")
    if name is None:
        body = call_body(eqn)
        info = getattr(body, "debug_info", None) or getattr(
            getattr(body, "jaxpr", None), "debug_info", None
        )
        name = getattr(info, "func_name", "")
    return name
