"""`StructuredMatrix`: what each structure says of itself, and what follows from that.

A structure says how to multiply, transpose, look up, solve. The rules for primitives
(`_primitives/`), for whole functions (`_functions/`) and for two structures (`_arithmetic/`) are
written once on these methods.

All methods take leading batch dimensions, which broadcast as in `jnp.matmul`.
"""

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax._storage.promotion import lenient
from sciquax.core import (
    VALUE_TYPES,
    ArrayValue,
    Facts,
    Polymorphic,
    RuleError,
    Scaling,
    Structure,
    bind,
    describe,
    register_facts,
    strip,
)
from sciquax.core.internal import ShapedArray, Tracer

from . import operations
from .properties import checked, surviving
from .solve import solve

REMEDY = (
    "Pass `allow_materialise=True` to the matrix's constructor, or write `.materialise()` where "
    "a dense array is meant."
)


class _Assembly:
    """Making a matrix of its arrays, as the rules of outer types see it: a primitive.

    Quantities in a matrix's arrays take their unit outside of it through their own rule for the
    scaling that the structure names.
    """

    multiple_results = False

    def __init__(self, like: "StructuredMatrix"):
        self.name = f"assemble_{like.scaling}"
        self._like = like.rebuild([None] * len(like.LEAVES), properties=like.properties)

    def __eq__(self, other: Any) -> bool:  # to dispatch, all of one scaling are one
        return type(other) is _Assembly and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def bind(self, *arrays: Any, **_: Any) -> Any:
        made = self._like.rebuild(arrays, properties=self._like.properties)
        with lenient():
            made.normalise()
        return made


register_facts("assemble_join", Facts(Structure.OTHER, Scaling.JOIN))
register_facts("assemble_join_first_two", Facts(Structure.OTHER, Scaling.JOIN, data=(0, 1)))
register_facts("assemble_product", Facts(Structure.OTHER, Scaling.PRODUCT))


class StructuredMeta(type(ArrayValue)):
    """A constructor given quantities returns a quantity of a matrix: units belong outside."""

    if not TYPE_CHECKING:  # a call makes an instance, as of any class

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            return super().__call__(*args, **kwargs).canonical()


