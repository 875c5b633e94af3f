"""Objects of other libraries that mean more than their numbers: taken over, or refused.

A quantity of pint or Astropy is an array to NumPy, and JAX would read it as bare numbers. A type of
ours that knows what such an object means registers how to take it over; what it knows and cannot
take over, it refuses. Core knows no such library.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax.tree_util as jtu

from ._compat import guard_array_type
from ._errors import RuleError, locate_stack
from ._value import MODE, VALUE_TYPES

Taker = Callable[[Any], Any]

_finders: list[Callable[[type], Taker | None]] = []
_takers: dict[type, Taker | None] = {}
_guards: list[tuple[str, str]] = []


def register_foreign(
    find: Callable[[type], Taker | None], guards: Sequence[tuple[str, str]] = ()
) -> None:
    """Say which objects of other libraries are taken over as values.

    **Arguments**

    - `find`: for a class, what makes a value of an instance, or raises for one that cannot be; or
      None for a class that it does not know. Asked once for each class.
    - `guards`: modules and names of classes of arrays that JAX would silently read as bare numbers
      where a staged function captures one. While staging they are refused.
    """
    _finders.append(find)
    _guards.extend(guards)
    _takers.clear()


def guard_foreign() -> None:
    """Have JAX ask us about the guarded classes that the user has imported since."""
    for module, name in list(_guards):
        if module in sys.modules:
            guard_array_type(getattr(sys.modules[module], name), _refuse_while_staging)
            _guards.remove((module, name))


def _refuse_while_staging(x: Any) -> None:
    if MODE.staging:
        raise captured_foreign(x)


def captured_foreign(x: Any) -> RuleError:
    """The error for another library's object that a staged function captured."""
    name = f"{type(x).__module__.partition('.')[0]}.{type(x).__name__}"
    error = RuleError(
        f"A `{name}` that a quaxified function captured met an array of the program, which would "
        "read it as bare numbers.",
        "Pass it as an argument, or capture it as a value: `sciquax.units.Quantity(x)`.",
    )
    locate_stack(error)
    return error


def taker_of(kind: type) -> Taker | None:
    """What makes a value of an instance of a class; None for nearly all classes."""
    try:
        return _takers[kind]
    except KeyError:
        found = None
        if kind not in VALUE_TYPES:
            found = next((t for find in _finders if (t := find(kind)) is not None), None)
        _takers[kind] = found
        return found


def adopt(x: Any) -> Any:
    """`x`, or the value that it is if it belongs to another library."""
    taker = taker_of(type(x))
    return x if taker is None else taker(x)


def adopt_all(tree: Any) -> Any:
    """A tree with all objects of other libraries in it taken over."""
    leaves, treedef = jtu.tree_flatten(tree, is_leaf=is_value_or_foreign)
    if all(taker_of(type(x)) is None for x in leaves):
        return tree
    return jtu.tree_unflatten(treedef, map(adopt, leaves))


def is_value_or_foreign(x: Any) -> bool:
    """Whether `x` is a value, or becomes one."""
    kind = type(x)
    return kind in VALUE_TYPES or taker_of(kind) is not None
