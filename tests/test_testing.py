"""`sciquax.testing`, the log of materialisations, and what notebooks show."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pint
import pytest

from sciquax import ArrayValue, log_materialisations, quaxify
from sciquax.core import LocatedError, aval_of
from sciquax.lora import LoraArray
from sciquax.named import NamedArray
from sciquax.quantised import quantise
from sciquax.sparse import BCOO
from sciquax.structured import DiagonalMatrix, IdentityMatrix, TridiagonalMatrix
from sciquax.testing import approx, assert_allclose
from sciquax.units import Quantity
from sciquax.zero import Zero
from tests.helpers import unstated

M = jnp.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
NAMED = NamedArray(Quantity(M, "m"), ("x", "y"))
LORA = LoraArray(M, rank=2, key=jax.random.key(0))


class TestEqual:
    @pytest.mark.parametrize(
        ("actual", "desired", "options"),
        [
            (Quantity(1500.0, "m"), Quantity(1.5, "km"), {}),
            (Quantity(jnp.array([1.0, 2.0]), "m"), pint.Quantity([100.0, 200.0], "cm"), {}),
            (Quantity(50.0, "percent"), 0.5, {}),
            (0.5, Quantity(50.0, "percent"), {}),
            (Quantity(1.001, "m"), Quantity(1.0, "m"), {"atol": Quantity(2.0, "mm")}),
            (Quantity(20.5, "degC"), Quantity(20.0, "degC"), {"atol": Quantity(1.0, "delta_degF")}),
            (Quantity(20.0, "degC"), Quantity(293.15, "K"), {}),
            (NAMED, NAMED.transpose("y", "x").to("km"), {}),
            (NAMED - NAMED, Quantity(0.0, "m"), {}),
            (DiagonalMatrix(jnp.array([1.0, 2.0])), jnp.diag(jnp.array([1.0, 2.0])), {}),
            (Quantity(IdentityMatrix(2), "cm"), Quantity(0.01 * jnp.eye(2), "m"), {}),
            (DiagonalMatrix(Quantity(jnp.ones(2), "m")), Quantity(jnp.eye(2), "m"), {}),
            ({"a": [Quantity(1.0, "h"), None, 2]}, {"a": [Quantity(60.0, "min"), None, 2.0]}, {}),
            (jnp.array([1.0, jnp.nan]), [1.0, float("nan")], {}),
            (jnp.array([1.0, 2.0], jnp.bfloat16), [1.001, 2.0], {}),
            (jnp.array([True, False]), [True, False], {}),
            (BCOO.from_dense(M), M, {}),
            (Zero((2,), jnp.float32), [0.0, 0.0], {}),
            (LORA, LORA.weight, {}),
            (jnp.array([2.0, 2.0]), 2.0, {}),
        ],
        ids=str,
    )
    def test_passes(self, actual, desired, options):
        assert_allclose(actual, desired, **options)

    @pytest.mark.parametrize(
        ("actual", "desired", "options", "message"),
        [
            (
                {"v": Quantity(1.0, "s")},
                {"v": Quantity(1.0, "m")},
                {},
                "actual['v'] is in 's' and desired['v'] in 'm', which measure different things.",
            ),
            (Quantity(1.0, "m"), 1.0, {}, "actual is in 'm' and desired is a number."),
            (1.0, Quantity(1.0, "m"), {}, "which measure different things."),
            (Quantity(1.0, "m"), Quantity(1.0, "km"), {}, "actual in 'km'"),
            (Quantity(jnp.ones(2), "m"), Quantity(jnp.ones(3), "m"), {}, "shape (2,)"),
            (1.0, jnp.ones(3), {}, "shape () and desired has shape (3,)"),
            (
                NAMED,
                NAMED.rename(x="z"),
                {},
                "actual has the dims ('x', 'y') and desired ('z', 'y')",
            ),
            (NAMED, Quantity(M, "m"), {}, "desired Quantity(f32[2,3], 'm')"),
            (NAMED, NAMED.transpose("y", "x") + Quantity(1.0, "mm"), {}, "actual in 'm'"),
            (
                DiagonalMatrix(jnp.ones(2)),
                jnp.eye(2),
                {"same_type": True},
                "actual is DiagonalMatrix(f32[2,2])",
            ),
            ([1, 2], (1, 2), {}, "actual is a PyTreeDef"),
            (jnp.array([1, 2]), [1, 3], {}, "Not equal to tolerance rtol=0"),
            (jnp.array([1.0]), [1.00002], {}, "rtol=1e-05"),
            (NAMED, NAMED.assign_coords(x=[1.0, 2.0]), {}, "only one of actual and desired has a"),
        ],
        ids=str,
    )
    def test_fails(self, actual, desired, options, message):
        with pytest.raises(AssertionError) as raised:
            assert_allclose(actual, desired, **options)
        assert message in str(raised.value)

    def test_a_bare_tolerance_beside_a_dimension_is_refused(self):
        with pytest.raises(TypeError, match="compares quantities in 'm', and `atol` is the number"):
            assert_allclose(Quantity(1.0, "m"), Quantity(1.0, "m"), atol=1e-3)


# -- materialisations -----------------------------------------------------------------------------


class Halved(ArrayValue):
    """A type that materialises by default."""

    array: jax.Array

    def aval(self):
        return aval_of(self.array)

    def materialise(self):
        return self.array / 2


def test_log_of_materialisations(caplog):
    x = Halved(jnp.array([2.0, 4.0]))
    with log_materialisations() as log, caplog.at_level(logging.DEBUG, logger="sciquax"):
        out = quaxify(lambda x: jnp.sin(x) + 1)(x)  # HERE
        quaxify(lambda x: jax.lax.cond(unstated(True), lambda x: x, lambda x: jnp.ones(2), x))(x)
        jnp.sin(x.materialise())
    np.testing.assert_allclose(out, np.sin([1.0, 2.0]) + 1, rtol=1e-6)
    assert [(item.operation, item.value) for item in log] == [
        ("sin", "Halved(f32[2])"),
        ("join", "Halved(f32[2])"),
    ]
    line = test_log_of_materialisations.__code__.co_firstlineno + 3
    assert str(log[0]).startswith("`sin` materialised Halved(f32[2]).\n  at ")
    assert f"test_testing.py:{line}" in str(log[0])
    assert [record.getMessage() for record in caplog.records] == list(map(str, log))


def test_materialisations_as_errors():
    matrix = TridiagonalMatrix(jnp.ones(2), 2 * jnp.ones(3), jnp.ones(2), allow_materialise=True)
    vector = jnp.ones(3)
    with log_materialisations(error=True) as log:
        quaxify(lambda a, b: jnp.linalg.solve(a, b) + a @ b)(matrix, vector)
        assert log == []
        with pytest.raises(LocatedError, match="`cumsum` materialises TridiagonalMatrix"):
            quaxify(lambda a: jnp.cumsum(a, 0))(matrix)
    assert quaxify(lambda a: jnp.cumsum(a, 0))(matrix).shape == (3, 3)


@pytest.mark.parametrize(
    "value",
    [
        Quantity(jnp.ones(2), "m"),
        Quantity(DiagonalMatrix(jnp.ones(2)), "m"),
        NAMED,
        NamedArray(DiagonalMatrix(jnp.ones(2)), ("x", "y")),
        DiagonalMatrix(jnp.ones(2)),
        LoraArray(jnp.ones((3, 4)), rank=2, key=jax.random.key(0)),
        BCOO.from_dense(M),
        Zero((2,), jnp.float32),
        quantise(M),
        Halved(jnp.ones(2)),
    ],
    ids=lambda x: type(x).__name__,
)
def test_notebooks_show_every_type_also_traced(value):
    shown = value._repr_html_()
    assert shown.count("<") == shown.count(">")
    seen = []
    jax.eval_shape(lambda v: seen.append((repr(v), v._repr_html_())), value)
    assert all("Traced" not in text for text in seen[0])


def test_html_is_escaped():
    assert "<locals>" not in Halved(jnp.ones(2))._repr_html_()
    assert DiagonalMatrix(jnp.array([1.0, 2.0]))._repr_html_() == (
        "<div><code>DiagonalMatrix(f32[2,2])</code><pre>DiagonalMatrix(diag=[1., 2.])</pre></div>"
    )


@pytest.mark.parametrize(
    "actual",
    [
        Quantity(jnp.array([100.0, 200.0]), "cm"),
        NamedArray(Quantity(jnp.array([1.0, 2.0]), "m"), ("x",)),
        Quantity(DiagonalMatrix(jnp.array([1.0, 2.0])), "m"),
        jnp.array([1.0, 2.0]),
        np.array([1.0, 2.0]),
        {"a": [Quantity(1.0, "m")], "b": 2.0},
    ],
    ids=lambda x: type(x).__name__,
)
def test_approx(actual):
    """From both sides of `==`, and it says why not."""
    same = jax.tree.map(lambda x: x * (1 + 1e-8), actual)
    assert same == approx(actual) and approx(actual) == same
    other = jax.tree.map(lambda x: x * 1.01, actual)
    expected = approx(actual)
    assert other != expected and not expected == other
    assert "Not equal to tolerance" in repr(expected)
    assert not Quantity(1.0, "s") == expected
    assert "Not equal to tolerance" not in repr(expected)
    assert actual == expected and ":" not in repr(expected).rpartition(")")[2]


def test_approx_wants_a_tolerance_with_a_unit():
    with pytest.raises(TypeError, match="Give it as a quantity"):
        assert Quantity(1.0, "m") == approx(Quantity(1.0, "m"), atol=0.1)
