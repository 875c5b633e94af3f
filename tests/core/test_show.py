"""`show` and `explain_rules`: their whole output."""

import inspect
import re

import jax
import jax.numpy as jnp
import pytest

import sciquax
from sciquax import explain_rules, quaxify, show
from sciquax.core import MODE, Scaling, register_rule
from sciquax.named import NamedArray
from sciquax.structured import DiagonalMatrix
from sciquax.units import DimensionalityError, Quantity
from sciquax.zero import Zero


def period(length, gravity):
    return 2 * jnp.pi * jnp.sqrt(length * gravity)  # a quotient was meant


def phase(time, length, gravity):
    return jnp.sin(2 * jnp.pi * time / period(length, gravity))


def relative(text, *functions):
    """`text` with lines given as `+n` from where a function starts."""
    for f in functions:
        start = inspect.getsourcelines(f)[1]
        name = re.escape(f.__name__)
        text = re.sub(
            rf"test_show\.py:(\d+) \(([\w.<>]*\.)?{name}\)",
            lambda m, start=start, f=f: f"{f.__name__}+{int(m[1]) - start}",
            text,
        )
    return text


def test_shows_up_to_the_refusal(capsys):
    args = Quantity(3.0, "s"), Quantity(1.0, "m"), Quantity(9.81, "m/s**2")
    with pytest.raises(DimensionalityError) as raised:
        show(phase)(*args)
    head, _, tail = capsys.readouterr().out.partition("DimensionalityError")
    assert relative(head, period, phase) == (
        "phase(time: Quantity(f32[], 's'), length: Quantity(f32[], 'm'), "
        "gravity: Quantity(f32[], 'm/s**2'))\n"
        "  a = mul 6.28319 time    Quantity(f32[], 's')          phase+1\n"
        "  b = mul length gravity  Quantity(f32[], 'm**2/s**2')  period+1\n"
        "  c = sqrt b              Quantity(f32[], 'm/s')        period+1\n"
        "  d = mul 6.28319 c       Quantity(f32[], 'm/s')        period+1\n"
        "  e = div a d             Quantity(f32[], 's**2/m')     phase+1\n"
        "  f = sin e               refused                       phase+1\n"
    )
    assert tail == f": {raised.value}\n"


def test_bodies_constants_and_captured_values(capsys):
    step = Quantity(2.0, "km")
    weights = jnp.array([1.0, 2.0])

    def walk(start, legs):
        def one(x, leg):
            return x + leg, jnp.where(leg > step, leg, 0.0)

        end, kept = jax.lax.scan(one, start, weights * legs["m"])
        return jax.lax.cond(end > start, lambda x: x, lambda x: 2 * x, end), kept

    args = Quantity(0.0, "m"), {"m": Quantity(jnp.array([1.0, 3.0]), "m")}
    end, kept = show(walk)(*args)
    text = capsys.readouterr().out
    expected = quaxify(walk)(*args)
    assert str(end) == str(expected[0]) and str(kept) == str(expected[1])
    assert relative(text, walk, walk).splitlines()[0] == (
        "walk(start: Quantity(f32[], 'm'), legs['m']: Quantity(f32[2], 'm'))"
    )
    lines = [re.sub(r"  +\S+:\d+ \(.*| +walk\+\d+", "", line) for line in text.splitlines()]
    lines = [re.sub(r"(?<=\S)  +", " | ", line) for line in lines]
    assert "  a = constant | f32[2]" in lines
    assert "  c = mul a legs['m'] | Quantity(f32[2], 'm')" in lines
    (scan,) = [i for i, line in enumerate(lines) if "= scan " in line]
    body = lines[scan + 1 :]
    assert body[0].startswith("    with ") and body[0].count("Quantity(f32[], 'm')") == 2
    assert any(line.strip().endswith("= captured | Quantity(f32[], 'km')") for line in body)
    assert any("= jit[_where] " in line for line in body)
    assert any("any unit" in line for line in body)
    assert lines[-1].startswith("-> ")
    # Every letter is defined before it is used.
    known = {"start", "legs['m']"}
    for line in lines[1:-1]:
        left, _, right = line.partition(" = ")
        if line.lstrip().startswith("with "):
            known |= set(re.findall(r"(\w+): ", line))
            continue
        operands = right.split(" | ")[0].split()[1:]
        assert {x for x in operands if x.isalpha() and x not in ("inf", "nan")} <= known, line
        known |= set(left.strip().split(", "))


