"""`Quantity`: an array with a unit."""

import contextlib
import html
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pint.compat

from sciquax.core import (
    ArrayValue,
    LocatedError,
    Polymorphic,
    Unsettled,
    adopt,
    aval_of,
    coerce,
    describe,
    is_value,
    is_value_or_foreign,
    join,
    locate_stack,
    quaxify,
    strip,
)

from .._unit.contexts import active, cannot_convert, combine, context
from .._unit.convert import convert
from .._unit.errors import DimensionalityError
from .._unit.parsing import as_unit, base_unit, from_pint
from .._unit.registry import PINT
from .._unit.unit import InternedUnit, difference_unit, dimensionless, refuse_pint_context
from .annotations import annotation
from .arithmetic import as_number, mismatch, multiplicative
from .base import QuantityBase, bare, magnitude_of, own_unit, wrap
from .conversions import _as_array, _parse
from .printing import _RICH_LIMIT, _latex_array, _short, _shortest, _show, _split_format, _Tracer

if TYPE_CHECKING:
    from .stubs import ArrayMethods, Operators
else:
    from .array_methods import ArrayMethods
    from .operators import Operators

SCALING = jax.make_user_context(None)
"""Set while `nondimensionalise` runs a function: the units that captured values are taken to."""

_NO_CONTEXT = contextlib.nullcontext()


def _joined(value: Any) -> Any:
    """A list of quantities as one, in the first's unit; anything else as it is."""
    if isinstance(value, (list, tuple)) and any(
        map(is_value_or_foreign, jtu.tree_leaves(value, is_leaf=is_value_or_foreign))
    ):
        return quaxify(jnp.asarray)(value)
    return value


