"""Facts about JAX's primitives, once, for every array type.

Each primitive has a `Structure` (what it does to axes: what named and structured arrays ask) and a
`Scaling` (what it does when its data is measured in other units: what quantities and polymorphic
constants ask). A type says what it does for a structure or a scaling, and writes only exceptions.

Primitives are named, not imported: names are stable over JAX releases, tables of objects are not,
and Equinox's own primitives take part like JAX's. `tests/core/test_families.py` fails when a JAX
release exports a primitive that is not here.
"""

import dataclasses
import enum
from fractions import Fraction
from typing import Any

from ._compat.jaxprs import all_primitives


class Scaling(enum.Enum):
    """How outputs scale with the data operands. `D` below is the unit of the data."""

    FIRST = "linear, or positively homogeneous of degree one, in the first data operand"
    EACH = "every output is made of the corresponding operand alone"
    JOIN = "the data operands are of one kind and so is every output"
    COMPARE = "the data operands are of one kind; the output is a plain boolean or integer"
    PRODUCT = "bilinear: the output's unit is the product of the operands' units"
    QUOTIENT = "the output's unit is the quotient of the operands' units"
    POWER = "homogeneous of degree `degree`"
    PREDICATE = "one data operand of any unit; the output is plain (`sign`, `argmax`)"
    ROUND = "keeps the unit but is not homogeneous (`floor`)"
    PURE = "numbers only (`exp`)"
    ANGLE = "takes an angle (`sin`)"
    ARC = "gives an angle (`atan2`)"
    BITS = "integers and booleans only (`and`); never a measured quantity"
    CONSTANT = "makes an array from parameters, keys or plain integers alone"
    BODY = "holds a function; interpreted, see `core/_higher_order/`"
    SPECIAL = "each type must say"
    REFUSED = "has no meaning for values; see `REASONS`"


class Structure(enum.Enum):
    """The effect of a primitive on axes."""

    ELEMENTWISE = "every output element from the operands' elements at the same place"
    BROADCAST = "new or repeated axes"
    RESHAPE = "splits, merges, inserts or removes axes"
    PERMUTE = "reorders axes"
    SLICE = "picks elements at fixed or dynamic places; axes stay"
    GATHER = "picks by index arrays"
    SCATTER = "writes by index arrays"
    REDUCE = "removes the axes in `axes`"
    CUMULATE = "runs along `axis`"
    WINDOW = "slides over axes"
    CONTRACT = "pairs axes of two operands and sums over them"
    CONCATENATE = "joins along an axis"
    PAD = "extends axes"
    SORT = "reorders along an axis"
    TRANSFORM = "mixes whole axes (`fft`)"
    LINALG = "treats the last two axes as a matrix"
    COLLECTIVE = "talks between devices"
    CREATE = "makes an array"
    CALL = "holds a function"
    OTHER = "none of these"


@dataclasses.dataclass(frozen=True)
class Facts:
    """Facts about a primitive.

    **Attributes**: `data` are the positions of the data operands (all, if None; the others are
    indices, masks and keys); `degree` belongs to `Scaling.POWER`; `axes` names the parameter that
    holds axes; `zero` says that zero data gives zero output; `moves_only`, that the outputs hold
    elements of the data, moved, picked or rounded, so that scales with an offset are fine; and
    `copies`, that the output is the operand itself, however it is stored.
    """

    structure: Structure
    scaling: Scaling
    data: tuple[int, ...] | None = None
    degree: Fraction | None = None
    axes: str | None = None
    zero: bool = False
    moves_only: bool = False
    copies: bool = False

    def is_data(self, position: int) -> bool:
        return (
            self.data is None
            or position in self.data
            or (-1 in self.data and position >= max(self.data))
        )


FACTS: dict[str, Facts] = {}


def _enrol(names: str, structure: Structure, scaling: Scaling, **facts: Any) -> None:
    for name in names.split():
        if name in FACTS:
            raise AssertionError(f"primitive {name!r} is classified twice")
        FACTS[name] = Facts(structure, scaling, **facts)


S, U = Structure, Scaling
_FROM_1 = (1, -1)  # every operand but the first

