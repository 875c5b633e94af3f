"""Step size controllers whose tolerances and times may be quantities.

The classes only hold quantities; `bare_controller` makes of one what Diffrax steps with.
"""

import dataclasses
import types
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from sciquax.core.internal import add_hook
from sciquax.units import Quantity
from sciquax.units.internal import magnitude_of, own_unit, wrap

from .._solving.edited import edited
from .._solving.tolerances import TreeTolerance, atol_to_units, number, refuse_quantities
from .._solving.tree_units import Working, has_quantity, stack_times, time_to_unit
from .._solving.trial import is_own
from ._own_controller import own_controller


class StepTo(diffrax.StepTo):
    """Make steps to just the times given, as `diffrax.StepTo`.

    **Arguments**: `ts`, the times, in any unit of time: one quantity, or a sequence of them.
    """


class _PIDMeta(type(diffrax.PIDController)):
    """`PIDController(..., jump_ts=)` makes a `ClipStepSizeController`, here one of ours."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        step_ts, jump_ts = kwargs.pop("step_ts", None), kwargs.pop("jump_ts", None)
        controller = super().__call__(*args, **kwargs)
        if step_ts is None and jump_ts is None:
            return controller
        return ClipStepSizeController(controller, step_ts, jump_ts)


class PIDController(diffrax.PIDController, metaclass=_PIDMeta):
    """Adapts the step size to tolerances, as `diffrax.PIDController`.

    **Arguments**

    - `rtol`: relative tolerance, a number.
    - `atol`: absolute tolerance: a number, in the units of `y0`, leaf by leaf, so that `1e-6` is
      1e-6 m for a leaf in m; or a quantity, for a state that measures one thing; or a tree shaped
      like `y0` (or a prefix of it) of quantities and numbers.
    - `dtmin`, `dtmax`: the smallest and the largest step, durations in any unit of time.
    - `norm`: sees numbers, the error in multiples of what the tolerances allow, in a tree shaped
      like `y0`.
    - the others as in Diffrax; `step_ts` and `jump_ts` give a `ClipStepSizeController`, as there.

    **Raises** nothing by itself; `diffeqsolve` raises `DimensionalityError` for tolerances that
    measure something else than the state does.

    ```python
    >>> from sciquax.interop import diffrax as dfx
    >>> from sciquax.units import Quantity
    >>> atol = {"x": Quantity(1.0, "um"), "v": Quantity(1.0, "um/s")}
    >>> controller = dfx.PIDController(rtol=1e-6, atol=atol, dtmax=Quantity(5.0, "ms"))

    ```
    """

    rtol: Any
    atol: Any
    dtmin: Any = None
    dtmax: Any = None


class ClipStepSizeController(diffrax.ClipStepSizeController[Any, Any]):
    """Steps exactly to certain times, as `diffrax.ClipStepSizeController`.

    **Arguments**: `controller` and `store_rejected_steps` as there; `step_ts` and `jump_ts` are
    times, in any unit of time: one quantity, or a sequence of them.
    """

    step_ts: Any
    jump_ts: Any

    def __init__(
        self,
        controller: Any,
        step_ts: Any = None,
        jump_ts: Any = None,
        store_rejected_steps: int | None = None,
        _callback_on_reject: Callable[..., Any] | None = None,
    ):
        super().__init__(controller, step_ts, jump_ts, store_rejected_steps, _callback_on_reject)


def _with_times(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `__init__` of a controller, Diffrax's or the user's, so that times keep their units."""

    def hook(
        self: Any,
        controller: Any,
        step_ts: Any = None,
        jump_ts: Any = None,
        *args: Any,
        **rest: Any,
    ) -> None:
        times = {"step_ts": stack_times(step_ts), "jump_ts": stack_times(jump_ts)}
        quantities = {name: ts for name, ts in times.items() if isinstance(ts, Quantity)}
        given = times | dict.fromkeys(quantities)
        original(self, controller, given["step_ts"], given["jump_ts"], *args, **rest)
        for name, ts in quantities.items():
            setattr(self, name, ts)

    return hook


