"""Operations by type: which rule is asked, what a type gives, and what it has without rules."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
import pytest

from sciquax import quaxify
from sciquax.core import RuleError
from sciquax.structured import StructuredMatrix, leaf, operations


class Base: ...


class Band(Base): ...


class Narrow(Band): ...


def test_the_rule_whose_general_type_is_most_special_is_asked_first():
    op = operations.Operation("op", 2)
    op.register(Base, Narrow)(lambda a, b: "any and narrow")
    op.register(Band, Band)(lambda a, b, decline=False: NotImplemented if decline else "bands")
    op.register(Base, Base)(lambda a, b, decline=False: "any")
    assert op(Band(), Narrow()) == "bands"
    assert op(Base(), Narrow()) == "any and narrow"
    assert op(Band(), Band(), decline=True) == "any"  # what one leaves, the next takes
    assert op(object(), Band()) is NotImplemented


def test_a_rule_is_registered_once_and_for_as_many_types_as_operands():
    op = operations.Operation("op", 2)
    op.register(Base, Band)(max)
    with pytest.raises(ValueError, match=r"^`op` already has a rule for \(Base, Band\)\.$"):
        op.register(Base, Band)(min)
    with pytest.raises(ValueError, match=r"^`op` has rules for 2 types; got \(Base\)\.$"):
        op.register(Base)


class Flipped(StructuredMatrix):
    """Element (i, n - 1 - i) is d[i]; all others are zero."""

    d: Any = leaf(core_ndim=1)
    arrays_are_entries: ClassVar[bool] = True

    def aval(self):
        return self.matrix_aval((*self.d.shape, self.d.shape[-1]))

    def matvec(self, x):
        return self.d * jnp.flip(x, -1)

    def transpose(self):
        return self.rebuild([jnp.flip(self.d, -1)], properties=self.properties)

    def solve(self, b):
        return jnp.flip(b / self.d[..., None], -2)


class Known(Flipped):
    """The same, with rules of its own."""


@operations.inverse.register(Known)
def _inverse(a):
    return a.rebuild([jnp.flip(1 / a.d, -1)])


@operations.svdvals.register(Known)
def _svdvals(a):
    return -jnp.sort(-jnp.abs(a.d), -1)


@operations.eigvalsh.register(Known)
def _eigvalsh(a):
    half = a.d[..., : a.shape[-1] // 2]  # of an even size
    return jnp.sort(jnp.concatenate([half, -half], -1), -1)


@operations.qr.register(Known)
def _qr(a):
    return a.rebuild([jnp.ones_like(a.d)]), operations.matmul(a.rebuild([jnp.ones_like(a.d)]), a)


d, b = jnp.array([2.0, -1.0, 4.0, 0.5]), jnp.array([1.0, -3.0, 2.0, 0.7])
INHERITED = {
    "inv": lambda A: jnp.linalg.inv(A) @ b,
    "pinv": lambda A: jnp.linalg.pinv(A) @ b,
    "solve by a matrix": lambda A: jnp.linalg.solve(A, A) @ b,
    "power": lambda A: jnp.linalg.matrix_power(A, 3) @ b,
    "power -2": lambda A: jnp.linalg.matrix_power(A, -2) @ b,
    "expm": lambda A: jsp.linalg.expm(A) @ b,
    "norm": jnp.linalg.norm,
    "norm 1": lambda A: jnp.linalg.norm(A, 1),
    "row norms": lambda A: jnp.linalg.norm(A, jnp.inf, 1),
    "max": jnp.max,
    "abs, square": lambda A: (jnp.abs(A) + A**2) @ b,
}
OF_ITS_OWN = {
    "svdvals": jnp.linalg.svdvals,
    "norm 2": lambda A: jnp.linalg.norm(A, 2),
    "cond": jnp.linalg.cond,
    "eigvalsh": jnp.linalg.eigvalsh,
    "eigh": lambda A: jnp.linalg.eigh(A)[0],
    "qr": lambda A: (lambda q, r: jnp.abs(q @ (r @ b)))(*jnp.linalg.qr(A)),
}


@pytest.mark.parametrize("name", INHERITED)
def test_what_a_type_has_without_rules(name):
    program, matrix = INHERITED[name], Flipped(d)
    for run in (quaxify(program), jax.jit(quaxify(program))):
        np.testing.assert_allclose(run(matrix), program(matrix.materialise()), rtol=1e-4)


def test_what_needs_elements_is_refused_without():
    with pytest.raises(RuleError, match="^`reduce_max` of Flipped"):
        quaxify(lambda A: A.max(0))(Flipped(d))


@pytest.mark.parametrize("name", OF_ITS_OWN)
def test_rules_of_a_type(name):
    program = OF_ITS_OWN[name]
    with pytest.raises(RuleError, match="of Flipped.* has no structured result"):
        quaxify(program)(Flipped(d))
    for run in (quaxify(program), jax.jit(quaxify(program))):
        np.testing.assert_allclose(run(Known(d)), program(Known(d).materialise()), rtol=1e-4)


def test_rules_serve_other_functions():
    """The inverse that a type gives is that of powers; its eigenvalues serve singular values."""
    inverse = quaxify(lambda A: jnp.linalg.matrix_power(A, -1))(Known(d))
    assert type(inverse) is Known
    np.testing.assert_allclose(inverse.materialise(), np.linalg.inv(Known(d).materialise()))
    assert type(quaxify(jnp.linalg.inv)(Flipped(d))).__name__ == "InverseMatrix"

    class Symmetric(Flipped):
        claims: ClassVar[frozenset[str]] = frozenset({"symmetric"})

    operations.eigvalsh.register(Symmetric)(_eigvalsh)
    matrix = Symmetric(jnp.array([3.0, -1.0, -1.0, 3.0]))
    expected = jnp.linalg.svdvals(matrix.materialise())
    np.testing.assert_allclose(quaxify(jnp.linalg.svdvals)(matrix), expected, rtol=1e-6)
