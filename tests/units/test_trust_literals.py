"""Literals that take their partner's unit within `trust_literals`, and the list of them."""

import importlib.util
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import sciquax
import sciquax.numpy as sqnp
from sciquax import quaxify
from sciquax.core import CarryError
from sciquax.core.internal import TRUST
from sciquax.interop import diffrax as dfx
from sciquax.named import NamedArray
from sciquax.units import (
    DimensionalityError,
    OffsetUnitCalculusError,
    Quantity,
    TrustedLiteral,
    trust_literals,
)
from tests.helpers import assert_raises, assert_same, marked_line

X = np.array([2.0, -3.5, 0.0, 1.25], np.float32)


@jax.jit
def BESIDE_OTHERS(low):
    """Its first result is its argument; others are made by operations of several results."""
    carry, rows = lax.scan(lambda c, _: (c * 0.5, c), 1.5, None, 3)
    kept, more = lax.cond(low > 2.0, lambda y: (y, y), lambda y: (2.0 * y, 0.25), 1.75)
    return jnp.broadcast_to(low, (4,)), carry + kept, rows, more


# A program, and the values of the literals that take a unit in it.
TRUSTED = {
    "where": (lambda x: jnp.where(x == 0, 1, x), [1]),
    "where-self": (lambda x: jnp.where(x > 0.5, x, 1.0), [0.5, 1.0]),
    "add": (lambda x: x + 1e-10, [1e-10]),
    "subtract": (lambda x: 1.5 - x, [1.5]),
    "maximum": (lambda x: jnp.maximum(x, 1e-3), [1e-3]),
    "minimum": (lambda x: jnp.minimum(3, x), [3]),
    "clip": (lambda x: jnp.clip(x, -0.5, 1.5), [-0.5, 1.5]),
    "clamp": (lambda x: lax.clamp(-0.5, x, 1.5), [-0.5, 1.5]),
    "compare": (lambda x: jnp.where(x < 1.5, x, 2 * x), [1.5]),
    "full-like": (lambda x: jnp.full_like(x, 2.5) + x, [2.5]),
    "isclose": (lambda x: jnp.where(jnp.isclose(x, x + x, atol=0.5), x, 3 * x), [0.5]),
    "isclose-value": (lambda x: jnp.where(jnp.isclose(x, 2.0), x, 3 * x), [2.0, 1e-8]),
    "at-set": (lambda x: x.at[0].set(1.0), [1.0]),
    "at-add": (lambda x: x.at[0].add(0.5), [0.5]),
    "at-max": (lambda x: x.at[:2].max(0.5), [0.5]),
    "take-fill": (lambda x: jnp.take(x, jnp.array([9, 1]), mode="fill", fill_value=5.0), [5.0]),
    "array": (lambda x: jnp.where(x > 0, x, jnp.array([1.0, 2, 1, 3])), [1.0, 2.0, 3.0]),
    "array-computed": (lambda x: x + 0.5 * jnp.asarray([0.0, 1, 2, 3])[::-1], [0.5, 1.0, 1.5]),
    "numpy-array": (lambda x: jnp.maximum(x, np.full(4, 0.25, np.float32)), [0.25]),
    "array-in-jit": (
        lambda x: jax.jit(jnp.maximum)(x, jnp.array([[0.5, 1.5]] * 2).ravel()), [0.5, 1.5]),
    "pad": (lambda x: jnp.pad(x, 1, constant_values=1.0), [1.0]),
    "concatenate": (lambda x: jnp.concatenate([x, jnp.ones(2)]), [1.0]),
    "full": (lambda x: jnp.maximum(jnp.full((4,), 1e-3), x), [1e-3]),
    "computed": (lambda x: x + 2 * jnp.float32(3).astype(jnp.float32) * 0 + 2.0, [2.0]),
    "product": (lambda x: x + lax.mul(2.0, lax.full((), 1e-3)), [2e-3]),
    "square-root": (lambda x: x + jnp.sqrt(lax.full((), 0.25)), [0.5]),
    "eps": (lambda x: x + jnp.finfo(jnp.float32).eps, [1.1920929e-07]),
    "where-nested": (lambda x: jnp.where(x > 0, x, jnp.where(x < -1.0, 2.0, 3.0)), [-1, 3, 2]),
    "max-initial": (lambda x: jnp.max(x, initial=1.5), [1.5]),
    "scan-start": (lambda x: lax.scan(lambda c, r: (c + r, None), 1.5, x)[0], [1.5]),
    "fori-start": (lambda x: lax.fori_loop(0, 4, lambda i, c: c + x[i], 1.5), [1.5]),
    "scan-body": (lambda x: lax.scan(lambda c, r: (c + r + 0.5, c), 0.0, x)[0], [0.5]),
    "cond": (lambda x: lax.cond(x[0] > x[1], lambda: x[0], lambda: 1.5), [1.5]),
    "jit": (lambda x: jax.jit(lambda a, floor: jnp.maximum(a, floor))(x, 0.5), [0.5]),
    "remat": (lambda x: jax.checkpoint(lambda a: jnp.maximum(a, 0.5))(x), [0.5]),
    "vmap": (lambda x: jax.vmap(lambda a: jnp.maximum(a, 0.5))(x), [0.5]),
    "numpy-scalar": (lambda x: jnp.maximum(x, np.float32(1e-3)), [1e-3]),
    "integer": (lambda x: jnp.maximum(x, np.int32(1)), [1]),
    "interp": (lambda x: jnp.interp(0.5 * x, jnp.sort(x), x, left=0.25), [0.25]),
    "hypot": (lambda x: jnp.hypot(x, 1.5), [1.5]),
    "power-beside": (lambda x: jnp.sqrt(jnp.square(x) + 0.5), [0.5]),
    "factors-stay-numbers": (lambda x: 2.5 * x / 0.5 - x * 1e-3 + 1.0, [1.0]),
    "picked": (lambda x: x + jnp.where(jnp.arange(4) > 1, 1e-3, 0.0), [1e-3]),
    "several-results": (lambda x: x + BESIDE_OTHERS(0.5)[0] + x, [0.5]),
    "mask": (lambda x: x + (x > 0) * 1e-3, [1e-3]),
    "bare-mask": (lambda x: x + jnp.asarray(x > 0.5, x.dtype), [0.5, 1.0]),
    "jitter": (lambda x: jnp.diag(x) + 1e-6 * jnp.eye(4), [1e-6]),
    "exponential": (lambda x: x + jnp.exp(-lax.full((), 2.0)), [0.13533528]),
    "either": (lambda x: x + lax.cond(x[0] > x[1], lambda: 1.5, lambda: 2.5), [2.5, 1.5]),
    "ones-like-factor": (lambda x: x * (3.0 * jnp.ones_like(x)) / jnp.ones_like(x), []),
    "ones-like-weight": (lambda x: x * jnp.where(x > 0, x / x[0], jnp.ones_like(x)), []),
    "ones-like-square": (lambda x: jnp.where(x > 0, x * x, jnp.ones_like(x)) / x[0], [1.0]),
    "ones-like-count": (
        lambda x: (jax.ops.segment_sum(x, jnp.array([0, 1, 1, 0]), 2)
                   / jax.ops.segment_sum(jnp.ones_like(x), jnp.array([0, 1, 1, 0]), 2)), []),
    "ones-like-start": (
        lambda x: lax.scan(lambda c, r: (0.5 * (c + r), None), jnp.ones_like(x), x)[0], [1.0]),
    "full-like-factor": (lambda x: x * jnp.full_like(x, 3.0) / jnp.full_like(x, 2.0), [3.0, 2.0]),
    "full-like-weight": (lambda x: jnp.stack([jnp.full_like(x, 0.3), x / x[0]]) * x, [0.3]),
    "counter": (lambda x: lax.fori_loop(1, 4, lambda i, c: c + i * x[i], x[0]), []),
    "exponent": (lambda x: jnp.sqrt(abs(x) ** 2.0 + x**2), []),
    "zero": (lambda x: jnp.where(x > 0, x, 0.0), []),
}  # fmt: skip


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("name", TRUSTED)
def test_magnitudes_are_the_plain_programs(name, compiled):
    f, literals = TRUSTED[name]
    run = jax.jit(quaxify(f)) if compiled else quaxify(f)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        expected = f(jnp.asarray(X))
        with trust_literals() as trusted:
            outs = [run(Quantity(X, "km")) for _ in range(3)]  # the third by what was kept
    for out in outs:
        assert str(out.units) == "kilometer"
        assert out.dtype == expected.dtype
        np.testing.assert_allclose(out.m, expected, rtol=1e-6)
    assert [x.value for x in trusted] == pytest.approx(literals)
    assert {str(x.unit) for x in trusted} <= {"kilometer", "kilometer ** 2"}
    assert all(x.place.startswith(__file__) for x in trusted)