def _turning_times(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the method `wrap` so that times keep their units for a user's controller around it."""

    def hook(self: Any, direction: Any) -> Any:
        if not has_quantity((self.step_ts, self.jump_ts)):
            return original(self, direction)

        def turned(ts: Any) -> Any:
            return (
                None if ts is None else wrap(jnp.sort(magnitude_of(ts) * direction), own_unit(ts))
            )

        times = {name: turned(getattr(self, name)) for name in ("step_ts", "jump_ts")}
        return edited(self, controller=self.controller.wrap(direction), **times)

    return hook


# Where a module is made, Equinox asks the field, of Diffrax's class and all that it is the base of.
for _field in dataclasses.fields(diffrax.StepTo):
    if _field.name == "ts":
        _in_any_unit = {"converter": lambda ts: _as_array(stack_times(ts))}
        _field.metadata = types.MappingProxyType({**_field.metadata, **_in_any_unit})
add_hook(diffrax.ClipStepSizeController.__init__, _with_times, now=True)
add_hook(diffrax.ClipStepSizeController.wrap, _turning_times, now=True)


class TreePIDController(diffrax.PIDController):
    """A PID controller with an absolute tolerance for each leaf of the state."""

    atol: Any

    def adapt_step_size(
        self,
        t0: Any,
        t1: Any,
        y0: Any,
        y1_candidate: Any,
        args: Any,
        y_error: Any,
        error_order: Any,
        controller_state: Any,
    ) -> Any:
        """Scale the error leaf by leaf, so that Diffrax compares it with the tolerance 1."""
        scaled = y_error
        if y_error is not None:

            def scale(atol: Any, y0: Any, y1: Any, error: Any) -> Any:
                # The same as in `diffrax.PIDController.adapt_step_size`.
                y1 = jnp.where(jnp.isnan(y1).any(), y0, y1)
                size = jnp.maximum(jnp.abs(y0), jnp.abs(y1))
                with jax.numpy_dtype_promotion("standard"):
                    return error / (atol + size * self.rtol)

            scaled = jtu.tree_map(scale, self.atol.tree, y0, y1_candidate, y_error)
        zeros = jtu.tree_map(jnp.zeros_like, y0)
        judge = eqx.tree_at(lambda c: (c.rtol, c.atol), self, (0.0, 1.0))
        return diffrax.PIDController.adapt_step_size(
            judge, t0, t1, zeros, zeros, args, scaled, error_order, controller_state
        )


def bare_controller(controller: Any, working: Working) -> Any:
    """The controller for Diffrax to step with, on bare magnitudes.

    One of a class of the user's runs on quantities, see `_own_controller`.

    **Raises** `DimensionalityError` for tolerances and times of another dimension.
    """
    own = own_controller(controller, working)
    if own is None or working.unitless and not has_quantity(controller):
        return diffrax_controller(controller, working)
    return own


def diffrax_controller(controller: Any, working: Working) -> Any:
    """The part of a controller that is Diffrax's, on bare magnitudes: a subclass may hold more."""
    name = type(controller).__name__
    if isinstance(controller, diffrax.ClipStepSizeController):
        return eqx.tree_at(
            lambda c: (c.controller, c.step_ts, c.jump_ts),
            controller,
            (
                bare_controller(controller.controller, working),
                time_to_unit(controller.step_ts, working.time, "step_ts", name),
                time_to_unit(controller.jump_ts, working.time, "jump_ts", name),
            ),
            is_leaf=lambda x: x is None,
        )
    if isinstance(controller, diffrax.PIDController):
        return _bare_pid(controller, working)
    if isinstance(controller, diffrax.StepTo):
        cls = diffrax.StepTo if type(controller) is StepTo else None
        ts = _as_array(time_to_unit(controller.ts, working.time, "ts", name))
        return edited(controller, cls, ts=ts)
    return controller


def _bare_pid(controller: diffrax.PIDController, working: Working) -> diffrax.PIDController:
    name = type(controller).__name__
    given = (controller.rtol, controller.atol, controller.dtmin, controller.dtmax)
    bare = (
        number(controller.rtol, "rtol", name),
        atol_to_units(controller.atol, working, name),
        time_to_unit(controller.dtmin, working.time, "dtmin", name),
        time_to_unit(controller.dtmax, working.time, "dtmax", name),
    )
    if any(x is not y for x, y in zip(given, bare, strict=True)):
        controller = eqx.tree_at(
            lambda c: (c.rtol, c.atol, c.dtmin, c.dtmax),
            controller,
            bare,
            is_leaf=lambda x: x is None or x is given[1],
        )
    if is_own(controller):
        return controller
    refuse_quantities(controller)
    if not isinstance(controller.atol, TreeTolerance):
        return controller
    return edited(controller, TreePIDController)


def _as_array(ts: Any) -> Any:
    return ts if isinstance(ts, Quantity) else jnp.asarray(ts)
