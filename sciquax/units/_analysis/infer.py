"""`infer`: the units that a function's inputs must have, found from its program."""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from sciquax.core import is_value, run
from sciquax.core.internal import TRUST, adopt_all

from .._quantity.arithmetic import mismatch
from .._quantity.base import bare
from .._quantity.quantity import Quantity
from .._unit.errors import DimensionalityError
from .._unit.parsing import as_unit
from .._unit.registry import get_registry
from .._unit.unit import InternedUnit, dimensionless
from .._wrapping.with_constants import with_constants
from .bare_constants import UnknownLiterals, constants_of_modules, of_unknown_unit
from .unknown_units import SymbolicUnit, System, Variable, exponents_of


class Unknown:
    """An input of a function whose unit `infer` is to find.

    **Arguments**: `value`, an array or a `jax.ShapeDtypeStruct`, a scalar by default; and `name`,
    by default the argument's. Unknowns of one given name have one unit.
    """

    def __init__(self, value: Any = None, name: str | None = None):
        if isinstance(value, str):
            raise TypeError(f"Unknown(array, name='{value}'): the value comes first.")
        if value is None:
            value = jax.ShapeDtypeStruct((), jnp.result_type(float))
        elif not hasattr(value, "dtype"):
            value = jnp.asarray(value)
        self.value = value
        self.name = name

    def __repr__(self) -> str:
        shape = ",".join(map(str, self.value.shape))
        return f"Unknown({self.value.dtype}[{shape}])"


unknown: Unknown = Unknown()
"""A scalar of unknown unit."""


class ContradictionError(DimensionalityError):
    """No units of the unknowns make a function right. **Attributes**: `because`, earlier lines."""

    because: tuple[str, ...] = ()


class Inferred:
    """The unit inferred for one input or output.

    **Attributes**: `free`, whether unknowns are left in it; `unit`, a `pint.Unit` (None if free):
    the base unit of an unknown, the unit itself of an output that is known; `dimensionality` (None
    if free); `exponents`, the powers of the free unknowns by name; and `known`, the dimension that
    is beside them.
    """

    def __init__(self, system: System, unit: InternedUnit):
        reduced = system.reduce(exponents_of(unit))
        self.exponents: dict[str, Fraction] = {
            k.name: p for k, p in reduced.items() if type(k) is Variable
        }
        self.known: dict[Any, Fraction] = {
            k: p for k, p in reduced.items() if type(k) is not Variable
        }
        self.free: bool = bool(self.exponents)
        real = system.real_unit(reduced) if isinstance(unit, SymbolicUnit) else unit
        self.unit: Any = None if self.free else real.pint
        self.dimensionality: Any = None if self.free else real.dimensionality
        self._text = system.text(reduced) if self.free else str(real)

    def is_compatible_with(self, unit: Any) -> bool:
        """Whether this is of the dimension of a unit; False while it is free."""
        return not self.free and as_unit(unit).dimensionality == self.dimensionality

    def __repr__(self) -> str:
        return self._text


class Inference:
    """The result of `infer`. Print it.

    **Attributes**

    - `inputs`: an `Inferred` for each unknown, by name.
    - `outputs`: the function's output with an `Inferred` for each array.
    - `free`: the names of the unknowns that may have any unit; all others follow from them.
    - `constants`: with `infer(..., constants=True)`, the constants of modules whose dimension is
      found, by full name, each a quantity of its number and the dimension's base unit: what
      [`sciquax.units.with_constants`][] takes.
    - `literals`: and the literals that have a unit, or whose unit is free: each the number, its
      `Inferred` and its line.
    """

    constants: dict[str, Quantity]
    literals: tuple[tuple[Any, Inferred, str], ...] = ()

    def __init__(self, system: System, units: dict[str, InternedUnit], outputs: Any):
        self.constants = {}
        self._free_constants: dict[str, Inferred] = {}
        self.inputs: dict[str, Inferred] = {
            name: Inferred(system, unit) for name, unit in units.items()
        }
        self.outputs: Any = outputs
        self.free: tuple[str, ...] = tuple(
            v.name for v in system.variables if v not in system.solution
        )

    def __getitem__(self, name: str) -> Inferred:
        return self.inputs[name]

    def __repr__(self) -> str:
        lines = [f"{name}: {found}" for name, found in self.inputs.items()]
        lines.append(f"-> {self.outputs}")
        for name, q in self.constants.items():
            lines.append(f'"{name}": {q!r},')
        lines += [f'"{name}": {found},' for name, found in self._free_constants.items()]
        lines += [f"{value!r}: {found}  at {place}" for value, found, place in self.literals]
        if self.free:
            lines.append("free: " + ", ".join(self.free))
        return "\n".join(lines)


_NOTHING = contextlib.nullcontext()


