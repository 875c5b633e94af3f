"""Groups by several keys at once: one for each combination of their labels."""

from typing import Any

import numpy as np

from sciquax.core import user_line

from .._array.base import bare
from .._array.coordinates import Coordinate
from .._array.errors import AxisError, repeated
from .._labels.lookup import pandas
from .dates import labels_for
from .group_arithmetic import GroupArithmetic, without_groups
from .groups import Partition, reduced

_ALONG = "_places"


def factorised(values: np.ndarray, tree: Any) -> tuple[np.ndarray, Coordinate]:
    """The code of each label, -1 for a missing one, and the labels, in order if they are not."""
    index = pandas().Index(values)
    ordered = index.is_unique and (index.is_monotonic_increasing or index.is_monotonic_decreasing)
    codes, uniques = pandas().factorize(values, sort=not ordered)
    return np.asarray(codes), Coordinate(np.asarray(uniques), tree)


class GroupByKeys(GroupArithmetic):
    """`a.groupby(["place", "time.month"])`: groups by several keys, to reduce.

    Reductions have an axis for each key, the last ones, and lack the names that keys run along;
    nans are left out unless `skipna=False`, and a group without places is nan. Arithmetic takes
    for each place the operand's element of its groups, as with one key.
    """

    def __init__(self, a: Any, keys: Any):
        self._keys: list[tuple[str, np.ndarray, Coordinate, str]] = []
        for key in keys:
            name, values, known, own = labels_for(a, key)
            codes, labels = factorised(values, None if known is None else known.tree)
            self._keys.append((name, codes, labels, own))
        into = [own for *_, own in self._keys]
        if len(set(into)) < len(into):
            raise repeated("groupby", next(n for n in into if into.count(n) > 1)).at(user_line())
        along = dict.fromkeys(name for name, *_ in self._keys)
        for own in into:
            if own in a._axes.place and own not in along:
                raise AxisError(
                    f"`groupby` would give the groups the name {own!r}, which the array has.",
                    "Rename that axis first.",
                ).at(user_line())
        self._array, self._along = a, [d for d in a.dims if d in along]

    def _keys_of_places(self) -> list[tuple[str, np.ndarray, Coordinate, str]]:
        return self._keys

    def _reduced(self, kind: str, names: Any, skipna: bool | None, **options: Any) -> Any:
        out = without_groups(self._array, self._along, kind, names, skipna, options)
        if out is not NotImplemented:
            return out
        sizes = [self._array.sizes[n] for n in self._along]
        codes, inside = np.zeros(sizes, int), np.ones(sizes, bool)
        for name, own, labels, _ in self._keys:
            own = own.reshape([-1 if n == name else 1 for n in self._along])
            codes, inside = codes * len(labels) + own, inside & (own >= 0)
        lengths = {into: len(labels) for *_, labels, into in self._keys}
        one = self._array.flatten(self._along, _ALONG)
        part = Partition(
            _ALONG, one._axes.place[_ALONG], np.where(inside, codes, -1).ravel(),
            Coordinate(np.arange(int(np.prod(list(lengths.values()))))), _ALONG,
        )  # fmt: skip
        if names is not None and names is not ...:
            given = [names] if isinstance(names, str) else list(names)
            names = [n for n in given if n not in self._along]
        out = reduced(one, part, kind, names, skipna, **options)
        out = out.drop_coords(_ALONG).unflatten(_ALONG, lengths)
        layout = out._axes
        for *_, labels, into in self._keys:
            layout = layout.with_coord(into, labels)
        return bare(out.array, layout).transpose(..., *lengths)
