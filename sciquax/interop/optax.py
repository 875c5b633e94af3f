"""Optax on parameters with units: `from sciquax.interop import optax`.

Every public name of Optax is here. A gradient is in units of loss per parameter, an update must be
in units of the parameter: only where the two agree, or for gradient descent whose learning rate has
the unit between them, do Optax's own transformations work on quantities. `with_units` makes any of
them work: it hands it parameters and gradients as numbers, of the parameters' units and of a
`loss_unit`, and gives the updates their units back.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import optax

from sciquax.core import MODE, LocatedError, RuleError, describe
from sciquax.core.internal import adopt_all, takes_values_apart
from sciquax.units import DimensionalityError, Quantity
from sciquax.units.internal import InternedUnit, as_unit, base_unit, difference_unit, own_unit

from ._solving.tree_units import (
    TreeUnits,
    is_literal_of_every_unit,
    leaves_to_units,
    to_unit,
)
from ._solving.user_functions import call, caller_line


class UnitsState(eqx.Module):
    """The state of a transformation, and the units of the parameters that its numbers count in.

    **Attributes**: `inner`, Optax's state, bare numbers.
    """

    inner: Any
    units: TreeUnits = eqx.field(static=True)


def with_units(
    transformation: optax.GradientTransformation, loss_unit: Any = None
) -> optax.GradientTransformationExtraArgs:
    """An Optax transformation for parameters that are quantities.

    The transformation sees numbers: each parameter in units of its own, `p / unit`, and each
    gradient accordingly, `g * unit / loss_unit`. So a learning rate, a weight decay or an `eps` is
    a number too: what it does depends on the units in which the parameters are given, as on any
    scaling of them. Choose units in which they are near one.

    **Arguments**

    - `transformation`: any of Optax's, chains and those with extra arguments (`optax.lbfgs`) among
      them.
    - `loss_unit`: what the loss counts in; without one, the base units of what it measures, so
      that a loss in kJ and in J descend alike. Adam and its like hardly depend on it.

    **Returns** a transformation whose `init` takes parameters, whose `update` takes gradients as
    `sciquax.grad` gives them and returns updates in the units of the parameters. Among extra
    arguments, `value`, `grad` and `value_fn` are in units as well.

    **Raises** `DimensionalityError`, naming the parameter, for a gradient that is not loss per
    parameter: `jax.grad` labels its gradients as the parameters, use `sciquax.grad`. `RuleError`
    within `quaxify`, where units are not known yet; under `jax.jit` they are.

    ```python
    >>> import jax, sciquax
    >>> from sciquax.interop import optax
    >>> from sciquax.units import Quantity
    >>> params = {"k": Quantity(1.0, "N/m"), "length": Quantity(30.0, "cm")}
    >>> def loss(p):
    ...     force = p["k"] * (Quantity(0.5, "m") - p["length"])
    ...     return (force - Quantity(1.0, "N")) ** 2
    >>> optimiser = optax.with_units(optax.adam(0.1), loss_unit="N**2")
    >>> state = optimiser.init(params)
    >>> @jax.jit
    ... def step(params, state):
    ...     value, grads = sciquax.value_and_grad(loss)(params)
    ...     updates, state = optimiser.update(grads, state, params)
    ...     return optax.apply_updates(params, updates), state, value
    >>> for _ in range(100):
    ...     params, state, value = step(params, state)
    >>> print(params["k"].units, value < Quantity(0.1, "N**2"))
    newton / meter True

    ```
    """
    inner = optax.with_extra_args_support(transformation)
    given_loss = None if loss_unit is None else as_unit(loss_unit)

    @takes_values_apart
    def init(params: Any) -> Any:
        _refuse_staging()
        params = adopt_all(params)
        units = TreeUnits.of(params, "params")
        return UnitsState(inner.init(units.strip(params)), units)

    @takes_values_apart
    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        _refuse_staging()
        grads, params, extra = adopt_all((updates, params, extra))
        units = state.units
        differences = units.map(difference_unit)
        loss = _loss_of(grads, differences) if given_loss is None else given_loss
        gradients = differences.map(lambda unit: loss / unit)
        bare = _to_units(grads, gradients, _Gradient(differences, loss))
        if params is not None:
            params = _to_units(params, units, _Parameter(units))
        if extra.get("value") is not None:
            extra["value"] = to_unit(extra["value"], loss, _wrong_value(loss))
        if extra.get("grad") is not None:
            extra["grad"] = _to_units(extra["grad"], gradients, _Gradient(differences, loss))
        if extra.get("value_fn") is not None:
            extra["value_fn"] = _BareValue(extra["value_fn"], units, loss)
        updates, inner_state = inner.update(bare, state.inner, params, **extra)
        return differences.label(updates), UnitsState(inner_state, units)

    return optax.GradientTransformationExtraArgs(init, update)


@takes_values_apart
def apply_updates(params: Any, updates: Any) -> Any:
    """Parameters plus updates, in the units of the parameters.

    As `optax.apply_updates`; an update in km to a parameter in m is converted.

    **Raises** `DimensionalityError`, naming the parameter, for an update that measures something
    else.

    ```python
    >>> from sciquax.interop import optax
    >>> from sciquax.units import Quantity
    >>> optax.apply_updates({"x": Quantity(1.0, "m")}, {"x": Quantity(-2.0, "cm")})
    {'x': Quantity(0.98, 'm')}

    ```
    """
    params, updates = adopt_all((params, updates))
    units = TreeUnits.of(params, "params")
    if MODE.staging or units.unitless and TreeUnits.of(updates).unitless:
        return optax.apply_updates(params, updates)
    bare = _to_units(updates, units.map(difference_unit), _Update(units))
    return units.label(optax.apply_updates(units.strip(params), bare))


class _BareValue(eqx.Module):
    """The loss as a number, a function of bare parameters."""

    fn: Callable
    units: TreeUnits = eqx.field(static=True)
    loss: InternedUnit = eqx.field(static=True)

    def __call__(self, params: Any, *args: Any, **kwargs: Any) -> Any:
        value = call(self.fn, self.units.label(params), *args, **kwargs)
        return to_unit(value, self.loss, _wrong_value(self.loss))


def _loss_of(grads: Any, params: TreeUnits) -> InternedUnit:
    """The base unit of a gradient times its parameter."""
    leaves = params.tree.flatten_up_to(grads)
    pairs = [
        (g, unit)
        for g, unit in zip(leaves, params.units, strict=True)
        if not is_literal_of_every_unit(g)
    ]
    if not pairs:
        return as_unit("dimensionless")
    return base_unit(own_unit(pairs[0][0]) * pairs[0][1])


def _refuse_staging() -> None:
    if MODE.staging:
        raise RuleError(
            "`with_units` is called within `quaxify`, where units are not known yet.",
            "Call it outside: it takes quantities by itself, under `jax.jit` too.",
        ).at(caller_line())


# -- conversions and their errors ------------------------------------------------------------------


def _to_units(tree: Any, target: TreeUnits, complaint: "_Complaint") -> Any:
    """A tree's magnitudes in the units due. `complaint` makes the error, by a leaf's number."""
    structure = TreeUnits.of(tree).tree
    if structure != target.tree:
        raise RuleError(
            f"Optax got {complaint.what} {structure}, and the parameters are {target.tree}.",
            "Give it the structure of the parameters.",
        ).at(caller_line())
    return target.bare.unflatten(target.parts(leaves_to_units(tree, target, complaint.error)))


class _Complaint:
    """A complaint about one leaf."""

    what = ""

    def __init__(self, units: TreeUnits, loss: InternedUnit | None = None):
        self.units, self.loss = units, loss

    def error(self, x: Any, due: InternedUnit, number: int) -> LocatedError:
        name, unit = self.units.names()[number], self.units.units[number]
        message = f"Optax got {self.what} {name} {_came(x)}, and {self.because(unit, due)}."
        return DimensionalityError(message, own_unit(x).pint, due.pint, self.remedy(due)).at(
            caller_line()
        )

    def because(self, unit: InternedUnit, due: InternedUnit) -> str:
        return f"the parameter is in '{unit}'"

    def remedy(self, due: InternedUnit) -> str:
        return f"Give it in a unit that converts to '{due}'."


class _Parameter(_Complaint):
    what = "the parameter"

    def because(self, unit: InternedUnit, due: InternedUnit) -> str:
        return f"`init` got it in '{unit}'"


class _Update(_Complaint):
    what = "an update for"

    def remedy(self, due: InternedUnit) -> str:
        return "Wrap the optimiser, `with_units(optimiser)`, and differentiate by `sciquax.grad`."


class _Gradient(_Complaint):
    what = "a gradient for"

    def because(self, unit: InternedUnit, due: InternedUnit) -> str:
        return f"for a loss in '{self.loss}' and a parameter in '{unit}' it is in '{due}'"

    def remedy(self, due: InternedUnit) -> str:
        return (
            "Differentiate by `sciquax.grad`, whose gradients are in units of loss per parameter."
        )


def _wrong_value(loss: InternedUnit) -> Callable[[Any], LocatedError]:
    def complain(x: Any) -> LocatedError:
        message = f"Optax got a value of the loss {_came(x)}, and the loss is in '{loss}'."
        return DimensionalityError(message, own_unit(x).pint, loss.pint).at(caller_line())

    return complain


def _came(x: Any) -> str:
    return f"in '{x._unit}'" if isinstance(x, Quantity) else f"as plain numbers ({describe(x)})"


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    try:
        return getattr(optax, name)
    except AttributeError:
        raise AttributeError(f"module 'optax' has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*dir(optax), "UnitsState", "apply_updates", "with_units"})
