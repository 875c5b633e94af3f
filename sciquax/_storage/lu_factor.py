"""The LU factors of a matrix that is stored otherwise, kept as the matrix.

JAX solves a system in three equations: `lu`, and two `triangular_solve`s with its result. Where the
function-level rule for `jnp.linalg.solve` does not apply (under `grad` or `vmap` within
`quaxify`), the structure survives because `lu` of a matrix A gives this object, which stands for
both factors: solving with one of them is put off until the other's turn, which solves the system.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

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


class Kind(NamedTuple):
    """What matrices are kept so: their type, `solve(matrix, b, params)` by the parameters of
    `triangular_solve`, and what messages call them."""

    type: type
    solve: Callable[[Any, Any, dict[str, Any]], Any]
    name: str


class LuFactor(ArrayValue, leaves=("matrix",), static=("_kind",)):
    """The result of `lu` of a matrix, for `lu_solve`. It has no elements."""

    layer: ClassVar[int] = 101
    wants_deferred: ClassVar[bool] = True

    matrix: Any
    _kind: Kind

    def aval(self) -> Any:
        return self.matrix.aval()

    def __repr__(self) -> str:
        return f"<LU factors of {describe(self.matrix)}, kept as the matrix>"

    __short__ = __repr__

    def materialise(self) -> Any:
        raise _refusal("This", self._kind)

    @staticmethod
    def default(primitive: Any, values: Any, params: dict[str, Any]) -> Any:
        kind = next(x._kind for x in values if isinstance(x, LuFactor))
        raise _refusal(f"`{primitive.name}`", kind)


def _refusal(what: str, kind: Kind) -> RuleError:
    return RuleError(
        f"{what} needs the elements of an LU factorisation, which {kind.name} do not form.",
        "Use `jnp.linalg.solve`, `lu_solve`, `det` or `slogdet`, or make the matrix dense first.",
    )


class HalfSolved(ArrayValue, leaves=("array",), static=("_factor", "_kind")):
    """A right-hand side that one factor has been put off for: only the other one may take it.

    Transient, so that it leaves no function: what is solved by one factor alone is refused.
    """

    layer: ClassVar[int] = 101
    transient: ClassVar[bool] = True
    wants_deferred: ClassVar[bool] = True

    array: Any
    _factor: str
    _kind: Kind

    def aval(self) -> Any:
        return aval_of(self.array)

    def materialise(self) -> Any:
        raise _refusal(f"A solution by {self._factor} alone", self._kind)

    @staticmethod
    def default(primitive: Any, values: Any, params: dict[str, Any]) -> Any:
        kind = next(x._kind for x in values if isinstance(x, (LuFactor, HalfSolved)))
        raise _refusal(f"`{primitive.name}`", kind)


def _triangular_solve(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    factor, b = map(strip, operands)
    if not isinstance(factor, LuFactor) or params["lower"] != params["unit_diagonal"]:
        return NotImplemented
    which = "L" if params["lower"] else "U"
    if not isinstance(b, HalfSolved):
        return HalfSolved(b, which, factor._kind)
    if b._factor == which:
        return NotImplemented
    return factor._kind.solve(factor.matrix, b.array, params)


def _half_moved(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """`vmap` moves the axes of right-hand sides between the two solves."""
    half, *rest = map(strip, operands)
    return HalfSolved(bind(primitive, half.array, *rest, **params), half._factor, half._kind)


def _solve_triangular(a: Any, b: Any, *args: Any, **kwargs: Any) -> Any:
    """One factor alone: there is none."""
    raise _refusal("`solve_triangular`", next(x for x in (a, b) if isinstance(x, LuFactor))._kind)


def _moved(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """Batch axes move with the matrix."""
    factor, *rest = operands
    out = bind(primitive, factor.matrix, *rest, **params)
    return LuFactor(out, factor._kind) if isinstance(out, factor._kind.type) else NotImplemented


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
