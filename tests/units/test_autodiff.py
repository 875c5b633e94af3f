"""Derivatives carry derivatives' units."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciquax
from sciquax import quaxify
from sciquax.units import DimensionalityError, Quantity
from tests.helpers import assert_same

V = jnp.asarray(np.array([1.0, -2.0, 3.0], np.float32))


def q(x, unit):
    return Quantity(jnp.asarray(x, jnp.float32), unit)


X, T = q(3.0, "m"), q(2.0, "s")
f = lambda x, t: x**2 / t  # 4.5 m**2/s; by x 3 m/s; by t -2.25 m**2/s**2
DX, DT = q(3.0, "m/s"), q(-2.25, "m**2/s**2")


@pytest.mark.parametrize("wrap", ["plain", "jit-inside", "jit-outside", "quaxify-inside"])
def test_grad(wrap):
    fun = {"jit-inside": jax.jit(f), "quaxify-inside": quaxify(f)}.get(wrap, f)
    grad = lambda argnums: (jax.jit if wrap == "jit-outside" else lambda g: g)(
        sciquax.grad(fun, argnums)
    )
    assert_same(grad(0)(X, T), DX)
    assert_same(grad(-1)(X, T), DT)
    assert_same(grad((1, 0))(X, T), (DT, DX))
    assert_same(sciquax.value_and_grad(fun)(X, T), (q(4.5, "m**2/s"), DX))


def test_grad_in_other_units():
    """By kilometres of a function of kilometres: the same physical derivative."""
    assert_same(sciquax.grad(f)(q(0.003, "km"), T).to("m/s"), DX)
    assert_same(sciquax.grad(lambda x: (x.to("km")) ** 2)(X), q(6e-6, "km**2/m"))
    assert_same(sciquax.grad(jnp.sin)(q(60.0, "degree")), q(np.pi / 360, "1/degree"))
    assert_same(sciquax.grad(lambda x: x / q(2.0, "km"))(X).to("1/m"), q(5e-4, "1/m"))
    assert_same(
        sciquax.grad(lambda t: (t - q(3.0, "degC")) ** 2)(q(25.0, "degC")), q(44.0, "delta_degC")
    )
    assert_same(sciquax.grad(lambda x: x / q(2.0, "m"))(X), q(0.5, "1/m"))


def test_pytrees_aux_and_plain_leaves():
    loss = lambda p, k: (
        p["x"] ** 2 / p["t"][0] * p["n"] * k,
        {"product": p["x"] * p["t"][0], "n": 1},
    )
    p = {"x": X, "t": [T], "n": jnp.float32(4.0)}
    grads, aux = sciquax.grad(loss, has_aux=True)(p, k=2.0)
    assert_same(grads, {"x": q(24.0, "m/s"), "t": [q(-18.0, "m**2/s**2")], "n": q(9.0, "m**2/s")})
    assert_same(aux, {"product": q(6.0, "m*s"), "n": 1})
    (value, _), _ = sciquax.value_and_grad(loss, has_aux=True)(p, 2.0)
    assert_same(value, q(36.0, "m**2/s"))


def test_higher_orders():
    cube = lambda x: x**3
    assert_same(sciquax.grad(sciquax.grad(cube))(X), q(18.0, "m"))
    assert_same(sciquax.grad(sciquax.grad(sciquax.grad(cube)))(X), jnp.float32(6.0))
    assert_same(sciquax.jacfwd(sciquax.grad(cube))(X), q(18.0, "m"))
    assert_same(sciquax.hessian(cube)(X), q(18.0, "m"))


def test_inside_quaxify():
    assert_same(quaxify(jax.grad(lambda x: x**3))(X), q(27.0, "m**2"))
    assert_same(quaxify(lambda x: sciquax.grad(lambda y: y**3)(x))(X), q(27.0, "m**2"))
    assert_same(quaxify(jax.grad(f, (0, 1)))(X, T), (DX, DT))
    assert_same(quaxify(jax.vmap(jax.grad(lambda x: x**3)))(q(V, "m")), q(3 * V**2, "m**2"))
    assert_same(jax.vmap(sciquax.grad(lambda x: x**3))(q(V, "m")), q(3 * V**2, "m**2"))
    assert_same(quaxify(jax.hessian(lambda x: x**3))(X), q(18.0, "m"))
    assert_same(
        quaxify(lambda x: jax.jvp(lambda y: y**2, (x,), (x,)))(X), (q(9.0, "m**2"), q(18.0, "m**2"))
    )
    assert_same(quaxify(lambda x: jax.vjp(lambda y: y**2, x)[1](1.0)[0])(X), q(6.0, "m"))
    assert_same(quaxify(jax.jacrev(f, 1))(X, T), DT)


def test_captured_and_plain_arguments():
    k = q(5.0, "N/m")
    assert_same(sciquax.grad(lambda x: 0.5 * k * x**2)(X), q(15.0, "N"))
    assert_same(sciquax.grad(lambda n: n * k * n)(2.0), Quantity(20.0, "N/m"))
    assert_same(
        sciquax.grad(lambda x, how: x**2 if how == "square" else x)(X, "square"), q(6.0, "m")
    )
    assert_same(sciquax.grad(lambda x, *, t: x * t)(X, t=T), T)
    assert_same(sciquax.grad(lambda n: n**3)(2.0), jnp.asarray(12.0))


def test_not_scalar():
    with pytest.raises(TypeError, match="scalar-output"):
        sciquax.grad(lambda x: x * V)(X)
    with pytest.raises(TypeError, match="real- or complex-valued"):
        sciquax.grad(lambda x: x**2)(Quantity(3, "m"))


def test_error_inside_has_the_dimension():
    with pytest.raises(DimensionalityError, match="which measure different things"):
        sciquax.grad(lambda x, t: x + t)(X, T)


def test_jvp():
    out, tangent = sciquax.jvp(f, (X, T), (q(1.0, "m"), q(0.5, "s")))
    assert_same((out, tangent), (q(4.5, "m**2/s"), q(3.0 - 1.125, "m**2/s")))
    assert_same(sciquax.jvp(lambda x: x**2, (X,), (q(1.0, "km"),))[1].to("m**2"), q(6000.0, "m**2"))
    # Velocities in m/s and s/s: the tangent is per second.
    _, rate = sciquax.jvp(f, (X, T), (q(2.0, "km/s"), Quantity(jnp.float32(0.5), "")))
    assert_same(rate.to("m**2/s**2"), q(6000.0 - 1.125, "m**2/s**2"))
    out, tangent, aux = sciquax.jvp(lambda x: (x**2, {"x": x}), (X,), (X,), has_aux=True)
    assert_same((out, tangent, aux), (q(9.0, "m**2"), q(18.0, "m**2"), {"x": X}))
    assert_same(sciquax.jvp(lambda x: x**2, (V,), (V,)), (V**2, 2 * V**2))


@pytest.mark.parametrize("bad", [(q(1.0, "m/s"), q(1.0, "s")), (q(1.0, "kg"), q(1.0, "s"))])
def test_jvp_of_tangents_without_a_common_rate(bad):
    with pytest.raises(DimensionalityError, match="A tangent is in"):
        sciquax.jvp(f, (X, T), bad)


def test_linearize():
    out, push = sciquax.linearize(f, X, T)
    assert_same(out, q(4.5, "m**2/s"))
    assert_same(push(q(1.0, "m"), q(0.5, "s")), q(1.875, "m**2/s"))
    assert_same(push(q(1.0, "km"), q(0.0, "s")).to("m**2/s"), q(3000.0, "m**2/s"))


def test_vjp():
    out, pull = sciquax.vjp(f, X, T)
    assert_same(out, q(4.5, "m**2/s"))
    assert_same(pull(jnp.float32(2.0)), (q(6.0, "m/s"), q(-4.5, "m**2/s**2")))
    dx, dt = pull(q(2.0, "J*s/m**2"))  # a loss in J per output: gradients in J/m and J/s
    assert_same((dx.to("J/m"), dt.to("J/s")), (q(6.0, "J/m"), q(-4.5, "J/s")))
    out, pull, aux = sciquax.vjp(lambda x: (x * 2, x), X, has_aux=True)
    assert_same((pull(q(1.0, "1/s")), aux), ((q(2.0, "1/s"),), X))


def test_pulled_back_number_is_plain():
    _, pull = sciquax.vjp(lambda x: x * 2, X)
    assert_same(pull(jnp.float32(1.0)), (jnp.float32(2.0),))


@pytest.mark.parametrize("jac", [sciquax.jacfwd, sciquax.jacrev], ids=["fwd", "rev"])
def test_jacobians(jac):
    x = q(V, "m")
    by_x, by_t = jac(f, (0, 1))(x, T)
    assert_same(by_x, q(jnp.diag(V), "m/s"))
    assert_same(by_t, q(-(V**2) / 4, "m**2/s**2"))
    tree = jac(lambda x, t: {"a": x * t, "b": jnp.sum(x)}, (0, 1))(x, T)
    assert_same(tree["a"], (q(2 * jnp.eye(3), "s"), x))
    assert_same(tree["b"][0], jnp.ones(3))
    assert_same(tree["b"][1], q(0.0, "m/s"))
    assert_same(jax.jit(jac(lambda x: x**2))(x), q(jnp.diag(2 * V), "m"))
    block, aux = jac(lambda x: (x[:2] ** 2, x[2]), has_aux=True)(x)
    assert_same((block, aux), (q([[2.0, 0, 0], [0, -4.0, 0]], "m"), q(3.0, "m")))
    matrix = q([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "N")
    assert_same(jac(lambda a, x: a @ x, 1)(matrix, x), matrix)


def test_hessian():
    x = q(V, "m")
    energy = lambda x, t: jnp.sum(x**3) / t
    (xx, xt), (tx, tt) = sciquax.hessian(energy, (0, 1))(x, T)
    assert_same(xx, q(jnp.diag(3 * V), "m/s"))
    assert_same(xt, q(-0.75 * V**2, "m**2/s**2"))
    assert_same(tx, q(-0.75 * V**2, "m**2/s**2"))
    assert_same(tt, q(jnp.sum(V**3) / 4, "m**3/s**3"))
    out = sciquax.hessian(lambda p: jnp.sum(p["x"] ** 2) * p["t"])({"x": x, "t": T})
    assert_same(out["x"]["x"], q(4 * jnp.eye(3), "s"))
    assert_same(out["x"]["t"], q(2 * V, "m"))
    assert_same(out["t"]["t"], q(0.0, "m**2/s"))


@pytest.mark.parametrize("scale", [("km", 1e-3), ("cm", 100.0), ("inch", 1 / 0.0254)])
def test_changing_units_commutes_with_differentiation(scale):
    unit, factor = scale
    loss = lambda x, t: jnp.sum(jnp.sin(x / q(2.0, "m")) * x**2) / t
    expected = sciquax.grad(loss)(q(V, "m"), T)
    actual = sciquax.grad(loss)(q(V * factor, unit), T.to("min"))
    assert_same(actual.to("m/s"), expected, rtol=1e-4)


# -- rules for whole functions under `jax.grad` within `quaxify` ----------------------------------

_V = np.array([2.5, 0.75], np.float32)
_A = np.array([[2.0, 1.0], [1.0, 5.0]], np.float32)

WHOLE = {
    "hypot": (lambda x: jnp.hypot(x[0], x[1]), _V, ""),
    "interp": (lambda x: jnp.interp(x[0], jnp.sort(x), jnp.sort(x) * x[1]), _V, "m"),
    "nan_to_num": (lambda x: jnp.sum(jnp.nan_to_num(x) ** 2), _V, "m"),
    "std": (lambda x: jnp.std(x), _V, ""),
    "percentile": (lambda x: jnp.percentile(x, 30.0), _V, ""),
    "det": (lambda x: jnp.linalg.det(x), _A, "m"),
    "inv": (lambda x: jnp.sum(jnp.linalg.inv(x) ** 2), _A, "m**-3"),
    "eigh": (lambda x: jnp.sum(jnp.linalg.eigh(x)[0] ** 2), _A, "m"),
    "svd": (lambda x: jnp.sum(jnp.linalg.svd(x, compute_uv=False) ** 3), _A, "m**2"),
    "norm": (lambda x: jnp.linalg.norm(x), _A, ""),
    "norm.pdf": (lambda x: jnp.sum(jax.scipy.stats.norm.pdf(x, x[0], x[1])), _V, "m**-2"),
    "vmap": (lambda x: jnp.sum(jax.vmap(jnp.hypot)(x, x[::-1])), _V, ""),
    "jit": (
        lambda x: jax.jit(lambda y: jnp.linalg.norm(y) * jnp.hypot(y[0], y[1]))(x),
        _V,
        "m",
    ),
    "scan": (
        lambda x: jax.lax.scan(lambda c, v: (jnp.hypot(c, v), None), 0.5 * x[0], x)[0],
        _V,
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("transform", [jax.grad, jax.jacfwd], ids=["grad", "jacfwd"])
@pytest.mark.parametrize("name", WHOLE)
def test_whole_functions_inside(name, transform):
    function, x, unit = WHOLE[name]
    expected = transform(function)(jnp.asarray(x))
    out = quaxify(transform(function))(Quantity(1000 * x, "mm"))
    if unit == "":
        out = out.m_as("") if isinstance(out, Quantity) else out
        assert_same(out, expected, rtol=1e-4)
    else:
        assert_same(out.to(unit), Quantity(expected, unit), rtol=2e-4)


@pytest.mark.parametrize("transform", [jax.jacfwd, jax.jacrev], ids=["forward", "reverse"])
@pytest.mark.parametrize("inner", [jax.jacfwd, jax.grad], ids=["of forward", "of reverse"])
@pytest.mark.parametrize("name", ["interp", "det", "hypot"])
def test_second_derivatives_of_whole_functions_inside(name, inner, transform):
    """The rule is differentiated twice: the function's own code does not run on quantities."""
    function, x, _ = WHOLE[name]
    second = transform(inner(function))
    out = quaxify(second)(Quantity(1000 * x, "mm"))
    due = second(jnp.asarray(x))
    assert_same(out, Quantity(due / 1000, "1/mm") if name == "hypot" else due, rtol=1e-4)


