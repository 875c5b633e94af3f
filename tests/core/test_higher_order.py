"""Primitives that hold functions beyond control flow: reductions, callbacks, custom rules, devices.

Plain JAX on the arrays is the oracle; quantities show that nothing is dropped on the way.
"""

from typing import Any

import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import io_callback
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

from sciquax import ArrayValue, grad, quaxify
from sciquax.core import CarryError, RuleError
from sciquax.units import DimensionalityError, Quantity
from tests.helpers import Wrapped, assert_same, unwrap, wrap

X = jnp.asarray(np.array([[1.5, -2.0, 0.25, 3.0], [0.5, 4.0, -1.0, 2.0]], np.float32))
Y = jnp.asarray(np.array([[2.0, 0.5, -3.0, 1.0], [1.0, -1.5, 2.5, 0.75]], np.float32))


def Q(x: Any, unit: str) -> Quantity:
    return Quantity(jnp.asarray(x, jnp.float32), unit)


# -- reductions by a function of the user's -------------------------------------------------------


def largest_magnitude(x):
    return lax.reduce(x, 0.0, lambda a, b: jnp.where(abs(a) > abs(b), a, b), (1,))


def with_place(x):
    places = lax.broadcasted_iota(jnp.int32, x.shape, 1)

    def pick(a, b):
        first = (a[0] > b[0]) | ((a[0] == b[0]) & (a[1] < b[1]))
        return tuple(jnp.where(first, p, q) for p, q in zip(a, b, strict=True))

    return lax.reduce((x, places), (-jnp.inf, 0), pick, (1,))


def window_of_magnitudes(x):
    return lax.reduce_window(
        x, 0.0, lambda a, b: jnp.maximum(abs(a), abs(b)), (1, 2), (1, 1), "VALID"
    )


REDUCTIONS = {f.__name__: f for f in (largest_magnitude, with_place, window_of_magnitudes)}


def of_one(f):
    """A function of a batch of one, through `vmap`."""
    batch = lambda x: jax.tree.map(lambda a: a[None], x)
    return lambda x: jax.tree.map(lambda a: a[0], jax.vmap(f)(batch(x)))


@pytest.mark.parametrize("how", ["eager", "jit", "vmap"])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reduction_by_a_function(name, how):
    f = REDUCTIONS[name]
    expected = f(X)
    run = {"eager": quaxify(f), "jit": jax.jit(quaxify(f)), "vmap": of_one(quaxify(f))}[how]
    assert_same(unwrap(run(Wrapped(X))), expected)
    out = run(Q(X, "km"))
    first = out[0] if isinstance(out, tuple) else out
    assert_same(first, Quantity(expected[0] if isinstance(expected, tuple) else expected, "km"))
    if isinstance(out, tuple):
        assert_same(out[1], expected[1])


def test_reduction_from_a_start_in_other_units():
    f = lambda x, start: lax.reduce(x, start, lambda a, b: jnp.where(a > b, a, b), (0, 1))
    assert_same(quaxify(f)(Q(X, "m"), Q(0.001, "km")), Q(4.0, "m").to("km"))
    assert_same(quaxify(f)(Q(X, "m"), Q(0.01, "km")), Q(0.01, "km"))


def test_reduction_that_has_no_unit():
    f = lambda x: lax.reduce(x, 1.0, lambda a, b: a * b + 0 * a, (1,))
    with pytest.raises((DimensionalityError, CarryError, RuleError)):
        quaxify(f)(Q(X, "m"))
    out = quaxify(f)(Q(X, "percent"))
    assert_same(out.m_as("") if isinstance(out, Quantity) else out, f(X / 100), rtol=1e-4)


# -- callbacks ------------------------------------------------------------------------------------


class Opaque(ArrayValue):
    """Materialises, so the host sees an array."""

    array: Any

    def aval(self):
        return jax.typeof(self.array)

    def materialise(self):
        return self.array


