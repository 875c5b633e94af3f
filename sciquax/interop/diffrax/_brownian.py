"""Brownian motion in time that has a unit: increments are in its square root.

W(t) - W(s) is normally distributed with variance t - s, so that W is in s**(1/2) for time in s.
"""

import dataclasses
from fractions import Fraction
from typing import Any

import diffrax
import equinox as eqx
import jax.tree_util as jtu

from sciquax.core import MODE
from sciquax.units import Quantity
from sciquax.units.internal import InternedUnit, own_unit, wrap

from .._solving.by_hand import methods_go_to
from .._solving.deferred_calls import deferrable
from .._solving.edited import edited
from .._solving.tolerances import number
from .._solving.tree_units import (
    TreeUnits,
    has_quantity,
    is_quantity,
    time_to_unit,
    tree_to_units,
)
from .._solving.user_functions import call, keep


def root(time: InternedUnit) -> InternedUnit:
    """The unit of Brownian motion."""
    return time ** Fraction(1, 2)


class VirtualBrownianTree(diffrax.VirtualBrownianTree):
    """Brownian motion that can be evaluated anywhere, as `diffrax.VirtualBrownianTree`.

    **Arguments**: as there; `t0`, `t1` and `tol` may be quantities, in any unit of time. Increments
    are in the square root of the unit of `t0`, in `diffeqsolve` of its working unit of time.

    **Raises** `DimensionalityError` for times that measure something else than `t0` does.

    ```python
    >>> import jax
    >>> from sciquax.interop import diffrax as dfx
    >>> from sciquax.units import Quantity
    >>> path = dfx.VirtualBrownianTree(
    ...     Quantity(0.0, "s"), Quantity(1.0, "s"), Quantity(1.0, "ms"), (), jax.random.key(0)
    ... )
    >>> print(path.evaluate(Quantity(0.0, "s"), Quantity(500.0, "ms")).units)
    second ** 0.5

    ```
    """

    t0: Any
    t1: Any
    tol: Any

    def __init__(
        self,
        t0: Any,
        t1: Any,
        tol: Any,
        shape: Any,
        key: Any,
        levy_area: Any = diffrax.BrownianIncrement,
        _spline: Any = "sqrt",
    ):
        if MODE.staging or not has_quantity((t0, t1, tol)):
            super().__init__(t0, t1, tol, shape, key, levy_area, _spline)
            return
        unit = own_unit(next(t for t in (t0, t1, tol) if isinstance(t, Quantity)))
        owner = type(self).__name__
        t0, t1, tol = (
            time_to_unit(t, unit, name, owner) for t, name in ((t0, "t0"), (t1, "t1"), (tol, "tol"))
        )
        super().__init__(t0, t1, tol, shape, key, levy_area, _spline)
        self.t0, self.t1 = wrap(self.t0, unit), wrap(self.t1, unit)

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True, use_levy: bool = False) -> Any:
        """The increment from `t0` to `t1`, or the value at `t0`.

        **Arguments**: times in any unit of time; `left` and `use_levy` as in Diffrax.

        **Returns** a tree of quantities in the square root of the unit of time.

        **Raises** `DimensionalityError` for times that are none.
        """
        return _evaluate(path=self, t0=t0, t1=t1, left=left, use_levy=use_levy)


class UnsafeBrownianPath(diffrax.UnsafeBrownianPath):
    """Brownian motion for fixed steps, as `diffrax.UnsafeBrownianPath`, with times in any unit."""

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True, use_levy: bool = False) -> Any:
        """The increment from `t0` to `t1`: as for `VirtualBrownianTree`."""
        return _evaluate(path=self, t0=t0, t1=t1, left=left, use_levy=use_levy)


