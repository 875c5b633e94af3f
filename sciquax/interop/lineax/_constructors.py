"""Constructors of operators between quantities, where Lineax's own do not suffice.

Lineax's put a quantity's unit into the structure of what an operator takes, so that operators would
not compose, or call a function that is not quaxified. Within a program that is being staged, units
are not known yet: Lineax's own operators are made, and get their units when it is interpreted.
"""

import inspect
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.tree_util as jtu
import lineax as lx

from sciquax.core import MODE, inject, is_value
from sciquax.core.internal import takes_foreign

from .._solving.captured_tracers import without_captured_tracers
from .._solving.edited import edited
from .._solving.tree_units import has_quantity, without_units
from .._solving.unit_operator import UnitLinearOperator
from .._solving.user_functions import place_of
from .._solving.with_units import in_one_unit, labelled, of_blocks, with_unit


def _function(
    fn: Callable[..., Any], input_structure: Any, tags: Any = (), closure_convert: bool = True
) -> lx.AbstractLinearOperator:
    del closure_convert  # the function is converted once its units are known
    structure = eqx.filter_eval_shape(lambda: input_structure)
    if MODE.staging:
        fn = without_captured_tracers(fn, structure, place=place_of(fn))
    return _plain_or_labelled(lx.FunctionLinearOperator(fn, structure, tags, closure_convert=False))


def _jacobian(
    fn: Callable[..., Any],
    x: Any,
    args: Any = None,
    tags: Any = (),
    jac: Any = None,
    closure_convert: bool = True,
) -> lx.AbstractLinearOperator:
    del closure_convert
    if MODE.staging:
        fn = without_captured_tracers(fn, x, args, place=place_of(fn))
    return _plain_or_labelled(
        lx.JacobianLinearOperator(fn, x, args, tags, jac, closure_convert=False)
    )


def _matrix(matrix: Any, tags: Any = ()) -> lx.AbstractLinearOperator:
    operator = lx.MatrixLinearOperator(_staged(matrix), tags)
    return labelled(operator) if has_quantity(operator) else operator


def _diagonal(diagonal: Any) -> lx.AbstractLinearOperator:
    operator = lx.DiagonalLinearOperator(_staged(diagonal))
    return labelled(operator) if has_quantity(operator) else operator


def _tridiagonal(
    diagonal: Any, lower_diagonal: Any, upper_diagonal: Any
) -> lx.AbstractLinearOperator:
    given = _staged((diagonal, lower_diagonal, upper_diagonal))
    if not has_quantity(given):
        return lx.TridiagonalLinearOperator(*given)
    bare, unit = in_one_unit(given, "TridiagonalLinearOperator")
    return with_unit(lx.TridiagonalLinearOperator(*bare), unit)


def _pytree(pytree: Any, output_structure: Any, tags: Any = ()) -> lx.AbstractLinearOperator:
    structure = without_units(eqx.filter_eval_shape(lambda: output_structure))
    pytree = _staged(pytree)
    if not has_quantity(pytree):
        return lx.PyTreeLinearOperator(pytree, structure, tags)
    return of_blocks(pytree, structure, tags)


def _staged(tree: Any) -> Any:
    """A tree whose captured quantities are tracers, as the others, while a program is staged."""
    if not MODE.staging:
        return tree
    return jtu.tree_map(lambda x: inject(x) if is_value(x) else x, tree, is_leaf=is_value)


def _plain_or_labelled(operator: lx.AbstractLinearOperator) -> lx.AbstractLinearOperator:
    if MODE.staging:
        return operator
    found = labelled(operator)
    return found.operator if found.takes.unitless and found.gives.unitless else found


