"""Sparse products, LoRA's training step and products of integers, against what one would write."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.experimental import sparse

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
    """In compiled programs, and at once, of which SciPy's product is a part."""
    ratios = []
    for kind in ("uniform", "random", "skewed"):
        csr = sparse_matrix(kind)
        ours, x = BCOO.from_scipy(csr), np.ones(csr.shape[1], np.float32)
        columns = np.ones((csr.shape[1], 16), np.float32)
        for name, program, scipy, by in (
            ("A @ x", lambda A, x: A @ x, lambda A, x: A @ x, x),
            ("A.T @ x", lambda A, x: A.T @ x, lambda A, x: A.T @ x, x),
            ("A @ X, 16 columns", lambda A, x: A @ x, lambda A, x: A @ x, columns),
        ):
            on_device, at_once = jnp.asarray(by), quaxify(program)
            for how, run in (("jitted", jax.jit(at_once)), ("at once", at_once)):
                ratios.append(
                    compare(
                        f"sparse {name} against SciPy's CSR, {kind} rows, {how}",
                        lambda csr=csr, x=by, f=scipy: f(csr, x),
                        lambda A=ours, x=on_device, f=run: f(A, x).block_until_ready(),
                        limit=1.2,
                        rounds=11,
                    )
                )
        ratios.append(_by_elements(ours, kind))
    csr = sparse_matrix("uniform", per_row=3)
    ours, square = BCOO.from_scipy(csr), quaxify(lambda A: A @ A)
    ratios.append(
        compare(
            "sparse A @ A against SciPy's CSR, at once",
            lambda: csr @ csr,
            lambda: square(ours).data.block_until_ready(),
            limit=1.2,
            rounds=11,
        )
    )
    return ratios


def _by_elements(matrix: BCOO, kind: str) -> Ratio:
    theirs, x = matrix.to_jax(), jnp.ones(matrix.shape[1])

    def plain(data: Any, places: Any, x: Any) -> Any:
        return jnp.sum(jnp.sin(sparse.BCOO((data, places), shape=theirs.shape) @ x))

    def ours(data: Any, A: Any, x: Any) -> Any:
        return jnp.sum(jnp.sin(quaxify(lambda A, x: A @ x)(A.with_payload(data), x)))

    plain_run, our_run = jax.jit(jax.grad(plain)), jax.jit(jax.grad(ours))
    return compare(
        f"gradient of A @ x by the elements, against JAX's BCOO, {kind} rows, jitted",
        lambda: plain_run(theirs.data, theirs.indices, x).block_until_ready(),
        lambda: our_run(matrix.data, matrix, x).block_until_ready(),
        limit=1,
        rounds=11,
    )


def _systems(side: int = 100) -> list[Ratio]:
    """The Laplacian of a square: a matrix that is new each time, and one that was solved before."""
    import scipy.sparse
    import scipy.sparse.linalg

    offsets: Any = [-1, 0, 1]  # SciPy's annotation says one number
    line = scipy.sparse.diags_array([-1.0, 2.0, -1.0], offsets=offsets, shape=(side, side))
    one = scipy.sparse.eye_array(side)
    plane = (scipy.sparse.kron(line, one) + scipy.sparse.kron(one, line)).tocsc().astype("float32")
    b, ours = np.ones(side**2, np.float32), BCOO.from_scipy(plane)
    solve, on_device, changes = quaxify(jnp.linalg.solve), jnp.asarray(b), iter(range(1, 1000))

    def new(f: Callable) -> Any:
        data = ours.data * (1 + 1e-3 * next(changes))
        return f(ours.with_payload(data), on_device).block_until_ready()

    jitted = jax.jit(solve)
    return [
        compare(
            f"solve with a 2-D Laplacian of {side**2}, against spsolve, {name}",
            lambda: scipy.sparse.linalg.spsolve(plane, b),
            run,
            limit=1.5,
            rounds=7,
        )
        for name, run in (
            ("new each time, at once", lambda: new(solve)),
            ("new each time, jitted", lambda: new(jitted)),
            ("the same, jitted", lambda: jitted(ours, on_device).block_until_ready()),
        )
    ]


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
    return [*_products(), *_systems(32), *_systems(), _lora_step(), *_integers()]
