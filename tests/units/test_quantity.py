"""`Quantity` by itself: construction, conversion, operators, indexing, protocols, appearance."""

import copy
import dataclasses
import math
import operator
import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pint
import pytest
from hypothesis import given, settings, strategies as st
from jax.scipy.stats import norm

import sciquax.numpy as sqnp
from sciquax import quaxify
from sciquax.units import (
    DimensionalityError,
    OffsetUnitCalculusError,
    Quantity,
    UndefinedUnitError,
    constants,
    get_registry,
    set_registry,
    unit,
)
from tests.helpers import assert_raises, assert_same

X = jnp.asarray(np.array([1.0, -2.0, 3.0], np.float32))
Y = jnp.asarray(np.array([500.0, 250.0, -4000.0], np.float32))
Q, R = Quantity(X, "km"), Quantity(Y, "m")
NAN_FREE = st.floats(-1e3, 1e3, width=32)


def q(x, unit, dtype=jnp.float32):
    return Quantity(jnp.asarray(x, dtype), unit)


# -- construction


def test_constructors():
    foreign = pint.UnitRegistry()
    assert_same(Quantity([1, 2], "m"), q([1, 2], "m", jnp.int32))
    assert_same(Quantity(np.array([1.5], np.float32), unit("km")), q([1.5], "km"))
    assert_same(Quantity("9.81 m/s**2"), Quantity(9.81, "m/s**2"))
    assert_same(Quantity("3.5 km", "m"), Quantity(3500.0, "m"))
    assert_same(Quantity(Q, "m"), Quantity(1000 * X, "m"))
    assert_same(Quantity(foreign.Quantity(3.0, "m")), Quantity(3.0, "m"))
    assert_same(
        Quantity(foreign.Quantity(np.array([3.0, 4.0]), "km"), "m"), Quantity([3000.0, 4000.0], "m")
    )
    assert_same(Quantity(X, foreign.Unit("degC")), Quantity(X, "degC"))
    assert_same(Quantity(X, Q.units), Q)
    assert Quantity(X).units == unit("") and Quantity(X, None).units == unit("dimensionless")
    assert_same(Quantity.from_pint(Q.to_pint()), Q)
    assert Quantity(X, "m").magnitude is X


