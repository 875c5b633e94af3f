"""What every pair of types does to every family of primitives: run, checked, and tabulated.

A cell is "structured" if the result keeps to some type's storage, "plain" if it is an array (with
its unit and names), "refused" if it is an error of ours. A wrong value or any other error fails.
`python -m tests.structured.nesting_table` writes `docs/nestings.md`.
"""

import itertools
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax

from sciquax import quaxify
from sciquax.core import LocatedError, is_value
from sciquax.lora import DoraArray, LoraArray
from sciquax.named import NamedArray
from sciquax.quantised import QuantisedArray, quantise
from sciquax.sparse import BCOO
from sciquax.structured import DiagonalMatrix, StructuredMatrix, TridiagonalMatrix
from sciquax.units import Quantity
from sciquax.zero import Zero

PAGE = Path(__file__).resolve().parents[2] / "docs" / "nestings.md"
STORED = (LoraArray, DoraArray, BCOO, QuantisedArray, Zero, StructuredMatrix)
N = 4


def square(seed: int) -> jax.Array:
    return jr.normal(jr.key(seed), (N, N)) + 2 * jnp.eye(N)


def lora(weight: Any, seed: int = 0) -> LoraArray:
    value = LoraArray(weight, rank=1, scale=1.0, key=jr.key(seed))
    return eqx.tree_at(lambda w: w.b, value, jr.normal(jr.key(seed + 1), value.b.shape))


def dora(weight: Any, seed: int = 0) -> DoraArray:
    return DoraArray(lora(weight, seed), jnp.arange(2.0, N + 2))


def sparse(seed: int) -> BCOO:
    kept = jr.bernoulli(jr.key(seed), 0.4, (N, N))
    return BCOO.from_dense(jnp.where(kept, square(seed + 1), 0.0))


def tridiagonal(array: Any) -> TridiagonalMatrix:
    return TridiagonalMatrix(jnp.diag(array, -1), jnp.diag(array), jnp.diag(array, 1))


SPECIMENS = {
    "array": square,
    "NamedArray": lambda seed: NamedArray(square(seed), ("i", "j")),
    "Quantity": lambda seed: Quantity(square(seed), "m"),
    "TridiagonalMatrix": lambda seed: tridiagonal(square(seed)),
    "DiagonalMatrix": lambda seed: DiagonalMatrix(jnp.diag(square(seed))),
    "LoraArray": lambda seed: lora(square(seed), seed),
    "DoraArray": lambda seed: dora(square(seed), seed),
    "BCOO": sparse,
    "QuantisedArray": lambda seed: quantise(square(seed), axis=0),
    "Zero": lambda seed: Zero((N, N)),
}
NESTED = {
    "NamedArray(Quantity)": lambda s: NamedArray(Quantity(square(s), "m"), ("i", "j")),
    "NamedArray(TridiagonalMatrix)": lambda s: NamedArray(tridiagonal(square(s)), ("i", "j")),
    "Quantity(TridiagonalMatrix)": lambda s: Quantity(tridiagonal(square(s)), "m"),
    "LoraArray(TridiagonalMatrix)": lambda s: lora(tridiagonal(square(s))),
    "NamedArray(LoraArray)": lambda s: NamedArray(lora(square(s)), ("i", "j")),
    "NamedArray(BCOO)": lambda s: NamedArray(sparse(s), ("i", "j")),
    "NamedArray(QuantisedArray)": lambda s: NamedArray(quantise(square(s)), ("i", "j")),
    "NamedArray(Zero)": lambda s: NamedArray(Zero((N, N)), ("i", "j")),
    "Quantity(LoraArray)": lambda s: Quantity(lora(square(s)), "m"),
    "Quantity(BCOO)": lambda s: Quantity(sparse(s), "m"),
    "Quantity(QuantisedArray)": lambda s: Quantity(quantise(square(s)), "m"),
    "Quantity(Zero)": lambda s: Quantity(Zero((N, N)), "m"),
    "LoraArray(QuantisedArray)": lambda s: lora(quantise(square(s), "nf4", block_size=2)),
    "LoraArray(BCOO)": lambda s: lora(sparse(s)),
    "LoraArray(Quantity)": lambda s: lora(Quantity(square(s), "m")),
    "LoraArray(NamedArray)": lambda s: lora(NamedArray(square(s), ("i", "j"))),
    "NamedArray(DoraArray)": lambda s: NamedArray(dora(square(s)), ("i", "j")),
    "Quantity(DoraArray)": lambda s: Quantity(dora(square(s)), "m"),
    "DoraArray(LoraArray(QuantisedArray))": lambda s: dora(quantise(square(s), axis=0)),
    "DoraArray(LoraArray(BCOO))": lambda s: dora(sparse(s)),
    "NamedArray(Quantity(LoraArray(QuantisedArray)))": lambda s: NamedArray(
        Quantity(lora(quantise(square(s))), "m"), ("i", "j")
    ),
}
ROWS = jnp.asarray([2, 0])
BINARY = {
    "x + y": lambda x, y: x + y,
    "x * y": lambda x, y: x * y,
    "x / y": lambda x, y: x / y,
    "x @ y": lambda x, y: x @ y,
    "where": lambda x, y: jnp.where(jnp.eye(N) > 0, x, y),
    "concatenate": lambda x, y: jnp.concatenate([x, y]),
}
UNARY = {
    "2 * x": lambda x: 2 * x,
    "x.T": lambda x: x.T,
    "x[1:3]": lambda x: x[1:3],
    "x[rows]": lambda x: x[ROWS],
    "x @ v": lambda x: x @ jnp.arange(1.0, N + 1),
    "sum": lambda x: x.sum(0),
    "x * x": lambda x: x * x,
    "jit": lambda x: jax.jit(lambda x: -x)(x),
    "loop": lambda x: lax.fori_loop(0, 2, lambda i, c: 0.5 * c, x),
    "grad": lambda x: jax.grad(lambda v: jnp.sum(jnp.square(x @ v)))(jnp.arange(1.0, N + 1)),
    "cos": jnp.cos,
}


