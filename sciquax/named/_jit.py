"""`named.jit`: compiled once for each program, where `jax.jit` compiles for each set of labels.

`jax.jit` takes coordinates as part of what an argument is, as it must: a function may select by
them. Most functions never look at a label. So here a function is traced with labels that nobody has
told, and which tell when one is asked for. Where none is, what was compiled serves whatever the
labels are. Where one is, the function is traced for each set of labels, which takes milliseconds,
and compiled only if the program is new; constants that were made of labels, such as the weights of
an interpolation, are operands of it.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.tree_util as jtu
import numpy as np

from sciquax.core import interpret, strip
from sciquax.core.internal import Literal, Tracer, open_jaxpr, trace_context

from ._array.axes import Axes, axes
from ._array.base import NamedBase, bare
from ._array.coordinates import Beside, Coordinate


class _Identity:
    """An object without an equality of its own, as part of a key."""

    __slots__ = ("held",)

    def __init__(self, held: Any):
        self.held = held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.held is self.held

    def __hash__(self) -> int:
        return id(self.held)


class _Asked(Exception):
    """Internal: somebody asked for a label."""


class _Untold(Coordinate):
    """A coordinate whose labels nobody has told: known is its shape, its unit and who it is.

    **Attributes**: `number`, which of the distinct coordinates of a call it stands for; `asked`,
    whether somebody wanted to know a label.
    """

    __slots__ = ("asked", "number", "shape")

    def __init__(self, number: int, like: Coordinate):
        self.number, self.shape, self.tree = number, like.values.shape, like.tree
        self.found: dict[str, Any] = {}
        self.asked = False

    @property
    def values(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        self.asked = True
        raise _Asked

    @property
    def digest(self) -> Any:
        return self.values

    def __eq__(self, other: object) -> bool:
        return self is other or isinstance(other, Coordinate) and bool(self.digest)

    def __hash__(self) -> int:
        return id(self)

    def __len__(self) -> int:
        return self.shape[0]


def _is_named(x: Any) -> bool:
    return isinstance(x, NamedBase)


def _with_coordinates(tree: Any, put: Callable[[Coordinate], Coordinate]) -> Any:
    """A tree whose named arrays have other coordinates."""

    def layout(known: Axes) -> Axes:
        if not known.coords and not known.beside:
            return known
        coords = {n: put(c) for n, c in known.coords.items()}
        beside = {n: Beside(b.dims, put(b.held)) for n, b in known.beside.items()}
        return axes(known.dims, coords, known.attrs, beside)

    return jtu.tree_map(
        lambda x: bare(x.array, layout(x._axes.traced)) if _is_named(x) else x,
        tree,
        is_leaf=_is_named,
    )


class _ByShape:
    """The programs compiled without their labels, by the shapes of coordinates.

    **Arguments**: the function, and its programs.
    """

    def __init__(self, function: Callable[..., Any], programs: dict[Any, Any]):
        self._function, self._programs = function, programs
        self._untold: dict[Any, _Untold] = {}
        self._calls: dict[Any, Any] = {}

    def __call__(self, args: Any, kwargs: Any) -> Any:
        """The result, or NotImplemented where labels matter."""
        numbers: dict[Coordinate, _Untold] = {}

        def hide(c: Coordinate) -> Coordinate:
            found = numbers.get(c)
            if found is None:
                key = (len(numbers), c.values.shape, c.tree)
                found = self._untold.get(key)
                if found is None:
                    found = self._untold[key] = _Untold(len(numbers), c)
                numbers[c] = found
            return found

        leaves, tree = jtu.tree_flatten(_with_coordinates((args, kwargs), hide))
        if not numbers:
            return NotImplemented
        key = (tree, tuple(map(_kind, leaves)), trace_context())
        if key not in self._calls:
            self._calls[key] = self._traced(tree, leaves, numbers)
        found = self._calls[key]
        if found is None:
            return NotImplemented
        program, consts, out_tree = found
        told = list(numbers)
        out = jtu.tree_unflatten(out_tree, program(consts, leaves))
        return _with_coordinates(out, lambda c: told[c.number] if isinstance(c, _Untold) else c)

    def _traced(self, tree: Any, leaves: list[Any], numbers: dict[Coordinate, _Untold]) -> Any:
        for untold in numbers.values():
            untold.asked = False
        try:
            found = _traced(self._function, tree, leaves, self._programs)
        except Exception:  # an error of the function's own is raised again, with labels
            return None
        return None if any(c.asked for c in numbers.values()) else found


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, compiled: as by `jax.jit`, but for other coordinates not compiled again.

    **Arguments**: a function of arrays, named arrays and trees of these. Within another
    transformation it is `jax.jit(function)`.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import named
    >>> series = named.arange("t", 6, dtype=float).assign_coords(t=jnp.arange(6.0))
    >>> centred = named.jit(lambda window: window - window.mean("t"))
    >>> for start in range(3):  # compiled once
    ...     out = centred(series.isel(t=slice(start, start + 3)))
    >>> out.coord("t").array.tolist(), out.array.tolist()
    ([2.0, 3.0, 4.0], [-1.0, 0.0, 1.0])

    ```
    """
    calls: dict[Any, tuple[Callable[..., Any], list[Any], Any]] = {}
    programs: dict[Any, Callable[..., Any]] = {}
    by_shape = _ByShape(function, programs)
    nested = jax.jit(function)

    @functools.wraps(function)
    def compiled(*args: Any, **kwargs: Any) -> Any:
        leaves, tree = jtu.tree_flatten((args, kwargs))
        if any(isinstance(x, Tracer) for x in leaves):
            return nested(*args, **kwargs)
        out = by_shape(args, kwargs)
        if out is not NotImplemented:
            return out
        key = (tree, tuple(map(_kind, leaves)), trace_context())
        found = calls.get(key)
        if found is None:
            found = calls[key] = _traced(function, tree, leaves, programs)
        program, consts, out_tree = found
        return jtu.tree_unflatten(out_tree, program(consts, leaves))

    return compiled


