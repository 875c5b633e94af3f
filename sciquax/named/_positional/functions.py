"""Names through whole functions, where the primitives have lost what a function means.

`cholesky` adds a matrix to its transpose, `expm` multiplies it by itself, `solve` permutes rows.
Where it is what the array holds that has a rule for the function (`hypot` of quantities), that rule
gives the values, and the function on names alone the names.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from sciquax.core import (
    UnitPolymorphic,
    aval_of,
    is_value,
    payload_of,
    quaxify,
    register_labelling,
    register_rule,
    strip,
)

from .._array.axes import Axes, Dims, check_distinct, met
from .._array.base import bare
from .._array.value_contract import _parts
from .._by_name.call_jax import apply
from .._named_array import NamedArray
from .call import Call


class _Taken(NamedTuple):
    """The arrays inside operands, their names, and their axes."""

    held: list[Any]
    call: Call
    layouts: list[Axes]

    def named(self, x: Any, dims: Dims) -> NamedArray:
        check_distinct("linalg", dims)
        return bare(x, met(self.call.name, tuple(dims), *self.layouts).without(*self.call.moved))


def _taken(name: str, *operands: Any) -> _Taken:
    parts = [_parts(strip(x)) for x in operands]
    held, layouts = [p[0] for p in parts], [p[1] for p in parts]
    met(name, (), *layouts)  # says so where coordinates differ
    return _Taken(held, Call(name, [x.dims for x in layouts], held, {}), layouts)


def _solve(a: Any, b: Any) -> Any:
    """a[row, column] u[column] = b[row]."""
    taken = _taken("solve", a, b)
    (x, y), call, _ = taken
    *batch, row, column = call.dims[0]
    rhs = call.dims[1]
    out = apply(jnp.linalg.solve, x, y)
    if len(rhs) == 1:
        call.unify(row, rhs[0])
        return taken.named(out, (*batch, column))
    *lead, first, second = rhs
    call.unify(row, first)
    n = min(len(batch), len(lead))
    longer = batch if len(batch) >= len(lead) else lead
    pairs = zip(batch[len(batch) - n :], lead[len(lead) - n :], strict=True)
    shared = [call.unify(*pair) for pair in pairs]
    return taken.named(out, (*longer[: len(longer) - n], *shared, column, second))


def _of_matrix(function: Callable, *outputs: str) -> None:
    """A function of a matrix; each output's last axes are the row (r), the column (c), or new."""

    def rule(a: Any, *args: Any, **kwargs: Any) -> Any:
        taken = _taken(function.__name__, a)
        (x,), call, _ = taken
        *batch, row, column = call.dims[0]
        letters = {"r": row, "c": column, "-": None}
        out = apply(function, x, *args, **kwargs)
        dims = [(*batch, *(letters[k] for k in output)) for output in outputs]
        if len(outputs) == 1:
            return taken.named(out, dims[0])
        return tuple(taken.named(y, d) for y, d in zip(out, dims, strict=True))

    rule.__name__ = rule.__qualname__ = f"_{function.__name__}"
    register_rule(NamedArray, function, rule)


def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The last axis runs along both axes at once, whose names must agree."""
    taken = _taken("diagonal", a)
    (x,), call, _ = taken
    dims = call.dims[0]
    first, second = axis1 % len(dims), axis2 % len(dims)
    name = call.unify(dims[first], dims[second])
    rest = [d for i, d in enumerate(dims) if i not in (first, second)]
    if x.shape[first] != x.shape[second] or offset:
        call.move(name)
    out = apply(jnp.diagonal, x, offset=offset, axis1=axis1, axis2=axis2)
    return taken.named(out, (*rest, name))


def _of_quantiles(function: Callable) -> None:
    """Several quantiles: their axes lead. JAX picks them as places along the sorted axis."""

    def rule(
        a: Any, q: Any, axis: Any = None, *args: Any, keepdims: bool = False, **kwargs: Any
    ) -> Any:
        x, layout = _parts(strip(a))
        held, own = _parts(strip(q))
        if args or kwargs.get("weights") is not None:
            return NotImplemented
        dims = (*own.dims, *_reduced(layout.dims, axis, keepdims))
        out = apply(function, x, held, axis, keepdims=keepdims, **kwargs)
        check_distinct(function.__name__, dims)
        return bare(out, met(function.__name__, dims, layout, own))

    rule.__name__ = rule.__qualname__ = f"_{function.__name__}"
    register_rule(NamedArray, function, rule)


def _through(function: Callable, rule: Callable, args: Any, kwargs: dict[str, Any]) -> Any:
    """The rule on what the arrays hold, its results named as the function's of plain arrays."""
    leaves, tree = jtu.tree_flatten((tuple(args), kwargs), is_leaf=is_value)
    out = rule(*jtu.tree_unflatten(tree, [payload_of(x, NamedArray) for x in leaves]))
    if out is NotImplemented:
        return out
    layouts = _layouts(function, [strip(x) for x in leaves], tree)
    outs, out_tree = jtu.tree_flatten(out, is_leaf=is_value)
    named = [
        x if layout is None else bare(x, layout) for x, layout in zip(outs, layouts, strict=True)
    ]
    return jtu.tree_unflatten(out_tree, named)


