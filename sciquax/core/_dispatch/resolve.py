"""From a primitive and the types of its operands to the rule that interprets it.

Three sources, asked in this order:

1. rules registered on a signature, `@register(mul_p)` with plum annotations;
2. the handlers of primitives that hold functions, the same for every type;
3. the outermost operand type's rule for the primitive or its family, `register_rule`; for a
   comparison without one, a rule on a signature for the mirrored one, since `a < b` is `b > a`;

and then the type's `default`. A resolution is kept in a plain dictionary that registration clears,
unless a signature depends on more than its operands' classes.
"""

from collections.abc import Sequence
from typing import Any

from jax import lax

from .._errors import AmbiguousRuleError
from .._values.formulas import bind_plain
from .._values.kinds import VALUE_TYPES
from .._values.stated import stated_number, vanishes
from .._values.unit_polymorphic import POWERS, UnitPolymorphic, stays_polymorphic, strip
from .._values.value import Value
from .signatures import _signature_rules
from .tables import HIGHER_ORDER, Rule, _resolved, family_rules

_MIRRORED = {lax.lt_p: lax.gt_p, lax.gt_p: lax.lt_p, lax.le_p: lax.ge_p, lax.ge_p: lax.le_p}


def bind(primitive: Any, *operands: Any, **params: Any) -> Any:
    """Apply a primitive to values and arrays.

    A rule calls this for the operation on what its own type holds, which may be another value.

    **Arguments**: a JAX primitive, its operands, and its parameters.

    **Returns** the result of the rule that fits the operands' types. If all are plain arrays, JAX
    binds the primitive. Primitives with several results give a list.

    **Raises** `RuleError` if no rule fits, and whatever the rule raises.

    ```python
    >>> import jax
    >>> from sciquax.core import bind
    >>> from sciquax.units import Quantity
    >>> bind(jax.lax.add_p, Quantity(1.0, "m"), Quantity(50.0, "cm"))
    Quantity(1.5, 'm')

    ```
    """
    for x in operands:
        if type(x) in VALUE_TYPES:
            return resolve(primitive, operands)(primitive, operands, params)
    return bind_plain(primitive, operands, params)


def resolve(primitive: Any, operands: Sequence[Any]) -> Rule:
    """The rule for these operands."""
    key = (
        primitive,
        *[
            type(x) if type(x) is not UnitPolymorphic else (UnitPolymorphic, type(x.inner))
            for x in operands
        ],
    )
    try:
        return _resolved[key]
    except KeyError:
        rule, keep = _resolve(primitive, operands)
        if keep:
            _resolved[key] = rule
        return rule


def _resolve(primitive: Any, operands: Sequence[Any]) -> tuple[Rule, bool]:
    keep = True
    if (rules := _signature_rules.get(primitive)) is not None:
        keep = rules.faithful()
        rule = rules.find(operands)
        if rule is None and any(type(x) is UnitPolymorphic for x in operands):
            rule = rules.find([strip(x) for x in operands])
            if rule is not None:
                rule = _without_polymorphic(rule)
        if rule is not None:
            return rule, keep
    if (handler := HIGHER_ORDER.get(primitive.name)) is not None:
        return handler, keep
    types = _value_types(operands)
    if any(type(x) is UnitPolymorphic for x in operands):
        stays = stays_polymorphic(primitive, operands)
        if not types:
            return (_mark_polymorphic(_bind_plain) if stays else _bind_plain), keep
        rule = _rule_of_types(types, primitive)
        if not any(t.polymorphic_constants for t in types):
            rule = _without_polymorphic(rule)
        return (_mark_polymorphic(rule) if stays else rule), keep
    if (mirrored := _mirrored(primitive, operands)) and not has_rule(primitive, operands):
        return mirrored, False
    return _rule_of_types(types, primitive), keep


def has_rule(primitive: Any, operands: Sequence[Any]) -> bool:
    """Whether there is a rule for these operands other than the default of their types."""
    rules = _signature_rules.get(primitive)
    if rules is not None and rules.find(operands) is not None:
        return True
    return any(family_rules(t, primitive) for t in _value_types(operands))


def _mirrored(primitive: Any, operands: Sequence[Any]) -> Rule | None:
    """The rule by signature for the mirrored comparison: `b > a` for `a < b`."""
    other = _MIRRORED.get(primitive)
    rules = _signature_rules.get(other)
    found = None if rules is None else rules.find(operands[::-1])
    if found is None:
        return None
    return lambda primitive, operands, params: found(other, operands[::-1], params)


def _rule_of_types(types: Sequence[type[Value]], primitive: Any) -> Rule:
    candidates = [rule for t in types for rule in family_rules(t, primitive)]
    return _first_that_applies(candidates, types)


def _value_types(operands: Sequence[Any]) -> list[type[Value]]:
    """The operands' value types, outermost first, looking into polymorphic constants."""
    types = {type(x): None for x in map(strip, operands) if type(x) in VALUE_TYPES}
    return sorted(types, key=lambda t: -t.layer)


def _bind_plain(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    return bind_plain(primitive, [*map(strip, operands)], params)


def _mark_polymorphic(rule: Rule) -> Rule:
    """Mark outputs of polymorphic operands as such; to the power of 0 they are 1 and plain."""

    def marked(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        out = rule(primitive, operands, params)
        if primitive.name in POWERS and not _exponent_is_not_zero(operands, params):
            return out
        return (
            [UnitPolymorphic(x) for x in out]
            if primitive.multiple_results
            else UnitPolymorphic(out)
        )

    return marked


def _exponent_is_not_zero(operands: Sequence[Any], params: dict[str, Any]) -> bool:
    """Whether the program states an exponent that is not zero."""
    if "y" in params:
        return params["y"] != 0
    return stated_number(operands[1], vanishes, data=True) is False


def _without_polymorphic(rule: Rule) -> Rule:
    return lambda primitive, operands, params: rule(primitive, [*map(strip, operands)], params)


def _first_that_applies(candidates: Sequence[Rule], types: Sequence[type[Value]]) -> Rule:
    def apply(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        for rule in candidates:
            out = rule(primitive, operands, params)
            if out is not NotImplemented:
                return out
        return default_rule(types, primitive)(primitive, [*map(strip, operands)], params)

    return apply


def default_rule(types: Sequence[type[Value]], primitive: Any) -> Rule:
    """The default rule of the outermost type. Two types of one layer that disagree are an error."""
    outer = [t for t in types if t.layer == types[0].layer]
    own = {t.default: t for t in outer if t.default is not Value.default}
    if len(own) > 1:
        names = " and ".join(f"`{t.__name__}`" for t in own.values())
        raise AmbiguousRuleError(
            f"{names} meet in `{primitive.name}`, which has no rule for both, and each has a "
            "default of its own.",
            "Register a rule for the pair with `sciquax.register`.",
        )
    return next(iter(own), outer[0].default)
