"""`BCOO` against the dense array, with duplicates, padding and unsorted places."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.sparse as sp
from jax import lax
from jax.experimental import sparse as jsparse

import sciquax
from sciquax import quaxify
from sciquax.core import RuleError
from sciquax.sparse import BCOO, CSR
from sciquax.sparse._row_layout import row_layout
from sciquax.structured import DiagonalMatrix, IdentityMatrix, TridiagonalMatrix
from sciquax.units import Quantity
from tests.helpers import assert_raises

PLACES = jnp.asarray([[0, 1], [3, 4], [1, 0], [0, 1], [2, 2], [5, 6], [4, 3]])
A = BCOO(jnp.asarray([1.0, 2.0, -3.0, 4.0, 0.5, 9.0, -1.5]), PLACES, (5, 6))
x, X = jr.normal(jr.key(2), (6,)), jr.normal(jr.key(3), (3, 5))
Y, D = jr.normal(jr.key(4), (6, 2)), jr.normal(jr.key(4), (5, 6))
i = jnp.asarray([1, 3, 1])
SPARSE, DENSE = True, False

PROGRAMS = {
    "A@x": (lambda A: A @ x, DENSE),
    "A@Y": (lambda A: A @ Y, DENSE),
    "X@A": (lambda A: X @ A, DENSE),
    "v@A": (lambda A: X[0] @ A, DENSE),
    "A.T": (lambda A: A.T @ X.T, DENSE),
    "einsum": (lambda A: jnp.einsum("ij,kj,i->k", A, jnp.ones((2, 6)), jnp.ones(5)), DENSE),
    "tensordot": (lambda A: jnp.tensordot(jnp.ones((2, 3, 5)), A, 1), DENSE),
    "vdot": (lambda A: jnp.vdot(A, D), DENSE),
    "A@A.T": (lambda A: A @ A.T, SPARSE),
    "A.T@A": (lambda A: jnp.einsum("ij,ik->jk", A, A), SPARSE),
    "A+A": (lambda A: A + A, SPARSE),
    "A-2A": (lambda A: A - 2 * A, SPARSE),
    "A+B": (lambda A: A + A[:, ::-1], SPARSE),
    "A+D": (lambda A: A + D, DENSE),
    "D-A": (lambda A: D - A, DENSE),
    "A*A": (lambda A: A * A, SPARSE),
    "A*B": (lambda A: A * A[:, ::-1], SPARSE),
    "A*D": (lambda A: A * D, SPARSE),
    "A*row": (lambda A: A * x[None], SPARSE),
    "A/column": (lambda A: A / X[0][:, None], SPARSE),
    "A/2": (lambda A: A / 2, SPARSE),
    "sin": (jnp.sin, SPARSE),
    "abs": (jnp.abs, SPARSE),
    "tanh": (jnp.tanh, SPARSE),
    "square": (lambda A: A**2, SPARSE),
    "relu": (jax.nn.relu, SPARSE),
    "sign": (jnp.sign, SPARSE),
    "-A": (lambda A: -A, SPARSE),
    "int": (lambda A: A.astype(jnp.int32), SPARSE),
    "slice": (lambda A: A[1:4, ::2], SPARSE),
    "row": (lambda A: A[0], SPARSE),
    "column": (lambda A: A[:, 1], SPARSE),
    "row@x": (lambda A: A[3] @ x, DENSE),
    "gather": (lambda A: A[i], SPARSE),
    "one column": (lambda A: A[:, i[:1]], SPARSE),
    "border": (lambda A: jnp.block([[A, X.T], [D, jnp.zeros((5, 3))]]), SPARSE),
    "updates": (
        lambda A: A.at[0, 1].set(7.0).at[i, 2].add(X[:, 0]).at[1].multiply(2.0),
        SPARSE,
    ),
    "dynamic_slice": (lambda A: lax.dynamic_slice(A, (i[0], 0), (2, 6)), SPARSE),
    "reversed": (lambda A: A[::-1], SPARSE),
    "reshape": (lambda A: A.reshape(6, 5), SPARSE),
    "concatenate": (lambda A: jnp.concatenate([A, A]), SPARSE),
    "broadcast": (lambda A: jnp.broadcast_to(A, (2, 5, 6)), SPARSE),
    "sum": (lambda A: (A.sum(), A.sum(0), A.mean(1)), DENSE),
    "max": (lambda A: (A.max(1), A.min(0), A.max()), DENSE),
    "trace": (lambda A: (jnp.trace(A), jnp.diag(A), jnp.diagonal(A, 1)), DENSE),
    "norm": (jnp.linalg.norm, DENSE),
    "jit": (jax.jit(lambda A: A @ x), DENSE),
    "vmap_rows": (lambda A: jax.vmap(lambda r: r @ x)(A), DENSE),
    "loop": (lambda A: lax.fori_loop(0, 3, lambda n, c: (A @ c) @ A, x), DENSE),
    "cond": (lambda A: lax.cond(x[0] > 0, lambda: A, lambda: 2 * A), SPARSE),
    "compared": (lambda A: A > 1, SPARSE),
    "where": (lambda A: jnp.where(A > 1, A, 0.0), SPARSE),
    "where_mask": (lambda A: jnp.where(D > 0, A, A[:, ::-1]), SPARSE),
    "leaky": (jax.nn.leaky_relu, SPARSE),
    "clip": (lambda A: jnp.clip(A, -1.0, 2.0), SPARSE),
    "beside_dense": (lambda A: jnp.maximum(A, D), DENSE),
    "arctan2": (lambda A: jnp.arctan2(A, 2.0), SPARSE),
    "any": (lambda A: (jnp.any(A > 1), jnp.any(A, axis=0), jnp.all(A > 0, 1)), DENSE),
    "prod": (lambda A: (A.prod(1), A[3:4, 4:5].prod()), DENSE),
    "argmax": (lambda A: (A.argmax(), A.argmax(1), A.argmin(0), jnp.argmax(-abs(A), 1)), DENSE),
    "elements": (lambda A: (A[i, i - 1], A.at[i, 9].get(mode="fill", fill_value=7.0)), DENSE),
    "columns": (lambda A: A[:, i], SPARSE),
    "picked_twice": (lambda A: A[jnp.asarray([[0, 1], [3, 0]])], SPARSE),
    "pad": (lambda A: jnp.pad(A, ((1, 2), (0, 3))), SPARSE),
    "tile": (lambda A: jnp.tile(A, (2, 3)), SPARSE),
    "stack": (lambda A: jnp.stack([A, 2 * A], 1), SPARSE),
    "blocks": (lambda A: jnp.vstack([jnp.hstack([A, A]), jnp.hstack([-A, A])]), SPARSE),
    "kron": (lambda A: jnp.kron(A, A[:2]), SPARSE),
    "kron_eye": (lambda A: jnp.kron(A, jnp.eye(3)) - jnp.kron(jnp.eye(3), A), SPARSE),
    "tril": (lambda A: (jnp.tril(A), jnp.triu(A, 1)), SPARSE),
    "eye": (lambda A: A @ A.T + 2 * jnp.eye(5) - jnp.eye(5, k=1), SPARSE),
    "diag": (lambda A: A @ A.T - jnp.diag(X[0]), SPARSE),
    "rows_dot": (lambda A: jnp.einsum("ij,ij->i", A, D), DENSE),
    "booleans": (lambda A: (A > 0) @ (x > 0), DENSE),
    "complex": (lambda A: A.astype(jnp.complex64).conj().T @ jnp.full(5, 1j), DENSE),
    "grad_x": (lambda A: jax.grad(lambda x: jnp.sin(A @ x).sum())(x), DENSE),
}


# What is not zero outside of the stored elements, until it is reduced.
SURROUNDED = {
    "var": lambda A: (A.var(), A.var(0), jnp.std(A, 1, ddof=1), jnp.nanvar(A)),
    "centred": lambda A: ((A - A.mean()) ** 2).sum(1),
    "finite": lambda A: (jnp.isfinite(A).all(), jnp.isnan(A).any(0), (~(A > 0)).sum(1)),
    "same": lambda A: (
        jnp.allclose(A, A),
        jnp.allclose(A, 1.1 * A),
        jnp.array_equal(A, A[:, ::-1]),
    ),
    "between": lambda A: ((A > 0) & (A < 3), (A < 3) & (A != 0), ((A < 1) ^ (A < -1)).sum(1)),
    "where": lambda A: (jnp.where(A < 3, A, 0.0), jnp.where(A < 3, 0.0, A), (A >= 0).sum(0)),
    "mod": lambda A: (A % 2, jnp.mod(A, -1.5), A.astype(int) % 3, jnp.fmod(A, 2.0)),
    "exp": lambda A: (jnp.exp(A).sum(0), jax.nn.logsumexp(A, axis=1), (2.0**A).prod(1)),
    "extremes": lambda A: ((1 - A).max(), (1 - A).argmax(1), jnp.cos(A).min(0), (A + 1).argmin()),
    "by_column": lambda A: ((A - x).sum(0), (A - x).sum(), jnp.maximum(A, x - 9).max()),
    "beside": lambda A: (A + 1) * D,
    "moved": lambda A: ((A + 1).T.sum(0), (A < 1)[1:4, ::2].sum(1), (A + 1)[None].sum((0, 1))),
    "batches": lambda A: jax.vmap(lambda t: ((t * A - t) ** 2).sum(0))(x[:3]),
    "elements_alone": lambda A: A[0, 1] + 1.0 + jnp.sin(A[3, 4]) * A[0, 0],
    "einsum": lambda A: (
        jnp.einsum("ij,ij->i", A, A),
        jnp.einsum("ij,ij->j", A, A[:, ::-1]),
        jnp.einsum("ij,ij->", A, A),
    ),
    "einsum_all": lambda A: jnp.einsum("ij,ij->ij", A, A[::-1]),
    "branches": lambda A: lax.cond(x[0] > 0, lambda: A, lambda: A + A[:, ::-1]),
    "taken": lambda A: (jnp.take(A, i, axis=0), jnp.take(A, i, axis=1), A.take(i, axis=0)),
    "vmap_diagonal": lambda A: jax.vmap(lambda d: (jnp.diag(d) + A @ A.T) @ d)(X),
}


def dense(tree):
    return jax.tree.map(
        lambda v: v.todense() if type(v) is BCOO else v, tree, is_leaf=lambda v: type(v) is BCOO
    )


def close(actual, expected, tolerance=2e-4):
    for a, e in zip(jax.tree.leaves(dense(actual)), jax.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (e.shape, e.dtype)
        np.testing.assert_allclose(a, e, rtol=tolerance, atol=tolerance)


@pytest.fixture(autouse=True)
def loose():
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.parametrize("name", PROGRAMS)
def test_against_dense(name):
    f, sparse = PROGRAMS[name]
    out = quaxify(f)(A)
    close(out, f(A.todense()))
    first = jax.tree.leaves(out, is_leaf=lambda v: type(v) is BCOO)[0]
    assert (type(first) is BCOO) is sparse


@pytest.mark.parametrize("name", SURROUNDED)
def test_around_the_elements(name):
    f = SURROUNDED[name]
    close(quaxify(f)(A), f(A.todense()))


@pytest.mark.parametrize("name", ["var", "where", "by_column", "einsum"])
def test_around_the_elements_under_jit(name):
    f = SURROUNDED[name]
    close(jax.jit(quaxify(f))(A), f(A.todense()))


@pytest.mark.parametrize("name", ["A@x", "A@A.T", "A*B", "sin", "A+D", "sum", "max", "slice"])
def test_under_jit(name):
    f, _ = PROGRAMS[name]
    close(jax.jit(quaxify(f))(A), f(A.todense()))


def test_identity_stays_sparse():
    """`A + eye` makes no array of all elements, also in a solver's operator."""
    n = 300
    S = BCOO.from_scipy(sp.random_array((n, n), density=0.01, rng=np.random.default_rng(0)))
    b = jnp.ones(n)
    program = jax.make_jaxpr(
        quaxify(lambda S: ((S - 2 * jnp.eye(n)) @ b, jnp.where(S > 0, S, 0).T))
    )
    assert f"{n},{n}" not in str(program(S))
    out = quaxify(lambda S: S + jnp.diag(b))(S)
    close(out, S.todense() + jnp.eye(n))