@pytest.mark.parametrize("how", ["eager", "jit"])
def test_print_shows_the_unit(how, capfd):
    def f(x, n):
        jax.debug.print("x is {} and {n}, {kind}", x, n=n, kind="odd", ordered=True)
        return 2 * x

    run = {"eager": quaxify(f), "jit": jax.jit(quaxify(f))}[how]
    run(Q([1.0, 2.5], "m"), 3)
    jax.effects_barrier()
    assert capfd.readouterr().out == "x is [1.0 2.5] meter and 3, odd\n"
    run(Opaque(jnp.arange(2.0)), 3)
    jax.effects_barrier()
    assert capfd.readouterr().out == "x is [0. 1.] and 3, odd\n"


@pytest.mark.parametrize("how", ["eager", "jit"])
def test_host_functions_see_whole_values_in_order(how):
    seen = []

    def f(x):
        jax.debug.callback(lambda v: seen.append(("debug", v)), x, ordered=True)
        for i in range(3):
            io_callback(lambda v, i: seen.append((int(i), v)), None, x * (i + 1), i, ordered=True)
        jax.debug.callback(lambda: seen.append(("end", None)), ordered=True)
        return x

    run = {"eager": quaxify(f), "jit": jax.jit(quaxify(f))}[how]
    run(Q(2.0, "m"))
    jax.effects_barrier()
    assert [k for k, _ in seen if k not in ("debug", "end")] == [0, 1, 2]
    assert len(seen) == 5
    for k, v in seen:
        if k != "end":
            assert v.u == Q(1.0, "m").u
            assert float(v.m) == 2.0 * (1 if k == "debug" else k + 1)


@pytest.mark.parametrize("how", ["eager", "jit", "vmap"])
def test_pure_callback(how):
    def host(x):
        return np.sin(np.asarray(x.m_as("rad") if isinstance(x, Quantity) else x))

    def f(x):
        shape = jax.ShapeDtypeStruct(x.shape, jnp.float32)
        return jax.pure_callback(host, shape, x, vmap_method="expand_dims")

    run = {"eager": quaxify(f), "jit": jax.jit(quaxify(f)), "vmap": jax.vmap(quaxify(f))}[how]
    assert_same(run(Q(X, "deg")), jnp.sin(jnp.deg2rad(X)), rtol=1e-4)
    assert_same(run(Opaque(X)), jnp.sin(X))


def test_a_host_function_cannot_give_a_bare_number_for_a_quantity():
    def f(x):
        return jax.pure_callback(lambda v: 2 * v, jax.ShapeDtypeStruct((), jnp.float32), x)

    with pytest.raises(Exception, match="materialise"):
        jax.block_until_ready(quaxify(f)(Q(1.0, "m")))


# -- custom batching and transposition ------------------------------------------------------------


def test_custom_vmap_keeps_its_rule():
    calls = []

    @jax.custom_batching.custom_vmap
    def f(x, y):
        return x * y, x

    @f.def_vmap
    def rule(size, in_batched, x, y):
        calls.append((size, tuple(in_batched)))
        return (x * y + 0 * x * y, x), (True, in_batched[0])

    def program(x, y):
        return jax.vmap(lambda a: f(a, y))(x)

    expected = program(X[0], Y[0, 0])
    for run in (quaxify(program), jax.jit(quaxify(program))):
        calls.clear()
        assert_same(unwrap(run(Wrapped(X[0]), Wrapped(Y[0, 0]))), expected)
        out = run(Q(X[0], "m"), Q(Y[0, 0], "s"))
        assert_same(out, (Quantity(expected[0], "m*s"), Quantity(expected[1], "m")))
    assert_same(quaxify(f)(Q(2.0, "m"), Q(3.0, "s")), (Q(6.0, "m*s"), Q(2.0, "m")))
    calls.clear()
    out = jax.vmap(quaxify(f), in_axes=(0, None))(Q(X[0], "m"), Q(3.0, "s"))
    assert_same(out, (Quantity(X[0] * 3, "m*s"), Quantity(X[0], "m")))
    assert calls == [(4, (True, False))]


def test_linear_call_keeps_its_transpose():
    def f(x, scale):
        return jax.custom_derivatives.linear_call(
            lambda r, v: r * v, lambda r, ct: 10 * r * ct, scale, x
        )

    assert_same(unwrap(quaxify(f)(*wrap((X, Y)))), f(X, Y))
    assert_same(quaxify(f)(Q(X, "m"), Q(Y, "s")), Quantity(X * Y, "m*s"))
    derivative = grad(lambda x, s: jnp.sum(f(x, s)))(Q(X, "m"), Q(Y, "s"))
    assert_same(derivative, Quantity(10 * Y, "s"))


