"""`jax.numpy.linalg`, `jax.numpy.fft`, `jax.scipy.linalg` and `jax.lax.linalg`."""

import numpy as np

from ._case import PLAIN, SPD, SQ, A, Area, B, C, P, Q, R, V, W

m = lambda x: Q(x, "m")
s = lambda x: Q(x, "s")
la, fft, sla, xla = map(Area, ("numpy.linalg", "numpy.fft", "scipy.linalg", "lax.linalg"))
B3 = A[:, :2].copy()
SPD2 = Q(SPD, "m**2")

la("cholesky", SPD2, out="m")
la("cholesky", SPD2, out="m", upper=True, note="upper")
la("cond", m(SQ), out=PLAIN)
la("cond", m(SQ), 1, out=PLAIN, note="one")
la("cross", m(R), s(SQ), out="m*s")
la("det", m(SQ), out="m**3")
la("diagonal matrix_transpose", m(A), out="m")
la("eig", Q(SQ, "1/s"), out=("1/s", PLAIN), rtol=2e-3)
la("eigh", m(SPD), out=("m", PLAIN), rtol=2e-3)
la("eigvals eigvalsh svdvals", m(SPD), out="m", rtol=2e-3)
la("inv", m(SQ), out="1/m")
la("pinv", m(A), out="1/m", rtol=2e-3, atol=1e-4)
la("lstsq", m(A.T.copy()), s(V), out=("s/m", "s**2", PLAIN, "m"), rtol=3e-3)
la("matmul", m(A), s(B), out="m*s")
la("outer vecdot", m(V), s(W), out="m*s")
la("tensordot", m(A), s(B), out="m*s", axes=1)
la("trace", m(SQ), out="m")
la("matrix_norm", m(A), out="m")
la("matrix_norm", m(A), out="m", ord=1, note="one")
la("matrix_norm", m(A), out="m", ord="nuc", note="nuclear")
la("vector_norm", m(V), out="m")
la("vector_norm", m(V), out="m", ord=3, note="three")
for _ord in (None, 1, 2, np.inf, -np.inf, 3, 0.5):
    la("norm", m(V), out="m", ord=_ord, note=f"vector-{_ord}")
for _ord in (None, 1, 2, -1, -2, np.inf, "fro", "nuc"):
    la("norm", m(SQ), out="m", ord=_ord, note=f"matrix-{_ord}")
la("norm", m(A), out="m", axis=1, note="axis")
la("norm", m(V), out=PLAIN, ord=0, note="count")
la("matrix_power", m(SQ), 3, out="m**3")
la("matrix_power", m(SQ), -2, out="m**-2", note="inverse")
la("matrix_power", m(SQ), 0, out=PLAIN, note="zeroth")
la("matrix_rank", m(A), out=PLAIN)
la(
    "multi_dot",
    m(A),
    s(B),
    Q(B[:2].T.copy()[:, :2].copy(), "kg"),
    out="m*s*kg",
    f=lambda J, x, y, z: J.numpy.linalg.multi_dot([x, y, z]),
)
la("qr", m(SQ), out=(PLAIN, "m"))
la("qr", m(SQ), out="m", mode="r", note="r")
la.numbers("slogdet", SQ, out=PLAIN)
la("solve", m(SQ), s(R), out="s/m")
la("solve", m(SQ), s(B3), out="s/m", note="columns")
la("svd", m(A), out=(PLAIN, "m", PLAIN), rtol=2e-3, full_matrices=False)
la("svd", m(A), out="m", compute_uv=False, note="values")
la("tensorinv", m(SQ.reshape(3, 3)), out="1/m", ind=1)
la("tensorsolve", m(SQ), s(R), out="s/m")

# -- Fourier transforms keep the unit; frequencies have the inverse of the spacing's --------------
fft("fft ifft hfft rfft irfft ihfft fftn ifftn rfftn irfftn fftshift ifftshift", m(V), out="m")
fft("fft ifft", m(C), out="m", note="complex")
fft("fft2 ifft2 rfft2 irfft2 fftn", m(A), out="m", note="matrix")
fft("fft", m(A), out="m", n=6, axis=0, norm="ortho", note="options")
fft("fftfreq rfftfreq", 6, s(np.float32(0.25)), out="1/s")

