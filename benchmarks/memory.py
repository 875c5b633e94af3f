"""What compiled programs hold in memory: XLA's count of arguments, temporaries and results."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from sciquax import quaxify
from sciquax.lora import LoraArray
from sciquax.quantised import quantise
from sciquax.sparse import BCOO
from sciquax.structured import TridiagonalMatrix
from sciquax.units import Quantity

HEADER = "| held by the compiled program | dense | sciquax | ratio |\n|---|---|---|---|"


def held(function: Callable, *args: Any) -> int:
    """Bytes of arguments, temporaries and results of the compiled `function(*args)`."""
    found: Any = jax.jit(function).lower(*args).compile().memory_analysis()
    return found.argument_size_in_bytes + found.temp_size_in_bytes + found.output_size_in_bytes


def rows(n: int = 2000) -> list[tuple[str, int, int]]:
    b, ones = jnp.ones(n), jnp.ones(n - 1)
    square = jax.ShapeDtypeStruct((n, n), jnp.float32)
    stencil = TridiagonalMatrix(-ones, 2.5 * jnp.ones(n), -ones)
    weight = jax.random.normal(jax.random.key(0), (n, n))
    sparse = BCOO.from_dense(jnp.eye(n))

    def product(w: Any, x: Any) -> Any:
        return w @ x

    def loss(w: Any, x: Any) -> Any:
        return jnp.sum(jnp.square(w @ x))

    def lora_gradient(ab: Any, w: Any, x: Any) -> Any:
        lora = LoraArray(w, rank=8, key=jax.random.key(0))
        return jax.grad(lambda ab: quaxify(loss)(ab_of(lora, ab), x))(ab)

    def ab_of(lora: LoraArray, ab: Any) -> LoraArray:
        import equinox as eqx

        return eqx.tree_at(lambda m: (m.a, m.b), lora, ab)

    factors = LoraArray(weight, rank=8, key=jax.random.key(0))
    return [
        (
            "quantity, elementwise",
            held(jnp.sin, b),
            held(quaxify(jnp.sin), Quantity(b, "rad")),
        ),
        (
            "tridiagonal solve",
            held(jnp.linalg.solve, square, b),
            held(quaxify(jnp.linalg.solve), stencil, b),
        ),
        (
            "sparse A @ x, one in n stored",
            held(product, square, b),
            held(quaxify(product), sparse, b),
        ),
        (
            "int8 weights, A @ x",
            held(product, square, b),
            held(quaxify(product), quantise(weight), b),
        ),
        (
            "gradient of a layer, LoRA of rank 8",
            held(jax.grad(loss), square, b),
            held(lora_gradient, (factors.a, factors.b), weight, b),
        ),
    ]


def row(name: str, dense: int, ours: int) -> str:
    return f"| {name} | {dense / 1e6:.3g} MB | {ours / 1e6:.3g} MB | {ours / dense:.3g} |"
