"""Whole error messages, with the user's own line."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import sciquax
import sciquax.numpy as sqnp
from sciquax import quaxify
from sciquax.core import LocatedError, OutsideQuaxifyError, RuleError
from sciquax.units import DimensionalityError, Quantity
from tests.helpers import assert_raises

X = jnp.asarray(np.array([0.5, -1.25, 2.0], np.float32))
M, S = Quantity(X, "km"), Quantity(2 * X, "s")
MISMATCH = (
    "`add` got operands in 'km' and 's', which measure different things.\n{place}\n"
    "Convert one with `.to(...)`, or divide by a reference scale first."
)


def eager_operator():
    return M + S  # HERE


def in_a_function():
    return quaxify(lambda a, b: a * 2 + b)(M, S)  # HERE


def in_a_jitted_function():
    @jax.jit
    def kick(a, b):
        c = jnp.abs(a)
        return c + b  # HERE

    return quaxify(kick)(M, S)


def in_jit_of_quaxify():
    def kick(a, b):
        return a + b  # HERE

    return jax.jit(quaxify(kick))(M, S)


def in_a_scan():
    def body(c, r):
        return c, r[0] + r[1]  # HERE

    return quaxify(lambda a, b: lax.scan(body, 0.0, (a, b)))(M, S)


def in_a_cond():
    return quaxify(
        lambda a, b: lax.cond(
            True,
            lambda: a + b,  # HERE
            lambda: a,
        )
    )(M, S)


def in_vmap():
    f = lambda a, b: a + b  # HERE
    return quaxify(jax.vmap(f))(M, S)


def in_vmap_outside():
    f = lambda a, b: a + b  # HERE
    return jax.vmap(quaxify(f))(M, S)


def in_grad():
    f = lambda a, b: jnp.sum(a * b + b)  # HERE
    return sciquax.grad(f)(M, S)


def in_checkpoint():
    f = lambda a, b: a + b  # HERE
    return quaxify(jax.checkpoint(f))(M, S)


def in_a_library_function():
    """Within a jitted library function, the line that called it."""
    return quaxify(lambda a, b: jnp.concatenate([a, b]))(M, S)  # HERE


def in_the_namespace():
    return sqnp.add(M, S)  # HERE


def in_nested_quaxify():
    inner = quaxify(lambda a, b: a + b)  # HERE
    return quaxify(lambda a, b: inner(a, b))(M, S)


def of_a_captured_value():
    return quaxify(lambda a: a + S)(M)  # HERE


MISMATCHES = [
    eager_operator,
    in_a_function,
    in_a_jitted_function,
    in_jit_of_quaxify,
    in_a_scan,
    in_a_cond,
    in_vmap,
    in_vmap_outside,
    in_checkpoint,
    in_nested_quaxify,
    of_a_captured_value,
    in_the_namespace,
]


@pytest.mark.parametrize("call", MISMATCHES, ids=lambda f: f.__name__)
def test_mismatch_names_the_users_line(call):
    error = assert_raises(DimensionalityError, call, MISMATCH)
    assert isinstance(error, LocatedError) and error.location is not None


def test_mismatch_in_a_gradient():
    assert_raises(
        DimensionalityError,
        in_grad,
        "`add` got operands in 'km*s' and 's', which measure different things.\n{place}\n"
        "Convert one with `.to(...)`, or divide by a reference scale first.",
    )


def test_mismatch_in_a_library_function():
    assert_raises(
        DimensionalityError, in_a_library_function, MISMATCH.replace("`add`", "`concatenate`")
    )


def test_column_and_function():
    def outer():
        def kick(a, b):
            return jnp.sin(a / a) * (a + b)

        return quaxify(kick)(M, S)

    with pytest.raises(DimensionalityError) as info:
        outer()
    place = info.value.location
    assert place.file == __file__ and "kick" in place.function and place.column > 0
    assert str(place).endswith(f"({place.function})")


def test_bare_number():
    def call():
        return quaxify(lambda a: a - 1.5)(M)  # HERE

    assert_raises(
        DimensionalityError,
        call,
        "`sub` got operands in 'km' and plain numbers (f32[]); a bare number has no unit.\n"
        "{place}\n"
        "Give it one, `Quantity(x, 'km')`, or divide the quantity by a reference scale. "
        "Only literal 0, inf and nan belong to every unit.",
    )


def test_number_wanted():
    def call():
        return quaxify(lambda a: jnp.exp(a))(M)  # HERE

    assert_raises(
        DimensionalityError,
        call,
        "`exp` takes numbers, and got Quantity(f32[3], 'km') in 'km'.\n{place}\n"
        "Divide by a reference scale first, or convert with `.to(...)`.",
    )


def test_plain_operand_wanted():
    def call():
        counts = Quantity(jnp.array([1, 2]), "m")
        return quaxify(lambda a, b: a & b)(counts, jnp.array([3, 1]))  # HERE

    assert_raises(
        DimensionalityError,
        call,
        "`and` got Quantity(i32[2], 'm') in 'm' as its operand, which must be plain.\n{place}\n"
        "Use `.magnitude`, or divide by a reference scale first.",
    )


def test_primitive_without_a_rule():
    def general():
        foreign = jax.ffi.ffi_call("no_such_target", jax.ShapeDtypeStruct((3,), jnp.float32))
        return quaxify(lambda a: foreign(a))(M)  # HERE

    assert_raises(
        DimensionalityError,
        general,
        "`ffi_call` has no rule for units, and got (Quantity(f32[3], 'km')).\n{place}\n"
        "Divide by a reference scale first, or register a rule: "
        "`sciquax.core.register_family(Quantity, 'ffi_call', rule)`.",
    )


def test_no_second_traceback():
    """The error is one error: JAX's machinery is not chained to it."""
    with pytest.raises(DimensionalityError) as info:
        in_a_function()
    assert info.value.__cause__ is None


@pytest.mark.parametrize("call", [in_a_function, eager_operator], ids=lambda f: f.__name__)
def test_errors_survive_pickling(call):
    with pytest.raises(DimensionalityError) as info:
        call()
    text = str(info.value)
    info.value.__traceback__ = None
    location = info.value.location
    info.value.location = None
    copy = pickle.loads(pickle.dumps(info.value))
    assert type(copy) is DimensionalityError
    copy.location = location
    assert str(copy) == text and copy.remedy == info.value.remedy


def test_pickling_with_location():
    with pytest.raises(DimensionalityError) as info:
        in_a_function()
    copy = pickle.loads(pickle.dumps(info.value))
    assert str(copy) == str(info.value)


def test_rule_error_pickles():
    error = RuleError("what", "remedy")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (RuleError, "what\nremedy")
    assert isinstance(OutsideQuaxifyError("x"), TypeError)


def test_errors_do_not_leave_modes_behind():
    for call in (in_a_function, in_a_scan, in_vmap, in_grad):
        with pytest.raises(DimensionalityError):
            call()
        with pytest.raises(OutsideQuaxifyError):
            jnp.sin(M)
