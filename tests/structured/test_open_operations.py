"""Operations by type: which rule is asked, and what is refused."""

import pytest

from sciquax.structured import operations


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
