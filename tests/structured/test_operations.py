"""Every structured type through ordinary `jnp` programs: plain JAX is the oracle."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sciquax import quaxify
from sciquax.core import RuleError
from tests.structured.operations import OPERATIONS, REFUSED
from tests.structured.specimens import SPECIMENS, dense, largest_intermediate

pytestmark = pytest.mark.usefixtures("lenient")


def assert_close(actual, expected):
    actual, expected = jax.tree.leaves(actual), jax.tree.leaves(expected)
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        assert a.shape == e.shape and a.dtype == e.dtype, f"{a!r} is not {e!r}"
        scale = max(1.0, float(np.max(np.abs(e)))) if e.size else 1.0
        np.testing.assert_allclose(a, e, rtol=5e-3, atol=5e-3 * scale)


# Compiling these for every structure takes as long as all the others.
COSTLY = ["gmres", "solve B", "lu_solve", "power -1", "expm", "astype", "norm 2"]
FEW = ("tridiagonal",)
QUICK = (
    "tridiagonal", "banded", "circulant", "low rank", "permutation", "diagonal",
    "cyclic tridiagonal", "of the guide",
)  # fmt: skip


def _maybe_slow(specimen):
    return specimen if specimen.name in QUICK else pytest.param(specimen, marks=pytest.mark.slow)


SOME_SLOW = [*map(_maybe_slow, SPECIMENS)]
BY_NAME = {specimen.name: specimen for specimen in SPECIMENS}


def _cases():
    for structure, name in itertools.product(BY_NAME, OPERATIONS):
        quick = structure in (FEW if name in COSTLY else QUICK)
        yield pytest.param(structure, name, marks=[] if quick else pytest.mark.slow)


@functools.cache
def _operands(structure):
    matrix = BY_NAME[structure].make(np.random.default_rng(3))
    return matrix, matrix.materialise()


@pytest.mark.parametrize("structure, name", [*_cases()])
def test_agrees_with_jax(structure, name):
    """The value is JAX's on the dense array; or the operation is refused by name, as listed."""
    matrix, array = _operands(structure)
    operation = OPERATIONS[name]
    if structure in REFUSED.get(name, ()):
        with pytest.raises(RuleError, match="has no structured result"):
            quaxify(operation)(matrix)
        return
    assert_close(dense(quaxify(operation)(matrix)), operation(array))


BATCHED = ["A @ b", "A @ A", "A + diag", "trace", "sum", "solve", "det", "inv"]


@pytest.mark.parametrize("specimen", SOME_SLOW, ids=str)
def test_batched_inside(specimen):
    _check_batched(specimen, True)


@pytest.mark.slow
@pytest.mark.parametrize("specimen", SPECIMENS, ids=str)
def test_batched_outside(specimen):
    _check_batched(specimen, False)


def _check_batched(specimen, inside):
    matrices = specimen.make(np.random.default_rng(4), (2,))
    array = dense(matrices)

    def program(A):
        return [OPERATIONS[name](A) for name in BATCHED]

    ours = quaxify(jax.vmap(program)) if inside else jax.vmap(quaxify(program))
    assert_close(dense(ours(matrices)), jax.vmap(program)(array))


SMALL = [
    "A @ b", "b @ A", "A @ B", "s * A", "A @ A", "A + A.T", "A * A", "eye - A", "A + diag", "rows",
    "A[1, 2]", "A[2], A[:, 1]", "diag", "trace", "sum", "solve", "inv", "det", "slogdet", "norm",
    "power", "cho_solve", "lu_solve", "gmres", "kron",
]  # fmt: skip


@pytest.mark.parametrize("specimen", [x for x in SPECIMENS if not x.dense_storage], ids=str)
def test_no_dense_array(specimen, monkeypatch):
    """No array of n by n elements in the whole program, and none of what it does is quadratic."""
    import tests.structured.specimens as specimens

    n = 48
    monkeypatch.setattr(specimens, "N", n)
    if specimen.name in ("block diagonal", "kronecker", "kronecker sum"):
        pytest.skip("their specimens have one size")
    matrix = specimen.make(np.random.default_rng(5))
    vector, few = jnp.arange(1.0, n + 1), jnp.ones((n, 3))
    rename = {"b": vector, "B": few, "N": n}
    for name in SMALL:
        if specimen.name in REFUSED.get(name, ()):
            continue
        operation = _with_globals(OPERATIONS[name], rename)
        closed = jax.make_jaxpr(lambda m, f=operation: jax.tree.leaves(quaxify(f)(m)))(matrix)
        assert largest_intermediate(closed) < n * n, name


def _with_globals(function, names):
    """A function whose module holds other arrays under some names."""
    import types

    if not isinstance(function, types.FunctionType) or function.__module__ is None:
        return function
    if "operations" not in function.__module__:
        return function
    return types.FunctionType(function.__code__, {**function.__globals__, **names})
