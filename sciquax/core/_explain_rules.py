"""`explain_rules`: each type's rule for a primitive or a function, and where it comes from."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from ._compat.jaxprs import Primitive
from ._dispatch.signatures import headed, signature_rules
from ._dispatch.tables import HIGHER_ORDER, find_family_rule
from ._errors import quoted
from ._facts import REASONS, Scaling, facts_of
from ._functions.intercept import rules_of
from ._functions.rules import FunctionRules, function_name, known_rules
from ._stage.quaxify import _Quaxify
from ._values.kinds import VALUE_TYPES
from ._values.unit_polymorphic import UnitPolymorphic
from ._values.value import ArrayValue, Value


def explain_rules(target: Any, types: Iterable[type[Value]] | None = None) -> None:
    """Print which rule each type of value has for a primitive, or for a whole JAX function.

    First the facts that families go by, then the rules registered by signature, which are asked
    first, then each type's own: for the primitive by name, for its family, or its default. Types
    that have theirs from a common class are listed under its name.

    **Arguments**

    - `target`: a primitive, such as `jax.lax.add_p`, or a function, such as `jnp.linalg.det`.
    - `types`: the types to list; all that are loaded, if None. Import `sciquax.units` and others
      before, so that they are.

    **Raises** TypeError for what is neither.

    ```python
    >>> import jax
    >>> from sciquax import explain_rules
    >>> from sciquax.units import Quantity
    >>> explain_rules(jax.lax.log1p_p, types=[Quantity])
    `log1p`: elementwise; numbers only (`exp`)
      Quantity  for `PURE`: sciquax.units._primitives.elementwise._pure

    ```
    """
    listed = _types() if types is None else list(types)
    if isinstance(target, _Quaxify):
        target = target.fn
    if isinstance(target, Primitive):
        lines = _primitive(target, listed)
    elif callable(target):
        lines = _function(target, listed)
    else:
        raise TypeError(f"`explain_rules` takes a primitive or a function, not {quoted(target)}.")
    print("\n".join(lines))


def _types() -> list[type[Value]]:
    """The public types that values can have, the outermost first."""
    found = [
        t
        for t in VALUE_TYPES
        if t is not UnitPolymorphic
        and t not in (Value, ArrayValue)
        and not t.__name__.startswith("_")
        and not t.transient
        and not inspect.isabstract(t)
    ]
    return sorted(found, key=lambda t: (-t.layer, t.__name__, t.__module__))


def _primitive(primitive: Any, types: list[type[Value]]) -> list[str]:
    facts = facts_of(primitive)
    lines = [f"`{primitive.name}`: {_words(facts.structure.name)}; {facts.scaling.value}"]
    lines += [
        f"  by signature: {headed(rule)} in {_home(rule)}" for rule in signature_rules(primitive)
    ]
    if (handler := HIGHER_ORDER.get(primitive.name)) is not None:
        return [*lines, f"  every type: interpreted within, {_home(handler)}"]
    rows: dict[str, str] = {}
    for t in types:
        found = find_family_rule(t, primitive)
        if found is not None:
            owner, key, rule = found
            key = f"`{key if isinstance(key, str) else key.name}`"
            rows.setdefault(owner.__name__, f"for {key}: {_home(rule)}")
        elif facts.scaling is Scaling.REFUSED:
            rows[t.__name__] = f"refused: {REASONS[primitive.name]}"
        else:
            owner, what = _default(t)
            rows.setdefault(owner.__name__, what)
    return [*lines, *_table(rows)]


def _default(t: type[Value]) -> tuple[type, str]:
    """The default of a type without a rule, and the class that defines it."""
    for name, what in (("default", "default"), ("materialise", "materialised")):
        owner = next(parent for parent in t.__mro__ if name in vars(parent))
        if owner not in (Value, ArrayValue):
            return owner, f"no rule; {what}: {_home(getattr(owner, name))}"
    return t, "no rule; refused, for it cannot be materialised"


def _function(function: Callable, types: list[type[Value]]) -> list[str]:
    lines = [f"`{function_name(function)}`, as a whole:"]
    rows: dict[str, str] = {}
    rules = rules_of(function) or known_rules(function)  # by name: what is pending is looked up
    if rules is not None:
        lines += [f"  by signature: {headed(rule)} in {_home(rule)}" for rule in rules.all()]
        for t in types:
            owner = _owner(rules, t)
            if owner is not None:
                rows.setdefault(owner.__name__, _home(rules.families[owner]))
    lines += _table(rows)
    if len(lines) == 1:
        lines = [f"`{function_name(function)}` has no rule as a whole."]
    return [*lines, "  otherwise: by its primitives"]


def _owner(rules: FunctionRules, t: type) -> type | None:
    return next((parent for parent in t.__mro__ if parent in rules.families), None)


def _table(rows: dict[str, str]) -> list[str]:
    width = max(map(len, rows), default=0)
    return [f"  {name:{width}}  {what}" for name, what in rows.items()]


def _home(rule: Any) -> str:
    """The module and the name of a rule, or of the factory that made it."""
    module = getattr(rule, "__module__", None) or type(rule).__module__
    name = getattr(rule, "__qualname__", None) or type(rule).__qualname__
    return f"{module}.{name.removesuffix('.<locals>.<lambda>')}"


def _words(name: str) -> str:
    return name.lower().replace("_", " ")
