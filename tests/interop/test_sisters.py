"""Optax, BlackJAX, sympy2jax, Equinox, jaxtyping, Orbax with units, against the plain library."""

import blackjax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
import sympy
import sympy2jax
from beartype import beartype
from beartype.roar import BeartypeCallHintParamViolation
from jaxtyping import Float, jaxtyped

import sciquax
from sciquax import quaxify
from sciquax.interop import optax as soptax
from sciquax.interop.blackjax import without_units
from sciquax.named import NamedArray
from sciquax.units import DimensionalityError, Quantity


@pytest.fixture(autouse=True)
def standard_promotion():
    """Optax itself mixes floating point numbers and integers."""
    with jax.numpy_dtype_promotion("standard"):
        yield


# -- Optax ----------------------------------------------------------------------------------------

DATA = jnp.array([0.5, 1.5, 2.0, 3.5])
STRETCH, FORCE = Quantity(DATA, "dm"), Quantity(0.3 * DATA + 0.1 * DATA**2, "N")


def plain_loss(p):
    return jnp.mean((p["k"] * DATA + p["bend"]["c"] * DATA**2 - 0.3 * DATA - 0.1 * DATA**2) ** 2)


def loss(p):
    force = p["k"] * STRETCH + p["bend"]["c"] * STRETCH**2
    return jnp.mean((force - FORCE) ** 2)


START = {"k": jnp.array(1.0), "bend": {"c": jnp.array(-1.0)}}
PARAMS = {"k": Quantity(1.0, "N/dm"), "bend": {"c": Quantity(-1.0, "N/dm**2")}}
OPTIMISERS = {
    "sgd": lambda: optax.sgd(0.02, momentum=0.9),
    "adam": lambda: optax.adam(0.1),
    "adamw": lambda: optax.adamw(0.1, weight_decay=0.01),
    "chain": lambda: optax.chain(
        optax.clip_by_global_norm(1.0), optax.scale_by_adam(), optax.scale_by_learning_rate(0.1)
    ),
    "lbfgs": lambda: optax.lbfgs(),
}


def train(lib, transformation, value_and_grad, fn, params, steps=3):
    state, value = transformation.init(params), None
    extra = isinstance(transformation, optax.GradientTransformationExtraArgs)

    @jax.jit
    def step(params, state):
        value, grads = value_and_grad(params)
        given = dict(value=value, grad=grads, value_fn=fn) if extra else {}
        updates, state = transformation.update(grads, state, params, **given)
        return lib.apply_updates(params, updates), state, value

    for _ in range(steps):
        params, state, value = step(params, state)
    return params, value


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n == "lbfgs")) for n in OPTIMISERS]
)
def test_optax(name):
    plain = optax.with_extra_args_support(OPTIMISERS[name]())
    ours = soptax.with_units(OPTIMISERS[name](), loss_unit="N**2")
    staged = quaxify(loss)
    want, want_value = train(optax, plain, jax.value_and_grad(plain_loss), plain_loss, START)
    found, value = train(soptax, ours, sciquax.value_and_grad(loss), staged, PARAMS)
    np.testing.assert_allclose(found["k"].m_as("N/dm"), want["k"], rtol=1e-4)
    np.testing.assert_allclose(found["bend"]["c"].m_as("N/dm**2"), want["bend"]["c"], rtol=1e-4)
    np.testing.assert_allclose(value.m_as("N**2"), want_value, rtol=1e-4)
    assert str(found["k"].units) == "newton / decimeter"


def test_the_loss_unit_scales_the_gradient():
    p, g = Quantity(2.0, "km"), Quantity(3.0, "J/m")
    for unit, want in (("J", -300.0), ("kJ", -0.3), (None, -300.0)):
        optimiser = soptax.with_units(optax.sgd(0.1), unit)
        updates, _ = optimiser.update(g, optimiser.init(p), p)
        np.testing.assert_allclose(updates.m_as("km"), want, rtol=1e-6)
    # With no unit given, a loss in kJ and in J descend alike.
    optimiser = soptax.with_units(optax.sgd(0.1))
    found, _ = optimiser.update(Quantity(3.0, "kJ/km"), optimiser.init(p), p)
    np.testing.assert_allclose(found.m_as("km"), -300.0, rtol=1e-6)
    # Parameters that come in another unit than at the start.
    adamw = soptax.with_units(optax.adamw(0.1, weight_decay=0.5), "J")
    one, _ = adamw.update(g, adamw.init(p), p)
    other, _ = adamw.update(g, adamw.init(p), p.to("cm"))
    np.testing.assert_allclose(one.m_as("m"), other.m_as("m"), rtol=1e-6)