def test_the_list():
    def flow(x):
        return jnp.maximum(x, 1e-3)  # HERE

    with trust_literals() as trusted:
        assert repr(trusted) == "no literal took a unit"
        quaxify(flow)(Quantity(X, "m"))
        quaxify(flow)(Quantity(X, "m"))
        quaxify(flow)(Quantity(X, "second"))
    file, line = marked_line(flow)
    assert isinstance(trusted[0], TrustedLiteral) and trusted[:1] == [trusted[0]]
    assert [(x.value, f"{x.unit:~}") for x in trusted] == [(1e-3, "m"), (1e-3, "s")]
    assert all(x.place.startswith(f"{file}:{line}:") for x in trusted)
    place = trusted[0].place
    assert repr(trusted) == (
        f"value  unit    place\n0.001  meter   {place}\n0.001  second  {place}"
    )


def test_eager_operators_and_functions():
    q = Quantity(X, "km")
    with jax.numpy_dtype_promotion("standard"), trust_literals() as trusted:
        assert_same(q + 1.5, Quantity(X + np.float32(1.5), "km"))
        assert_same(np.float32(2.5) - q, Quantity(np.float32(2.5) - X, "km"))
        assert_same(q > 1, X > 1)
        assert_same(sqnp.maximum(q, 0.75), Quantity(np.maximum(X, np.float32(0.75)), "km"))
        assert_same(sqnp.full_like(q, 1.25), Quantity(np.full_like(X, 1.25), "km"))
        assert_same(q.clip(-2, 1), Quantity(X.clip(-2, 1), "km"))
    assert [x.value for x in trusted] == [1.5, 2.5, 1, 0.75, 1.25, -2, 1]
    assert all(x.place.startswith(__file__) for x in trusted)


