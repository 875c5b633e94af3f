"""Values that a function captures rather than receives: `g = Quantity(9.81, "m/s**2")`.

While a function is staged, a captured value that meets JAX binds `inject`: its operands are the
value's leaves and its parameter is its tree structure. The interpreter turns it back into the
value. The primitive exists only between staging and interpretation.
"""

from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax.interpreters import batching, mlir

from .._compat.jaxprs import Primitive, ShapedArray
from .._errors import outside
from .mode import MODE


class CapturedValue(BaseException):
    """Internal: a function called directly handed a captured value to JAX; stage it instead.

    Not an `Exception`, so that `except Exception` in the user's code does not swallow it.
    """


inject_p = Primitive("inject")


def inject(value: Any) -> Any:
    """A tracer that stands for `value` in the program being staged."""
    leaves, tree = jtu.tree_flatten(value)
    return inject_p.bind(*[jnp.asarray(leaf) for leaf in leaves], tree=tree)


def eject(operands: Any, tree: Any) -> Any:
    """The value that an `inject` equation stands for."""
    return jtu.tree_unflatten(tree, operands).canonical()


@inject_p.def_abstract_eval
def _inject_aval(*avals, tree):
    structs = [jax.ShapeDtypeStruct(a.shape, a.dtype, weak_type=a.weak_type) for a in avals]
    try:
        return typeof_aval(jtu.tree_unflatten(tree, structs))
    except Exception:  # an `aval` that computes with the leaves
        found = []
        jax.eval_shape(
            lambda *xs: found.append(typeof_aval(jtu.tree_unflatten(tree, xs))), *structs
        )
        return found[0]


def typeof_aval(value: Any) -> Any:
    """A value's abstract value as JAX's own class, sharding and all."""
    aval = value.aval()
    struct = jax.ShapeDtypeStruct(
        aval.shape, aval.dtype, weak_type=getattr(aval, "weak_type", False)
    )
    return ShapedArray(struct.shape, struct.dtype, weak_type=struct.weak_type)


def _refuse(*_, tree, **__):
    # A jitted function that was traced within `quaxify` is found again by JAX outside of it.
    if MODE.direct:
        raise CapturedValue
    raise outside(type(jtu.tree_unflatten(tree, [None] * tree.num_leaves)).__name__)


inject_p.def_impl(_refuse)
mlir.register_lowering(inject_p, _refuse)


def _inject_batch(operands, dims, *, tree):
    sizes = {x.shape[d] for x, d in zip(operands, dims, strict=True) if d is not None}
    (size,) = sizes
    moved = [
        jnp.broadcast_to(x, (size, *x.shape)) if d is None else jnp.moveaxis(x, d, 0)
        for x, d in zip(operands, dims, strict=True)
    ]
    return inject_p.bind(*moved, tree=tree), 0


batching.primitive_batchers[inject_p] = _inject_batch
