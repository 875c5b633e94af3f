"""The table of facts covers what JAX and Equinox define, and is what it says."""

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.extend.core.primitives as exported
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax.extend.core import Primitive

from sciquax import quaxify
from sciquax.core import Facts, Scaling, Structure, facts_of, register_facts
from sciquax.core._dispatch.tables import HIGHER_ORDER
from sciquax.core._facts import FACTS, REASONS
from sciquax.lora import LoraArray
from sciquax.quantised import quantise
from sciquax.sparse import BCOO
from sciquax.structured import DiagonalMatrix, KroneckerMatrix, TridiagonalMatrix
from sciquax.units import Quantity


def _primitives_of(module):
    found = (getattr(module, name) for name in dir(module))
    return {p.name: p for p in found if isinstance(p, Primitive)}


def test_every_primitive_that_jax_exports_is_classified():
    names = set(_primitives_of(exported))
    assert len(names) > 150
    assert sorted(names - FACTS.keys()) == []


def test_every_primitive_of_equinox_is_classified():
    import equinox.internal._loop.common as loop_common
    import equinox.internal._nontraceable as nontraceable
    import equinox.internal._primitive as primitive_module

    names = set(_primitives_of(eqxi))
    for module in (loop_common, nontraceable, primitive_module):
        names |= set(_primitives_of(module))
    assert {"unvmap_all", "nonbatchable", "maybe_set", "select_if_vmap"} <= names
    # Equinox's own machinery: it finalises jaxprs, and never meets data of a user's program.
    assert sorted(names - FACTS.keys()) == ["announce_jaxpr", "vprim"]


@pytest.mark.parametrize(
    "emit",
    [
        lambda x: eqxi.nonbatchable(x),
        lambda x: eqxi.unvmap_any(x > 0),
        lambda x: eqxi.unvmap_max(x),
        lambda x: eqxi.unvmap_all(x > 0),
        lambda x: eqxi.noinline(jnp.sin)(x),
        lambda x: eqxi.nontraceable(x),
        lambda x: eqxi.nondifferentiable_backward(x),
    ],
)
def test_what_equinox_emits_is_classified(emit):
    jaxpr = jax.make_jaxpr(emit)(jnp.arange(3))
    names = {e.primitive.name for e in getattr(jaxpr, "jaxpr", jaxpr).eqns}
    assert sorted(names - FACTS.keys()) == []


def test_what_holds_functions_is_handled_or_known_to_be_refused():
    """A primitive with a body and without a handler would take values for arrays."""
    unhandled = {n for n, f in FACTS.items() if f.scaling is Scaling.BODY} - HIGHER_ORDER.keys()
    assert unhandled <= {"reduce", "reduce_window", "select_and_scatter"}


def test_entries_are_consistent():
    for name, facts in FACTS.items():
        assert isinstance(facts, Facts) and isinstance(facts.structure, Structure)
        if facts.scaling is Scaling.POWER:
            assert facts.degree is not None, name
        else:
            assert facts.degree is None, name
        assert (facts.scaling is Scaling.REFUSED) == (name in REASONS), name
        if facts.zero:  # zero data, zero output: impossible for an affine or negative power
            assert facts.degree is None or facts.degree > 0, name
        assert (facts.structure is Structure.CALL) == (facts.scaling is Scaling.BODY), name


def test_unknown_primitives_are_left_to_each_type():
    stranger = Primitive("stranger")
    assert facts_of(stranger) == Facts(Structure.OTHER, Scaling.SPECIAL)
    impostor = Primitive("add")
    assert facts_of(impostor) == Facts(Structure.OTHER, Scaling.SPECIAL)
    assert facts_of(jax.lax.add_p).scaling is Scaling.JOIN


@pytest.mark.parametrize(
    ("name", "data", "not_data"),
    [
        ("select_n", (1, 2, 5), (0,)),
        ("gather", (0,), (1,)),
        ("scatter", (0, 2), (1,)),
        ("add", (0, 1), ()),
    ],
)
def test_data_positions(name, data, not_data):
    assert all(FACTS[name].is_data(i) for i in data)
    assert not any(FACTS[name].is_data(i) for i in not_data)


