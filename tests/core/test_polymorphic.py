"""Constants that belong to every unit: which literals, how far they travel, what decides."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from sciquax import quaxify
from sciquax.core import UnitPolymorphic, is_polymorphic_literal
from sciquax.core._values.unit_polymorphic import stays_polymorphic
from sciquax.units import DimensionalityError, OffsetUnitCalculusError, Quantity
from tests.helpers import assert_same

X = jnp.asarray(np.array([0.5, -1.25, 2.0], np.float32))
Q = Quantity(X, "m")


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        (0, True),
        (0.0, True),
        (-0.0, True),
        (float("inf"), True),
        (float("-inf"), True),
        (float("nan"), True),
        (1, False),
        (1e-30, False),
        (True, False),
        (False, False),
        (np.float32(0), True),
        (np.int32(0), True),
        (np.bool_(False), False),
        (np.array(0.0), True),
        (np.array(np.nan), True),
        (np.zeros(2), False),
        (np.complex64(0), True),
        (np.complex64(1j), False),
        (np.complex64(complex(0, np.inf)), True),
        ("0", False),
        (jnp.bfloat16(0), True),
        (jnp.bfloat16(2), False),
        (np.uint8(0), True),
        (None, False),
    ],
    ids=repr,
)
def test_literals(literal, expected):
    assert is_polymorphic_literal(literal) is expected


def test_float0_literal():
    assert is_polymorphic_literal(np.zeros((), jax.dtypes.float0)) is False


TAKES_THE_UNIT = {
    "where": (lambda x: jnp.where(x > 0, x, 0.0), lambda x: jnp.where(x > 0, x, 0)),
    "where-nan": (lambda x: jnp.where(x > 0, jnp.nan, x), lambda x: jnp.where(x > 0, jnp.nan, x)),
    "where-inf-first": (lambda x: jnp.where(x > 0, -jnp.inf, x), None),
    "add-zero": (lambda x: 0 + x + 0.0, None),
    "subtract-from-zero": (lambda x: 0.0 - x, None),
    "maximum": (lambda x: jnp.maximum(x, 0), None),
    "clip": (lambda x: jnp.clip(x, 0, jnp.inf), None),
    "zeros-plus": (lambda x: jnp.zeros(3) + x, None),
    "zeros-like": (lambda x: jnp.zeros_like(x) + x, None),
    "full-inf": (lambda x: jnp.minimum(jnp.full(3, jnp.inf), x), None),
    "full-like-nan": (lambda x: jnp.full_like(x, jnp.nan) + x, None),
    "pad": (lambda x: jnp.pad(x, (1, 2)), None),
    "at-set-zero": (lambda x: x.at[1].set(0.0), None),
    "zeros-at-set": (lambda x: jnp.zeros(5).at[1:4].set(x), None),
    "zeros-at-add": (lambda x: jnp.zeros(5).at[jnp.array([0, 0, 2])].add(x), None),
    "concatenate": (
        lambda x: jnp.concatenate([jnp.zeros(1), x, jnp.zeros((1, 2)).reshape(2)]),
        None,
    ),
    "stack": (lambda x: jnp.stack([x, jnp.zeros(3)]), None),
    "sum-initial": (lambda x: jnp.sum(x, initial=0.0), None),
    "max-initial": (lambda x: jnp.max(x, initial=-jnp.inf), None),
    "sum-where": (lambda x: jnp.sum(x, where=x > 0), None),
    "max-where": (lambda x: jnp.max(x, where=x > 0, initial=-jnp.inf), None),
    "nansum": (lambda x: jnp.nansum(x), None),
    "diff-prepend": (lambda x: jnp.diff(x, prepend=0.0), None),
    "scan-accumulator": (lambda x: lax.scan(lambda c, r: (c + r, c), 0.0, x), None),
    "fori-accumulator": (
        lambda x: lax.fori_loop(0, 3, lambda i, c: c.at[i].set(x[i]), jnp.zeros(3)),
        None,
    ),
    "while-accumulator": (
        lambda x: lax.while_loop(
            lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] + x), (0, jnp.zeros(3))
        )[1],
        None,
    ),
    "cond-branch": (lambda x: lax.cond(x[1] > 0, lambda: x, lambda: jnp.zeros(3)), None),
    "cond-first-branch": (lambda x: lax.cond(x[0] > 0, lambda: jnp.zeros(3), lambda: x), None),
    "through-jit": (lambda x: jax.jit(lambda a, z: jnp.where(a > 0, a, z))(x, 0.0), None),
    "transposed-zeros": (lambda x: jnp.zeros((3, 1)).T[0] + x, None),
    "dynamic-update": (lambda x: lax.dynamic_update_slice(jnp.zeros(5), x, (1,)), None),
    "cast": (lambda x: jnp.zeros(3, jnp.int32).astype(jnp.float32) + x, None),
    "zero-times-number": (lambda x: 0.0 * jnp.arange(3.0) + x, None),
    "sum-of-zeros": (lambda x: jnp.sum(jnp.zeros(4)) + x, None),
    "tril": (lambda x: jnp.tril(jnp.outer(x, jnp.ones(3))), None),
    "cumsum-of-zeros": (lambda x: jnp.cumsum(jnp.zeros(3)) - x, None),
    "vmap": (lambda x: jax.vmap(lambda a: jnp.where(a > 0, a, 0.0))(x), None),
    "checkpoint": (lambda x: jax.checkpoint(lambda a: jnp.maximum(a, 0.0))(x), None),
    "sort-with-zeros": (lambda x: lax.sort((jnp.zeros(3) + x, x), num_keys=1)[1], None),
    "divided-zero": (lambda x: 0.0 / 3.0 + x, None),
    "power-of-zero": (lambda x: jnp.zeros(3)[1] ** jnp.float32(2) / x[0] + x, None),
    "root-of-zero": (lambda x: jnp.zeros(3) ** 1.5 - x, None),
    "integer-power-in-a-loop": (
        lambda x: lax.fori_loop(0, 3, lambda i, c: c.at[i].add(x[i] - c[0] ** 2 / x[1]), 0 * x),
        None,
    ),
    "triu": (lambda x: jnp.triu(jnp.ones((3, 3)) * x[0]), None),
    "nan-to-where": (lambda x: jnp.where(jnp.isnan(x), 0.0, x), None),
    "select": (lambda x: jnp.select([x > x[0], x > 0], [x, 2 * x], 0.0), None),
}


@pytest.mark.parametrize("mode", ["eager", "jit"])
@pytest.mark.parametrize("name", TAKES_THE_UNIT)
def test_takes_the_unit_of_what_it_meets(name, mode):
    f, plain = TAKES_THE_UNIT[name]
    ours = quaxify(f) if mode == "eager" else jax.jit(quaxify(f))
    expected = (plain or f)(X)
    assert_same(ours(Q), jax.tree.map(lambda x: Quantity(x, "m"), expected))


IN_BODIES = {
    "cond": lambda x: lax.cond(x[0] > 0, lambda: 0.0, lambda: jnp.inf) + x,
    "jit": lambda x: jax.jit(lambda: jnp.zeros(3))() + x,
    "scan": lambda x: lax.scan(lambda c, _: (c, 0.0), 0.0, None, length=3)[1] + x,
}


@pytest.mark.parametrize("name", IN_BODIES)
def test_constants_made_in_a_body_without_operands(name):
    assert_same(quaxify(IN_BODIES[name])(Q), Quantity(IN_BODIES[name](X), "m"))


def test_empty_takes_the_unit_of_what_is_stored():
    assert_same(quaxify(lambda x: jnp.empty(3).at[:].set(x))(Q), Q)


STAYS_PLAIN = {
    "zeros": lambda x: jnp.zeros(3),
    "full-inf": lambda x: jnp.full((2,), jnp.inf),
    "zeros-plus-number": lambda x: jnp.zeros(3) + 1.0,
    "zeros-plus-array": lambda x: jnp.zeros(3) + jnp.arange(3.0),
    "scan-counter": lambda x: lax.scan(lambda c, r: (c + 1.0, None), 0.0, x)[0],
    "cond": lambda x: lax.cond(x[0] > 0, lambda: 0.0, lambda: 1.0),
    "argmax": lambda x: jnp.argmax(jnp.where(x > 0, x, -jnp.inf)),
    "where-of-literals": lambda x: jnp.where(x > 0, 0.0, jnp.inf),
    "index": lambda x: jnp.arange(3)[0] + 0,
    "zeros-like": lambda x: jnp.zeros((3,), bool),
}


@pytest.mark.parametrize("name", STAYS_PLAIN)
def test_plain_where_nothing_decides(name):
    f = STAYS_PLAIN[name]
    assert_same(quaxify(f)(Q), f(X))


def test_zeros_like_of_a_quantity_keeps_its_unit_outside():
    """`zeros_like` is a literal broadcast to q's shape: nothing of q is in it."""
    out = quaxify(lambda x: jnp.zeros(3) * x)(Q)
    assert_same(out, Quantity(jnp.zeros(3) * X, "m"))