# -- Pallas and foreign functions -----------------------------------------------------------------


def test_pallas_call_materialises_or_refuses():
    from jax.experimental import pallas as pl

    def kernel(x_ref, o_ref):
        o_ref[...] = 2 * x_ref[...]

    def f(x):
        return pl.pallas_call(kernel, jax.ShapeDtypeStruct(x.shape, x.dtype), interpret=True)(x)

    assert_same(quaxify(f)(Opaque(X)), 2 * X)
    with pytest.raises(DimensionalityError, match="`pallas_call`"):
        quaxify(f)(Q(X, "m"))


def test_foreign_function_refuses():
    def f(x):
        call = jax.ffi.ffi_call("no_such_target", jax.ShapeDtypeStruct(x.shape, x.dtype))
        return call(x)

    with pytest.raises(DimensionalityError, match="`ffi_call`"):
        quaxify(f)(Q(X, "m"))


# -- devices --------------------------------------------------------------------------------------

needs_devices = pytest.mark.skipif(jax.device_count() < 8, reason="needs eight devices")


@pytest.fixture(scope="module")
def mesh():
    return jax.make_mesh((4, 2), ("rows", "cols"), axis_types=(AxisType.Auto,) * 2)


@needs_devices
@pytest.mark.parametrize("how", ["eager", "jit"])
@pytest.mark.parametrize("check", [True, False])
def test_shard_map(how, check, mesh):
    x, y = jnp.arange(8.0).reshape(4, 2), jnp.arange(4.0) + 1

    def body(x, y, k):
        total = lax.psum(x, "rows")
        return total, x * y[:, None], jnp.sqrt(k)

    def f(x, y, k):
        specs = (P("rows", "cols"), P("rows"), P())
        out_specs = (P(None, "cols"), P("rows", "cols"), P())
        return jax.shard_map(body, mesh=mesh, in_specs=specs, out_specs=out_specs, check_vma=check)(
            x, y, k
        )

    k = jnp.asarray(4.0)
    expected = jax.jit(f)(x, y, k)
    run = {"eager": quaxify(f), "jit": jax.jit(quaxify(f))}[how]
    assert_same(unwrap(run(*wrap((x, y, k)))), expected)
    out = run(Quantity(x, "m"), Quantity(y, "s"), Quantity(k, "m**2"))
    assert_same(
        out,
        (Quantity(expected[0], "m"), Quantity(expected[1], "m*s"), Quantity(expected[2], "m")),
    )
    assert out[1].m.sharding.is_equivalent_to(NamedSharding(mesh, P("rows", "cols")), 2)
    if how == "jit":
        with pytest.raises(DimensionalityError, match=r"test_higher_order\.py"):
            bad = lambda x: jax.shard_map(lambda x: x + 1.0, mesh=mesh, in_specs=P("rows"), out_specs=P("rows"))(x)  # noqa: E501  # fmt: skip
            quaxify(bad)(Quantity(y, "m"))


def _newton(a, guess):
    def solve(f, y):
        return lax.fori_loop(0, 20, lambda i, y: y - f(y) / (2 * y), y)

    return lax.custom_root(lambda y: y * y - a, guess, solve, lambda g, y: y / g(1.0))


def test_custom_root():
    a, guess = Quantity(jnp.asarray(4.0), "m**2"), Quantity(jnp.asarray(1.0), "m")
    for f in (
        quaxify(_newton),
        jax.jit(quaxify(_newton)),
        lambda a, g: quaxify(lambda g: _newton(a, g))(g),
    ):
        assert_same(f(a, guess), Quantity(jnp.asarray(2.0), "m"))
    assert_same(grad(_newton)(a, guess), Quantity(jnp.asarray(0.25), "1/m"))
    assert_same(quaxify(jax.grad(_newton))(a, guess), Quantity(jnp.asarray(0.25), "1/m"))
    areas = Quantity(jnp.array([4.0, 9.0]), "m**2")
    mapped = jax.vmap(quaxify(_newton), in_axes=(0, None))
    assert_same(mapped(areas, guess), Quantity(jnp.array([2.0, 3.0]), "m"))
    with pytest.raises(DimensionalityError, match=r"test_higher_order\.py"):
        quaxify(_newton)(a, Quantity(jnp.asarray(1.0), "s"))


