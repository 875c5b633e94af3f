"""Operations that a lower file calls and the files of the types, above it, give rules for."""

import itertools
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable)


class Operation:
    """A function of matrices whose rules are registered by the types of its operands.

    The rule of the nearest base classes is called, the first operand's counting most; then the rule
    for all others; else the result is NotImplemented.
    """

    def __init__(self, name: str):
        self._name = name
        self._rules: dict[tuple[type, ...], Callable] = {}

    def register(self, *types: type) -> Callable[[F], F]:
        """Decorator: the rule for operands of these types; for all others, without types."""

        def decorator(rule: F) -> F:
            if types in self._rules:
                names = ", ".join(t.__name__ for t in types)
                raise ValueError(f"`{self._name}` already has a rule for ({names}).")
            self._rules[types] = rule
            return rule

        return decorator

    def __call__(self, *operands: Any) -> Any:
        for types in itertools.product(*[type(x).__mro__ for x in operands]):
            if (rule := self._rules.get(types)) is not None:
                return rule(*operands)
        rule = self._rules.get(())
        return NotImplemented if rule is None else rule(*operands)


inverse = Operation("inverse")
"""The inverse, of types that do not store it."""
cholesky = Operation("cholesky")
"""The lower Cholesky factor, of types that have it in a type of its own."""
add = Operation("add")
"""The sum in the narrowest type that holds it."""
kept_product = Operation("kept_product")
"""The product of two matrices as such, whatever their types."""
common_type = Operation("common_type")
"""What `StructuredMatrix.common_type` gives."""
convert_to = Operation("convert_to")
"""What `StructuredMatrix.convert_to` gives."""