def test_long_vectors_stay_sparse():
    long = BCOO(jnp.ones(2), jnp.asarray([[3], [70_000]]), (100_000,))
    with pytest.raises(RuleError, match="needs elements that are not stored"):
        quaxify(jnp.cos)(long)
    assert quaxify(jnp.argmax)(long) == 3


BATCHED = BCOO(jnp.stack([A.data, 2 * A.data]), jnp.stack([PLACES, PLACES]), (2, 5, 6))


@pytest.mark.parametrize(
    "f",
    [
        lambda B: B @ x,
        lambda B: jnp.einsum("bij,bj->bi", B, jnp.stack([x, x])),
        lambda B: jax.vmap(lambda A: A @ x)(B),
        lambda B: lax.scan(lambda c, A: (c + A @ x, A.sum(0)), jnp.zeros(5), B),
        jnp.sin,
        lambda B: B * D[None],
        lambda B: B.transpose(0, 2, 1) @ jnp.ones(5),
        lambda B: B + B[::1],
    ],
)
def test_batches(f):
    close(quaxify(f)(BATCHED), f(BATCHED.todense()))


def test_under_vmap_outside():
    close(jax.vmap(quaxify(lambda A: A @ x))(BATCHED), BATCHED.todense() @ x)


# -- the layout by rows ---------------------------------------------------------------------------


