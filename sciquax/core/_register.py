"""`register`: a rule for a primitive, or for a whole JAX function."""

from collections.abc import Callable
from typing import Any, TypeVar

from ._compat.jaxprs import Primitive
from ._dispatch.signatures import SignatureRules, _signature_rules
from ._dispatch.tables import clear_caches
from ._functions.rules import function_rules

F = TypeVar("F", bound=Callable)


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
        rules = function_rules(target)

    def decorator(rule: F) -> F:
        rules.add(rule, precedence)
        clear_caches()
        return rule

    return decorator