def test_a_learning_rate_with_a_unit_needs_no_wrapper():
    optimiser = optax.sgd(Quantity(0.1, "m**2/J"))
    p, g = Quantity(2.0, "m"), Quantity(3.0, "J/m")
    updates, _ = quaxify(optimiser.update)(g, optimiser.init(p), p)
    np.testing.assert_allclose(soptax.apply_updates(p, updates).m_as("m"), 1.7)
    updates, _ = quaxify(optax.sgd(0.1).update)(g, optimiser.init(p), p)
    with pytest.raises(DimensionalityError):
        soptax.apply_updates(p, updates)  # J/m


def test_optax_on_modules_and_plain_leaves():
    model = eqx.nn.Linear(1, 1, key=jax.random.key(0))
    model = eqx.tree_at(lambda m: m.weight, model, Quantity(model.weight, "N/m"))
    model = eqx.tree_at(lambda m: m.bias, model, jnp.array([0.5]))

    def fn(model, x):
        return jnp.sum((model.weight @ x) ** 2) / Quantity(1.0, "N**2") + jnp.sum(model.bias**2)

    optimiser = soptax.with_units(optax.adam(0.1))
    params = eqx.filter(model, eqx.is_inexact_array)
    grads = sciquax.grad(fn)(model, Quantity(jnp.ones(1), "cm"))
    updates, _ = optimiser.update(grads, optimiser.init(params), params)
    new = soptax.apply_updates(params, updates)
    assert str(new.weight.units) == "newton / meter" and isinstance(new.bias, jax.Array)
    np.testing.assert_allclose(new.bias, 0.4, rtol=1e-4)


def test_optax_in_scan():
    optimiser = soptax.with_units(optax.adam(0.05), "N**2")

    def step(carry, _):
        params, state = carry
        value, grads = sciquax.value_and_grad(loss)(params)
        updates, state = optimiser.update(grads, state, params)
        return (soptax.apply_updates(params, updates), state), value

    carry = (PARAMS, optimiser.init(PARAMS))
    (params, _), values = jax.jit(lambda c: jax.lax.scan(step, c, None, 300))(carry)
    assert values[-1] < values[0] / 1e3
    assert str(params["k"].units) == "newton / decimeter"


def test_named_parameters():
    params = NamedArray(Quantity(jnp.ones(2), "m"), ("x",))
    optimiser = soptax.with_units(optax.sgd(0.1), "m**2")
    grads = sciquax.grad(lambda p: (p**2).sum("x"))(params)
    updates, _ = optimiser.update(grads, optimiser.init(params), params)
    new = soptax.apply_updates(params, updates)
    assert new.dims == ("x",)
    np.testing.assert_allclose(new.array.m_as("m"), 0.8, rtol=1e-5)
    bare, start, label = without_units(lambda p: -((p / Quantity(1.0, "m")) ** 2).sum("x"), params)
    np.testing.assert_allclose(bare(start), -2.0)
    samples = label(jax.tree.map(lambda x: jnp.stack([x, 2 * x, 3 * x]), start))
    assert samples.dims == (None, "x") and str(samples.array.units) == "meter"


