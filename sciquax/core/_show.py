"""`show`: the operands and results of each operation of a function, with types and units.

The interpreter reports each equation to an observer; this file records the reports, and
printed when the function returns or is refused.
"""

import contextlib
import functools
import inspect
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Concatenate, NamedTuple, overload

import jax
import jax.tree_util as jtu
import numpy as np

from ._compat.frames import user_location
from ._compat.jaxprs import Literal, all_inputs, open_jaxpr
from ._errors import named_file
from ._facts import Structure, facts_of
from ._stage.quaxify import Arrays, F, R, _Quaxify, call, stage_and_interpret
from ._values.captured import inject_p
from ._values.kinds import describe, from_foreign, is_value, is_value_or_foreign
from ._values.mode import MODE, observed_by
from ._values.unit_polymorphic import UnitPolymorphic


@overload
def show(fn: Callable[..., Arrays], depth: int | None = ...) -> Callable[..., Any]: ...
@overload
def show(
    fn: Callable[Concatenate[jax.Array, ...], R], depth: int | None = ...
) -> Callable[..., R]: ...
@overload
def show(fn: F, depth: int | None = ...) -> F: ...
def show(fn: Callable[..., Any], depth: int | None = None) -> Callable[..., Any]:
    """`quaxify(fn)` that prints each operation: its operands, and the type and unit of its result.

    Each operation is one line: the letters of what it takes and makes, what it makes, and the
    user's line. Arguments that are values have their own names. The bodies of functions within
    (`jit`, loops, branches) are indented below. If an operation is refused, everything up to it is
    printed, and the error. This is the tool to find where a unit, a name or a structure goes wrong.

    **Arguments**

    - `fn`: the function, as for `quaxify` (or already quaxified).
    - `depth`: how many levels of functions within functions to print; all, if None.

    **Returns** a callable like `fn`, which prints and returns what `quaxify(fn)` would. It runs
    operation by operation, un-jitted; under `jax.jit` it prints while JAX traces.

    **Raises** what `quaxify(fn)` raises, after printing.

    ```python
    >>> from sciquax import show
    >>> from sciquax.units import Quantity
    >>> def area(width, height):
    ...     return width * height
    >>> q = show(area)(Quantity(3.0, "m"), Quantity(2.0, "ft"))  # doctest: +ELLIPSIS
    area(width: Quantity(f32[], 'm'), height: Quantity(f32[], 'ft'))
      a = mul width height  Quantity(f32[], 'ft*m')...
    -> a

    ```
    """
    inner = fn.fn if isinstance(fn, _Quaxify) else fn

    @functools.partial(functools.update_wrapper, wrapped=inner, updated=())  # not a module's fields
    def shown(*args: Any, **kwargs: Any) -> Any:
        return _run(inner, args, kwargs, depth)

    return shown


def _run(fn: Callable, args: tuple, kwargs: dict[str, Any], depth: int | None) -> Any:
    if MODE.staging:  # what is shown is the outermost function's, where values are known
        return call(fn, args, kwargs)
    name = getattr(fn, "__name__", type(fn).__name__)
    described = _argument_names(fn, args, kwargs)
    leaves, treedef = jtu.tree_flatten((fn, args, kwargs), is_leaf=is_value_or_foreign)
    chosen = [i for i, x in enumerate(leaves) if is_value_or_foreign(x)]
    for i in chosen:
        leaves[i] = from_foreign(leaves[i])
    record = Record([described[i] for i in chosen])
    try:
        with observed_by(record):
            result = stage_and_interpret(leaves, treedef, chosen)
    except Exception as error:
        if record.top is not None:  # else it could not be traced
            print(record.text(name, depth, error))
        raise
    print(record.text(name, depth))
    return result


