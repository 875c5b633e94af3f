"""`Zero` against dense zeros: every primitive, exact shapes, dtypes and weak types."""

import jax
import jax.extend.core.primitives as exported
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from sciquax import quaxify
from sciquax.core import Scaling, Structure, is_value
from sciquax.core._facts import FACTS
from sciquax.units import Quantity
from sciquax.zero import Zero
from tests.helpers import unstated

A = jnp.asarray([[0.5, -1.5, 2.0], [3.0, 0.25, -0.75]])
B = jnp.asarray([[1.5, 0.5, -2.0], [-1.0, 2.25, 0.75]])
IMAGE = jnp.arange(2 * 1 * 5 * 6, dtype=jnp.float32).reshape(2, 1, 5, 6)
KERNEL = jnp.arange(4 * 1 * 2 * 3, dtype=jnp.float32).reshape(4, 1, 2, 3)
SQUARE = jnp.asarray([[2.0, 0.5], [0.25, 3.0]])
INTS = jnp.asarray([[5, -3, 2], [7, 1, -4]])
BOOLS = jnp.asarray([[True, False, True], [False, False, True]])

UNARY = sorted(
    name
    for name, facts in FACTS.items()
    if facts.structure is Structure.ELEMENTWISE
    and facts.scaling is not Scaling.BITS
    and hasattr(exported, f"{name}_p")
    and hasattr(lax, name)
    and name
    not in "add sub mul div max min rem nextafter complex clamp select_n eq ne lt le gt "
    "ge atan2 pow integer_pow igamma igammac igamma_grad_a random_gamma_grad polygamma zeta "
    "reduce_precision convert_element_type regularized_incomplete_beta "
    "sharding_constraint optimization_barrier reshard".split()
)

