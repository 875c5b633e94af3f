"""`Value`: the contract between a custom array-ish object and the interpreter."""

import abc
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from .._compat.frames import asked_what_it_is, called_of_jax
from .._compat.jaxprs import ShapedArray
from .._compat.registries import admit_operand
from .._errors import RuleError, Unsettled, outside
from .array_methods import ArrayMethods
from .captured import CapturedValue, inject, typeof_aval
from .flattening import ValueMeta
from .kinds import VALUE_TYPES, Display, aval_of, brief, describe
from .materialisation_log import materialised, tell
from .mode import MODE


class Value(Display, eqx.Module, metaclass=ValueMeta):
    """The base class of array-ish objects. Subclass it to make a type.

    A value is an Equinox module: its fields are its leaves, unless they are marked
    `eqx.field(static=True)`. Give it rules with [`sciquax.register_rule`][], or with
    [`sciquax.register`][] by signature; operations without a rule go to `default`.

    **Attributes for subclasses**

    - `layer`: how far out the type sits when values nest; the outermost operand's rule is asked
      first. Names are 300, units 200, structure 100, storage 0.
    - `pure_rules`: whether rules do nothing but compute, so that a call of an un-jitted function
      may run the operations that the last one came to.
    - `polymorphic_constants`: whether rules want to see literal 0, inf and nan as such.
    - `differentiable_rules`: whether rules for whole functions are differentiated themselves under
      `grad` of the caller; otherwise the function's own derivative is interpreted.
    - `explains_itself`: whether `jnp.asarray` outside of `quaxify` gets our error, as all other
      functions do, for a type that defines `__array__`, rather than what that gives.
    - `own_operators`: whether operators and methods mean something else than JAX's. Functions given
      to `sciquax.grad` and its siblings are then called on the values first, and staged only if
      they hand one to JAX; and values of inner layers leave mixed operators to this type's.
    - `wants_deferred`: whether it would rather meet masks and constants as formulas than as arrays;
      `transient`: whether it is such a formula. See `formulas.py`.
    - `of_every_unit`: whether the value fits every unit, as a literal 0 does.
    - `payload`: the field that holds the array inside, if that may be a value of another type.
    - `optional_leaves`: those of the `leaves` that are None in some values of the type.
    - `sums_by_parts`: whether the arrays of a sum of two are the sums of their arrays, for a solver
      to step. Of other types that is found out by adding two.
    """

    layer: ClassVar[int] = 0
    polymorphic_constants: ClassVar[bool] = False
    differentiable_rules: ClassVar[bool] = False
    explains_itself: ClassVar[bool] = False
    pure_rules: ClassVar[bool] = False
    wants_deferred: ClassVar[bool] = False
    transient: ClassVar[bool] = False
    of_every_unit: ClassVar[bool] = False
    payload: ClassVar[str | None] = None
    optional_leaves: ClassVar[tuple[str, ...]] = ()
    own_operators: ClassVar[bool] = False
    sums_by_parts: ClassVar[bool] = False

    @abc.abstractmethod
    def aval(self) -> ShapedArray:
        """The shape and dtype that JAX programs see."""

    def materialise(self) -> Any:
        """A plain array of the same meaning, or an error where there is none.

        **Raises** `RuleError` unless the subclass defines it.
        """
        raise RuleError(f"Refusing to materialise `{type(self).__name__}`.")

    @staticmethod
    def default(primitive: Any, values: Sequence[Any], params: dict[str, Any]) -> Any:
        """Carry out a primitive without a rule: materialise every value and bind the primitive.

        Override it to do something else. Where several types meet, at most one of them may.

        **Arguments**: the primitive, its operands (values and arrays) and its parameters.

        **Raises** `RuleError` if a value's type does not define `materialise`, or whatever its
        `materialise` raises.
        """
        arrays = [_materialise(x, primitive, values) for x in values]
        return primitive.bind(*arrays, **primitive.get_bind_params(params))

    def is_array(self) -> bool:
        """Whether this value is equivalent to its one leaf, as a number without a unit is."""
        return False

    # -- common types: loops and conditionals -----------------------------------------------------

    @classmethod
    def common_type(cls, lhs: Any, rhs: Any) -> Any:
        """The type that the branches of a conditional, or a loop's carry, both become.

        **Arguments**: `lhs` and `rhs`, at least one of this class. The other may be a value of an
        inner layer, a plain array, or a `jax.ShapeDtypeStruct` in its place; and, if the class
        says `polymorphic_constants`, a `UnitPolymorphic` around one of these, for a literal 0, inf
        or nan.

        **Returns** an example of the common type: its leaves count by shape and dtype alone.

        **Raises** `Unsettled` if there is none.
        """
        if jtu.tree_structure(lhs) == jtu.tree_structure(rhs):
            return lhs
        raise Unsettled

    @classmethod
    def convert_to(cls, value: Any, example: Any) -> Any:
        """`value` in the type of `example`, which came from `common_type`.

        **Arguments**: as for `common_type`, but that numbers are there, and have become arrays: a
        literal of the program too. `example` may be plain, where `value` is of this class.

        **Returns** a value, or an array, with the structure and the shapes of `example`.

        **Raises** `Unsettled` if it cannot be converted.
        """
        raise Unsettled

    def minds_numbers(self) -> bool:
        """Whether `check_number` would refuse any, of an example of a value."""
        return False

    def check_number(self, number: Any, op: str) -> None:
        """Refuse a number that the program states where this might stand as well.

        Asked of an example of what a branch, or a loop's body, gives. **Arguments**: what another
        branch gives, or the loop starts from, as a NumPy array; and what it is, for errors.
        """

    # -- leading axes: scans, and functions under `vmap` ------------------------------------------

    def as_sliceable(self) -> Any:
        """This value in a form whose leaves' slices along their leading axes make its slices.

        Asked where they do not as it is. The array inside is, of what has one; else it is
        materialised, or refuses.
        """
        inner: Any = None if self.payload is None else getattr(self, self.payload)
        if type(inner) in VALUE_TYPES:
            return self.with_payload(inner.as_sliceable())
        return self.materialise()

    def as_element(self, leaves: Sequence[Any]) -> Any:
        """The value of one slice along this one's leading axis, made of its leaves' slices."""
        return jtu.tree_unflatten(jtu.tree_structure(self), leaves)

    def as_stacked(self, leaves: Sequence[Any]) -> Any:
        """The value of several like this one along a new leading axis, made of stacked leaves."""
        return jtu.tree_unflatten(jtu.tree_structure(self), leaves)

    @classmethod
    def scanned_axis(cls, scanned: Sequence[Any]) -> Any:
        """A description of the leading axis along which values are scanned, or None."""
        return None

    @classmethod
    def stacked_along(cls, element: Any, leaves: Sequence[Any], axis: Any) -> Any:
        """Several values like `element`, which may be a plain array, stacked along a new axis.

        `axis` is what this type's `scanned_axis` said of it.
        """
        raise NotImplementedError

    # -- meeting other values ---------------------------------------------------------------------

    def canonical(self) -> Any:
        """The same value in canonical nesting order, its invariants checked.

        A value of an outer `layer` is moved out of the `payload` of one of an inner layer.
        """
        inner: Any = None if self.payload is None else getattr(self, self.payload)
        if type(inner) not in VALUE_TYPES:
            return self
        settled = inner.canonical()
        if settled.payload is None or settled.layer <= self.layer:
            return self if settled is inner else self.with_payload(settled)
        return settled.with_payload(
            self.with_payload(getattr(settled, settled.payload)).canonical()
        )

    def with_payload(self, inner: Any) -> Any:
        """This value around another array, without asking `__init__`."""
        assert self.payload is not None
        value = object.__new__(type(self))
        for field in dataclasses.fields(self):  # pyright: ignore[reportArgumentType]
            object.__setattr__(value, field.name, getattr(self, field.name))
        object.__setattr__(value, self.payload, inner)
        return value

    def as_tangent(self, leaves: Any) -> Any:
        """The value of this type's tangent space made of `leaves`, shaped like this one's."""
        return jtu.tree_unflatten(jtu.tree_structure(self), leaves)

    def as_cotangent(self, leaves: Any) -> Any:
        """The value of this type's cotangent space made of `leaves`."""
        return jtu.tree_unflatten(jtu.tree_structure(self), leaves)

    @classmethod
    def derivative(cls, out: Any, arg: Any, leaf: Any) -> Any:
        """The derivative of `out` by `arg` whose bare array is `leaf`.

        `out` is None where a cotangent has been pulled back to `arg` and only its side counts.
        """
        return jtu.tree_unflatten(jtu.tree_structure(arg), jtu.tree_leaves(leaf))

    @classmethod
    def align(
        cls, primals: Sequence[Any], tangents: Sequence[Any], inverse: bool
    ) -> tuple[list[Any], Callable[[Any], Any] | None]:
        """Tangents (cotangents if `inverse`) in the types of the primals, up to one common factor.

        **Returns** them, and what multiplies a result of this type by that factor (or None).
        """
        return list(tangents), None

    def as_point(self) -> Any:
        """The same numbers in a form where derivatives by the leaves make one by the elements."""
        inner: Any = None if self.payload is None else getattr(self, self.payload)
        if type(inner) in VALUE_TYPES:
            return self.with_payload(inner.as_point())
        return self

    def unclaimed(self) -> Any:
        """The same numbers without claimed properties, as their sums and multiples have none."""
        return self

    # -- looks ------------------------------------------------------------------------------------

    def __dir__(self) -> list[str]:
        """The names for users, without those that rules, loops and solvers call."""
        asked = vars(Value).keys() - {"aval", "materialise"}
        return sorted(x for x in object.__dir__(self) if x[:2] == "__" or x not in asked)

    # -- meeting JAX ------------------------------------------------------------------------------

    @property
    def __jax_array__(self) -> Callable[[], Any]:
        if MODE.staging or MODE.direct:
            if asked_what_it_is(operators=False):
                raise AttributeError("__jax_array__")
        else:
            if asked_what_it_is():
                raise AttributeError("__jax_array__")  # so that Python tries our reflected operator
        return self._jax_array

    def _jax_array(self) -> Any:
        if MODE.staging:
            return inject(self)
        if MODE.direct:
            raise CapturedValue
        called = called_of_jax()
        if called in _AS_ARRAY and hasattr(type(self), "__array__") and not self.explains_itself:
            return jnp.asarray(np.asarray(self))
        raise outside(type(self).__name__, called)