def test_transposed_maps_of_whole_functions_inside():
    rows = jnp.asarray([[1.0, 0.5], [-2.0, 4.0], [0.25, 3.0]])

    def gradient(x, rows, weights):
        """By the function's tangents at all rows, and their transpose."""
        tangents = jax.vmap(lambda t: jax.jvp(jnp.linalg.norm, (x,), (t,))[1])
        return jax.linear_transpose(tangents, rows)(weights)[0]

    weights = jnp.asarray([2.0, 0.0, -1.0])
    out = quaxify(gradient)(Quantity(_V, "km"), rows, weights)
    assert_same(out, gradient(jnp.asarray(_V), rows, weights))


@pytest.mark.parametrize(("number", "due"), [(0.0, 0.5), (jnp.nan, jnp.nan)])
def test_literal_tangents_of_whole_functions_inside(number, due):
    """Zeros of every unit add nothing, and what is not a number stays that."""

    def tangent(x, y, t):
        function = lambda x, y: jnp.interp(x[0], jnp.sort(y), jnp.sort(y))
        return jax.jvp(function, (x, y), (t, jnp.full_like(t, number)))[1]

    x, y = np.array([3.5, 1.0], np.float32), np.array([6.0, 2.0], np.float32)
    out = quaxify(tangent)(Quantity(x, "m"), Quantity(y, "m"), Quantity(x / 7, "m"))
    assert_same(out, Quantity(np.float32(due), "m"))