# Each program of up to two arrays, where any subset of the arrays is zero.
PROGRAMS = {
    **{f"{n}2": (getattr(lax, n), (A, B)) for n in "add sub mul max min rem nextafter".split()},
    **{n: (getattr(lax, n), (A, B)) for n in "eq ne lt le gt ge atan2 complex".split()},
    "div": (lambda x, y: lax.div(x, y), (A, B)),
    "pow": (lambda x, y: lax.pow(x, y), (jnp.abs(A), B)),
    "square": (lax.square, (A,)),
    "pow_2": (lambda x: x**2, (A,)),
    "pow_0": (lambda x: lax.integer_pow(x, 0), (A,)),
    "pow_-1": (lambda x: lax.integer_pow(x, -1), (A,)),
    "pow_float": (lambda x: x**1.5, (jnp.abs(A),)),
    "clamp": (lambda x: lax.clamp(-0.5, x, 0.5), (A,)),
    "select": (lambda x, y: jnp.where(BOOLS, x, y), (A, B)),
    "where_0": (lambda x: jnp.where(BOOLS, x, 0.0), (A,)),
    "astype": (lambda x: x.astype(jnp.int32), (A,)),
    "astype_bool": (lambda x: x.astype(bool), (A,)),
    "bfloat16": (lambda x: x.astype(jnp.bfloat16), (A,)),
    "reduce_precision": (lambda x: lax.reduce_precision(x, 5, 10), (A,)),
    "weak": (lambda x: x * 2.0 + 1.0, (A,)),
    "bits": (lambda x, y: (x & y, x | y, x ^ y, ~x, x << 1), (INTS, INTS[::-1])),
    "popcount": (lambda x: (lax.population_count(x), lax.clz(x)), (INTS,)),
    "broadcast": (lambda x: jnp.broadcast_to(x, (4, 2, 3)), (A,)),
    "broadcast_add": (lambda x, y: x[:, None, :] + y[None], (A, B)),
    "tile": (lambda x: jnp.tile(x, (2, 2)), (A,)),
    "reshape": (lambda x: x.reshape(3, 2), (A,)),
    "squeeze": (lambda x: x[:1].squeeze(0), (A,)),
    "transpose": (lambda x: x.T, (A,)),
    "rev": (lambda x: x[::-1], (A,)),
    "slice": (lambda x: x[::-2, 0:3:2], (A,)),
    "strided": (lambda x: lax.slice(x, (0, 0), (2, 3), (1, 2)), (A,)),
    "split": (lambda x: jnp.split(x, 3, axis=1), (A,)),
    "dynamic_slice": (lambda x: lax.dynamic_slice(x, (jnp.int32(1), 0), (1, 2)), (A,)),
    "index": (lambda x: x[jnp.asarray([1, 0, 1])], (A,)),
    "take_fill": (lambda x: jnp.take(x, jnp.asarray([1, 9]), axis=0), (A,)),
    "take_clip": (lambda x: jnp.take(x, jnp.asarray([1, 9]), axis=0, mode="clip"), (A,)),
    "set": (lambda x, y: x.at[0].set(y[1]), (A, B)),
    "add_at": (lambda x, y: x.at[jnp.asarray([0, 0])].add(y), (A, B)),
    "sub_at": (lambda x, y: x.at[0].subtract(y[1]), (A, B)),
    "mul_at": (lambda x, y: x.at[0].multiply(y[1]), (A, B)),
    "max_at": (lambda x, y: x.at[0].max(y[1]), (A, B)),
    "min_at": (lambda x, y: x.at[0].min(y[1]), (A, B)),
    "update": (lambda x, y: lax.dynamic_update_slice(x, y[:1, :2], (1, 1)), (A, B)),
    "concatenate": (lambda x, y: jnp.concatenate([x, y], axis=1), (A, B)),
    "stack": (lambda x, y: jnp.stack([x, y], axis=1), (A, B)),
    "pad": (lambda x: lax.pad(x, jnp.float32(0), [(1, 2, 1), (0, -1, 0)]), (A,)),
    "pad_3": (lambda x: jnp.pad(x, 1, constant_values=3.0), (A,)),
    "sort": (lambda x: jnp.sort(x, axis=0), (A,)),
    "argsort": (lambda x: jnp.argsort(x, axis=1), (A,)),
    "sort_keys": (lambda x, y: lax.sort((x, y), num_keys=1), (A, B)),
    "top_k": (lambda x: lax.top_k(x, 2), (A,)),
    "sum": (lambda x: jnp.sum(x, axis=0), (A,)),
    "mean": (lambda x: jnp.mean(x, axis=1), (A,)),
    "max": (lambda x: jnp.max(x, axis=0), (A,)),
    "min": (lambda x: jnp.min(x), (A,)),
    "max_empty": (lambda x: lax.reduce_max(x[:, :0], axes=(1,)), (A,)),
    "prod": (lambda x: jnp.prod(x, axis=1), (A,)),
    "prod_empty": (lambda x: jnp.prod(x[:, :0], axis=1), (A,)),
    "argmax": (lambda x: jnp.argmax(x, axis=1), (A,)),
    "any": (lambda x: (jnp.any(x), jnp.all(x, axis=0)), (BOOLS,)),
    "cumsum": (lambda x: jnp.cumsum(x, axis=1), (A,)),
    "cumprod": (lambda x: jnp.cumprod(x, axis=1), (A,)),
    "cummax": (lambda x: (lax.cummax(x, axis=1), lax.cummin(x)), (A,)),
    "cumlogsumexp": (lambda x: lax.cumlogsumexp(x, axis=1), (A,)),
    "window_sum": (lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 2), (1, 1), "SAME"), (A,)),
    "window_max": (lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2, 2), (1, 1), "SAME"), (A,)),
    "matmul": (lambda x, y: x @ y.T, (A, B)),
    "dot_preferred": (lambda x, y: lax.dot(x, y.T, preferred_element_type=jnp.float32), (A, B)),
    "dot_ints": (lambda x, y: lax.dot(x, y.T, preferred_element_type=jnp.int32), (INTS, INTS)),
    "einsum": (lambda x, y: jnp.einsum("ij,kj->kij", x, y), (A, B)),
    "conv": (lambda x, y: lax.conv(x, y, (1, 2), "SAME"), (IMAGE, KERNEL)),
    "fft": (lambda x: jnp.fft.fft(x), (A,)),
    "rfft": (lambda x: jnp.fft.rfft(x), (A,)),
    "irfft": (lambda x: jnp.fft.irfft(x), (A,)),
    "solve": (lambda x: jnp.linalg.solve(SQUARE, x), (A,)),
    "triangular": (lambda x: lax.linalg.triangular_solve(SQUARE, x, left_side=True), (A,)),
    "cholesky": (lambda x: jnp.linalg.cholesky(x + SQUARE), (SQUARE,)),
    "qr": (lambda x: jnp.linalg.qr(x)[1], (A,)),
    "det": (jnp.linalg.det, (SQUARE,)),
    "norm": (jnp.linalg.norm, (A,)),
    "logsumexp": (lambda x: jax.nn.logsumexp(x, axis=0), (A,)),
    "softmax": (lambda x: jax.nn.softmax(x), (A,)),
    "gelu": (jax.nn.gelu, (A,)),
    "relu": (jax.nn.relu, (A,)),
    "std": (lambda x: jnp.std(x, axis=0), (A,)),
    "trace": (jnp.trace, (SQUARE,)),
    "nan_to_num": (jnp.nan_to_num, (A,)),
    "inf_factor": (lambda x: x * jnp.inf, (A,)),
    "nan_factor": (lambda x: jnp.nan * x, (A,)),
    "over_zero": (lambda x: x / 0.0, (A,)),
    "barrier": (lambda x, y: lax.optimization_barrier((x, y)), (A, B)),
    "jit": (jax.jit(lambda x, y: (x + y, x * y)), (A, B)),
    "remat": (jax.checkpoint(lambda x, y: x * y + y), (A, B)),
    "cond": (lambda x, y: lax.cond(x.sum() > 0.1, lambda: x, lambda: y), (A, B)),
    "switch": (lambda x, y: lax.switch(unstated(1), [lambda: x, lambda: y, lambda: x + y]), (A, B)),
    "fori": (lambda x, y: lax.fori_loop(0, 3, lambda i, c: 0.5 * c + y, x), (A, B)),
    "while": (lambda x, y: lax.while_loop(lambda c: c.sum() < 9, lambda c: c + 1, x), (A, B)),
    "scan_carry": (lambda x, y: lax.scan(lambda c, z: (c + z, c), x[0], y), (A, B)),
    "scan_xs": (lambda x: lax.scan(lambda c, z: (c + z, 2 * z), jnp.zeros(3), x), (A,)),
    "scan_ys": (lambda x, y: lax.scan(lambda c, z: (c, z * x), jnp.zeros(()), y), (A, A[:, 0])),
    "map": (lambda x: lax.map(lambda r: r * 2, x), (A,)),
    "vmap": (lambda x, y: jax.vmap(jnp.dot)(x, y), (A, B)),
    "grad": (lambda x, y: jax.grad(lambda z: jnp.sum(jnp.sin(z) * y))(x), (A, B)),
    "jvp": (lambda x, y: jax.jvp(jnp.sin, (x,), (y,)), (A, B)),
}  # fmt: skip


