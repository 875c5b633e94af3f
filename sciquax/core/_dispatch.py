"""From a primitive and the types of its operands to the rule that interprets it.

Three sources, asked in this order:

1. rules registered on a signature, `@register(mul_p)` with plum annotations;
2. the handlers of primitives that hold functions, the same for every type;
3. the outermost operand type's rule for the primitive or its family, `register_family`;

and then the type's `default`. A resolution is kept in a plain dictionary that registration clears,
unless a signature depends on more than its operands' classes.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, get_args, get_type_hints

import jax
import numpy as np

from ._compat import Primitive
from ._deferred import bind_plain
from ._errors import AmbiguousRuleError, RuleError
from ._families import REASONS, Scaling, Structure, facts_of
from ._polymorphic import Polymorphic, stays_polymorphic, strip
from ._value import MODE, VALUE_TYPES, Value, describe

Rule = Callable[[Any, Sequence[Any], dict[str, Any]], Any]
Key = Scaling | Structure | str
F = TypeVar("F", bound=Callable)

_resolved: dict[Any, Rule] = {}
_family_rules: dict[type, dict[Key, Rule]] = {}
_signature_rules: dict[Any, "SignatureRules"] = {}
HIGHER_ORDER: dict[str, Rule] = {}
"""Handlers of primitives that hold functions, filled by `_higher_order.py`."""

CACHES_TO_CLEAR: list[Any] = [_resolved]
"""Caches that depend on which rules exist; registration empties them."""


def bind(primitive: Any, *operands: Any, **params: Any) -> Any:
    """Bind a primitive on values and arrays: the rule that fits, or JAX itself without values.

    What a rule calls to go on with what it stripped itself down to.
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
            type(x) if type(x) is not Polymorphic else (Polymorphic, type(x.inner))
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


def has_signature_rules(primitive: Any) -> bool:
    """Whether anybody registered a rule by signature, which may be for plain arrays."""
    return primitive in _signature_rules


def has_family_rules(cls: type) -> bool:
    """Whether a type has rules by family, of its own or inherited."""
    return any(parent in _family_rules for parent in cls.__mro__)


def signature_rules(primitive: Any) -> list[Callable[..., Any]]:
    """The rules that somebody registered for a primitive by signature."""
    rules = _signature_rules.get(primitive)
    return [] if rules is None else rules.all()


def plain_rule(primitive: Any, operands: Sequence[Any]) -> Rule | None:
    """The rule that somebody registered for plain arrays like these, or None."""
    rules = _signature_rules.get(primitive)
    return None if rules is None else rules.find(operands)