def test_bad_constructors():
    with pytest.raises(DimensionalityError):
        Quantity(Q, "s")
    with pytest.raises(ValueError, match="is not a unit"):
        Quantity(1.0, "5 m")
    with pytest.raises(TypeError, match="A unit is a string, a `pint.Unit`"):
        Quantity(1.0, 3)

    def call():
        return Quantity(1.0, "killometer")  # HERE

    error = assert_raises(
        UndefinedUnitError,
        call,
        "'killometer' is not defined in the unit registry.\n{place}\n"
        "Did you mean 'kilometer', 'millimeter', 'micrometer'?",
    )
    assert isinstance(error, pint.UndefinedUnitError) and isinstance(error, AttributeError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_cannot_convert_message():
    def call():
        return Q.to("s")  # HERE

    error = assert_raises(
        DimensionalityError, call, "Cannot convert from 'km' ([length]) to 's' ([time]).\n{place}"
    )
    assert isinstance(error, pint.DimensionalityError) and isinstance(error, TypeError)
    assert error.units1 == unit("km") and error.units2 == unit("s")


def test_bad_location_is_in_the_users_file():
    with pytest.raises(DimensionalityError) as info:
        Q + q(1.0, "s")
    assert info.value.location.file == __file__


# -- conversion


@pytest.mark.parametrize(
    ("x", "source", "target", "expected"),
    [
        (25.0, "degC", "degF", 77.0),
        (77.0, "degF", "degC", 25.0),
        (25.0, "degC", "K", 298.15),
        (298.15, "K", "degC", 25.0),
        (10.0, "delta_degC", "delta_degF", 18.0),
        (10.0, "delta_degC", "K", 10.0),
        (1.5, "km", "m", 1500.0),
        (1.0, "mile", "km", 1.609344),
        (180.0, "degree", "radian", np.pi),
        (50.0, "percent", "", 0.5),
        (36.0, "km/hour", "m/s", 10.0),
        (1.0, "km**0.5", "m**0.5", 1000**0.5),
        (2.0, "km/m", "dimensionless", 2000.0),
        (3.0, "kg", "g", 3000.0),
    ],
)
@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
def test_to(x, source, target, expected, jit):
    f = lambda a: a.to(target)
    out = (jax.jit(f) if jit else f)(q([x, 2 * x], source))
    np.testing.assert_allclose(out.magnitude[0], expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(
        out.magnitude[1],
        get_registry().Quantity(2 * x, source).to(target or "").m,
        rtol=1e-5,
        atol=1e-4,
    )
    assert out.units == unit(target) and out.dtype == jnp.float32
    np.testing.assert_allclose(q(x, source).m_as(target), expected, rtol=1e-5, atol=1e-4)


def test_base_and_compact():
    assert_same(q(36.0, "km/hour").to_base_units(), q(10.0, "m/s"))
    assert_same(q(25.0, "degC").to_base_units(), q(298.15, "K"))
    assert_same(q(12345.0, "m").to_compact(), q(12.345, "km"))
    assert_same(q([1e-3, 2e-6], "m").to_compact(), q([1.0, 2e-3], "mm"))
    assert_same(q(0.0, "m").to_compact(), q(0.0, "m"))


def test_integers_are_promoted_by_conversion():
    assert_same(Quantity(1500, "m").to("km"), q(1.5, "km"))
    assert_same(Quantity(2, "km").to("km"), q(2, "km", jnp.int32))
    assert_same(Quantity(jnp.int8(100), "km").to("m"), q(1e5, "m"))
    with jax.numpy_dtype_promotion("standard"):
        assert_same(
            Quantity(jnp.array([1, 2]), "km").at[0].set(Quantity(1500, "m")), q([1.5, 2.0], "km")
        )
        assert_same(Quantity(2, "km") + Quantity(500, "m"), q(2.5, "km"))


def test_bfloat16_stays_in_a_conversion():
    assert_same(q(3, "km", jnp.bfloat16).to("m"), q(3000, "m", jnp.bfloat16))
    assert_same(q(3, "km", jnp.bfloat16) + q(500, "m", jnp.bfloat16), q(3.5, "km", jnp.bfloat16))


def test_narrow_constants_of_a_program_stay_narrow():
    """JAX keeps them in NumPy's arrays, whose bfloat16 becomes float32 beside a Python number."""
    x = q([1.0, 2.0], "m", jnp.bfloat16)
    y = quaxify(lambda x: x + Quantity(jnp.array([50.0, 100.0], jnp.bfloat16), "cm"))(x)
    assert_same(y, q([1.5, 3.0], "m", jnp.bfloat16))
    half = lambda x: norm.pdf(x, Quantity(0.5, "m"), Quantity(50.0, "cm"))  # noqa: E731
    assert quaxify(half)(q([1.0, 2.0], "m", jnp.float16)).dtype == jnp.float16


def test_integers_in_two_units_under_strict_promotion():
    """Both operands are integers: the mixture is ours, not the user's."""
    out = Quantity(jnp.array([1, 2]), "km") + Quantity(jnp.array([500, 250]), "m")
    assert_same(out, q([1.5, 2.25], "km"))


def test_properties():
    assert Q.m is X and Q.u == Q.units == unit("km") and Q.dimensionality == {"[length]": 1}
    assert (Q.shape, Q.dtype, Q.ndim, Q.size, len(Q)) == ((3,), jnp.float32, 1, 3, 3)
    assert (
        Q.is_compatible_with("m")
        and not Q.is_compatible_with(q(1.0, "s"))
        and Q.is_compatible_with(unit("mile"))
    )


@settings(max_examples=25)
@given(
    NAN_FREE,
    st.sampled_from(
        [("km", "mile"), ("degC", "degF"), ("K", "degC"), ("degree", "radian"), ("J", "eV")]
    ),
)
def test_conversion_round_trip(x, units):
    here, there = units
    back = q(x, here).to(there).to(here)
    np.testing.assert_allclose(back.magnitude, np.float32(x), rtol=1e-5, atol=2e-3)


# -- operators

LEFT = {"array": X, "numpy": np.asarray(X), "number": 2.0, "numpy-scalar": np.float32(2)}


@pytest.mark.parametrize("kind", LEFT)
@pytest.mark.parametrize("op", [operator.mul, operator.truediv], ids=lambda f: f.__name__)
def test_product_with_plain_operand(op, kind):
    other, x = LEFT[kind], jnp.asarray(LEFT[kind])
    assert_same(op(other, R), Quantity(op(x, Y), "m" if op is operator.mul else "1/m"))
    assert_same(op(R, other), Quantity(op(Y, x), "m"))


@pytest.mark.parametrize("kind", LEFT)
@pytest.mark.parametrize(
    "op",
    [
        operator.add,
        operator.sub,
        operator.mod,
        operator.lt,
        operator.ge,
        operator.eq,
        operator.floordiv,
    ],
    ids=lambda f: f.__name__,
)
def test_sum_and_comparison_with_plain_operand(op, kind):
    """Refused for lengths; for a ratio the number is what it is."""
    other, ratio = LEFT[kind], q([0.5, -2.0, 4.0], "km/m")
    for call in (lambda: op(R, other), lambda: op(other, R)):
        with pytest.raises(DimensionalityError):
            call()
    number = 1000 * jnp.asarray(ratio.magnitude)
    plain = jnp.asarray(other) if kind != "number" else other
    assert_same(op(ratio, other), op(number, plain))
    assert_same(op(other, ratio), op(plain, number))


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mod], ids=lambda f: f.__name__)
def test_sum_of_two_scales(op):
    expected = op(X, Y / 1000)
    assert_same(op(Q, R), Quantity(expected, "km"))
    assert_same(op(R, Q), Quantity(op(Y, 1000 * X), "m"))


@pytest.mark.parametrize(
    "op",
    [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne],
    ids=lambda f: f.__name__,
)
def test_comparison_of_two_scales(op):
    assert_same(op(Q, R), op(X, Y / 1000))
    assert_same(op(R, Q), op(Y, 1000 * X))
    with pytest.raises(DimensionalityError):
        op(Q, q([1.0, 2.0, 3.0], "s"))


