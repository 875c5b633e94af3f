"""Telling when a value becomes a plain array because an operation has no rule for its type.

That is legitimate for types which allow it, and rarely meant: a matrix whose structure was to be
kept is stored whole from there on.
"""

import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

from .._errors import Location, RuleError, current_location
from .kinds import describe

LOGGER = logging.getLogger("sciquax")


class Materialisation(NamedTuple):
    """A value that became a plain array: what it was, for which operation, and where."""

    value: str
    operation: str
    location: Location | None

    def __str__(self) -> str:
        place = "" if self.location is None else f"\n  at {self.location}"
        return f"`{self.operation}` materialised {self.value}.{place}"


class _Logs(threading.local):
    open: tuple[tuple[list[Materialisation], bool], ...] = ()


_LOGS = _Logs()


@contextlib.contextmanager
def log_materialisations(*, error: bool = False) -> Iterator[list[Materialisation]]:
    """While values are materialised in this block, a list is kept of which and where.

    Only what types do by themselves counts, an operation without a rule or branches of different
    types that are joined; not a call of `.materialise()`. Under `jax.jit` it happens when JAX
    traces. Whether or not a block is open, each is logged to `logging.getLogger("sciquax")` at
    level DEBUG.

    **Arguments**: `error`, whether to raise instead.

    **Returns** a context manager that gives the list; its items have `value`, `operation` and
    `location`.

    **Raises** `RuleError` at the first, with `error=True`.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import log_materialisations, quaxify
    >>> from sciquax.quantised import quantise
    >>> weights = quantise(jnp.array([1.0, 2.0]))
    >>> with log_materialisations() as log:
    ...     y = quaxify(jnp.tanh)(weights)
    >>> print([(item.operation, item.value) for item in log])
    [('tanh', 'QuantisedArray(int8, f32[2])')]

    ```
    """
    made: list[Materialisation] = []
    before = _LOGS.open
    _LOGS.open = (*before, (made, error))
    try:
        yield made
    finally:
        _LOGS.open = before


def materialised(value: Any, operation: str) -> Any:
    """Materialise a value for an operation that has no other way, and log it.

    **Raises** `RuleError` within `log_materialisations(error=True)`.
    """
    tell(value, operation)
    return value.materialise()


def tell(value: Any, operation: str) -> None:
    """Say that `value` is about to become a plain array for `operation`."""
    logs = _LOGS.open
    if value.transient or not logs and not LOGGER.isEnabledFor(logging.DEBUG):
        return

    happened = Materialisation(describe(value), operation, current_location())
    LOGGER.debug("%s", happened)
    for made, error in logs:
        made.append(happened)
        if error:
            raise RuleError(
                f"`{operation}` materialises {happened.value}, within "
                "`log_materialisations(error=True)`.",
                "Register a rule, or write `.materialise()` where a plain array is meant.",
            )
