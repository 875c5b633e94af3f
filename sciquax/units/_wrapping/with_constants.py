"""`with_constants`: the numbers that a package's modules hold, with units, for the calls within."""

import contextlib
import difflib
import importlib
import sys
import threading
import types
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.tree_util as jtu
import numpy as np

from sciquax.core import LocatedError, from_foreign, user_line
from sciquax.core.internal import Tracer

from .._quantity.quantity import Quantity

_CONSTANTS = jax.make_user_context(None)
"""Which constants hold: part of the key of what JAX and we compile and keep."""


class UnknownConstantError(LocatedError, AttributeError):
    """No module has a constant of this name. **Attributes**: `near`, similar names."""

    near: tuple[str, ...] = ()


class _Place:
    """A name in a module or class, the original there, and what replaces it, innermost last."""

    def __init__(self, owner: Any, name: str):
        self.owner, self.name = owner, name
        self.original = vars(owner)[name]
        self.values: list[Any] = []


_lock = threading.RLock()
_replaced: dict[tuple[int, str], _Place] = {}


@contextlib.contextmanager
def with_constants(constants: Mapping[str, Any]) -> Iterator[None]:
    """Within the block, constants of packages have units.

    A package's `G = 6.674e-11` is a number, and so a force that it computes of masses and distances
    with units has a wrong one, or is refused. Within the block the name stands for a quantity.

    **Arguments**: by the full name of each, `"package.module.G"` (or of an attribute of a class in
    a module), what it is within: a quantity, or text such as `"6.674e-11 m**3/kg/s**2"`.

    **Returns** a context manager; also a decorator, `@with_constants({...})`. Names are restored
    after it, also where something was raised, and blocks nest. Nothing that was traced or compiled
    outside is used within, nor the other way; entered again with equal constants, what was compiled
    there is.

    Functions look a module's names up when they are called, so they find the quantity. So do those
    of other modules that hold the very object, by `from package.module import G`, under the same
    name or, where the package has it under no other, another. Not seen is what was made of the
    number before: a default argument, a closure, another constant (`GM = G * M`), which has to be
    named itself. Modules belong to all threads: others see the quantity too, for as long. To enter
    looks through all modules, about 10 ms for a thousand of them.

    **Raises** `UnknownConstantError`, with near names, for a name that is not there.

    ```python
    >>> import sys, types
    >>> from sciquax import quaxify
    >>> from sciquax.units import Quantity, with_constants
    >>> package = sys.modules["bodies"] = types.ModuleType("bodies")  # somebody else's
    >>> exec("G = 6.674e-11\\ndef pull(m, r):\\n    return G * m / r**2", vars(package))
    >>> earth = Quantity(5.972e24, "kg"), Quantity(6371.0, "km")
    >>> with with_constants({"bodies.G": Quantity(6.674e-11, "m**3/kg/s**2")}):
    ...     print(f"{quaxify(package.pull)(*earth).to('m/s**2'):.2f}")
    9.82 meter / second ** 2

    ```
    """
    values = {name: _value(x) for name, x in constants.items()}
    places = [(place, x) for name, x in values.items() for place in _places(name)]
    held = []
    key = (_CONSTANTS.value, tuple((name, _key(x)) for name, x in values.items()))
    try:
        for (owner, name), x in places:
            held.append((_replace(owner, name, x), x))
        with _CONSTANTS(key):
            yield
    finally:
        for place, x in reversed(held):
            _restore(place, x)


def _value(x: Any) -> Any:
    return Quantity(x) if isinstance(x, str) else from_foreign(x)


def _replace(owner: Any, name: str, x: Any) -> _Place:
    with _lock:
        place = _replaced.setdefault((id(owner), name), _Place(owner, name))
        place.values.append(x)
        setattr(owner, name, x)
        return place


def _restore(place: _Place, x: Any) -> None:
    """Take a value away; another thread's block may have come later, and stays."""
    with _lock:
        i = next(i for i in reversed(range(len(place.values))) if place.values[i] is x)
        del place.values[i]
        setattr(place.owner, place.name, place.values[-1] if place.values else place.original)
        if not place.values:
            del _replaced[id(place.owner), place.name]


def _key(x: Any) -> Any:
    """A hashable key of a constant. A traced constant is equal to no other."""
    leaves, tree = jtu.tree_flatten(x)
    if any(isinstance(leaf, Tracer) for leaf in leaves):
        return object()
    arrays = [np.asarray(leaf) for leaf in leaves]
    weak = [getattr(leaf, "weak_type", False) for leaf in leaves]
    return tree, tuple((a.shape, str(a.dtype), a.tobytes()) for a in arrays), tuple(weak)


# -- where a constant is --------------------------------------------------------------------------


def _places(name: str) -> list[tuple[Any, str]]:
    """The owner and the attribute that a full name names, and where else the object is held."""
    owner, attribute = _owner(name)
    original = vars(owner)[attribute]
    places = [(owner, attribute)]
    alone = sum(x is original for x in vars(owner).values()) == 1
    shared = isinstance(original, (bool, int, str, bytes, type(None)))  # one object for all
    package = name.partition(".")[0]
    for module in list(sys.modules.values()):
        if module is owner or type(module) is not types.ModuleType:
            continue
        if shared and module.__name__.partition(".")[0] != package:
            continue
        for key, x in list(vars(module).items()):
            if x is original and (key == attribute or alone and not shared):
                places.append((module, key))
    return places


def _owner(name: str) -> tuple[Any, str]:
    """The module, or the class in one, whose attribute a full name names, and that attribute.

    **Raises** `UnknownConstantError`.
    """
    parts = name.split(".")
    module, rest = _module(name, parts[:-1])
    owner: Any = module
    for i, part in enumerate((*parts[rest:-1], parts[-1])):
        if part not in vars(owner):
            within = ".".join(parts[: rest + i])
            raise _unknown(name, f"`{within}` has no `{part}`.", part, vars(owner), within)
        if rest + i < len(parts) - 1:
            owner = vars(owner)[part]
            if not isinstance(owner, (type, types.ModuleType)):
                raise _unknown(
                    name, f"`{'.'.join(parts[: rest + i + 1])}` is neither a module nor a class."
                )
    return owner, parts[-1]


def _module(name: str, parts: list[str]) -> tuple[types.ModuleType, int]:
    """The innermost module that a name begins with, and how many parts of the name it takes."""
    found = None
    for n in range(1, len(parts) + 1):
        path = ".".join(parts[:n])
        try:
            found = importlib.import_module(path), n
        except ModuleNotFoundError as error:
            if error.name != path and not path.startswith(f"{error.name}."):
                raise
            break
    if found is None:
        what = f"there is no module `{parts[0]}`." if parts else "it names no module."
        near = parts[0] if parts else ""
        raise _unknown(name, what, near, {m.partition(".")[0]: None for m in list(sys.modules)})
    return found


def _unknown(
    name: str, what: str, part: str = "", known: Mapping[str, Any] | None = None, within: str = ""
) -> UnknownConstantError:
    lowered = {key.lower(): key for key in known or {} if key and not key.startswith("__")}
    found = difflib.get_close_matches(part.lower(), lowered, n=3, cutoff=0.5)
    near = tuple(f"{within}.{lowered[x]}" if within else lowered[x] for x in found)
    listed = ", ".join(f"'{x}'" for x in near)
    return UnknownConstantError(
        f"'{name}' is not a constant: {what}", f"Did you mean {listed}?" if near else "", near=near
    ).at(user_line())
