"""What a row of the catalogue is, and the arrays that its rows are made of."""

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

for _module in (
    "cluster.vq", "fft", "integrate", "interpolate", "linalg", "ndimage", "optimize", "signal",
    "sparse.linalg", "spatial.transform", "special", "stats",
):  # fmt: skip
    importlib.import_module(f"jax.scipy.{_module}")

RNG = np.random.default_rng(11)
V = np.array([2.25, -3.5, 4.75, 1.125], np.float32)
W = np.array([1.5, 2.75, -0.625, 3.375], np.float32)
P = np.array([0.75, 2.5, 1.25, 3.0], np.float32)
SORTED = np.array([0.5, 1.25, 2.0, 3.5], np.float32)
SMALL = np.array([0.3, -0.6, 0.8, 0.15], np.float32)
A = RNG.normal(size=(3, 4)).astype(np.float32) + np.float32(0.25)
B = RNG.normal(size=(4, 2)).astype(np.float32)
SQ = (RNG.normal(size=(3, 3)) + 3 * np.eye(3)).astype(np.float32)
SPD = (SQ @ SQ.T / 4).astype(np.float32)
R = np.array([1.5, -2.25, 0.75], np.float32)
C = (V + 1j * W).astype(np.complex64)
NAN = np.array([2.25, np.nan, 4.75, 1.125], np.float32)
MASK = np.array([True, False, True, False])
IDX = np.array([2, 0], np.int32)
INTS = np.array([5, 12, 3, 12], np.int32)
FIVE = np.float32(5.0)

PLAIN = None
"""The unit of an output that is a plain array."""


@dataclasses.dataclass(frozen=True)
class Q:
    """An operand with a unit: its magnitude in base units, and the base unit ('1' is a number)."""

    magnitude: Any
    unit: str


@dataclasses.dataclass
class Case:
    """A call, its operands and the units of its outputs.

    **Attributes**: `name`, below `jax`; `f`, called as `f(jax_or_sciquax, *operands)`; `out`, the
    unit of every output array, or of each in a tuple. `rescale=False`: not homogeneous in its unit,
    as `floor`. `jit=False`: the output's shape depends on the data. `eager=False`: its literals
    must be seen. `refuses`: the operands (by
    number) that must be numbers, tried with a length.
    """

    name: str
    f: Callable
    operands: tuple
    out: Any
    note: str = ""
    rescale: bool = True
    jit: bool = True
    eager: bool = True
    grad: bool = False
    refuses: tuple[int, ...] = ()
    rtol: float = 3e-4
    atol: float = 1e-5
    key: bool = False

    def __str__(self) -> str:
        return self.name + (f"-{self.note}" if self.note else "")


@dataclasses.dataclass
class Refusal:
    """A call that must raise: its operands measure things it cannot take, or not together."""

    name: str
    f: Callable
    operands: tuple
    note: str = ""

    def __str__(self) -> str:
        return self.name + (f"-{self.note}" if self.note else "")


CASES: list[Case] = []
REFUSALS: list[Refusal] = []
ROWS: list[Case | Refusal] = []
"""All of them, those of other releases of JAX too."""
UNCLAIMED: dict[str, str] = {}
"""Public functions about which the catalogue claims nothing, and why."""

_OPTIONS = {f.name for f in dataclasses.fields(Case)} - {"name", "f", "operands", "out"}


def lookup(root: Any, name: str) -> Any:
    for part in name.split("."):
        root = getattr(root, part)
    return root


def exists(name: str) -> bool:
    """Whether this release of JAX has a function."""
    try:
        lookup(jax, name)
    except AttributeError:
        return False
    return True


def _call(name: str, kwargs: dict[str, Any]) -> Callable:
    return lambda root, *operands: lookup(root, name)(*operands, **kwargs)


class Area:
    """Adds rows about the functions of one module: `area("hypot cross", Q(V, "m"), out="m")`."""

    def __init__(self, module: str):
        self.module = module

    def __call__(self, names: str, *operands: Any, out: Any, f: Callable | None = None, **kw: Any):
        options = {k: kw.pop(k) for k in list(kw) if k in _OPTIONS}
        for name in names.split():
            full = f"{self.module}.{name}"
            case = Case(full, f or _call(full, kw), operands, out, **options)
            ROWS.append(case)
            if exists(full):  # in this release of JAX
                CASES.append(case)

    def numbers(self, names: str, *operands: Any, out: Any = PLAIN, **kw: Any) -> None:
        """Functions of numbers: bare arrays stand for operands that may be percent, not lengths."""
        marked = tuple(
            Q(x, "1") if isinstance(x, np.ndarray) and x.dtype.kind in "fc" else x for x in operands
        )
        which = tuple(i for i, x in enumerate(marked) if isinstance(x, Q) and x.unit == "1")
        self(names, *marked, out=out, refuses=which, **kw)

    def refuses(self, names: str, *operands: Any, f: Callable | None = None, **kw: Any) -> None:
        note = kw.pop("note", "")
        for name in names.split():
            full = f"{self.module}.{name}"
            refusal = Refusal(full, f or _call(full, kw), operands, note)
            ROWS.append(refusal)
            if exists(full):
                REFUSALS.append(refusal)

    def unclaimed(self, names: str, reason: str) -> None:
        for name in names.split():
            UNCLAIMED[f"{self.module}.{name}"] = reason
