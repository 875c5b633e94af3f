"""Whether elements are alike: every structure beside every other, numbers and arrays."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sciquax import quaxify
from sciquax.core import RuleError
from sciquax.structured import (
    KroneckerMatrix,
    PermutationMatrix,
    StructuredMatrix,
    ToeplitzMatrix,
    TriangularMatrix,
    TridiagonalMatrix,
)
from tests.structured.specimens import SPECIMENS, N
from tests.structured.test_operations import QUICK

pytestmark = pytest.mark.usefixtures("lenient")


def dense(x):
    return x.materialise() if isinstance(x, StructuredMatrix) else x


@functools.cache
def matrices():
    return {s.name: s.make(np.random.default_rng(3)) for s in SPECIMENS}


FEW = ("tridiagonal", "upper triangular", "low rank", "permutation")
ALL, PAIRED = (
    [pytest.param(s.name, marks=[] if s.name in quick else pytest.mark.slow) for s in SPECIMENS]
    for quick in (QUICK, FEW)
)
PROGRAMS = {
    "allclose": jnp.allclose,
    "allclose within": lambda A, B: jnp.allclose(A, B, 0.1, 12.0),
    "allclose beside infinity": lambda A, B: jnp.allclose(A, B, jnp.inf),  # inf * 0 is not a number
    "array_equal": lambda A, B: jnp.array_equal(A, B),
    "array_equiv": lambda A, B: jnp.array_equiv(A, B),
}


def check(actual, expected):
    assert actual.shape == expected.shape and actual.dtype == expected.dtype
    assert bool(actual) == bool(expected)


@pytest.mark.parametrize("name", PAIRED)
def test_every_pair(name):
    matrix = matrices()[name]
    for other in matrices().values():
        expected = jnp.allclose(matrix.materialise(), other.materialise(), 0.1, 6.0)
        check(quaxify(jnp.allclose)(matrix, other, 0.1, 6.0), expected)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("program", PROGRAMS)
def test_beside_matrices_arrays_and_numbers(name, program):
    matrix, run = matrices()[name], PROGRAMS[program]
    array = matrix.materialise()
    others = [matrix, matrix.transpose(), array, array.at[1, 2].add(0.5), array[2], 0.0]
    for other in [*others, jnp.full((1, 1), 0.1)]:
        check(quaxify(run)(matrix, other), run(array, dense(other)))

    def both_ways(A, B, others):
        return [run(A, B), run(B, A), *[run(x, A) for x in others]]

    actual = jax.jit(quaxify(both_ways))(matrix, others[1], others[2:])
    for a, e in zip(actual, both_ways(array, array.T, others[2:]), strict=True):
        check(a, e)


OF_ONE = {
    "isfinite": lambda A: jnp.isfinite(A).all(),
    "isnan": lambda A: jnp.isnan(A * jnp.nan).any(),
    "isinf": lambda A: jnp.isinf(1 / A).sum(),
    "isclose": lambda A: (jnp.isclose(A, 0.0).sum(), jnp.isclose(A, A).all(), jnp.isclose(1.0, A)),
    "not finite": lambda A: jnp.isfinite(A * jnp.float32(jnp.inf)).all(),
}
REFUSED = {"kronecker", "kronecker sum", "low rank", "permutation"}


@pytest.mark.parametrize("program", OF_ONE)
@pytest.mark.parametrize("name", ALL)
def test_elements_of_one(name, program):
    matrix = matrices()[name]
    run = lambda A: jax.tree.map(jnp.any, OF_ONE[program](A))  # noqa: E731
    if name in REFUSED:
        with pytest.raises(RuleError, match="has no structured result"):
            quaxify(run)(matrix)
        return
    expected = run(matrix.materialise())
    for actual in (quaxify(run)(matrix), jax.jit(quaxify(run))(matrix)):
        jax.tree.map(np.testing.assert_array_equal, actual, expected)


@pytest.mark.parametrize("name", ALL)
def test_vdot(name):
    matrix = matrices()[name]
    array = jnp.arange(float(N * N)).reshape(N, N)
    for program in (lambda A: jnp.vdot(A, A), lambda A: jnp.vdot(1j * array, A)):
        expected = program(matrix.materialise())
        for run in (quaxify(program), jax.jit(quaxify(program))):
            np.testing.assert_allclose(run(matrix), expected, rtol=1e-4)


def test_triangle_and_multiple_of_the_identity():
    """One is filled up to the other's layout beside a tolerance that only the program knows."""
    triangle, multiple = matrices()["upper triangular"], matrices()["scalar"]
    allclose = functools.partial(jax.jit, lambda A, B, tol: quaxify(jnp.allclose)(A, B, tol, tol))
    isclose = jax.jit(lambda A, B, tol: quaxify(lambda A, B: jnp.isclose(A, B, tol).all())(A, B))
    for tol in (1e-3, 20.0):
        expected = jnp.allclose(triangle.materialise(), multiple.materialise(), tol, tol)
        check(allclose()(triangle, multiple, tol), expected)
        expected = jnp.isclose(triangle.materialise(), multiple.materialise(), tol).all()
        check(isclose(triangle, multiple, tol), expected)