def test_product_with_a_constant_takes_the_products_unit_or_any():
    """`jnp.zeros(3) * q` leaves in q's unit, and still meets another unit."""
    s = Quantity(jnp.abs(X), "s")
    assert_same(quaxify(lambda x, s: jnp.zeros(3) * x + s)(Q, s), s)
    assert_same(
        quaxify(lambda x, s: (0.0 * x * s, 0.0 / s))(Q, s),
        (Quantity(0 * X, "m*s"), Quantity(0 * X, "1/s")),
    )


NOT_POLYMORPHIC = {
    "one": lambda x: x + 1.0,
    "ones": lambda x: x + jnp.ones(3),
    "arange-from-zero": lambda x: x + jnp.arange(3.0),
    "numpy-zeros": lambda x: x + np.array([0.0, 0.0, 1.0], np.float32),
    "tiny": lambda x: jnp.maximum(x, 1e-30),
    "where-one": lambda x: jnp.where(x > 0, x, 1.0),
    "exp-of-zero": lambda x: x + jnp.exp(0.0),
    "zero-plus-one": lambda x: x + (jnp.zeros(3) + 1.0),
    "cos-zeros": lambda x: x + jnp.cos(jnp.zeros(3)),
    "number-over-inf": lambda x: x + (1.0 / jnp.arange(1.0, 4.0)),
    "argument": lambda x: x + jnp.asarray(x.shape[0] * 1.0),
    "eye": lambda x: x + jnp.eye(3)[0],
    "one-at-set": lambda x: x + jnp.zeros(3).at[1].set(1.0),
    "cond-one": lambda x: lax.cond(x[0] > 0, lambda: x, lambda: jnp.ones(3)),
    "scan-from-one": lambda x: lax.scan(lambda c, r: (c + r, None), 1.0, x),
    "random": lambda x: x + 0 + jax.random.normal(jax.random.key(0), (3,)),
    "is-positive": lambda x: x + (x > 0).astype(x.dtype),
}


