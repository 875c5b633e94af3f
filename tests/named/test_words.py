"""Words of other libraries, and parts of networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sciquax import named
from sciquax.named import Axis, AxisError, NamedArray


def test_parts_of_networks():
    logits = NamedArray(jnp.array([[1.0, 3.0, -1.0], [0.5, 0.0, 2.0]]), ("n", "kind"))
    right = NamedArray(jnp.array([1, 2]), "n")
    hot = named.nn.one_hot(right, Axis("kind", 3))
    assert hot.dims == ("n", "kind")
    np.testing.assert_array_equal(hot.array, [[0, 1, 0], [0, 0, 1]])
    expected = -np.asarray(jax.nn.log_softmax(logits.array))[[0, 1], [1, 2]]
    for labels in (right, hot, hot.transpose("kind", "n")):
        loss = named.nn.cross_entropy(logits, labels, "kind")
        assert loss.dims == ("n",)
        np.testing.assert_allclose(loss.array, expected, rtol=1e-6)
    np.testing.assert_allclose(named.nn.softmax(logits, "kind").sum("kind").array, 1, rtol=1e-6)
    thinned = named.nn.dropout(jax.random.key(0), named.ones({"x": 4000}), 0.25)
    assert set(np.unique(thinned.array).round(4)) == {0, np.float32(1.3333)}
    assert abs(float(thinned.mean()) - 1) < 0.05
    assert named.nn.dropout(jax.random.key(0), logits, 0.25, inference=True) is logits
    for mistake in (
        lambda: named.nn.one_hot(right, "kind"),
        lambda: named.nn.dropout(jax.random.key(0), logits, 1.0),
        lambda: named.nn.cross_entropy(logits, right.astype(float), "kind"),
    ):
        with pytest.raises(AxisError):
            mistake()


def test_the_word_dim():
    b = NamedArray(
        jnp.array([[1.0, 3.0, 2.0], [5.0, 4.0, 6.0]]), ("x", "t"), {"t": [0.0, 1.0, 3.0]}
    )
    np.testing.assert_array_equal(b.cumsum(dim="t").array, b.cumsum("t").array)
    np.testing.assert_array_equal(b.argmax(dim="t").array, [1, 2])
    np.testing.assert_array_equal(b.integrate(coord="t").array, b.integrate("t").array)
    np.testing.assert_array_equal(b.mean(dim=("x", "t")).array, 3.5)
    with pytest.raises(AxisError, match="`cumsum` got `dim` and a name"):
        b.cumsum("t", dim="t")
