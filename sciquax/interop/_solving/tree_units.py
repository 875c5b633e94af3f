"""The units a solve works in: one of time, and one of each leaf of the state.

Diffrax's own arithmetic runs on bare numbers, magnitudes in these units. Everything that enters is
converted to them and stripped, everything that leaves is labelled with them. A unit is no part of
the compiled program, and where the units agree no conversion is either.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core import (
    MODE,
    LocatedError,
    UnitPolymorphic,
    describe,
    is_polymorphic_literal,
    is_value,
    quaxify,
)
from sciquax.core.internal import takes_foreign
from sciquax.units import DimensionalityError, OffsetUnitCalculusError, Quantity
from sciquax.units.internal import (
    InternedUnit,
    beside,
    convert,
    difference_unit,
    dimensionless,
    magnitude_of,
    own_unit,
    wrap,
)

from .flattened_values import Storage, aligned, is_stored, kind_of
from .user_functions import caller_line, definition_of, line_of_output


def is_quantity(x: Any) -> bool:
    """Whether `x` counts as a leaf: a quantity, or a constant that belongs to every unit."""
    return isinstance(x, Quantity) or type(x) is UnitPolymorphic


def has_quantity(tree: Any) -> bool:
    """Whether a quantity occurs anywhere in a tree."""
    return any(isinstance(x, Quantity) for x in jtu.tree_leaves(tree, is_leaf=is_quantity))


@dataclasses.dataclass(frozen=True)
class TreeUnits:
    """The structure of a tree of quantities and arrays, and its leaves' units. Hashable.

    **Attributes**: `tree`, the structure with quantities as leaves; `units`, one for each leaf,
    dimensionless for a plain array; `name`, what error messages call the tree; `unknown`, whether
    units are not known yet, so that trees are of bare arrays and nothing is checked; `stored`, what
    the leaves' magnitudes are made of that are no arrays.
    """

    tree: Any
    units: tuple[InternedUnit, ...]
    name: str = "y"
    unknown: bool = False
    stored: tuple[Storage | None, ...] = ()

    @classmethod
    def of(cls, tree: Any, name: str = "y") -> "TreeUnits":
        leaves, structure = jtu.tree_flatten(tree, is_leaf=is_stored)
        stored = tuple(Storage.of(magnitude_of(x)) for x in leaves)
        if not any(stored):
            stored = ()
        return cls(structure, tuple(map(own_unit, leaves)), name, stored=stored)

    @property
    def unitless(self) -> bool:
        """Whether the trees are Diffrax's own."""
        return all(unit.unitless for unit in self.units) and self.bare == self.tree

    @functools.cached_property
    def bare(self) -> Any:
        """The structure of trees of bare arrays, in which a value is a tuple of its arrays."""
        indices = self.tree.unflatten(range(len(self.units)))
        named = jtu.tree_map(
            lambda x: tuple(jtu.tree_leaves(x)) if is_value(x) else x, indices, is_leaf=is_value
        )
        return jtu.tree_structure(jtu.tree_map(self._parts, named))

    def _parts(self, i: int) -> Any:
        storage = self.stored[i] if self.stored else None
        return i if storage is None else (i,) * len(storage.shapes)

    def strip(self, tree: Any) -> Any:
        """A tree of this structure and these units without its units."""
        magnitudes = list(map(magnitude_of, self.tree.flatten_up_to(tree)))
        parts = magnitudes if not self.stored else self.parts(magnitudes)
        return self.bare.unflatten(parts)

    def parts(self, magnitudes: list[Any]) -> Any:
        """The arrays that the leaves' magnitudes are made of; None if one is made otherwise."""
        arrays: list[Any] = []
        for storage, magnitude in zip(self._storages, magnitudes, strict=True):
            parts = [magnitude] if storage is None else storage.parts(magnitude)
            if parts is None or storage is None and is_value(magnitude):
                return None
            arrays += parts
        return arrays

    @property
    def _storages(self) -> tuple[Storage | None, ...]:
        return self.stored or (None,) * len(self.units)

    def label(self, tree: Any) -> Any:
        """A tree of bare magnitudes with the units put back."""
        if self.unitless:
            return tree
        arrays = iter(self.bare.flatten_up_to(tree))
        magnitudes = [
            next(arrays) if s is None else s.tree.unflatten([next(arrays) for _ in s.shapes])
            for s in self._storages
        ]
        return self.tree.unflatten(
            [wrap(x, u) for x, u in zip(magnitudes, self.units, strict=True)]
        )

    def spread(self, values: Sequence[Any]) -> Any:
        """A tree of bare structure with one value for each leaf, at all arrays it is made of."""
        counts = [1 if storage is None else len(storage.shapes) for storage in self._storages]
        pairs = zip(values, counts, strict=True)
        return self.bare.unflatten([x for x, count in pairs for _ in range(count)])

    def map(self, change: Callable[[InternedUnit], InternedUnit]) -> "TreeUnits":
        return dataclasses.replace(self, units=tuple(map(change, self.units)))

    def names(self) -> list[str]:
        """The name of each leaf: `y['v']`, or `y` alone."""
        indices = self.tree.unflatten(range(len(self.units)))
        return [self.name + jtu.keystr(path) for path, _ in jtu.tree_leaves_with_path(indices)]

    def children(self) -> list["TreeUnits"]:
        """The units of the subtrees that the root holds, `y[0]` and `y[1]` of a pair."""
        children, start = [], 0
        for number, tree in enumerate(self.tree.children()):
            stop = start + tree.num_leaves
            units, name = self.units[start:stop], f"{self.name}[{number}]"
            stored = self.stored[start:stop]
            children.append(TreeUnits(tree, units, name, self.unknown, stored))
            start = stop
        return children


