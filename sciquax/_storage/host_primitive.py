"""Primitives that NumPy and SciPy compute on the host, of operands with one leading axis.

Of what is there, they are computed at once, on the arrays themselves. Within compiled programs the
host is called: operands are copied to it, from devices too.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import batching, mlir

from sciquax.core.internal import Primitive


def host_primitive(name: str, avals: Callable, compute: Callable) -> Any:
    """A primitive whose operands' leading axes have length one, or that of a batch.

    **Arguments**: its name; `avals(*operands, **params)`, the results' abstract values, given the
    operands'; and `compute(*arrays, **params)`, which returns the results as NumPy arrays.
    """
    primitive = Primitive(name)
    primitive.multiple_results = True

    def impl(*operands: Any, **params: Any) -> list[Any]:
        outs = compute(*map(np.asarray, operands), **params)
        device = next((x.sharding for x in operands if isinstance(x, jax.Array)), None)
        return [jax.device_put(x, device) for x in outs]

    def lowering(ctx: Any, *operands: Any, **params: Any) -> Any:
        results, _, _ = mlir.emit_python_callback(
            ctx,
            lambda *arrays: tuple(compute(*arrays, **params)),
            None,
            list(operands),
            ctx.avals_in,
            ctx.avals_out,
            has_side_effect=False,
            returns_token=False,
        )
        return results

    def batch(operands: Sequence[Any], axes: Sequence[Any], **params: Any) -> Any:
        mapped = [a is not None for a in axes]
        size = next(x.shape[a] for x, a, m in zip(operands, axes, mapped, strict=True) if m)
        front = [
            jnp.moveaxis(x, a, 0) if m else x[None]
            for x, a, m in zip(operands, axes, mapped, strict=True)
        ]
        inner = max(x.shape[1] for x in front)
        merged = []
        for x in front:
            if x.shape[:2] != (1, 1):
                x = jnp.broadcast_to(x, (size, inner, *x.shape[2:]))
            merged.append(x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]))
        outs = primitive.bind(*merged, **params)
        return [x.reshape(size, inner, *x.shape[1:]) for x in outs], [0] * len(outs)

    primitive.def_impl(impl)
    primitive.def_abstract_eval(avals)
    mlir.register_lowering(primitive, lowering)
    batching.primitive_batchers[primitive] = batch
    return primitive


def length(*operands: Any) -> int:
    """That of the leading axis of results."""
    return max(x.shape[0] for x in operands)