def matrix(lengths, n_columns=150, seed=0):
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    columns = rng.integers(0, n_columns, len(rows))
    data = rng.standard_normal(len(rows)).astype(np.float32)
    return sp.coo_matrix((data, (rows, columns)), (len(lengths), n_columns))


RNG = np.random.default_rng(3)
LENGTHS = {
    "uniform": np.full(300, 10),
    "poisson": RNG.poisson(10, 300),
    "skewed": np.minimum((RNG.pareto(1.2, 300) * 5).astype(int), 140),
    "one_long": np.concatenate([[2000], np.full(299, 9)]),
    "empty_rows": np.concatenate([np.zeros(150, int), np.full(150, 20)]),
}


@pytest.mark.parametrize("kind", LENGTHS)
def test_products_by_rows(kind):
    mat = matrix(LENGTHS[kind])
    full = jnp.asarray(mat.toarray())
    vector, columns = jr.normal(jr.key(0), (150,)), jr.normal(jr.key(1), (150, 3))
    order = np.random.default_rng(0).permutation(mat.nnz)
    places = np.stack([mat.row, mat.col], -1)[order]
    shuffled = BCOO(mat.data[order], places, mat.shape)
    for ours in (BCOO.from_scipy(mat), shuffled, shuffled.by_rows()):
        assert ours.layout is not None
        close(ours.todense(), full)
        assert ours.nse < 1.5 * mat.nnz
        for f in (
            lambda A: A @ vector,
            lambda A: A @ columns,
            lambda A: columns.T @ A.T,
            lambda A: jnp.einsum("bj,ij->bi", columns.T, A),
            lambda A: jnp.ones(300) @ A,
        ):
            close(quaxify(f)(ours), f(full), 1e-3)
    gradient = eqx.filter_grad(lambda A: jnp.sum(quaxify(lambda A: A @ vector)(A) ** 2))(shuffled)
    expected = (2 * (full @ vector))[places[:, 0]] * vector[places[:, 1]]
    np.testing.assert_allclose(gradient.data, expected, rtol=1e-3, atol=1e-3)


