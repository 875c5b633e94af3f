"""Random programs on arrays with dimensions: valid by construction, shrunk by Hypothesis.

A program is a list of steps. Each step says what it wants of its operands' dimensions, and is given
variables that have them. So every program runs with units, and plain JAX on magnitudes says what it
comes to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sciquax.core import is_value
from sciquax.named import NamedArray
from sciquax.structured import (
    DiagonalMatrix,
    KroneckerMatrix,
    LowRankMatrix,
    TriangularMatrix,
    TridiagonalMatrix,
)

Dims = tuple[Fraction, Fraction]  # exponents of length and of time
NONE: Dims = (Fraction(0), Fraction(0))


def times(*factors: tuple[Dims, Any]) -> Dims:
    return (
        sum((d[0] * p for d, p in factors), Fraction(0)),
        sum((d[1] * p for d, p in factors), Fraction(0)),
    )


@dataclass(frozen=True)
class Operation:
    """What a step does, whether it takes operands of these dimensions, and what it then makes."""

    name: str
    arity: int
    function: Callable[..., Any]
    takes: Callable[..., bool]
    makes: Callable[..., Dims]

    def __repr__(self) -> str:
        return self.name


OPERATIONS: list[Operation] = []


def operation(name: str, arity: int, function: Callable, takes: Callable, makes: Callable) -> None:
    OPERATIONS.append(Operation(name, arity, function, takes, makes))


def _any(*dims: Dims) -> bool:
    return True


def _same(*dims: Dims) -> bool:
    return len(set(dims)) == 1


def _pure(*dims: Dims) -> bool:
    return set(dims) == {NONE}


def _first(*dims: Dims) -> Dims:
    return dims[0]


def _half(x: Any) -> Any:
    return x[: (x.shape[0] + 1) // 2] if x.ndim else x


KEEPING: dict[str, Callable[..., Any]] = {
    "neg": lambda x: -x,
    "abs": jnp.abs,
    "double": lambda x: x * 2,
    "third": lambda x: x / 3.0,
    "flip": lambda x: jnp.flip(x),
    "sort": lambda x: jnp.sort(x, axis=-1) if x.ndim else x,
    "cumsum": lambda x: jnp.cumsum(x, axis=0) if x.ndim else x,
    "cummax": lambda x: lax.cummax(x, axis=0) if x.ndim else x,
    "roll": lambda x: jnp.roll(x, 1),
    "transpose": lambda x: x.T,
    "ravel": lambda x: x.ravel(),
    "half": _half,
    "last": lambda x: x[..., -1] if x.ndim else x,
    "take": lambda x: jnp.take(x, jnp.array([0, 1, 0]), axis=0, mode="clip") if x.ndim else x,
    "new axis": lambda x: x[None] if x.ndim < 3 else x,
    "tile": lambda x: jnp.tile(x, 2) if x.size < 30 else x,
    "repeat": lambda x: jnp.repeat(x, 2, axis=0) if x.ndim and x.size < 30 else x,
    "pad": lambda x: jnp.pad(x, [(1, 0)] * x.ndim) if x.size < 30 else x,
    "diff": lambda x: jnp.diff(x, axis=0) if x.ndim and x.shape[0] > 1 else x,
    "sum": jnp.sum,
    "sum of axis": lambda x: jnp.sum(x, axis=0) if x.ndim else x,
    "mean": jnp.mean,
    "max": jnp.max,
    "min of axis": lambda x: jnp.min(x, axis=-1) if x.ndim else x,
    "median": jnp.median,
    "std": jnp.std,
    "norm": lambda x: jnp.linalg.norm(x.ravel()),
    "ptp": jnp.ptp,
    "picked": lambda x: x.ravel()[jnp.argmax(x)],
    "positive": lambda x: jnp.where(x > 0, x, 0.0),
    "above mean": lambda x: jnp.where(x > x.mean(), x, x.mean()),
    "relu": lambda x: jnp.maximum(x, 0),
    "nan_to_num": lambda x: jnp.nan_to_num(x),
    "zeroed": lambda x: x.at[0].set(0) if x.ndim else x,
    "added at": lambda x: x.at[0].add(x[-1]) if x.ndim else x,
    "scaled at": lambda x: x.at[-1].multiply(3) if x.ndim else x,
    "cond": lambda x: lax.cond(jnp.sum(x) > 0, lambda x: x * 2, lambda x: -x, x),
    "switch": lambda x: lax.switch(jnp.argmax(x.ravel()) % 3, [lambda x: x, lambda x: -x, abs], x),
    "scan": lambda x: (
        lax.scan(lambda c, y: (c + y, c - y), jnp.zeros_like(x[0]), x)[1] if x.ndim else x
    ),
    "map": lambda x: lax.map(lambda y: y + y.max(), x) if x.ndim else x,
    "fori": lambda x: lax.fori_loop(0, 3, lambda i, c: c + x * i, x),
    "fori from zeros": lambda x: lax.fori_loop(
        0, 2, lambda i, c: c + x, jnp.zeros(x.shape, x.dtype)
    ),
    "while": lambda x: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] + x), (0, x))[
        1
    ],
    "jit": lambda x: jax.jit(lambda x: x - x.mean())(x),
    "vmap": lambda x: jax.vmap(lambda row: row - row.max())(x) if x.ndim else x,
    "checkpoint": lambda x: jax.checkpoint(lambda x: x + jnp.roll(x, 1))(x),
    "associative_scan": lambda x: lax.associative_scan(jnp.add, x) if x.ndim else x,
    "interp": lambda x: jnp.interp(x, jnp.sort(x.ravel()), x.ravel()),
    "stop": lax.stop_gradient,
    "round trip": lambda x: jnp.sqrt(x * x),
    "fft": lambda x: jnp.real(jnp.fft.ifft(jnp.fft.fft(x))) if x.ndim else x,
}
SAME: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "maximum": jnp.maximum,
    "minimum": jnp.minimum,
    "hypot": jnp.hypot,
    "where": lambda x, y: jnp.where(x > y, x, y * 2),
    "stack": lambda x, y: jnp.stack(jnp.broadcast_arrays(x, y)),
    "concatenate": lambda x, y: jnp.concatenate([x.ravel(), y.ravel()]),
    "clip": lambda x, y: jnp.clip(x, jnp.min(y), jnp.max(y)),
    "copysign": jnp.copysign,
    "set": lambda x, y: x.at[0].set(jnp.max(y)) if x.ndim and x.dtype == y.dtype else x,
    "carry": lambda x, y: lax.fori_loop(0, 2, lambda i, c: (c[1] + c[0], c[1]), (x + y, x + y))[0],
    "branches": lambda x, y: lax.cond(x.sum() > y.sum(), lambda: x + y, lambda: y + x),
    "searchsorted": lambda x, y: jnp.sort(x.ravel())[
        jnp.searchsorted(jnp.sort(x.ravel()), y.ravel()[0]) % x.size
    ],
}
RATIOS: dict[str, Callable[..., Any]] = {
    "sin": jnp.sin,
    "tanh": jnp.tanh,
    "exp": lambda x: jnp.exp(-jnp.abs(x)),
    "log1p": lambda x: jnp.log1p(jnp.abs(x)),
    "arctan": jnp.arctan,
    "softmax": lambda x: jax.nn.softmax(x),
    "sigmoid": jax.nn.sigmoid,
    "plus one": lambda x: x + 1.0,
    "logsumexp": lambda x: jax.scipy.special.logsumexp(x),
    "power": lambda x: jnp.abs(x) ** jnp.abs(x),
}
for _name, _function in KEEPING.items():
    operation(_name, 1, _function, _any, _first)
for _name, _function in SAME.items():
    operation(_name, 2, _function, _same, _first)
for _name, _function in RATIOS.items():
    operation(_name, 1, _function, _pure, _first)
for _name, _function, _power in [
    ("square", lambda x: x**2, 2),
    ("cube", lambda x: x**3, 3),
    ("sqrt", lambda x: jnp.sqrt(jnp.abs(x)), Fraction(1, 2)),
    ("power 1.5", lambda x: jnp.abs(x) ** 1.5, Fraction(3, 2)),
    ("reciprocal", lambda x: 1 / (jnp.abs(x) + jnp.abs(x).max()), -1),
    ("var", jnp.var, 2),
    ("vdot", lambda x: jnp.vdot(x, x), 2),
    ("derivative", lambda x: jax.grad(lambda y: jnp.sum(y**3))(x), 2),
    ("sign", jnp.sign, 0),
    ("normalised", lambda x: x / jnp.linalg.norm(x.ravel()), 0),
    ("count", lambda x: jnp.sum(x > x.mean()) * 1.0, 0),
]:  # fmt: skip
    operation(_name, 1, _function, _any, lambda d, p=_power: times((d, p)))
for _name, _function, _powers in [
    ("mul", lambda x, y: x * y, (1, 1)),
    ("div", lambda x, y: x / (jnp.abs(y) + jnp.abs(y).max()), (1, -1)),
    ("outer", lambda x, y: jnp.outer(x, y) if x.size * y.size < 40 else x.sum() * y.sum(), (1, 1)),
    ("dot", lambda x, y: jnp.dot(x.ravel()[:2], y.ravel()[:2]), (1, 1)),
    ("einsum", lambda x, y: jnp.einsum("i,j->ji", x.ravel()[:3], y.ravel()[:2]), (1, 1)),
    ("convolve", lambda x, y: jnp.convolve(x.ravel()[:5], y.ravel()[:3]), (1, 1)),
    ("jvp", lambda x, y: jax.jvp(lambda x: jnp.sum(x * x) * y.sum(), (x,), (x,))[1], (2, 1)),
]:  # fmt: skip
    operation(_name, 2, _function, _any, lambda a, b, p=_powers: times((a, p[0]), (b, p[1])))
operation("arctan2", 2, lambda x, y: jnp.arctan2(x, y), _same, lambda *d: NONE)
operation("compared", 2, lambda x, y: (x < y).sum() * 1.0, _same, lambda *d: NONE)
operation(
    "lexsort", 2, lambda x, y: y.ravel()[jnp.argsort(x.ravel()) % y.size], _any, lambda a, b: b
)


@dataclass(frozen=True)
class Step:
    operation: Operation
    places: tuple[int, ...]

    def __repr__(self) -> str:
        return f"{self.operation.name}{list(self.places)}"


@dataclass(frozen=True, eq=False)
class Program:
    """Steps on three inputs; each step's result is a further variable. Called, gives the last."""

    inputs: tuple[Any, ...]
    dims: tuple[Dims, ...]
    steps: tuple[Step, ...]
    result: Dims
    kind: str = "array"  # of the first input
    numbers: Any = None  # that it is made of

    def __call__(self, *inputs: Any) -> Any:
        variables = [*inputs]
        for step in self.steps:
            variables.append(step.operation.function(*[variables[i] for i in step.places]))
        return variables[-1]

    __name__ = "program"