def test_ones_like_inside():
    out = quaxify(jax.grad(lambda x: jnp.sum(jnp.ones_like(x) * x)))(Quantity(_V, "km"))
    assert_same(out, Quantity(np.ones(2, np.float32), "km"))


def test_vmap_of_grad_of_whole_functions_inside():
    rows = np.array([[2.5, 0.75], [1.0, 4.0]], np.float32)
    function = lambda x: jnp.hypot(x[0], x[1]) * x[0]
    out = quaxify(jax.vmap(jax.grad(function)))(Quantity(rows, "km"))
    assert_same(out, Quantity(jax.vmap(jax.grad(function))(jnp.asarray(rows)), "km"))


# -- complex numbers, several arguments, trees ----------------------------------------------------


def test_holomorphic():
    z = np.complex64(1 + 2j)
    for transform, ours in ((jax.grad, sciquax.grad), (jax.jacfwd, sciquax.jacfwd)):
        out = ours(lambda z: z**3, holomorphic=True)(Quantity(z, "m"))
        expected = transform(lambda z: z**3, holomorphic=True)(jnp.asarray(z))
        assert_same(out, Quantity(expected, "m**2"))


def test_real_function_of_a_complex_number():
    z = np.complex64(1 + 2j)
    function = lambda z: jnp.abs(z) ** 2
    expected = jax.grad(function)(jnp.asarray(z))
    assert_same(sciquax.grad(function)(Quantity(z, "m")), Quantity(expected, "m"))