# -- what the table claims, checked on numbers

X = np.array([0.3, -1.7, 2.6], np.float32)
UNARY = [
    n
    for n, f in FACTS.items()
    if f.structure is Structure.ELEMENTWISE
    and n in _primitives_of(exported)
    and hasattr(jax.lax, n)
    and n
    not in ("convert_element_type", "reduce_precision", "polygamma", "zeta", "igamma", "igammac")
    and f.scaling
    in (
        Scaling.FIRST,
        Scaling.POWER,
        Scaling.PREDICATE,
        Scaling.ROUND,
        Scaling.PURE,
        Scaling.ANGLE,
        Scaling.ARC,
    )
]


def _call(name, x):
    try:
        return np.asarray(getattr(jax.lax, name)(jnp.asarray(x)))
    except TypeError:
        pytest.skip("not a function of one real array")


@pytest.mark.parametrize("name", UNARY)
def test_scaling_and_zero_of_elementwise_primitives(name):
    """f(2 x) is 2**degree f(x) exactly where the table says so, and f(0) is 0 where it says so."""
    facts, x = FACTS[name], np.abs(X)
    degree = {Scaling.FIRST: 1, Scaling.PREDICATE: 0, Scaling.POWER: facts.degree}.get(
        facts.scaling
    )
    scaled, expected = _call(name, 8 * x), _call(name, x)
    if degree is not None:
        np.testing.assert_allclose(scaled, expected * 8.0 ** float(degree), rtol=1e-6)
    else:
        assert not np.allclose(scaled, expected * 8.0, rtol=1e-3)
    if facts.zero:
        assert (_call(name, np.zeros(2, np.float32)) == 0).all()


BINARY = [
    n
    for n, f in FACTS.items()
    if f.scaling in (Scaling.JOIN, Scaling.COMPARE, Scaling.PRODUCT, Scaling.QUOTIENT)
    and f.structure is Structure.ELEMENTWISE
    and hasattr(jax.lax, n)
    and n not in ("clamp", "select_n", "complex", "nextafter")
]


@pytest.mark.parametrize("name", BINARY)
def test_scaling_of_binary_primitives(name):
    facts, f = FACTS[name], getattr(jax.lax, name)
    x, y = jnp.asarray(X), jnp.asarray([1.1, 0.4, -2.2], jnp.float32)
    both, first = f(8 * x, 8 * y), f(8 * x, y)
    once = np.asarray(f(x, y))
    degrees = {Scaling.JOIN: 8, Scaling.COMPARE: 1, Scaling.PRODUCT: 64, Scaling.QUOTIENT: 1}
    np.testing.assert_allclose(both, once * degrees[facts.scaling], rtol=1e-5)
    if facts.scaling in (Scaling.PRODUCT, Scaling.QUOTIENT):
        np.testing.assert_allclose(first, 8 * once, rtol=1e-6)


def test_a_copy_of_ones_own_needs_one_line_of_facts():
    keep_p = Primitive("keep_as_it_is")
    keep_p.def_impl(lambda x: x)
    keep_p.def_abstract_eval(lambda x: x)
    register_facts(
        keep_p, Facts(Structure.ELEMENTWISE, Scaling.FIRST, zero=True, moves_only=True, copies=True)
    )
    x = jnp.arange(6.0).reshape(2, 3)
    values = [
        Quantity(x, "degC"),
        KroneckerMatrix(DiagonalMatrix(x[0]), TridiagonalMatrix(x[1, :2], x[0], x[0, 1:])),
        LoraArray(x, rank=1, key=jr.key(0)),
        quantise(x),
        BCOO.from_dense(x),
    ]
    for value in values:
        kept = quaxify(keep_p.bind)(value)
        assert type(kept) is type(value)
        assert eqx.tree_equal(jax.tree.leaves(kept), jax.tree.leaves(value))