def test_padding_meets_nothing():
    """What shorter rows are filled up with is not multiplied with the vector's infinities."""
    mat = matrix(LENGTHS["poisson"]).tocsr()[:, 1:].tocoo()  # nothing is in the first column
    mat.resize(300, 150)
    mat = sp.coo_matrix((mat.data, (mat.row, mat.col + 1)), (300, 150))
    v = jnp.ones(150).at[0].set(jnp.inf)
    for f in (lambda A: A @ v, lambda A: v @ A.T):
        for run in (quaxify(f), jax.jit(quaxify(f))):
            close(run(BCOO.from_scipy(mat)), jnp.asarray(mat @ np.ones(150, np.float32)), 1e-3)


def test_no_scatter_and_no_dense_matrix():
    for kind in ("uniform", "poisson"):
        ours = BCOO.from_scipy(matrix(LENGTHS[kind]))
        text = jax.jit(quaxify(lambda A, v: A @ v)).lower(ours, jnp.ones(150)).as_text()
        assert "300x150x" not in text
        assert ("scatter" in text) is (kind == "poisson")  # of what some rows have left
    for f in (jnp.sin, lambda A: A @ A.T, lambda A: 2 * A + A, lambda A: A[:10], jnp.linalg.norm):
        out = jax.eval_shape(quaxify(f), A)
        assert all(leaf.shape[:2] != (5, 6) for leaf in jax.tree.leaves(out))