# -- elementwise ----------------------------------------------------------------------------------
_enrol(
    "neg abs imag conj vary_unreduced_cast to_edtype from_edtype",
    S.ELEMENTWISE,
    U.FIRST,
    zero=True,
)
_enrol(
    "copy copy_p stop_gradient name nonbatchable nontraceable nondifferentiable_backward pvary",
    S.ELEMENTWISE,
    U.FIRST,
    zero=True,
    moves_only=True,
    copies=True,
)
_enrol(
    "real convert_element_type reduce_precision zeros_like sharding_constraint layout_constraint "
    "reshard with_memory_space_constraint pbroadcast reduced_vary_cast",
    S.ELEMENTWISE,
    U.FIRST,
    zero=True,
    moves_only=True,
)
_enrol("device_put optimization_barrier", S.ELEMENTWISE, U.EACH, zero=True, moves_only=True)
_enrol("add sub add_any max min rem nextafter complex", S.ELEMENTWISE, U.JOIN, zero=True)
_enrol("clamp", S.ELEMENTWISE, U.JOIN)
_enrol("select_n", S.ELEMENTWISE, U.JOIN, data=_FROM_1, zero=True)
_enrol("select_if_vmap", S.ELEMENTWISE, U.JOIN, data=(1, 2), zero=True)
_enrol("eq ne lt le gt ge eq_to le_to lt_to", S.ELEMENTWISE, U.COMPARE)
_enrol("mul", S.ELEMENTWISE, U.PRODUCT, zero=True)
_enrol("div", S.ELEMENTWISE, U.QUOTIENT)
_enrol("square", S.ELEMENTWISE, U.POWER, degree=Fraction(2), zero=True)
_enrol("sqrt", S.ELEMENTWISE, U.POWER, degree=Fraction(1, 2), zero=True)
_enrol("cbrt", S.ELEMENTWISE, U.POWER, degree=Fraction(1, 3), zero=True)
_enrol("rsqrt", S.ELEMENTWISE, U.POWER, degree=Fraction(-1, 2))
_enrol("pow integer_pow", S.ELEMENTWISE, U.SPECIAL)
_enrol("sign is_finite", S.ELEMENTWISE, U.PREDICATE)
_enrol("floor ceil round", S.ELEMENTWISE, U.ROUND, zero=True)
_enrol("sin tan", S.ELEMENTWISE, U.ANGLE, zero=True)
_enrol("cos", S.ELEMENTWISE, U.ANGLE)
_enrol("asin atan", S.ELEMENTWISE, U.ARC, zero=True)
_enrol("acos atan2", S.ELEMENTWISE, U.ARC)
_enrol("expm1 log1p sinh tanh asinh atanh erf erf_inv", S.ELEMENTWISE, U.PURE, zero=True)
_enrol(
    "exp exp2 log log2 cosh acosh logistic erfc lgamma digamma polygamma igamma igammac "
    "igamma_grad_a random_gamma_grad bessel_i0e bessel_i1e zeta regularized_incomplete_beta "
    "one_minus_square polynomial",
    S.ELEMENTWISE,
    U.PURE,
)
_enrol(
    "and or xor not shift_left shift_right_arithmetic shift_right_logical population_count clz "
    "mulhi",
    S.ELEMENTWISE,
    U.BITS,
)

# -- moving elements ------------------------------------------------------------------------------
_MOVED: dict[str, Any] = {"zero": True, "moves_only": True}
_enrol("broadcast_in_dim broadcast_to tile", S.BROADCAST, U.FIRST, data=(0,), **_MOVED)
_enrol("reshape squeeze expand_dims", S.RESHAPE, U.FIRST, data=(0,), **_MOVED)
_enrol("transpose", S.PERMUTE, U.FIRST, axes="permutation", **_MOVED)
_enrol("rev", S.SLICE, U.FIRST, axes="dimensions", **_MOVED)
_enrol("slice", S.SLICE, U.FIRST, **_MOVED)
_enrol("split unstack", S.SLICE, U.FIRST, axes="axis", **_MOVED)
_enrol("dynamic_slice", S.SLICE, U.FIRST, data=(0,), **_MOVED)
_enrol("gather", S.GATHER, U.FIRST, data=(0,), **_MOVED)
_enrol(
    "scatter scatter-add scatter-sub scatter-min scatter-max",
    S.SCATTER,
    U.JOIN,
    data=(0, 2),
    zero=True,
)
_enrol("scatter-mul", S.SCATTER, U.SPECIAL, data=(0, 2))
_enrol("dynamic_update_slice", S.SCATTER, U.JOIN, data=(0, 1), zero=True)
_enrol("concatenate", S.CONCATENATE, U.JOIN, zero=True, axes="dimension")
_enrol("stack", S.CONCATENATE, U.JOIN, zero=True, axes="axis")
_enrol("pad", S.PAD, U.JOIN, zero=True)
_enrol("sort", S.SORT, U.EACH, axes="dimension", **_MOVED)
_enrol("top_k approx_top_k", S.SORT, U.SPECIAL)

# -- reducing, accumulating, contracting ----------------------------------------------------------
_enrol("reduce_sum", S.REDUCE, U.FIRST, zero=True, axes="axes")
_enrol("reduce_max reduce_min", S.REDUCE, U.FIRST, axes="axes", **_MOVED)
_enrol("reduce_prod", S.REDUCE, U.SPECIAL, axes="axes")
_enrol("argmax argmin", S.REDUCE, U.PREDICATE, axes="axes")
_enrol("reduce_and reduce_or reduce_xor", S.REDUCE, U.BITS, axes="axes")
_enrol("cumsum", S.CUMULATE, U.FIRST, zero=True, axes="axis")
_enrol("cummax cummin", S.CUMULATE, U.FIRST, axes="axis", **_MOVED)
_enrol("cumprod cumlogsumexp", S.CUMULATE, U.PURE, axes="axis")
_enrol("reduce_window_sum", S.WINDOW, U.FIRST, zero=True)
_enrol("reduce_window_max reduce_window_min", S.WINDOW, U.FIRST, **_MOVED)
_enrol("select_and_scatter_add select_and_gather_add", S.WINDOW, U.FIRST, zero=True)
_enrol(
    "dot_general ragged_dot_general conv_general_dilated",
    S.CONTRACT,
    U.PRODUCT,
    data=(0, 1),
    zero=True,
)
_enrol("fft", S.TRANSFORM, U.FIRST, zero=True)