def test_depth_and_whole_functions(capsys):
    def f(x):
        return jnp.where(x > 0, x, 0.0) + jnp.linalg.norm(x)

    show(f, depth=0)(Quantity(jnp.array([3.0, 4.0]), "m"))
    text = capsys.readouterr().out
    assert "jit[_where]" in text and "select_n" not in text
    assert re.search(r"= jit\[norm\] x +Quantity\(f32\[\], 'm'\)", text)
    show(jnp.linalg.det)(Quantity(DiagonalMatrix(jnp.array([2.0, 3.0])), "m"))
    assert "'m**2'" in capsys.readouterr().out


def test_names_structure_and_jit(capsys):
    def f(x, scale=2.0):
        return scale * x.mean(0)

    a = NamedArray(Quantity(jnp.ones((2, 3)), "m"), ("x", "y"))
    out = jax.jit(show(quaxify(f)))(a)
    text = capsys.readouterr().out
    assert isinstance(out, NamedArray) and out.dims == ("y",)
    assert "f(x: NamedArray(f32[x=2, y=3], 'm'))" in text
    assert "NamedArray(f32[y=3], 'm')" in text


def test_within_quaxify_it_leaves_everything_to_the_outer(capsys):
    captured = Quantity(1.0, "km")
    out = quaxify(lambda x: show(lambda y: y + captured)(x))(Quantity(1.0, "m"))
    assert str(out) == "1001.0 meter"
    assert capsys.readouterr().out == ""
    assert MODE.observer is None


def test_without_values_and_with_foreign_errors(capsys):
    assert show(lambda x: x + 1)(2) == 3
    assert capsys.readouterr().out == "<lambda>()\n-> \n"
    with pytest.raises(ZeroDivisionError):
        show(lambda x: x / 0)(1)
    with pytest.raises(DimensionalityError):
        show(lambda x: x + 1)(Quantity(1.0, "m"))
    assert MODE.observer is None


def test_explains_primitives(capsys):
    class Dense(sciquax.ArrayValue):
        def aval(self):
            raise NotImplementedError

        def materialise(self):
            raise NotImplementedError

    class Summed(Dense):
        layer = 50

    class AlsoSummed(Summed):
        pass

    def joined(primitive, operands, params):
        raise NotImplementedError

    register_rule(Summed, Scaling.JOIN, joined)
    register_rule(Summed, "max", lambda primitive, operands, params: NotImplemented)
    explain_rules(jax.lax.add_p, types=[AlsoSummed, Summed, Dense])
    explain_rules(jax.lax.max_p, types=[AlsoSummed])
    explain_rules(jax.lax.scan_p)
    here = f"{__name__}.test_explains_primitives"
    # Other test files register rules by signature, which stay for as long as the process.
    lines = capsys.readouterr().out.splitlines(keepends=True)
    assert "".join(x for x in lines if not x.startswith("  by signature: ")) == (
        "`add`: elementwise; the data operands are of one kind and so is every output\n"
        f"  Summed  for `JOIN`: {here}.<locals>.joined\n"
        f"  Dense   no rule; materialised: {here}.<locals>.Dense.materialise\n"
        "`max`: elementwise; the data operands are of one kind and so is every output\n"
        f"  Summed  for `max`: {here}\n"
        "`scan`: call; holds a function; interpreted, see `core/_higher_order/`\n"
        "  every type: interpreted within, sciquax.core._higher_order.control_flow.scan\n"
    )


def test_explains_signatures_refusals_and_functions(capsys):
    class Mine(sciquax.ArrayValue):
        array: jax.Array

        def aval(self):
            return jax.core.ShapedArray(self.array.shape, self.array.dtype)

    @sciquax.register(jax.lax.erf_inv_p)
    def _mine(x: Mine, **params):
        return x

    explain_rules(jax.lax.erf_inv_p, types=[Mine])
    explain_rules(jnp.linalg.slogdet, types=[DiagonalMatrix, Zero])
    explain_rules(sciquax.numpy.positive)
    assert capsys.readouterr().out == (
        "`erf_inv`: elementwise; numbers only (`exp`)\n"
        f"  by signature: _mine(x: Mine) in {_mine.__module__}.{_mine.__qualname__}\n"
        "  Mine  no rule; refused, for it cannot be materialised\n"
        "`slogdet`, as a whole:\n"
        "  StructuredMatrix  sciquax.structured._functions.systems._slogdet\n"
        "  otherwise: by its primitives\n"
        "`positive` has no rule as a whole.\n"
        "  otherwise: by its primitives\n"
    )
    with pytest.raises(TypeError, match="takes a primitive or a function, not 3"):
        explain_rules(3)
