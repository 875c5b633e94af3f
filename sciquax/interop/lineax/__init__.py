"""Lineax on quantities, and structured matrices as its operators and back.

Every public name of Lineax is here. `linear_solve` takes operators and vectors with units; so do
the constructors of operators.

`to_lineax(A)` gives an operator that Lineax's solvers take; `AutoLinearSolver` and our own
`StructuredSolver` solve with the matrix's own algorithm. Install with `pip install
sciquax[diffrax]`, which brings Lineax.
"""

from typing import Any

import lineax as lx

from .._solving.unit_operator import UnitLinearOperator as UnitLinearOperator
from ._constructors import (
    DiagonalLinearOperator as DiagonalLinearOperator,
    FunctionLinearOperator as FunctionLinearOperator,
    JacobianLinearOperator as JacobianLinearOperator,
    MatrixLinearOperator as MatrixLinearOperator,
    PyTreeLinearOperator as PyTreeLinearOperator,
    TridiagonalLinearOperator as TridiagonalLinearOperator,
)
from ._solve import invert as invert, linear_solve as linear_solve
from ._structured import (
    BandedJacobianSolver as BandedJacobianSolver,
    StructuredLinearOperator as StructuredLinearOperator,
    StructuredSolver as StructuredSolver,
    from_lineax as from_lineax,
    to_lineax as to_lineax,
)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    try:
        return getattr(lx, name)
    except AttributeError:
        raise AttributeError(f"module 'lineax' has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*dir(lx), *__all__})


__all__ = [
    "BandedJacobianSolver",
    "DiagonalLinearOperator",
    "FunctionLinearOperator",
    "JacobianLinearOperator",
    "MatrixLinearOperator",
    "PyTreeLinearOperator",
    "StructuredLinearOperator",
    "StructuredSolver",
    "TridiagonalLinearOperator",
    "UnitLinearOperator",
    "from_lineax",
    "invert",
    "linear_solve",
    "to_lineax",
]
