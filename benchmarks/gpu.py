"""What types cost on an accelerator: `python -m benchmarks.gpu [--size 1] [--minutes 8]`.

Each row times plain JAX and the same on values, jitted both, in turn in one process; says how far
the result is from NumPy's in float64 on the host; and whether the two optimised programs are the
same. It needs no network. `--size 0.001` takes seconds on a CPU. Rows that would begin after
`--minutes` are left out, and that is said.
"""

import argparse
import datetime
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jax import lax
from jax.experimental import sparse

from sciquax import quaxify
from sciquax.interop import diffrax as dfx
from sciquax.named import NamedArray
from sciquax.quantised import quantise
from sciquax.sparse import CSR
from sciquax.structured import TridiagonalMatrix
from sciquax.units import Quantity

from ._timing import compare


class Case(NamedTuple):
    """A function on plain arrays, one on values, what each is given, and what is right."""

    name: str
    plain: Callable[..., Any]
    plain_given: tuple[Any, ...]
    ours: Callable[..., Any]
    given: tuple[Any, ...]
    right: Callable[[], np.ndarray]


def cases(size: float) -> Iterator[Case]:
    """All cases, of arrays whose greatest has about 1e8 numbers at size 1."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    def wide(x: np.ndarray) -> np.ndarray:
        return x.astype(np.float64)

    n = max(8, int(1e8 * size))
    x, y = normal(n), normal(n)
    energy = lambda x, y: x * y + 0.5 * x**2  # noqa: E731
    units = Quantity(x, "m"), Quantity(y, "m")
    right = lambda: energy(wide(x), wide(y))  # noqa: E731
    yield Case("quantities, elementwise", energy, (x, y), quaxify(energy), units, right)
    total = lambda x, y: jnp.vdot(x, y)  # noqa: E731
    yield Case(
        "quantities, a product summed", total, (x, y), quaxify(total), units,
        lambda: wide(x) @ wide(y),
    )  # fmt: skip

    m = max(4, int(1e4 * size**0.5))
    a, b = normal(m, m), normal(m)
    anomaly = lambda a, b: (a - a.mean(1, keepdims=True)) * b  # noqa: E731
    yield Case(
        "names, an anomaly", anomaly, (a, b),
        lambda a, b: (a - a.mean("x")) * b,
        (NamedArray(a, ("t", "x")), NamedArray(b, ("x",))),
        lambda: (wide(a) - wide(a).mean(1, keepdims=True)) * wide(b),
    )  # fmt: skip

    def thomas(lower: Any, main: Any, upper: Any, b: Any) -> Any:
        return lax.linalg.tridiagonal_solve(lower, main, upper, b[..., None])[..., 0]

    def solve(matrix: Any, b: Any) -> Any:
        return jnp.linalg.solve(matrix, b[..., None])[..., 0]

    for name, shape in (
        ("one tridiagonal system", (max(8, int(1e6 * size)),)),
        ("a batch of tridiagonal systems", (max(2, int(1e5 * size)), 64)),
    ):
        low, main, up, rhs = normal(*shape), normal(*shape) + 8, normal(*shape), normal(*shape)
        low[..., 0] = up[..., -1] = 0
        matrix = TridiagonalMatrix(low[..., 1:], main, up[..., :-1])
        right = lambda given=(low, main, up, rhs): _thomas(*map(wide, given))  # noqa: E731
        yield Case(name, thomas, (low, main, up, rhs), quaxify(solve), (matrix, rhs), right)

    rows, each = max(16, int(1e6 * size)), 16
    columns = rng.integers(0, rows, (rows, each))
    of_scipy = scipy.sparse.csr_array(
        (normal(rows * each), columns.ravel(), np.arange(0, rows * each + 1, each)), (rows, rows)
    )
    of_scipy.sum_duplicates()
    coordinates = sparse.BCOO.from_scipy_sparse(of_scipy)
    vector = normal(rows)
    product = lambda a, b: a @ b  # noqa: E731
    right = lambda: of_scipy.astype(np.float64) @ wide(vector)  # noqa: E731
    given = CSR(of_scipy.data, of_scipy.indices, of_scipy.indptr, (rows, rows)), vector
    yield Case(
        "sparse times a vector", product, (coordinates, vector), quaxify(product), given, right
    )

    k = max(64, int(8192 * size**0.5) // 64 * 64)
    weights, inputs = normal(k, k), normal(256, k)
    for dtype in ("int8", "int4"):
        stored = quantise(jnp.asarray(weights), dtype, axis=1)
        right = lambda stored=stored: wide(inputs) @ wide(np.asarray(stored.materialise()))  # noqa: E731
        given = jnp.asarray(inputs), stored
        yield Case(
            f"float32 times {dtype}", product, (inputs, np.asarray(stored.materialise())),
            quaxify(product), given, right,
        )  # fmt: skip

    members = max(4, int(1e5 * size))
    rate = np.linspace(0.5, 2.0, members, dtype=np.float32)
    yield Case(
        "a Diffrax ensemble", _decay(diffrax, lambda x, unit: x), (rate,),
        _decay(dfx, Quantity), (Quantity(rate, "1/s"),), lambda: np.exp(-wide(rate)),
    )  # fmt: skip


def _decay(lib: Any, q: Callable[[Any, str], Any]) -> Callable[[Any], Any]:
    """exp(-rate * 1 s) m of an ensemble, by Tsitouras' method."""

    def one(rate: Any) -> Any:
        return lib.diffeqsolve(
            lib.ODETerm(lambda t, y, rate: -rate * y), lib.Tsit5(), q(0.0, "s"), q(1.0, "s"),
            q(0.02, "s"), q(jnp.float32(1.0), "m"), rate,
        ).ys[0]  # fmt: skip

    return lambda rate: jax.vmap(one)(rate)


