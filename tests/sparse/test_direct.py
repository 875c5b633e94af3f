"""Systems, determinants and functions of sparse matrices against the dense ones."""

import jax
import jax.numpy as jnp
import jax.random as jr
import jax.scipy as jsp
import numpy as np
import pytest
import scipy.sparse as sp
from jax.scipy.sparse.linalg import bicgstab, cg, gmres

import sciquax
from sciquax import quaxify
from sciquax.core import RuleError
from sciquax.sparse import BCOO, eigsh, incomplete_inverse
from sciquax.sparse._host import factor_cache
from sciquax.units import Quantity
from tests.helpers import assert_raises

RNG = np.random.default_rng(0)
FULL = np.where(RNG.random((5, 5)) < 0.4, RNG.standard_normal((5, 5)), 0) + 3 * np.eye(5)
DENSE = jnp.asarray(FULL, jnp.float32)
A = BCOO.from_dense(DENSE)
PADDED = BCOO(  # duplicates, padding, no order
    jnp.concatenate([A.data[::-1] / 4, 0.75 * A.data, jnp.ones(2)]),
    jnp.concatenate([A.indices[::-1], A.indices, jnp.asarray([[5, 0], [0, 7]])]),
    (5, 5),
)
b, V = jr.normal(jr.key(0), (5,)), jr.normal(jr.key(1), (3, 5))
s = jnp.arange(1.0, 4.0)
solve, inv = jnp.linalg.solve, jnp.linalg.inv

pytestmark = pytest.mark.usefixtures("lenient")


def close(actual, expected, tolerance=3e-4):
    for x, y in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