@pytest.mark.parametrize("name", NOT_POLYMORPHIC)
def test_any_other_literal_is_a_plain_number(name):
    with pytest.raises(DimensionalityError):
        quaxify(NOT_POLYMORPHIC[name])(Q)
    with pytest.raises(DimensionalityError):
        jax.jit(quaxify(NOT_POLYMORPHIC[name]))(Q)


def test_run_time_zeros_are_not_literals():
    """Known from the program: an argument that happens to be zero is a plain number."""
    with pytest.raises(DimensionalityError):
        quaxify(lambda x, z: x + z)(Q, jnp.zeros(3))
    with pytest.raises(DimensionalityError):
        quaxify(lambda x, z: jnp.where(x > 0, x, z))(Q, jnp.float32(0))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x + 0.0,
        lambda x: jnp.where(x > 0 * x, x, 0.0),
        lambda x: jnp.maximum(x, 0.0),
        lambda x: x.at[0].set(0.0),
        lambda x: jnp.pad(x, 1),
        lambda x: x > 0.0,
    ],
)
def test_not_on_offset_scales(f):
    with pytest.raises(OffsetUnitCalculusError):
        quaxify(f)(Quantity(X, "degC"))


def test_comparison_with_zero_is_plain():
    assert_same(
        quaxify(lambda x: (x > 0, 0.0 <= x, x == jnp.inf))(Q), (X > 0, 0.0 <= X, X == jnp.inf)
    )