def _argument_names(fn: Callable, args: tuple, kwargs: dict[str, Any]) -> list[str]:
    """The name of each leaf of `(fn, args, kwargs)`: `x`, `state['v']`, `self.weight`."""
    parameters: list[str] = []
    with contextlib.suppress(TypeError, ValueError):
        for p in inspect.signature(fn).parameters.values():
            if p.kind is p.VAR_POSITIONAL:
                parameters += [f"{p.name}[{i}]" for i in range(len(args) - len(parameters))]
            elif p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
                parameters.append(p.name)
    parameters += [f"args[{i}]" for i in range(len(parameters), len(args))]
    named = (
        [("self", fn)]
        + list(zip(parameters[: len(args)], args, strict=True))
        + [(name, kwargs[name]) for name in sorted(kwargs)]  # as JAX flattens a dictionary
    )
    return [
        f"{name}{jtu.keystr(path)}"
        for name, tree in named
        for path, _ in jtu.tree_leaves_with_path(tree, is_leaf=is_value_or_foreign)
    ]


class Step:
    """One equation: its results, and the bodies that were interpreted for it."""

    def __init__(self, eqn: Any):
        self.eqn = eqn
        self.results: list[str] | None = None  # None: refused, or not reached
        self.bodies: dict[int, Body] = {}


class Body:
    """One pass through a jaxpr."""

    def __init__(self, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Any]):
        self.jaxpr = jaxpr  # kept alive, since it is known by its identity
        self.consts = consts
        self.inputs = inputs
        self.types: dict[Any, str] = {}
        self.steps: list[Step] = []


class Record:
    """A record of the interpreter's steps. A body interpreted again (a loop) replaces its record.

    A program that is carried out as it is staged is entered again, and goes on.

    **Arguments**: the names of its operands.
    """

    def __init__(self, arguments: Sequence[str]):
        self.top: Body | None = None
        self._arguments = arguments
        self._stack: list[Body] = []

    # -- called by the interpreter ----------------------------------------------------------------

    def enter(self, jaxpr: Any, n_consts: int, operands: Sequence[Any]) -> None:
        variables = all_inputs(jaxpr, n_consts)
        body = Body(jaxpr, variables[:n_consts], variables[n_consts:])
        body.types = {v: _described(x) for v, x in zip(variables, operands, strict=True)}
        if not self._stack:
            if (begun := self.top) is not None:
                body.consts = [*begun.consts, *(v for v in body.consts if v not in begun.types)]
                body.types, body.steps = {**body.types, **begun.types}, begun.steps
            self.top = body
        elif self._stack[-1].steps:
            self._stack[-1].steps[-1].bodies[id(jaxpr)] = body
        self._stack.append(body)

    def leave(self) -> None:
        self._stack.pop()

    def before(self, eqn: Any) -> None:
        self._stack[-1].steps.append(Step(eqn))

    def after(self, results: Sequence[Any]) -> None:
        self._stack[-1].steps[-1].results = [_described(x) for x in results]

    # -- printing ---------------------------------------------------------------------------------

    def text(self, name: str, depth: int | None, error: BaseException | None = None) -> str:
        top = self.top
        assert top is not None
        names = _Names(dict(zip(top.inputs, self._arguments, strict=False)))
        inputs = _typed(top, top.inputs, names)
        rows: list[Row] = []
        _rows(top, names, 1, depth, rows)
        width = min(max([len(row.what) for row in rows], default=0), _WIDEST)
        wide = min(max([len(row.made) for row in rows], default=0), _WIDEST)
        lines = [f"{name}({inputs})"]
        lines += [f"{r.what:{width}}  {r.made:{wide}}  {r.place}".rstrip() for r in rows]
        if error is None:
            lines.append(f"-> {', '.join(map(names.of, top.jaxpr.outvars))}")
        else:
            lines.append(f"{type(error).__name__}: {error}")
        return "\n".join(lines)


class Row(NamedTuple):
    what: str
    made: str = ""
    place: str = ""


def _typed(body: Body, variables: Sequence[Any], names: "_Names") -> str:
    return ", ".join(f"{names.of(v)}: {body.types[v]}" for v in variables)


