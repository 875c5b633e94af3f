"""Unit signatures: what a function makes of its arguments' units, in one line.

    "x:a, xp:a, fp:b, left:b, right:b, period:a -> b"     interp
    "x:a, loc:a, scale:a -> 1/a"                          norm.pdf
    "q:1, loc:a, scale:a -> a"                            norm.ppf

Arguments of one letter measure one thing: they are converted to a common unit. `1` is a number,
reduced (`km/m` by 1000), and `%` one of percent. `*` is any unit, which is passed over (`a:* ->`),
and an argument that is not named must be plain, or a number if the signature says `*:1`. The
results: a product, quotient or power of letters, nothing for plain arrays, one for each result, or
one for all; a capital letter is the unit of differences (`A` for `a`: `delta_degC` for `degC`, dB
for dBm).

What computes is JAX's function itself, on magnitudes.
"""

import inspect
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core import is_value, quaxify, register_rule

from .._quantity.arithmetic import as_number, as_plain, multiplicative, unify
from .._quantity.base import magnitude_of, own_unit, wrap
from .._quantity.quantity import Quantity
from .._unit.convert import _inexact, convert
from .._unit.logarithmic import from_linear, span_unit, to_linear
from .._unit.parsing import as_unit
from .._unit.unit import InternedUnit, dimensionless