_AS_ARRAY = ("jax.numpy.asarray", "jax.numpy.array")


class ArrayValue(ArrayMethods, Value):
    """A `Value` that stands for one array, whose shape and dtype `aval()` gives.

    Operations without a rule materialise it, if it defines `materialise`. It has Python's
    operators, JAX's array methods and `.at`, which do what `quaxify` of JAX's functions does. A
    subclass may override one of them, or a hook that many share: `_binary(name, lhs, rhs)` and
    `_unary(name, *args)` of operators, `_method(name, args, kwargs)` of methods, and
    `_update(index, what, args, kwargs)` of `.at`. [`sciquax.register_rule`][] has an example.
    """

    def __repr__(self) -> str:
        fields = dataclasses.fields(self)  # pyright: ignore[reportArgumentType]
        parts = ", ".join(f"{f.name}={brief(getattr(self, f.name))}" for f in fields if f.repr)
        return f"{type(self).__name__}({parts})"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.aval().shape

    @property
    def dtype(self) -> np.dtype:
        return self.aval().dtype

    @property
    def ndim(self) -> int:
        return len(self.aval().shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.aval().shape, dtype=np.int64))

    @classmethod
    def common_type(cls, lhs: Any, rhs: Any) -> Any:
        """Types that materialise by default become a plain array with a plain array or another."""
        if jtu.tree_structure(lhs) == jtu.tree_structure(rhs):
            return lhs
        types = {type(x) for x in (lhs, rhs) if type(x) in VALUE_TYPES}
        if type(lhs) is type(rhs) or any(t.default is not Value.default for t in types):
            raise Unsettled
        aval = aval_of(lhs)
        return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type)

    @classmethod
    def convert_to(cls, value: Any, example: Any) -> Any:
        if type(value) in VALUE_TYPES and type(example) not in VALUE_TYPES:
            return materialised(value, "join")
        raise Unsettled


def _materialise(x: Any, primitive: Any, values: Sequence[Any]) -> Any:
    """`x` as a plain array for a primitive that has no rule; an error that arises says so."""
    if type(x) not in VALUE_TYPES:
        return x
    if type(x).materialise is Value.materialise:
        raise RuleError(
            f"{_missing(primitive, values)}.",
            f"Register one with `sciquax.register({primitive.name}_p)`.",
        )
    tell(x, primitive.name)
    try:
        return x.materialise()
    except Exception as error:
        error.add_note(
            f"{_missing(primitive, values)}, so `{type(x).__name__}` had to be materialised."
        )
        raise


def _missing(primitive: Any, values: Sequence[Any]) -> str:
    return f"`{primitive.name}` has no rule for ({', '.join(map(describe, values))})"


# `jnp` functions ask a captured value for `__jax_array__`; `lax` functions and `primitive.bind` do
# not, and find it here.
admit_operand(
    Value,
    aval=lambda value: typeof_aval(value) if MODE.staging else value._jax_array(),
    convert=lambda value: value._jax_array(),
)
