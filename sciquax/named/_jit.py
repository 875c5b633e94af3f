"""`named.jit`: compiled once for each program, where `jax.jit` compiles for each set of labels.

`jax.jit` takes the coordinates of axes as part of what an argument is, since a function may
select by them, and drops single values beside the axes. Most functions never look at a label. So
a function is traced here with hidden labels, which are revealed when the function asks for one.
If it asks for none, the compiled program serves whatever the labels are; if it asks only for
those of axes, it serves all single values beside them. Otherwise the function is traced for each
set of labels, which takes milliseconds, and compiled only if the program is new; constants that
were made of labels, such as the weights of an interpolation, are its operands.
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
from ._array.flattening import _flatten
from ._array.host import NO_NUMBERS


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
    """A coordinate whose labels nobody has told: known is its shape, its kind and who it is.

    **Attributes**: `number`, which of the distinct coordinates of a call it stands for; `asked`,
    whether somebody wanted to know a label.
    """

    __slots__ = ("asked", "dtype", "number", "shape")

    def __init__(self, number: int, like: Coordinate):
        self.number, self.tree = number, like.tree
        self.shape, self.dtype = like.values.shape, like.values.dtype
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

    def same(self, other: Coordinate) -> bool:
        if isinstance(other, _Untold) and self.like(other) and self.dtype == other.dtype:
            return self is other  # equal ones have one number
        return super().same(other)

    def __hash__(self) -> int:
        return id(self)

    def __len__(self) -> int:
        return self.shape[0]


def _is_named(x: Any) -> bool:
    return isinstance(x, NamedBase)


class _Whole:
    """A named array as a pytree with all of its axes, single values beside them included."""

    __slots__ = ("array", "axes")

    def __init__(self, array: Any, axes: Axes):
        self.array, self.axes = array, axes


jtu.register_pytree_node(
    _Whole, lambda x: ((x.array,), x.axes), lambda axes, held: _Whole(held[0], axes)
)


class _Held:
    """Dates or strings, which JAX does not hold: part of what a tree is, as coordinates are."""

    __slots__ = ("values",)

    def __init__(self, values: Coordinate):
        self.values = values


jtu.register_pytree_node(_Held, lambda x: ((), x.values), lambda values, _: _Held(values))


def _with_coordinates(known: Axes, put: Callable[[Coordinate], Coordinate]) -> Axes:
    """Axes with other coordinates."""
    if not known.coords and not known.beside:
        return known
    coords = {n: put(c) for n, c in known.coords.items()}
    beside = {n: Beside(b.dims, put(b.held)) for n, b in known.beside.items()}
    return axes(known.dims, coords, known.attrs, beside)


def _flat(tree: Any, put: Callable[[Coordinate], Coordinate] = lambda c: c) -> Any:
    """The leaves of a tree, and its structure with all that named arrays know."""

    def whole(x: Any) -> Any:
        if not _is_named(x):
            return x
        (array,), _ = _flatten(x)
        if type(array) is np.ndarray and array.dtype.kind in NO_NUMBERS:
            array = _Held(Coordinate(array))
        return _Whole(array, _with_coordinates(x._axes, put))

    return jtu.tree_flatten(jtu.tree_map(whole, tree, is_leaf=_is_named))


def _built(tree: Any, leaves: Any, put: Callable[[Coordinate], Coordinate] = lambda c: c) -> Any:
    def named(x: Any) -> Any:
        if type(x) is not _Whole:
            return x
        array = x.array.values.value() if type(x.array) is _Held else x.array
        return bare(array, _with_coordinates(x.axes, put))

    is_whole = lambda x: type(x) is _Whole  # noqa: E731
    return jtu.tree_map(named, jtu.tree_unflatten(tree, leaves), is_leaf=is_whole)


class _Compiled:
    """Programs compiled without some labels, by the shapes of those coordinates.

    **Arguments**: the function; its programs; and whether a coordinate's labels are not told.
    """

    def __init__(
        self, function: Callable[..., Any], programs: dict[Any, Any],
        hidden: Callable[[Coordinate], bool],
    ):  # fmt: skip
        self._function, self._programs, self._hidden = function, programs, hidden
        self._untold: dict[Any, _Untold] = {}
        self._calls: dict[Any, Any] = {}

    def __call__(self, args: Any, kwargs: Any) -> Any:
        """The result, or NotImplemented where the labels matter."""
        numbers: dict[Coordinate, _Untold] = {}

        def hide(c: Coordinate) -> Coordinate:
            if not self._hidden(c):
                return c
            found = numbers.get(c)
            if found is None:
                key = (len(numbers), c.values.shape, c.values.dtype, c.tree)
                found = self._untold.get(key)
                if found is None:
                    found = self._untold[key] = _Untold(len(numbers), c)
                numbers[c] = found
            return found

        leaves, tree = _flat((args, kwargs), hide)
        key = (tree, tuple(map(_kind, leaves)), trace_context())
        if key not in self._calls:
            self._calls[key] = self._traced(tree, leaves, numbers)
        found = self._calls[key]
        if found is None:
            return NotImplemented
        program, consts, out_tree = found
        told = list(numbers)
        return _built(
            out_tree, program(consts, leaves),
            lambda c: told[c.number] if isinstance(c, _Untold) else c,
        )  # fmt: skip

    def _traced(self, tree: Any, leaves: list[Any], numbers: dict[Coordinate, _Untold]) -> Any:
        for untold in numbers.values():
            untold.asked = False
        try:
            found = _traced(self._function, tree, leaves, self._programs)
        except Exception:  # an error of the function's own is raised again, with labels
            if not numbers:
                raise
            return None
        return None if any(c.asked for c in numbers.values()) else found


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, compiled: as by `jax.jit`, but for other coordinates not compiled again.

    **Arguments**: a function of arrays, named arrays and trees of these. Its results may be dates
    and strings too, which are known when it is traced. Within another transformation it is
    `jax.jit(function)`.

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
    programs: dict[Any, Callable[..., Any]] = {}
    untold = lambda c: True, lambda c: not c.values.shape, lambda c: False
    stages = [_Compiled(function, programs, hidden) for hidden in untold]
    nested = jax.jit(function)

    @functools.wraps(function)
    def compiled(*args: Any, **kwargs: Any) -> Any:
        if any(isinstance(x, Tracer) for x in jtu.tree_leaves((args, kwargs))):
            return nested(*args, **kwargs)
        outs = (stage(args, kwargs) for stage in stages)
        return next(out for out in outs if out is not NotImplemented)

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
        args, kwargs = _built(tree, arrays)
        outs, out_tree = _flat(function(*args, **kwargs))
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