@dataclasses.dataclass(frozen=True)
class Working:
    """The working units of one solve: of time, and of the state's leaves."""

    time: InternedUnit
    state: TreeUnits

    @property
    def unitless(self) -> bool:
        return self.time.unitless and self.state.unitless

    @property
    def differences(self) -> TreeUnits:
        """The units of differences of states: `delta_degC` for a state in `degC`."""
        return self.state.map(difference_unit)

    @property
    def rates(self) -> TreeUnits:
        """The units of the state's derivative with respect to time."""
        return self.state.map(lambda unit: difference_unit(unit) / self.time)


def working_units(t0: Any, y0: Any, other_times: Sequence[Any]) -> Working:
    """The units of `t0` and of the leaves of `y0`.

    Where `t0` is a literal 0, which belongs to every unit, the first time that has a unit decides.

    **Raises** `OffsetUnitCalculusError` for time on a scale with an offset, and for a state on a
    logarithmic one.
    """
    if not isinstance(t0, Quantity) and is_literal_of_every_unit(t0):
        t0 = next((t for t in other_times if isinstance(t, Quantity)), t0)
    time = own_unit(t0)
    if time.offset:
        error = OffsetUnitCalculusError(
            f"`t0` is in '{time}', whose scale has an offset: no system can evolve in it.",
            time.pint,
            time.pint,
            "Convert to an absolute scale first, `.to('kelvin')`.",
        )
        raise error.at(caller_line())
    state = TreeUnits.of(y0)
    try:
        state.map(difference_unit)
    except LocatedError as error:
        raise error.at(caller_line()) from None
    return Working(time, state)


@takes_foreign
def without_units(tree: Any) -> Any:
    """A tree with quantities replaced by their magnitudes, whatever the units."""
    return jtu.tree_map(magnitude_of, tree, is_leaf=is_quantity)


def is_literal_of_every_unit(x: Any) -> bool:
    """Whether `x` is a number of the program, not an array, that is 0, inf or nan."""
    if type(x) is UnitPolymorphic:
        return True
    return isinstance(x, (int, float, np.ndarray, np.generic)) and is_polymorphic_literal(x)


# -- what enters ---------------------------------------------------------------------------------


def to_unit(x: Any, unit: InternedUnit, complain: Callable[[Any], LocatedError]) -> Any:
    """The magnitude of `x` in a unit; a plain array of a number is left alone.

    **Arguments**: `complain` makes the error for an `x` that measures something else. So does a
    temperature in `degC` where a rate, a duration or a tolerance is due: those are differences.
    """
    _, x = beside((wrap(0.0, unit), x))
    if isinstance(x, Quantity):
        if not x._unit.compatible(unit) or (x._unit.offset and not unit.offset):
            raise complain(x)
        return convert(x.magnitude, x._unit, unit)
    if unit.unitless or is_literal_of_every_unit(x):
        return magnitude_of(x)
    if not unit.dimensionless:
        raise complain(x)
    return convert(x if hasattr(x, "dtype") else jnp.asarray(x), dimensionless(), unit)


def leaves_to_units(
    tree: Any, target: TreeUnits, complain: Callable[[Any, InternedUnit, int], LocatedError]
) -> list[Any]:
    """The magnitudes of a tree's leaves in the units due.

    **Arguments**: `complain(x, unit, i)` makes the error for a leaf that measures something else.
    """
    leaves = target.tree.flatten_up_to(tree)
    return [
        to_unit(x, unit, lambda x, unit=unit, i=i: complain(x, unit, i))
        for i, (x, unit) in enumerate(zip(leaves, target.units, strict=True))
    ]


