"""Values of every type and nesting, for the tests of files, copies and processes."""

import functools
import inspect
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciquax.core import VALUE_TYPES, is_value
from sciquax.named import NamedArray
from sciquax.quantised import quantise
from sciquax.sparse import BCOO
from sciquax.structured import (
    BlockBidiagonalMatrix,
    EliminationMatrix,
    ExponentialMatrix,
    FourierMatrix,
    InverseMatrix,
    LowRankMatrix,
    ProductMatrix,
    RectangularBandedMatrix,
    ReflectorsMatrix,
    SemiseparableMatrix,
    SumMatrix,
    ToeplitzCholeskyMatrix,
    TridiagonalMatrix,
)
from sciquax.units import Quantity

from ..structured import nesting_table, specimens

BANDS = jnp.array([1.0, 2.0]), jnp.array([4.0, 5.0, 6.0]), jnp.array([3.0, -1.0])
T = TridiagonalMatrix(*BANDS)
COMPOSITES = {
    "block bidiagonal": BlockBidiagonalMatrix(jnp.ones((2, 2, 2)), jnp.ones((1, 2, 2))),
    "elimination": EliminationMatrix(True, jnp.array([[0.5], [0.25]]), jnp.array([[1], [2]])),
    "exponential": ExponentialMatrix(T),
    "fourier": FourierMatrix(jnp.ones(()), 3, True),
    "inverse": InverseMatrix(T),
    "outer": LowRankMatrix(jnp.ones((3, 2)), jnp.ones((2, 3))),
    "product": ProductMatrix(T, InverseMatrix(T)),
    "rectangular": RectangularBandedMatrix(jnp.ones(4), 2, 3, (0, 1)),
    "reflectors": ReflectorsMatrix(jnp.ones((3, 2)), jnp.ones(3), True),
    "semiseparable": SemiseparableMatrix(False, jnp.ones(3), jnp.ones((3, 1)), jnp.ones((1, 3))),
    "sum": SumMatrix(T, InverseMatrix(T)),
    "toeplitz factor": ToeplitzCholeskyMatrix(False, jnp.array([4.0, 1.0])),
}
DATES = np.array(["2020-01-01", "2021-02-03"], "M8[D]")
MORE = {
    "integers": Quantity(jnp.array([1, 2]), "km"),
    "half": Quantity(jnp.array([1.0, -2.0], jnp.bfloat16), "m**0.5"),
    "complex": Quantity(jnp.array([1 + 2j]), "V"),
    "no numbers": Quantity(jnp.zeros((0, 3), jnp.complex64), "V"),
    "temperature": Quantity(21.5, "degC"),
    "level": Quantity(jnp.array([1.0, 2.0]), "dBm"),
    "BCOO(Quantity)": BCOO(
        Quantity(jnp.array([2.0, 3.0]), "m"), jnp.array([[0, 1], [1, 2]]), (2, 3)
    ),
    "coordinates": NamedArray(
        Quantity(jnp.ones((2, 3)), "km"),
        ("x", None),
        {"x": Quantity(np.array([0.1, 0.2]), "m")},
    ),
    "dates": NamedArray(jnp.ones(2), ("t",), {"t": DATES}),
    "dates on the host": NamedArray(jnp.ones(2), ("t",), {"t": DATES}).coord("t"),
    "words on the host": NamedArray(jnp.ones(2), ("t",), {"t": ["a", "bcd"]}).coord("t"),
    "large integers": NamedArray(jnp.ones(2), ("t",), {"t": np.array([2**60 + 1, 3])}).coord("t"),
    "attributes": NamedArray.with_attributes(
        jnp.ones(2), ("x",), name="speed", attrs={"long_name": "a", "valid": np.array([1.0, 2.0])}
    ),
    "claims": TridiagonalMatrix(*BANDS, properties={"diagonally_dominant"}),
    "sharpened": TridiagonalMatrix(*BANDS, allow_materialise=True),
}


@functools.cache
def values() -> dict[str, Any]:
    """Values of all types and nestings, by name; made when a test first asks for them."""
    with jax.numpy_rank_promotion("allow"):
        return _made()


def _made() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    tables = {**nesting_table.SPECIMENS, **nesting_table.NESTED}
    found = {name: make(1) for name, make in tables.items() if name != "array"}
    matrices = {s.name: s.make(rng) for s in specimens.SPECIMENS}
    found |= matrices | COMPOSITES
    found |= {f"Quantity({name})": Quantity(x, "km") for name, x in matrices.items()}
    return {**found, **MORE}


# Not values that files hold: what stands within a program alone, the bases, and a preconditioner,
# which is made again from its matrix.
WITHIN = {"UnitPolymorphic", "Withheld", "LuFactor", "WorkingArray", "ApproximateInverse"}


def classes_within(x: Any) -> set[type]:
    """The classes of a value and of all that it holds."""
    found = {type(x)}
    for leaf in jax.tree.leaves(x, is_leaf=lambda y: y is not x and is_value(y)):
        if is_value(leaf):
            found |= classes_within(leaf)
    return found


def classes_due() -> set[type]:
    """Every type of values of ours that a user may hold."""
    ours = {k for k in VALUE_TYPES if k.__module__.startswith("sciquax.")}
    bases = {base for k in VALUE_TYPES for base in k.__mro__[1:]}
    due = {k for k in ours - bases if not getattr(k, "transient", False)}
    return {k for k in due if k.__name__ not in WITHIN and not inspect.isabstract(k)} | {
        k for k in ours & bases if k.__name__ in ("Quantity", "NamedArray")
    }


def emptied(x: Any) -> Any:
    """A value of the same type and other numbers: what is read into."""

    def zero(leaf: Any) -> Any:
        return jnp.zeros_like(leaf) if isinstance(leaf, jax.Array) else leaf

    if type(x) is NamedArray and isinstance(x.array, np.ndarray):
        return x
    return jax.tree.map(zero, x)


def assert_equal(actual: Any, expected: Any) -> None:
    """Same type, same arrays to the last bit."""
    assert type(actual) is type(expected)
    if isinstance(expected, NamedArray) and isinstance(expected.array, np.ndarray):
        assert actual.dims == expected.dims and actual._axes is expected._axes
        assert actual.array.dtype == expected.array.dtype
        np.testing.assert_array_equal(actual.array, expected.array)
        return
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    assert eqx.tree_equal(*map(jax.tree.leaves, (actual, expected)), typematch=True)


def before() -> dict[str, Any]:
    """What the files in `files/`, of the format before types were in it, were made of."""
    return {
        "bytes": jnp.array([1, 2, 255], jnp.uint8),
        "codes": quantise(jnp.array([[1.0, -2.0], [0.5, 0.25]]), "int4", axis=0),
        "half": jnp.array([0.5, -3.0], jnp.bfloat16),
        "named": NamedArray(Quantity(jnp.arange(6.0).reshape(2, 3), "km"), ("x", "y")),
        "number": 0.5,
        "sparse": BCOO(Quantity(jnp.array([2.0, 3.0]), "km"), jnp.array([[0, 1], [1, 2]]), (2, 3)),
        "solid": Quantity(
            TridiagonalMatrix(jnp.array([1.0]), jnp.array([2.0, 3.0]), jnp.array([4.0])), "N"
        ),
        "step": jnp.array(7),
        "x": Quantity(jnp.array([1.5, 2.0]), "km"),
    }