def dense(x: Any) -> Any:
    """The plain array that a value stands for, magnitudes in metres."""
    if isinstance(x, NamedArray):
        return dense(x.array)
    if isinstance(x, Quantity):
        return dense(x.m)
    if isinstance(x, LoraArray):
        return dense(x.weight) + x.update()
    if isinstance(x, DoraArray):
        direction = dense(x.direction)
        return x.magnitude[:, None] * direction / jnp.linalg.norm(direction, axis=1, keepdims=True)
    if isinstance(x, BCOO):
        return x.todense()
    if isinstance(x, StructuredMatrix):
        return quaxify(lambda a, columns: a @ columns)(x, jnp.eye(x.shape[1]))
    return x.materialise() if is_value(x) else x


def stored(x: Any) -> bool:
    """Whether some layer of a value is a type of storage."""
    if isinstance(x, STORED):
        return True
    return is_value(x) and x.payload is not None and stored(getattr(x, x.payload))


def cell(f: Any, *args: Any) -> str:
    """What a program does with these values. **Raises** AssertionError if it is wrong."""
    with jax.numpy_rank_promotion("allow"):
        try:
            out = quaxify(f)(*args)
        except (LocatedError, TypeError, ValueError) as error:
            assert "sciquax" in type(error).__module__, f"{type(error)}: {error}"
            return "refused"
        expected = f(*map(dense, args))
    actual = dense(out)
    assert actual.shape == expected.shape and actual.dtype == expected.dtype, (actual, expected)
    np.testing.assert_allclose(actual, expected, rtol=2e-3, atol=2e-3)
    units = [x for x in args if type(peel(x)) is Quantity]
    if units and f is not BINARY["x / y"]:
        assert type(peel(out)) is Quantity, "a unit was dropped"
    if any(isinstance(x, NamedArray) for x in args) and out.ndim:
        assert isinstance(out, NamedArray), "names were dropped"
    return "structured" if stored(out) else "plain"


def peel(x: Any) -> Any:
    """Without names, and with a unit outside of storage."""
    x = x.canonical() if is_value(x) else x
    return x.array if isinstance(x, NamedArray) else x


PAIRS = [p for p in itertools.product(SPECIMENS, SPECIMENS) if p != ("array", "array")]


def binary_row(lhs: str, rhs: str) -> dict[str, str]:
    x, y = SPECIMENS[lhs](1), SPECIMENS[rhs](5)
    return {name: cell(f, x, y) for name, f in BINARY.items()}


def unary_row(name: str) -> dict[str, str]:
    x = {**SPECIMENS, **NESTED}[name](1)
    return {label: cell(f, x) for label, f in UNARY.items()}


def page() -> str:
    """The text of `docs/nestings.md`."""
    lines = [
        "# What meets what",
        "",
        "Every pair of types and every nesting, against families of operations. These tables are",
        "made by `python -m tests.structured.nesting_table` and checked by the tests: each value",
        "was compared with plain JAX on the dense arrays, and its unit and names were checked.",
        "",
        "- *structured*: the result keeps to some type's storage;",
        "- *plain*: the result is an array, with its unit and names;",
        "- *refused*: an error that says what to do.",
        "",
        "Quantities here are in metres, so that adding one to a bare array is refused; a `Zero`",
        "meets every unit. Names refuse what would mix axes of different names.",
        "",
        "## Two operands",
        "",
        "| x | y | " + " | ".join(f"`{n}`" for n in BINARY) + " |",
        "|---" * (len(BINARY) + 2) + "|",
    ]
    for lhs, rhs in PAIRS:
        row = binary_row(lhs, rhs)
        lines.append(f"| {lhs} | {rhs} | " + " | ".join(row.values()) + " |")
    lines += [
        "",
        "## One operand, nested or not",
        "",
        "| x | " + " | ".join(f"`{n}`" for n in UNARY) + " |",
        "|---" * (len(UNARY) + 1) + "|",
    ]
    for name in (*[n for n in SPECIMENS if n != "array"], *NESTED):
        lines.append(f"| {name} | " + " | ".join(unary_row(name).values()) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