def test_several_arguments_trees_and_auxiliary_output():
    def energy(state, k):
        kinetic = 0.5 * state["m"] * jnp.sum(state["v"] ** 2)
        return kinetic * k, {"momentum": state["m"] * state["v"]}

    state = {"m": Quantity(np.float32(2.0), "kg"), "v": Quantity(_V, "m/s")}
    (value, aux), (by_state, by_k) = sciquax.value_and_grad(energy, (0, 1), has_aux=True)(
        state, np.float32(3.0)
    )
    plain = {"m": jnp.float32(2.0), "v": jnp.asarray(_V)}
    (e_value, e_aux), (e_state, e_k) = jax.value_and_grad(energy, (0, 1), has_aux=True)(
        plain, jnp.float32(3.0)
    )
    assert_same(value, Quantity(e_value, "kg*m**2/s**2"))
    assert_same(aux, {"momentum": Quantity(e_aux["momentum"], "kg*m/s")})
    assert_same(by_state["m"], Quantity(e_state["m"], "m**2/s**2"))
    assert_same(by_state["v"], Quantity(e_state["v"], "kg*m/s"))
    assert_same(by_k, Quantity(e_k, "kg*m**2/s**2"))


def test_no_tracer_leaks(leak_check):
    x = Quantity(jnp.array([1.0, 2.0, 3.0]), "m")
    f = lambda x: jnp.sum(x**1.5)
    sciquax.value_and_grad(f)(x)
    jax.jit(sciquax.grad(f))(x)
    sciquax.hessian(f)(x)
    sciquax.vjp(f, x)
    sciquax.linearize(f, x)
