"""Events: conditions that see quantities and may return one."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu

from sciquax.core import RuleError
from sciquax.units import Quantity
from sciquax.units._algebra import wrap

from .._places import at_function, at_stack, call
from .._units import TreeUnits, Working, has_quantity, is_quantity

TIMES = ("t0", "t1", "dt0")


def of_diffrax(fn: Any) -> bool:
    """Whether a condition is a `steady_state_event`: Diffrax's own, for bare magnitudes."""
    return getattr(fn, "__module__", None) == diffrax.steady_state_event().__module__


class Condition(eqx.Module):
    """An event's condition on bare magnitudes, made of the user's on quantities.

    Whether a quantity changes sign does not depend on its unit, so a returned one is stripped.
    """

    fn: Callable
    time: Any = eqx.field(static=True)
    state: TreeUnits = eqx.field(static=True)

    def __call__(self, t: Any, y: Any, args: Any, **kwargs: Any) -> Any:
        if self.state.unknown:
            return jnp.array(False)  # for the shapes only
        if of_diffrax(self.fn):
            # `steady_state_event` compares norms of magnitudes with the step size controller's
            # tolerances, in working units as these are.
            return self.fn(t, y, args, **kwargs)
        times = {k: wrap(kwargs[k], self.time) for k in TIMES if kwargs.get(k) is not None}
        known = {k: v for k, v in kwargs.items() if k not in times}
        fn = self.fn

        # What Diffrax passes on of the solve itself is no data of the user's: not staged.
        def condition(t: Any, y: Any, args: Any, times: dict[str, Any]) -> Any:
            return fn(t, y, args, **known, **times)

        condition.__wrapped__ = fn  # type: ignore[attr-defined]  # so that errors name it
        out = call(condition, wrap(t, self.time), self.state.label(y), args, times)
        if isinstance(out, Quantity):
            if out._unit.offset:
                error = RuleError(
                    f"An event's condition returned '{out._unit}', whose zero is not where nothing "
                    "is: its change of sign means nothing.",
                    "Subtract the value to watch for, or convert with `.to('kelvin')`.",
                )
                raise at_function(error, fn)
            return out.magnitude
        return out


def bare_event(event: Any, working: Working) -> Any:
    """The event for Diffrax to watch on bare magnitudes.

    **Raises** `RuleError` for a root finder that holds quantities.
    """
    if event is None:
        return None
    if has_quantity(event.root_finder):
        quantity = next(
            x for x in jtu.tree_leaves(event.root_finder, is_leaf=is_quantity) if is_quantity(x)
        )
        raise at_stack(
            RuleError(
                f"The root finder of an `Event` holds {quantity!r}: its tolerances are used for "
                "the time of the event and for the condition's value alike, in their own units.",
                "Give plain numbers: of the unit of `t0`, and of what the condition returns.",
            )
        )
    conditions = jtu.tree_map(
        lambda fn: Condition(fn, working.time, working.state), event.cond_fn, is_leaf=callable
    )
    return diffrax.Event(conditions, event.root_finder, event.direction)