PROGRAMS = {
    "vector": lambda A: solve(A, b),
    "columns": lambda A: solve(A, V.T),
    "batch": lambda A: solve(A, jnp.stack([V.T, 2 * V.T])),
    "transposed": lambda A: solve(A.T, b),
    "scipy": lambda A: jsp.linalg.solve(A, b),
    "inverse": lambda A: (inv(A) @ b, b @ inv(A), inv(A).T @ V.T, -2.0 * inv(A) @ b),
    "determinant": lambda A: (jnp.linalg.det(A), tuple(jnp.linalg.slogdet(-A))),
    "lower": lambda A: jsp.linalg.solve_triangular(A, b, lower=True),
    "upper": lambda A: jsp.linalg.solve_triangular(A, V.T, trans=1),
    "unit": lambda A: jsp.linalg.solve_triangular(A, b, lower=True, unit_diagonal=True),
    "lu": lambda A: jsp.linalg.lu_solve(jsp.linalg.lu_factor(A), b),
    "lu_transposed": lambda A: jsp.linalg.lu_solve(jsp.linalg.lu_factor(A), b, trans=1),
    "exponential": lambda A: (jsp.linalg.expm(A) @ b, b @ jsp.linalg.expm(A)),
    "vmap": lambda A: jax.vmap(lambda b: solve(A, b))(V),
    "vmap_columns": lambda A: jax.vmap(lambda b: solve(A, b), in_axes=1, out_axes=1)(V.T),
    "vmap_twice": lambda A: jax.vmap(lambda t: jax.vmap(lambda b: solve(t * A, b))(V))(s),
    "vmap_elements": lambda A: jax.vmap(lambda t: solve(t * A, b))(s),
    "vmap_shift": lambda A: jax.vmap(lambda t: solve(A + t * jnp.eye(5), b))(s),
    "vmap_diagonal": lambda A: jax.vmap(lambda d: (jnp.diag(d) + A) @ b)(V),
    "gradient": lambda A: jax.grad(lambda b: jnp.sum(solve(A, b) ** 3))(b),
    "jacobians": lambda A: (
        jax.jacfwd(lambda b: solve(A, b))(b),
        jax.jacrev(lambda b: solve(A, b))(b),
    ),
    "hessian": lambda A: jax.hessian(lambda d: jnp.sum(solve(A + jnp.diag(d), b) ** 2))(b),
    "vmap_inverse": lambda A: jax.vmap(lambda t, c: (inv(t * A) @ b, c @ inv(t * A)))(s, V),
    "scan_of_a_stack": lambda A: jax.lax.scan(lambda x, M: (M @ x, x), b, jnp.stack([A, 2 * A])),
    "scan": lambda A: jax.lax.scan(lambda x, _: (solve(A, x), x[0]), b, length=3),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_against_dense(name):
    f = PROGRAMS[name]
    close(quaxify(f)(PADDED), f(DENSE))


@pytest.mark.parametrize("name", ["columns", "determinant", "vmap_elements", "upper"])
def test_under_jit(name):
    f = PROGRAMS[name]
    close(jax.jit(quaxify(f))(PADDED), f(DENSE))


def test_derivatives_of_determinants_within():
    """Second ones too, of a sum that has places twice; and with one matrix for a batch."""

    def f(A):
        log = lambda A: jnp.linalg.slogdet(A)[1]  # noqa: E731
        twice = jax.hessian(lambda d: log(A + jnp.diag(d)))(b**2)
        return twice, jax.vmap(jax.grad(lambda t: log(t * A)))(s)

    close(jax.jit(quaxify(f))(PADDED), f(DENSE))


def test_derivatives_within_of_implicit_matrices():
    """With dense cotangents; tangents, which are dense as well, are refused."""
    f = lambda A: jax.grad(lambda t: V[1] @ inv(t * A) @ b)(1.3)  # noqa: E731
    close(quaxify(f)(PADDED), f(DENSE))
    forward = jax.jacfwd(lambda t, A: inv(t * A) @ b)
    assert_raises(
        RuleError,
        lambda: quaxify(forward)(1.3, A),  # HERE
        "The inverse of a sparse matrix has a dense tangent.\n{place}\n"
        "Differentiate in reverse mode (`jax.grad`), or an inverse outside of `quaxify`.",
    )


def test_batches_of_diagonals_times_one_matrix():
    f = lambda A: jax.vmap(lambda d: jnp.diag(d) @ A @ b)(V)  # noqa: E731
    close(quaxify(f)(PADDED), f(DENSE))


@pytest.mark.parametrize("right", [jnp.int32, bool, jnp.float16, jnp.complex64])
@pytest.mark.parametrize("left", [jnp.int32, bool, jnp.float32, jnp.complex64])
def test_promotes_as_dense(left, right):
    B, c = (5 * A.todense()).astype(left) + jnp.eye(5, dtype=left), (3 * b).astype(right)
    found = quaxify(solve)(BCOO.from_dense(B), c)
    if jnp.promote_types(left, right) == jnp.float16:  # which JAX has no LU factors of
        close(found, solve(B.astype(jnp.float32), c).astype(right), 2e-2)
    else:
        close(found, solve(B, c))


def test_derivatives_by_elements():
    """Against dense matrices that are made of the elements: once, twice, under `vmap`."""
    places = A.indices

    def ours(f):
        return lambda data: quaxify(f)(BCOO(data, places, (5, 5)))

    def dense(f):
        return lambda data: f(jnp.zeros((5, 5)).at[places[:, 0], places[:, 1]].set(data))

    batch = jnp.stack([A.data, 1.5 * A.data])
    for f in (
        lambda A: jnp.sum(solve(A, b) ** 2),
        lambda A: jnp.linalg.slogdet(A)[1],
        lambda A: jnp.sum(inv(A) @ V.T),
    ):
        close(jax.vmap(ours(f))(batch), jax.vmap(dense(f))(batch))
        close(jax.vmap(jax.grad(ours(f)))(batch), jax.vmap(jax.grad(dense(f)))(batch), 1e-3)
    f = lambda A: jnp.sum(solve(A, b) ** 2)  # noqa: E731
    close(jax.jit(jax.hessian(ours(f)))(A.data), jax.hessian(dense(f))(A.data), 1e-2)
    gradient = jax.grad(lambda x: jnp.sum(ours(lambda A: jsp.linalg.expm(0.3 * A) @ b)(x)))(A.data)
    expected = jax.grad(lambda x: jnp.sum(dense(lambda A: jsp.linalg.expm(0.3 * A) @ b)(x)))(A.data)
    close(gradient, expected, 1e-3)


def test_complex_determinant():
    B = DENSE.astype(jnp.complex64).at[0, 0].multiply(2j)
    data = BCOO.from_dense(B)
    for f in (lambda A: jnp.linalg.det(A), lambda A: tuple(jnp.linalg.slogdet(A))):
        close(quaxify(f)(data), f(B))
    f = lambda z: jnp.real(jnp.linalg.det(z * data.todense()))  # noqa: E731
    ours = lambda z: jnp.real(quaxify(jnp.linalg.det)(data.with_payload(z * data.data)))  # noqa: E731
    z = jnp.asarray(1.0 + 0.2j)
    close(jax.grad(ours)(z), jax.grad(f)(z), 1e-3)


def test_singular():
    singular = BCOO(jnp.ones(2), jnp.asarray([[0, 0], [1, 0]]), (3, 3))
    assert jnp.isnan(quaxify(solve)(singular, jnp.ones(3))).all()
    close(tuple(quaxify(jnp.linalg.slogdet)(singular)), (jnp.zeros(()), jnp.asarray(-jnp.inf)))


def test_positive_definite():
    """By one triangle, whatever the other one is, with the derivative of the whole matrix."""
    half = np.tril(FULL, -1)
    M = half @ half.T + np.diag([2.0, 3.0, 4.0, 5.0, 6.0])

    def f(M, lower):
        return jnp.sum(jsp.linalg.solve(M, b, lower=lower, assume_a="pos") * V[0])

    def solve_and_grad(lower):
        return jax.jit(lambda M: sciquax.value_and_grad(lambda M: f(M, lower))(M))

    for lower, given in ((True, np.tril(M)), (False, M + half)):
        dense, triangle = jnp.asarray(given, jnp.float32), BCOO.from_scipy(sp.coo_array(given))
        triangle = triangle.with_payload(triangle.data.astype(jnp.float32))
        value, slope = solve_and_grad(lower)(triangle)
        expected, whole = jax.value_and_grad(f)(dense, lower)
        close((value, slope.todense()), (expected, jnp.where(dense == 0, 0, whole)), 1e-3)
    indefinite = triangle.with_payload(-triangle.data)
    assert jnp.isnan(solve_and_grad(False)(indefinite)[0])


def test_one_factorisation(monkeypatch):
    """For right-hand sides in columns, in turn, by `vmap`, in a loop, and in the backward pass."""
    made = []
    original = factor_cache._factorised
    monkeypatch.setattr(
        factor_cache, "_factorised", lambda *args: made.append(1) or original(*args)
    )
    n = 30
    laplacian = sp.diags_array([-1.0, 2.5, -1.0], offsets=[-1, 0, 1], shape=(n, n))
    L = BCOO.from_scipy(laplacian.astype(np.float32))
    loss = lambda L: jnp.sum(solve(L, jnp.ones(n)) ** 2)  # noqa: E731
    for _ in range(2):
        quaxify(solve)(L, jnp.ones((n, 4)))
        jax.jit(quaxify(lambda L: jax.vmap(lambda c: solve(L, c))(jnp.ones((3, n)))))(L)
        quaxify(lambda L: jax.lax.fori_loop(0, 3, lambda i, x: solve(L, x), jnp.ones(n)))(L)
        sciquax.grad(loss)(L)
        quaxify(lambda L: (jnp.linalg.slogdet(L), solve(L.T, jnp.ones(n))))(L)
    assert len(made) == 2  # L and its transpose
    kept = len(factor_cache._kept)
    for k in range(10):
        quaxify(solve)(L.with_payload(L.data + k), jnp.ones(n))
    assert len(factor_cache._kept) == factor_cache._MOST >= kept


def test_with_units():
    q = Quantity(A, "N/m")
    x = quaxify(solve)(q, Quantity(b, "N"))
    assert str(x.units) == "meter"
    close(x.m, solve(DENSE, b))
    x = quaxify(lambda K, f: inv(K) @ f)(q, Quantity(b, "N"))
    assert str(x.units) == "meter"
    close(x.m, solve(DENSE, b))


def test_what_is_refused():
    assert_raises(
        RuleError,
        lambda: quaxify(lambda a: inv(a))(A),  # HERE
        "The inverse of BCOO(f32[5,5], nse=13) is dense.\n"
        "{place}\nSolve for what it would be multiplied with.",
    )
    assert_raises(
        RuleError,
        lambda: quaxify(lambda a: solve(a, a))(A),  # HERE
        "`solve` takes a sparse matrix and an array, not BCOO(f32[5,5], nse=13) and "
        "BCOO(f32[5,5], nse=13).\n{place}\n"
        "The solution is dense where that is sparse: call its `todense()`.",
    )
    assert_raises(
        RuleError,
        lambda: quaxify(lambda a: jsp.linalg.cho_factor(a))(A),  # HERE
        "`cholesky` of BCOO(f32[5,5], nse=13) would need the elements that are not stored.\n"
        "{place}\nUse `jax.scipy.linalg.solve(A, b, assume_a='pos')` and "
        "`jnp.linalg.slogdet(A)`, pass `allow_materialise=True`, or call its `todense()`.",
    )


EMPTY = {
    "vector": (lambda A: solve(A, jnp.zeros(0)), 0),
    "columns": (lambda A: (solve(A, jnp.zeros((0, 3))), inv(A) @ jnp.zeros((0, 3))), 0),
    "vmap": (lambda A: jax.vmap(lambda b: solve(A, b))(jnp.zeros((3, 0))), 0),
    "determinant": (lambda A: (jnp.linalg.det(A), tuple(jnp.linalg.slogdet(A))), 0),
    "exponential": (lambda A: jsp.linalg.expm(A) @ jnp.zeros(0), 0),
    "no_columns": (lambda A: (solve(A, V.T[:, :0]), inv(A) @ V.T[:, :0], A @ V.T[:, :0]), 5),
}


@pytest.mark.parametrize("name", EMPTY)
def test_empty(name):
    """A matrix without elements, and right-hand sides without columns."""
    f, n = EMPTY[name]
    close(quaxify(f)(A if n else BCOO.from_dense(DENSE[:0, :0])), f(DENSE[:n, :n]))


# -- preconditioners and eigenvalues --------------------------------------------------------------

line = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(12, 12))
PLATE = sp.csr_array(sp.kron(line, sp.eye_array(12)) + sp.kron(sp.eye_array(12), 1.5 * line))
PLATE = BCOO.from_scipy(PLATE.astype(np.float32))
load = jr.normal(jr.key(2), (144,))