def test_comparison_with_strangers():
    assert (Q == None) is False and (Q != None) is True and (Q == "km") is False  # noqa: E711
    with pytest.raises(TypeError):
        _ = Q < "km"
    with pytest.raises(TypeError):
        _ = Q + "km"


def test_other_operators():
    assert_same(-Q, Quantity(-X, "km"))
    assert_same(abs(Q), Quantity(abs(X), "km"))
    assert_same(+Q, Q)
    assert_same(Q // R, jnp.floor(1000 * X / Y))
    assert_same(divmod(Q, R), (jnp.floor(1000 * X / Y), Quantity(X % (Y / 1000), "km")))
    assert_same(Q @ R, q(jnp.dot(X, Y), "km*m"))
    assert_same(np.asarray(X) @ R, q(jnp.dot(X, Y), "m"))
    assert_same(Q**2, Quantity(X**2, "km**2"))
    assert_same(abs(Q) ** 0.5, Quantity(abs(X) ** 0.5, "km**0.5"))
    assert_same(Q**-1, Quantity(1 / X, "1/km"))
    assert_same(2.0 ** q([100.0, 300.0], "percent"), jnp.array([2.0, 8.0]))
    assert_same(round(q(1.26, "km"), 1), q(1.3, "km"))
    assert_same(Q / Q, jnp.ones(3))
    assert_same(Q / R, Quantity(X / Y, "km/m"))
    assert_same(Q * q(2.0, "1/km"), 2 * X)
    with pytest.raises(TypeError):
        ~q([1, 2], "m", jnp.int32)
    with pytest.raises(DimensionalityError):
        2.0**Q
    with pytest.raises(DimensionalityError):
        q(2, "m", jnp.int32) & 1


@pytest.mark.parametrize(
    "f", [lambda x: x**0, lambda x: x**0.0, lambda x: jnp.prod(x[:0])], ids=["int", "float", "prod"]
)
def test_zeroth_power_is_plain(f):
    out = quaxify(f)(Q)
    assert not isinstance(out, Quantity)


def test_pint_operands():
    ureg = get_registry()
    s, arr = ureg.Quantity(2.0, "s"), ureg.Quantity(np.array([1.0, 2.0, 4.0], np.float32), "m")
    assert_same(Q * s, Quantity(2 * X, "km*s"))
    assert_same(Q + arr, Quantity(X + np.array([1, 2, 4], np.float32) / 1000, "km"))
    assert_same(Q * ureg.s, Quantity(X, "km*s"))
    assert_same(Q / pint.UnitRegistry().s, Quantity(X, "km/s"))


@pytest.mark.parametrize(
    "op", [operator.mul, operator.truediv, operator.add, operator.lt], ids=lambda f: f.__name__
)
def test_pint_on_the_left(op):
    ureg = get_registry()
    left = ureg.Quantity(2.0, "m")
    assert_same(op(left, Q), op(Quantity(left), Q))


@pytest.mark.parametrize("which", ["add", "sub"])
def test_offset_scales(which):
    c, f, d = q([20.0, 30.0], "degC"), q([77.0, 41.0], "degF"), q([5.0, 1.0], "delta_degC")
    if which == "sub":
        assert_same(c - f, q([-5.0, 25.0], "delta_degC"), atol=1e-4)
        assert_same(c - d, q([15.0, 29.0], "degC"))
        assert_same(q([300.0, 280.0], "K") - c, q([6.85, -23.15], "K"), atol=1e-3)
        assert_same(c - c, q([0.0, 0.0], "delta_degC"))
    else:
        assert_same(c + d, q([25.0, 31.0], "degC"))
        assert_same(d + c, q([25.0, 31.0], "degC"))
        for bad in (lambda: c + c, lambda: c + f, lambda: c * 2, lambda: c + 0, lambda: 1 / c):
            with pytest.raises(OffsetUnitCalculusError):
                bad()


def test_celsius_minus_kelvin():
    assert_same(q(100.0, "degC") - q(10.0, "K"), q(363.15, "delta_degC"), rtol=1e-5)


def test_offset_error_message():
    def call():
        return q(1.0, "degC") + q(2.0, "degC")  # HERE

    assert_raises(
        OffsetUnitCalculusError,
        call,
        "`add` of '°C' and '°C' is ambiguous: a scale has an offset.\n{place}\n"
        "Convert to an absolute scale, `.to('kelvin')`, or use a difference, 'delta_degC'.",
    )


def test_angles_follow_pint():
    assert_same(q(1.0, "radian") + jnp.float32(1.0), jnp.float32(2.0))
    assert_same(q(180.0, "degree") + q(np.pi, "radian"), q(360.0, "degree"))
    assert sqnp.arctan2(Q, R).units == unit("radian")
    assert_same(sqnp.sin(q(30.0, "degree")), jnp.float32(0.5))
    assert_same(sqnp.deg2rad(q(180.0, "degree")), q(np.pi, "radian"))
    assert_same(sqnp.degrees(q(np.pi, "radian")), q(180.0, "degree"))
    assert_same(q(2.0, "radian") * q(3.0, "m"), q(6.0, "m*radian"))
    assert_same(sqnp.cos(sqnp.arccos(jnp.float32(0.25))), jnp.float32(0.25))


# -- indexing and updates


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        slice(1, None),
        None,
        ...,
        (Ellipsis, 0),
        np.array([2, 0]),
        np.array([True, False, True]),
    ],
    ids=repr,
)
def test_indexing(index):
    assert_same(Q[index], Quantity(X[index], "km"))


