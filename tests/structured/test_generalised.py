"""`eigh(K, M)`: SciPy is the oracle."""

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
import pytest
import scipy.linalg

from sciquax import quaxify
from sciquax.core import RuleError
from sciquax.structured import (
    BandedMatrix,
    CyclicTridiagonalMatrix,
    DiagonalMatrix,
    KroneckerMatrix,
    SymmetricTridiagonalMatrix,
)
from sciquax.units import Quantity

RNG = np.random.default_rng(3)
n = 9


def uniform(*shape):
    return jnp.asarray(RNG.uniform(1, 2, shape), jnp.float32)


def elements(k, m):
    """A rod of linear elements: stiffness and mass."""
    K = SymmetricTridiagonalMatrix(k[:-1] + k[1:], -k[1:-1])
    return K, SymmetricTridiagonalMatrix((m[:-1] + m[1:]) / 3, m[1:-1] / 6)


def matrices(k, m):
    """The same in double precision."""
    of = lambda main, off: np.diag(main) + np.diag(off, 1) + np.diag(off, -1)  # noqa: E731
    return of(k[:-1] + k[1:], -k[1:-1]), of((m[:-1] + m[1:]) / 3, m[1:-1] / 6)


def reference(K, M, **options):
    K, M = (np.asarray(x.materialise(), float) for x in (K, M))
    return scipy.linalg.eigh(K, M, eigvals_only=True, **options)


def values(K, M, **options):
    return quaxify(lambda K, M: jsp.linalg.eigh(K, M, eigvals_only=True, **options))(K, M)


k, m = uniform(n + 1), uniform(n + 1)
K, M = elements(k, m)
RING = CyclicTridiagonalMatrix(-k[:n], uniform(n), -k[:n][jnp.arange(1, n + 1) % n])
MASS = CyclicTridiagonalMatrix(m[:n] / 6, uniform(n), m[:n][jnp.arange(1, n + 1) % n] / 6)
WIDE = BandedMatrix(uniform(4, n) - 1.5, lower=2, upper=1)


def test_values_agree_with_scipy():
    of = {True: [(K, M), (WIDE, M), (M, -K)], False: [(WIDE, M)]}

    def each(of):
        return {k: [values(*x, lower=k) for x in pairs] for k, pairs in of.items()}

    ours = jax.jit(each)(of)
    assert np.isnan(ours[True].pop()).all()  # the mass is not positive definite
    for lower, found in ours.items():
        for value, pair in zip(found, of[lower], strict=False):
            np.testing.assert_allclose(value, reference(*pair, lower=lower), atol=2e-5)


@pytest.mark.slow
def test_values_of_other_pairs():
    for pair in ((RING, MASS), (K, MASS), (-K, DiagonalMatrix(m[1:]))):
        np.testing.assert_allclose(values(*pair), reference(*pair), atol=2e-5)


def test_slopes_batches_and_units():
    """Of the lowest values, by every element of both matrices."""

    def lowest(k, m):
        return jnp.sum(values(*elements(k, m))[:2])

    slopes = jax.jit(jax.grad(lowest, argnums=(0, 1)))(k, m)
    for i, found in enumerate(slopes):
        moved = []
        for step in np.eye(n + 1) * 1e-4:
            ends = []
            for sign in (1, -1):
                pair = [np.asarray(k, float), np.asarray(m, float)]
                pair[i] += sign * step
                ends.append(sum(scipy.linalg.eigh(*matrices(*pair), eigvals_only=True)[:2]))
            moved.append((ends[0] - ends[1]) / 2e-4)
        np.testing.assert_allclose(found, moved, atol=1e-4)
    ours = jax.jit(lambda K, M: values(Quantity(K, "N/m"), Quantity(M, "g")).to("1/s^2").m)(K, M)
    np.testing.assert_allclose(ours, 1e3 * reference(K, M), rtol=1e-5)


def test_vectors():
    """Where making them is allowed, of length 1 in the mass; else they are not computed."""
    with pytest.raises(RuleError, match="This output of `eigh` has no structured result"):
        quaxify(lambda K, M: jsp.linalg.eigh(K, M)[1] @ k[1:])(K, M)
    allowed = [x.rebuild(x.arrays(), allow_materialise=True) for x in (K, M)]
    pair = [Quantity(x, unit) for x, unit in zip(allowed, ("N/m", "kg"), strict=True)]
    w, v = quaxify(lambda K, M: jsp.linalg.eigh(K, M))(*pair)
    assert str(v.units) == "1 / kilogram ** 0.5"
    stiffness, mass, v = K.materialise(), M.materialise(), v.m
    np.testing.assert_allclose(v.T @ mass @ v, np.eye(n), atol=1e-5)
    np.testing.assert_allclose(stiffness @ v, mass @ v * w.m[None], atol=1e-4)
    product = KroneckerMatrix(jnp.eye(3), jnp.eye(3))
    with pytest.raises(RuleError, match="`eigh` of"):
        values(K, product)
