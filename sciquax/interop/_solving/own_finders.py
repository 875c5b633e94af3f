"""Root finders, minimisers and their like of the user's own: on numbers once that is known to hold.

Optimistix's own methods, which they may call, are not carried out in a trial.
"""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import optimistix

from sciquax.core.internal import add_hook
from sciquax.units.internal import InternedUnit, difference_unit, wrap

from .edited import edited
from .tolerances import TreeTolerance
from .tree_units import TreeUnits
from .trial import TRIAL, apart, attempt, checked, is_own, of_every_unit

FINDERS = (
    optimistix.AbstractRootFinder,
    optimistix.AbstractFixedPointSolver,
    optimistix.AbstractLeastSquaresSolver,
    optimistix.AbstractMinimiser,
)


def checked_finder(finder: Any, takes: TreeUnits, gives: TreeUnits) -> Any:
    """A solver that, if it is the user's, is tried on quantities before it runs.

    **Arguments**: the solver; the units of its unknowns; and those of the function's values.
    """
    if not (isinstance(finder, FINDERS) and is_own(finder)) or takes.unitless and gives.unitless:
        return finder
    return checked(finder, "init", _try_steps, (takes, gives))


def _try_steps(
    finder: Any, units: tuple[TreeUnits, TreeUnits], fn: Any, y: Any, args: Any, options: Any,
    f_struct: Any, aux_struct: Any, tags: Any,
) -> None:  # fmt: skip
    """Two steps of a solver, on a function in the units of the user's."""
    del fn
    takes, gives = (units.map(difference_unit) for units in units)
    minimises = isinstance(finder, optimistix.AbstractMinimiser)
    norm_of_many = minimises and len(set(gives.units)) > 1  # which has no unit
    if jtu.tree_structure(y) != takes.bare or norm_of_many:
        return
    if not minimises:
        same = gives.units == takes.units
        takes, gives = apart(takes), gives if same else apart(gives)
        gives = takes if same else gives
    options = {k: takes.label(options[k]) for k in ("lower", "upper") if k in options}
    aux = jtu.tree_map(lambda x: jnp.zeros(x.shape, x.dtype), aux_struct)
    atol = getattr(finder, "atol", None)
    if isinstance(atol, TreeTolerance):
        finder = edited(finder, atol=TreeTolerance(jtu.tree_map(of_every_unit, atol.tree)))
    elif isinstance(atol, float | int | jax.Array):
        finder = edited(finder, atol=of_every_unit(atol))
    structs, tree = jtu.tree_flatten(f_struct)
    due = gives.units[:1] if minimises else jtu.tree_leaves(gives.spread(gives.units))

    def values(y: Any, args: Any) -> Any:
        out = [_value(s, unit, y, takes) for s, unit in zip(structs, due, strict=True)]
        return tree.unflatten(out), aux

    def steps(finder: Any, first: Any) -> Any:
        done, y = None, first
        state = finder.init(values, first, args, options, f_struct, aux_struct, tags)
        for _ in range(2):
            done, _ = finder.terminate(values, y, args, options, state, tags)
            y, state, _ = finder.step(values, y, args, options, state, tags)
        return jtu.tree_map(jnp.add, first, y), done

    attempt(
        finder,
        _KINDS[next(k for k in FINDERS if isinstance(finder, k))],
        steps,
        finder,
        takes.label(y),
    )


_KINDS = dict(zip(FINDERS, ("a root finder", "a solver", "a solver", "a minimiser"), strict=True))


def _value(struct: Any, unit: InternedUnit, y: Any, takes: TreeUnits) -> Any:
    """Something in a unit, of a shape, that depends on all of `y`."""
    terms = zip(jtu.tree_leaves(y), jtu.tree_leaves(takes.spread(takes.units)), strict=True)
    total = sum(jnp.sum(x + 0.5 * jnp.abs(x)) * wrap(1.0, unit / one) for x, one in terms)
    return jnp.broadcast_to(total, struct.shape)


# -- calls of Optimistix's methods in a trial -----------------------------------------------------


def hook_finders(module: Any) -> None:
    """Have a trial of a user's solver run a module's own ones on zeros, and keep `y`."""
    for method in methods_of(module, dict.fromkeys(FINDERS, ("init", "step", "terminate"))):
        add_hook(method, _finders_method)


def _finders_method(original: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(original)

    def hook(*args: Any, **kwargs: Any) -> Any:
        if not TRIAL.active:
            return original(*args, **kwargs)
        given = signature.bind(*args, **kwargs).arguments
        y = given["y"]
        zeros = jtu.tree_map(lambda x: np.zeros(x.shape, x.dtype), y)
        part = edited(given["self"], rtol=1.0, atol=1.0)
        function = lambda y, args: given["fn"](y, args)  # noqa: E731
        out = original(**dict(given, self=part, fn=function, y=zeros))
        return (y, *out[1:]) if original.__name__ == "step" else out

    return hook


def methods_of(module: Any, kinds: dict[type, tuple[str, ...]]) -> list[Callable[..., Any]]:
    """A module's own methods of these names in classes of these kinds, each once."""
    found = {}
    for public in vars(module).values():
        for kind, names in kinds.items():
            if isinstance(public, type) and issubclass(public, kind):
                for cls in public.__mro__:
                    for method in filter(None, map(vars(cls).get, names)):
                        if not getattr(method, "__isabstractmethod__", False):
                            found[id(method)] = method
    return list(found.values())


hook_finders(optimistix)