def test_iteration():
    assert_same(list(Q), [Quantity(x, "km") for x in X])
    a, b, c = Q
    assert_same(b, q(-2.0, "km"))
    assert Quantity(jnp.float32(1000), "m") in Q
    with pytest.raises(TypeError):
        iter(q(1.0, "m"))
    with pytest.raises(TypeError):
        len(q(1.0, "m"))


UPDATES = {
    "set": (lambda a: a.at[0].set(q(250.0, "m")), X.at[0].set(0.25)),
    "set-zero": (lambda a: a.at[1:].set(0.0), X.at[1:].set(0.0)),
    "set-nan": (lambda a: a.at[1].set(jnp.nan), X.at[1].set(jnp.nan)),
    "add": (lambda a: a.at[jnp.array([0, 0])].add(q([250.0, 500.0], "m")), X.at[0].add(0.75)),
    "subtract": (lambda a: a.at[2].subtract(q(250.0, "m")), X.at[2].add(-0.25)),
    "multiply": (lambda a: a.at[2].multiply(4.0), X.at[2].multiply(4.0)),
    "mul-percent": (lambda a: a.at[2].mul(q(50.0, "percent")), X.at[2].multiply(0.5)),
    "divide": (lambda a: a.at[2].divide(4.0), X.at[2].divide(4.0)),
    "min": (lambda a: a.at[:].min(q(500.0, "m")), jnp.minimum(X, 0.5)),
    "max": (lambda a: a.at[:].max(q(500.0, "m")), jnp.maximum(X, 0.5)),
    "get": (
        lambda a: a.at[jnp.array([5, 1])].get(mode="fill", fill_value=0.0),
        jnp.array([0.0, -2.0]),
    ),
    "drop": (lambda a: a.at[7].set(q(1.0, "m"), mode="drop"), X),
    "array-index": (
        lambda a: a.at[jnp.array([2, 0])].set(q([250.0, 500.0], "m")),
        jnp.array([0.5, -2.0, 0.25]),
    ),
}


@pytest.mark.parametrize("mode", ["eager", "jit", "quaxify"])
@pytest.mark.parametrize("name", UPDATES)
def test_updates(name, mode):
    f, expected = UPDATES[name]
    wrapped = {"eager": f, "jit": jax.jit(f), "quaxify": quaxify(f)}[mode]
    assert_same(wrapped(Q), Quantity(expected, "km"))
    assert_same(Q, Quantity(X, "km"))


@pytest.mark.parametrize(
    "update",
    [
        lambda: Q.at[0].set(1.0),
        lambda: Q.at[0].set(q(1.0, "s")),
        lambda: Q.at[0].add(1.0),
        lambda: Q.at[0].multiply(q(2.0, "m")),
        lambda: Q.at[0].divide(q(2.0, "m")),
        lambda: Q.at[0].max(1.0),
        lambda: Q.at[0].power(2),
        lambda: X.at[0].set(Q[0]),
    ],
)
def test_refused_updates(update):
    with pytest.raises(TypeError):
        update()


@pytest.mark.parametrize(
    "f", [jnp.sin, jnp.square, jnp.exp, lambda x: x + 1.0], ids=["sin", "square", "exp", "plus-one"]
)
@pytest.mark.parametrize("how", ["method", "quaxify"])
def test_apply_does_not_drop_the_unit(f, how):
    with pytest.raises(DimensionalityError):
        Q.at[0].apply(f) if how == "method" else quaxify(lambda x: x.at[0].apply(f))(Q)


def test_apply_of_a_linear_function():
    assert_same(Q.at[0].apply(lambda x: -x), Quantity(X.at[0].set(-1.0), "km"))


# -- Python's and NumPy's protocols


def test_numbers():
    ratio = q(2.5, "km/m")
    assert float(ratio) == 2500.0 and int(ratio) == 2500 and complex(ratio) == 2500 + 0j
    assert isinstance(float(ratio), float) and isinstance(int(ratio), int)
    assert [10, 20, 30][Quantity(1, "")] == 20
    assert bool(q(1.0, "m")) and not q(0.0, "m")
    for f in (float, int, complex, operator.index, np.asarray, np.array):
        with pytest.raises(DimensionalityError):
            f(q(1.0, "m"))
    with pytest.raises(ValueError, match="ambiguous"):
        bool(Q)


def test_numpys_functions_name_ours_and_the_users_line():
    def call():
        return np.polynomial.polynomial.polyfit(Q, X, 1)  # HERE

    assert_raises(
        DimensionalityError,
        call,
        "`np.asarray` takes numbers, and got Quantity(f32[3], 'km') in 'km'.\n{place}\n"
        "Use `sciquax.numpy.polyfit`, or `.m_as(unit)` for the magnitude in a unit of your "
        "choice.",
    )


