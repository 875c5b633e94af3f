"""Ordinary `jnp` programs of one matrix, and which structures refuse them."""

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np

from .specimens import N

_rng = np.random.default_rng(0)
b = jnp.asarray(_rng.normal(size=N), jnp.float32)
B = jnp.asarray(_rng.normal(size=(N, 3)), jnp.float32)
D = jnp.asarray(_rng.normal(size=(N, N)), jnp.float32)
s = jnp.float32(1.75)

OPERATIONS = {
    # products
    "A @ b": lambda A: A @ b,
    "b @ A": lambda A: b @ A,
    "A @ B": lambda A: A @ B,
    "B.T @ A": lambda A: B.T @ A,
    "A.T @ b": lambda A: A.T @ b,
    "vdot": lambda A: jnp.vdot(A, D),
    "tensordot 2": lambda A: jnp.tensordot(A, D, 2),
    "einsum ji,jk->ki": lambda A: jnp.einsum("ji,jk->ki", A, B),
    "einsum i,ij,j->": lambda A: jnp.einsum("i,ij,j->", b, A, b),
    "einsum ij,j->ij": lambda A: jnp.einsum("ij,j->ij", A, b),
    "einsum ii->i": lambda A: jnp.einsum("ii->i", A),
    "multi_dot": lambda A: jnp.linalg.multi_dot([A, A, b]),
    # arithmetic
    "s * A": lambda A: s * A,
    "A / s - A": lambda A: A / s - A,
    "A @ A": lambda A: A @ A,
    "A + A.T": lambda A: A + A.T,
    "A * A": lambda A: A * A,
    "eye - A": lambda A: jnp.eye(N) - 0.5 * A,
    "A + diag": lambda A: A + jnp.diag(b),
    "A + D": lambda A: D - A,
    "A * D": lambda A: A * D,
    "rows": lambda A: b[:, None] * A / b,
    "tanh": jnp.tanh,
    "where": lambda A: jnp.where(A > 0, A, 0),
    "stack": lambda A: jnp.stack([A, A]),
    "abs": jnp.abs,
    # elements
    "A[1, 2]": lambda A: A[1, 2],
    "A[2], A[:, 1]": lambda A: (A[2], A[:, 1]),
    "A[i, j]": lambda A: A[jnp.array([0, 1, 5]), jnp.array([1, 1, 4])],
    "A[argmax]": lambda A: A[jnp.argmax(b)],
    "diag": jnp.diag,
    "diag 1": lambda A: jnp.diag(A, 1),
    "trace": jnp.trace,
    "sum": lambda A: (A.sum(), A.sum(0), A.sum(1)),
    "max": lambda A: A.max(),
    "tril": jnp.tril,
    "triu 1": lambda A: jnp.triu(A, 1),
    "astype": lambda A: A.astype(jnp.complex64).conj().T,
    # linear algebra
    "jsp.solve": lambda A: jsp.linalg.solve(A, b),
    "eigh": lambda A: jnp.linalg.eigh(A + A.T)[0],
    "trace of inv": lambda A: jnp.linalg.trace(jnp.linalg.inv(A)),
    "solve": lambda A: jnp.linalg.solve(A, b),
    "solve B": lambda A: jnp.linalg.solve(A.T, B),
    "inv": jnp.linalg.inv,
    "det": jnp.linalg.det,
    "slogdet": lambda A: tuple(jnp.linalg.slogdet(A)),
    "norm": jnp.linalg.norm,
    "norm 1": lambda A: jnp.linalg.norm(A, 1),
    "norm 2": lambda A: jnp.linalg.norm(A, 2),
    "power": lambda A: (jnp.linalg.matrix_power(A, 3), jnp.linalg.matrix_power(A, 0)),
    "power -1": lambda A: jnp.linalg.matrix_power(A, -1),
    "eigvalsh": lambda A: jnp.linalg.eigvalsh(A + A.T),
    "cho_solve": lambda A: jsp.linalg.cho_solve(jsp.linalg.cho_factor(A @ A.T), b),
    "cholesky": lambda A: jnp.linalg.cholesky(A @ A.T),
    "svdvals": jnp.linalg.svdvals,
    "lstsq": lambda A: jnp.linalg.lstsq(A, b)[0],
    "pinv": lambda A: jnp.linalg.pinv(A) @ b,
    "expm": jsp.linalg.expm,
    "qr": lambda A: (lambda q, r: q @ (r @ b))(*jnp.linalg.qr(A)),
    "lu": lambda A: (lambda p, lower, u: p @ (lower @ (u @ b)))(*jsp.linalg.lu(A)),
    "isfinite": lambda A: jnp.isfinite(A).all(),
    "lu_solve": lambda A: jsp.linalg.lu_solve(jsp.linalg.lu_factor(A), b),
    "solve_triangular": lambda A: jsp.linalg.solve_triangular(A, b, lower=True),
    "gmres": lambda A: jsp.sparse.linalg.gmres(A, b, tol=1e-6)[0],
    "kron": lambda A: jnp.kron(A, D[:2, :2]),
}

_NO_SPECTRUM = {"bordered", "toeplitz", "low rank", "of the guide", "kronecker sum"}
_NO_ELEMENTS = {"kronecker", "kronecker sum", "low rank"}
_SUM = {"kronecker sum"}
_NO_FACTORS = {
    "kronecker sum", "lower triangular", "upper triangular", "toeplitz", "of the guide",
    "bordered", "block tridiagonal",
}  # fmt: skip
_NO_QR = {
    "lower triangular", "toeplitz", "circulant", "low rank", "of the guide", "bordered",
    "cyclic tridiagonal", "cyclic banded",
}  # fmt: skip
REFUSED: dict[str, set[str]] = {
    "where": _NO_ELEMENTS,
    "tanh": _NO_ELEMENTS,
    "A * A": _SUM,
    "abs": {"low rank", *_SUM},
    "isfinite": {*_NO_ELEMENTS, "permutation"},
    "tril": _NO_ELEMENTS,
    "triu 1": _NO_ELEMENTS,
    "solve_triangular": {*_NO_ELEMENTS, "permutation"},
    "norm 2": _NO_SPECTRUM,
    "svdvals": _NO_SPECTRUM,
    "eigvalsh": {
        "bordered",
        "lower triangular", "upper triangular", "toeplitz", "kronecker", "low rank",
        "permutation", "of the guide",
    },
    "eigh": {
        "bordered",
        "lower triangular", "upper triangular", "toeplitz", "kronecker", "low rank",
        "permutation", "of the guide",
    },
    "cho_solve": _NO_FACTORS,
    "cholesky": _NO_FACTORS,
    "qr": {*_SUM, *_NO_QR},
    "lu": {*_SUM, *_NO_QR},
}  # fmt: skip
"""What has no structured result, by operation."""

__all__ = ["OPERATIONS", "REFUSED", "jax"]