def test_large_and_very_sparse():
    """A dense array of this size would take 40 GB."""
    n = 100_000
    k = jnp.arange(n, dtype=jnp.int32)
    shift = BCOO(jnp.arange(1.0, n + 1), jnp.stack([k, (k + 1) % n], -1), (n, n))
    out = quaxify(lambda A, v: jnp.sum(2 * A.T @ (A @ v)) + jnp.linalg.norm(A))(shift, jnp.ones(n))
    assert jnp.isfinite(out)
    square = quaxify(lambda A: A @ A)(shift)
    assert square.nse == n
    assert row_layout(jnp.zeros((3, 2), int), (5, 5)) is None


def test_products_at_once_and_compiled():
    """By SciPy, where both are there; the second time with what it kept; transposed; in rows."""
    mat = matrix(LENGTHS["poisson"], 300)
    full = jnp.asarray(mat.toarray())
    v, V = jr.normal(jr.key(0), (300,)), jr.normal(jr.key(1), (300, 3))
    programs = (
        lambda A: (A @ v, A @ V, A.T @ v, jnp.einsum("ij,ki->kj", A, V.T)),
        lambda A: (A @ A, A @ A.T),
        lambda A: jax.grad(lambda v: jnp.sum(jnp.sin(A @ v)))(v),
        lambda A: jax.jvp(lambda v: A.T @ v, (v,), (2 * v,)),
        lambda A: jax.vmap(lambda v: A @ v, in_axes=1)(V),
    )
    places = np.stack([mat.row, mat.col], -1)
    for ours in (BCOO.from_scipy(mat), BCOO(mat.data, places, mat.shape)):
        for f in programs:
            for run in (quaxify(f), quaxify(f), jax.jit(quaxify(f))):
                close(run(ours), f(full), 1e-3)
    other = ours.with_payload(2 * ours.data)
    close(quaxify(lambda A: A @ v)(other), 2 * full @ v, 1e-3)