class Quantity(
    Operators,
    ArrayMethods,
    QuantityBase,
    ArrayValue,
    leaves=("magnitude",),
    static=("_unit",),
    unique_static="_unit",
):
    """An array of numbers that measure something: a magnitude and a unit.

    **Arguments**

    - `value`: anything `jnp.asarray` takes, or another array-ish value; or a string such as
      `"9.81 m/s**2"`; or a quantity (pint's or ours), which is converted if a unit is given.
    - `unit`: a string in pint's grammar, a `pint.Unit`, or another quantity's `.units`. Without
      one, dimensionless.

    **Raises** `UndefinedUnitError`, with near names, for a unit the registry does not know;
    `DimensionalityError` where a conversion is impossible.

    Operators, comparisons, indexing and methods work directly; JAX programs take quantities
    through [`sciquax.quaxify`][] or `sciquax.numpy`. A result whose unit is exactly dimensionless
    is a plain array.

    ```python
    >>> from sciquax.units import Quantity
    >>> Quantity(3.0, "km") / Quantity(2.0, "s")
    Quantity(1.5, 'km/s')
    >>> (Quantity(3.0, "km") + Quantity(500.0, "m")).to("m")
    Quantity(3500.0, 'm')

    ```
    """

    magnitude: Any
    _unit: InternedUnit

    layer: ClassVar[int] = 200
    polymorphic_constants: ClassVar[bool] = True
    differentiable_rules: ClassVar[bool] = True
    pure_rules: ClassVar[bool] = True
    payload: ClassVar[str | None] = "magnitude"
    explains_itself: ClassVar[bool] = True
    # Equinox's, written in Python, makes methods pytrees; it costs 0.3 us at each attribute.
    if not TYPE_CHECKING:
        __getattribute__ = object.__getattribute__
        __eq__, __ne__, __hash__ = Operators.__eq__, Operators.__ne__, Operators.__hash__

    def __init__(self, value: Any, unit: Any = None):
        if not isinstance(value, jax.Array):
            value = _parse(value) if isinstance(value, str) else adopt(_joined(value))
        target = None if unit is None else as_unit(unit)
        if isinstance(value, Quantity):
            if target is not None:
                value = value._converted(target)
            self.magnitude, self._unit = value.magnitude, value._unit
            return
        self._unit = dimensionless() if target is None else target
        self.magnitude = value if is_value(value) else _as_array(value)

    # -- what it is -------------------------------------------------------------------------------

    def aval(self) -> Any:
        return aval_of(self.magnitude)

    def materialise(self) -> Any:
        """The magnitude of a dimensionless quantity, reduced. **Raises** `DimensionalityError`."""

        return as_number("materialise", self)

    @property
    def m(self) -> Any:
        """The magnitude: the array without its unit."""
        return self.magnitude

    @property
    def units(self) -> pint.Unit:
        """The unit, as pint's."""
        return self._unit.pint

    @property
    def u(self) -> pint.Unit:
        """The unit, as pint's."""
        return self._unit.pint

    @property
    def dimensionality(self) -> Any:
        """pint's dimensionality of the unit, such as `[length] / [time]`."""
        return self._unit.dimensionality

    @property
    def dimensionless(self) -> bool:
        """Whether this is a number: also of `km/m`, percent and radians."""
        return self._unit.pure

    @property
    def unitless(self) -> bool:
        """Whether the unit is exactly dimensionless."""
        return self._unit.plain

    def check(self, dimension: Any) -> bool:
        """Whether this has a dimension, `"[length]/[time]"` or that of a unit."""
        registry = self._unit.registry
        return bool(self._unit.dimensionality == registry.get_dimensionality(dimension))

    def is_compatible_with(self, other: Any, *contexts: Any, **parameters: Any) -> bool:
        """Whether this can be converted to `other`: a unit, a unit's name or a quantity.

        **Arguments**: `other`, and contexts with their parameters as for `to`.
        """
        target = self._target(other)
        if self._unit.compatible(target):
            return True
        found = combine(active(), self._unit.registry, contexts, parameters)
        if found is None:
            return False
        try:
            jax.eval_shape(
                lambda x: found.convert(x, self._unit, target),
                jax.ShapeDtypeStruct((), jnp.result_type(float)),
            )
        except DimensionalityError:
            return False
        return True

    # -- conversion -------------------------------------------------------------------------------

    def _target(self, unit: Any) -> InternedUnit:
        """The unit that a quantity, a `pint.Unit` or a string, read in our registry, names."""
        if isinstance(unit, Quantity):
            return unit._unit
        return as_unit(unit, self._unit.registry)

    def _converted(
        self,
        target: InternedUnit,
        contexts: tuple[Any, ...] = (),
        parameters: dict[str, Any] | None = None,
    ) -> "Quantity":

        unit = self._unit
        if unit.compatible(target):
            # A context may redefine units, so it matters for one dimension too.
            block = context(*contexts, **(parameters or {})) if contexts else _NO_CONTEXT
            try:
                with block:
                    return bare(convert(self.magnitude, unit, target), target)
            except LocatedError as error:
                raise (locate_stack(error) if error.location is None else error) from None
        found = combine(active(), unit.registry, contexts, parameters or {})
        if found is None:
            refuse_pint_context(unit.registry)
            raise locate_stack(cannot_convert(unit, target, None))
        return bare(found.convert(self.magnitude, unit, target), target)

    def to(self, unit: Any, *contexts: Any, **parameters: Any) -> "Quantity":
        """The same quantity in another unit. Integers become floating point.

        **Arguments**

        - `unit`: a unit of the same dimension; or of another one that the contexts lead to.
        - `contexts`: names of pint contexts, or `pint.Context` objects; `parameters` are theirs.

        **Raises** `DimensionalityError` for a unit of another dimension; OverflowError where the
        factor is beyond what the dtype can hold.

        ```python
        >>> from sciquax.units import Quantity
        >>> print(f"{Quantity(2.0, 'eV').to('nm', 'spectroscopy'):.1f}")
        619.9 nanometer

        ```
        """
        return self._converted(self._target(unit), contexts, parameters)

    def m_as(self, unit: Any, *contexts: Any, **parameters: Any) -> Any:
        """The magnitude in another unit: a plain array. Arguments as for `to`."""
        return self.to(unit, *contexts, **parameters).magnitude

    def to_base_units(self, system: str | None = None) -> "Quantity":
        """In the base units of a unit system.

        **Arguments**: `system`, a name such as "SI", "mks", "cgs", "imperial", "US", "Planck" or
        "atomic"; by default the registry's own (`registry.default_system`, SI).

        **Raises** ValueError for a system that the registry does not have.
        """
        return self._converted(base_unit(self._unit, system))

    def to_root_units(self) -> "Quantity":
        """In the units that the registry is defined in, whatever its default system."""
        registry = self._unit.registry
        with PINT:
            root = registry.get_root_units(self._unit.pint, check_nonmult=False)[1]
        return self._converted(from_pint(root, registry))

    def to_reduced_units(self) -> "Quantity":
        """With every dimension in one unit: km/m is a number, and km*m becomes km**2."""
        return self._like_pint(lambda q: q.to_reduced_units())

    def to_preferred(self, preferred_units: Any = None) -> "Quantity":
        """In the simplest product of preferred units, found by pint (which needs SciPy for it).

        **Arguments**: `preferred_units`, a sequence of units; by default the registry's.
        """
        units = None if preferred_units is None else [self._target(u).pint for u in preferred_units]
        return self._like_pint(lambda q: q.to_preferred(units))

    def _like_pint(self, change: Any) -> "Quantity":
        """Converted to the unit that pint chooses for one of this unit."""
        registry = self._unit.registry
        with PINT:
            chosen = change(registry.Quantity(1.0, self._unit.pint)).units
        return self._converted(from_pint(chosen, registry))

    def to_compact(self, unit: Any = None) -> "Quantity":
        """With the prefix that makes the largest magnitude readable. Reads the array's contents.

        **Raises** JAX's `ConcretizationTypeError` under `jit`, where there are none.
        """
        q = self if unit is None else self.to(unit)
        # By its shortest decimal: float32's 1e-6 is a little less, and would come as 1000 nm.
        largest = float(str(np.max(np.abs(np.asarray(q.magnitude)), initial=0)))
        registry = q._unit.registry
        with PINT:
            compact = registry.Quantity(largest, q._unit.pint).to_compact()
        return q._converted(from_pint(compact.units, registry))

    @classmethod
    def from_pint(cls, quantity: Any) -> "Quantity":
        """The quantity that a `pint.Quantity` is, its magnitude as a JAX array."""
        return cls(quantity)

    def to_pint(self) -> Any:
        """A `pint.Quantity` of the same registry, its magnitude a NumPy array or number."""
        magnitude = np.asarray(self.magnitude)
        registry = self._unit.registry
        return registry.Quantity(magnitude[()] if magnitude.ndim == 0 else magnitude, self.units)

    # -- joining and nesting, for the interpreter -------------------------------------------------

    def canonical(self) -> Any:
        """A quantity made of a quantity is that one converted; others go inside out."""
        if isinstance(self.magnitude, Quantity):
            return Quantity(self.magnitude, self._unit)
        found, scaling = super().canonical(), SCALING.value
        return scaling.apply(found) if scaling is not None and found is self else found

    @classmethod
    def join(cls, lhs: Any, rhs: Any) -> Any:
        """In the first one's unit; what the magnitudes are is joined too."""

        joined = join(magnitude_of(lhs), magnitude_of(rhs))
        if type(rhs) is Polymorphic:
            return bare(joined, lhs._unit)
        if type(lhs) is Polymorphic:
            return bare(joined, rhs._unit)
        units = [x._unit if isinstance(x, Quantity) else dimensionless() for x in (lhs, rhs)]
        if not units[0].compatible(units[1]):
            raise Unsettled(DimensionalityError)
        if units[0].plain or units[1].plain:
            return joined
        return bare(joined, lhs._unit)

    @classmethod
    def coerce(cls, value: Any, example: Any) -> Any:

        target = example._unit if isinstance(example, Quantity) else dimensionless()
        if type(value) is Polymorphic:
            inner = strip(value)
            magnitude = inner.magnitude if isinstance(inner, Quantity) else inner
        else:
            unit = value._unit if isinstance(value, Quantity) else dimensionless()
            if not unit.compatible(target):
                raise mismatch("convert", (value, example))
            magnitude = value.magnitude if isinstance(value, Quantity) else value
            magnitude = convert(magnitude, unit, target)
        if isinstance(example, Quantity):
            return bare(coerce(magnitude, example.magnitude), target)
        return coerce(magnitude, example)

    def as_tangent(self, leaves: Any) -> Any:
        tangent = jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(self), leaves)
        return bare(tangent.magnitude, difference_unit(self._unit))

    def as_cotangent(self, leaves: Any) -> Any:
        cotangent = jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(self), leaves)
        unit = difference_unit(self._unit) ** -1
        return cotangent.magnitude if unit.plain else bare(cotangent.magnitude, unit)

    @classmethod
    def derivative(cls, out: Any, arg: Any, leaf: Any) -> Any:
        unit = dimensionless()
        if isinstance(arg, Quantity):
            unit = difference_unit(arg._unit) ** -1
        if isinstance(out, Quantity):
            unit = difference_unit(out._unit) * unit
        return leaf if unit.plain else bare(leaf, unit)

    @classmethod
    def align(cls, primals: Sequence[Any], tangents: Sequence[Any], inverse: bool) -> Any:
        """In the units of the primals times one common rate, whose unit the results carry."""

        rate: InternedUnit | None = None
        pairs = []
        for primal, tangent in zip(primals, tangents, strict=True):
            if not isinstance(strip(tangent), Quantity) and not hasattr(tangent, "dtype"):
                tangent = tangent if type(tangent) is Polymorphic else jnp.asarray(tangent)
            unit, given = difference_unit(own_unit(primal)), own_unit(tangent)
            pairs.append((unit, given))
            own = given * unit if inverse else given / unit
            if type(tangent) is Polymorphic:  # a literal 0 is in any unit
                continue
            if rate is None or own.compatible(rate):
                rate = own if rate is None else rate
            else:
                raise DimensionalityError(
                    f"A tangent is in '{given}' for a value in '{unit}', while another's ratio to "
                    f"its value is in '{rate}'.",
                    given.pint,
                    unit.pint,
                    "Give all tangents in the units of their values, up to one common factor.",
                )
        common = dimensionless() if rate is None else rate
        aligned = []
        for primal, tangent, (unit, given) in zip(primals, tangents, pairs, strict=True):
            magnitude = magnitude_of(strip(tangent))
            if type(tangent) is not Polymorphic:
                due = common / unit if inverse else common * unit
                magnitude = convert(magnitude, given, due)
            aligned.append(
                bare(magnitude, primal._unit) if isinstance(primal, Quantity) else magnitude
            )

        def scale(value: Any) -> Any:
            return wrap(magnitude_of(value), own_unit(value) * common)

        return aligned, scale

    @staticmethod
    def default(primitive: Any, values: Sequence[Any], params: dict[str, Any]) -> Any:
        """Refuse: a unit is never dropped for want of a rule."""
        shown = ", ".join(describe(x) for x in values)
        raise DimensionalityError(
            f"`{primitive.name}` has no rule for units, and got ({shown}).",
            remedy=f"Divide by a reference scale first, or register a rule: "
            f"`sciquax.core.register_family(Quantity, '{primitive.name}', rule)`.",
        )

    # -- how it looks -----------------------------------------------------------------------------

    def __short__(self) -> str:
        return f"Quantity({_short(self.magnitude)}, '{self._unit}')"

    def __repr__(self) -> str:
        return f"Quantity({_show(self.magnitude)}, '{self._unit}')"

    def __pdoc__(self, **_: Any) -> Any:
        import wadler_lindig as wl  # with which Equinox prints trees

        return wl.TextDoc(self.__short__())

    def __str__(self) -> str:
        return f"{_show(self.magnitude, ' ')} {self.units}"

    def __format__(self, spec: str) -> str:
        """A number's format and pint's for the unit: `f"{q:.2f~P}"`, `f"{q:Lx}"`, `f"{q:H}"`."""
        magnitude = self.magnitude
        if (
            is_value(magnitude)
            or not isinstance(magnitude, (jax.Array, np.ndarray, int, float))
            or (isinstance(magnitude, _Tracer))
        ):
            return f"{_show(magnitude)} {format(self.units, _split_format(spec)[1])}".rstrip()
        shown = _shortest(np.asarray(magnitude))
        if isinstance(shown, np.ndarray) and "L" in spec:
            number, unit = _split_format(spec)
            return f"{_latex_array(shown, number)}\\ {format(self.units, unit)}"
        return format(self._unit.registry.Quantity(shown, self.units), spec)

    def _repr_html_(self) -> str:
        """For notebooks: as pint shows it."""
        return self._rich("~H", html.escape)

    def _repr_latex_(self) -> str:
        """For notebooks: as pint shows it."""
        return f"${self._rich('~L', str)}$"

    def _rich(self, spec: str, plain: Any) -> str:
        magnitude = self.magnitude
        concrete = isinstance(magnitude, (jax.Array, np.ndarray)) and not (
            isinstance(magnitude, _Tracer)
        )
        if concrete and magnitude.size <= _RICH_LIMIT:
            return format(self, spec)
        return f"{plain(_show(magnitude, ' '))} {format(self.units, spec)}"

    # -- meeting Python, NumPy and JAX ------------------------------------------------------------

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        """A NumPy array of a dimensionless quantity. **Raises** `DimensionalityError` otherwise.

        An array of objects keeps the unit: its elements are scalar quantities.
        """
        if dtype is not None and np.dtype(dtype).hasobject and not self._unit.plain:
            elements = np.empty(self.shape, object)
            for index in np.ndindex(self.shape):
                elements[index] = self[index]
            return elements
        return np.asarray(self._number("np.asarray"), dtype=dtype)

    __array_priority__ = 100

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """NumPy's functions on quantities: the JAX function of the same name."""
        import sciquax.numpy as sqnp

        function = getattr(sqnp, ufunc.__name__, None)
        if method != "__call__" or kwargs or function is None:
            return NotImplemented
        return function(*inputs)

    def _number(self, what: str) -> Any:

        try:
            return as_number(what, self)
        except DimensionalityError as error:
            error.remedy = "Use `.m_as(unit)` for the magnitude in a unit of your choice."
            raise locate_stack(error) from None

    def __float__(self) -> float:
        return float(self._number("float"))

    def __int__(self) -> int:
        return int(self._number("int"))

    def __complex__(self) -> complex:
        return complex(self._number("complex"))

    def __index__(self) -> int:
        return self._number("an index").__index__()

    def __bool__(self) -> bool:
        if self._unit.offset:
            multiplicative("bool", self._unit)
        return bool(self.magnitude)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a scalar quantity")
        return self.shape[0]

    def __iter__(self) -> Iterator["Quantity"]:
        if not self.shape:
            raise TypeError("iteration over a scalar quantity")
        return (bare(x, self._unit) for x in self.magnitude)

    def __getitem__(self, index: Any) -> "Quantity":
        return bare(self.magnitude[_plain_index(index)], self._unit)

    def __class_getitem__(cls, unit: Any) -> Any:

        return annotation(unit)

    def item(self, *args: Any) -> "Quantity":
        """One element, as a scalar quantity."""
        return bare(jnp.asarray(self.magnitude.item(*args)), self._unit)

    def block_until_ready(self) -> "Quantity":
        """Wait for the magnitude to be computed, as `jax.Array.block_until_ready`."""
        self.magnitude.block_until_ready()
        return self


def _plain_index(index: Any) -> Any:
    """An index with quantities in it, which must be numbers, as such."""
    if isinstance(index, tuple):
        return tuple(map(_plain_index, index))
    return index._number("an index") if isinstance(index, Quantity) else index


# `pint_quantity * quantity` is ours: pint would wrap it as the magnitude of its own otherwise.
pint.compat.upcast_type_map[f"{Quantity.__module__}.{Quantity.__qualname__}"] = Quantity  # pyright: ignore[reportIndexIssue]
