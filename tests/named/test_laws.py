"""Laws: the order in which axes are stored does not matter, names are only names."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from sciquax import named, quaxify
from sciquax.named.strategies import named_arrays, reordered, sizes
from sciquax.units import Quantity

pytestmark = [
    pytest.mark.same_everywhere,
    # The runtime type checker samples containers by Python's generator, also within strategies.
    pytest.mark.filterwarnings("ignore:Do not use the `random` module"),
]
FEW = settings(max_examples=25)


def same(a, b):
    """Equal by name."""
    assert set(a.dims) == set(b.dims) and a.sizes == b.sizes
    b = b.transpose(*a.dims) if a.dims else b
    np.testing.assert_allclose(jax.tree.leaves(a)[0], jax.tree.leaves(b)[0], rtol=1e-5, atol=1e-5)


@st.composite
def pairs(draw):
    """Two arrays over some of the same sizes."""
    known = draw(sizes(min_dims=1))
    names = list(known)
    some = draw(st.lists(st.sampled_from(names), unique=True))
    a = draw(named_arrays(known))
    b = draw(named_arrays({n: known[n] for n in some}))
    return a, b


@FEW
@given(st.data())
def test_storage_order_does_not_matter(data):
    a, b = data.draw(pairs())
    p, q = data.draw(reordered(a)), data.draw(reordered(b))
    same(a * b - b, p * q - q)
    name = data.draw(st.sampled_from(a.dims))
    same(a.sum(name), p.sum(name))
    same(a.cumsum(name), p.cumsum(name))
    same(a.flip(name), p.flip(name))
    if name in b.dims:
        same(named.dot(a, b, name), named.dot(p, q, name))
    i = data.draw(st.integers(0, a.sizes[name] - 1))
    same(a.isel({name: i}), p.isel({name: i}))
    same(a.at[{name: i}].add(1.0), p.at[{name: i}].add(1.0))


@FEW
@given(st.data())
def test_addition_commutes_and_distributes(data):
    a, b = data.draw(pairs())
    same(a + b, b + a)
    same((a + b) * b, a * b + b * b)
    same(named.where(a > b, a, b), named.maximum(b, a))


@FEW
@given(st.data())
def test_renaming_commutes(data):
    a = data.draw(named_arrays(min_dims=1))
    name = data.draw(st.sampled_from(a.dims))
    same(a.mean(name), a.rename({name: "other"}).mean("other"))
    same((a * a).rename({name: "other"}), a.rename({name: "other"}) * a.rename({name: "other"}))


@FEW
@given(st.data())
def test_flatten_and_back(data):
    a = data.draw(named_arrays(min_dims=2))
    names = data.draw(st.lists(st.sampled_from(a.dims), min_size=1, unique=True))
    flat = a.flatten(tuple(names), "flat")
    same(flat.unflatten("flat", {n: a.sizes[n] for n in names}), a)


@FEW
@given(named_arrays(wrap=lambda x: Quantity(x, "km"), min_dims=1))
def test_positional_agrees_with_by_name(a):
    name = a.dims[0]
    out = quaxify(lambda x: x - x.mean(0, keepdims=True))(a)
    expected = a - a.mean(name)
    assert out.dims == expected.dims and out.units == expected.units
    np.testing.assert_allclose(out.array.magnitude, expected.array.magnitude, atol=1e-5)
    same(out.to("m").to("km"), expected)