@pytest.mark.parametrize("iteration", [cg, gmres, bicgstab])
def test_preconditioned_iterations(iteration):
    """They end in a few steps, and differentiate as the solution does."""

    def few(K, load, M=None):
        M = incomplete_inverse(K, drop_tol=1e-3) if M is None else M
        return iteration(K, load, maxiter=4, tol=1e-6, M=M)[0]

    expected = quaxify(solve)(PLATE, load)
    close(jax.jit(quaxify(few))(PLATE, load), expected, 1e-3)
    if iteration is not cg:
        return
    gradient = sciquax.grad(lambda K: jnp.sum(few(K, load) ** 2))(PLATE)
    close(gradient.data, sciquax.grad(lambda K: jnp.sum(solve(K, load) ** 2))(PLATE).data, 1e-2)
    kept = quaxify(incomplete_inverse)(PLATE)
    assert repr(kept) == "<an approximate inverse of BCOO(f32[144,144], nse=672)>"
    close(quaxify(few)(PLATE, load, kept), expected, 1e-3)
    x = quaxify(few)(Quantity(PLATE, "N/m"), Quantity(load, "N"))
    assert str(x.units) == "meter"
    close(x.m, expected, 1e-3)


def pairs(A, *args, **options):
    """Values, and vectors up to their signs."""
    values, vectors = eigsh(A, *args, **options)
    return values, vectors**2