DIMS: Sequence[Dims] = (
    (Fraction(1), Fraction(0)),
    (Fraction(1), Fraction(0)),
    (Fraction(0), Fraction(1)),
)
SHAPES = ((3,), (2, 3), (), (1,), (4,), (3, 2))
DTYPES = ("float64", "float32", "int32")


# Values of other kinds, of a magnitude in metres: what is made of 16 numbers and a function that
# gives them a unit; names go around it, structures within.
KINDS: dict[str, Callable[[Any, Callable[[Any], Any]], Any]] = {
    "names": lambda x, unit: NamedArray(unit(x[:6].reshape(2, 3)), ("y", "z")),
    "one name": lambda x, unit: NamedArray(unit(x[:4]), ("z",)),
    "diagonal": lambda x, unit: unit(DiagonalMatrix(x[:3])),
    "tridiagonal": lambda x, unit: unit(TridiagonalMatrix(x[:3], x[3:7], x[7:10])),
    "triangular": lambda x, unit: unit(TriangularMatrix(x[:9].reshape(3, 3))),
    "low rank": lambda x, unit: unit(LowRankMatrix(x[:3, None], x[None, 3:6])),
    "Kronecker": lambda x, unit: unit(
        KroneckerMatrix(x[:4].reshape(2, 2) / 4, DiagonalMatrix(x[4:6]))
    ),
    "names of a structure": lambda x, unit: NamedArray(
        unit(TridiagonalMatrix(x[:2], x[2:5], x[5:7])), ("y", "z")
    ),
}