def test_float_message():
    def call():
        return float(q(1.0, "km"))  # HERE

    assert_raises(
        DimensionalityError,
        call,
        "`float` takes numbers, and got Quantity(f32[], 'km') in 'km'.\n{place}\n"
        "Use `.m_as(unit)` for the magnitude in a unit of your choice.",
    )


@pytest.mark.parametrize(
    "call, what, function",
    [
        (lambda x: math.sqrt(x[0]), "float", "sqrt"),
        (lambda x: np.array([x[0], x[1]]), "np.asarray", "stack"),
    ],
    ids=["math", "array"],
)
def test_what_is_written_in_c_is_found_by_the_users_line(call, what, function):
    for f in (call, quaxify(call)):
        with pytest.raises(DimensionalityError) as info:
            f(Q)
        said, _, remedy = str(info.value).splitlines()
        assert said == f"`{what}` takes numbers, and got Quantity(f32[], 'km') in 'km'."
        assert remedy == (
            f"Use `jax.numpy.{function}` under `quaxify`, `sciquax.numpy.{function}` elsewhere, "
            "or `.m_as(unit)` for the magnitude in a unit of your choice."
        )


def test_numpy_protocol():
    np.testing.assert_allclose(np.asarray(q([50.0, 20.0], "percent")), [0.5, 0.2], rtol=1e-6)
    assert np.asarray(q(2.0, "km/m"), dtype=np.float64).dtype == np.float64
    assert_same(np.sin(q(30.0, "degree")), jnp.float32(0.5))
    assert_same(np.add(Q, R), Q + R)
    assert_same(np.sqrt(Q * Q), abs(Q))
    with pytest.raises(DimensionalityError):
        np.array([Q[0], Q[1]])
    z = np.ones(3, np.float32)
    with pytest.raises(TypeError):
        z += Q
    with pytest.raises((TypeError, ValueError)):
        z[0] = Q[0]
    np.testing.assert_array_equal(z, 1)


def test_functions_of_numpys():
    for f in (
        lambda np: np.diff(Q),
        lambda np: np.concatenate([Q, R]),
        lambda np: np.stack([Q[0], Q[1]]),
        lambda np: np.linalg.norm(Q),
        lambda np: np.where(X > 0, Q, 0.0),
        lambda np: np.array_equal(Q, Q.to("mm")),  # NumPy's says False where it cannot convert
    ):
        assert_same(f(np), f(sqnp))
    assert (np.shape(Q), np.result_type(Q)) == ((3,), np.dtype("float32"))
    assert not hasattr(Q, "__array_function__")  # xarray would hold it as an array of NumPy's
    assert_same(quaxify(lambda x: np.diff(x * x))(Q), sqnp.diff(Q * Q))
    assert_same(jax.jit(quaxify(lambda x: np.linalg.norm(x)))(Q), sqnp.linalg.norm(Q))
    sort = lambda x: np.sort(x > x[0])  # noqa: E731
    assert type(quaxify(sort)(Q)) is np.ndarray  # of plain arrays it is NumPy's
    with pytest.raises(DimensionalityError, match="`np.asarray` takes numbers"):
        np.array2string(Q)


def test_unhashable():
    for refused in (lambda: hash(Q), lambda: jax.jit(hash)(Q[0])):
        with pytest.raises(TypeError, match="Only a scalar quantity whose number is known has"):
            refused()


@pytest.mark.filterwarnings("ignore:A JAX array is being set as static")  # Equinox's
def test_scalars_are_static():
    length = q(2.0, "m")
    assert {length, q(2.0, "m"), q(3.0, "m")} == {length, q(3.0, "m")}
    scaled = jax.jit(lambda x, g: x * g, static_argnums=1)
    others = [length, q(2000.0, "mm"), q(2, "m"), q(2.0, "s"), q(3.0, "m")]
    for other in (*others, *others):  # equal ones in two units are two programs
        assert_same(scaled(X, other), X * other)
    assert others[0] == others[1] == others[2] and not others[0] != others[1]

    # within `quaxify` too: what is given, what is made there, what is within a container
    assert_same(quaxify(scaled)(Q, length), Q * length)
    assert_same(quaxify(lambda x, g: scaled(x, 2 * g))(Q, length), Q * (2 * length))
    lasting = jax.jit(lambda x, t: x * t, static_argnums=1)
    assert_same(quaxify(lambda x: lasting(x, q(3.0, "s")))(Q), Q * q(3.0, "s"))
    first = jax.jit(lambda x, *, gs: x * gs[0], static_argnames="gs")
    assert_same(quaxify(lambda x, g: first(x, gs=(g, 1)))(Q, length), Q * length)
    assert_same(quaxify(jax.grad(lambda x: lasting(x, q(3.0, "s")).sum()))(Q), q([3.0] * 3, "s"))
    with pytest.raises(ValueError, match="Only a scalar quantity whose number is known has"):
        jax.jit(quaxify(lambda x, g: scaled(x, g)))(Q, length)

    @dataclasses.dataclass(frozen=True)
    class Planet:
        gravity: Quantity

    assert Planet(length) == Planet(q(2.0, "m")) and hash(Planet(length)) == hash(Planet(length))
    orbit = jax.jit(lambda x, planet: x * planet.gravity, static_argnums=1)
    for gravity in others:
        assert_same(orbit(X, Planet(gravity)), X * gravity)

    class Fall(eqx.Module):
        gravity: Quantity = eqx.field(static=True)
        mass: jax.Array

        def __call__(self, t):
            return self.mass * self.gravity * t

    class Simulation:
        step = staticmethod(jax.jit(lambda model, t: model(t)))

        def __init__(self):
            self.own = jax.jit(lambda model, t: model(t))

    force, plain, kept = eqx.filter_jit(lambda m, t: m(t)), jax.jit(lambda m, t: m(t)), Simulation()
    for gravity in (q(2.0, "m/s**2"), q(200.0, "cm/s**2"), q(2.0, "m"), q(5.3, "ft/s**2")):
        model, t = Fall(gravity, jnp.float32(2.0)), q(3.0, "s")
        for out in (force(model, t), plain(model, t), kept.own(model, t), kept.step(*[model, t])):
            assert_same(out, 2.0 * gravity * t)
    metre, same = q(2.0, "m"), q(200.0, "cm")
    assert operator.eq(metre, same) and [metre].index(same) == 0 and same in [metre]