def infer(
    fn: Callable[..., Any], returns: Any = None, constants: bool = False
) -> Callable[..., Inference]:
    """Find the units that a function's program requires of its inputs.

    **Arguments**

    - `fn`: any function that `quaxify` takes.
    - `returns`: the unit of its output (a tree of units, for several), if that is known.
    - `constants`: whether to find the units of the program's bare numbers too: of constants of
      modules, Newton's in a package, and of literals, a fitted coefficient or a floor of 1e-3, but
      for such as count (small whole numbers, simple fractions, multiples of pi). A count takes a
      unit where it meets one in a sum, a comparison or a selection. What is found of constants is
      in the form that [`sciquax.units.with_constants`][] takes, in base units: it is right if the
      package's numbers are in such, and wants converting otherwise.

    **Returns** a function of the same arguments, in which `Unknown(array)`, or `unknown` for a
    scalar, stands for an input whose unit is to be found. Plain arrays and numbers have none:
    they are numbers. Nothing is computed: the function is traced, through `jit`, loops,
    conditionals and derivatives, and every sum, comparison and exponential is a linear equation
    for the exponents of the unknown units, solved in fractions. Dimensions are found, not scales.

    **Raises** `ContradictionError`, naming the line, where no units will do.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.units import Quantity, infer, unknown
    >>> def decay(t, rate, height):
    ...     return height * jnp.exp(-rate * t)
    >>> infer(decay)(Quantity(3.0, "hour"), unknown, unknown)
    rate: 1/s
    height: unit(height)
    -> unit(height)
    free: height

    ```

    The method is that of A. J. Kennedy, *Programming Languages and Dimensions* (1996), chapter 3,
    with rational exponents.
    """

    def inferred(*args: Any, **kwargs: Any) -> Inference:
        system = System(get_registry())
        args, kwargs = adopt_all((args, kwargs))
        paths, treedef = jtu.tree_flatten_with_path(
            (fn, args, kwargs), is_leaf=lambda x: isinstance(x, Unknown) or is_value(x)
        )
        names = _argument_names(fn, args)
        units: dict[str, InternedUnit] = {}
        leaves, chosen = [], []
        for path, leaf in paths:
            if isinstance(leaf, Unknown):
                name = leaf.name or _name(path, names)
                if name not in units:
                    units[name] = system.unknown(name)
                leaf = bare(leaf.value, units[name])
            if isinstance(leaf, Quantity):
                chosen.append(len(leaves))
            leaves.append(leaf)
        outputs: Any = None

        def traced(quantities: list[Any]) -> None:
            nonlocal outputs
            given = list(leaves)
            for i, q in zip(chosen, quantities, strict=True):
                given[i] = q
            fn, args, kwargs = jtu.tree_unflatten(treedef, given)
            out = run(fn, args, kwargs)
            if returns is not None:
                _require(out, returns)
            # Only now: an equation may find what was unknown when the output was made.
            outputs = jtu.tree_map(lambda x: Inferred(system, _unit(x)), out, is_leaf=is_value)

        numbers = constants_of_modules(fn) if constants else {}
        bare_units = {name: system.unknown(name) for name in numbers}
        literals = UnknownLiterals(system) if constants else None
        reading = _NOTHING if literals is None else TRUST(literals)
        named = {name: of_unknown_unit(x, bare_units[name]) for name, x in numbers.items()}
        try:
            with with_constants(named) if named else _NOTHING, reading:
                jax.eval_shape(traced, [leaves[i] for i in chosen])
        except DimensionalityError as error:
            if system.contradiction is None:
                raise
            raise _explained(error, system) from None
        found = Inference(system, units, outputs)
        for name, x in numbers.items():
            of_it = Inferred(system, bare_units[name])
            if of_it.free:
                found._free_constants[name] = of_it
            elif not of_it.is_compatible_with(""):
                found.constants[name] = Quantity(x, of_it.unit)
        found.literals = () if literals is None else tuple(_literals(system, literals))
        return found

    return inferred


def _literals(system: System, literals: UnknownLiterals) -> Iterator[tuple[Any, Inferred, str]]:
    """The units inferred for literals, without those that are plain numbers."""
    seen = set()
    taken = [(number, unit) for (number, _), unit in literals.taken.items()]
    for number, unit in [*literals.units.items(), *taken]:
        found = Inferred(system, unit)
        key = (number.value, str(found), number.place)
        if key not in seen and (found.free or not found.is_compatible_with("")):
            seen.add(key)
            yield number.value, found, number.place


def _unit(x: Any) -> InternedUnit:
    return x._unit if isinstance(x, Quantity) else dimensionless()


def _require(out: Any, returns: Any) -> None:
    wanted, tree = jtu.tree_flatten(
        returns, is_leaf=lambda x: not isinstance(x, (tuple, list, dict))
    )
    for x, unit in zip(tree.flatten_up_to(out), wanted, strict=True):
        if unit is not None and not _unit(x).compatible(as_unit(unit)):
            raise mismatch("return", (x, bare(0.0, as_unit(unit))))


def _explained(error: DimensionalityError, system: System) -> ContradictionError:
    """The error of the line that contradicts, with the lines that it contradicts."""
    assert system.contradiction is not None
    made = ContradictionError(error.what(), error.units1, error.units2).at(error.location)
    because = []
    for equation in system.why(system.contradiction.exponents):
        where = f"  at {equation.location}" if equation.location is not None else ""
        because.append(f"`{system.equation(equation.news)}` is asked for{where}")
    made.because = tuple(dict.fromkeys(because))
    made.remedy = "\n".join(made.because)
    return made


def _argument_names(fn: Callable, args: tuple) -> list[str]:
    """The names of positional arguments, by the function's signature where it has one."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = []
    for i in range(len(args)):
        positional = i < len(parameters) and parameters[i].kind in (
            inspect.Parameter.POSITIONAL_ONLY,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
        )
        names.append(parameters[i].name if positional else f"args[{i}]")
    return names


def _name(path: tuple[Any, ...], names: list[str]) -> str:
    """The name of the unknown at a place in `(fn, args, kwargs)`."""
    part, *rest = path
    if part.idx == 0:
        return "fn" + jtu.keystr(tuple(rest))
    first, *rest = rest
    name = names[first.idx] if part.idx == 1 else first.key
    return name + jtu.keystr(tuple(rest))