CAPTURED = jnp.float32(1.5)
REFUSED = {
    "argument": lambda x, y: x + y,
    "captured-array": lambda x, y: x + CAPTURED[None],
    "long-array": lambda x, y: jnp.tile(x, 5) + jnp.array([1.0, 2.0] * 10),
    "iota": lambda x, y: x + jnp.arange(4.0),
    "counter": lambda x, y: lax.fori_loop(1, 4, lambda i, c: c + i, x[0]),
    "scan-counter": lambda x, y: lax.scan(lambda c, r: (c * 0.5, r + c), 1.0, x)[1],
    "sum": lambda x, y: x + jnp.sum(jnp.ones(3)),
    "literal-times-data": lambda x, y: x + 2.0 * y,
    "random": lambda x, y: x + jax.random.normal(jax.random.key(3), (4,)),
    "picked": lambda x, y: x + jnp.where(y > 0, y, 1.0),
    "captured-scalar": lambda x, y: x + CAPTURED,
    "array-of-a-function": lambda x, y: x + jax.jit(lambda: np.ones(4, np.float32))(),
    "scan-result": lambda x, y: lax.scan(lambda c, r: (c, 1.0 * r), y[0], y)[1] + x,
    "pure": lambda x, y: jnp.exp(x) + 1.0,
    "others": lambda x, y: x + x * x + 1.0,
}


@pytest.mark.parametrize("name", REFUSED)
def test_data_stays_refused(name):
    with (
        jax.numpy_dtype_promotion("standard"),
        trust_literals() as trusted,
        pytest.raises((DimensionalityError, CarryError, TypeError)),
    ):
        quaxify(REFUSED[name])(Quantity(X, "m"), jnp.asarray(X))
    assert not trusted or "counter" in name  # which was a literal in its first round


def test_a_numpy_array_among_the_arguments_is_data():
    with trust_literals(), pytest.raises(DimensionalityError):
        quaxify(jnp.add)(Quantity(X, "m"), np.ones(4, np.float32))


