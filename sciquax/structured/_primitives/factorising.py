"""Primitives of linear algebra: factorisations, triangular systems, eigenvalues."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax._storage.lu_factor import Kind, LuFactor
from sciquax.core import VALUE_TYPES, register_rule

from .._functions.eigen import eig, eigh_of_triangle, eigvals
from .._functions.factors import qr_factors
from .._functions.singular import svd, svdvals
from .._functions.systems import solve_half
from .._matrix import operations
from .._matrix.matrix import StructuredMatrix
from .._matrix.operands import Operands, Params, _guarded, _is
from .._matrix.solve import solve_sided


def _eigh_primitive(primitive: Any, operands: Any, params: dict[str, Any]) -> Any:
    """The primitive of `jnp.linalg.eigh` and `jax.scipy.linalg.eigh` under `vmap` and `grad`."""
    (a,) = operands
    if params.get("subset_by_index") is not None:
        return NotImplemented
    found = eigh_of_triangle(a, params.get("lower", True))
    return NotImplemented if found is NotImplemented else [found[1], found[0]]


def _svd_primitive(primitive: Any, operands: Any, params: dict[str, Any]) -> Any:
    (a,) = operands
    if params.get("subset_by_index") is not None:
        return NotImplemented
    if not params.get("compute_uv", True):
        values = svdvals(a)
        return values if values is NotImplemented else [values]
    found = svd(a)
    return NotImplemented if found is NotImplemented else [found[1], found[0], found[2]]


def _eig_primitive(primitive: Any, operands: Any, params: dict[str, Any]) -> Any:
    """The primitive of `jnp.linalg.eig`, and of `eigvals` under `vmap` and `grad`."""
    (a,) = operands
    if params.get("compute_left_eigenvectors"):
        return NotImplemented
    if params.get("compute_right_eigenvectors"):
        found = eig(a)
        return found if found is NotImplemented else list(found)
    values = eigvals(a)
    return values if values is NotImplemented else [values]


def _qr_primitive(primitive: Any, operands: Any, params: dict[str, Any]) -> Any:
    """The primitive of `jnp.linalg.qr` under `vmap` and `grad`, and for R alone."""
    (a,) = operands
    if params.get("pivoting") or not a.is_square():
        return NotImplemented
    found = qr_factors(a)
    return NotImplemented if found is NotImplemented else list(found)


register_rule(StructuredMatrix, "qr", _qr_primitive)
register_rule(StructuredMatrix, "eig", _eig_primitive)
register_rule(StructuredMatrix, "eigh", _eigh_primitive)
register_rule(StructuredMatrix, "svd", _svd_primitive)


# -- factorisations -------------------------------------------------------------------------------


_KIND = Kind(StructuredMatrix, solve_sided, "structured matrices")


def _lu(primitive: Any, operands: Operands, params: Params) -> Any:
    """The factors are kept as the matrix itself; see `LuFactor`."""
    (x,) = operands
    if not x.can_solve():
        return NotImplemented
    order = jnp.broadcast_to(jnp.arange(x.shape[-1], dtype=np.int32), x.shape[:-1])
    return [LuFactor(x, _KIND), order, order]


def _cholesky(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    return operations.cholesky(x)


def _triangular_solve(primitive: Any, operands: Operands, params: Params) -> Any:
    """With one half of a structured matrix, as the parameters say."""
    a, b = operands
    if not _is(a) or type(b) in VALUE_TYPES:
        return NotImplemented
    return solve_half(a, b, params)


register_rule(StructuredMatrix, "lu", _guarded(_lu))
register_rule(StructuredMatrix, "cholesky", _guarded(_cholesky))
register_rule(StructuredMatrix, "triangular_solve", _guarded(_triangular_solve))