def _thomas(lower: np.ndarray, main: np.ndarray, upper: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Thomas' elimination on the host, for diagonals as LAPACK pads them."""
    main, b = main.copy(), b.copy()
    for i in range(1, main.shape[-1]):
        factor = lower[..., i] / main[..., i - 1]
        main[..., i] -= factor * upper[..., i - 1]
        b[..., i] -= factor * b[..., i - 1]
    for i in reversed(range(main.shape[-1])):
        after = upper[..., i] * b[..., i + 1] if i + 1 < main.shape[-1] else 0.0
        b[..., i] = (b[..., i] - after) / main[..., i]
    return b


def _program(compiled: Any) -> list[str]:
    """The operations of an optimised program, in order."""
    return re.findall(r"= \S+ ([a-z][\w-]*)\(", compiled.as_text())


def _bare(x: Any) -> np.ndarray:
    x = x.array if isinstance(x, NamedArray) else x
    return np.asarray(x.magnitude if isinstance(x, Quantity) else x, np.float64)


def row(case: Case, rounds: int) -> str:
    """Both versions timed, checked and compared: a row of the table."""
    plain, ours = jax.jit(case.plain), jax.jit(case.ours)
    given = [jax.device_put(x) for x in (case.plain_given, case.given)]
    programs = [_program(f.lower(*x).compile()) for f, x in zip((plain, ours), given, strict=True)]
    same = "identical" if programs[0] == programs[1] else f"{len(programs[1])}/{len(programs[0])}"
    ratio = compare(
        case.name,
        lambda: jax.block_until_ready(plain(*given[0])),
        lambda: jax.block_until_ready(ours(*given[1])),
        rounds=rounds,
    )
    right = case.right()
    errors = [
        float(np.max(np.abs(_bare(f(*x)) - right)) / np.max(np.abs(right)))
        for f, x in zip((plain, ours), given, strict=True)
    ]
    return f"{ratio.row().rstrip(' |')} | {errors[0]:.1e} | {errors[1]:.1e} | {same} |"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=float, default=1.0, help="1: about 1e8 numbers")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args(argv)
    start, left = time.perf_counter(), 0
    today = datetime.date.today()
    print(f"{jax.devices()[0].device_kind}, JAX {jax.__version__}, {today}\n")
    print("| what | plain | sciquax | ratio | quartiles | error, plain | error | programs |")
    print("|---|---|---|---|---|---|---|---|")
    for case in cases(options.size):
        # The last fifth is for the row that is running.
        if time.perf_counter() - start > 48 * options.minutes:
            left += 1
            continue
        print(row(case, options.rounds), flush=True)
    if left:
        print(f"\n{left} rows were left out for want of time")


if __name__ == "__main__":
    main()