def test_numbers_beside_numbers_stay_numbers():
    share, ratio = Quantity(X, "percent"), Quantity(X, "km/m")
    cases = [
        (lambda x: x + 1.0, share),
        (lambda x: jnp.maximum(x, 0.01), share),
        (lambda x: jnp.where(x > 2.0, x, 1.0), ratio),
        (lambda x: lax.cond(x[0] > x[1], lambda: x[0], lambda: 1.5), ratio),
        (lambda x: x * 57.3, Quantity(X, "degree")),
    ]
    for f, q in cases:
        expected = quaxify(f)(q)
        with trust_literals() as trusted:
            assert_same(quaxify(f)(q), expected)
        assert len(trusted) == 0


def test_beside_angles_what_would_be_refused_takes_their_unit():
    """As lensing packages do: positions in arcseconds, and floors under them."""

    def deflection(x, einstein):
        r = jnp.sqrt(x**2 + 1e-4)
        cubed = jnp.maximum((r**2) ** 1.5, 1e-3)
        return jnp.where(r < 1e-6, 1e-6, r) * einstein**3 / cubed, (x + jnp.pi) % (2 * jnp.pi)

    x, einstein = Quantity(X, "arcsec"), Quantity(1.5, "arcsec")
    with trust_literals() as trusted:
        found, wrapped = quaxify(deflection)(x, einstein)
        assert bool(quaxify(lambda x: x > 50)(Quantity(60.0, "percent")))
    assert_same(found, Quantity(deflection(X, 1.5)[0], "arcsec"))
    assert_same(wrapped, quaxify(lambda x: (x + jnp.pi) % (2 * jnp.pi))(x))
    assert sorted({(float(t.value), str(t.unit)) for t in trusted}) == [
        (1e-6, "arcsecond"),
        (1e-4, "arcsecond ** 2"),
        (1e-3, "arcsecond ** 3"),
        (50.0, "percent"),
    ]


@pytest.mark.parametrize("number", [90.0, 0.5])
def test_branches_beside_angles(number):
    def bounded(x):
        either = lax.cond(x[0] > x[1], lambda: x, lambda: jnp.full((4,), number))
        other = lax.cond(x[0] < x[1], lambda: jnp.where(x > 0, number, 45.0), lambda: x)
        return either, other

    for x in (X, X[::-1]):
        angle, expected = Quantity(x, "degree"), [Quantity(y, "degree") for y in bounded(x)]
        with trust_literals() as trusted:
            for f in (quaxify(bounded), jax.jit(quaxify(bounded))):
                jax.tree.map(assert_same, [*f(angle)], expected)
        assert {(float(t.value), str(t.unit)) for t in trusted} == {
            (number, "degree"), (45.0, "degree")
        }  # fmt: skip
    with pytest.raises(DimensionalityError, match="`cond` got a bare"):
        quaxify(bounded)(Quantity(X, "degree"))
    turn = lambda x: lax.cond(x[0] < x[1], lambda: x[0], lambda: jnp.pi)  # noqa: E731
    expected = quaxify(turn)(Quantity(X, "degree"))  # radians
    with trust_literals() as trusted:
        assert_same(quaxify(turn)(Quantity(X, "degree")), expected)
    assert len(trusted) == 0


def test_scales_with_an_offset():
    q = Quantity(X, "degC")
    with trust_literals() as trusted:
        assert_same(quaxify(lambda x: jnp.maximum(x, 1.0))(q), Quantity(np.maximum(X, 1), "degC"))
        assert_same(quaxify(lambda x: x > 1.0)(q), X > 1)
        assert_raises(
            OffsetUnitCalculusError,
            lambda: quaxify(lambda x: x + 1.0)(q),  # HERE
            "`add` got a literal and a quantity in '°C', and may mean a difference.\n"
            "{place}\n"
            "Convert to an absolute scale first, `.to('kelvin')`.",
            at=test_scales_with_an_offset,
        )
    assert [(x.value, f"{x.unit:~}") for x in trusted] == [(1.0, "°C"), (1.0, "°C")]


def test_never_by_default_and_never_what_was_compiled_within():
    floor = jax.jit(quaxify(lambda x: jnp.maximum(x, 0.5)))
    unjitted = quaxify(lambda x: jnp.maximum(x, 0.5))
    inner = jax.jit(lambda x: jnp.maximum(x, 0.5))
    calls = [floor, unjitted, quaxify(inner), lambda q: sqnp.maximum(q, 0.5), lambda q: q + 0.5]
    q = Quantity(X, "m")
    inner(jnp.asarray(X))
    for call in calls:
        for _ in range(3):
            with pytest.raises(DimensionalityError):
                call(q)
            with trust_literals() as trusted:
                for _ in range(3):
                    assert str(call(q).units) == "meter"
            assert [x.value for x in trusted] == [0.5]
    assert_same(inner(jnp.asarray(X)), jnp.maximum(X, 0.5))