class _Operators(type(lx.MatrixLinearOperator)):
    """The metaclass of the classes below, which of quantities make a `UnitLinearOperator`.

    That is an instance of them too, and so are Lineax's own. A subclass of the user's is a class as
    any other.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        make = _MAKERS.get(cls)
        if make is None:
            return super().__call__(*args, **kwargs)
        made = make(*args, **kwargs)
        return edited(made, cls) if type(made) is cls.__bases__[0] else made

    @property
    def __signature__(cls) -> inspect.Signature:  # Equinox's says what `__init__` takes
        return inspect.signature(_MAKERS.get(cls, cls.__init__))

    def __instancecheck__(cls, x: Any) -> bool:
        if cls not in _MAKERS:
            return super().__instancecheck__(x)
        kind = type(x.operator if type(x) is UnitLinearOperator else x)
        return cls.__bases__[0] in kind.__mro__


class FunctionLinearOperator(lx.FunctionLinearOperator, metaclass=_Operators):
    """A linear function of quantities, as an operator.

    As `lineax.FunctionLinearOperator`; the function may be plain JAX code, and may have captured
    quantities. `input_structure` is a tree of arrays or quantities, or of their shapes.
    """


class JacobianLinearOperator(lx.JacobianLinearOperator, metaclass=_Operators):
    """The Jacobian of `fn(x, args)` at `x`: it takes what `x` measures, gives what `fn` returns.

    As `lineax.JacobianLinearOperator`; the function may be plain JAX code, and may have captured
    quantities.

    ```python
    >>> from sciquax.interop import lineax as lx
    >>> from sciquax.units import Quantity
    >>> drag = lambda v, area: 0.5 * Quantity(1.2, "kg/m**3") * area * v**2
    >>> v, area = Quantity(10.0, "m/s"), Quantity(0.5, "m**2")
    >>> slope = lx.JacobianLinearOperator(drag, v, area)
    >>> lx.linear_solve(slope, Quantity(3.0, "N")).value.to("cm/s")
    Quantity(50.0, 'cm/s')

    ```
    """


class MatrixLinearOperator(lx.MatrixLinearOperator, metaclass=_Operators):
    """As `lineax.MatrixLinearOperator`, of an array or a quantity."""


class DiagonalLinearOperator(lx.DiagonalLinearOperator, metaclass=_Operators):
    """As `lineax.DiagonalLinearOperator`, of a tree of quantities in any units.

    Lineax's own of a quantity has a structure with the unit in it, and does not compose.
    """


class TridiagonalLinearOperator(lx.TridiagonalLinearOperator, metaclass=_Operators):
    """As `lineax.TridiagonalLinearOperator`, of quantities of one dimension."""


class PyTreeLinearOperator(lx.PyTreeLinearOperator, metaclass=_Operators):
    """As `lineax.PyTreeLinearOperator`, of blocks of quantities.

    **Arguments**: `output_structure`, a tree of arrays or quantities or of their shapes, whose
    leaves each stand for one row of blocks in `pytree`.

    **Raises** `DimensionalityError` for blocks in whose units no vector makes sense: those of
    each row must differ as those of the first do.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.interop import lineax as lx
    >>> from sciquax.units import Quantity
    >>> ohm = {"voltage": jnp.array(1.0), "current": Quantity(-50.0, "ohm")}
    >>> power = {"voltage": Quantity(0.2, "ampere"), "current": Quantity(10.0, "V")}
    >>> operator = lx.PyTreeLinearOperator([ohm, power], [jnp.zeros(()), jnp.zeros(())])
    >>> found = lx.linear_solve(operator, [Quantity(0.0, "V"), Quantity(4.0, "W")]).value
    >>> print(f"{found['voltage'].to('V'):.2f~P}, {found['current'].to('mA'):.0f~P}")
    10.00 V, 200 mA

    ```
    """


_MAKERS: dict[type, Callable[..., Any]] = {
    FunctionLinearOperator: takes_foreign(_function),
    JacobianLinearOperator: takes_foreign(_jacobian),
    MatrixLinearOperator: takes_foreign(_matrix),
    DiagonalLinearOperator: takes_foreign(_diagonal),
    TridiagonalLinearOperator: takes_foreign(_tridiagonal),
    PyTreeLinearOperator: takes_foreign(_pytree),
}
