"""Matrices that are there as SciPy's rows, for products that are not compiled.

How the elements of a matrix come to stand in rows is found out once for its places, and kept as
long as these are; the elements themselves too, for whoever multiplies by the same matrix again.
"""

import threading
import weakref
from typing import Any, NamedTuple

import jax
import numpy as np

from sciquax.core.internal import Tracer

SMALLEST = 2048
"""Matrices of fewer elements are multiplied by XLA, which is called as fast."""
_MOST = 16
_DTYPES = {"int32", "int64", "float32", "float64", "complex64", "complex128"}


class _Rows(NamedTuple):
    """For some places: where rows start, the columns, which elements these are; those seen last."""

    places: weakref.ref
    starts: np.ndarray
    columns: np.ndarray
    order: np.ndarray
    seen: list[Any]


_kept: dict[int, _Rows] = {}
_lock = threading.Lock()


def is_there(x: Any) -> bool:
    """Whether an array has been computed, in the host's memory, of a dtype that SciPy knows."""
    if isinstance(x, Tracer) or not isinstance(x, jax.Array) or x.dtype.name not in _DTYPES:
        return False
    return x.is_fully_addressable and all(d.platform == "cpu" for d in x.devices())


def csr_of(data: Any, places: Any, shape: tuple[int, ...], now: bool = True) -> Any:
    """A matrix as SciPy's CSR, or CSC, with its duplicates; None for a small one or one not there.

    Unless `now`, places that need sorting are sorted when they come a second time: one product is
    cheaper without.
    """
    if places.ndim != 2 or places.shape[1] != 2 or places.shape[0] < SMALLEST:
        return None
    if not is_there(data) or not is_there(places):
        return None
    import scipy.sparse

    turned = _turned.get(id(places))
    if turned is not None and turned[0]() is places:
        found = csr_of(data, turned[1], shape[::-1], now)
        return None if found is None else found.T
    with _lock:
        rows = _kept.get(id(places))
        if rows is None or rows.places() is not places:
            rows = _rows(places, shape, now)
            if rows is None:
                return None
            _kept[id(places)] = rows
            while len(_kept) > _MOST:
                del _kept[next(iter(_kept))]
        if not rows.seen or rows.seen[0]() is not data:
            rows.seen[:] = [weakref.ref(data), np.asarray(data)[rows.order]]
        elements = rows.seen[1]
    return scipy.sparse.csr_array((elements, rows.columns, rows.starts), shape=shape)


def note_transposed(places: Any, transposed: Any) -> None:
    """That these are the same places with rows and columns exchanged: no need to sort them too."""
    if is_there(places) and is_there(transposed) and places.shape[0] >= SMALLEST:
        key = id(transposed)
        _turned[key] = weakref.ref(transposed, lambda _: _turned.pop(key, None)), places


_turned: dict[int, tuple[weakref.ref, Any]] = {}
_once: dict[int, weakref.ref] = {}


def _rows(places: Any, shape: tuple[int, ...], now: bool) -> _Rows | None:
    key = id(places)
    array = np.asarray(places)
    rows, columns = array[:, 0], array[:, 1]
    inside = (rows < shape[0]) & (columns < shape[1])
    if inside.all() and (rows[1:] >= rows[:-1]).all():
        order: Any = slice(None)  # no copy of the elements
    else:
        before = _once.pop(key, None)
        if not now and (before is None or before() is not places):
            _once[key] = weakref.ref(places, lambda _: _once.pop(key, None))
            return None
        numbers = np.flatnonzero(inside)
        order = numbers[np.argsort(rows[numbers], kind="stable")]
    starts = np.zeros(shape[0] + 1, np.int32)
    np.cumsum(np.bincount(rows[order], minlength=shape[0]), out=starts[1:])
    columns = np.ascontiguousarray(columns[order], np.int32)
    return _Rows(weakref.ref(places, lambda _: _kept.pop(key, None)), starts, columns, order, [])