def test_nested_blocks_and_a_list_that_goes_on():
    traced, q = [], Quantity(X, "m")

    @jax.jit
    def floor(x):
        traced.append(TRUST.value)
        return quaxify(lambda x: jnp.maximum(x, 0.5))(x)

    with trust_literals() as outer:
        quaxify(lambda x: x + 1.5)(q)
        with trust_literals() as inner:
            floor(q)
        with trust_literals(outer), trust_literals(inner):
            quaxify(lambda x: x - 2.5)(q)
    assert [x.value for x in inner] == [0.5, 2.5]
    assert [x.value for x in outer] == [1.5, 0.5, 2.5]
    with trust_literals(inner):
        floor(q)
    assert len(inner) == 2 and traced == [inner]
    with trust_literals() as fresh:
        floor(q)
    assert [x.value for x in fresh] == [0.5] and traced == [inner, fresh]


def test_belongs_to_the_thread():
    refused, q = [], Quantity(X, "m")

    def other():
        try:
            quaxify(lambda x: x + 1.0)(q)
        except DimensionalityError as error:
            refused.append(error)

    with trust_literals():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1


def test_derivatives_and_vmap():
    def soft(x, y):
        return jnp.sum(jnp.sqrt(x**2 + 0.25) * jnp.where(y == 0, 1.0, y))

    y = np.array([3.0, 0.0, -1.0, 2.0], np.float32)
    q, s = Quantity(X, "m"), Quantity(y, "s")
    expected = jax.grad(soft, (0, 1))(X, y)
    wanted = Quantity(expected[0], "s"), Quantity(expected[1], "m")
    with trust_literals() as trusted:
        assert_same(sciquax.grad(soft, (0, 1))(q, s), wanted)
        assert_same(jax.jit(sciquax.grad(soft, (0, 1)))(q, s), wanted)
        assert_same(quaxify(jax.grad(soft, (0, 1)))(q, s), wanted)
        rows = Quantity(np.stack([X, 2 * X]), "m")
        outs = jax.vmap(quaxify(soft), (0, None))(rows, s)
        inside = quaxify(jax.vmap(soft, (0, None)))(rows, s)
    both = jax.vmap(soft, (0, None))(rows.m, y)
    assert_same((outs, inside), (Quantity(both, "m*s"),) * 2)
    assert [(x.value, f"{x.unit:~}") for x in trusted] == [(0.25, "m ** 2"), (1.0, "s")]


def test_custom_derivatives():
    @jax.custom_jvp
    def floor(x, low):
        return jnp.maximum(x, low)

    @floor.defjvp
    def _(primals, tangents):
        (x, low), (dx, dlow) = primals, tangents
        return floor(x, low), jnp.where(x > low, dx, dlow) + jnp.where(low > 0.25, dx, 0.0)

    f = lambda x: jnp.sum(floor(x, 0.5) ** 2)
    with trust_literals() as trusted:
        out = sciquax.value_and_grad(f)(Quantity(X, "m"))
        inside = quaxify(jax.grad(f))(Quantity(X, "m"))
    value, gradient = jax.value_and_grad(f)(X)
    assert_same(out, (Quantity(value, "m**2"), Quantity(gradient, "m")))
    assert_same(inside, Quantity(gradient, "m"))
    assert {x.value for x in trusted} == {0.5}  # beside 0.25 it is a number


def test_each_line_that_calls_one_function_is_listed():
    floor = jax.jit(lambda x, low: jnp.maximum(x, low))

    def twice(x):
        first = floor(x, 0.5)
        return first + floor(-x, 0.5)

    with trust_literals() as trusted:
        quaxify(twice)(Quantity(X, "m"))
    lines = [int(x.place.removeprefix(__file__).split(":")[1]) for x in trusted]
    assert [x.value for x in trusted] == [0.5, 0.5] and lines[1] == lines[0] + 1