def dense(tree):
    return jax.tree.map(lambda x: x.materialise() if is_value(x) else x, tree, is_leaf=is_value)


def check(f, args, zeros):
    expected = f(*[jnp.zeros_like(x) if z else x for x, z in zip(args, zeros, strict=True)])
    values = [Zero(x.shape, x.dtype) if z else x for x, z in zip(args, zeros, strict=True)]
    out = quaxify(f)(*values)
    traced = jax.eval_shape(quaxify(f), *values)
    for a, e, t in zip(*map(jax.tree.leaves, (dense(out), expected, traced)), strict=True):
        assert (a.shape, a.dtype, a.weak_type) == (e.shape, e.dtype, e.weak_type)
        np.testing.assert_allclose(a, e, rtol=1e-6)
        assert t.shape[: e.ndim] == e.shape and t.dtype == e.dtype
    return out


CASES = [
    (name, zeros)
    for name, (_, args) in PROGRAMS.items()
    for zeros in ([(True,)] if len(args) == 1 else [(True, False), (False, True), (True, True)])
]


@pytest.mark.parametrize(("name", "zeros"), CASES, ids=str)
def test_against_dense_zeros(name, zeros):
    f, args = PROGRAMS[name]
    check(f, args, zeros)


@pytest.mark.parametrize("name", UNARY)
def test_unary_primitives(name):
    f = getattr(lax, name)
    try:
        f(jnp.zeros(2))
    except TypeError:
        pytest.skip("not a function of one real array")
    out = check(f, (A,), (True,))
    facts = FACTS[name]
    if facts.zero and facts.scaling is not Scaling.PREDICATE:
        assert type(out) is Zero, "the table says that zero stays zero"


def test_every_zero_preserving_primitive_is_covered():
    """The programs above emit every primitive for which the table says that zero stays zero."""
    emitted: set[str] = set(UNARY)

    def walk(jaxpr):
        for eqn in getattr(jaxpr, "jaxpr", jaxpr).eqns:
            emitted.add(eqn.primitive.name)
            for param in eqn.params.values():
                for item in param if isinstance(param, (tuple, list)) else (param,):
                    if hasattr(item, "eqns") or hasattr(item, "jaxpr"):
                        walk(item)

    for f, args in PROGRAMS.values():
        walk(jax.make_jaxpr(f)(*args))
    exported_names = {p.removesuffix("_p") for p in dir(exported) if p.endswith("_p")}
    wanted = {n for n, f in FACTS.items() if f.zero and f.structure is not Structure.COLLECTIVE} & {
        n.replace("-", "_") for n in exported_names
    }
    rare = {
        "copy", "copy_p", "name", "reshard", "sharding_constraint", "layout_constraint",
        "ragged_dot_general", "select_and_scatter_add", "select_and_gather_add", "unstack",
        "reduced_vary_cast", "with_memory_space_constraint",
        "reduce_window_min", "device_put", "conj", "to_edtype", "from_edtype", "split", "stack",
        "vary_unreduced_cast", "expand_dims", "add_any", "tile",
    }  # fmt: skip
    assert sorted(wanted - emitted - rare) == []


