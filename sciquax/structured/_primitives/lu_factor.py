"""The LU factors of a structured matrix, kept as the matrix.

JAX solves a system in three equations: `lu`, and two `triangular_solve`s with its result. Where the
function-level rule for `jnp.linalg.solve` does not apply (under `grad` or `vmap` within
`quaxify`), the structure survives because `lu` of a matrix A gives this object, which stands for
both factors: solving with one of them is put off until the other's turn, which solves the system.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax.scipy as jsp

from sciquax.core import (
    ArrayValue,
    RuleError,
    Structure,
    aval_of,
    bind,
    describe,
    register_rule,
    strip,
)

from .._matrix.fields import unchecked
from .._matrix.matrix import StructuredMatrix
from .._matrix.solve import solve_sided


class LuFactor(ArrayValue, leaves=("matrix",), static=("_static",)):
    """What `lu` of a structured matrix gives, for `lu_solve`. It has no elements."""

    layer: ClassVar[int] = 101
    wants_deferred: ClassVar[bool] = True

    matrix: Any
    _static: None

    @staticmethod
    def of(matrix: StructuredMatrix) -> "LuFactor":
        return unchecked(LuFactor, matrix=matrix, _static=None)

    def aval(self) -> Any:
        return self.matrix.aval()

    def __repr__(self) -> str:
        return f"<LU factors of {describe(self.matrix)}, kept as the matrix>"

    __short__ = __repr__

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


class HalfSolved(ArrayValue, leaves=("array",), static=("_factor",)):
    """A right-hand side that one factor has been put off for: only the other one may take it.

    Transient, so that it leaves no function: what is solved by one factor alone is refused.
    """

    layer: ClassVar[int] = 101
    transient: ClassVar[bool] = True
    wants_deferred: ClassVar[bool] = True

    array: Any
    _factor: str

    @staticmethod
    def by(factor: str, array: Any) -> "HalfSolved":
        return unchecked(HalfSolved, array=array, _factor=factor)

    def aval(self) -> Any:
        return aval_of(self.array)

    def materialise(self) -> Any:
        raise LuFactor._refusal(f"A solution by {self._factor} alone")

    @staticmethod
    def default(primitive: Any, values: Any, params: dict[str, Any]) -> Any:
        raise LuFactor._refusal(f"`{primitive.name}`")


def _triangular_solve(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    factor, b = map(strip, operands)
    if not isinstance(factor, LuFactor) or params["lower"] != params["unit_diagonal"]:
        return NotImplemented
    which = "L" if params["lower"] else "U"
    if not isinstance(b, HalfSolved):
        return HalfSolved.by(which, b)
    if b._factor == which:
        return NotImplemented
    return solve_sided(factor.matrix, b.array, params)


def _half_moved(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """`vmap` moves the axes of right-hand sides between the two solves."""
    half, *rest = map(strip, operands)
    return HalfSolved.by(half._factor, bind(primitive, half.array, *rest, **params))


def _solve_triangular(a: Any, b: Any, *args: Any, **kwargs: Any) -> Any:
    """One factor alone: there is none."""
    raise LuFactor._refusal("`solve_triangular`")


def _moved(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """Batch axes move with the matrix."""
    factor, *rest = operands
    out = bind(primitive, factor.matrix, *rest, **params)
    return LuFactor.of(out) if isinstance(out, StructuredMatrix) else NotImplemented


register_rule(LuFactor, jsp.linalg.solve_triangular, _solve_triangular)
register_rule(LuFactor, "triangular_solve", _triangular_solve)
register_rule(HalfSolved, "triangular_solve", _triangular_solve)
register_rule(
    HalfSolved,
    "transpose reshape squeeze expand_dims broadcast_in_dim stop_gradient copy".split(),
    _half_moved,
)
register_rule(
    LuFactor, (Structure.BROADCAST, "reshape", "squeeze", "stop_gradient", "copy"), _moved
)
