"""Custom derivatives: the user's rule is what is used, and here it is never the true derivative."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.custom_derivatives import SymbolicZero

import sciquax
from sciquax import quaxify
from sciquax.units import Quantity
from tests.helpers import MODES, Wrapped, assert_same, check_transparent, unwrap

X = jnp.asarray(np.array([0.5, -1.25, 2.0], np.float32))
Y = jnp.asarray(np.array([1.5, 0.25, -0.75], np.float32))


@jax.custom_jvp
def wrong_jvp(x, y):
    return jnp.sin(x) * y


@wrong_jvp.defjvp
def _wrong_jvp(primals, tangents):
    x, y = primals
    dx, dy = tangents
    return wrong_jvp(x, y), 7.0 * x * dx - 3.0 * y * dy


@jax.custom_jvp
def symbolic_jvp(x, y):
    return x * y


def _symbolic_jvp(primals, tangents):
    """The derivative says which tangents were symbolic zeros."""
    x, y = primals
    out = x * y
    tangent = jnp.zeros_like(out)
    for d, factor in zip(tangents, (5.0, 11.0), strict=True):
        if type(d) is not SymbolicZero:
            tangent = tangent + factor * d
    return out, tangent


symbolic_jvp.defjvp(_symbolic_jvp, symbolic_zeros=True)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 2))
def jvp_nondiff(f, x, n):
    return f(x) * n


@jvp_nondiff.defjvp
def _jvp_nondiff(f, n, primals, tangents):
    (x,), (dx,) = primals, tangents
    return jvp_nondiff(f, x, n), f(x) * dx * (n + 100.0)


@jax.custom_vjp
def wrong_vjp(x, y):
    return jnp.sin(x) * y, jnp.cos(y)


wrong_vjp.defvjp(
    lambda x, y: (wrong_vjp(x, y), (x, 2.0 * y)),
    lambda res, ct: (ct[0] * res[1] * 7.0, ct[1] * res[0] - 3.0 * ct[0]),
)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 2))
def vjp_nondiff(f, x, n):
    return f(x) * n


vjp_nondiff.defvjp(
    lambda f, x, n: (vjp_nondiff(f, x, n), x),
    lambda f, n, res, ct: (ct * f(res) * (n + 100.0),),
)


@jax.custom_vjp
def symbolic_vjp(x, y):
    return x * y, x + y


def _symbolic_fwd(x, y):
    flags = (x.perturbed, y.perturbed)
    return symbolic_vjp(x.value, y.value), (x.value, flags)


def _symbolic_bwd(res, cts):
    x, (x_perturbed, y_perturbed) = res
    first, second = cts
    total = jnp.zeros_like(x) if type(first) is SymbolicZero else 5.0 * first * x
    total = total if type(second) is SymbolicZero else total + 11.0 * second
    return (
        total if x_perturbed else jnp.zeros_like(x),
        13.0 * total if y_perturbed else jnp.zeros_like(x),
    )


symbolic_vjp.defvjp(_symbolic_fwd, _symbolic_bwd, symbolic_zeros=True)


def vjp_with_closure(x, y):
    """A custom derivative defined within, over arrays of the enclosing function."""
    scale = 3.0 * y
    table = np.array([1.0, -2.0, 4.0], np.float32)

    @jax.custom_vjp
    def f(a):
        return a * scale

    f.defvjp(lambda a: (a * scale, a), lambda res, ct: (ct * res * table + scale,))
    return f(x)


def jvp_with_closure(x, y):
    scale = 3.0 * y

    @jax.custom_jvp
    def f(a):
        return a * scale

    f.defjvp(lambda p, t: (f(p[0]), t[0] * scale * 5.0))
    return f(x)


def closure_convert(x, y):
    converted, consts = jax.closure_convert(lambda a: jnp.sin(a) * y, x)
    return converted(x, *consts)


PROGRAMS = {
    "jvp": wrong_jvp,
    "jvp-of-one": lambda x, y: wrong_jvp(x, jax.lax.stop_gradient(y)),
    "jvp-symbolic-zeros": symbolic_jvp,
    "jvp-symbolic-zero-of-second": lambda x, y: symbolic_jvp(x, jax.lax.stop_gradient(y)) * y,
    "jvp-nondiff-argnums": lambda x, y: jvp_nondiff(jnp.sin, x, 3) * y,
    "jvp-in-scan": lambda x, y: jax.lax.scan(lambda c, r: (wrong_jvp(c, r), c), x[0], y),
    "jvp-in-jit": lambda x, y: jax.jit(wrong_jvp)(y, x),
    "vjp": wrong_vjp,
    "vjp-of-one": lambda x, y: wrong_vjp(x, jax.lax.stop_gradient(y)),
    "vjp-one-output": lambda x, y: wrong_vjp(x, y)[1],
    "vjp-symbolic-zeros": symbolic_vjp,
    "vjp-symbolic-zero-of-input": lambda x, y: symbolic_vjp(x, jax.lax.stop_gradient(y))[0] * y,
    "vjp-nondiff-argnums": lambda x, y: vjp_nondiff(jnp.cos, x, 3) * y,
    "vjp-in-scan": lambda x, y: jax.lax.scan(lambda c, r: (wrong_vjp(c, r)[0], c), x[0], y),
    "vjp-in-jit": lambda x, y: jax.jit(wrong_vjp)(y, x),
    "vjp-in-cond": lambda x, y: jax.lax.cond(x[0] > 0, wrong_vjp, lambda a, b: (a, b), x, y),
    "vjp-in-checkpoint": lambda x, y: jax.checkpoint(lambda a: wrong_vjp(a, y)[0])(x),
    "closure-convert": closure_convert,
    "relu-and-logsumexp": lambda x, y: (jax.nn.relu(x), jax.nn.logsumexp(y), jax.nn.silu(x)),
}
FORWARD_OK = {name for name in PROGRAMS if not name.startswith("vjp")}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_rule_is_used(name, mode):
    if mode.startswith("jvp") and name not in FORWARD_OK:
        pytest.skip("JAX has no forward mode of a custom_vjp")
    check_transparent(PROGRAMS[name], (X, Y), mode)


def test_rule_is_not_the_true_derivative():
    """Were the rule replaced by differentiating through the body, this would be cos(x) * y."""
    grad = jax.grad(lambda x, y: jnp.sum(wrong_jvp(x, y)))
    assert_same(unwrap(quaxify(grad)(Wrapped(X), Wrapped(Y))), 7.0 * X)
    outside = jax.grad(lambda x: jnp.sum(unwrap(quaxify(wrong_vjp)(x, Wrapped(Y))[0])))
    assert_same(unwrap(outside(Wrapped(X))), 14.0 * Y)


def test_primal_is_not_run_by_the_rule():
    """Without differentiation the forward rule is not used."""

    @jax.custom_vjp
    def f(x):
        return x * 2.0

    f.defvjp(lambda x: (x * 1000.0, None), lambda res, ct: (ct,))
    assert_same(unwrap(quaxify(f)(Wrapped(X))), 2.0 * X)
    assert_same(unwrap(jax.jit(quaxify(f))(Wrapped(X))), 2.0 * X)


def test_vjp_has_no_forward_mode():
    with pytest.raises(TypeError, match="custom_lin|forward-mode"):
        quaxify(lambda x: jax.jvp(lambda a: wrong_vjp(a, a)[0], (x,), (x,)))(Wrapped(X))


@pytest.mark.parametrize("program", [jvp_with_closure, vjp_with_closure], ids=lambda f: f.__name__)
def test_rules_over_arrays_of_the_enclosing_function(program):
    """The rule closes over a traced array; the derivative is by the other argument alone."""
    grad = jax.grad(lambda x, y: jnp.sum(program(x, y) * y))
    expected = grad(X, Y)
    assert_same(unwrap(quaxify(grad)(Wrapped(X), Wrapped(Y))), expected)
    assert_same(unwrap(jax.jit(quaxify(grad))(Wrapped(X), Wrapped(Y))), expected)
    assert_same(unwrap(quaxify(program)(Wrapped(X), Wrapped(Y))), program(X, Y))


NEW_JAX = jax.version.__version_info__ >= (0, 12)


@pytest.mark.parametrize("array", [jnp.asarray, np.asarray], ids=["jax", "numpy"])
@pytest.mark.parametrize("kind", ["jvp", "vjp"])
def test_rules_over_constant_arrays_differentiated_from_outside(kind, array):
    """A rule that closes over a concrete array, as `jax.grad(jax.jit(f))` takes it."""
    scale = array(3.0 * Y)

    def program(x):
        if kind == "jvp":
            f = jax.custom_jvp(lambda a: a * scale)
            f.defjvp(lambda p, t: (f(p[0]), t[0] * scale * 5.0))
        else:
            f = jax.custom_vjp(lambda a: a * scale)
            f.defvjp(lambda a: (a * scale, a), lambda res, ct: (ct * res * scale,))
        return jnp.sum(f(x) * Y)

    expected = jax.grad(jax.jit(program))(X)
    assert_same(
        quaxify(jax.grad(program))(Wrapped(X)), expected if kind == "jvp" else Wrapped(expected)
    )
    assert_same(unwrap(jax.grad(lambda x: unwrap(quaxify(program)(x)))(Wrapped(X))), expected)


def _captures(kind, g):
    if kind == "jvp":
        f = jax.custom_jvp(lambda x: x * g)
        f.defjvp(lambda p, t: (p[0] * g, t[0] * 10.0 * g))
    else:
        f = jax.custom_vjp(lambda x: x * g)
        f.defvjp(lambda x: (x * g, x), lambda res, ct: (ct * 10.0 * g,))
    return f


@pytest.mark.parametrize("kind", ["jvp", "vjp"])
def test_captured_value_in_custom_rules(kind):
    """A quantity that primal, forward and backward functions capture, differentiated within."""
    x = Quantity(jnp.float32(2.0), "s")
    f = _captures(kind, Quantity(jnp.float32(3.0), "m"))
    assert_same(quaxify(f)(x), Quantity(jnp.float32(6.0), "m*s"))
    # d(f in m s)/d(x in s) by the user's rule: 10 times 3 m.
    assert_same(quaxify(jax.grad(f))(x), Quantity(jnp.float32(30.0), "m"))


@pytest.mark.parametrize("kind", ["jvp", "vjp"])
def test_captured_value_in_custom_rules_differentiated_from_outside(kind):
    x = Quantity(jnp.float32(2.0), "s")
    f = _captures(kind, Quantity(jnp.float32(3.0), "m"))
    assert_same(sciquax.grad(f)(x), Quantity(jnp.float32(30.0), "m"))


def test_second_order_of_a_custom_jvp():
    f = lambda x, y: jnp.sum(wrong_jvp(x, y))
    expected = jax.hessian(f)(X, Y)
    assert_same(unwrap(quaxify(jax.hessian(f))(Wrapped(X), Wrapped(Y))), expected)
    np.testing.assert_allclose(expected, 7.0 * np.eye(3), atol=1e-6)


def test_integer_operand_of_custom_rules():
    """Integers have float0 tangents."""

    @jax.custom_vjp
    def f(x, n):
        return x * n.astype(x.dtype)

    f.defvjp(lambda x, n: (f(x, n), n), lambda n, ct: (ct * 5.0 * n.astype(ct.dtype), None))
    n = jnp.asarray([2, 3, 4], jnp.int32)
    grad = jax.grad(lambda x, n: jnp.sum(f(x, n)))
    assert_same(unwrap(quaxify(grad)(Wrapped(X), n)), grad(X, n))
    assert_same(unwrap(quaxify(grad)(Wrapped(X), Wrapped(n))), grad(X, n))


def test_integer_operand_of_a_custom_jvp():
    n = jnp.asarray([2, 3, 4], jnp.int32)

    @jax.custom_jvp
    def h(x, n):
        return x * n.astype(x.dtype)

    h.defjvp(lambda p, t: (h(*p), t[0] * 5.0 * p[1].astype(t[0].dtype)))
    grad = jax.grad(lambda x, n: jnp.sum(h(x, n)))
    assert_same(unwrap(quaxify(grad)(Wrapped(X), Wrapped(n))), grad(X, n))


@pytest.mark.parametrize("kind", ["jvp", "vjp"])
def test_constants_of_every_unit_pass_through(kind):
    """A buffer of literal zeros takes the unit of what is saved into it afterwards."""

    def plain(x):
        return 2 * x, jnp.zeros(3)

    if kind == "jvp":
        function = jax.custom_jvp(plain)
        function.defjvp(lambda xs, ts: (plain(*xs), (2 * ts[0], jnp.zeros(3))))
    else:
        function = jax.custom_vjp(plain)
        function.defvjp(lambda x: (plain(x), None), lambda _, cts: (2 * cts[0],))

    def save(x):
        doubled, buffer = function(x)
        return buffer.at[1].set(doubled * x)

    found = quaxify(save)(Quantity(3.0, "m"))
    np.testing.assert_array_equal(found.m_as("m**2"), [0.0, 18.0, 0.0])
    slope = sciquax.grad(lambda x: jnp.sum(save(x)))(Quantity(3.0, "m"))
    np.testing.assert_allclose(slope.m_as("m"), 12.0)