SYMBOLIC = (
    "add2 mul2 sub2 matmul einsum conv fft reshape transpose slice strided sum mean "
    "concatenate stack cumsum sort dynamic_slice update"
)


@pytest.mark.parametrize("name", SYMBOLIC.split())
def test_zeros_stay_symbolic(name):
    f, args = PROGRAMS[name]
    out = quaxify(f)(*[Zero(x.shape, x.dtype) for x in args])
    assert type(out) is Zero


@pytest.mark.parametrize("name", ["mul2", "matmul", "einsum", "conv"])
@pytest.mark.parametrize("which", [0, 1])
def test_products_absorb(name, which):
    f, args = PROGRAMS[name]
    out = quaxify(f)(*[Zero(x.shape) if i == which else x for i, x in enumerate(args)])
    assert type(out) is Zero


def test_neutral_additions_leave_no_operation():
    f = quaxify(lambda z, x: (x + z) - z @ x.T @ x)
    program = jax.make_jaxpr(lambda x: f(Zero((2, 3)), x))(A)
    assert {e.primitive.name for e in program.eqns} <= {"transpose"}


def test_as_a_carry_has_the_bodys_shape():
    """The carry starts as a zero, becomes what the body returns, and keeps its shape."""
    carry, ys = quaxify(lambda z: lax.scan(lambda c, x: (c + x, c), z, jnp.ones((5, 4))))(Zero(4))
    np.testing.assert_array_equal(carry, np.full(4, 5.0))
    assert ys.shape == (5, 4)
    carry, ys = quaxify(lambda z: lax.scan(lambda c, x: (c * 2, c[:2]), z, jnp.ones((5, 4))))(
        Zero(4)
    )
    assert type(carry) is Zero and carry.shape == (4,)
    assert type(ys) is Zero and ys.shape == (5, 2)
    out = quaxify(lambda z: lax.fori_loop(0, 3, lambda i, c: c + i, z))(Zero((), jnp.int32))
    assert out == 3 and out.dtype == jnp.int32


def test_under_vmap_and_grad_outside():
    out = jax.vmap(quaxify(lambda z, x: (z * x, z + x)))(Zero((2, 3)), A)
    assert type(out[0]) is Zero and out[0].shape == (2, 3)
    np.testing.assert_array_equal(out[1], A)
    out = jax.vmap(quaxify(lambda z: z.sum()), in_axes=1)(Zero((2, 3)))
    assert out.shape == (3,)
    gradient = jax.grad(lambda x: quaxify(lambda z, x: jnp.sum(jnp.cos(z + x)))(Zero((2, 3)), x))(A)
    np.testing.assert_allclose(gradient, -jnp.sin(A))


def test_captured_and_nested():
    zero = Zero((2, 3))
    np.testing.assert_array_equal(quaxify(lambda x: jax.jit(lambda y: y + zero)(x))(A), A)
    assert type(quaxify(lambda x: quaxify(jnp.multiply)(zero, x))(A)) is Zero


def test_meets_every_unit():
    q, z = Quantity(A, "m"), Zero((2, 3))
    for f in (jnp.add, jnp.subtract, jnp.maximum):
        out = quaxify(f)(q, z)
        assert str(out.units) == "meter"
        np.testing.assert_array_equal(out.m, f(A, jnp.zeros((2, 3))))
    out = quaxify(jnp.multiply)(z, q)
    assert str(out.units) == "meter" and type(out.m) is Zero
    out = quaxify(lambda z, q: lax.fori_loop(0, 3, lambda i, c: c + q, z))(z, q)
    assert str(out.units) == "meter"
    np.testing.assert_allclose(out.m, 3 * A)
    speed = quaxify(lambda z, q: lax.cond(q.sum() > 0 * q.sum(), lambda: z, lambda: q))(z, q)
    assert str(speed.units) == "meter"


def test_shape_and_dtype():
    assert Zero(3).shape == (3,) and Zero(3).dtype == jnp.float32
    assert Zero((2, 3), jnp.bfloat16).materialise().dtype == jnp.bfloat16
    assert Zero((), weak_type=True).aval().weak_type
    assert repr(Zero((2, 3), "int8")) == "Zero(i8[2,3])"
    assert Zero((10**5, 10**5)).size == 10**10


def test_a_loop_that_starts_from_a_stated_zero():
    def f(z):
        return lax.fori_loop(0, 3, lambda i, total: total + z[i] @ A[0], 0 * (z[0] @ A[0]))

    out = quaxify(f)(Zero((4, 3)))
    assert (type(out), out.shape, out.dtype) == (Zero, (), jnp.float32)
