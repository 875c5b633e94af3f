"""Structured matrices as Lineax operators and back, and solvers that use their structure."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jax.flatten_util import ravel_pytree

from sciquax.structured import (
    BandMatrix,
    DiagonalMatrix,
    IdentityMatrix,
    StructuredMatrix,
    TriangularMatrix,
    TridiagonalMatrix,
    from_bands,
)
from sciquax.units import Quantity
from sciquax.units.internal import own_unit, wrap

from .._solving.unit_operator import UnitLinearOperator, unit_of_all
from .._solving.with_units import with_unit


class StructuredLinearOperator(lx.AbstractLinearOperator):
    """A structured matrix as a Lineax operator.

    **Arguments**: the `matrix`, without batch axes.
    """

    matrix: StructuredMatrix

    def mv(self, vector: Any) -> Any:
        return self.matrix.matvec(vector)

    def as_matrix(self) -> Any:
        return self.matrix.materialise()

    def transpose(self) -> "StructuredLinearOperator":
        return StructuredLinearOperator(self.matrix.transpose())

    def in_structure(self) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(self.matrix.shape[-1:], self.matrix.dtype)

    def out_structure(self) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(self.matrix.shape[-2:-1], self.matrix.dtype)


def _registered(check: Callable, answer: Callable) -> None:
    check.register(StructuredLinearOperator)(lambda operator: answer(operator.matrix))  # type: ignore[attr-defined]


def _has(name: str) -> Callable:
    return lambda matrix: name in matrix.known()


def _is_tridiagonal(matrix: Any) -> bool:
    return isinstance(matrix, BandMatrix) and max(matrix.widths()) <= 1


_registered(lx.is_symmetric, _has("symmetric"))
_registered(lx.is_positive_semidefinite, _has("positive_definite"))
_registered(lx.is_negative_semidefinite, lambda matrix: False)
_registered(lx.has_unit_diagonal, _has("unit_diagonal"))
_registered(lx.is_diagonal, lambda matrix: all(map(matrix.is_triangular, (True, False))))
_registered(lx.is_tridiagonal, _is_tridiagonal)
_registered(lx.is_upper_triangular, lambda matrix: matrix.is_triangular(lower=False))
_registered(lx.is_lower_triangular, lambda matrix: matrix.is_triangular(lower=True))
_registered(lx.diagonal, lambda matrix: matrix.diagonal())
_registered(lx.linearise, StructuredLinearOperator)
_registered(lx.materialise, StructuredLinearOperator)
_registered(lx.conj, lambda matrix: StructuredLinearOperator(matrix.conj()))


@lx.tridiagonal.register(StructuredLinearOperator)
def _tridiagonal(operator: StructuredLinearOperator) -> tuple[Any, Any, Any]:
    bands = operator.matrix.diagonals()  # type: ignore[attr-defined]
    n = operator.matrix.shape[-1]
    zero = jnp.zeros(n - 1, operator.matrix.dtype)
    return bands[0], bands.get(-1, zero), bands.get(1, zero)


class StructuredSolver(lx.AbstractLinearSolver):
    """Solves with the matrix's own algorithm, whatever its structure.

    ```python
    >>> import jax.numpy as jnp, lineax as lx
    >>> from sciquax.interop.lineax import StructuredSolver, to_lineax
    >>> from sciquax.structured import CirculantMatrix
    >>> operator = to_lineax(CirculantMatrix(jnp.array([2.0, 1.0, 0.0])))
    >>> lx.linear_solve(operator, jnp.ones(3), StructuredSolver()).value.round(4)
    Array([0.3333, 0.3333, 0.3333], dtype=float32)

    ```
    """

    def init(self, operator: Any, options: dict[str, Any]) -> Any:
        del options
        if not isinstance(operator, StructuredLinearOperator):
            raise ValueError(
                f"`StructuredSolver` takes what `to_lineax` makes, not {type(operator).__name__}."
            )
        return operator.matrix

    def compute(self, state: Any, vector: Any, options: dict[str, Any]) -> Any:
        del options
        x = state.linear_solve(vector[:, None])
        if x is NotImplemented:
            raise ValueError(f"A `{type(state).__name__}` has no direct solution.")
        return x[:, 0], lx.RESULTS.successful, {}

    def transpose(self, state: Any, options: dict[str, Any]) -> Any:
        return state.transpose(), options

    def conj(self, state: Any, options: dict[str, Any]) -> Any:
        return state.conj(), options

    def assume_full_rank(self) -> bool:
        return True

    def allow_dependent_columns(self, operator: Any) -> bool:
        return False

    def allow_dependent_rows(self, operator: Any) -> bool:
        return False


class BandedJacobianSolver(lx.AbstractLinearSolver):
    """Solves with an operator known to be banded, such as the Jacobian of a stencil.

    Its diagonals are found by `lower + upper + 1` products with vectors of zeros and ones (Curtis,
    Powell and Reid, On the estimation of sparse Jacobian matrices, 1974), never by making it dense.

    **Arguments**: the numbers of diagonals below and above the main one; `properties` of the
    matrix, see `sciquax.structured.PROPERTIES`. An element outside of these diagonals would be
    taken for one inside.

    For Diffrax's implicit solvers: `diffrax.Kvaerno5(root_finder=diffrax.VeryChord(rtol=1e-6,
    atol=1e-6, linear_solver=BandedJacobianSolver(1, 1)))`.
    """

    lower: int = eqx.field(static=True)
    upper: int = eqx.field(static=True)
    properties: tuple[str, ...] = eqx.field(static=True, default=())

    def init(self, operator: Any, options: dict[str, Any]) -> Any:
        del options
        structure = operator.in_structure()
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), structure)
        flat, unravel = ravel_pytree(zeros)
        n, colours = flat.size, self.lower + self.upper + 1
        place = jnp.arange(n)

        def product(colour: Any) -> Any:
            probe = (place % colours == colour).astype(flat.dtype)
            return ravel_pytree(operator.mv(unravel(probe)))[0]

        products = jax.vmap(product)(jnp.arange(colours))
        bands = {}
        for k in range(-self.lower, self.upper + 1):
            rows = place[: n - k] if k >= 0 else place[-k:]
            bands[k] = products[(rows + k) % colours, rows]
        return from_bands(bands, n, properties=self.properties), _Static(unravel)

    def compute(self, state: Any, vector: Any, options: dict[str, Any]) -> Any:
        del options
        matrix, unravel = state
        flat, _ = ravel_pytree(vector)
        x = matrix.linear_solve(flat[:, None])[:, 0]
        return unravel.value(x), lx.RESULTS.successful, {}

    def transpose(self, state: Any, options: dict[str, Any]) -> Any:
        matrix, unravel = state
        return (matrix.transpose(), unravel), options

    def conj(self, state: Any, options: dict[str, Any]) -> Any:
        matrix, unravel = state
        return (matrix.conj(), unravel), options

    def assume_full_rank(self) -> bool:
        return True

    def allow_dependent_columns(self, operator: Any) -> bool:
        return False

    def allow_dependent_rows(self, operator: Any) -> bool:
        return False


class _Static(eqx.Module):
    """A function that is no leaf."""

    value: Callable = eqx.field(static=True)


def to_lineax(matrix: Any) -> lx.AbstractLinearOperator:
    """A structured matrix as a Lineax operator; arrays become `lx.MatrixLinearOperator`s.

    Lineax's `AutoLinearSolver` knows it as diagonal, tridiagonal or triangular where it is.

    A quantity, whose magnitude is either, becomes a `UnitLinearOperator`.

    **Raises** ValueError for a batch of matrices: `jax.vmap` the solve instead.
    """
    if isinstance(matrix, Quantity):
        return with_unit(to_lineax(matrix.magnitude), own_unit(matrix))
    if isinstance(matrix, StructuredMatrix):
        if len(matrix.shape) != 2:
            raise ValueError(
                f"Lineax's operators have no batch axes; got shape {matrix.shape}. Use `jax.vmap`."
            )
        return StructuredLinearOperator(matrix)
    return lx.MatrixLinearOperator(jnp.asarray(matrix))


def from_lineax(operator: lx.AbstractLinearOperator) -> Any:
    """The structured matrix that a Lineax operator is.

    **Raises** TypeError for operators without one, rather than make a dense array.
    """
    if isinstance(operator, StructuredLinearOperator):
        return operator.matrix
    if isinstance(operator, UnitLinearOperator):
        return wrap(from_lineax(operator.operator), unit_of_all(operator))
    if isinstance(operator, lx.IdentityLinearOperator):
        return IdentityMatrix(operator.in_size())
    if isinstance(operator, lx.TaggedLinearOperator):
        return from_lineax(operator.operator)
    if isinstance(operator, lx.MatrixLinearOperator):
        if lx.is_lower_triangular(operator) or lx.is_upper_triangular(operator):
            return TriangularMatrix(operator.matrix, lx.is_lower_triangular(operator))
    if lx.is_diagonal(operator):
        return DiagonalMatrix(lx.diagonal(operator))
    if lx.is_tridiagonal(operator):
        main, lower, upper = lx.tridiagonal(operator)
        return TridiagonalMatrix(lower, main, upper)
    raise TypeError(
        f"A `{type(operator).__name__}` is of no structure that `sciquax.structured` has; "
        "`operator.as_matrix()` gives the dense array."
    )