def test_sparse_products_under_jit_are_of_the_elements():
    """As many as the elements of one times the most that a row of the other has."""
    n = 5000
    k = np.arange(n)
    places = np.concatenate([np.stack([k, k], -1), np.stack([k[1:], k[:-1]], -1)])
    B = BCOO(jnp.arange(1.0, 2 * n), places, (n, n))
    for f, count in ((lambda B: B @ B, 4 * n), (lambda B: B.T @ B, 4 * n)):
        square = jax.jit(quaxify(f))(B)
        assert square.nse <= count
        expected = f(B.to_scipy())
        assert abs(square.to_scipy() - expected).max() <= 1e-5 * abs(expected).max()
    assert (B @ B).nse == 3 * n - 3 and (B.T @ B).nse == 3 * n - 2
    captured = jax.jit(lambda data: quaxify(lambda B: B @ B)(B.with_payload(data)))(B.data)
    assert captured.nse == 3 * n - 3  # the places are known: exactly the products


# -- solving, differentiating, converting ---------------------------------------------------------

S = (sp.random(5, 5, 0.4, random_state=1) + sp.eye(5) * 3).astype(np.float32)
b = jr.normal(jr.key(7), (5,))


@pytest.mark.parametrize(
    "f",
    [
        lambda A: jnp.linalg.solve(A, b),
        lambda A: jnp.linalg.solve(A, jnp.stack([b, 2 * b + 1], 1)),
        lambda A: jax.scipy.sparse.linalg.cg(A.T @ A, b)[0],
        lambda A: jax.scipy.sparse.linalg.cg(lambda v: A.T @ (A @ v), b)[0],
        lambda A: jax.scipy.sparse.linalg.bicgstab(A, b)[0],
    ],
)
def test_solves(f):
    ours = BCOO.from_scipy(S)
    close(quaxify(f)(ours), f(ours.todense()), 1e-3)


def test_gradients_on_stored_elements():
    def loss(A):
        return jnp.sum(jnp.sin(A @ x))

    expected = jax.grad(loss)(A.todense())
    at_places = expected.at[PLACES[:, 0], PLACES[:, 1]].get(mode="fill", fill_value=0)
    gradient = sciquax.grad(loss)(A)
    assert type(gradient) is BCOO and gradient.nse == A.nse
    np.testing.assert_allclose(gradient.data, at_places, rtol=1e-5)
    np.testing.assert_array_equal(gradient.indices, PLACES)
    in_units = sciquax.grad(lambda A: jnp.sum((A @ x) ** 2))(Quantity(A, "m"))
    assert str(in_units.units) == "meter" and type(in_units.m) is BCOO
    with pytest.raises(TypeError, match="real"):
        sciquax.grad(lambda q: q.sum())(Quantity(jnp.arange(3), "m"))


def test_conversions():
    mat = jsparse.BCOO((A.data, A.indices), shape=(5, 6))
    close(BCOO.from_jax(mat), A.todense())
    close(A.to_jax().todense(), A.todense())
    np.testing.assert_allclose(A.to_scipy().toarray(), A.todense())
    close(BCOO.from_jax(jsparse.BCSR.fromdense(D)), D)
    close(BCOO.from_jax(jsparse.CSR.fromdense(D)), D)
    close(BCOO.from_dense(D.at[0].set(0)), D.at[0].set(0))
    close(jax.jit(lambda d: BCOO.from_dense(d, nse=30))(D), D)
    for mat in (sp.csr_array(S), sp.csc_matrix(S), sp.lil_matrix(S)):
        close(BCOO.from_scipy(mat), jnp.asarray(S.toarray()))


def test_rows():
    csr = sp.csr_array(S)
    padded = np.append(csr.data, 7), np.append(csr.indices, 0), csr.indptr
    for make in (lambda *parts: CSR(*parts, (5, 5)), jax.jit(lambda *parts: CSR(*parts, (5, 5)))):
        close(make(*padded), jnp.asarray(csr.toarray()))
    with pytest.raises(
        ValueError, match=r"has starts of shape \(4,\) and columns of one axis, not"
    ):
        CSR(*padded, (3, 5))