def test_pickling_and_copying():
    for original in (
        Q,
        q(1.0, "degC"),
        q(2.0, "km**0.5"),
        q([1, 2], "kg*m/s**2", jnp.int32),
        sqnp.cbrt(q(8.0, "km")),
    ):
        for duplicate in (
            pickle.loads(pickle.dumps(original)),
            copy.copy(original),
            copy.deepcopy(original),
        ):
            assert_same(duplicate, original)
            assert duplicate._unit is original._unit


def test_appearance():
    assert repr(Q) == "Quantity([ 1., -2.,  3.], 'km')" and str(Q) == "[ 1. -2.  3.] kilometer"
    assert repr(q(1.5, "m/s**2")) == "Quantity(1.5, 'm/s**2')"
    assert f"{q(1.26, 'km'):.1f}" == "1.3 kilometer" and f"{q(1.26, 'km'):.2f~P}" == "1.26 km"
    assert f"{Q:.1f~}" == "[1.0 -2.0 3.0] km"
    seen = []
    jax.jit(lambda x: (seen.append(repr(x)), x)[1])(Q)
    assert seen == ["Quantity(f32[3], 'km')"]


def test_is_a_cheap_pytree():
    leaves, tree = jax.tree.flatten(Q)
    assert leaves[0] is X and len(leaves) == 1
    assert tree == jax.tree.structure(Quantity(Y, "km")) and tree != jax.tree.structure(R)
    assert hash(tree) == hash(jax.tree.structure(Quantity(Y, "km")))
    ((path, _),) = jax.tree_util.tree_flatten_with_path(Q)[0]
    assert jax.tree_util.keystr(path) == ".magnitude"


# -- methods and namespaces