_WIDEST = 44  # columns that are aligned; what is wider stands out


def _rows(body: Body, names: "_Names", indent: int, depth: int | None, rows: list[Row]) -> None:
    margin = "  " * indent
    for const in body.consts:
        rows.append(Row(f"{margin}{names.of(const)} = constant", body.types[const]))
    for step in body.steps:
        eqn = step.eqn
        made = ", ".join(map(names.of, eqn.outvars))
        taken = " ".join(map(names.of, eqn.invars))
        what = "captured" if eqn.primitive is inject_p else f"{_operation(eqn)} {taken}".rstrip()
        if step.results is not None:
            results = ", ".join(step.results)
        else:  # if what was refused is below, that says so
            results = "" if any(map(_failed, step.bodies.values())) else "refused"
        rows.append(Row(f"{margin}{made} = {what}", results, _place(eqn)))
        if depth is not None and indent > depth:
            continue
        for inner in step.bodies.values():
            if not inner.steps:
                continue
            if len(inner.inputs) == len(eqn.invars) and eqn.primitive.name in _CALLS:
                for var, outer in zip(inner.inputs, eqn.invars, strict=True):
                    names.alias(var, outer)
            else:
                rows.append(Row(f"{margin}  with {_typed(inner, inner.inputs, names)}"))
            _rows(inner, names, indent + 1, depth, rows)


def _failed(body: Body) -> bool:
    return bool(body.steps) and body.steps[-1].results is None


_CALLS = {
    "jit", "call", "core_call", "closed_call", "core_closed_call", "remat2", "custom_jvp_call",
    "custom_vjp_call", "composite", "whole_call",
}  # fmt: skip


class _Names:
    """Letters for variables without names, in the order in which these appear."""

    def __init__(self, known: dict[Any, str]):
        taken = set(known.values())
        self._letters = (letter for letter in _letters() if letter not in taken)
        self._known = known

    def of(self, var: Any) -> str:
        if type(var) is Literal:
            return _number(var.val)
        if type(var).__name__ == "DropVar":
            return "_"
        if var not in self._known:
            self._known[var] = next(self._letters)
        return self._known[var]

    def alias(self, var: Any, outer: Any) -> None:
        self._known[var] = self.of(outer)


def _number(x: Any) -> str:
    text = str(x)
    if len(text) > 8 and isinstance(x, (float, np.floating)):
        text = f"{x:.6g}"
    return text


def _letters() -> Iterator[str]:
    for n in itertools.count(1):
        for letters in itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=n):
            yield "".join(letters)


def _operation(eqn: Any) -> str:
    """The primitive's name with its few telling parameters, or the function that is called."""
    name = eqn.primitive.name
    if name == "whole_call":
        return f"call[{eqn.params['call'].of}]"
    if name in _CALLS:
        called = _call_name(eqn)
        return f"{name}[{called}]" if called else name
    if facts_of(eqn.primitive).structure is Structure.CALL:
        return name
    told = [f"{k}={v}" for k, v in eqn.params.items() if _telling(v)]
    return f"{name}[{' '.join(told)}]" if told else name


def _call_name(eqn: Any) -> str:
    name = eqn.params.get("name")
    if name is None:
        body = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
        name = getattr(getattr(open_jaxpr(body)[0], "debug_info", None), "func_name", "")
    return name


def _telling(param: Any) -> bool:
    if type(param) is int:
        return True
    few = type(param) is tuple and 0 < len(param) < 4
    return few and all(type(x) is int for x in param)


def _described(x: Any) -> str:
    if type(x) is UnitPolymorphic:
        return f"{describe(x.inner)}, any unit" if not is_value(x.inner) else describe(x.inner)
    return describe(x)


def _place(eqn: Any) -> str:
    place = user_location(eqn.source_info)
    if place is None:
        return ""
    file, line, _, function = place
    return f"{os.path.basename(named_file(file))}:{line} ({function})"