class StructuredMatrix(ArrayValue, metaclass=StructuredMeta):
    """The base of all structured matrices.

    **Attributes for subclasses**: `LEAVES`, the names of the defining arrays, and `CORE`, how many
    axes each has without batch axes; `STATIC`, the names of what else defines it;
    `scaled_leaves`, those that a scalar factor multiplies (all, if None); `scaling`, how the
    matrix scales with its arrays: `join` (all have one unit) or `product`; `claims`, properties
    that the structure implies.
    """

    layer: ClassVar[int] = 100
    wants_deferred: ClassVar[bool] = True
    LEAVES: ClassVar[tuple[str, ...]] = ()
    CORE: ClassVar[tuple[int, ...]] = ()
    STATIC: ClassVar[tuple[str, ...]] = ("allow_materialise", "properties")
    scaled_leaves: ClassVar[tuple[str, ...] | None] = None
    scaling: ClassVar[str] = "join"
    claims: ClassVar[frozenset[str]] = frozenset()

    allow_materialise: bool
    properties: frozenset[str]

    # Equinox makes each method looked up a module of its own, which flattens the matrix: ours are
    # looked up dozens of times in a rule.
    if not TYPE_CHECKING:
        __getattribute__ = object.__getattribute__

    # -- what each structure says -----------------------------------------------------------------

    def matmat(self, x: Any) -> Any:
        """`self @ x` for an array `x` of shape (..., columns, k)."""
        raise NotImplementedError

    def transpose(self) -> "StructuredMatrix":
        raise NotImplementedError

    def entries(self, i: Any, j: Any) -> Any:
        """The elements at index arrays `i` and `j` of one shape: (..., *shape)."""
        return NotImplemented

    def matvec(self, x: Any) -> Any:
        """`self @ x` for an array `x` of shape (..., columns)."""
        return self.matmat(x[..., None])[..., 0]

    def solve(self, b: Any) -> Any:
        """The solution of `self @ x = b` for `b` of shape (..., rows, k), or NotImplemented."""
        return NotImplemented

    def linear_solve(self, b: Any) -> Any:
        """As `solve`, for `b` of any dtype and batch axes, differentiated implicitly."""
        return solve(self, b)

    def half(self) -> str | None:
        """Of triangular matrices `lower` or `upper`, which they are; None of all others."""
        return None

    def solves_directly(self) -> bool:
        """Whether `solve` is differentiated as it is, since products cannot be transposed."""
        return False

    def can_solve(self) -> bool:
        """Whether `solve` is implemented for these operands."""
        return self.is_square()

    def diagonal(self) -> Any:
        """The main diagonal, (..., n)."""
        index = np.arange(min(self.shape[-2:]))
        return self.entries(index, index)

    def pivots(self) -> Any:
        """Numbers whose product is the determinant, (..., k), or NotImplemented."""
        return NotImplemented

    def slogdet(self) -> Any:
        """Sign and logarithm of the absolute determinant, or NotImplemented."""
        pivots = self.pivots()
        if pivots is NotImplemented:
            return NotImplemented
        size = jnp.abs(pivots)
        sign = jnp.where(size == 0, pivots, pivots / jnp.where(size == 0, 1, size))
        return jnp.prod(sign, -1), jnp.sum(jnp.log(size), -1)

    def det(self) -> Any:
        """The determinant, or NotImplemented."""
        pivots = self.pivots()
        if pivots is not NotImplemented:
            return jnp.prod(pivots, -1)
        found = self.slogdet()
        if found is NotImplemented:
            return NotImplemented
        sign, log = found
        return sign * jnp.exp(log).astype(sign.dtype)

    def inverse(self) -> Any:
        """The inverse, which is structured itself, or NotImplemented."""
        return operations.inverse(self)

    def inverse_diagonal(self) -> Any:
        """The diagonal of the inverse in linear time, or NotImplemented."""
        return NotImplemented

    def cholesky(self) -> Any:
        """The lower factor of a positive definite matrix, or NotImplemented."""
        return operations.cholesky(self)

    def map_entries(self, function: Callable[..., Any], zero: bool) -> Any:
        """`function` of every element, or NotImplemented.

        `zero` says that it takes zero to zero, so that elements outside of the structure stay.
        """
        return NotImplemented

    def each_column(self, function: Callable[..., Any]) -> Any:
        """`function` of each column (..., rows), one at a time, for results (..., columns)."""
        n = self.shape[-1]

        def one(j: Any) -> Any:
            return function(self.matvec((jnp.arange(n) == j).astype(self.dtype)))

        return jnp.moveaxis(jax.lax.map(one, jnp.arange(n)), 0, -1)

    def scale_rows(self, d: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        """`diag(d) @ self` for `d` of shape (..., rows), or NotImplemented."""
        return NotImplemented

    def scale_columns(self, d: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        """`self @ diag(d)` for `d` of shape (..., columns), or NotImplemented."""
        other = self.transpose().scale_rows(d, function)
        return NotImplemented if other is NotImplemented else other.transpose()

    # -- what follows -----------------------------------------------------------------------------

    def materialise(self) -> Any:
        """The dense array."""
        columns = self.shape[-1]
        return self.matmat(jnp.eye(columns, dtype=self.dtype))

    def scale(
        self, s: Any, function: Callable[..., Any] = jnp.multiply, properties: str = "scale"
    ) -> Any:
        """`function(self, s)` for a number per matrix, `s` of the batch shape."""

        def apply(name: str, x: Any) -> Any:
            if self.scaled_leaves is not None and name not in self.scaled_leaves:
                return x
            extra = jnp.ndim(x) - (len(self.shape) - 2)
            return function(x, s if jnp.ndim(s) == 0 else jnp.reshape(s, (*s.shape, *(1,) * extra)))

        arrays = [apply(name, getattr(self, name)) for name in self.LEAVES]
        return self.rebuild(arrays, properties=surviving(properties, self.known()))

    def map_batch(self, function: Callable[..., Any]) -> Any:
        """`function(array, batch axes)` of every defining array, which acts on leading axes."""
        count = len(self.shape) - 2
        arrays = []
        for name, x in zip(self.LEAVES, self.arrays(), strict=True):
            if isinstance(x, StructuredMatrix):
                if len(x.shape) - 2 != count:
                    return NotImplemented
                x = x.map_batch(function)
            elif jnp.ndim(x) - self.CORE[self.LEAVES.index(name)] != count:
                return NotImplemented
            else:
                x = function(x, count)
            if x is NotImplemented:
                return NotImplemented
            arrays.append(x)
        return self.rebuild(arrays, properties=self.properties)

    def negate(self) -> Any:
        return self.scale(-1, lambda x, _: -x, "neg")

    def conj(self) -> "StructuredMatrix":
        """The complex conjugate."""
        if not jnp.issubdtype(self.dtype, jnp.complexfloating):
            return self
        return self.rebuild([jnp.conj(x) for x in self.arrays()], properties=self.properties)

    def adjoint(self) -> "StructuredMatrix":
        """The conjugate transpose."""
        return self.transpose().conj()

    def astype(self, dtype: Any) -> Any:
        return self.convert(dtype)

    def convert(self, dtype: Any) -> Any:
        """Every element converted."""
        arrays = [
            x
            if np.issubdtype(x.dtype, np.integer) and name in self.index_leaves()
            else jax.lax.convert_element_type(x, dtype)
            for name, x in zip(self.LEAVES, self.arrays(), strict=True)
        ]
        return self.rebuild(arrays, properties=surviving("convert", self.known()))

    @classmethod
    def index_leaves(cls) -> tuple[str, ...]:
        """The defining arrays that are indices rather than numbers."""
        return ()

    def sum_rows(self) -> Any:
        """The sum of each row, (..., rows)."""
        return self.matvec(jnp.ones(self.shape[-1], self.dtype))

    def sum_columns(self) -> Any:
        return self.transpose().sum_rows()

    def known(self) -> frozenset[str]:
        """All properties: those claimed for this matrix and those of its structure."""
        found = self.properties | self.claims
        if not jnp.issubdtype(self.dtype, jnp.complexfloating):
            if "symmetric" in found or "hermitian" in found:
                found |= {"symmetric", "hermitian"}
        return found

    def is_hermitian(self) -> bool:
        return "hermitian" in self.known()

    def batch_shape(self) -> tuple[int, ...]:
        return self.shape[:-2]

    def is_square(self) -> bool:
        return self.shape[-1] == self.shape[-2]

    # -- making matrices --------------------------------------------------------------------------

    def arrays(self) -> list[Any]:
        """The defining arrays."""
        return [getattr(self, name) for name in self.LEAVES]

    def rebuild(self, arrays: Iterable[Any], **static: Any) -> Any:
        """A matrix of this structure and other arrays; unless given, without properties."""
        cls = type(self)
        made = object.__new__(cls)
        for name, x in zip(cls.LEAVES, arrays, strict=True):
            object.__setattr__(made, name, x)
        for name in cls.STATIC:
            value = static.get(name, frozenset() if name == "properties" else getattr(self, name))
            object.__setattr__(made, name, value)
        return made

    def _finish(self, allow_materialise: bool, properties: Iterable[str]) -> None:
        """The end of each constructor."""
        object.__setattr__(self, "allow_materialise", bool(allow_materialise))
        object.__setattr__(self, "properties", checked(properties))
        for name in self.LEAVES:
            x = getattr(self, name)
            object.__setattr__(self, name, x if type(x) in VALUE_TYPES else jnp.asarray(x))
        with lenient():
            self.normalise()

    def normalise(self) -> None:
        """The defining arrays in one dtype and one batch shape, their sizes checked.

        **Raises** ValueError if they do not make a matrix.
        """
        arrays = self.arrays()
        for name, x, ndim in zip(self.LEAVES, arrays, self.CORE, strict=True):
            if x.ndim < ndim:
                raise ValueError(
                    f"`{name}` of a `{type(self).__name__}` has {ndim} axes and leading batch "
                    f"axes; got shape {x.shape}."
                )
        self.check()
        if any(type(x) in VALUE_TYPES for x in arrays):
            return
        numbers = [n for n in self.LEAVES if n not in self.index_leaves()]
        dtype = functools.reduce(jnp.promote_types, [getattr(self, n).dtype for n in numbers], bool)
        batch = np.broadcast_shapes(
            *[x.shape[: x.ndim - ndim] for x, ndim in zip(arrays, self.CORE, strict=True)]
        )
        for name, x, ndim in zip(self.LEAVES, arrays, self.CORE, strict=True):
            if name in numbers and x.dtype != dtype:
                x = x.astype(dtype)
            shape = (*batch, *x.shape[x.ndim - ndim :])
            object.__setattr__(self, name, x if x.shape == shape else jnp.broadcast_to(x, shape))

    def check(self) -> None:
        """**Raises** ValueError if the defining arrays' sizes do not make a matrix."""

    def canonical(self) -> Any:
        """This matrix with units (and names) outside of it and polymorphic constants as numbers."""
        arrays = self.arrays()
        if not any(type(x) in VALUE_TYPES for x in arrays) or self._holds_values():
            return self
        if all(type(strip(x)) not in VALUE_TYPES for x in arrays):
            return self.rebuild([strip(x) for x in arrays], properties=self.properties)
        return bind(_Assembly(self), *arrays)

    def _holds_values(self) -> bool:
        """Whether the values among the arrays belong inside (a Kronecker product's factors)."""
        return all(
            type(x) is not Polymorphic and x.layer <= StructuredMatrix.layer
            for x in self.arrays()
            if type(x) in VALUE_TYPES
        )

    def _aval(self, shape: tuple[int, ...]) -> ShapedArray:
        return ShapedArray(shape, jnp.result_type(*[x.dtype for x in self.arrays()]))

    # -- meeting other values ---------------------------------------------------------------------

    @classmethod
    def join(cls, lhs: Any, rhs: Any) -> Any:
        return operations.common_type(lhs, rhs)

    @classmethod
    def coerce(cls, value: Any, example: Any) -> Any:
        return operations.convert_to(value, example)

    def unclaimed(self) -> Any:
        """The same matrix without properties."""
        return self.rebuild(jtu.tree_leaves(self))

    @classmethod
    def derivative(cls, out: Any, arg: Any, leaf: Any) -> Any:
        """A gradient has the structure of what it is by, and none of its properties."""
        return arg.rebuild(jtu.tree_leaves(leaf))

    @staticmethod
    def default(primitive: Any, values: Any, params: dict[str, Any]) -> Any:
        """Materialise what allows it."""
        refuse_unless_allowed(primitive.name, values)
        return ArrayValue.default(primitive, values, params)

    def __repr__(self) -> str:
        parts = [f"{name}={_short(getattr(self, name))}" for name in self.LEAVES]
        parts += [
            f"{name}={value!r}"
            for name in self.STATIC
            if (value := getattr(self, name)) and name != "properties"
        ]
        if self.properties:
            parts.append(f"properties={sorted(self.properties)}")
        return f"{type(self).__name__}({', '.join(parts)})"

    @property
    def at(self) -> Any:
        raise TypeError(
            "A structured matrix has no `.at`: elements outside of its structure cannot change. "
            "Update its arrays with `eqx.tree_at`, or `.materialise()` it."
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """For NumPy, if `allow_materialise`."""
        refuse_unless_allowed("np.asarray", [self])
        return np.asarray(self.materialise(), dtype)


def _short(x: Any) -> str:
    if type(x) in VALUE_TYPES:
        return repr(x)
    if not hasattr(x, "dtype"):
        return repr(x)
    if isinstance(x, (Tracer, jax.ShapeDtypeStruct)) or np.size(x) > 8:
        dtype = np.dtype(x.dtype).name
        return f"{dtype}[{','.join(map(str, x.shape))}]"
    return np.array2string(np.asarray(x), separator=", ", precision=4).replace("\n", "")


def real_dtype(dtype: Any) -> Any:
    """The dtype of absolute values, and of the permutations that JAX's `lu` gives."""
    return jnp.zeros((), dtype).real.dtype


def refuse_unless_allowed(name: str, values: Iterable[Any]) -> None:
    """**Raises** `RuleError` naming the operation if a structured operand may not become dense."""
    refused = [x for x in values if isinstance(x, StructuredMatrix) and not x.allow_materialise]
    if refused:
        operands = ", ".join(describe(x) for x in refused)
        raise RuleError(
            f"`{name}` of {operands} has no structured result, and making it dense is not allowed.",
            REMEDY,
        )


def allow_both(*matrices: Any) -> bool:
    """A result may become dense only if everything that went into it may."""
    return all(x.allow_materialise for x in matrices if isinstance(x, StructuredMatrix))
