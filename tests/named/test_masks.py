"""Masks with names in positional code: `x[x > 0]`, `x.at[x > 0].set(v)`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciquax
from sciquax import quaxify
from sciquax.named import AxisError, CoordinateError, NamedArray
from sciquax.units import Quantity

NUMBERS = jnp.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]])
COORDS = {"t": [0.0, 1.0, 2.0], "season": ("t", ["dry", "wet", "dry"]), "run": 5}
a = NamedArray(NUMBERS, ("p", "t"), COORDS)
row = a.isel(p=0)

KEPT = {
    "one axis": (lambda x: x[x > 0], (row,), ("t",), [0, 2]),
    "got": (lambda x: x.at[x > 0].get(), (row,), ("t",), [0, 2]),
    "given": (lambda x, m: x[:, m], (a, row > 0), ("p", "t"), [0, 2]),
    "after others": (lambda x, m: x[..., m], (a, row > 0), ("p", "t"), [0, 2]),
    "of rows": (lambda x: x[x[:, 0] > 2], (a,), ("p", "t"), [0, 1, 2]),
    "nowhere": (lambda x: x[x > 9], (row,), ("t",), None),
    "two axes": (lambda x: x[x > 0], (a,), (None,), None),
    "two axes, nowhere": (lambda x: x[x > 9], (a,), (None,), None),
    "set": (lambda x: x.at[x < 0].set(0.0), (a,), ("p", "t"), [0, 1, 2]),
    "set to several": (lambda x: x.at[x > 0].set(jnp.array([7.0, 8.0])), (row,), ("t",), [0, 1, 2]),
    "set to its own": (lambda x, m: x.at[m].set(2 * x[m]), (row, row > 0), ("t",), [0, 1, 2]),
    "added": (lambda x: x.at[x < 0].add(10.0), (a,), ("p", "t"), [0, 1, 2]),
    "multiplied": (lambda x, m: x.at[:, m].multiply(2.0), (a, row > 0), ("p", "t"), [0, 1, 2]),
}


@pytest.mark.parametrize("name", KEPT)
def test_masked(name):
    program, args, dims, places = KEPT[name]
    out = quaxify(program)(*args)
    assert out.dims == dims
    np.testing.assert_array_equal(out.array, program(*[x.array for x in args]))
    if places is None:
        assert "t" not in out.coords
    else:
        assert out.coord("t").array.tolist() == places
        assert out.coord("season").array.tolist() == [("dry", "wet", "dry")[i] for i in places]


def test_derivatives_and_units():
    slope = sciquax.grad(quaxify(lambda x: (jnp.sin(x)[x > 0] ** 2).sum()))(a)
    np.testing.assert_allclose(
        slope.array, np.where(NUMBERS > 0, np.sin(2 * NUMBERS), 0), atol=1e-6
    )
    length = NamedArray(Quantity(NUMBERS[0], "m"), ("t",), COORDS)
    picked = quaxify(lambda x: x[x > Quantity(200.0, "cm")])(length)
    assert str(picked.units) == "meter" and picked.coord("t").array.tolist() == [2.0]
    none = quaxify(lambda x: x[x > Quantity(9.0, "m")])(length)
    assert str(none.units) == "meter" and none.sizes == {"t": 0}


def test_refused():
    other = NamedArray(NUMBERS[0] > 0, ("x",))
    later = NamedArray(NUMBERS[0] > 0, ("t",), {"t": [0.0, 1.0, 5.0]})
    for change in (lambda x, m: x[m], lambda x, m: x.at[m].set(0.0)):
        with pytest.raises(AxisError) as error:
            quaxify(change)(row, other)
        assert (
            str(error.value).splitlines()[0]
            == "`[]` got 't' and 'x' on one axis: ('t',) and ('x',)."
        )
        with pytest.raises(CoordinateError) as error:
            quaxify(change)(row, later)
        assert str(error.value).splitlines()[0] == (
            "`[]` got two coordinates for 't': 2.0 and 5.0 at place 2."
        )
    with pytest.raises(jax.errors.NonConcreteBooleanIndexError):  # as in JAX
        jax.jit(quaxify(lambda x: x[x > 0]))(row)
