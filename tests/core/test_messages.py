"""What error messages say: the user's words, not all of long ones, and no names of our own."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from sciquax import explain_rules, quaxify
from sciquax.core import RuleError
from sciquax.lora import LoraArray
from sciquax.named import AxisError, NamedArray, median, partition_spec
from sciquax.sparse import BCOO
from sciquax.structured import (
    KroneckerSumMatrix,
    LowRankPlusDiagonalMatrix,
    StructuredMatrix,
    ToeplitzMatrix,
    TridiagonalMatrix,
    leaf,
)
from sciquax.units import DimensionalityError, Quantity, any_unit, nondimensionalise

ONES, EYE = jnp.ones(3), jnp.eye(3)
M, S = (lambda x: Quantity(x, "m")), (lambda x: Quantity(x, "s"))


@pytest.mark.parametrize(
    "make, name",
    [
        (lambda: TridiagonalMatrix(M(ONES[1:]), S(ONES), M(ONES[1:])), "TridiagonalMatrix"),
        (lambda: ToeplitzMatrix(M(ONES), S(ONES)), "ToeplitzMatrix"),
        (lambda: KroneckerSumMatrix(M(EYE), S(EYE)), "KroneckerSumMatrix"),
        (
            lambda: LowRankPlusDiagonalMatrix(M(ONES), S(EYE[:, :1]), M(EYE[:1])),
            "LowRankPlusDiagonalMatrix",
        ),
    ],
)
def test_a_matrix_of_two_units_is_called_by_its_class(make, name):
    with pytest.raises(DimensionalityError) as caught:
        make()
    assert caught.value.what() == (
        f"`{name}` got operands in 'm' and 's', which measure different things."
    )


def test_classes_of_one_name_and_another_scaling():
    class ToeplitzMatrix(StructuredMatrix):
        diag: Any = leaf(core_ndim=1)
        scaling = "product"

        def aval(self):
            return self.matrix_aval((*self.diag.shape, self.diag.shape[-1]))

        def transpose(self):
            return self

        def matmat(self, x):
            return self.diag[..., None] * x

    assert str(ToeplitzMatrix(M(ONES)).units) == "meter"


def test_units_of_nondimensionalise_are_shown_as_multiples():
    with pytest.raises(DimensionalityError) as caught:
        nondimensionalise(lambda x, t: x + t)(M(3e7), S(1e9))
    assert caught.value.what() == (
        "`add` got operands in '(2^25*m)' and '(2^30*s)', which measure different things."
    )


def test_numbers_of_any_unit_are_shown_by_what_makes_them():
    assert repr(any_unit(1.0)) == "any_unit(1.)"
    assert repr(quaxify(lambda q: any_unit(2.0))(M(ONES))) == "any_unit(2.)"


def test_long_input_is_cut():
    name = "q" * 6000
    with pytest.raises(AxisError) as caught:
        NamedArray(ONES, ("x",)).sum(name)
    assert caught.value.what() == (
        f"`sum` got the name '{'q' * 74}...', and the array's dims are ('x',)."
    )
    with pytest.raises(AxisError) as caught:
        NamedArray(ONES, tuple(f"x{i}" for i in range(3000)))
    assert len(caught.value.what()) < 200
    with pytest.raises(TypeError) as error:
        explain_rules([1.5] * 3000)
    assert len(str(error.value)) < 160
    with pytest.raises(ValueError) as error:
        TridiagonalMatrix(ONES[1:], ONES, ONES[1:], properties={name})
    assert len(str(error.value)) < 300


@pytest.mark.same_everywhere
@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: NamedArray(ONES, ("x",)).roll(1.5), "`roll` takes values by name, not 1.5."),
        (lambda: partition_spec(ONES, {"x": "data"}), "`partition_spec` takes a named array, not "),
        (lambda: median(NamedArray(ONES, ("x",)), "x", 1), "median() takes from 1 to 2 positional"),
        (lambda: TridiagonalMatrix(ONES, ONES, ONES, properties=1), "`TridiagonalMatrix`: 'int' "),
        (lambda: Quantity(ONES, "m").sum(5), "`sum`: axis 5 is out of bounds"),
        (lambda: NamedArray(EYE, ("x", "y")).compress(3), "`compress`: condition must be"),
        (lambda: NamedArray(ONES, ("x",)).sortby(None), "`sortby`: 'NoneType' object is not"),
        (lambda: NamedArray(EYE, ("x", "y")).trace(BCOO.from_dense(EYE)), "The diagonal of a spa"),
    ],
)
def test_messages_name_what_was_called(call, message):
    """They said "'float' object is not iterable", or the name of a function within ours."""
    with pytest.raises((TypeError, ValueError, RuleError)) as caught:
        call()
    assert str(caught.value).startswith(message)


def test_a_product_with_a_python_number():
    adapted = LoraArray(EYE, rank=1, key=jax.random.key(0))
    assert jnp.array_equal(adapted.dot(2.0), 2 * EYE)