def _resolve(primitive: Any, operands: Sequence[Any]) -> tuple[Rule, bool]:
    keep = True
    if (rules := _signature_rules.get(primitive)) is not None:
        keep = rules.faithful()
        rule = rules.find(operands)
        if rule is None and any(type(x) is Polymorphic for x in operands):
            rule = rules.find([strip(x) for x in operands])
            if rule is not None:
                rule = _without_polymorphic(rule)
        if rule is not None:
            return rule, keep
    if (handler := HIGHER_ORDER.get(primitive.name)) is not None:
        return handler, keep
    types = _value_types(operands)
    if any(type(x) is Polymorphic for x in operands):
        stays = stays_polymorphic(primitive, operands)
        if not types:
            return (_mark_polymorphic(_bind_plain) if stays else _bind_plain), keep
        rule = _rule_of_types(types, primitive)
        if not any(t.polymorphic_constants for t in types):
            rule = _without_polymorphic(rule)
        return (_mark_polymorphic(rule) if stays else rule), keep
    return _rule_of_types(types, primitive), keep


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
    """The outputs of zeros, infinities and nans are such too."""

    def marked(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        out = rule(primitive, operands, params)
        return [Polymorphic(x) for x in out] if primitive.multiple_results else Polymorphic(out)

    return marked


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
    """The default rule of the outermost type. Two of one layer that disagree are an error."""
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


# -- rules by family ------------------------------------------------------------------------------


def register_family(cls: type[Value], keys: Iterable[Any] | Any, rule: Rule) -> Rule:
    """Give a type its rule for families of primitives, or for single ones.

    **Arguments**: the type; one or several of `Scaling`, `Structure`, primitives or their names;
    and the rule, called as `rule(primitive, operands, params)` whenever the type is the outermost
    among the operands. A rule for a primitive wins over one for its scaling, that over its
    structure. A rule may return NotImplemented to leave the operation to the rule that a base class
    has for the same key, and then to the next type.

    **Raises** `AmbiguousRuleError` if the type already has a rule for a key.
    """
    table = _family_rules.setdefault(cls, {})
    if isinstance(keys, (Scaling, Structure, str, Primitive)):
        keys = (keys,)
    for key in keys:
        key = key.name if isinstance(key, Primitive) else key
        if key in table and not _same_definition(table[key], rule):
            raise AmbiguousRuleError(f"`{cls.__name__}` already has a rule for {key}.")
        table[key] = rule
    clear_caches()
    return rule


def find_family_rule(cls: type[Value], primitive: Any) -> tuple[type, Key, Rule] | None:
    """A type's rule for a primitive, with the class that it was given to and for what."""
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


# -- rules by signature, through plum -------------------------------------------------------------


class SignatureRules:
    """The rules registered for one primitive. plum is imported when the first is looked up."""

    def __init__(self, name: str):
        self.name = name
        self._rules: list[Callable] = []
        self._pending: list[tuple[Callable, int]] = []
        self._function: Any = None
        self._faithful: bool | None = None

    def add(self, rule: Callable[..., Any], precedence: int) -> None:
        key = _signature_key(rule)
        for other in self._rules if key is not None else ():
            if _signature_key(other) == key and not _same_definition(other, rule):
                raise self._duplicate(other, rule)
        self._rules.append(rule)
        self._pending.append((rule, precedence))
        self._faithful = None

    def _duplicate(self, old: Callable, new: Callable) -> AmbiguousRuleError:
        return AmbiguousRuleError(
            f"`{self.name}` has two rules for the same types: {_where(old)} and {_where(new)}."
        )

    def _plum(self) -> Any:
        import plum

        if self._function is None:
            self._function = plum.Function(_named(self.name))
        pending, self._pending = self._pending, []
        for rule, precedence in pending:
            signature = plum.Signature.from_callable(rule, precedence=precedence)
            for method in self._function.methods:
                if method.signature == signature and not _same_definition(
                    method.implementation, rule
                ):
                    raise self._duplicate(method.implementation, rule)
            self._function.register(rule, precedence=precedence)
            _ = self._function.methods
        return self._function

    def find(self, operands: Sequence[Any]) -> Rule | None:
        import plum

        function = self._plum()
        try:
            method, returns = function.resolve_method(tuple(operands))
        except plum.NotFoundLookupError:
            return None
        except plum.AmbiguousLookupError as error:
            rules = "".join(f"\n  {_described(method.implementation)}" for method in error.methods)
            raise AmbiguousRuleError(
                f"`{self.name}` has several rules that fit ({', '.join(map(describe, operands))}) "
                f"equally well:{rules}",
                "Register one for exactly these types, or give one a higher `precedence`.",
            ) from None
        method = _taking_what_it_names(method)
        annotated = not (returns is Any or returns is inspect.Signature.empty)

        def rule(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
            MODE.signature_rules_called += 1
            out = method(*operands, **params)
            return _converted(out, returns) if annotated else out

        return rule

    def all(self) -> list[Callable[..., Any]]:
        """Every rule, as it was registered."""
        return list(self._rules)

    def faithful(self) -> bool:
        """Whether the classes of the operands alone decide, so that a resolution may be kept."""
        if self._faithful is None:
            hints = [
                hint
                for method in self._plum().methods
                for hint in (
                    *method.signature.types,
                    *([method.signature.varargs] if method.signature.has_varargs else []),
                )
            ]
            self._faithful = all(map(_is_faithful, hints))
        return self._faithful


def _taking_what_it_names(rule: Callable) -> Callable:
    """A rule without `**params` is spared the parameters that it does not name and that are None.

    JAX adds parameters from release to release (`accuracy`, `out_sharding`, `out_dtype`); None is
    what such a one is for programs written before.
    """
    parameters = inspect.signature(rule).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return rule
    names = {p.name for p in parameters}

    def call(*operands: Any, **params: Any) -> Any:
        given = {k: v for k, v in params.items() if v is not None or k in names}
        return rule(*operands, **given)

    return call


def _converted(result: Any, annotation: Any) -> Any:
    """A rule's result in the type that it is annotated to return, if plum can convert it to that.

    What it cannot convert goes as it is: an annotation is no check, and rules for several results
    are often annotated with the type of each.
    """
    import plum

    if isinstance(result, (list, tuple)):
        return result
    if isinstance(annotation, type) and isinstance(result, annotation):
        return result
    try:
        return plum.convert(result, annotation)
    except TypeError:
        return result


def _is_faithful(hint: Any) -> bool:
    import plum

    if hint is Any or hint in (jax.Array, np.ndarray):
        return True
    args = get_args(hint)
    if args and not isinstance(hint, type):
        return all(map(_is_faithful, args))
    if hint in VALUE_TYPES:
        return type(hint).__instancecheck__ is type(Value).__instancecheck__
    return isinstance(hint, type) and bool(plum.is_faithful(hint))


def _signature_key(rule: Callable) -> tuple[Any, ...] | None:
    """The types of a rule's operands, or None while an annotation cannot be evaluated."""
    try:
        hints = get_type_hints(rule)
        parameters = inspect.signature(rule).parameters.values()
    except (NameError, TypeError, ValueError):
        return None  # plum compares signatures at the first look-up
    return tuple(
        (p.kind is p.VAR_POSITIONAL, p.default is p.empty, hints.get(p.name, Any))
        for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)
    )


def _named(name: str) -> Callable:
    def function(*_: Any) -> Any: ...

    function.__name__ = function.__qualname__ = name.replace("-", "_")
    return function


def _same_definition(old: Callable, new: Callable) -> bool:
    """Whether `new` is `old` defined again, as when a notebook's cell is run twice."""
    return (old.__module__, old.__qualname__) == (new.__module__, new.__qualname__) and (
        "<lambda>" not in new.__qualname__
    )


def _described(rule: Callable) -> str:
    """A rule's name, the annotations of its operands, and where it is."""
    return f"{headed(rule)} at {_where(rule)}"


def headed(rule: Callable[..., Any]) -> str:
    """A rule's name and the annotations of its operands."""
    operands = ", ".join(
        str(p.replace(annotation=p.empty, default=p.empty))
        + ("" if p.annotation is p.empty else f": {_type_name(p.annotation)}")
        for p in inspect.signature(rule).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)
    )
    return f"{rule.__name__}({operands})"


