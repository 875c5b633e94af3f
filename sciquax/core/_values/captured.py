"""Values that a function captures rather than receives: `g = Quantity(9.81, "m/s**2")`.

While a function is staged, a captured value that meets JAX binds `inject`: its operands are the
value's leaves and its parameter is its tree structure. The interpreter turns it back into the
value. The primitive exists only between staging and interpretation.
"""

from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax.interpreters import ad, batching, mlir

from .._compat.execution import under_trace_of
from .._compat.jaxprs import (
    Primitive,
    ShapedArray,
    aval_of_struct,
    bodies,
    on_mesh_of,
    open_jaxpr,
    struct_of,
)
from .._compat.trees import taken_apart
from .._errors import outside
from .._weak_cache import WeakCache
from .kinds import VALUE_TYPES, aval_of
from .mode import MODE, not_staging


class CapturedValue(BaseException):
    """Internal: a function called directly handed a captured value to JAX; stage it instead.

    Not an `Exception`, so that `except Exception` in the user's code does not swallow it.
    """


inject_p = Primitive("inject")


def inject(value: Any) -> Any:
    """A tracer that stands for `value` in the program being staged, or for the array in it."""
    leaves, tree = taken_apart(value)
    if value.is_array():
        with under_trace_of(leaves, MODE.trace):
            return jnp.asarray(*leaves)
    with under_trace_of(leaves, MODE.trace):
        return inject_p.bind(*[jnp.asarray(leaf) for leaf in leaves], tree=tree)


def eject(operands: Any, tree: Any) -> Any:
    """The value that an `inject` equation stands for."""
    return jtu.tree_unflatten(tree, operands).canonical()


@inject_p.def_abstract_eval
def _inject_aval(*avals, tree):
    structs = [*map(struct_of, avals)]
    with not_staging():
        try:
            return typeof_aval(jtu.tree_unflatten(tree, structs))
        except Exception:  # an `aval` that computes with the leaves
            found = []
            jax.eval_shape(
                lambda *xs: found.append(typeof_aval(jtu.tree_unflatten(tree, xs))), *structs
            )
            return found[0]


def typeof_aval(value: Any) -> Any:
    """A value's abstract value as JAX's own class, on the mesh on which its arrays are."""
    aval = value.aval()
    if type(aval) is not ShapedArray or not aval.sharding.mesh.empty:
        aval = aval_of_struct(struct_of(aval))
    if not aval.sharding.mesh.empty:
        return aval
    arrays = [x for x in taken_apart(value)[0] if isinstance(x, (jax.Array, jax.ShapeDtypeStruct))]
    return on_mesh_of(aval, [*map(aval_of, arrays)])


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


# -- values made of numbers that are being differentiated -----------------------------------------


def _inject_jvp(primals, tangents, *, tree):
    out = inject_p.bind(*primals, tree=tree)
    value = jtu.tree_unflatten(tree, primals)
    if not _is_linear(value):
        raise NotImplementedError(
            f"A quaxified function made a `{type(value).__name__}` from arrays that are being "
            "differentiated. Only types that label a single array have a derivative there."
        )
    with not_staging():
        leaves, tangent_tree = taken_apart(value.as_tangent([*map(ad.instantiate_zeros, tangents)]))
    return out, inject_p.bind(*leaves, tree=tangent_tree)


def _is_linear(value: Any) -> bool:
    """Whether a value is the sum of those made of the parts of its arrays."""
    while type(value) in VALUE_TYPES:
        if value.payload is None:
            return value.sums_by_parts
        value = getattr(value, value.payload)
    return True


def _inject_transpose(cotangent, *operands, tree):
    """The transpose for a label that is a factor, as a unit is: the product with that factor."""
    (operand,) = operands
    try:
        one = inject_p.bind(jnp.ones((), operand.aval.dtype), tree=tree)
    except Exception as error:  # a name for each axis
        name = type(jtu.tree_unflatten(tree, [None])).__name__
        raise NotImplementedError(
            f"A quaxified function made a `{name}` from an array by which `grad` differentiates. "
            "Differentiate by the value, or make the value outside the function."
        ) from error
    return (None if type(cotangent) is ad.Zero else cotangent * one,)


ad.primitive_jvps[inject_p] = _inject_jvp
ad.primitive_transposes[inject_p] = _inject_transpose


# -- where there are any --------------------------------------------------------------------------

_with_inject: WeakCache = WeakCache()


def contains_inject(eqn: Any) -> bool:
    """Whether a captured value occurs in the functions that an equation holds."""
    return any(_jaxpr_contains_inject(body) for body in bodies(eqn.params))


def _jaxpr_contains_inject(body: Any) -> bool:
    found = _with_inject.get(body, ())
    if found is None:
        jaxpr, _ = open_jaxpr(body)
        found = any(_makes_values(e.primitive) or contains_inject(e) for e in jaxpr.eqns)
        _with_inject.put(body, (), found)
    return found


def _makes_values(primitive: Any) -> bool:
    """Whether a primitive may return values where no operand is one."""
    return primitive is inject_p or getattr(primitive, "makes_values", False)
