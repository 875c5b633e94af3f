"""Zeros and infinities that a program computes while it is traced.

Within `jax.ensure_compile_time_eval()` JAX computes `jnp.zeros(3)` at once, so that the program
holds an array like any other that it captured. It is a constant of every unit all the same.
"""

import weakref
from collections.abc import Callable
from typing import Any

import jax

from .._compat.jaxprs import Tracer
from .mode import MODE
from .unit_polymorphic import is_polymorphic_literal

_made: weakref.WeakValueDictionary[int, jax.Array] = weakref.WeakValueDictionary()


def is_early_constant(x: jax.Array) -> bool:
    """Whether a captured array was made of one literal while a function was traced."""
    return _made.get(id(x)) is x


def noting(original: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.lax.full`, which notes what it computes at once."""

    def full(shape: Any, fill_value: Any, *args: Any, **kwargs: Any) -> Any:
        out = original(shape, fill_value, *args, **kwargs)
        if MODE.staging and not isinstance(out, Tracer) and is_polymorphic_literal(fill_value):
            _made[id(out)] = out
        return out

    return full
