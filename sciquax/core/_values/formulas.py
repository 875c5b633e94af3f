"""Plain arrays that are known by a formula, kept as the formula where structured types take part.

`jnp.eye(n)` is two `iota`s and a comparison; `jnp.where(mask, x, 0)` fills an array with zeros. To
a matrix that stores its diagonals, meeting these as arrays of all elements would be the end of its
structure. So where an operand's type says `wants_deferred`, primitives that make large arrays of
nothing are asked here first. What they then give is `transient`: it becomes a plain array wherever
a type does not know it, and at the end of each function that is interpreted.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.tree_util as jtu

from .._compat.jaxprs import varying_alike
from .kinds import VALUE_TYPES
from .mode import MODE
from .unit_polymorphic import strip

Maker = Callable[[Sequence[Any], dict[str, Any]], Any]
_makers: dict[str, Maker] = {}


def register_deferred(name: str, maker: Maker) -> Maker:
    """Keep the result of a primitive as a formula for types that ask for formulas.

    Masks and constants are arrays of n x n elements that a structured matrix would rather not see.

    **Arguments**: the primitive's name, and `maker(operands, params)`, which returns a transient
    value, or None to compute the array as usual.
    """
    _makers[name] = maker
    return maker


def wants_deferred(x: Any) -> bool:
    """Whether a value, or one nested in it, asks for formulas in place of arrays."""
    if type(x) not in VALUE_TYPES:
        return False
    return x.wants_deferred or any(map(wants_deferred, vars(x).values()))


def bind_plain(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """Bind a primitive on plain arrays, or defer it."""
    if MODE.deferring and (maker := _makers.get(primitive.name)) is not None:
        made = maker(operands, params)
        if made is not None:
            return made
    try:
        return primitive.bind(*operands, **params)
    except ValueError:  # perhaps within `shard_map`: what a rule brought along varies along no axis
        alike = varying_alike(operands)
        if all(x is y for x, y in zip(alike, operands, strict=True)):
            raise
        return primitive.bind(*alike, **params)


def settle(x: Any) -> Any:
    """`x` with its formulas computed as plain arrays."""
    if type(x) not in VALUE_TYPES:
        return x
    return jtu.tree_map(
        lambda leaf: leaf.materialise() if is_transient(leaf) else leaf, x, is_leaf=is_transient
    )


def is_transient(x: Any) -> bool:
    """Whether a value is a formula, perhaps within a constant of every unit."""
    x = strip(x)
    return type(x) in VALUE_TYPES and x.transient


def grows(eqn: Any) -> bool:
    """Whether a call on plain operands returns more elements than it gets, as `jnp.diag` does."""
    given = max((var.aval.size for var in eqn.invars), default=0)
    return any(len(var.aval.shape) >= 2 and var.aval.size > given for var in eqn.outvars)
