"""Sparse products, LoRA's training step and products of integers, against what one would write."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from sciquax import quaxify
from sciquax.lora import LoraArray
from sciquax.quantised import quantise
from sciquax.sparse import BCOO

from ._timing import Ratio, compare


def sparse_matrix(kind: str, n: int = 100_000, per_row: int = 10) -> Any:
    """A SciPy CSR matrix of `n` rows: all of `per_row` elements, or of as many on average."""
    import scipy.sparse

    rng = np.random.default_rng(0)
    count = n * per_row
    rows = {
        "uniform": lambda: np.repeat(np.arange(n), per_row),
        "random": lambda: rng.integers(0, n, count),
        "skewed": lambda: (rng.pareto(1.5, count) * 2000).astype(int) % n,
    }[kind]()
    data = rng.standard_normal(count).astype(np.float32)
    places = (rows, rng.integers(0, n, count))
    return scipy.sparse.coo_array((data, places), shape=(n, n)).tocsr()


def _products() -> list[Ratio]:
    ratios = []
    apply = jax.jit(quaxify(lambda A, x: A @ x))
    for kind in ("uniform", "random", "skewed"):
        csr = sparse_matrix(kind)
        ours, x = BCOO.from_scipy(csr), np.ones(csr.shape[1], np.float32)
        on_device = jnp.asarray(x)
        ratios.append(
            compare(
                f"sparse A @ x against SciPy's CSR, {kind} rows",
                lambda csr=csr, x=x: csr @ x,
                lambda A=ours, x=on_device: apply(A, x).block_until_ready(),
                limit=1,
            )
        )
    return ratios


def _lora_step(n: int = 512, rank: int = 8, batch: int = 64) -> Ratio:
    value = LoraArray(jr.normal(jr.key(0), (n, n)) / n, rank=rank, key=jr.key(1))
    x = jr.normal(jr.key(2), (batch, n))

    def step(loss: Callable) -> Callable:
        @jax.jit
        def run(ab: Any, weight: Any, x: Any) -> Any:
            grads = jax.grad(loss)(ab, weight, x)
            return jax.tree.map(lambda p, g: p - 1e-3 * g, ab, grads)

        return lambda: jax.block_until_ready(run((value.a, value.b), value.weight, x))

    def formula(ab: Any, weight: Any, x: Any) -> Any:
        return jnp.sum(jnp.tanh(x @ weight + (x @ ab[0]) @ ab[1]) ** 2)

    def ours(ab: Any, weight: Any, x: Any) -> Any:
        W = eqx.tree_at(lambda w: (w.weight, w.a, w.b), value, (weight, *ab))
        return jnp.sum(quaxify(lambda W, x: jnp.tanh(x @ W))(W, x) ** 2)

    return compare("LoRA training step, written out", step(formula), step(ours), limit=1.05)


def _integers() -> list[Ratio]:
    x, W = jr.normal(jr.key(0), (32, 2048)), jr.normal(jr.key(1), (2048, 2048))
    qx, qW = quantise(x, axis=0), quantise(W, axis=1)
    plain, ours = jax.jit(jnp.matmul), jax.jit(quaxify(jnp.matmul))
    return [
        compare(
            f"{name} matmul 32 x 2048 x 2048, against float32",
            lambda: plain(x, W).block_until_ready(),
            lambda a=a: ours(a, qW).block_until_ready(),
            limit=limit,
        )
        for name, a, limit in (("int8 x int8", qx, 1 / 3), ("float32 x int8", x, None))
    ]


def run() -> list[Ratio]:
    return [*_products(), _lora_step(), *_integers()]