def time_to_unit(x: Any, unit: InternedUnit, name: str, owner: str = "diffeqsolve") -> Any:
    """A time or a duration in the unit that time is in; None stays None.

    **Raises** `DimensionalityError`, with the user's line, for what is no time, and for a plain
    number (other than a literal 0, inf or nan) where time has a unit.
    """
    if x is None:
        return None

    def complain(x: Any) -> LocatedError:
        came = how_given(x)
        if unit.unitless:
            message = f"`{owner}` got `{name}` {came}, and time is a plain number (as `t0` is)."
            remedy = f"Give `t0` a unit, `Quantity(t0, '{own_unit(x)}')`, or strip `{name}`."
        elif isinstance(x, Quantity):
            message = f"`{owner}` got `{name}` {came}, and time is in '{unit}' (as `t0` is)."
            remedy = f"Give `{name}` in a unit that converts to '{unit}'."
        else:
            message = f"`{owner}` got `{name}` as {came}, and time is in '{unit}' (as `t0` is)."
            remedy = (
                f"Give it a unit, `Quantity(x, '{unit}')`. "
                "Only literal 0, inf and nan belong to every unit."
            )
        return DimensionalityError(message, own_unit(x).pint, unit.pint, remedy).at(caller_line())

    return to_unit(x, unit, complain)


def tree_to_units(
    tree: Any,
    target: TreeUnits,
    function: Callable[..., Any],
    what: str,
    why: Callable[[str, str], str],
    arguments: tuple[Any, ...] = (),
) -> Any:
    """The return value of the user's function as bare magnitudes in the required units.

    **Arguments**: the tree; its due structure and units; the function, to be named in errors; what
    the function is to its caller; `why(name, unit)`, the end of the sentence that says what is due
    for a leaf; and what the function was called on, by which the line of a wrong leaf is found.

    **Raises** ValueError for another structure, `DimensionalityError` for another dimension.
    """
    if target.unknown:
        return without_units(tree)
    if target.bare != target.tree:
        tree = aligned(tree, target.tree.unflatten(range(len(target.units))))
    leaves, structure = jtu.tree_flatten(tree, is_leaf=is_stored)
    if structure != target.tree:
        if target.unitless and not any(map(is_quantity, leaves)):
            return tree  # Diffrax says so itself
        raise StructureError(what, target.tree, structure).at(definition_of(function))

    def complain(x: Any, unit: InternedUnit, i: int) -> LocatedError:
        name = target.names()[i]
        if isinstance(x, Quantity):
            message = f"{what} returned '{x._unit}' for {name}, {why(name, str(unit))}."
            remedy = f"Return something that converts to '{unit}'."
        else:
            message = f"{what} returned {how_given(x)} for {name}, {why(name, str(unit))}."
            remedy = f"Compute it from quantities, or give it its unit, `Quantity(x, '{unit}')`."
        error = DimensionalityError(message, own_unit(x).pint, unit.pint, remedy)
        return error.at(line_of_output(function, arguments, i))

    magnitudes = leaves_to_units(tree, target, complain)
    arrays = target.parts(magnitudes)
    if arrays is None:
        due = ", ".join("array" if s is None else s.kind for s in target._storages)
        got = ", ".join(kind_of(x) if is_value(x) else "array" for x in magnitudes)
        raise StructureError(what, due, got).at(definition_of(function))
    return target.bare.unflatten(arrays)


def how_given(x: Any) -> str:
    return f"in '{x._unit}'" if isinstance(x, Quantity) else f"a plain array ({describe(x)})"


class StructureError(LocatedError, ValueError):
    """A function of the user's returned a tree of another structure than the state's."""

    def __init__(self, what: str, expected: Any, got: Any):
        super().__init__(f"{what} must return a tree shaped like `y0`, {expected}, and gave {got}.")


@takes_foreign
def stack_times(ts: Any) -> Any:
    """Times as one array or quantity, from a sequence of either.

    The first quantity's unit is taken; literal 0, inf and nan belong to it.
    """
    if isinstance(ts, Quantity) or hasattr(ts, "dtype") or not has_quantity(ts):
        return ts
    if MODE.staging:  # some may be tracers that stand for quantities
        return quaxify(jnp.stack)(list(ts))
    first = next(t for t in ts if isinstance(t, Quantity))
    magnitudes = [time_to_unit(t, first._unit, f"ts[{i}]", "SaveAt") for i, t in enumerate(ts)]
    return wrap(jnp.stack([jnp.asarray(m) for m in magnitudes]), first._unit)