def test_first_unit_decides_for_a_shared_constant():
    """One constant meets two units, each time afresh."""

    def f(x, t):
        z = jnp.zeros(3)
        return x + z, t + z, z

    t = Quantity(2 * X, "s")
    assert_same(quaxify(f)(Q, t), (Q, t, jnp.zeros(3)))


def test_integer_indices_from_literals():
    """Zero is also an index, a loop counter and a shape."""
    f = lambda x: (
        lax.dynamic_slice(x, (0,), (2,)),
        x[jnp.array(0)],
        x[0],
        jnp.take(x, jnp.zeros(2, int)),
    )
    assert_same(quaxify(f)(Q), jax.tree.map(lambda a: Quantity(a, "m"), f(X)))


# -- the laws behind it

OPERATIONS = {
    "neg": lambda a, b: -a,
    "abs": lambda a, b: abs(a),
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "max": jnp.maximum,
    "min": jnp.minimum,
    "exp": lambda a, b: jnp.exp(a),
    "cos": lambda a, b: jnp.cos(a),
    "sqrt": lambda a, b: jnp.sqrt(abs(a)),
    "select": lambda a, b: jnp.where(True, a, b),
    "floor": lambda a, b: jnp.floor(a),
    "log": lambda a, b: jnp.log(a),
    "sign": lambda a, b: jnp.sign(a),
    "reciprocal": lambda a, b: 1 / a,
    "square": lambda a, b: jnp.square(a),
    "pow": lambda a, b: a**2,
    "cumprod": lambda a, b: jnp.cumprod(jnp.stack([a, b])),
    "pow0": lambda a, b: a**0,
    "pow-of-two": lambda a, b: a**b,
    "pow-stated": lambda a, b: a ** (3.0 * 0.5),
    "pow-stated-zero": lambda a, b: jnp.power(a, 0.5 - 0.5),
    "atan": lambda a, b: jnp.arctan(a),
    "rem": lambda a, b: a % b,
    "sum": lambda a, b: jnp.stack([a, b]).sum(),
    "dot": lambda a, b: jnp.dot(jnp.stack([a, a]), jnp.stack([b, b])),
    "clamp": lambda a, b: lax.clamp(a, b, b),
    "prod": lambda a, b: jnp.stack([a, b]).prod(),
}
CONSTANTS = [0.0, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_stays_polymorphic_is_zero_inf_or_nan(name):
    """The law: whatever the interpreter tags, the program computes nothing but 0, inf and nan."""
    f = OPERATIONS[name]
    for a in CONSTANTS:
        for b in [*CONSTANTS, 3.0, -0.5]:
            tagged = _is_tagged(f, a, b)
            if tagged:
                value = np.asarray(f(jnp.float32(a), jnp.float32(b)))
                assert bool(((value == 0) | ~np.isfinite(value)).all()), (name, a, b, value)


def _is_tagged(f, a, b):
    """Whether the interpreter lets `f(a, b)` meet a unit: it does if all of it is polymorphic."""

    def program(x):
        literal = lambda c: lax.full((), c, jnp.float32)
        return x + f(literal(a), literal(b))

    try:
        quaxify(program)(Quantity(jnp.float32(1.0), "m"))
    except DimensionalityError:
        return False
    return True


def test_the_law_is_not_vacuous():
    assert _is_tagged(OPERATIONS["mul"], 0.0, 3.0) and _is_tagged(OPERATIONS["add"], 0.0, np.inf)
    assert not _is_tagged(OPERATIONS["exp"], 0.0, 0.0) and not _is_tagged(
        OPERATIONS["add"], 0.0, 3.0
    )


def test_stays_polymorphic_table():
    p, plain = UnitPolymorphic(jnp.zeros(3)), X
    assert stays_polymorphic(lax.mul_p, [p, plain]) and stays_polymorphic(lax.mul_p, [plain, p])
    assert stays_polymorphic(lax.div_p, [p, plain]) and not stays_polymorphic(lax.div_p, [plain, p])
    assert stays_polymorphic(lax.add_p, [p, p]) and not stays_polymorphic(lax.add_p, [p, plain])
    assert stays_polymorphic(lax.select_n_p, [plain, p, p])
    assert not stays_polymorphic(lax.select_n_p, [p, p, plain])
    assert not stays_polymorphic(lax.exp_p, [p]) and not stays_polymorphic(lax.cos_p, [p])