def _type_name(annotation: Any) -> str:
    args = get_args(annotation)
    if args and not isinstance(annotation, type):
        return " | ".join(map(_type_name, args))
    return getattr(annotation, "__name__", str(annotation))


def _where(rule: Callable) -> str:
    code = getattr(inspect.unwrap(rule), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(rule)


def register(target: Any, *, precedence: int = 0) -> Callable[[F], F]:
    """Decorator: register a rule for a primitive, or for a whole JAX function.

    **Arguments**

    - `target`: a JAX primitive, whose rule takes the operands as positional arguments and the
      primitive's parameters as keywords; or a jitted or `custom_jvp` JAX function such as
      `jnp.linalg.solve`, whose rule has the function's own signature.
    - `precedence`: among signatures that fit equally well, the highest wins.

    The rule is chosen by plum on its annotations. **Raises** `AmbiguousRuleError` when two rules
    have the same signature.

    ```python
    @register(jax.lax.mul_p)
    def _mul(x: MyArray, y: ArrayLike, **params): ...
    ```
    """
    if isinstance(target, Primitive):
        rules = _signature_rules.setdefault(target, SignatureRules(target.name))
    else:
        from ._functions import function_rules

        rules = function_rules(target)

    def decorator(rule: F) -> F:
        rules.add(rule, precedence)
        clear_caches()
        return rule

    return decorator