def test_a_loop_takes_no_unit_from_its_first_step_alone():
    """What a literal is in the first step decides nothing about the others."""

    def powers(x):
        return lax.fori_loop(
            1, 4, lambda i, c: (c[0] + x[i], x[i] ** c[1], c[1] * 2), (1.5, x[0], 1)
        )

    with trust_literals(), pytest.raises((DimensionalityError, CarryError, TypeError)):
        quaxify(powers)(Quantity(X, "m"))


def test_custom_backward_passes():
    @jax.custom_vjp
    def floor(x, low):
        return jnp.maximum(x, low)

    floor.defvjp(
        lambda x, low: (floor(x, low), (x, low)),
        lambda kept, ct: (
            jnp.where(kept[0] > kept[1], ct, 0.0),
            jnp.sum(jnp.where(kept[0] > kept[1], 0.0, ct)),
        ),
    )
    f = lambda x: jnp.sum(floor(x, 0.5) ** 2)
    with trust_literals() as trusted:
        out = sciquax.value_and_grad(f)(Quantity(X, "m"))
    value, gradient = jax.value_and_grad(f)(X)
    assert_same(out, (Quantity(value, "m**2"), Quantity(gradient, "m")))
    assert {x.value for x in trusted} == {0.5}


def test_beneath_names():
    a = NamedArray(Quantity(X, "m"), ("x",))
    with trust_literals() as trusted:
        out = quaxify(lambda a: jnp.maximum(a, 0.5) + 1.5)(a)
    assert_same(out, NamedArray(Quantity(np.maximum(X, 0.5) + np.float32(1.5), "m"), ("x",)))
    assert [x.value for x in trusted] == [0.5, 1.5]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_diffrax(compiled):
    def drain(t, y, args):
        return -jnp.sqrt(jnp.maximum(y, 1e-3)) * args

    def solve(y, k, t):
        return dfx.diffeqsolve(dfx.ODETerm(drain), dfx.Tsit5(), 0 * t, t, 0.125 * t, y, args=k).ys

    t = jnp.float32(2.0)
    expected = solve(jnp.float32(1.5), jnp.float32(0.25), t)
    run = jax.jit(solve) if compiled else solve
    given = Quantity(1.5, "m"), Quantity(0.25, "m**0.5/s"), Quantity(t, "s")
    with pytest.raises(DimensionalityError):
        run(*given)
    with trust_literals() as trusted:
        assert_same(run(*given), Quantity(expected, "m"))
    (literal,) = [x for x in trusted if x.place.startswith(__file__)]
    assert (literal.value, f"{literal.unit:~}") == (1e-3, "m")


def test_diffrax_literals_that_are_returned_or_given():
    def solve(y, t0, t1):
        term = dfx.ODETerm(lambda t, y, args: 0.5)
        return dfx.diffeqsolve(term, dfx.Euler(), t0, t1, 0.25, y).ys

    given = Quantity(1.5, "m"), Quantity(0.0, "s"), Quantity(2.0, "s")
    with pytest.raises(DimensionalityError):
        solve(*given)
    with trust_literals() as trusted:
        assert_same(solve(*given), Quantity(jnp.array([2.5]), "m"))
    assert [(x.value, f"{x.unit:~}") for x in trusted] == [(0.25, "s"), (0.5, "m / s")]
    assert trusted[0].place.startswith(__file__)


LIBRARY = """
import jax, jax.numpy as jnp
def inverse(d):
    return 1 / jnp.where(d == 0, 1.0, d)
def apart(d, q):
    return d + q
def either(d):
    return jax.lax.cond(d[0] > d[1], lambda: d[0], lambda: 1.5)
"""


@pytest.fixture
def library(tmp_path):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "somebody.py").write_text(LIBRARY)
    spec = importlib.util.spec_from_file_location("somebody", folder / "somebody.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HINT = (
    "Give it one, `Quantity(x, 'm')`, or divide the quantity by a reference scale. Only literal 0, "
    "inf and nan belong to every unit.{more}\n"
    "That line is a library's. If the number is a literal that is meant in 'm', call it within "
    "`with sciquax.units.trust_literals() as trusted:`, and look at what `trusted` then lists."
)
SELECTED = (
    " If it only keeps masked elements harmless, as 1 does in `where(d == 0, 1, d)`, say so: "
    "`sciquax.units.any_unit(1)`, or use `sciquax.units.safe_divide`."
)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_the_refusal_in_a_librarys_line_names_it(library, wrap):
    with pytest.raises(DimensionalityError) as refused:
        quaxify(wrap(library.inverse))(Quantity(X, "m"))
    assert str(refused.value) == (
        "`select_n` got operands in 'm' and plain numbers (f32[4]); a bare number has no unit.\n"
        f"  at {library.__file__}:4:15 (inverse)\n" + HINT.format(more=SELECTED)
    )
    with trust_literals() as trusted:
        quaxify(wrap(library.inverse))(Quantity(X, "m"))
    assert [(x.value, x.place) for x in trusted] == [
        (1.0, f"{library.__file__}:4:15 (inverse)"),
    ]


