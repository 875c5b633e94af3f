"""The values of a jaxpr's variables while it is interpreted."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from .._compat.jaxprs import Literal
from .._errors import MisshapenError, RuleError, at_equation
from .kinds import aval_of, describe, short_aval
from .unit_polymorphic import UnitPolymorphic, is_polymorphic_literal


class Environment(dict):
    """The value of each variable of a jaxpr.

    `misshapen` holds results of rules in other shapes than JAX's, with the equations. The jaxpr was
    staged with JAX's shapes: an equation that takes such a result would not do what is meant.
    `failed` holds the errors of equations that were refused. `wider` says whether some integer of
    the program is floating point, see `_widened.py`.
    """

    def __init__(self):
        super().__init__()
        self.wider = False
        self.failed: dict[Any, Exception] = {}
        self.misshapen: dict[Any, tuple[Any, Any]] = {}

    def __missing__(self, var: Any) -> Any:
        if var in self.failed:
            raise self.failed[var]
        result, eqn = self.misshapen[var]
        error = MisshapenError(
            f"The rule for `{eqn.primitive.name}` made {describe(result)} where JAX makes "
            f"{short_aval(var.aval)}, and later operations rely on that.",
            "A function is traced with JAX's shapes before it is interpreted. Return JAX's shape, "
            "or end the quaxified function there and go on outside of it.",
        )
        at_equation(error, eqn)
        raise error


def is_wider(x: Any, var: Any) -> bool:
    """Whether an array is floating point where the program has an integer."""
    return is_integer(var.aval) and jnp.issubdtype(aval_of(x).dtype, jnp.inexact)


def any_wider(values: Sequence[Any], variables: Sequence[Any]) -> bool:
    """Whether any array is floating point where the program has an integer."""
    return any(map(is_wider, values, variables))


def is_integer(aval: Any) -> bool:
    """Whether an abstract value is of integers; not of bools."""
    return getattr(aval.dtype, "kind", "") in "iu"


def checked(eqn: Any, results: Any, env: Environment) -> Sequence[Any]:
    """A rule's checked results, each an array or a value. Other shapes than JAX's are noted."""
    outvars = eqn.outvars
    if not isinstance(results, (list, tuple)):
        results = list(results) if hasattr(type(results), "__iter__") else [results]
    if len(results) != len(outvars):
        raise RuleError(
            f"The rule for `{eqn.primitive.name}` returned {len(results)} results, where JAX "
            f"returns {len(outvars)}.",
            f"Return a list of {len(outvars)} arrays or values.",
        )
    for x, var in zip(results, outvars, strict=True):
        try:
            shape = aval_of(x).shape
            env.wider = env.wider or is_wider(x, var)
        except TypeError:
            raise RuleError(
                f"The rule for `{eqn.primitive.name}` returned {x!r}, which is neither an array "
                "nor a value."
            ) from None
        if shape != var.aval.shape:
            env.misshapen[var] = x, eqn
    return results


def read(env: dict[Any, Any], var: Any) -> Any:
    return var.val if type(var) is Literal else env[var]


def tag_literals(invars: Sequence[Any], operands: list[Any]) -> list[Any]:
    """`operands` with literal 0, inf and nan marked as belonging to every unit."""
    tagged = operands
    for i, var in enumerate(invars):
        if type(var) is Literal and is_polymorphic_literal(var.val):
            if tagged is operands:
                tagged = list(operands)
            tagged[i] = UnitPolymorphic(operands[i])
    return tagged
