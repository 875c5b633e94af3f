"""Registering rules: `register` for a signature, `register_rule` for a type."""

from collections.abc import Callable
from typing import Any, TypeVar

from ._compat.jaxprs import Primitive
from ._dispatch.signatures import SignatureRules, _signature_rules
from ._dispatch.tables import add_family_rule, clear_caches
from ._errors import quoted
from ._facts import Scaling, Structure
from ._functions.intercept import add_named_rule
from ._functions.rules import add_function_rule, function_rules
from ._values.value import Value

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


def register_rule(cls: type[Value], target: Any, rule: F, *, direct_only: bool = False) -> F:
    """Give a type its rule for what `target` says, used where the type is the outermost operand's.

    **Arguments**

    - `cls`: the type.
    - `target`: one of the following, or a tuple or list of several.
        - A family of primitives, `Scaling` or `Structure`; or a primitive, or its name. The rule
          is called as `rule(primitive, operands, params)`. One for a primitive wins over one for
          its scaling, that over its structure. NotImplemented leaves the operation to the rule that
          a base class has for the same target, and then to the next type.
        - A jitted or `custom_jvp` JAX function, such as `jnp.linalg.solve`. The rule has the
          function's signature; NotImplemented goes on with what the function consists of. With a
          method `derivative(given, transposed, *args, **kwargs)` the rule differentiates itself
          under `grad` of the caller: from tangents of operands, or cotangents of results, by their
          numbers, to those of the others. It is a program of plain JAX, of which second
          derivatives are made.
        - Any other function by its public name, `"jax.scipy.stats.norm.pdf"`. It is looked up when
          its module has been imported; a name that this release of JAX lacks is passed over.
    - `rule`: the rule.
    - `direct_only`: of a name, that the rule serves the quaxified function itself, called on
      concrete values (`sciquax.numpy.where(mask)`).

    **Returns** the rule.

    **Raises** `AmbiguousRuleError` if the type has another rule for a family or a primitive, and
    TypeError for a target that is none of these.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import ArrayValue, quaxify, register_rule
    >>> from sciquax.core import aval_of, bind
    >>> class Doubled(ArrayValue):
    ...     half: object
    ...     def aval(self):
    ...         return aval_of(self.half)
    >>> def negative(primitive, operands, params):
    ...     return Doubled(bind(primitive, operands[0].half, **params))
    >>> negative = register_rule(Doubled, "neg", negative)
    >>> quaxify(lambda x: -x)(Doubled(jnp.array([1.0, 2.0]))).half
    Array([-1., -2.], dtype=float32)

    ```
    """
    for one in target if isinstance(target, (tuple, list)) else (target,):
        if isinstance(one, str) and "." in one:
            add_named_rule(cls, one, rule, direct_only)
        elif isinstance(one, (Scaling, Structure, str, Primitive)):
            add_family_rule(cls, one, rule)
        elif callable(one):
            add_function_rule(cls, one, rule)
        else:
            raise TypeError(
                f"A rule is for a family, a primitive or a function, and not {quoted(one)}."
            )
    return rule
