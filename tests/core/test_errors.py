"""Whole error messages, with the user's own line."""

import pickle
import sys
import traceback
import types
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import sciquax
import sciquax.numpy as sqnp
from sciquax import Value, quaxify, register
from sciquax.core import LocatedError, Location, OutsideQuaxifyError, RuleError, aval_of
from sciquax.named import NamedArray
from sciquax.units import DimensionalityError, Quantity, get_registry
from tests.helpers import Plain, assert_raises, marked_line

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


def test_a_notebooks_cell_has_the_name_that_ipython_shows(monkeypatch, capsys):
    """Jupyter's file of a cell is a number in /tmp, which no reader has seen."""

    def format_code_name(file):
        return ("Cell", "In[3]") if file == "/tmp/ipykernel_12/345.py" else None

    shell = types.SimpleNamespace(compile=types.SimpleNamespace(format_code_name=format_code_name))
    ipython = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)  # pyright: ignore[reportArgumentType]
    cell: dict[str, Any] = {}
    exec(compile("\ndef kick(a, b):\n    return a + b", "/tmp/ipykernel_12/345.py", "exec"), cell)
    with pytest.raises(DimensionalityError) as info:
        sciquax.show(cell["kick"])(M, S)
    assert str(info.value) == MISMATCH.format(place="  at Cell In[3]:3:11 (kick)")
    assert "Cell In[3]:3 (kick)" in capsys.readouterr().out
    assert str(Location("a.py", 3, 0, "f")) == "a.py:3 (f)"


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
        "`sciquax.core.register_rule(Quantity, 'ffi_call', rule)`.",
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


class CountError(LocatedError, ValueError):
    def __init__(self, count, unit):
        super().__init__(f"There are {count}.", "Count again.", count=count, unit=unit)


def test_an_error_carries_its_data_and_pickles_with_its_place():
    error = CountError(3, get_registry().meter).at(Location("a.py", 7, 2, "f"))
    assert error.at(None).location.line == 7
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (
        CountError,
        "There are 3.\n  at a.py:7:2 (f)\nCount again.",
    )
    assert (copy.count, copy.unit) == (3, "meter")


def test_errors_do_not_leave_modes_behind():
    for call in (in_a_function, in_a_scan, in_vmap, in_grad):
        with pytest.raises(DimensionalityError):
            call()
        with pytest.raises(OutsideQuaxifyError):
            jnp.sin(M)


# -- tracebacks

METRES, NAMES = Quantity(1.0, "m"), NamedArray(jnp.ones(3), ("x",))
MISTAKES = {
    "operator": lambda: METRES + Quantity(1.0, "s"),
    "quaxify": lambda: quaxify(jnp.exp)(METRES),
    "namespace": lambda: sciquax.numpy.exp(METRES),
    "grad": lambda: sciquax.grad(jnp.exp)(METRES),
    "method": lambda: METRES.reshape(4, 5),
    "conversion": lambda: METRES.to("s"),
    "constructor": lambda: Quantity(1.0, "meeter"),
    "names": lambda: NAMES.isel(z=0),
}


def frames(call, mode):
    """The functions whose frames a traceback shows, from the call on."""
    before = jax.config.jax_traceback_filtering
    jax.config.update("jax_traceback_filtering", mode)
    try:
        call()
    except Exception as error:
        shown = list(traceback.walk_tb(error.__traceback__))[1:]
        return [f.f_code.co_name for f, _ in shown if not f.f_locals.get("__tracebackhide__")]
    finally:
        jax.config.update("jax_traceback_filtering", before)


@pytest.mark.parametrize("name", MISTAKES)
def test_tracebacks_have_the_lines_of_the_user_alone(name):
    assert frames(MISTAKES[name], "auto") == ["<lambda>"]
    assert frames(MISTAKES[name], "tracebackhide") == ["<lambda>"]
    assert len(frames(MISTAKES[name], "off")) > 2


