"""`ControlTerm`: a vector field, or diffusion, times the increments of a control."""

import dataclasses
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import lineax as lx

from sciquax.core import LocatedError, RuleError
from sciquax.units import DimensionalityError, Quantity
from sciquax.units.internal import InternedUnit, difference_unit, own_unit, wrap

from .._solving.tree_units import TreeUnits, is_quantity, to_unit, tree_to_units, without_units
from .._solving.unit_operator import UnitLinearOperator
from .._solving.user_functions import call, definition_of
from .._solving.with_units import between, fitted, kind_of_operator, labelled
from ._brownian import bare_path, root
from ._interpolations import QuantityPath


class BareControl(diffrax.AbstractPath):
    """A control on bare magnitudes, made of the user's on quantities."""

    path: Any
    time: InternedUnit = eqx.field(static=True)
    units: TreeUnits = eqx.field(static=True)

    @property
    def t0(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        return -jnp.inf

    @property
    def t1(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        return jnp.inf

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True) -> Any:
        t1 = None if t1 is None else wrap(t1, self.time)
        out = _increment(self.path, wrap(t0, self.time), t1, left)
        return tree_to_units(
            out, self.units, _function(self.path), "The control",
            lambda name, unit: f"which it gave in '{unit}' before",
        )  # fmt: skip

    def derivative(self, t: Any, left: bool = True) -> Any:
        if type(self.path).derivative is diffrax.AbstractPath.derivative:
            return super().derivative(t, left)  # of `evaluate`, between bare magnitudes
        out = _derivative(self.path, wrap(t, self.time), left)
        return tree_to_units(
            out, self.units.map(lambda unit: unit / self.time), type(self.path).derivative,
            "The control", lambda name, unit: f"whose derivative is in '{unit}'",
        )  # fmt: skip


def _increment(path: Any, t0: Any, t1: Any, left: bool = True) -> Any:
    if isinstance(path, QuantityPath):
        return path.evaluate(t0, t1, left)
    return call(lambda path, t0, t1: path.evaluate(t0, t1, left), path, t0, t1)


def _derivative(path: Any, t: Any, left: bool) -> Any:
    if isinstance(path, QuantityPath):
        return path.derivative(t, left)
    return call(lambda path, t: path.derivative(t, left), path, t)


def _function(path: Any) -> Callable:
    """The function to name in errors: the one given to `ControlTerm`, or the path's own."""
    return getattr(path, "fn", None) or type(path).evaluate


def bare_control(path: Any, time: InternedUnit, unknown: bool = False) -> tuple[Any, TreeUnits]:
    """A control for Diffrax to evaluate, and the units of its increments."""
    if isinstance(path, diffrax.AbstractBrownianPath):
        bare = bare_path(path, time)
        shape = getattr(bare, "shape", None)
        if shape is None:
            zero = jnp.asarray(0.0)
            shape = eqx.filter_eval_shape(lambda path: path.evaluate(zero, zero), bare)
        units = TreeUnits.of(jtu.tree_map(lambda _: 0.0, shape), "control")
        return bare, units.map(lambda _: root(time))
    t = wrap(jnp.asarray(0.0), time)
    increment = eqx.filter_eval_shape(_increment, path, t, t)
    units = TreeUnits.of(increment, "control").map(difference_unit)
    units = dataclasses.replace(units, unknown=unknown)
    return BareControl(path, time, units), units


# Operators that are nothing but their entries, each multiplying a part of the control. An identity
# has none, and a product of operators multiplies by two.
_OF_ENTRIES = (
    lx.DiagonalLinearOperator,
    lx.MatrixLinearOperator,
    lx.PyTreeLinearOperator,
    lx.TridiagonalLinearOperator,
)


class Diffusion(eqx.Module):
    """A control term's vector field on bare magnitudes, made of the user's on quantities."""

    fn: Callable
    time: InternedUnit = eqx.field(static=True)
    takes: TreeUnits = eqx.field(static=True)
    controls: TreeUnits = eqx.field(static=True)

    def __call__(self, t: Any, y: Any, args: Any) -> Any:
        out = call(self.fn, wrap(t, self.time), self.takes.label(y), args, finish=lambda x: x)
        if isinstance(out, lx.AbstractLinearOperator):
            return self._operator(out)
        if self.controls.tree != self.takes.tree:
            return jtu.tree_map(lambda x: self._leaf(x, None), out, is_leaf=is_quantity)
        gives = self.takes.map(difference_unit)
        units = [a / b for a, b in zip(gives.units, self.controls.units, strict=True)]
        gives = dataclasses.replace(gives, units=tuple(units))
        return tree_to_units(out, gives, self.fn, "The vector field", self._why)

    def _why(self, name: str, unit: str) -> str:
        return f"which, to be multiplied by the control, must be in '{unit}'"

    def _operator(self, operator: lx.AbstractLinearOperator) -> lx.AbstractLinearOperator:
        """A linear operator of bare magnitudes, if it is known what its leaves multiply."""
        if isinstance(operator, lx.TaggedLinearOperator):
            return lx.TaggedLinearOperator(self._operator(operator.operator), operator.tags)
        gives = self.takes.map(difference_unit)
        if isinstance(operator, lx.DiagonalLinearOperator) and self.controls.tree == gives.tree:
            units = [a / b for a, b in zip(gives.units, self.controls.units, strict=True)]
            leaves = gives.tree.flatten_up_to(operator.diagonal)
            leaves = [self._leaf(x, u) for x, u in zip(leaves, units, strict=True)]
            return lx.DiagonalLinearOperator(gives.tree.unflatten(leaves))
        pairs = {a / b for a in gives.units for b in self.controls.units}
        (unit,) = (
            pairs if len(pairs) == 1 and kind_of_operator(operator) in _OF_ENTRIES else (None,)
        )
        if isinstance(operator, UnitLinearOperator) or unit is None and not self._plain:
            return self._of_blocks(operator)
        return jtu.tree_map(lambda x: self._leaf(x, unit), operator, is_leaf=is_quantity)

    def _of_blocks(self, operator: lx.AbstractLinearOperator) -> lx.AbstractLinearOperator:
        """A linear operator whose units are known by what it takes and gives."""
        due = dataclasses.replace(self.takes.map(difference_unit), name="y")
        try:
            known = fitted(labelled(operator), due)
            if (known.takes.tree, known.gives.tree) != (self.controls.tree, due.tree):
                raise self._unknown()
            return between(known, self.controls, due, self._complain)
        except LocatedError as error:
            raise error.at(definition_of(self.fn)) from None

    def _complain(self, name: str, have: InternedUnit, due: InternedUnit) -> LocatedError:
        return DimensionalityError(
            f"The vector field returned a linear operator that makes '{have}' of the control for "
            f"{name}, whose change must be in '{due}'.",
            have.pint,
            due.pint,
            "Multiply it by a quantity, or give its arrays other units.",
        )

    def _leaf(self, x: Any, unit: InternedUnit | None) -> Any:
        """One array in its required unit; where that is None, unknown, only numbers may pass."""
        if unit is None:
            if isinstance(x, Quantity) or not self._plain:
                raise self._unknown()
            return x
        if not eqx.is_inexact_array(without_units(x)):
            return x

        def complain(x: Any) -> LocatedError:
            came = f"'{x._unit}'" if isinstance(x, Quantity) else "a plain array"
            error = DimensionalityError(
                f"The vector field returned {came} in a linear operator, "
                f"{self._why('', str(unit))}.",
                own_unit(x).pint,
                unit.pint,
                f"Return something that converts to '{unit}'.",
            )
            return error.at(definition_of(self.fn))

        return to_unit(x, unit, complain)

    def _unknown(self) -> LocatedError:
        error = RuleError(
            "The vector field of a `ControlTerm` returned something of which it is not known what "
            "each array in it multiplies.",
            "Return a tree shaped like `y0` and the control, or a `DiagonalLinearOperator` of one.",
        )
        return error.at(definition_of(self.fn))

    @property
    def _plain(self) -> bool:
        return self.takes.unitless and self.controls.unitless


class DiffusionShapes(eqx.Module):
    """Something of the shape of a vector field for a control, before any unit is known."""

    fn: Any
    control: Any

    def __call__(self, t: Any, y: Any, args: Any) -> Any:
        increment = jax.eval_shape(self.control.evaluate, t, t)
        if jtu.tree_structure(increment) != jtu.tree_structure(y):
            error = RuleError(
                "A `ControlTerm` whose control is not shaped like `y0` does not work within "
                "`quaxify`.",
                "Solve outside of `quaxify`: `diffeqsolve` takes quantities by itself.",
            )
            raise error.at(definition_of(self.fn))
        return jtu.tree_map(lambda y, c: jnp.zeros((*y.shape, *c.shape), y.dtype), y, increment)