@pytest.mark.parametrize("which", ["LA", "SA", "LM", "SM"])
def test_eigenvalues(which):
    symmetric = PADDED.todense() + PADDED.todense().T
    f = lambda A: pairs(A + A.T, 3, which=which)  # noqa: E731
    close(quaxify(f)(PADDED), pairs(symmetric, 3, which=which))
    close(jax.jit(quaxify(lambda A: pairs(A, 2)))(PADDED), pairs(symmetric / 2, 2))


def test_eigenvalues_of_a_large_matrix():
    values, vectors = quaxify(lambda K: eigsh(K, 3, sigma=0.0))(PLATE)
    expected = jnp.linalg.eigvalsh(PLATE.todense())
    close(values, expected[:3])
    close(PLATE @ vectors, values * vectors)
    close(quaxify(lambda K: eigsh(K, 3)[0])(PLATE), expected[-3:])
    values, vectors = quaxify(lambda K: eigsh(K, 2, which="SA"))(Quantity(PLATE, "N/m"))
    assert str(values.units) == "newton / meter"
    close(values.m, expected[:2])
    near = quaxify(lambda K, s: eigsh(K, 2, sigma=s)[0])
    shift = Quantity(100 * expected[0] - 1, "cN/m")
    for f in (near, jax.jit(near)):
        close(f(Quantity(PLATE, "N/m"), shift).m_as("N/m"), expected[:2])


def test_derivatives_of_eigenvalues():
    """Against those of all eigenvalues of a dense matrix, under `vmap` too."""
    places = PADDED.indices[:-2]

    def total(values, squares):
        return jnp.sum(values**3) + jnp.sum(jnp.arange(5)[:, None] * squares * jnp.arange(1, 3))

    def ours(data):
        return total(*quaxify(pairs)(BCOO(data, places, (5, 5)), 2, which="LA"))

    def dense(data):
        full = jnp.zeros((5, 5)).at[places[:, 0], places[:, 1]].add(data)
        values, vectors = jnp.linalg.eigh(full)
        return total(values[3:], vectors[:, 3:] ** 2)

    batch = jnp.stack([PADDED.data[:-2], 1.5 * PADDED.data[:-2]])
    gradients = jax.vmap(jax.grad(dense))(batch)
    close(jax.vmap(jax.grad(ours))(batch), gradients, 2e-3)
    close(jax.jvp(ours, (batch[0],), (batch[1],))[1], gradients[0] @ batch[1], 2e-3)


def test_eigenvalues_that_are_refused():
    with pytest.raises(ValueError, match=r"gives 1 to 5 eigenvalues of .* got k=6 and which='LM'"):
        quaxify(eigsh)(A)
    assert_raises(
        RuleError,
        lambda: quaxify(lambda a: jnp.sin(incomplete_inverse(a)))(A),  # HERE
        "The inverse of BCOO(f32[5,5], nse=13) is dense.\n"
        "{place}\nSolve for what it would be multiplied with.",
    )
