"""Block-tridiagonal, block, bordered and cyclic matrices: dense arrays are the oracle."""

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
import pytest

from sciquax import quaxify
from sciquax.core import RuleError
from sciquax.named import NamedArray
from sciquax.structured import (
    BlockDiagonalMatrix,
    BlockMatrix,
    BlockTridiagonalMatrix,
    CyclicBandedMatrix,
    CyclicTridiagonalMatrix,
    DiagonalMatrix,
    ToeplitzMatrix,
    TridiagonalMatrix,
    ZeroMatrix,
)
from sciquax.units import Quantity
from tests.structured.specimens import dense, largest_intermediate
from tests.structured.test_operations import assert_close

RNG = np.random.default_rng(5)

pytestmark = pytest.mark.usefixtures("lenient")


def normal(*shape, dtype=np.float32):
    x = RNG.normal(size=shape)
    if np.issubdtype(dtype, np.complexfloating):
        x = x + 1j * RNG.normal(size=shape)
    return jnp.asarray(x, dtype)


n = 4
T = TridiagonalMatrix(normal(n - 1), normal(n) + 3, normal(n - 1))
S = TridiagonalMatrix(normal(n - 1), normal(n) + 3, normal(n - 1))
D = DiagonalMatrix(normal(n) + 3)
B = BlockDiagonalMatrix(normal(2, 2, 2) + 2 * jnp.eye(2)[None])
C = ToeplitzMatrix(normal(n).at[0].add(6), normal(n))
NEUMANN = TridiagonalMatrix(jnp.ones(n - 1), jnp.array([-1.0, -2.0, -2.0, -1.0]), jnp.ones(n - 1))
u, v, one, zero = normal(n, 1), normal(1, n), jnp.ones((1, 1)), jnp.zeros((n, n))
MADE = {
    "bands": lambda T, S, D, B, C: jnp.block([[T, S], [D, T]]),
    "apart": lambda T, S, D, B, C: jsp.linalg.block_diag(T, B, D, 3 * jnp.eye(2)),
    "lower": lambda T, S, D, B, C: jnp.block([[T, jnp.zeros((n, n))], [C, B]]),
    "bordered": lambda T, S, D, B, C: jnp.block([[T, u], [v, one]]),
    "border first": lambda T, S, D, B, C: jnp.block([[one, v], [u, C]]),
    "singular beside its border": lambda T, S, D, B, C: jnp.block(
        [[0 * T + NEUMANN, u], [v, 0 * one]]
    ),
    "arrowhead, a zero in its shaft": lambda T, S, D, B, C: jnp.block(
        [[D * jnp.array([1.0, 0.0, 2.0, 1.0]), u], [v, 0 * one]]
    ),
    "three": lambda T, S, D, B, C: jnp.block(
        [[T, jnp.zeros((n, n)), u], [jnp.zeros((n, n)), D, u], [v, v, one]]
    ),
    "columns first": lambda T, S, D, B, C: jnp.concatenate(
        [jnp.concatenate([T, D]), jnp.concatenate([S, T])], 1
    ),
}  # fmt: skip


def uses(A):
    b = jnp.cos(jnp.arange(2.0 * A.shape[0])).reshape(-1, 2)
    return (
        jnp.linalg.solve(A, b),
        jnp.linalg.solve(A.T, b[:, 0]),
        tuple(jnp.linalg.slogdet(A)),
        A @ b[:, 0],
        A.max(),
        jnp.diag(A),
        jnp.linalg.norm(A),
    )


QUICK = ("bands", "bordered", "singular beside its border", "lower")


@pytest.mark.parametrize(
    "name", [x if x in QUICK else pytest.param(x, marks=pytest.mark.slow) for x in MADE]
)
def test_blocks_of_structures(name):
    blocks = T, S, D, B, C
    made = quaxify(MADE[name])(*blocks)
    assert type(made) is BlockMatrix
    array = MADE[name](*map(dense, blocks))
    np.testing.assert_allclose(made.materialise(), array, rtol=1e-6)
    assert_close(jax.jit(quaxify(uses))(made), uses(array))


