"""The LU factors of a structured matrix, kept as the matrix.

JAX solves a system in three equations: `lu`, and two `triangular_solve`s with its result. Where the
function-level rule for `jnp.linalg.solve` does not apply (under `grad` or `vmap` within
`quaxify`), the structure survives because `lu` of a matrix A gives this object, which stands for
the factors L = I and U = A: the first solve changes nothing and the second solves the system.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax.numpy as jnp
import jax.scipy as jsp

from sciquax.core import ArrayValue, RuleError, Structure, register_family, register_function

from ._matrix import StructuredMatrix


class LuFactor(ArrayValue, leaves=("matrix",), static=("_static",)):
    """What `lu` of a structured matrix gives, for `lu_solve`. It has no elements."""

    layer: ClassVar[int] = 101
    wants_deferred: ClassVar[bool] = True

    matrix: Any
    _static: None

    @staticmethod
    def of(matrix: StructuredMatrix) -> "LuFactor":
        made = object.__new__(LuFactor)
        object.__setattr__(made, "matrix", matrix)
        object.__setattr__(made, "_static", None)
        return made

    def aval(self):
        return self.matrix.aval()

    def materialise(self) -> Any:
        raise self._refusal("This")

    @staticmethod
    def _refusal(what: str) -> RuleError:
        return RuleError(
            f"{what} needs the elements of an LU factorisation, which structured matrices do not "
            "form.",
            "Use `jnp.linalg.solve`, `lu_solve`, `det` or `slogdet`, or `.materialise()` the "
            "matrix first.",
        )

    @staticmethod
    def default(primitive: Any, values: Any, params: dict[str, Any]) -> Any:
        raise LuFactor._refusal(f"`{primitive.name}`")


def _triangular_solve(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    from ._rules import solve_sided

    factor, b = operands
    if not isinstance(factor, LuFactor):
        return NotImplemented
    if params["lower"] and params["unit_diagonal"]:
        return b
    if params["lower"] or params["unit_diagonal"]:
        return NotImplemented
    return solve_sided(factor.matrix, b, params)


def _solve_triangular(a: Any, b: Any, *args: Any, **kwargs: Any) -> Any:
    """One factor alone: there is none."""
    raise LuFactor._refusal("`solve_triangular`")


def _moved(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """Batch axes move with the matrix."""
    from sciquax.core import bind

    factor, *rest = operands
    out = bind(primitive, factor.matrix, *rest, **params)
    return LuFactor.of(out) if isinstance(out, StructuredMatrix) else NotImplemented


register_function(LuFactor, jsp.linalg.solve_triangular, _solve_triangular)
register_family(LuFactor, "triangular_solve", _triangular_solve)
register_family(
    LuFactor, (Structure.BROADCAST, "reshape", "squeeze", "stop_gradient", "copy"), _moved
)

__all__ = ["LuFactor", "jnp"]
