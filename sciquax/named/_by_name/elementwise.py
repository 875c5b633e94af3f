"""Elementwise functions by name: `named.where`, `named.exp`, `named.maximum`, ..."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._array.axes import axes
from .._array.base import as_named, bare
from .._labels.distances import inexact, with_leaf
from .._labels.host_functions import dates_of
from .alignment import alignment
from .call_jax import apply


def elementwise(op: str, function: Callable[..., Any], *operands: Any, **kwargs: Any) -> Any:
    """`function` of operands aligned by name: named arrays and numbers."""
    named = [as_named(x, op) for x in operands]
    plan = alignment(op, tuple(x._axes for x in named))
    plan.check(op, [x.array.shape for x in named])
    arrays = [
        # A Python number stays one, so that it does not decide the result's dtype.
        given if isinstance(given, (bool, int, float, complex)) else step(x.array)
        for given, step, x in zip(operands, plan.steps, named, strict=True)
    ]
    out = apply(function, *arrays, **kwargs)
    if isinstance(out, (tuple, list)):
        return type(out)(bare(x, plan.axes) for x in out)
    return bare(out, plan.axes)


def where(condition: Any, x: Any, y: Any) -> Any:
    """`x` where a condition holds, else `y`, all aligned by name.

    **Raises** `AxisSizeError` where a name has two sizes, `PositionalError` for a plain array with
    axes.
    """
    return elementwise("where", jnp.where, condition, x, y)


def keep_where(a: Any, condition: Any) -> Any:
    """`a` where a condition holds, else nan, in any unit; integers become floating point."""
    mask = as_named(condition, "where")
    if (dates := dates_of(a)) is not None and isinstance(mask.array, np.ndarray):
        return where(mask, a, bare(np.array("NaT", dates.dtype), axes(()))).transpose(*a.dims, ...)
    a = inexact(a)
    plan = alignment("where", (a._axes, mask._axes))
    plan.check("where", [a.array.shape, mask.array.shape])
    both = bare(plan.steps[0](a.array), plan.axes)
    held = plan.steps[1](mask.array)
    shape = np.broadcast_shapes(held.shape, both.array.shape)
    both = bare(apply(jnp.broadcast_to, both.array, shape), plan.axes)
    return bare(with_leaf(both, lambda x: jnp.where(held, x, jnp.nan)), plan.axes)


def clip(a: Any, min: Any = None, max: Any = None) -> Any:
    """`a` between two bounds, aligned by name. None is no bound."""
    if min is not None:
        a = maximum(a, min)
    if max is not None:
        a = minimum(a, max)
    return a


def _elementwise(name: str, function: Callable, n: int) -> Callable:
    def wrapped(*operands: Any, **kwargs: Any) -> Any:
        if len(operands) != n:
            raise TypeError(f"`{name}` takes {n} array{'s' if n > 1 else ''}, not {len(operands)}.")
        return elementwise(name, function, *operands, **kwargs)

    wrapped.__name__ = wrapped.__qualname__ = name
    wrapped.__doc__ = f"`{function.__module__}.{name}`, elementwise, by name."
    return wrapped


_UNARY = (
    "abs absolute negative positive sign sqrt cbrt square reciprocal exp exp2 expm1 log log2 log10 "
    "log1p sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh floor ceil "
    "trunc rint round isnan isinf isfinite logical_not invert real imag conj angle deg2rad rad2deg "
    "degrees radians nan_to_num sinc signbit fabs i0"
).split()
_BINARY = (
    "add subtract multiply divide true_divide floor_divide mod remainder fmod power float_power "
    "maximum minimum fmax fmin hypot arctan2 copysign nextafter ldexp heaviside logaddexp "
    "logaddexp2 equal not_equal less less_equal greater greater_equal logical_and logical_or "
    "logical_xor bitwise_and bitwise_or bitwise_xor left_shift right_shift isclose gcd lcm divmod"
).split()
_NN = (
    "relu relu6 sigmoid softplus silu swish gelu elu selu leaky_relu log_sigmoid soft_sign".split()
)

for _name in _UNARY:
    globals()[_name] = _elementwise(_name, getattr(jnp, _name), 1)
for _name in _BINARY:
    globals()[_name] = _elementwise(_name, getattr(jnp, _name), 2)
for _name in _NN:
    globals()[_name] = _elementwise(_name, getattr(jax.nn, _name), 1)

ELEMENTWISE = (*_UNARY, *_BINARY, *_NN)
"""The elementwise functions of this module that are `jax.numpy`'s and `jax.nn`'s by name."""

maximum: Callable = globals()["maximum"]
minimum: Callable = globals()["minimum"]


def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8) -> Any:
    """Whether all elements are close, aligned by name."""
    return elementwise("allclose", jnp.isclose, a, b, rtol=rtol, atol=atol).all().array
