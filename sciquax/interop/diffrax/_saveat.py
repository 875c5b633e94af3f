"""`SaveAt` with units: times, and functions of the state that take and return quantities."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core.internal import add_hook
from sciquax.units import Quantity
from sciquax.units.internal import wrap

from .._solving.edited import edited
from .._solving.flattened_values import pack, unpack
from .._solving.tree_units import TreeUnits, Working, stack_times, time_to_unit, without_units
from .._solving.user_functions import call

SAVE_Y = diffrax.SubSaveAt(t1=True).fn
"""Diffrax's default `fn`, told by identity: some adjoints allow no other."""


def _with_times(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `SubSaveAt.__init__`, Diffrax's or a subclass's, so that times keep their units."""

    def hook(self: Any, *, ts: Any = None, **given: Any) -> None:
        ts = stack_times(ts)
        quantity = isinstance(ts, Quantity)
        original(self, ts=ts.magnitude if quantity else ts, **given)
        if quantity and self.ts is not None:
            self.ts = ts

    return hook


add_hook(diffrax.SubSaveAt.__init__, _with_times, now=True)


class SubSaveAt(diffrax.SubSaveAt):
    """As `diffrax.SubSaveAt`, with times and outputs that may be quantities.

    **Arguments**: `t0`, `t1`, `ts`, `steps`, `fn` as in [`SaveAt`][sciquax.interop.diffrax.SaveAt].
    """

    ts: Any

    def __init__(
        self,
        *,
        t0: bool = False,
        t1: bool = False,
        ts: Any = None,
        steps: bool | int = 0,
        fn: Callable[..., Any] = SAVE_Y,
    ):
        super().__init__(t0=t0, t1=t1, ts=ts, steps=steps, fn=fn)


class SaveAt(diffrax.SaveAt):
    """The parts of a solution to save: `diffrax.SaveAt` whose times may be quantities.

    **Arguments**

    - `t0`, `t1`, `steps`, `dense`, `solver_state`, `controller_state`, `made_jump`: as in Diffrax.
    - `ts`: times to save at, in any unit of time: one quantity, or a sequence of them.
    - `fn`: a function `fn(t, y, args)` of quantities that returns any tree of quantities and
      arrays; `sol.ys` has their units. The default saves `y`.
    - `subs`: a tree of [`SubSaveAt`][sciquax.interop.diffrax.SubSaveAt] instead of the above.

    **Raises** ValueError as Diffrax does; `diffeqsolve` raises `DimensionalityError` for times that
    measure something else.

    ```python
    >>> from sciquax.interop import diffrax as dfx
    >>> from sciquax.units import Quantity
    >>> dfx.SaveAt(ts=[0.0, Quantity(1.0, "min")]).subs.ts
    Quantity([0., 1.], 'min')

    ```
    """

    def __init__(
        self,
        *,
        t0: bool = False,
        t1: bool = False,
        ts: Any = None,
        steps: bool | int = False,
        fn: Callable[..., Any] = SAVE_Y,
        subs: Any = None,
        dense: bool = False,
        solver_state: bool = False,
        controller_state: bool = False,
        made_jump: bool = False,
    ):
        if subs is None and (t0 or t1 or (ts is not None) or steps):
            subs = SubSaveAt(t0=t0, t1=t1, ts=ts, steps=steps, fn=fn)
            t0, t1, ts, steps = False, False, None, False
        super().__init__(
            t0=t0,
            t1=t1,
            ts=ts,
            steps=steps,
            subs=subs,
            dense=dense,
            solver_state=solver_state,
            controller_state=controller_state,
            made_jump=made_jump,
        )


_NUMBER = (bool, int, float, complex, np.generic)


class SaveFunction(eqx.Module):
    """`fn(t, y, args)` on bare magnitudes, made of the user's on quantities.

    What it returns keeps its units: they are static parts of the tree that Diffrax saves into.
    """

    fn: Callable
    time: Any = eqx.field(static=True)
    state: TreeUnits = eqx.field(static=True)

    def __call__(self, t: Any, y: Any, args: Any) -> Any:
        out = call(self.fn, wrap(t, self.time), self.state.label(y), args)
        out = jtu.tree_map(lambda x: jnp.asarray(x) if isinstance(x, _NUMBER) else x, out)
        return without_units(out) if self.state.unknown else pack(out)


def is_sub(x: Any) -> bool:
    return isinstance(x, diffrax.SubSaveAt)


def times_of(saveat: diffrax.SaveAt) -> list[Any]:
    """The `ts` of all parts."""
    return [sub.ts for sub in jtu.tree_leaves(saveat.subs, is_leaf=is_sub) if is_sub(sub)]


def bare_saveat(saveat: diffrax.SaveAt, working: Working) -> diffrax.SaveAt:
    """The `SaveAt` for Diffrax, on bare magnitudes.

    **Raises** `DimensionalityError` for times that are none.
    """

    def bare_sub(sub: Any) -> Any:
        if not is_sub(sub):
            return sub
        fn = sub.fn
        if fn is not SAVE_Y:
            fn = SaveFunction(fn, working.time, working.state)
        ts = time_to_unit(sub.ts, working.time, "saveat.ts")
        return edited(sub, diffrax.SubSaveAt if type(sub) is SubSaveAt else None, ts=ts, fn=fn)

    subs = jtu.tree_map(bare_sub, saveat.subs, is_leaf=is_sub)
    return edited(saveat, diffrax.SaveAt if type(saveat) is SaveAt else None, subs=subs)


def label_saved(ys: Any, saveat: diffrax.SaveAt, working: Working) -> Any:
    """The saved states with their units; what a function of the user's gave has its own."""
    return unpack(map_saved(working.state.label, ys, saveat))


def map_saved(change: Callable[..., Any], ys: Any, saveat: diffrax.SaveAt) -> Any:
    """`ys` with `change` applied to the saved states, and not to what the user's functions gave."""

    def map_sub(sub: Any, saved: Any) -> Any:
        return change(saved) if is_sub(sub) and sub.fn is SAVE_Y else saved

    return jtu.tree_map(map_sub, saveat.subs, ys, is_leaf=is_sub)
