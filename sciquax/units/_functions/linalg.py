"""`jax.numpy.linalg` and `jax.scipy.linalg`: a matrix has one unit for all its elements."""

import inspect
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.sparse.linalg as iterative

from sciquax.core import aval_of, convert_to

from .._quantity.arithmetic import as_number, multiplicative, unify
from .._quantity.base import magnitude_of, own_unit, wrap
from .._unit.convert import convert
from .._unit.errors import DimensionalityError
from .._unit.unit import dimensionless
from .signature import call, enrol, only_nested, rule

LINALG, SCIPY = "jax.numpy.linalg", "jax.scipy.linalg"

enrol(LINALG, "solve", "a:a, b:b -> b/a")
enrol(LINALG, "inv", "a:a -> 1/a")
enrol(LINALG, "pinv", "a:a, rtol:1, rcond:1 -> 1/a")
enrol(LINALG, "lstsq", "a:a, b:b, rcond:1 -> b/a, b^2, , a")
enrol(LINALG, "matrix_rank", "M:a, rtol:1, tol:1 ->")
enrol(LINALG, "cond", "x:a ->")
enrol(LINALG, "eig", "a:a -> a,")
enrol(LINALG, "eigh", "a:a -> a,")
enrol(LINALG, "eigvals eigvalsh", "a:a -> a")
enrol(LINALG, "svdvals", "x:a -> a")
enrol(LINALG, "matrix_norm", "x:a -> a")
enrol(LINALG, "tensorsolve", "a:a, b:b -> b/a")
enrol(LINALG, "tensorinv", "a:a -> 1/a")

enrol(SCIPY, "solve", "a:a, b:b -> b/a")
enrol(SCIPY, "inv", "a:a -> 1/a")
enrol(SCIPY, "qr_multiply", "a:a, c:b -> b, a,")
enrol(SCIPY, "eigh_tridiagonal", "d:a, e:a, tol:a -> a,")
enrol(SCIPY, "polar", "a:a -> , a")
enrol(SCIPY, "expm funm", "A:1 ->")
enrol(SCIPY, "expm_frechet", "A:1, E:1 ->")
enrol(SCIPY, "solve_sylvester", "A:a, B:a, C:c -> c/a")
enrol(SCIPY, "schur", "a:a -> a,")
enrol(SCIPY, "rsf2csf", "T:a, Z:* -> a,")
enrol(SCIPY, "block_diag", "arrs:a -> a")
enrol(SCIPY, "toeplitz hankel", "c:a, r:a -> a")
enrol(SCIPY, "circulant fiedler", "c:a, a:a -> a")
enrol(SCIPY, "convolution_matrix", "a:a -> a")
enrol(SCIPY, "hessenberg", "a:a -> a,")
enrol(SCIPY, "companion fiedler_companion", "a:a ->")
enrol(SCIPY, "leslie", "f:a, s:a -> a")


# Where the matrix is of a type that knows the function as a whole.
enrol("jax.numpy", "kron", "a:a, b:b -> a*b", only_nested=True)
enrol("jax.numpy", "trace diag", "a:a, v:a -> a", only_nested=True)
enrol("jax.numpy", "diagonal", "a:a -> a", affine=True)
enrol("jax.numpy", "tril triu", "m:a -> a", only_nested=True)
enrol("jax.numpy", "roll", "a:a, shift:1, axis:* -> a", affine=True, only_nested=True)


@only_nested
def _cholesky(a: Any, **kwargs: Any) -> Any:
    """The factor is in the square root of the matrix's unit."""
    unit = multiplicative("cholesky", own_unit(a))
    return wrap(call(jnp.linalg.cholesky, magnitude_of(a), **kwargs), unit ** Fraction(1, 2))


@only_nested
def _qr(a: Any, mode: str = "reduced") -> Any:
    unit = multiplicative("qr", own_unit(a))
    out = call(jnp.linalg.qr, magnitude_of(a), mode=mode)
    if mode == "r":
        return wrap(out, unit)
    if mode == "raw":  # the reflectors, below the diagonal of the factor, and their scales
        return wrap(out[0], unit), out[1]
    return out[0], wrap(out[1], unit)


@only_nested
def _svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    hermitian: bool = False,
    subset_by_index: tuple[int, int] | None = None,
) -> Any:
    """The singular values are in the matrix's unit, the vectors are numbers."""
    unit = multiplicative("svd", own_unit(a))
    options = (full_matrices, compute_uv, hermitian, subset_by_index)
    out = call(jnp.linalg.svd, magnitude_of(a), *options)
    if not compute_uv:
        return wrap(out, unit)
    return out[0], wrap(out[1], unit), out[2]