METHODS = {
    "sum": (lambda x: x.sum(), "km"),
    "mean": (lambda x: x.mean(), "km"),
    "max": (lambda x: x.max(), "km"),
    "var": (lambda x: x.var(), "km**2"),
    "std": (lambda x: x.std(ddof=1), "km"),
    "prod": (lambda x: x.prod(), "km**3"),
    "reshape": (lambda x: x.reshape(3, 1), "km"),
    "T": (lambda x: x.reshape(1, 3).T, "km"),
    "cumsum": (lambda x: x.cumsum(), "km"),
    "argsort": (lambda x: x.argsort(), None),
    "argmax": (lambda x: x.argmax(), None),
    "dot": (lambda x: x.dot(x), "km**2"),
    "take": (lambda x: x.take(jnp.array([2, 0])), "km"),
    "astype": (lambda x: x.astype(jnp.float16), "km"),
    "any": (lambda x: x.any(), None),
    "ptp": (lambda x: x.ptp(), "km"),
    "sort": (lambda x: x.sort(), "km"),
    "real": (lambda x: x.real, "km"),
    "flatten": (lambda x: x.reshape(3, 1).flatten(), "km"),
    "round": (lambda x: x.round(0), "km"),
    "repeat": (lambda x: x.repeat(2), "km"),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods(name):
    f, u = METHODS[name]
    expected = f(X)
    assert_same(f(Q), expected if u is None else Quantity(expected, u))


FUNCTIONS = {
    "hypot": (lambda n: n.hypot, (Q, R), "km"),
    "linspace": (lambda n: lambda a, b: n.linspace(a, b, 3), (Q[0], R[0]), "km"),
    "trapezoid": (lambda n: n.trapezoid, (Q, q([1.0, 2.0, 4.0], "s")), "km*s"),
    "gradient": (lambda n: n.gradient, (Q, q(2.0, "s")), "km/s"),
    "median": (lambda n: n.median, (Q,), "km"),
    "percentile": (lambda n: lambda a: n.percentile(a, 25.0), (Q,), "km"),
    "cross": (lambda n: n.cross, (Q, q([1.0, 2.0, 4.0], "N")), "km*N"),
    "cov": (lambda n: n.cov, (Q,), "km**2"),
    "interp": (lambda n: n.interp, (q([750.0], "m"), q([0.5, 1.0], "km"), q([1.0, 3.0], "s")), "s"),
    "norm": (lambda n: n.linalg.norm, (Q,), "km"),
    "norm3": (lambda n: lambda a: n.linalg.norm(a, 3), (Q,), "km"),
    "det": (lambda n: n.linalg.det, (q([[2.0, 1.0], [0.5, 3.0]], "km"),), "km**2"),
    "clip": (lambda n: n.clip, (Q, R[1], R[0]), None),
    "fftfreq": (lambda n: lambda d: n.fft.fftfreq(4, d), (q(2.0, "s"),), "1/s"),
    "nanmean": (lambda n: n.nanmean, (Q,), "km"),
    "isclose": (lambda n: n.isclose, (Q, Q), None),
    "searchsorted": (lambda n: n.searchsorted, (q([0.1, 0.3, 0.5], "km"), R), None),
    "average": (lambda n: lambda a, w: n.average(a, weights=w), (Q, abs(R)), "km"),
    "square": (lambda n: n.square, (R,), "m**2"),
    "matrix_power": (
        lambda n: lambda a: n.linalg.matrix_power(a, 2),
        (q([[2.0, 1.0], [0.5, 3.0]], "km"),),
        "km**2",
    ),
    "diff": (lambda n: n.diff, (Q,), "km"),
    "convolve": (lambda n: n.convolve, (Q, R), "km*m"),
    "outer": (lambda n: n.outer, (Q, R), "km*m"),
    "nan_to_num": (lambda n: n.nan_to_num, (Q,), "km"),
    "einsum": (lambda n: lambda a, b: n.einsum("i,j->j", a, b), (Q, R), "km*m"),
    "pinv": (lambda n: n.linalg.pinv, (q([[2.0, 1.0], [0.5, 3.0]], "km"),), "1/km"),
    "unwrap": (lambda n: n.unwrap, (q([0.0, 6.0, 1.0], "radian"),), None),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_namespace_functions(name):
    """Each in the units given and on the SI numbers that plain JAX sees."""
    f, args, u = FUNCTIONS[name]
    expected = f(jnp)(*[a.to_base_units().magnitude for a in args])
    out = f(sqnp)(*args)
    if u is not None:
        assert out.units == unit(u)
    number = out.to_base_units().magnitude if isinstance(out, Quantity) else out
    assert number.shape == expected.shape
    np.testing.assert_allclose(
        number, expected, rtol=2e-5, atol=1e-3 * float(np.max(np.abs(expected)) or 1)
    )


def test_namespaces():
    import sciquax.lax
    import sciquax.nn
    import sciquax.numpy.fft as fft
    import sciquax.numpy.linalg as linalg
    import sciquax.scipy.linalg as scipy_linalg
    import sciquax.scipy.special as special

    assert (
        sqnp.float32 is jnp.float32
        and sqnp.pi == jnp.pi
        and sqnp.ndarray is jnp.ndarray
        and sqnp.newaxis is None
    )
    assert sqnp.zeros(3, sqnp.int32).dtype == jnp.int32 and sqnp.float32(1.5) == 1.5
    assert linalg is sqnp.linalg and fft is sqnp.fft
    assert_same(linalg.norm(Q), Quantity(jnp.linalg.norm(X), "km"))
    assert fft.fft(Q).units == unit("km")
    assert_same(
        scipy_linalg.expm(q(np.eye(2) * 1e-3, "km/m")), jax.scipy.linalg.expm(jnp.eye(2)), rtol=1e-4
    )
    assert_same(special.erf(q(50.0, "percent")), jax.scipy.special.erf(jnp.float32(0.5)))
    assert_same(sciquax.nn.relu(Q), Quantity(jnp.maximum(X, 0), "km"))
    assert_same(sciquax.lax.select(X > 0, Q, Q), Q)
    assert "sin" in dir(sqnp) and "linalg" in dir(sqnp)
    with pytest.raises(AttributeError, match="`jax.numpy` has no attribute 'sinn'"):
        _ = sqnp.sinn
    assert_same(sqnp.sin(X), jnp.sin(X))


# -- registries, constants, annotations


@pytest.fixture
def own_registry():
    before = get_registry()
    registry = pint.UnitRegistry()
    registry.define("smoot = 1.7018 m")
    set_registry(registry)
    yield registry
    set_registry(before)


def test_own_registry(own_registry):
    assert get_registry() is own_registry
    assert_same(q(2.0, "smoot").to("m"), q(3.4036, "m"))
    with pytest.raises(ValueError, match="belong to two pint registries"):
        _ = Q * q(1.0, "smoot")
    with pytest.raises(ValueError, match="belong to two pint registries"):
        _ = Q + q(1.0, "smoot")


def test_registry_is_restored():
    with pytest.raises(UndefinedUnitError):
        Quantity(1.0, "smoot")


def test_foreign_unit_defined_otherwise():
    other = pint.UnitRegistry()
    other.define("mile = 7.5 km")
    with pytest.raises(ValueError, match="is defined differently"):
        Quantity(1.0, other.mile)


def test_constants():
    assert_same(constants.speed_of_light, q(299792458.0, "m/s"))
    assert constants.gravitational_constant.units == unit("m**3/kg/s**2")
    np.testing.assert_allclose(constants.elementary_charge.m_as("C"), 1.602176634e-19, rtol=1e-6)
    symbols = {"G": "m**3/kg/s**2", "g": "m/s**2", "h": "J*s", "F": "C/mol", "k_e": "N*m**2/C**2"}
    for symbol, meant in symbols.items():  # to pint: gauss, gram, hour, farad
        assert getattr(constants, symbol).is_compatible_with(meant)
    assert constants.uncertainty("G").units == constants.G.units
    with pytest.raises(AttributeError, match="Did you mean 'speed_of_light'"):
        _ = constants.sped_of_light
    assert {"speed_of_light", "N_A", "solar_mass"} <= set(dir(constants))
    assert "BTU" not in dir(constants) and constants.BTU.m > 0


def test_annotations():
    from beartype import BeartypeConf, beartype
    from beartype.roar import BeartypeCallHintParamViolation
    from jaxtyping import Float, jaxtyped

    assert isinstance(Q, Quantity["m"]) and not isinstance(Q, Quantity["s"])
    assert (
        isinstance(Q / q(1.0, "hour"), Quantity["[length]/[time]"])
        and Quantity["m/s"] is Quantity["m/s"]
    )

    @beartype(conf=BeartypeConf())
    def speed(x: Quantity["m"], t: Quantity["[time]"]) -> Quantity["m/s"]:
        return x / t

    assert speed(Q, q(2.0, "s")).units == unit("km/s")
    with pytest.raises(BeartypeCallHintParamViolation):
        speed(Q, q(2.0, "m"))

    @jaxtyped(typechecker=beartype)
    def sums(x: Float[Quantity["m"], "n 3"], y: Float[Quantity["s"], " n"]):
        return x.sum()

    sums(Quantity(jnp.ones((2, 3)), "km"), Quantity(jnp.ones(2), "min"))
    for bad in (
        lambda: sums(Quantity(jnp.ones((2, 3)), "km"), Quantity(jnp.ones(3), "s")),
        lambda: sums(Quantity(jnp.ones((2, 3)), "s"), Quantity(jnp.ones(2), "s")),
        lambda: sums(Quantity(jnp.ones((2, 3), int), "km"), Quantity(jnp.ones(2), "s")),
    ):
        with pytest.raises(TypeError):
            bad()
    with pytest.raises(UndefinedUnitError):
        Quantity["metrr"]


# -- laws


@settings(max_examples=25)
@given(
    NAN_FREE,
    NAN_FREE,
    st.sampled_from(["km", "cm", "mile", "inch"]),
    st.sampled_from(["km", "cm", "mile", "inch"]),
)
def test_sum_does_not_depend_on_units(x, y, a, b):
    total = (q(x, a) + q(y, b)).m_as("m")
    expected = get_registry().Quantity(float(np.float32(x)), a) + get_registry().Quantity(
        float(np.float32(y)), b
    )
    scale = abs(get_registry().Quantity(abs(x), a) + get_registry().Quantity(abs(y), b)).m_as("m")
    np.testing.assert_allclose(total, expected.m_as("m"), rtol=1e-5, atol=1e-5 * scale + 1e-12)


@settings(max_examples=25)
@given(st.integers(-3, 3), st.integers(1, 4))
def test_powers_of_units(n, d):
    out = q(4.0, "km") ** (n / d) if n else None
    if out is not None:
        np.testing.assert_allclose(out.m_as(f"m**({n}/{d})"), 4000.0 ** (n / d), rtol=2e-5)


@pytest.mark.parametrize("exponent", [1e-5, -1e-5, 0.1, 1 / 3, -2 / 3, 1 / 7, 0.01, 3e-7, 1.00001])
def test_exponents_are_exact_rationals_of_the_float(exponent):
    x = Quantity(2.0, "km")
    for out in (x**exponent, jax.jit(quaxify(lambda x: jnp.power(x, exponent)))(x)):
        (power,) = out._unit.container.values()
        assert power == pytest.approx(exponent, rel=1e-15)
        assert float(out.m_as(unit("m") ** exponent)) == pytest.approx(2000.0**exponent, rel=1e-5)
    assert ((x ** (1 / 3)) ** 3).units == x.units


def test_exponents_of_complex_numbers():
    z = Quantity(X.astype(jnp.complex64) + 1j, "km")
    assert_same(quaxify(lambda z: z**1.5)(z), Quantity(z.m**1.5, "km**1.5"))
    with pytest.raises(DimensionalityError, match="only known when the program runs"):
        quaxify(lambda z: z**1j)(z)


def test_an_infinite_exponent_is_refused():
    with pytest.raises(DimensionalityError, match="for which there is no unit"):
        Quantity(2.0, "km") ** float("inf")
