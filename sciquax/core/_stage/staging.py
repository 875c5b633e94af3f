"""Staging a function to a jaxpr, and how its outputs are made from the jaxpr's."""

import contextlib
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.tree_util as jtu
import numpy as np

from .._compat.jaxprs import Tracer, open_jaxpr, placed, typeof
from .._compat.tracing import WANTS_A_NUMBER, Asked, trace_to_jaxpr
from .._errors import RuleError, user_line
from .._functions.intercept import install
from .._values.captured import typeof_aval
from .._values.kinds import VALUE_TYPES, captured_foreign, converter_for, guard_foreign, is_value
from .._values.mode import staging
from .._values.unit_polymorphic import strip
from .captured_trees import install_tree_hook


class Output:
    """An output of the staged function: its number among the traced ones."""

    __slots__ = ("index",)

    def __init__(self, index: int):
        self.index = index


class BuiltOutput:
    """A value that the staged function built itself, its leaves outputs or constants."""

    __slots__ = ("leaves", "tree")

    def __init__(self, leaves: list[Any], tree: Any):
        self.leaves, self.tree = leaves, tree


def template_of(leaf: Any, traced: list[Any]) -> Any:
    """How an output is made after interpretation; outputs that were not traced pass through."""
    if type(leaf) in VALUE_TYPES:
        leaves, tree = jtu.tree_flatten(leaf)
        return BuiltOutput([template_of(x, traced) for x in leaves], tree)
    if isinstance(leaf, Tracer):
        traced.append(leaf)
        return Output(len(traced) - 1)
    if converter_for(type(leaf)) is not None and _holds_tracer(leaf):
        raise captured_foreign(leaf)
    if isinstance(leaf, _RUNS_LATER):
        if isinstance(leaf, types.CoroutineType):
            leaf.close()  # else Python warns that nobody awaited it
        raise RuleError(
            f"A quaxified function returned a `{type(leaf).__name__}`, which would run after it.",
            "Return a list of the results, or quaxify what is called at each step.",
        ).at(user_line())
    return leaf


_RUNS_LATER = (
    types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType,
    map, filter, zip, enumerate, reversed,
)  # fmt: skip


def _holds_tracer(x: Any) -> bool:
    parts = (x, getattr(x, "magnitude", None), getattr(x, "value", None))
    return any(isinstance(leaf, Tracer) for leaf in jtu.tree_leaves(parts))


def fill(item: Any, results: list[Any]) -> Any:
    if type(item) is Output:
        return results[item.index]
    if type(item) is BuiltOutput:
        return jtu.tree_unflatten(
            item.tree, [strip(fill(x, results)) for x in item.leaves]
        ).canonical()
    return item


class Staged(NamedTuple):
    """A staged function: its jaxpr, and how its outputs are made from the jaxpr's.

    `data` are the ids of those constants that were passed to it: the program does not state them.
    """

    jaxpr: Any
    consts: Sequence[Any]
    template: tuple[Any, ...]
    out_tree: Any
    data: frozenset[int] = frozenset()

    def rebuild(self, results: list[Any]) -> Any:
        """The function's return value, built from the results of its jaxpr."""
        return jtu.tree_unflatten(self.out_tree, [fill(item, results) for item in self.template])


def stage(
    leaves: Sequence[Any],
    treedef: Any,
    chosen: Sequence[int],
    within: Callable[[], contextlib.AbstractContextManager[None]] | None = None,
    asked: Asked | None = None,
) -> Staged:
    """Trace a function anew, so that a global or a closure that has changed since is seen.

    **Arguments**: the leaves and the tree of `(fn, args, kwargs)`, values counting as leaves; which
    of them are abstract to `fn`; a context in which it is called, by default `staging_user_code`;
    and who is asked for numbers that `fn` wants to know, if anybody.
    """
    template: list[Any] = []
    out_tree = None

    def staged(*tracers: Any) -> list[Any]:
        nonlocal out_tree
        replaced = list(leaves)
        for i, tracer in zip(chosen, tracers, strict=True):
            replaced[i] = tracer
        fn, args, kwargs = jtu.tree_unflatten(treedef, replaced)
        with (within or staging_user_code)():
            out = fn(*args, **kwargs)
        out_leaves, out_tree = jtu.tree_flatten(
            out, is_leaf=lambda x: is_value(x) or isinstance(x, _RUNS_LATER)
        )
        traced: list[Any] = []
        template.extend(template_of(x, traced) for x in out_leaves)
        return traced

    fn = leaves[0] if leaves and isinstance(leaves[0], types.FunctionType) else None
    guard_foreign()
    try:
        closed = trace_to_jaxpr(staged, [_aval(leaves[i]) for i in chosen], fn, asked)
    except WANTS_A_NUMBER as error:
        note = _ABSTRACT if asked is None else asked.refused or _ABSTRACT
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        raise
    jaxpr, consts = open_jaxpr(closed)
    return Staged(jaxpr, consts, tuple(template), out_tree, passed_among(consts, leaves))


def passed_among(consts: Sequence[Any], leaves: Sequence[Any]) -> frozenset[int]:
    """The ids of those constants that were passed to a program: it does not state them."""
    passed = [x for x in leaves if isinstance(x, (np.ndarray, jax.Array))]
    return frozenset(id(c) for c in consts if _is_among(c, passed)) if passed else frozenset()


def _is_among(const: Any, passed: Sequence[Any]) -> bool:
    """Whether a constant is an argument, or holds what one does that is NumPy's."""
    return any(
        const is x
        or isinstance(const, np.ndarray)
        and isinstance(x, np.ndarray)
        and x.shape == const.shape
        and np.array_equal(x.astype(const.dtype), const, equal_nan=True)
        for x in passed
    )


@contextlib.contextmanager
def staging_user_code(apart: bool = False) -> Iterator[None]:
    """While active, a user's function is traced: whole functions leave one equation each."""
    install()
    install_tree_hook()
    with staging(apart):
        yield


_ABSTRACT = (
    "Under `jax.jit` and its like, numbers are not known while a function is traced. Use "
    "`jnp.where` or `lax.cond`, or decide outside."
)


def _aval(x: Any) -> Any:
    """The abstract value of an operand while the function is traced."""
    return typeof_aval(x) if type(x) in VALUE_TYPES else placed(typeof(x))