@only_nested
def _eigh_of_pair(a: Any, b: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Values in the unit of the first over that of the second; the vectors have a norm of 1 in the
    second."""
    units = [multiplicative("eigh", own_unit(x)) for x in (a, b) if x is not None]
    out = call(jax.scipy.linalg.eigh, *map(magnitude_of, (a, b)), *args, **kwargs)
    unit = units[0] if b is None else units[0] / units[1]
    if not isinstance(out, (tuple, list)):
        return wrap(out, unit)
    vectors = out[1] if b is None else wrap(out[1], units[1] ** Fraction(-1, 2))
    return wrap(out[0], unit), vectors


rule(f"{SCIPY}.eigh")(_eigh_of_pair)
rule(f"{LINALG}.cholesky")(_cholesky)
rule(f"{LINALG}.svd")(_svd)
rule(f"{LINALG}.qr")(_qr)


@rule(f"{LINALG}.det", f"{SCIPY}.det")
def _det(a: Any, *args: Any, **kwargs: Any) -> Any:
    out = call(jnp.linalg.det, magnitude_of(a))
    return wrap(out, multiplicative("det", own_unit(a)) ** aval_of(a).shape[-1])


@rule(f"{LINALG}.slogdet")
def _slogdet(a: Any, *, method: str | None = None) -> Any:
    """The logarithm of a dimensional determinant is not a number."""
    unit = own_unit(a)
    if not unit.require_dimensionless():
        raise DimensionalityError(
            f"`slogdet` takes a matrix of numbers, and got one in '{unit}'.",
            unit.pint,
            dimensionless().pint,
            "Divide by a reference scale first, or use `det`.",
        )
    magnitude = convert(magnitude_of(a), unit, dimensionless())
    return call(jnp.linalg.slogdet, magnitude, method=method)


@rule(f"{LINALG}.matrix_power")
def _matrix_power(a: Any, n: int) -> Any:
    unit = multiplicative("matrix_power", own_unit(a))
    return wrap(call(jnp.linalg.matrix_power, magnitude_of(a), n), unit**n)


def _norm(name: str) -> None:
    """A norm keeps the unit, except the "norm" of order 0 of a vector, which counts."""
    parameters = inspect.signature(getattr(jnp.linalg, name))

    def norm(*args: Any, **kwargs: Any) -> Any:
        bound = parameters.bind(*args, **kwargs)
        unit = multiplicative(name, own_unit(bound.arguments["x"]))
        bound.arguments["x"] = magnitude_of(bound.arguments["x"])
        out = call(getattr(jnp.linalg, name), *bound.args, **bound.kwargs)
        order = bound.arguments.get("ord")
        return out if isinstance(order, (int, float)) and order == 0 else wrap(out, unit)

    rule(f"{LINALG}.{name}")(norm)


_norm("norm")
_norm("vector_norm")


@rule(f"{SCIPY}.sqrtm")
def _sqrtm(A: Any, blocksize: int = 1) -> Any:
    unit = multiplicative("sqrtm", own_unit(A))
    out = call(jax.scipy.linalg.sqrtm, magnitude_of(A), blocksize=blocksize)
    return wrap(out, unit ** Fraction(1, 2))


@rule(f"{SCIPY}.lu")
def _lu(a: Any, permute_l: bool = False, *args: Any, **kwargs: Any) -> Any:
    """The lower factor is of numbers, the upper has the unit."""
    unit = multiplicative("lu", own_unit(a))
    *rest, upper = call(jax.scipy.linalg.lu, magnitude_of(a), permute_l, *args, **kwargs)
    return (*rest, wrap(upper, unit))


@rule(f"{SCIPY}.lu_solve")
def _lu_solve(lu_and_piv: Any, b: Any, *args: Any, **kwargs: Any) -> Any:
    lu, pivots = lu_and_piv
    unit = own_unit(b) if own_unit(lu).unitless else own_unit(b) / own_unit(lu)
    factors = (magnitude_of(lu), magnitude_of(pivots))
    return wrap(call(jax.scipy.linalg.lu_solve, factors, magnitude_of(b), *args, **kwargs), unit)


@rule(f"{SCIPY}.solve_triangular")
def _solve_triangular(
    a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False, **rest: Any
) -> Any:
    """The solution has b's unit over a's. A diagonal of ones stands beside numbers only."""
    if unit_diagonal:
        unit = own_unit(b)
        a = as_number("solve_triangular", a, "numbers beside a unit diagonal")
    else:
        of_a = multiplicative("solve_triangular", own_unit(a))
        unit = own_unit(b) if of_a.unitless else own_unit(b) / of_a
    options = {"trans": trans, "lower": lower, "unit_diagonal": unit_diagonal, **rest}
    solve = jax.scipy.linalg.solve_triangular
    return wrap(call(solve, magnitude_of(a), magnitude_of(b), **options), unit)


@rule(f"{SCIPY}.cho_solve")
def _cho_solve(c_and_lower: Any, b: Any, *args: Any, **kwargs: Any) -> Any:
    """The factor is in the square root of the matrix's unit."""
    c, lower = c_and_lower
    unit = own_unit(b) if own_unit(c).unitless else own_unit(b) / own_unit(c) ** 2
    out = call(
        jax.scipy.linalg.cho_solve, (magnitude_of(c), lower), magnitude_of(b), *args, **kwargs
    )
    return wrap(out, unit)


def _iterative(name: str) -> None:
    """A matrix solve by iteration, whose thresholds are numbers: b's unit over the matrix's.

    The preconditioner is used up to a factor, so that its unit says nothing.
    """

    def solve(
        A: Any, b: Any, x0: Any = None, *, atol: Any = 0.0, M: Any = None, **options: Any
    ) -> Any:
        if not hasattr(A, "shape") or not hasattr(b, "shape"):
            return NotImplemented
        denominator = multiplicative(name, own_unit(A))
        unit = own_unit(b) if denominator.unitless else own_unit(b) / denominator
        if x0 is not None:
            x0 = convert_to(x0, wrap(jax.ShapeDtypeStruct(x0.shape, x0.dtype), unit))
        (b, atol), _ = unify(name, (b, atol))
        x, info = call(
            getattr(iterative, name),
            magnitude_of(A),
            b,
            None if x0 is None else magnitude_of(x0),
            atol=atol,
            M=None if M is None else magnitude_of(M),
            **options,
        )
        return wrap(x, unit), info

    rule(f"jax.scipy.sparse.linalg.{name}")(solve)


enrol("sciquax.sparse", "incomplete_inverse", "a:a -> 1/a")
enrol("sciquax.sparse", "eigsh", "a:a, sigma:a -> a,")
for _name in ("cg", "gmres", "bicgstab"):
    _iterative(_name)