def test_primitives_that_jax_hides():
    """`call_hi_primitive` of JAX 0.12, under types that have no rule for the functions."""
    x = jnp.array([0.5, -3.0, 5.0])
    sorted_ = jnp.array([-1.0, 2.0, 4.0])
    for f in (
        lambda x: jnp.searchsorted(sorted_, x),
        lambda x: jnp.nonzero(x > 0, size=2)[0],
        lambda x: jnp.ldexp(x, 2),
        lambda x: jnp.frexp(x),
        jax.jit(lambda x: jnp.ldexp(x, jnp.array([1, 2, 3]))),
        jax.grad(lambda x: jnp.ldexp(x, jnp.array([1, 2, 3])).sum() + (x * x).sum()),
    ):
        for g in (quaxify(f), jax.jit(quaxify(f))):
            assert_same(unwrap(g(wrap(x))), f(x))
    h = lambda x: jnp.ldexp(x, jnp.array([1, 2, 3]))
    assert_same(jax.vjp(lambda x: unwrap(quaxify(h)(wrap(x))), x)[1](x)[0], jax.vjp(h, x)[1](x)[0])


def test_noinline_of_equinox():
    x = Quantity(jnp.array([1.0, 2.0]), "m")
    f = lambda x: eqxi.noinline(lambda y, z: (y * z["a"], y * 2.0))(x, {"a": x[1]})
    expected = (Quantity(jnp.array([2.0, 4.0]), "m**2"), Quantity(jnp.array([2.0, 4.0]), "m"))
    for run in (quaxify(f), jax.jit(quaxify(f)), quaxify(jax.jit(f))):
        assert_same(run(x), expected)
    assert_same(jax.vmap(quaxify(lambda x: eqxi.noinline(jnp.square)(x)))(x), x * x)
    total = lambda x: eqxi.noinline(lambda y: jnp.sum(y * y))(x)
    assert_same(grad(total)(x), 2.0 * x)
    assert_same(quaxify(jax.grad(total))(x), 2.0 * x)
    with pytest.raises(DimensionalityError, match=r"test_higher_order\.py"):
        quaxify(lambda x: eqxi.noinline(lambda y: y + 1.0)(x))(x)


@needs_devices
def test_shardings_donation_and_layouts(mesh):
    sharding = NamedSharding(mesh, P("rows"))
    q = jax.device_put(Quantity(jnp.arange(8.0), "m"), sharding)
    assert q.m.sharding == sharding
    assert_same(q, Quantity(jnp.arange(8.0), "m"))
    f = jax.jit(lambda x: (x * x).sum(), in_shardings=sharding)
    assert_same(quaxify(f)(q), Quantity(jnp.asarray(140.0), "m**2"))
    g = jax.jit(quaxify(lambda x: 2 * x), out_shardings=sharding, donate_argnums=0)
    given = jax.device_put(Quantity(jnp.arange(8.0), "m"), sharding)  # which NumPy has not seen
    doubled = g(given)
    assert doubled.m.sharding == sharding
    assert given.m.is_deleted()
    h = quaxify(lambda x: lax.with_sharding_constraint(3 * x, sharding))
    assert jax.jit(h)(doubled).m.sharding == sharding
    assert_same(h(doubled), Quantity(6 * jnp.arange(8.0), "m"))


@needs_devices
def test_explicit_mesh():
    explicit = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(explicit):
        x = jax.device_put(jnp.arange(8.0), NamedSharding(explicit, P("d")))
        f = lambda x: jnp.where(x > 2.0 * x[0], jnp.sin(x / x.max()) * x, 0.0)
        g = lambda x: x * x.sum()
        out = quaxify(g)(Quantity(x, "m"))
        assert_same(out, Quantity(g(x), "m**2"))
        assert out.m.sharding.spec == g(x).sharding.spec
        del f