@deferrable(keep=("t0", "t1"))
def _evaluate(path: Any, t0: Any, t1: Any, left: bool, use_levy: bool) -> Any:
    times = (getattr(path, "t0", None), t0, t1)
    unit = own_unit(next((t for t in times if isinstance(t, Quantity)), 0.0))
    bare = _on_magnitudes(path, unit)
    t0, t1 = time_to_unit(t0, unit, "t0", "evaluate"), time_to_unit(t1, unit, "t1", "evaluate")
    found = bare.evaluate(t0, t1, left, use_levy)
    if not isinstance(found, diffrax.AbstractBrownianIncrement):
        return jtu.tree_map(lambda w: wrap(w, root(unit)), found)
    labelled = {}
    for field in dataclasses.fields(found):
        own = TreeUnits.of(getattr(found, field.name)).map(
            lambda _, is_time=field.name == "dt": unit if is_time else root(unit)
        )
        labelled[field.name] = own.label(getattr(found, field.name))
    return type(found)(**labelled)


def bare_path(path: Any, time: InternedUnit) -> Any:
    """Brownian motion for Diffrax to evaluate at bare magnitudes, in the square root of `time`.

    The tree is stretched over its interval, so that converting its ends converts its increments.

    A subclass of Diffrax's classes works on bare magnitudes; one of this module's, and a class that
    is the user's altogether, on quantities.

    **Raises** `DimensionalityError` for one in plain time where time has a unit.
    """
    theirs = isinstance(path, (diffrax.UnsafeBrownianPath, diffrax.VirtualBrownianTree))
    if theirs and (type(path) in OURS or not isinstance(path, tuple(OURS))):
        return _on_magnitudes(path, time)
    if not theirs and time.unitless and not has_quantity(path):
        return path
    return BareBrownianPath(path=path, time=time)  # pyright: ignore[reportCallIssue]


OURS = {
    UnsafeBrownianPath: diffrax.UnsafeBrownianPath,
    VirtualBrownianTree: diffrax.VirtualBrownianTree,
}
for _ours, _theirs in OURS.items():
    methods_go_to(_ours, _theirs, "evaluate")


def _on_magnitudes(path: Any, time: InternedUnit) -> Any:
    """One of Diffrax's paths, or of this module's as Diffrax's, with its times as magnitudes."""
    cls = next((theirs for ours, theirs in OURS.items() if isinstance(path, ours)), None)
    if not isinstance(path, diffrax.VirtualBrownianTree):
        return edited(path, cls)
    name = type(path).__name__
    return edited(
        path,
        cls,
        t0=time_to_unit(path.t0, time, "t0", name),
        t1=time_to_unit(path.t1, time, "t1", name),
        tol=number(path.tol, "tol", name),
    )


class BareBrownianPath(diffrax.AbstractBrownianPath):
    """A Brownian path on bare magnitudes, made of one of the user's on quantities."""

    path: Any
    time: InternedUnit = eqx.field(static=True)

    @property
    def t0(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        return time_to_unit(self.path.t0, self.time, "t0", type(self.path).__name__)

    @property
    def t1(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        return time_to_unit(self.path.t1, self.time, "t1", type(self.path).__name__)

    @property
    def levy_area(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.path.levy_area

    @property
    def shape(self) -> Any:
        return self.path.shape

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True, use_levy: bool = False) -> Any:
        t0, t1 = wrap(t0, self.time), None if t1 is None else wrap(t1, self.time)
        evaluate = lambda path, t0, t1: path.evaluate(t0, t1, left, use_levy)  # noqa: E731
        evaluate.__wrapped__ = type(self.path).evaluate  # type: ignore[attr-defined]
        out = call(evaluate, self.path, t0, t1, finish=keep)

        def bare(name: str, x: Any) -> Any:
            unit = self.time if name == "dt" else root(self.time)
            due = TreeUnits.of(jtu.tree_map(lambda _: 0.0, x, is_leaf=is_quantity), name)
            return tree_to_units(
                x, due.map(lambda _: unit), type(self.path).evaluate, "The Brownian path",
                lambda name, unit: f"whose increments are in '{unit}'",
            )  # fmt: skip

        if not isinstance(out, diffrax.AbstractBrownianIncrement):
            return bare("W", out)
        return edited(out, **{f.name: bare(f.name, getattr(out, f.name))
                              for f in dataclasses.fields(out)})  # fmt: skip