def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A JAX function on magnitudes, which may be values themselves.

    **Raises** `DimensionalityError` for an argument that still has a unit: one that the rule does
    not take a unit in.
    """
    leaves, _ = jtu.tree_flatten_with_path((args, kwargs), is_leaf=is_value)
    for path, x in leaves:
        if isinstance(x, Quantity):
            as_plain(getattr(function, "__name__", "function"), x, _argument(function, path))
    values = any(is_value(x) for _, x in leaves)
    return (quaxify(function) if values else function)(*args, **kwargs)


def _argument(function: Callable[..., Any], path: Sequence[Any]) -> str:
    """The name of the argument at a path in `(args, kwargs)`."""
    if path[0].idx == 1:
        return f"`{path[1].key}`"
    names = list(inspect.signature(function).parameters)
    return f"`{names[path[1].idx]}`" if path[1].idx < len(names) else "argument"


def is_operand(x: Any) -> bool:
    """Whether an argument is data; None and strings are options."""
    return (
        is_value(x)
        or isinstance(x, (int, float, complex, np.ndarray, np.generic))
        or (hasattr(x, "dtype") and hasattr(x, "shape"))
    )


class Signature:
    """A parsed unit signature, see the module.

    **Attributes**: `groups`, the argument names of each letter; `numbers`, `percents` and `free`,
    those of numbers, of numbers of percent and of any unit; `results`, each result's powers of
    letters.
    """

    def __init__(self, text: str):
        arguments, _, results = text.partition("->")
        self.groups: dict[str, list[str]] = {}
        self.numbers: list[str] = []
        self.percents: list[str] = []
        self.free: list[str] = []
        for item in filter(None, (part.strip() for part in arguments.split(","))):
            name, _, letter = (part.strip() for part in item.partition(":"))
            if letter == "1":
                self.numbers.append(name)
            elif letter == "%":
                self.percents.append(name)
            elif letter == "*":
                self.free.append(name)
            else:
                self.groups.setdefault(letter, []).append(name)
        self.results = [_powers(part) for part in results.split(",")]

    def unit(self, result: dict[str, int], units: dict[str, InternedUnit]) -> InternedUnit:
        unit = dimensionless()
        for letter, power in result.items():
            own = units.get(letter.lower(), dimensionless())
            if own.unitless:
                continue
            own = span_unit(own) if letter.isupper() else own
            if power == 1 and unit.unitless:
                unit = own
            else:
                unit = unit * own**power
        return unit


def _powers(text: str) -> dict[str, int]:
    powers: dict[str, int] = {}
    for sign, letter, power in re.findall(r"([*/]?)\s*([a-zA-Z])(?:\^(\d))?", text):
        powers[letter] = (-1 if sign == "/" else 1) * int(power or 1)
    return powers


def enrol(
    module: str,
    names: str,
    signature: str,
    *,
    affine: bool = False,
    only_affine: bool = False,
    only_nested: bool = False,
    counts: Sequence[str] = (),
    averaged: str = "",
    moved: bool = False,
) -> None:
    """Give quantities the rule that a unit signature states, for functions of a module.

    **Arguments**: `affine`, whether it is meaningful on scales with an offset; `only_affine`,
    whether the rule is for these alone, since the function's primitives do for all others;
    `only_nested`, the same for quantities whose magnitude is a value itself (a structured matrix);
    `counts`, arguments that are counts where they are integers (`bins=10`); `averaged`, a letter of
    which means are formed: of levels, in dBm, those of what they are levels of; `moved`, whether
    the elements are moved, chosen, rounded or subtracted, so that levels are no matter.
    """
    for name in names.split():
        kind = _OffsetRule if only_affine else _NestedRule if only_nested else _Rule
        register_rule(
            Quantity,
            f"{module}.{name}",
            kind(
                f"{module}.{name}",
                Signature(signature),
                affine or only_affine,
                tuple(counts),
                averaged,
                moved,
            ),
        )


class _Rule:
    """The rule that a signature states for one function."""

    only_offset = False

    def __init__(
        self,
        name: str,
        signature: Signature,
        affine: bool,
        counts: tuple[str, ...],
        averaged: str,
        moved: bool,
    ):
        self.module, _, self.name = name.rpartition(".")
        self.signature, self.affine, self.counts = signature, affine, counts
        self.averaged, self.moved = averaged, moved
        self._function: Any = None

    def function(self) -> tuple[Callable, inspect.Signature]:
        if self._function is None:
            function = getattr(sys.modules[self.module], self.name)
            self._function = function, inspect.signature(function)
        return self._function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        function, parameters = self.function()
        bound = parameters.bind(*args, **kwargs)
        given = set(bound.arguments)
        bound.apply_defaults()
        arguments, signature = bound.arguments, self.signature
        units: dict[str, InternedUnit] = {}
        known = {*signature.numbers, *signature.percents, *signature.free}
        for letter, names in signature.groups.items():
            known.update(names)
            units[letter] = self._unify(arguments, names, letter == self.averaged)
        for name in arguments.keys() & signature.numbers:
            arguments[name] = _over(arguments.get(name), lambda x: as_number(self.name, x))
        for name in arguments.keys() & signature.percents:
            arguments[name] = _over(arguments.get(name), lambda x: _percent(self.name, x))
        for name in arguments.keys() & signature.free:
            arguments[name] = _over(arguments.get(name), magnitude_of)
        for name in arguments.keys() - known:
            arguments[name] = _over(arguments[name], lambda x, name=name: self._unnamed(x, name))
        changed = given | {n for n in known if n in arguments}
        for name in [n for n in arguments if n not in changed]:
            del arguments[name]  # JAX's own default, unconverted
        if any(is_value(x) for x in jtu.tree_leaves(arguments, is_leaf=is_value)):
            out = quaxify(function)(*bound.args, **bound.kwargs)
        else:
            out = function(*bound.args, **bound.kwargs)
        result_units = [signature.unit(r, units) for r in signature.results]
        if self.averaged and units[self.averaged].level:
            level = units[self.averaged]
            return self._label(out, result_units, lambda x, u: _leveled(x, u, level))
        return self._label(out, result_units)

    def _unnamed(self, x: Any, argument: str) -> Any:
        if "*" in self.signature.numbers:
            return as_number(self.name, x)
        return as_plain(self.name, x, f"`{argument}`")

    def _unify(
        self, arguments: dict[str, Any], names: Sequence[str], averaged: bool
    ) -> InternedUnit:
        """The arguments of these names in one unit, in place; and that unit."""
        places = []
        for name in names:
            leaves, tree = jtu.tree_flatten(arguments.get(name), is_leaf=is_value)
            is_count = name in self.counts and len(leaves) == 1 and _is_count(leaves[0])
            data = [] if is_count else [i for i, x in enumerate(leaves) if is_operand(x)]
            places.append((name, leaves, tree, data))
        operands = [leaves[i] for _, leaves, _, data in places for i in data]
        if not operands:
            return dimensionless()
        magnitudes, unit = unify(self.name, operands)
        if not self.affine or self.only_offset and unit.level and not (averaged or self.moved):
            multiplicative(self.name, unit)
        if averaged and unit.level:
            magnitudes = [to_linear(_inexact(x), unit)[0] for x in magnitudes]
        rest = iter(magnitudes)
        for name, leaves, tree, data in places:
            for i in data:
                leaves[i] = next(rest)
            if data:
                arguments[name] = jtu.tree_unflatten(tree, leaves)
        return unit

    def _label(self, out: Any, units: list[InternedUnit], wrap: Any = wrap) -> Any:
        if len(units) == 1 or not isinstance(out, (tuple, list)):  # options left out the others
            return jtu.tree_map(lambda x: wrap(x, units[0]), out, is_leaf=is_value)
        assert len(out) <= len(units), f"`{self.name}` gave {len(out)} results of {len(units)}"
        parts = [
            jtu.tree_map(lambda x, u=u: wrap(x, u), x, is_leaf=is_value)
            for x, u in zip(out, units, strict=False)
        ]
        return type(out)(*parts) if hasattr(out, "_fields") else type(out)(parts)


def _leveled(x: Any, unit: InternedUnit, level: InternedUnit) -> Any:
    """A mean of what levels are levels of, as a level."""
    return wrap(from_linear(x, level) if unit is level else x, unit)


class _OffsetRule(_Rule):
    """A rule for scales with an offset only."""

    only_offset = True

    def takes(self, operands: Sequence[Any]) -> bool:
        return any(is_value(x) and own_unit(x).offset for x in operands)


def _nested(operands: Sequence[Any]) -> bool:
    return any(is_value(x) and is_value(magnitude_of(x)) for x in operands)


def only_nested(function: Callable) -> Callable:
    """Decorator: a rule only for quantities whose magnitude is a value itself."""
    function.takes = _nested  # pyright: ignore[reportFunctionMemberAccess]
    return function


class _NestedRule(_Rule):
    """A rule for quantities whose magnitude is a value itself."""

    takes = staticmethod(_nested)


def _percent(name: str, x: Any) -> Any:
    """A bare number as it is; a quantity in percent."""
    if own_unit(x).unitless or not own_unit(x).require_dimensionless():
        return as_number(name, x)
    return convert(magnitude_of(x), own_unit(x), as_unit("percent", own_unit(x).registry))


def _is_count(x: Any) -> bool:
    return isinstance(x, (int, np.integer)) or (
        isinstance(x, (np.ndarray,)) and x.ndim == 0 and jnp.issubdtype(x.dtype, jnp.integer)
    )


def _over(argument: Any, function: Callable) -> Any:
    """`function` of every operand in an argument, which may be a list of them."""
    if argument is None or isinstance(argument, str):
        return argument
    return jtu.tree_map(lambda x: function(x) if is_operand(x) else x, argument, is_leaf=is_value)


def rule(
    *names: str, direct_only: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: a rule written out, for functions by their public names."""

    def decorator(function: Callable) -> Callable:
        for name in names:
            register_rule(Quantity, name, function, direct_only=direct_only)
        return function

    return decorator