def test_the_refusal_of_branches_in_a_librarys_line(library):
    with pytest.raises(DimensionalityError) as refused:
        quaxify(library.either)(Quantity(X, "m"))
    message, place, *remedy = str(refused.value).splitlines()
    assert message == (
        "Output 0 of a conditional is f32[] in its first branch and Quantity(f32[], 'm') in branch "
        "1, which have no common type."
    )
    assert place.startswith(f"  at {library.__file__}:8:")
    assert remedy == ["Make the branches return the same kind of value.", *HINT.split("\n")[1:]]
    with trust_literals():
        assert str(quaxify(library.either)(Quantity(X, "m")).units) == "meter"


def test_the_refusal_of_an_operator_in_a_librarys_line(library):
    with pytest.raises(DimensionalityError) as refused:
        library.apart(Quantity(X, "m"), 1.5)
    message, place, *remedy = str(refused.value).splitlines()
    assert message == (
        "`add` got operands in 'm' and plain numbers (f32[]); a bare number has no unit."
    )
    assert place.startswith(f"  at {__file__}:")
    there = f"The operation is at {library.__file__}:6 (apart), which is a library's."
    hint = HINT.format(more="").replace("That line is a library's.", there)
    assert remedy == hint.splitlines()


def test_the_refusal_in_the_users_line_does_not():
    with pytest.raises(DimensionalityError) as refused:
        quaxify(lambda d: d + 1.0)(Quantity(X, "m"))
    assert refused.value.in_library and "That line" not in str(refused.value)


AT_A_START = {
    "extreme": lambda x: lax.fori_loop(0, 3, lambda i, c: jnp.maximum(c, x), jnp.full(3, 15.0)),
    "two": lambda x: lax.fori_loop(
        0, 3, lambda i, c: (jnp.maximum(*c), x), (jnp.full(3, 15.0), jnp.full(3, 35.0))
    )[0],
    "comparison": lambda x: lax.scan(lambda c, y: (jnp.where(y > c, y, c), c), 15.0, x)[1],
    "reduce": lambda x: lax.reduce(x, np.float32(15.0), lax.max, (0,)),
    "window": lambda x: lax.reduce_window(x, np.float32(15.0), lax.max, (2,), (1,), "SAME"),
}


@pytest.mark.parametrize("unit", ["degree", "degC", "m"])
def test_literals_that_loops_start_from(unit):
    x = np.array([10.0, 20.0, 40.0], np.float32)
    with trust_literals() as trusted:
        for f in AT_A_START.values():
            assert_same(quaxify(f)(Quantity(x, unit)), Quantity(f(jnp.asarray(x)), unit))
    assert {t.value for t in trusted} == {15.0, 35.0}


def test_a_literal_start_that_stays_a_number_is_judged_as_one():
    halved = lambda x: lax.scan(lambda c, y: (c * 0.5, y + c), 15.0, x)[1]
    with trust_literals():
        for unit, says in [("degree", "radians"), ("percent", "a fraction")]:
            with pytest.raises(DimensionalityError, match=f"got a bare 15 .* would be {says}"):
                quaxify(halved)(Quantity(np.array([10.0, 20.0], np.float32), unit))


def test_a_bare_number_beside_degrees_celsius_is_named():
    with pytest.raises(OffsetUnitCalculusError) as caught:
        quaxify(lambda x: lax.reduce(x, np.float32(15.0), lax.max, (0,)))(Quantity(X, "degC"))
    assert str(caught.value).startswith(
        "`reduce` got a bare 15 and a quantity in '°C', whose zero is not zero."
    )
    assert "`Quantity(15, '°C')`" in str(caught.value)