def _kind(x: Any) -> Any:
    aval = jax.typeof(x)
    return aval.shape, aval.dtype, aval.weak_type


def _traced(
    function: Callable[..., Any], tree: Any, leaves: list[Any], programs: dict[Any, Any]
) -> tuple[Callable[..., Any], list[Any], Any]:
    out_tree: Any = None

    def flat(*arrays: Any) -> list[Any]:
        nonlocal out_tree
        args, kwargs = jtu.tree_unflatten(tree, arrays)
        outs, out_tree = jtu.tree_flatten(function(*args, **kwargs))
        return outs

    closed = jax.make_jaxpr(flat)(*leaves)
    jaxpr, consts = open_jaxpr(closed)
    key = (_key(jaxpr), tuple(map(_kind, consts)), tuple(map(_kind, leaves)))
    program = programs.get(key)
    if program is None:

        def run(consts: Any, leaves: Any) -> Any:
            return [*map(strip, interpret(jaxpr, consts, leaves))]

        program = programs[key] = jax.jit(run)
    return program, list(consts), out_tree


def _key(jaxpr: Any) -> Any:
    """A key of a program that leaves out the names of its variables."""
    numbers: dict[Any, int] = {}

    def number(var: Any) -> Any:
        if isinstance(var, Literal):
            value = np.asarray(var.val)
            return "literal", str(var.aval), value.tobytes()
        return numbers.setdefault(var, len(numbers)), str(var.aval)

    ins = tuple(map(number, (*jaxpr.constvars, *jaxpr.invars)))
    equations = tuple(
        (
            eqn.primitive,
            tuple(map(number, eqn.invars)),
            tuple((name, _parameter(value)) for name, value in sorted(eqn.params.items())),
            tuple(map(number, eqn.outvars)),
        )
        for eqn in jaxpr.eqns
    )
    return ins, equations, tuple(map(number, jaxpr.outvars))


def _parameter(value: Any) -> Any:
    if hasattr(value, "eqns"):
        jaxpr, consts = open_jaxpr(value)
        return "jaxpr", _key(jaxpr), tuple(map(_parameter, consts))
    if isinstance(value, (tuple, list)):
        return type(value), tuple(map(_parameter, value))
    if isinstance(value, dict):
        return tuple((k, _parameter(v)) for k, v in value.items())
    if isinstance(value, (np.ndarray, jax.Array)):
        array = np.asarray(value)
        return "array", array.shape, array.dtype, array.tobytes()
    try:
        hash(value)
    except TypeError:
        return _Identity(value)
    return type(value), value