# -- matrices -------------------------------------------------------------------------------------
_enrol(
    "cholesky cholesky_update lu qr geqrf geqp3 ormqr householder_product eig eigh svd schur "
    "hessenberg tridiagonal triangular_solve tridiagonal_solve symmetric_product",
    S.LINALG,
    U.SPECIAL,
)
_enrol("lu_pivots_to_permutation", S.LINALG, U.BITS)

# -- devices --------------------------------------------------------------------------------------
_enrol("psum psum_invariant reduce_scatter", S.COLLECTIVE, U.EACH, zero=True)
_enrol(
    "pmax pmin ppermute all_to_all all_gather all_gather_invariant",
    S.COLLECTIVE,
    U.EACH,
    **_MOVED,
)
_enrol("ragged_all_to_all", S.COLLECTIVE, U.JOIN, data=(0, 1))
_enrol("unvmap_all unvmap_any unvmap_max", S.REDUCE, U.BITS)

# -- making arrays --------------------------------------------------------------------------------
_enrol(
    "iota empty empty2 rng_uniform rng_bit_generator random_bits random_seed random_split "
    "random_fold_in random_wrap random_unwrap random_clone threefry2x32 iota_2x32_shape axis_index "
    "create_token after_all platform_index dim_as_value dimension_size",
    S.CREATE,
    U.CONSTANT,
)
_enrol("random_gamma", S.CREATE, U.PURE)
_enrol("bitcast_convert_type", S.OTHER, U.BITS)

# -- holding functions ----------------------------------------------------------------------------
_enrol(
    "jit call core_call closed_call core_closed_call eval_jaxpr remat2 cond while scan "
    "custom_jvp_call custom_vjp_call custom_linear_solve linear_call custom_vmap_call composite "
    "shard_map reduce reduce_window select_and_scatter",
    S.CALL,
    U.BODY,
)
_enrol("noinline", S.CALL, U.BODY)
_enrol("maybe_set", S.SCATTER, U.JOIN, data=(1, 2))
_enrol("debug_callback debug_print pure_callback io_callback", S.CALL, U.BODY)
_enrol("custom_lin get swap", S.OTHER, U.REFUSED)

REASONS: dict[str, str] = {
    "custom_lin": "it exists only within JAX's own differentiation; use `sciquax.grad`",
    "get": "mutable references hold plain arrays",
    "swap": "mutable references hold plain arrays",
}
"""Why the primitives of `Scaling.REFUSED` have no meaning for values."""

_EXPORTED = all_primitives()
_UNKNOWN = Facts(Structure.OTHER, Scaling.SPECIAL)


_REGISTERED: dict[str, Facts] = {}  # of primitives that are neither JAX's nor Equinox's


def register_facts(primitive: Any, facts: Facts) -> None:
    """Register facts about a primitive of your own, for every type's rules by family.

    **Arguments**: the primitive, or its name, and its [`sciquax.core.Facts`][].

    **Raises** ValueError for a name of which other facts are known.

    ```python
    >>> from jax.extend.core import Primitive
    >>> from sciquax.core import Facts, Scaling, Structure, facts_of, register_facts
    >>> damp_p = Primitive("damp")
    >>> register_facts(damp_p, Facts(Structure.ELEMENTWISE, Scaling.FIRST, zero=True))
    >>> facts_of(damp_p).scaling
    <Scaling.FIRST: 'linear, or positively homogeneous of degree one, in the first data operand'>

    ```
    """
    name = primitive if isinstance(primitive, str) else primitive.name
    known = FACTS.get(name) or _REGISTERED.setdefault(name, facts)
    if known != facts:
        raise ValueError(f"The primitive {name!r} already has other facts: {known}.")


def facts_of(primitive: Any) -> Facts:
    """The facts by which types have rules for a primitive.

    A primitive that nobody has classified has the facts `Structure.OTHER` and `Scaling.SPECIAL`,
    and so has a primitive of another library that shares its name with one of JAX's.

    ```python
    >>> import jax
    >>> from sciquax.core import facts_of
    >>> facts_of(jax.lax.add_p).scaling
    <Scaling.JOIN: 'the data operands are of one kind and so is every output'>

    ```
    """
    known = FACTS.get(primitive.name) or _REGISTERED.get(primitive.name)
    if known is None or _EXPORTED.get(primitive.name, primitive) is not primitive:
        return _UNKNOWN
    return known