def test_padding_and_single_rows():
    for widths in (1, ((0, 1), (1, 0)), ((2, 0), (0, 0))):
        made = quaxify(lambda A, w=widths: jnp.pad(A, w))(T)
        np.testing.assert_allclose(made.materialise(), jnp.pad(T.materialise(), widths))
        assert type(made) is (TridiagonalMatrix if widths == 1 else BlockMatrix)
    with pytest.raises(RuleError, match="^`pad` of TridiagonalMatrix"):
        quaxify(lambda A: jnp.pad(A, 1, constant_values=2.0))(T)


@pytest.mark.slow
def test_blocks_stay_apart():
    """Factors, spectra and products are those of each block."""
    A = quaxify(MADE["apart"])(T, S, D, B, C)
    P = A.materialise()
    assert isinstance(A.b, ZeroMatrix) and isinstance(A.d.c, ZeroMatrix)

    ours = quaxify(lambda A: (jnp.linalg.inv(A), A @ A, A * A, jsp.linalg.expm(0.1 * A)))(A)
    assert all(type(x) is BlockMatrix for x in ours)
    plain = jnp.linalg.inv(P), P @ P, P * P, jsp.linalg.expm(0.1 * P)
    assert_close([x.materialise() for x in ours], plain)
    H = quaxify(lambda A: A + A.T + 12 * jnp.eye(14))(A)
    values = jnp.linalg.eigvalsh(H.materialise())
    assert_close(quaxify(lambda A: jnp.linalg.eigh(A)[0])(H), values)
    assert_close(
        quaxify(jnp.linalg.cholesky)(H).materialise(), jnp.linalg.cholesky(H.materialise())
    )


def test_blocks_without_a_structured_complement_are_refused():
    A = quaxify(lambda T, B, D: jnp.block([[T, B], [D, T]]))(T, B, D)
    with pytest.raises(RuleError) as error:
        quaxify(jnp.linalg.solve)(A, jnp.ones(2 * n))
    assert str(error.value).startswith(
        "`solve` of BlockMatrix(f32[8,8]) has no structured result, and making it dense is not "
        "allowed."
    )
    with pytest.raises(ValueError, match=r"^The blocks of a `BlockMatrix` have one number of rows"):
        BlockMatrix(T, u, v, D)


@pytest.mark.slow
def test_units_names_gradients_and_batches_around_blocks():
    border = quaxify(MADE["bordered"])
    whole = border(T, S, D, B, C)
    b = normal(n + 1)
    K = Quantity(whole, "N/m")
    x = quaxify(jnp.linalg.solve)(K, Quantity(b, "N"))
    assert str(x.units) == "meter"
    assert_close(x.m, jnp.linalg.solve(whole.materialise(), b))
    made = quaxify(lambda T, u, v, one: jnp.block([[T, u], [v, one]]))(
        Quantity(T, "N/m"),
        Quantity(100 * u, "N/cm") / 100,
        Quantity(v, "N/m"),
        Quantity(one, "N/m"),
    )
    assert isinstance(made.m, BlockMatrix) and str(made.units) == "newton / meter"
    assert NamedArray(whole, ("row", "column")).sum("row").dims == ("column",)

    def loss(T):
        A = jnp.block([[T, u], [v, one]])
        return jnp.sum(jnp.linalg.solve(A, b) ** 2) + jnp.linalg.slogdet(A)[1]

    ours = jax.jit(jax.grad(quaxify(loss)))(T)
    plain = jax.grad(loss)(T.materialise())
    assert_close(ours.arrays(), [jnp.diag(plain, k) for k in (-1, 0, 1)])
    scales = jnp.array([1.0, 2.0, -3.0])
    batched = jax.vmap(
        quaxify(lambda s, T: jnp.linalg.solve(jnp.block([[s * T, u], [v, one]]), b)), (0, None)
    )
    each = [jnp.linalg.solve(jnp.block([[s * T.materialise(), u], [v, one]]), b) for s in scales]
    assert_close(batched(scales, T), jnp.stack(each))


SIZES = [(3, 2), (1, 3), (2, 1), (0, 2)]


