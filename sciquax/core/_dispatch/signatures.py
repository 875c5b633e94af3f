"""Rules registered on a signature, resolved by plum."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, get_args, get_type_hints

import jax
import numpy as np

from .._errors import AmbiguousRuleError
from .._values.kinds import VALUE_TYPES, describe
from .._values.mode import MODE
from .._values.value import Value
from .tables import Rule, _same_definition

_signature_rules: dict[Any, "SignatureRules"] = {}


def has_signature_rules(primitive: Any) -> bool:
    """Whether any rule is registered by signature, perhaps for plain arrays."""
    return primitive in _signature_rules


def signature_rules(primitive: Any) -> list[Callable[..., Any]]:
    """The rules registered by signature for a primitive."""
    rules = _signature_rules.get(primitive)
    return [] if rules is None else rules.all()


def plain_rule(primitive: Any, operands: Sequence[Any]) -> Rule | None:
    """The rule registered by signature for plain arrays like these, or None."""
    rules = _signature_rules.get(primitive)
    return None if rules is None else rules.find(operands)


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
        """Whether the operands' classes alone determine the rule, which then is cached."""
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
    """Wrap a rule without `**params` so that parameters that it does not name may be None.

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
    """A rule's result, converted to the annotated return type where plum can do that.

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