def test_optax_refuses():
    optimiser = soptax.with_units(optax.adam(0.1), "J")
    params = {"x": Quantity(1.0, "m"), "t": Quantity(1.0, "s")}
    state = optimiser.init(params)
    with pytest.raises(DimensionalityError) as error:
        optimiser.update({"x": Quantity(1.0, "m"), "t": Quantity(1.0, "s")}, state, params)
    assert error.value.what() == (
        "Optax got a gradient for params['t'] in 's', and for a loss in 'J' and a parameter in "
        "'s' it is in 'J/s'."
    )
    assert error.value.location.file == __file__
    assert "sciquax.grad" in error.value.remedy
    mixed = {"x": Quantity(1.0, "J/m"), "t": Quantity(1.0, "J/m")}
    with pytest.raises(DimensionalityError, match="params"):  # no one loss has these gradients
        soptax.with_units(optax.adam(0.1)).update(mixed, state, params)
    with pytest.raises(DimensionalityError, match="as plain numbers"):
        optimiser.update({"x": jnp.array(1.0), "t": jnp.array(1.0)}, state, params)
    with pytest.raises(DimensionalityError, match="an update for params\\['x'\\] in 's'"):
        soptax.apply_updates(params, {"x": Quantity(1.0, "s"), "t": Quantity(1.0, "s")})
    with pytest.raises(TypeError, match="the parameters are"):
        soptax.apply_updates(params, {"x": Quantity(1.0, "m")})
    with pytest.raises(TypeError, match="within `quaxify`"):
        quaxify(optimiser.init)(params)
    with pytest.raises(DimensionalityError, match="a value of the loss in 's'"):
        grads = {"x": Quantity(1.0, "J/m"), "t": Quantity(1.0, "W")}
        optimiser.update(grads, state, params, value=Quantity(1.0, "s"))
    # Optax's own Adam would add what is no length to a length.
    with pytest.raises(DimensionalityError):
        g, p = Quantity(3.0, "J/m"), Quantity(1.0, "m")
        quaxify(optax.adam(0.1).update)(g, optax.adam(0.1).init(p), p)
    assert soptax.adam is optax.adam and "with_units" in dir(soptax)


# -- BlackJAX -------------------------------------------------------------------------------------

MEAN, SCALE = jnp.array([3.0, -1.0]), jnp.array([0.2, 0.5])


def test_blackjax():
    def logdensity(position):
        z = (position["x"] - Quantity(MEAN, "m")) / Quantity(100 * SCALE, "cm")
        return -0.5 * jnp.sum(z**2) - 0.5 * position["n"] ** 2

    def plain(position):
        return -0.5 * jnp.sum(((position["x"] - MEAN) / SCALE) ** 2) - 0.5 * position["n"] ** 2

    start = {"x": Quantity(MEAN, "m"), "n": jnp.array(0.0)}
    bare, position, label = without_units(logdensity, start)

    def run(fn, position, n=200):
        hmc = blackjax.hmc(fn, 0.2, jnp.ones(3), num_integration_steps=8)
        step = lambda state, key: (lambda s: (s[0], s[0]))(hmc.step(key, state))
        keys = jax.random.split(jax.random.key(0), n)
        return jax.jit(lambda p: jax.lax.scan(step, hmc.init(p), keys)[1])(position)

    states = run(bare, position)
    want = run(plain, {"x": MEAN, "n": jnp.array(0.0)})
    samples = label(states.position)
    np.testing.assert_allclose(samples["x"].m_as("m"), want.position["x"], rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(jnp.std(samples["x"].m_as("m"), 0), SCALE, rtol=0.4)
    assert samples["x"].shape == (200, 2) and isinstance(samples["n"], jax.Array)
    with pytest.raises(DimensionalityError, match="The log density returned 'm', but it must be"):
        without_units(lambda x: x, Quantity(1.0, "m")).logdensity(jnp.array(1.0))
    with pytest.raises(TypeError, match="within `quaxify`"):
        quaxify(lambda x: without_units(logdensity, x))(start)


# -- plain use suffices ---------------------------------------------------------------------------


def test_sympy2jax():
    m, v, length = sympy.symbols("m v length")
    energy = sympy2jax.SymbolicModule(m * v**2 / 2)
    values = dict(m=Quantity(2.0, "kg"), v=Quantity(jnp.array([3.0, 4.0]), "km/hour"))
    found = quaxify(energy)(**values)
    np.testing.assert_allclose(found.m_as("J"), np.array([9.0, 16.0]) / 3.6**2, rtol=1e-5)
    ratio = sympy2jax.SymbolicModule({"sine": sympy.sin(length / m), "sum": length + m})
    found = quaxify(ratio)(length=Quantity(1.0, "m"), m=Quantity(50.0, "cm"))
    np.testing.assert_allclose(found["sine"], np.sin(2.0), rtol=1e-6)
    np.testing.assert_allclose(found["sum"].m_as("m"), 1.5)
    with pytest.raises(DimensionalityError):
        quaxify(ratio)(length=Quantity(1.0, "m"), m=Quantity(50.0, "s"))
    grad = sciquax.grad(lambda v: energy(m=values["m"], v=v))(Quantity(3.0, "m/s"))
    np.testing.assert_allclose(grad.m_as("kg*m/s"), 6.0)


def linear(weight_unit, bias_unit):
    layer = eqx.nn.Linear(2, 3, key=jax.random.key(0))
    quantities = Quantity(layer.weight, weight_unit), Quantity(layer.bias, bias_unit)
    return layer, eqx.tree_at(lambda m: (m.weight, m.bias), layer, quantities)


def test_equinox_layers_and_transforms():
    plain, layer = linear("N/m", "N")
    x = jnp.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]])
    q = Quantity(x, "m")
    want = jax.vmap(plain)(x)
    programs = {
        "vmap": lambda layer, q: jax.vmap(quaxify(layer))(q),
        "filter_vmap": lambda layer, q: eqx.filter_vmap(quaxify(layer))(q),
        "filter_jit": eqx.filter_jit(lambda layer, q: jax.vmap(quaxify(layer))(q)),
        "within": quaxify(lambda layer, q: eqx.filter_jit(eqx.filter_vmap(layer))(q)),
    }
    for name, program in programs.items():
        found = program(layer, q)
        np.testing.assert_allclose(found.m_as("N"), want, rtol=1e-5, err_msg=name)
    cost = lambda layer, q: jnp.sum(eqx.filter_vmap(layer)(q) ** 2)
    want_grad = eqx.filter_grad(cost)(plain, x)
    for grad in (sciquax.grad(cost), quaxify(eqx.filter_grad(cost))):
        found = grad(layer, q)
        np.testing.assert_allclose(found.weight.m_as("N*m"), want_grad.weight, rtol=1e-4)
        np.testing.assert_allclose(found.bias.m_as("N"), want_grad.bias, rtol=1e-4)
    with pytest.raises(DimensionalityError):
        quaxify(layer)(Quantity(x[0], "s"))


