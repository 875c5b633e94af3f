"""What a `Zero` spares: it is shown that compiled programs do not compute with it."""

import re

import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
import pytest
from jax import lax

from sciquax import quaxify
from sciquax.named import NamedArray
from sciquax.sparse import BCOO
from sciquax.structured import DiagonalMatrix, KroneckerMatrix, TridiagonalMatrix
from sciquax.units import Quantity
from sciquax.zero import Zero

A = jnp.asarray([[4.0, 1.0, 0.5], [1.0, 5.0, -1.0], [0.5, -1.0, 6.0]])
x = jnp.asarray([1.0, -2.0, 3.0])
Z, ZM = Zero((3,)), Zero((3, 3))
WORK = re.compile(
    r" (dot|while|conditional|call|custom-call|add|multiply|divide|reduce|triangular-solve|"
    r"cholesky)\("
)

# Each is a function of a zero and an array; what it gives is the array, or zero.
PROGRAMS = {
    "sum": (lambda z, x: x + z - z, Z, x),
    "product": (lambda z, x: x + 3 * z * x, Z, x),
    "matrix": (lambda z, A: A @ z, Z, A),
    "chain": (lambda z, A: A @ (A @ z) + A[0], Z, A),
    "einsum": (lambda z, A: jnp.einsum("ij,kj,k->i", A, A, z), Z, A),
    "reduced": (lambda z, x: x + jnp.sum(z * x), Z, x),
    "solve": (jnp.linalg.solve, A, Z),
    "solve_matrix": (jnp.linalg.solve, A, ZM),
    "solve_batch": (jnp.linalg.solve, jnp.stack([A, 2 * A]), Zero((2, 3, 4))),
    "scipy_solve": (lambda A, z: jsl.solve(A, z, assume_a="pos"), A, Z),
    "triangular": (lambda A, z: jsl.solve_triangular(A, z, lower=True), A, Z),
    "triangular_lax": (
        lambda A, z: lax.linalg.triangular_solve(A, z, left_side=True, lower=True),
        A,
        ZM,
    ),
    "factored": (lambda A, z: jsl.cho_solve((A, True), z), A, Z),
    "lu": (lambda A, z: jsl.lu_solve((A, jnp.arange(3)), z), A, Z),
    "scan": (lambda z, A: lax.scan(lambda c, _: (A @ c, None), z, None, length=5)[0], Z, A),
    "loop": (lambda z, A: lax.fori_loop(0, 5, lambda i, c: A @ c + c, z), Z, A),
    "scanned": (
        lambda z, x: lax.scan(lambda c, r: (c + r, r @ x), x, z)[0],
        Zero((5, 3)),
        x,
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_computed(name):
    f, *operands = PROGRAMS[name]
    arrays = [y for y in operands if type(y) is not Zero]

    def program(*arrays, dense=False):
        given = iter(arrays)
        filled = [next(given) if type(y) is not Zero else y for y in operands]
        return (
            f(*[y.materialise() if type(y) is Zero else y for y in filled])
            if dense
            else (quaxify(f)(*filled))
        )

    with jax.numpy_rank_promotion("allow"):
        text = jax.jit(program).lower(*arrays).compile().as_text()
        assert not WORK.search(text), text
        out = program(*arrays)
        expected = program(*arrays, dense=True)
    assert out.shape == expected.shape and out.dtype == expected.dtype
    np.testing.assert_array_equal(out.materialise() if type(out) is Zero else out, expected)


T = TridiagonalMatrix(jnp.ones(2), 4 * jnp.ones(3), jnp.ones(2))
MATRICES = {
    "array": A,
    "tridiagonal": T,
    "diagonal": DiagonalMatrix(x),
    "kronecker": KroneckerMatrix(A, jnp.ones((1, 1))),
    "sparse": BCOO.from_dense(A),
}


@pytest.mark.parametrize("name", MATRICES)
def test_matrices_meet_zero(name):
    """Products and solutions stay zero, of every kind of matrix and shape."""
    matrix = MATRICES[name]
    for f, z, shape in (
        (lambda m, z: m @ z, Z, (3,)),
        (lambda m, z: m @ z, Zero((3, 2)), (3, 2)),
        (lambda m, z: z @ m, Z, (3,)),
        (lambda m, z: m * z, ZM, (3, 3)),
        (jnp.linalg.solve, Z, (3,)),
        (jnp.linalg.solve, Zero((3, 2)), (3, 2)),
    ):
        for run in (quaxify(f), jax.jit(quaxify(f))):
            out = run(matrix, z)
            assert type(out) is Zero and out.shape == shape and out.dtype == jnp.float32
    assert type(quaxify(lambda m, z: m + z)(matrix, ZM)) is type(matrix)


def test_solutions_keep_units_and_names():
    stiffness = Quantity(T, "N/m")
    out = quaxify(jnp.linalg.solve)(stiffness, Quantity(Z, "N"))
    assert str(out.units) == "meter" and type(out.magnitude) is Zero
    named = quaxify(jnp.linalg.solve)(A, NamedArray(Z, ("x",)).untag("x"))
    assert type(getattr(named, "array", named)) is Zero
    with pytest.raises(Exception, match="4"):
        quaxify(jnp.linalg.solve)(A, Zero((4,)))
