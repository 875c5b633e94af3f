"""Groups beside what belongs to each: `a.groupby("time.month") - climatology`."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sciquax.core import user_line

from .._array.axes import as_names, axes, name_of
from .._array.base import as_named, bare
from .._array.coordinates import Beside, Coordinate
from .._array.errors import CoordinateError
from .._labels.lookup import index_of, pandas
from .groups import GroupReductions


class GroupArithmetic(GroupReductions):
    """Operators of groups: each place meets the operand's element for its group or groups."""

    _array: Any

    def _keys_of_places(self) -> list[tuple[str, np.ndarray, Coordinate, str]]:
        """Of each key the name that it runs along, each place's code, the labels, and its name."""
        raise NotImplementedError

    def fillna(self, value: Any) -> Any:
        """Replace nans by a number, or by the operand's element for each place's group."""
        return self._combined(lambda a, each: a.fillna(each), value)

    def where(self, condition: Any, other: Any = None) -> Any:
        """The elements of groups where a condition holds, and `other` (nan) elsewhere."""
        return self._combined(lambda a, each: a.where(each, other), condition)

    def _combined(self, op: Callable[..., Any], other: Any, swapped: bool = False) -> Any:
        each, keys = other, self._keys_of_places()
        if not isinstance(other, (bool, int, float, complex)):
            each = as_named(other, "groupby")
            # An axis of places may have the name of another key's groups.
            own = {into: f"_{into}" for *_, into in keys if into in each._axes.place}
            each = each.rename(own)
            for name, codes, labels, into in keys:
                if into in own:
                    each = _of_each(self._array, each, own[into], name, codes, labels)
        out = op(each, self._array) if swapped else op(self._array, each)
        out = out.transpose(*self._array.dims, ...)
        layout = out._axes
        for name, codes, labels, into in keys:
            own_label = each is other and into in self._array._axes.beside
            if into not in layout.place and not own_label and (codes >= 0).all():
                group = Beside((name,), labels.take(codes))
                layout = layout.with_beside(**{into: group})
        return bare(out.array, layout)

    def __add__(self, other: Any) -> Any:
        return self._combined(operator.add, other)

    def __radd__(self, other: Any) -> Any:
        return self._combined(operator.add, other, True)

    def __sub__(self, other: Any) -> Any:
        return self._combined(operator.sub, other)

    def __rsub__(self, other: Any) -> Any:
        return self._combined(operator.sub, other, True)

    def __mul__(self, other: Any) -> Any:
        return self._combined(operator.mul, other)

    def __rmul__(self, other: Any) -> Any:
        return self._combined(operator.mul, other, True)

    def __truediv__(self, other: Any) -> Any:
        return self._combined(operator.truediv, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._combined(operator.truediv, other, True)


def without_groups(
    a: Any,
    along: Sequence[Any],
    kind: str,
    names: Any,
    skipna: bool | None,
    options: dict[str, Any],
) -> Any:
    """A reduction over names that groups do not run along: of the whole array, as in xarray.

    NotImplemented where the groups are reduced.
    """
    if names is None or names is ... or {name_of(n) for n in as_names(names)} & set(along):
        return NotImplemented
    if kind in ("count", "any", "all"):
        return getattr(a, kind)(names)
    return getattr(a, kind)(names=names, skipna=skipna is not False, **options)


def _of_each(
    a: Any, other: Any, into: str, name: str, codes: np.ndarray, labels: Coordinate
) -> Any:
    """The entry of each place's group, along the name of the places instead of the groups'."""
    if (codes < 0).any():
        raise CoordinateError(
            f"Some places along {name!r} are in no group.", "Leave them out first."
        ).at(user_line())
    if into in other._axes.coords:
        own = other._axes.coords[into]
        places = np.asarray(index_of(own).get_indexer(pandas().Index(labels.converted(own))))
        if (places < 0).any():
            missing = labels.shown(labels.values[np.flatnonzero(places < 0)[0]])
            raise CoordinateError(f"The operand has nothing for the group {missing}.").at(
                user_line()
            )
        codes = places[codes]
    elif other.sizes[into] != len(labels):
        raise CoordinateError(
            f"The operand has {other.sizes[into]} places along {into.removeprefix('_')!r} for "
            f"{len(labels)} groups."
        ).at(user_line())
    known = a._axes.coords
    index = bare(codes, axes((name,), {name: known[name]} if name in known else {}))
    return bare(other.array, other._axes.without(into)).isel({into: index})