def test_not_a_number():
    x = jnp.array([1.0, jnp.nan, 2.0])
    for matrix in (ToeplitzMatrix(x), TridiagonalMatrix(x[:2], x, x[1:])):
        array = matrix.materialise()
        for equal_nan in (False, True):
            for function in (jnp.allclose, jnp.array_equal):
                run = functools.partial(function, equal_nan=equal_nan)
                check(quaxify(run)(matrix, matrix), run(array, array))
                check(quaxify(run)(matrix, array), run(array, array))


def test_batches_and_other_shapes():
    rng = np.random.default_rng(5)
    bands = [jnp.asarray(rng.normal(size=(2, n)), jnp.float32) for n in (2, 3, 2)]
    batch = TridiagonalMatrix(*bands)
    one = TridiagonalMatrix(*(x[1] for x in bands))
    factors = KroneckerMatrix(jnp.ones((1, 1)), batch.materialise())
    for a, b in ((batch, one), (factors, batch), (one, factors), (batch, jnp.zeros((4, 1, 1, 1)))):
        for name in ("allclose", "array_equal", "array_equiv"):
            check(quaxify(PROGRAMS[name])(a, b), PROGRAMS[name](dense(a), dense(b)))
    run = jax.vmap(jnp.allclose)
    np.testing.assert_array_equal(quaxify(run)(batch, batch), [True, True])
    small = TridiagonalMatrix(jnp.ones(1), jnp.ones(2), jnp.ones(1))
    check(quaxify(jnp.array_equal)(one, small), jnp.array(False))
    check(quaxify(jnp.array_equiv)(one, small), jnp.array(False))


def test_what_has_no_elements_is_refused():
    band = TridiagonalMatrix(jnp.ones(2), jnp.arange(3.0) + 3, jnp.ones(2))
    program = lambda A: jnp.allclose(jnp.linalg.inv(A) + A, A)  # noqa: E731
    with pytest.raises(RuleError, match="has no structured result"):
        quaxify(program)(band)
    inverse = quaxify(jnp.linalg.inv)(band)
    with pytest.raises(RuleError, match="has no structured result"):
        quaxify(jnp.allclose)(KroneckerMatrix(inverse, jnp.eye(2)), 2.0)


def test_permutations():
    """Equal, though made apart; and with one exchange."""
    a, b, c = (PermutationMatrix(jnp.array(p)) for p in ([2, 0, 1, 3], [2, 0, 1, 3], [2, 0, 3, 1]))
    assert quaxify(jnp.array_equal)(a, b)
    assert not quaxify(jnp.allclose)(a, c)


def test_sums_beside_infinity():
    """Of a row that stores all its elements, none of what is beside them."""
    band = TridiagonalMatrix(jnp.ones(2), jnp.arange(1.0, 4.0), jnp.ones(2))
    triangle = TriangularMatrix(jnp.arange(1.0, 10.0).reshape(3, 3))
    for matrix in (band, triangle):
        for axis in (None, 0, 1):
            program = lambda A, axis=axis: (1 / A).sum(axis)  # noqa: E731
            np.testing.assert_allclose(quaxify(program)(matrix), program(matrix.materialise()))
