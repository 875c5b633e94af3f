"""Rules by family and by higher-order primitive, and the caches that depend on them."""

from collections.abc import Callable, Sequence
from typing import Any

from .._compat.jaxprs import Primitive
from .._errors import AmbiguousRuleError, RuleError
from .._facts import REASONS, Scaling, Structure, facts_of
from .._values.kinds import describe
from .._values.value import Value

Rule = Callable[[Any, Sequence[Any], dict[str, Any]], Any]
Key = Scaling | Structure | str

_resolved: dict[Any, Rule] = {}
_family_rules: dict[type, dict[Key, Rule]] = {}

HIGHER_ORDER: dict[str, Rule] = {}
"""Handlers of primitives that hold functions, filled by `_higher_order/handlers.py`."""

TAKES_STATED: set[str] = set()
"""Those whose handlers hand numbers that the program states on to bodies, see `_values/stated.py`.

Handlers of others are given operands without what is known of them."""

AFTER_BODY: dict[type[Value], Callable[[Sequence[Any], Sequence[Any]], Sequence[Any]]] = {}
"""From operands with a value of a type, and what a handler made of them, to what it is then.

For what a value says beside its type, which bodies are staged without."""

CACHES_TO_CLEAR: list[Any] = [_resolved]
"""Caches that depend on which rules exist; registration empties them."""


def has_family_rules(cls: type) -> bool:
    """Whether a type has rules by family, of its own or inherited."""
    return any(parent in _family_rules for parent in cls.__mro__)


# -- rules by family ------------------------------------------------------------------------------


def add_family_rule(cls: type[Value], key: Key | Primitive, rule: Rule) -> None:
    """A type's rule for a family of primitives, or for one: see `register_rule`."""
    table = _family_rules.setdefault(cls, {})
    key = key.name if isinstance(key, Primitive) else key
    if key in table and not _same_definition(table[key], rule):
        raise AmbiguousRuleError(f"`{cls.__name__}` already has a rule for {key}.")
    table[key] = rule
    clear_caches()


def find_family_rule(cls: type[Value], primitive: Any) -> tuple[type, Key, Rule] | None:
    """A type's rule for a primitive, the class that it was registered for, and its target."""
    facts = facts_of(primitive)
    for key in (primitive.name, facts.scaling, facts.structure):
        for parent in cls.__mro__:
            rule = _family_rules.get(parent, {}).get(key)
            if rule is not None:
                return parent, key, rule
    return None


def family_rules(cls: type[Value], primitive: Any) -> list[Rule]:
    """A type's rule for a primitive, and those of its base classes for the same key."""
    found = find_family_rule(cls, primitive)
    if found is not None:
        first, key, _ = found
        bases = cls.__mro__[cls.__mro__.index(first) :]
        return [_family_rules[b][key] for b in bases if key in _family_rules.get(b, ())]
    if facts_of(primitive).scaling is Scaling.REFUSED:
        return [_refuse]
    return []


def _refuse(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    names = ", ".join(describe(x) for x in operands)
    raise RuleError(f"`{primitive.name}` cannot take ({names}): {REASONS[primitive.name]}.")


def clear_caches() -> None:
    for cache in CACHES_TO_CLEAR:
        cache.clear()


def _same_definition(old: Callable, new: Callable) -> bool:
    """Whether `new` is `old` defined again, as when a notebook's cell is run twice."""
    return (old.__module__, old.__qualname__) == (new.__module__, new.__qualname__) and (
        "<lambda>" not in new.__qualname__
    )
