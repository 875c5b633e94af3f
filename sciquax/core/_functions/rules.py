"""Rules for whole JAX functions: `register(jnp.linalg.solve)`.

`intercept.py` recognises calls of such functions. This file holds the rules, and decides which
of them is for what operands.
"""

from collections.abc import Callable, Sequence
from typing import Any

from .._compat.code import is_inlined, python_function
from .._dispatch.signatures import SignatureRules
from .._errors import quoted
from .._values.kinds import VALUE_TYPES
from .._values.unit_polymorphic import UnitPolymorphic, strip
from .._values.value import Value

_rules: dict[Any, "FunctionRules"] = {}
_labelling: dict[type[Value], Callable] = {}
uninstalled: list["FunctionRules"] = []
"""Those whose functions do not pass through a hook yet, see `intercept.install`."""


class FunctionRules(SignatureRules):
    """The rules registered for one JAX function.

    **Attributes**: `everywhere`, whether calls by JAX's own functions count; `by_name`, whether
    somebody registered by its name; `direct_only`, see `register_rule`; `installed`,
    whether the function's calls pass through a hook; `inlined`, whether JAX keeps no call of it.
    """

    def __init__(self, function: Callable[..., Any]):
        super().__init__(function_name(function))
        self.function = function
        self.families: dict[type, Callable] = {}
        self.everywhere = self.by_name = self.direct_only = self.installed = False
        self.inlined = is_inlined(function)

    def rule(self, operands: Sequence[Any], willing: bool = False) -> Callable[..., Any] | None:
        """The rule for these operands: by signature, else by the outermost type's family.

        A family's rule may have a method `takes(operands)`, which leaves a call to the function's
        primitives; not if it is `willing` to serve where that costs less. Where the outermost type
        has no rule, and only labels what it holds, a rule of what it holds serves.
        """
        found = self.find(operands) if (self._pending or self._function) else None
        if found is not None:
            return lambda args, kwargs: found(None, args, kwargs)
        types = {type(x): None for x in map(strip, operands) if type(x) in VALUE_TYPES}
        for cls in sorted(types, key=lambda t: -t.layer):
            for parent in cls.__mro__:
                family = self.families.get(parent)
                if family is None:
                    continue
                if willing or getattr(family, "takes", _always)(operands):
                    return _Chosen(family)
            if cls in _labelling:
                return self._rule_beneath(cls, operands, willing)
        return None

    def _rule_beneath(
        self, outer: type[Value], operands: Sequence[Any], willing: bool
    ) -> Callable | None:
        """The rule of the arrays inside, applied without the outermost values' labels."""
        if self.direct_only:
            return None
        beneath = self.rule([payload_of(x, outer) for x in operands], willing)
        if beneath is None:
            return None
        return lambda args, kwargs: _labelling[outer](self.function, beneath, args, kwargs)


class _Chosen:
    """A family's rule, called with unchanged arguments; and its own derivative, if it has one."""

    def __init__(self, rule: Callable[..., Any]):
        self._rule = rule
        self.derivative = getattr(rule, "derivative", None)

    def __call__(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        return self._rule(*args, **kwargs)


def payload_of(x: Any, outer: type[Value]) -> Any:
    """The array inside a value.

    **Arguments**: an operand, and the type whose layer is taken off. Operands of other types are
    returned unchanged. The array of a [`sciquax.core.UnitPolymorphic`][] value is polymorphic too.
    """
    inner = strip(x)
    if type(inner) is not outer:
        return x
    assert outer.payload is not None  # `outer` is a type that holds arrays
    held = getattr(inner, outer.payload)
    return UnitPolymorphic(held) if type(x) is UnitPolymorphic else held


def _always(operands: Sequence[Any]) -> bool:
    return True


def function_name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", None) or type(function).__name__


def function_rules(function: Callable[..., Any], everywhere: bool = True) -> FunctionRules:
    """The rules of a JAX function, made on first use.

    **Arguments**: the function; and whether calls of it by JAX's own functions count.

    **Raises** TypeError for what is not written in Python.
    """
    if not callable(function) or python_function(function) is None:
        raise TypeError(
            f"`register` takes a JAX primitive or a jitted JAX function, not {quoted(function)}."
        )
    rules = _rules.get(function)
    if rules is None:
        rules = _rules[function] = FunctionRules(function)
    if not rules.installed and rules not in uninstalled:
        uninstalled.append(rules)
    rules.everywhere = rules.everywhere or everywhere
    return rules


def known_rules(function: Any) -> FunctionRules | None:
    """The rules of a JAX function, if it has any."""
    try:
        return _rules.get(function)
    except TypeError:  # not hashable
        return None


def add_function_rule(cls: type, function: Callable[..., Any], rule: Callable[..., Any]) -> None:
    """A type's rule for a whole JAX function: see `register_rule`."""
    function_rules(function).families[cls] = rule


def register_labelling(cls: type[Value], through: Callable[..., Any]) -> Callable[..., Any]:
    """Give a type that only labels arrays access to the rules that its arrays have for functions.

    A type only labels if the array of a result is always the function of the operands' arrays.
    Named axes do; units do not, since they convert numbers.

    **Arguments**

    - `cls`: the type.
    - `through`: called as `through(function, rule, args, kwargs)` for a whole function that has a
      rule for the arrays inside. It calls `rule(args, kwargs)` on those arrays and labels the
      results. It may return NotImplemented, as the rule may.

    **Returns** `through`.
    """
    _labelling[cls] = through
    return through


def labels(cls: type[Value]) -> bool:
    """Whether values of this type only label the array that they hold."""
    return cls in _labelling
