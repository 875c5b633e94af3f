"""`wraps`: formulas written for numbers in stated units, called on quantities, as pint has it."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax.tree_util as jtu
from pint.util import to_units_container

from sciquax.core import MODE, from_foreign, is_value, is_value_or_foreign, quaxify, user_line

from .._quantity.quantity import Quantity
from .._unit.errors import DimensionalityError
from .._unit.parsing import as_unit
from .._unit.unit import dimensionless
from .unit_primitives import Role, unit_given_p, unit_taken_p

F = TypeVar("F", bound=Callable[..., Any])


def wraps(returns: Any, args: Any, strict: bool = True) -> Callable[[F], F]:
    """Decorator: a function of numbers in stated units becomes one of quantities, as with pint.

    For formulas with bare constants: vapour pressures, rate constants, Coulomb logarithms. The
    function sees plain arrays in the units that it is written for, and its result gets its own.

    **Arguments**

    - `returns`: the unit of the result, or a tuple or list of units for several results. None
      leaves a result as it comes.
    - `args`: the unit of each parameter, by position (`*args` have one, for all). None passes an
      argument on as it is. `"=A"` passes it on in whatever unit it is, and names that unit: other
      parameters and `returns` may refer to it, `"=A**2"`, `"=A*B"`.
    - `strict`: whether plain numbers are refused where a unit is due; otherwise they count as in
      that unit already. Literal 0, inf and nan, and numbers for a dimensionless parameter, are
      taken either way; a parameter that is left out has the function's own default.

    An argument or a result may be a tree, all of which is in one unit. The function goes through
    `jax.jit`, `jax.grad`, `jax.vmap` and `quaxify`, within and without; under `sciquax.grad` its
    derivatives have units.

    **Raises** TypeError for another number of units than of parameters, ValueError for a name that
    no parameter defines, `UndefinedUnitError`; and the function, `DimensionalityError` for an
    argument of another dimension.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import grad
    >>> from sciquax.units import Quantity, wraps
    >>> @wraps("Pa", "degC")
    ... def vapour_pressure(t):
    ...     return 611.2 * jnp.exp(17.62 * t / (243.12 + t))
    >>> print(f"{vapour_pressure(Quantity(293.15, 'K')):.0f}")
    2333 pascal
    >>> print(f"{grad(vapour_pressure)(Quantity(20.0, 'degC')):.1f}")
    144.3 pascal / delta_degree_Celsius

    ```
    """
    specs = list(args) if isinstance(args, (list, tuple)) else [args]

    def decorator(function: F) -> F:
        name = getattr(function, "__name__", type(function).__name__)
        signature = inspect.signature(function)
        parameters = [
            p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        if len(specs) != len(parameters):
            raise TypeError(
                f"`{name}` has {len(parameters)} parameters, and `wraps` got {len(specs)} units."
            )
        units = dict(zip((p.name for p in parameters), specs, strict=True))
        several = isinstance(returns, (list, tuple))
        defining: dict[str, str] = {}
        for key, spec in units.items():
            if (reference := _defined(spec)) is not None:
                defining.setdefault(reference, key)

        def role_of(what: str, spec: Any, given: dict[str, Any]) -> tuple[Role, list[Any]]:
            role, references = _role(name, what, spec, defining, strict)
            return role, [_one_of(given.get(defining[r])) for r in references]

        for what, spec in [*units.items(), *(("", r) for r in (returns if several else [returns]))]:
            _ = spec is None or role_of(what, spec, {})

        @functools.wraps(function)
        def wrapper(*values: Any, **keywords: Any) -> Any:
            bound = signature.bind(*values, **keywords)
            chosen = [k for k in bound.arguments if units.get(k) is not None]
            given = {k: _adopted(bound.arguments[k]) for k in chosen}
            for key in chosen:
                role, references = role_of(key, units[key], given)
                bound.arguments[key] = _each(unit_taken_p, given[key], references, role)
            bare = [bound.arguments[k] for k in chosen]
            beneath = not MODE.staging and any(map(is_value, jtu.tree_leaves(bare, is_value)))
            out = (quaxify(function) if beneath else function)(*bound.args, **bound.kwargs)
            if not several:
                return label("its result", returns, out, given)
            results = list(out)
            if len(results) != len(returns):
                raise ValueError(
                    f"`{name}` returned {len(results)} results, and `wraps` got {len(returns)} "
                    "units for them."
                )
            labelled = [
                label(f"result {i}", unit, x, given)
                for i, (unit, x) in enumerate(zip(returns, results, strict=True))
            ]
            return type(returns)(labelled)

        def label(what: str, spec: Any, out: Any, given: dict[str, Any]) -> Any:
            if spec is None:
                return out
            role, references = role_of(what, spec, given)
            return _each(unit_given_p, out, references, role)

        wrapper._takes_values = True  # type: ignore[attr-defined]  # not to be staged for that
        return wrapper  # pyright: ignore[reportReturnType]

    return decorator


def _defined(spec: Any) -> str | None:
    """The name that a parameter's `"=A"` defines."""
    if not isinstance(spec, str) or not spec.startswith("="):
        return None
    powers = dict(to_units_container(spec[1:]))
    ((key, power),) = powers.items() if len(powers) == 1 else [(None, 0)]
    return key if power == 1 else None


def _role(
    function: str, what: str, spec: Any, defining: dict[str, str], strict: bool
) -> tuple[Role, list[str]]:
    """The meaning of a specification, and the names that it refers to.

    **Raises** ValueError for names that no parameter defines.
    """
    if not isinstance(spec, str) or not spec.startswith("="):
        return Role(function, what, strict, as_unit(spec)), []
    powers = dict(to_units_container(spec[1:]))
    if missing := [key for key in powers if key not in defining]:
        raise ValueError(
            f"'{spec}' refers to {', '.join(missing)}, which no parameter of `{function}` defines: "
            f'one has to be "={missing[0]}".'
        )
    if what and what == defining.get(_defined(spec) or ""):
        return Role(function, what, strict, dimensionless(), defines=True), []
    return Role(function, what, strict, dimensionless(), tuple(powers.values())), list(powers)


def _adopted(x: Any) -> Any:
    """An argument with text, and other libraries' quantities, read as ours."""
    read = lambda leaf: Quantity(leaf) if isinstance(leaf, str) else from_foreign(leaf)  # noqa: E731
    return jtu.tree_map(read, x, is_leaf=is_value_or_foreign)


def _one_of(x: Any) -> Any:
    """One of the arrays of an argument, for its unit."""
    return next(iter(jtu.tree_leaves(x, is_leaf=is_value)), 1.0)


def _each(primitive: Any, tree: Any, references: Sequence[Any], role: Role) -> Any:
    """Every array of a tree with its unit taken or given."""

    def one(x: Any) -> Any:
        if not (is_value(x) or hasattr(x, "dtype") or isinstance(x, (int, float, complex))):
            return x
        try:
            return primitive.bind(x, *references, role=role)
        except DimensionalityError as error:
            raise (error if error.location else error.at(user_line())) from None

    return jtu.tree_map(one, tree, is_leaf=is_value)