def dense(x: Any) -> jax.Array:
    """The plain array of a value without a unit."""
    x = x.array if isinstance(x, NamedArray) else x
    return x.materialise() if is_value(x) else x


@st.composite
def programs(draw: Callable, longest: int = 7, kinds: Sequence[str] = ()) -> Program:
    """Programs whose every step plain JAX carries out, to numbers of moderate size.

    **Arguments**: the most steps; and of what kinds the first input may be, whose numbers are then
    `Program.numbers`. By name, a sum of an array and its transpose is another than by position: of
    what has names, programs have steps of one operand.
    """
    seed = draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    inputs = []
    for _ in DIMS:
        shape, dtype = draw(st.sampled_from(SHAPES)), draw(st.sampled_from(DTYPES))
        x = rng.uniform(-4, 4, shape)
        inputs.append(jnp.asarray(np.round(x) * 2 + 1 if dtype == "int32" else x, dtype))
    kind, numbers = draw(st.sampled_from(kinds)) if kinds else "array", None
    if kinds:
        numbers = jnp.asarray(rng.uniform(-4, 4, 16))
        inputs[0] = dense(KINDS[kind](numbers, lambda x: x))
    operations = [x for x in OPERATIONS if x.arity == 1 or "name" not in kind]
    variables, dims, steps = [*inputs], [*DIMS], []
    choices = st.tuples(st.integers(0, len(operations) - 1), st.integers(0, 99), st.integers(0, 99))
    for choice, *wanted in draw(st.lists(choices, min_size=1, max_size=longest)):
        made = _step(operations[choice], wanted, variables, dims)
        if made is not None:
            step, out, dimension = made
            steps.append(step)
            variables.append(out)
            dims.append(dimension)
    return Program(tuple(inputs), tuple(DIMS), tuple(steps), dims[-1], kind, numbers)


def _step(
    operation: Operation, wanted: Sequence[int], variables: Sequence[Any], dims: Sequence[Dims]
) -> tuple[Step, Any, Dims] | None:
    """The step on the latest variables that it takes, its result, and the dimensions of that."""
    count = len(variables)
    first = count - 1 - wanted[0] % min(count, 3)
    seconds = range(count) if operation.arity == 2 else (None,)
    fits = [
        (first,) if second is None else (first, second)
        for second in seconds
        if operation.takes(dims[first], *([] if second is None else [dims[second]]))
    ]
    if not fits:
        return None
    places = fits[wanted[1] % len(fits)]
    try:
        out = operation.function(*[variables[i] for i in places])
    except (TypeError, ValueError):  # of other shapes or dtypes than it takes
        return None
    if out.size == 0 or out.size > 200 or not jnp.all(jnp.isfinite(out)):
        return None
    if jnp.max(jnp.abs(out)) > 1e6:
        return None
    made = operation.makes(*[dims[i] for i in places])
    if max(map(abs, made)) > 6:
        return None
    return Step(operation, places), out, made