def test_a_mistake_of_ours_keeps_its_frames(monkeypatch):
    class Broken(Plain):
        def _binary(self, name, lhs, rhs):
            raise KeyError("ours")

    code = Broken._binary.__code__.replace(co_filename=sciquax.core.__file__)
    monkeypatch.setattr(Broken._binary, "__code__", code)
    shown = frames(lambda: Broken(jnp.ones(2)) + 1, "auto")
    assert shown[-1] == "_binary" and "__add__" in shown


# -- every failure mode, for types that know nothing of units


class Closed(Plain):
    """Has no plain array of the same meaning."""

    def materialise(self):
        raise LookupError("what it stands for cannot be told")


class Opaque(Value):
    """Does not even say how it would materialise."""

    array: jax.Array

    def aval(self):
        return aval_of(self.array)


class Left(Plain):
    pass


class Right(Plain):
    pass


class Tagged(Plain):
    tag: str = eqx.field(static=True)


@register(lax.add_p)
def _add_left(x: Left, y: Any, **params):
    return x


@register(lax.add_p)
def _add_right(x: Plain | Left, y: Right, **params):
    return y


@register(lax.mul_p)
def _mul_tagged(x: Tagged, y: Tagged, **params):
    return Tagged(x.array * y.array, x.tag + y.tag)


@register(lax.neg_p)
def _neg_left(x: Left):
    return jnp.zeros((2, 2))


@register(lax.sin_p)
def _sin_left(x: Left, **params):
    return {"a": 1.5}


@register(lax.sort_p)
def _sort_left(x: Left, **params):
    return [x, x]


def no_rule():
    return quaxify(lambda x: jnp.cos(x))(Opaque(X))  # HERE


def no_rule_in_a_jitted_library_function():
    return quaxify(lambda x: jnp.linalg.norm(x))(Opaque(X))  # HERE


def ambiguous():
    return quaxify(lambda x, y: x + y)(Left(X), Right(X))  # HERE


def carry_of_scan():
    def body(state, _):
        return {"x": state["x"] * state["x"], "y": state["y"]}, None

    start = {"x": Tagged(X, "a"), "y": X}
    return quaxify(lambda s: lax.scan(body, s, None, length=2))(start)  # HERE


def carry_of_while():
    def square(state):
        return state[0] + 1, state[1] * state[1]

    return quaxify(lambda x: lax.while_loop(lambda s: s[0] < 2, square, (0, x)))(  # HERE
        Tagged(X, "a")
    )


def branches():
    x = Tagged(X, "a")
    return quaxify(lambda x, p: lax.cond(p[0], lambda: x, lambda: x * x))(x, X > 0)  # HERE


def shape_of_a_result():
    return quaxify(jax.jit(lambda x: jnp.cos(-x)))(Left(X))  # HERE


def kind_of_a_result():
    return quaxify(lambda x: jnp.sin(x))(Left(X))  # HERE


def number_of_results():
    return quaxify(lambda x: lax.sort(x))(Left(X))  # HERE