@pytest.mark.parametrize("k, m", SIZES)
def test_block_tridiagonal_sizes(k, m):
    count = max(k - 1, 0)
    A = BlockTridiagonalMatrix(normal(count, m, m), normal(k, m, m), normal(count, m, m))
    P, b = A.materialise(), jnp.cos(jnp.arange(k * m + 0.0))

    def program(A):
        return A @ b, b @ A, jnp.linalg.solve(A, b), tuple(jnp.linalg.slogdet(A)), jnp.diag(A)

    assert_close(jax.jit(quaxify(program))(A), program(P))


@pytest.mark.parametrize("dtype", [np.float32, np.complex64], ids=["float32", "complex64"])
def test_block_tridiagonal_factors(dtype):
    k, m = 3, 2
    low, half = normal(k - 1, m, m, dtype=dtype), normal(k, m, m, dtype=dtype)
    turned = lambda x: jnp.conj(jnp.swapaxes(x, -1, -2))  # noqa: E731
    main = half + turned(half) + 8 * jnp.eye(m)
    A = BlockTridiagonalMatrix(low, main, turned(low), properties={"positive_definite"})
    P, b = A.materialise(), normal(k * m, dtype=dtype)

    def program(A):
        L = jnp.linalg.cholesky(A)
        return (
            L @ b,
            jsp.linalg.cho_solve(jsp.linalg.cho_factor(A), b),
            jnp.linalg.solve(A, b),
            jnp.linalg.eigvalsh(A),
            2 * jnp.sum(jnp.log(jnp.diag(L).real)),
        )

    assert_close(jax.jit(quaxify(program))(A), program(P))
    assert type(quaxify(jnp.linalg.cholesky)(A)).__name__ == "BlockBidiagonalMatrix"
    assert jnp.isnan(quaxify(jnp.linalg.cholesky)(-1 * A).diagonal()).all()


def test_pivots_among_blocks():
    """Blocks on the diagonal may be singular: only the whole must not be."""
    blank, eye = jnp.zeros((2, 2, 2)), jnp.eye(2)[None]
    A = BlockTridiagonalMatrix(2 * eye, blank, 3 * eye)
    P, b = A.materialise(), jnp.arange(1.0, 5.0)
    program = lambda A: (jnp.linalg.solve(A, b), jnp.linalg.det(A))  # noqa: E731
    assert_close(quaxify(program)(A), program(P))


def test_block_tridiagonal_gradients_and_fields():
    A = BlockTridiagonalMatrix(normal(2, 2, 2), normal(3, 2, 2) + 4 * jnp.eye(2), normal(2, 2, 2))
    b = normal(6)
    loss = lambda A: jnp.sum(jnp.linalg.solve(A, b) ** 2) + jnp.linalg.slogdet(A)[1]  # noqa: E731
    ours = jax.jit(jax.grad(quaxify(loss)))(A)
    plain = jax.grad(loss)(A.materialise())
    wanted = A.times_dense(plain, lambda _, x: x)
    assert_close(ours.arrays(), wanted.arrays())
    with pytest.raises(
        ValueError,
        match=r"^A `BlockTridiagonalMatrix` of 3 rows of blocks of size 2 has blocks of shape "
        r"\(2, 2, 2\) at offset -1; got \(3, 2, 2\)\.$",
    ):
        BlockTridiagonalMatrix(A.main, A.main, A.upper)


CYCLIC = [(1, 1, 1), (2, 1, 1), (0, 1, 1), (15, 2, 1)]
CYCLIC += [pytest.param(*x, marks=pytest.mark.slow) for x in ((9, 1, 1), (3, 1, 1), (4, 0, 2))]


@pytest.mark.parametrize("n, lower, upper", CYCLIC)
def test_cyclic(n, lower, upper):
    bands = normal(lower + upper + 1, n)
    A = CyclicBandedMatrix(bands, lower=lower, upper=upper)
    P = np.zeros((n, n), np.float32)
    for i in range(n):
        for k in range(-lower, upper + 1):
            P[i, (i + k) % n] += bands[upper - k, (i + k) % n]
    np.testing.assert_allclose(A.materialise(), P, rtol=1e-6)
    b = jnp.cos(jnp.arange(n + 0.0))

    def program(A):
        return (
            A @ b,
            A.T @ b,
            (A @ A) @ b,
            (A - A.T) @ b,
            (A * A.T) @ b,
            jnp.tril(A) @ b,
            jnp.triu(A, 1) @ b,
            jnp.linalg.solve(A, b),
            tuple(jnp.linalg.slogdet(A)),
            jnp.diag(A),
        )

    assert_close(jax.jit(quaxify(program))(A), program(jnp.asarray(P)))