def _layouts(function: Callable, leaves: list[Any], tree: Any) -> list[Axes | None]:
    """The axes of every result of a call on plain arrays with these names."""
    arrays = [i for i, x in enumerate(leaves) if is_value(x) or isinstance(x, jax.Array)]
    layouts: list[Axes | None] = []

    def call(*tracers: Any) -> Any:
        given = list(leaves)
        for i, x in zip(arrays, tracers, strict=True):
            y = leaves[i]
            given[i] = bare(x, y._axes) if isinstance(y, NamedArray) else x
        args, kwargs = jtu.tree_unflatten(tree, given)
        out = quaxify(function)(*args, **kwargs)
        outs = jtu.tree_leaves(out, is_leaf=is_value)
        layouts[:] = [x._axes if isinstance(x, NamedArray) else None for x in outs]
        return [x.array if isinstance(x, NamedArray) else x for x in outs]

    avals = [aval_of(leaves[i]) for i in arrays]
    jax.eval_shape(
        call, *[jax.ShapeDtypeStruct(a.shape, a.dtype, weak_type=a.weak_type) for a in avals]
    )
    return layouts


def _of_median(function: Callable) -> None:
    def rule(a: Any, axis: Any = None, *args: Any, keepdims: bool = False, **kwargs: Any) -> Any:
        x, layout = _parts(strip(a))
        if args or kwargs.get("out") is not None:
            return NotImplemented
        rest = _reduced(layout.dims, axis, keepdims)
        out = apply(function, x, axis=axis, keepdims=keepdims, **kwargs)
        return bare(out, layout.plain.with_dims(rest))

    rule.__name__ = rule.__qualname__ = f"_{function.__name__}"
    register_rule(NamedArray, f"jax.numpy.{function.__name__}", rule)


def _reduced(dims: Dims, axis: Any, keepdims: bool) -> Dims:
    """Dims without those of the axes; with `keepdims` they stay, of size 1, without names."""
    gone = range(len(dims)) if axis is None else axis
    gone = {i % len(dims) for i in ([gone] if isinstance(gone, int) else gone)}
    if keepdims:
        return tuple(None if i in gone else d for i, d in enumerate(dims))
    return tuple(d for i, d in enumerate(dims) if i not in gone)


def _of_template(function: Callable) -> None:
    """An array like another: of its names, and its coordinates."""

    def rule(a: Any, *args: Any, shape: Any = None, **kwargs: Any) -> Any:
        x, layout = _parts(strip(a))
        args = tuple(_parts(strip(v))[0] if isinstance(strip(v), NamedArray) else v for v in args)
        if shape is not None:
            return apply(function, x, *args, shape=shape, **kwargs)
        out = bare(apply(function, x, *args, **kwargs), layout.plain)
        return UnitPolymorphic(out) if function is jnp.zeros_like else out

    rule.__name__ = rule.__qualname__ = f"_{function.__name__}"
    # By name: where JAX calls it, as `x.at[i].divide` does, its primitives serve.
    register_rule(NamedArray, f"jax.numpy.{function.__name__}", rule)


register_labelling(NamedArray, _through)
for _function in (jnp.zeros_like, jnp.ones_like, jnp.full_like):
    _of_template(_function)
for _function in (jnp.median, jnp.nanmedian):
    _of_median(_function)
register_rule(NamedArray, jnp.linalg.solve, _solve)
register_rule(NamedArray, jnp.diagonal, _diagonal)
for _function in (jnp.quantile, jnp.percentile, jnp.nanquantile, jnp.nanpercentile):
    _of_quantiles(_function)
_of_matrix(jnp.linalg.inv, "cr")
_of_matrix(jnp.linalg.det, "")
_of_matrix(jnp.linalg.slogdet, "", "")
_of_matrix(jnp.linalg.cholesky, "r-")
_of_matrix(jnp.linalg.eigh, "-", "r-")
_of_matrix(jnp.linalg.eigvalsh, "-")
_of_matrix(jnp.linalg.matrix_power, "rc")
_of_matrix(jax.scipy.linalg.expm, "rc")