MODES = {
    no_rule: "`cos` has no rule for (Opaque(f32[3])).\n{place}\n"
    "Register one with `sciquax.register(cos_p)`.",
    no_rule_in_a_jitted_library_function: "`mul` has no rule for "
    "(Opaque(f32[3]), Opaque(f32[3])).\n{place}\nRegister one with `sciquax.register(mul_p)`.",
    ambiguous: "`add` has several rules that fit (Left(f32[3]), Right(f32[3])) equally well:\n"
    f"  _add_left(x: Left, y: Any) at {__file__}:{_add_left.__code__.co_firstlineno}\n"
    f"  _add_right(x: Plain | Left, y: Right) at {__file__}:{_add_right.__code__.co_firstlineno}\n"
    "{place}\nRegister one for exactly these types, or give one a higher `precedence`.",
    carry_of_scan: "The `scan` carry changed structure: `state['x']` goes in as "
    "Tagged(array=f32[3], tag='a') and comes out of the body as Tagged(array=f32[3], tag='aa'), "
    "which have no common type.\n{place}\n"
    "Start the loop with the type that its body returns, or convert in the body. A loop "
    "cannot carry a value whose type grows in every step.",
    carry_of_while: "The `while` carry changed structure: `state[1]` goes in as "
    "Tagged(array=f32[3], tag='a') and comes out of the body as Tagged(array=f32[3], tag='aa'), "
    "which have no common type.\n{place}\n"
    "Start the loop with the type that its body returns, or convert in the body. A loop "
    "cannot carry a value whose type grows in every step.",
    branches: "Output 0 of a conditional is Tagged(array=f32[3], tag='aa') in its first branch and "
    "Tagged(array=f32[3], tag='a') in branch 1, which have no common type.\n{place}\n"
    "Make the branches return the same kind of value.",
    shape_of_a_result: "The rule for `neg` made f32[2,2] where JAX makes f32[3], and later "
    "operations rely on that.\n{place}\n"
    "A function is traced with JAX's shapes before it is interpreted. Return JAX's shape, or end "
    "the quaxified function there and go on outside of it.",
    kind_of_a_result: "The rule for `sin` returned {'a': 1.5}, which is neither an array nor a "
    "value.\n{place}",
    number_of_results: "The rule for `sort` returned 2 results, where JAX returns 1.\n{place}\n"
    "Return a list of 1 arrays or values.",
}


@pytest.mark.parametrize("call", MODES, ids=lambda f: f.__name__)
def test_failure_mode(call):
    error = assert_raises(RuleError, call, MODES[call])
    assert error.__cause__ is None


@pytest.mark.parametrize("call", MODES, ids=lambda f: f.__name__)
def test_failure_mode_below_jit(call, monkeypatch):
    """The same message, and the same line, when the user compiles the whole."""
    monkeypatch.setitem(globals(), "quaxify", lambda f: jax.jit(quaxify_(jax.jit(f))))
    assert_raises(RuleError, call, MODES[call])


quaxify_ = quaxify


def test_refusing_to_materialise():
    """The type's own error, with what asked for it, and where."""

    def call():
        return quaxify(lambda x, y: jnp.arctan2(x, y))(Closed(X), X)  # HERE

    error = assert_raises(LookupError, call, "what it stands for cannot be told")
    reason, place = error.__notes__[:2]
    assert reason == (
        "`atan2` has no rule for (Closed(f32[3]), f32[3]), so `Closed` had to be materialised."
    )
    file, line = marked_line(call)
    assert place.startswith(f"While interpreting `atan2`\n  at {file}:{line}:")
    with pytest.raises(RuleError, match="^Refusing to materialise `Opaque`.$"):
        Opaque(X).materialise()


def test_tracer_of_another_call():
    """A tracer that escaped: JAX's error names the function it escaped from, ours where it got."""
    kept = []

    def keeps_what_it_gets(x):
        kept.append(x)
        return x

    def call():
        return quaxify(lambda x: x + Quantity(kept[0], "km"))(M)  # HERE

    quaxify(keeps_what_it_gets)(M)
    with pytest.raises(jax.errors.UnexpectedTracerError) as info:
        call()
    assert f"keeps_what_it_gets at {__file__}:" in str(info.value)
    file, line = marked_line(call)
    assert f"While interpreting `add`\n  at {file}:{line}:" in info.value.__notes__[0]


JAX_WANTS_A_NUMBER = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


@pytest.mark.parametrize("ask", [bool, int, float, lambda x: [0, 1][x], np.asarray])
def test_number_wanted_within_jit(ask):
    """Nobody knows it there; the error says so, and names the function."""

    def asks(x, flag):
        return ask(x) if flag else x

    with pytest.raises(JAX_WANTS_A_NUMBER) as info:
        jax.jit(quaxify(asks), static_argnums=1)(Plain(jnp.int32(1)), True)
    assert f"asks at {__file__}:" in str(info.value)
    assert any(n.startswith("Under `jax.jit` and its like") for n in info.value.__notes__)
    assert quaxify(asks)(Plain(jnp.int32(1)), True) == 1
    assert quaxify(asks)(Plain(jnp.int32(1)), False) is not None