def test_a_cut_circle_may_be_singular():
    """What is left of it where it is cut, that is: the whole is solved with pivoting then."""
    n = 10
    A = CyclicTridiagonalMatrix(-jnp.ones(n), jnp.zeros(n).at[9].set(1.0), 1.5 * jnp.ones(n))
    P, b = A.materialise(), jnp.arange(1.0, n + 1)
    assert abs(float(jnp.linalg.det(P[:9, :9]))) < 1e-6 < abs(float(jnp.linalg.det(P)))
    for run in (quaxify(jnp.linalg.solve), jax.jit(quaxify(jnp.linalg.solve))):
        np.testing.assert_allclose(run(A, b), jnp.linalg.solve(P, b), rtol=1e-4)


def test_cyclic_units_factors_and_errors():
    n = 8
    diagonals = normal(n), normal(n) + 9, normal(n)
    A = CyclicTridiagonalMatrix(*[Quantity(x, "1/s") for x in diagonals])
    assert isinstance(A, Quantity) and str(A.units) == "1 / second"
    x = quaxify(jnp.linalg.solve)(A, Quantity(jnp.ones(n), "m/s"))
    assert str(x.units) == "meter"
    assert_close(x.m, jnp.linalg.solve(A.m.materialise(), jnp.ones(n)))
    H = quaxify(lambda A: A + A.T)(A.m)
    L = quaxify(jnp.linalg.cholesky)(H)
    assert (
        type(L) is BlockMatrix
        and largest_intermediate(
            jax.make_jaxpr(lambda H: jax.tree.leaves(quaxify(jnp.linalg.cholesky)(H)))(H)
        )
        < 8 * 8
    )
    assert_close(L.materialise(), jnp.linalg.cholesky(H.materialise()))
    with pytest.raises(
        ValueError,
        match=r"^The diagonals of a `CyclicTridiagonalMatrix` are of one length; got shapes "
        r"\(7,\), \(8,\), \(8,\)\.$",
    ):
        CyclicTridiagonalMatrix(jnp.ones(7), jnp.ones(8), jnp.ones(8))


def test_nothing_of_n_by_n():
    n = 64
    A = CyclicTridiagonalMatrix(jnp.ones(n), 5 * jnp.ones(n), jnp.ones(n))
    T = TridiagonalMatrix(jnp.ones(n - 1), 5 * jnp.ones(n), jnp.ones(n - 1))
    K = BlockTridiagonalMatrix(normal(n - 1, 2, 2), normal(n, 2, 2), normal(n - 1, 2, 2))
    b = jnp.ones(n)

    def program(A, T, K):
        whole = jsp.linalg.block_diag(T, A)
        bordered = jnp.block([[T, b[:, None]], [b[None], jnp.ones((1, 1))]])
        return [
            (
                jnp.linalg.solve(M, jnp.ones(M.shape[0])),
                jnp.linalg.slogdet(M)[1],
                M @ jnp.ones(M.shape[0]),
            )
            for M in (whole, bordered, K, A)
        ]

    closed = jax.make_jaxpr(quaxify(program))(A, T, K)
    assert largest_intermediate(closed) < n * n / 2


def test_reversed_rows_and_triangular_systems_of_matrices():
    b = normal(n)

    def program(T, S, C):
        flipped = jnp.flip(T)
        triangle = jsp.linalg.solve_triangular(T, S, lower=True)
        turned = jsp.linalg.solve_triangular(T, S, trans=1, lower=True)
        return flipped @ b, T[::-1] @ b, jnp.fliplr(C) @ b, triangle @ b, turned @ b

    plain = program(T.materialise(), S.materialise(), C.materialise())
    assert_close(jax.jit(quaxify(program))(T, S, C), plain)
    assert type(quaxify(jnp.flip)(T)) is TridiagonalMatrix