# -- scipy.linalg ---------------------------------------------------------------------------------
sla("block_diag", m(SQ), m(A), out="m")
sla.refuses("block_diag", m(SQ), s(A))
sla("cho_factor", SPD2, out="m", f=lambda J, x: J.scipy.linalg.cho_factor(x)[0])
sla(
    "cho_solve",
    m(np.linalg.cholesky(SPD).astype(np.float32)),
    s(R),
    out="s/m**2",
    f=lambda J, c, b: J.scipy.linalg.cho_solve((c, True), b),
)
sla("cholesky", SPD2, out="m", lower=True)
sla("circulant", m(V), out="m")
sla("convolution_matrix", m(V), 3, out="m")
sla("companion fiedler_companion", m(V), out=PLAIN)
sla("det", m(SQ), out="m**3")
sla("eigh", m(SPD), out=("m", PLAIN), rtol=2e-3)
sla("eigh_tridiagonal", m(V), m(R), out="m", eigvals_only=True, rtol=2e-3)
sla.numbers("expm", SQ / 4)
sla("expm_frechet", Q(SQ / 4, "1"), Q(SPD / 4, "1"), out=PLAIN, refuses=(0,))
sla("fiedler", m(V), out="m")
sla(
    "funm",
    Q(SPD, "1"),
    out=PLAIN,
    rtol=3e-3,
    f=lambda J, x: J.scipy.linalg.funm(x, __import__("jax").numpy.sin),
    refuses=(0,),
)
sla("hankel toeplitz", m(V), out="m")
sla("hankel toeplitz", m(V), m(W), out="m", note="two")
sla.refuses("hankel toeplitz", m(V), s(W))
sla("hessenberg", m(SQ), out="m")
sla("hessenberg", m(SQ), out=("m", PLAIN), calc_q=True, note="q")
sla("inv", m(SQ), out="1/m")
sla("leslie", Q(P, "1"), Q(R, "1"), out=PLAIN)
sla("lu", m(SQ), out=(PLAIN, PLAIN, "m"))
sla("lu", m(SQ), out=(PLAIN, "m"), permute_l=True, note="permuted")
# Packed factors carry the unit as a whole, though half of their elements are numbers.
sla("lu_factor", m(SQ), out=("m", PLAIN), rescale=False)
sla(
    "lu_solve",
    m(SQ),
    s(R),
    out="s/m",
    f=lambda J, a, b: J.scipy.linalg.lu_solve(J.scipy.linalg.lu_factor(a), b),
)
sla("polar", m(SQ), out=(PLAIN, "m"), rtol=2e-3)
sla("qr", m(SQ), out=(PLAIN, "m"))
sla("qr_multiply", m(SQ), s(R), out=("s", "m"))
sla(
    "rsf2csf",
    Q(SQ, "1/s"),
    out=("1/s", PLAIN),
    f=lambda J, a: J.scipy.linalg.rsf2csf(*J.scipy.linalg.schur(a)),
    rtol=2e-3,
)
sla("schur", m(SPD), out=("m", PLAIN), rtol=2e-3, rescale=False)  # unique up to signs
sla("solve", m(SQ), s(R), out="s/m")
sla("solve", m(SPD), s(R), out="s/m", assume_a="pos", note="pos")
sla("solve_sylvester", m(SQ), m(SPD), s(SQ), out="s/m", rtol=2e-3)
sla("solve_triangular", m(np.triu(SQ)), s(R), out="s/m")
sla("solve_triangular", m(np.tril(SQ)), s(R), out="s/m", lower=True, note="lower")
sla("sqrtm", SPD2, out="m", rtol=3e-3, atol=1e-3)
sla("svd", m(SQ), out=(PLAIN, "m", PLAIN), rtol=2e-3)
sla("svd", m(SQ), out="m", compute_uv=False, note="values")
sla.unclaimed("dft hadamard helmert hilbert invhilbert invpascal pascal", "takes sizes, no data")

# -- lax.linalg -----------------------------------------------------------------------------------
xla("cholesky", SPD2, out="m")
xla("lu", m(SQ), out=("m", PLAIN, PLAIN), rescale=False)
xla("qr", m(SQ), out=(PLAIN, "m"))
xla("eigh", m(SPD), out=(PLAIN, "m"), rtol=2e-3)
xla("hessenberg", m(SQ), out=("m", PLAIN), rescale=False)
xla("schur", m(SPD), out=("m", PLAIN), rtol=2e-3, rescale=False)
xla("triangular_solve", m(np.tril(SQ)), s(B3), out="s/m", left_side=True, lower=True)
xla("tridiagonal_solve", m(R), m(R + 5), m(R[::-1].copy()), s(B3), out="s/m")