def test_duplicates_are_added_up():
    summed = A.sum_duplicates()
    assert (summed.nse, summed.unique_indices) == (5, True)
    close(summed, A.todense())
    close(jax.jit(lambda d: BCOO(d, PLACES, (5, 6)).sum_duplicates().data)(A.data), summed.data)
    in_units = BCOO(Quantity(A.data, "m"), PLACES, (5, 6)).sum_duplicates()
    assert str(in_units.data.units) == "meter"
    twice = sp.csr_array((np.ones(2, np.float32), np.zeros(2, int), [0, 2]), shape=(1, 1))
    assert quaxify(lambda A: A**2)(BCOO.from_scipy(twice)).todense() == 4
    with pytest.raises(RuleError, match="takes places that are known before the program runs"):
        jax.jit(lambda A: A.sum_duplicates())(A)


def test_what_is_refused():
    def call():
        return quaxify(lambda a: a + 1.0)(A)  # HERE

    assert_raises(
        RuleError,
        call,
        "`add` of (BCOO(f32[5,6], nse=7), f32[]) needs elements that are not stored.\n"
        "{place}\nPass `allow_materialise=True`, or call its `todense()`.",
    )
    with pytest.raises(RuleError, match="by numbers that may be outside of it"):
        jax.jit(quaxify(lambda A, i: jnp.take(A, i, axis=0)))(A, i)
    square = BCOO.from_scipy(S)
    for f in (
        jnp.cos,
        lambda A: jnp.take(A, i + 9, axis=0),
        lambda A: A >= 0,
        lambda A: A * jnp.inf,
        lambda A: jnp.cumsum(A, 0),
        lambda A: jnp.clip(A, 1.0, 2.0),
        lambda A: jnp.pad(A, 1, constant_values=1.0),
        lambda A: 1.0 / A,
        jnp.linalg.inv,
        lambda A: A**0,
    ):
        with pytest.raises(RuleError):
            quaxify(f)(square)
    allowed = BCOO(A.data, A.indices, (5, 6), allow_materialise=True)
    close(quaxify(jnp.cos)(allowed), jnp.cos(A.todense()))
    with pytest.raises(ValueError, match="do not make an array of shape"):
        BCOO(jnp.ones(3), PLACES, (5, 6))
    with pytest.raises(ValueError, match="Indices are integers"):
        BCOO(jnp.ones(3), jnp.ones((3, 2)), (5, 6))


def test_with_units():
    out = quaxify(lambda K, u: K @ u)(Quantity(A, "N/m"), Quantity(x, "m"))
    assert str(out.units) == "newton"
    close(out.m, A.todense() @ x)
    inside = BCOO(Quantity(A.data, "N/m"), PLACES, (5, 6))
    out = quaxify(lambda K: K + 2 * K)(inside)
    assert type(out) is Quantity and type(out.m) is BCOO
    close(out.m, 3 * A.todense())


@pytest.mark.parametrize(
    "matrix",
    [
        TridiagonalMatrix(jnp.arange(1.0, 4.0), jnp.arange(2.0, 6.0), jnp.arange(3.0, 6.0)),
        DiagonalMatrix(jnp.arange(1.0, 5.0)),
        IdentityMatrix(4),
    ],
    ids=lambda x: type(x).__name__,
)
def test_beside_matrices_of_diagonals(matrix):
    array = np.sin(np.arange(16, dtype=np.float32)).reshape(4, 4)
    array = jnp.asarray(np.where(np.arange(16).reshape(4, 4) % 3 == 0, array, 0))
    sparse, dense = BCOO.from_dense(array), matrix.materialise()
    programs = [
        lambda a, b: a @ b,
        lambda a, b: b @ a,
        lambda a, b: a + b,
        lambda a, b: b - a,
        lambda a, b: a * b,
    ]
    for f in programs:
        for run in (quaxify(f), jax.jit(quaxify(f))):
            out = run(sparse, matrix)
            assert type(out) is BCOO
            np.testing.assert_allclose(out.todense(), f(array, dense), rtol=1e-5)