def test_equinox_networks():
    network = eqx.nn.MLP(2, 1, 4, 1, activation=jnp.tanh, key=jax.random.key(1))
    x = Quantity(jnp.array([100.0, 250.0]), "cm")
    found = quaxify(lambda x: network(x / Quantity(1.0, "m")))(x)
    np.testing.assert_allclose(found, network(jnp.array([1.0, 2.5])), rtol=1e-5)
    with pytest.raises(DimensionalityError):  # the bias of the first layer is a number
        quaxify(network)(x)
    norm = eqx.nn.LayerNorm(2, use_weight=False, use_bias=False, eps=0.0)
    np.testing.assert_allclose(quaxify(norm)(x), norm(jnp.array([1.0, 2.5])), rtol=1e-5)
    conv = eqx.nn.Conv1d(1, 1, 2, use_bias=False, key=jax.random.key(2))
    found = quaxify(conv)(Quantity(jnp.ones((1, 4)), "m"))
    np.testing.assert_allclose(found.m_as("m"), conv(jnp.ones((1, 4))), rtol=1e-6)


def test_jaxtyping():
    @jaxtyped(typechecker=beartype)
    def speed(
        x: Float[Quantity["m"], " n"], t: Float[Quantity["s"], " n"]
    ) -> Float[Quantity["m/s"], " n"]:
        return x / t

    x, t = Quantity(jnp.array([1.0, 2.0]), "km"), Quantity(jnp.array([2.0, 4.0]), "minute")
    np.testing.assert_allclose(jax.jit(speed)(x, t).m_as("km/minute"), 0.5)
    for wrong in ((t, t), (x, t[:1]), (x.magnitude, t)):
        with pytest.raises((BeartypeCallHintParamViolation, Exception), match="[Tt]ype"):
            speed(*wrong)


def test_orbax(tmp_path):
    """Plain Orbax stores numbers by path, and takes units from what it restores into."""
    tree = {"x": Quantity(jnp.arange(3.0), "km"), "n": jnp.array(2)}
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", tree)
        checkpointer.wait_until_finished()
        like = jax.tree.map(ocp.utils.to_shape_dtype_struct, tree)
        found = checkpointer.restore(tmp_path / "state", like)
    assert str(found["x"].units) == "kilometer" and found["n"] == 2
    np.testing.assert_array_equal(found["x"].magnitude, np.arange(3.0))
