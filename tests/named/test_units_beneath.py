"""Functions that units know as wholes (`hypot`, `interp`, `histogram`), reached through names."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

import sciquax.numpy as snp
from sciquax import quaxify
from sciquax.core import is_value
from sciquax.named import NamedArray
from sciquax.units import Quantity

from ..helpers import assert_same, unstated
from ..units.catalogue import CASES
from ..units.test_catalogue import check_unit, in_base, run

X = Quantity(jnp.array([[3.0, -1.0, 2.5], [0.5, 4.0, -6.0]]), "m")
Y = Quantity(jnp.array([[400.0, 20.0, 30.0], [75.0, 90.0, 10.0]]), "cm")
NAMED_X, NAMED_Y = (NamedArray(q, ("x", "y")) for q in (X, Y))

pytestmark = pytest.mark.usefixtures("lenient")


# All of the catalogue, a tenth of it at every run of the tests.
SAMPLED = [
    pytest.param(case, marks=[pytest.mark.slow] if i % 10 else [], id=str(case))
    for i, case in enumerate(c for c in CASES if c.jit)
]


@pytest.mark.parametrize("case", SAMPLED)
def test_units_are_those_of_quantities_alone(case: Any) -> None:
    program, args = run(case.f, jax, in_base(case.operands))
    named = [NamedArray(x, (None,) * x.ndim) if isinstance(x, Quantity) else x for x in args]
    out = jax.eval_shape(quaxify(program), *named)
    held = lambda x: x.array if isinstance(x, NamedArray) else x
    check_unit(case, jtu.tree_map(held, out, is_leaf=is_value))


ROWS = np.array([0.0, 1.0, 5.0], np.float32)
PROGRAMS = {
    "hypot": (lambda x, y: jnp.hypot(x, y), ("x", "y")),
    "isclose": (lambda x, y: jnp.isclose(x, y), ("x", "y")),
    "nan_to_num": (lambda x, y: jnp.nan_to_num(x), ("x", "y")),
    "interp": (lambda x, y: jnp.interp(x, jnp.sort(y[0]), y[1]), ("x", "y")),
    "unwrap": (lambda x, y: jnp.unwrap(x / y), ("x", "y")),
    "lstsq": (lambda x, y: jnp.linalg.lstsq(x, y)[0], ("y", None)),
    "trapezoid": (lambda x, y: jnp.trapezoid(x, y), ("x",)),
    "standardize": (lambda x, y: jax.nn.standardize(x, epsilon=0.0), ("x", "y")),
    "zeros_like": (lambda x, y: x + jnp.zeros_like(y), ("x", "y")),
    "device_put": (lambda x, y: sum(jax.device_put((x, jnp.zeros((2, 3))))), ("x", "y")),
    "cond": (lambda x, y: jax.lax.cond(unstated(True), jnp.hypot, jnp.maximum, x, y), ("x", "y")),
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("transform", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_names_are_those_of_plain_arrays(name: str, transform: Any) -> None:
    f, dims = PROGRAMS[name]
    x, y = NAMED_X, NAMED_Y
    if name == "lstsq":
        y = NamedArray(Y, ("x", None))
    out = transform(quaxify(f))(x, y)
    assert isinstance(out, NamedArray) and out.dims == dims
    assert_same(out.array, quaxify(f)(X, Y))


def test_vmap_and_grad_of_the_caller():
    f = lambda x, y: jnp.hypot(x, y)
    out = quaxify(jax.vmap(f, in_axes=1, out_axes=1))(NAMED_X, NAMED_Y)
    assert out.dims == ("x", "y")
    assert_same(out.array, quaxify(f)(X, Y))
    g = lambda x, y: jax.grad(lambda x: jnp.nansum(jnp.interp(x, ROWS * y[0, 0], ROWS)))(x)
    out = quaxify(g)(NAMED_X, NAMED_Y)
    assert out.dims == ("x", "y")
    assert_same(out.array, quaxify(g)(X, Y))


def test_beside_quantities_without_names():
    for f in (jnp.hypot, jnp.kron, jnp.isclose, lambda x, y: jnp.interp(x, jnp.sort(y[0]), y[1])):
        for transform in (lambda f: f, jax.jit):
            out = transform(quaxify(f))(NAMED_X, Y)
            assert isinstance(out, NamedArray)
            assert_same(out.array, quaxify(f)(X, Y))


def test_called_at_once():
    out = snp.hypot(NAMED_X, NAMED_Y)
    assert out.dims == ("x", "y")
    assert_same(out.array, snp.hypot(X, Y))
    for ours, expected in zip(
        snp.histogram(NAMED_X, bins=3), snp.histogram(X, bins=3), strict=True
    ):
        assert ours.dims == (None,)
        assert_same(ours.array, expected)


def test_scales_with_an_origin():
    celsius = NamedArray(Quantity(jnp.array([[20.0, 25.0], [5.0, 30.0]]), "degC"), ("day", "hour"))
    mean = quaxify(lambda t: jnp.mean(t, axis=1))(celsius)
    assert mean.dims == ("day",)
    assert_same(mean.array, Quantity(jnp.array([22.5, 17.5]), "degC"))
    assert_same(celsius.mean("hour").array, mean.array)
