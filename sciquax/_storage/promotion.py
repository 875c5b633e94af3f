"""Rules compute under JAX's default promotion, whatever the user has set for their own code."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax

F = TypeVar("F", bound=Callable)


@contextlib.contextmanager
def lenient() -> Iterator[None]:
    """Ranks and dtypes promoted as by default: our own arithmetic is not the user's to check."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def leniently(rule: F) -> F:
    """Decorator: the rule, called within `lenient()`."""

    @functools.wraps(rule)
    def call(*args: Any, **kwargs: Any) -> Any:
        with lenient():
            return rule(*args, **kwargs)

    return call  # pyright: ignore[reportReturnType]
