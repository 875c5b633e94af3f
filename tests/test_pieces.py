"""Arrays taken apart: each piece keeps to the type's storage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sciquax import quaxify
from sciquax.lora import LoraArray
from sciquax.quantised import quantise
from sciquax.sparse import BCOO

W = jnp.asarray(np.sin(np.arange(24.0, dtype=np.float32)).reshape(6, 4))
X = jnp.arange(1.0, 5.0)
ARRAYS = {
    "LoraArray": lambda: LoraArray(W, rank=2, key=jax.random.key(0)),
    "int8": lambda: quantise(W, axis=0),
    "int4 in blocks": lambda: quantise(W, "int4", block_size=2),
    "BCOO": lambda: BCOO.from_dense(jnp.where(W > 0, W, 0.0)),
}
PROGRAMS = {
    "split rows": lambda a: jnp.concatenate([p @ X for p in jnp.split(a, [1, 4])]),
    "split columns": lambda a: sum(
        p @ X[2 * i : 2 * i + 2] for i, p in enumerate(jnp.split(a, 2, axis=1))
    ),
    "unstack": lambda a: jnp.stack([row @ X for row in jnp.unstack(a)]),
    "unstack columns": lambda a: jnp.stack([c @ jnp.ones(6) for c in jnp.unstack(a, axis=1)]),
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", ARRAYS)
def test_pieces(name, program):
    a, f = ARRAYS[name](), PROGRAMS[program]
    dense = quaxify(lambda a, one: a @ one)(a, jnp.eye(4))
    expected = f(dense)
    np.testing.assert_allclose(quaxify(f)(a), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(jax.jit(quaxify(f))(a), expected, rtol=1e-4, atol=1e-5)
    pieces = quaxify(lambda a: jnp.split(a, 2))(a)
    assert [type(p) for p in pieces] == [type(a)] * 2
