"""Gradients that a quaxified program takes itself have the units and names of `sciquax.grad`'s."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import sciquax
from sciquax import quaxify
from sciquax.named import NamedArray
from sciquax.units import Quantity
from tests.helpers import assert_same

X = jnp.array([3.0, 1.0, 2.0])
A = jnp.arange(6.0).reshape(2, 3)
LENGTH, TIME = Quantity(X, "m"), Quantity(2.0, "s")
NAMED = NamedArray(A, ("i", "j"))
LENGTHS, TIMES = NamedArray(Quantity(A, "m"), ("i", "j")), NamedArray(Quantity(X, "s"), ("j",))

SCALARS = {
    "of another": (lambda x, y: y**2, LENGTH, TIME),
    "of nothing": (lambda x: jnp.float32(1.0), LENGTH),
    "stopped": (lambda x: jnp.sum(lax.stop_gradient(x) ** 2), LENGTH),
    "times zero": (lambda x, y: jnp.sum(x * 0) * y, LENGTH, TIME),
    "of a part": (lambda x: jnp.sum(x[:2] ** 2), LENGTH),
    "of a number": (lambda n, x: jnp.sum(x) + 0 * n * x[0], jnp.float32(2.0), LENGTH),
    "names, sum": (lambda a: a.sum(), NAMED),
    "names, part": (lambda a: (a[0] * 2.0).sum(), NAMED),
    "names, mean": (lambda a: a.mean() ** 2, LENGTHS),
    "names, two": (lambda a, w: (a.sum(0) * w).sum(), LENGTHS, TIMES),
    "names, one of two": (lambda a, w: (w * 2.0).sum(), LENGTHS, TIMES),
}


@pytest.mark.parametrize("program", SCALARS.values(), ids=SCALARS)
@pytest.mark.parametrize("jit", [False, True], ids=["un-jitted", "jit"])
def test_as_outside(program, jit):
    f, *args = program
    places = tuple(range(len(args)))
    inner = quaxify(jax.grad(f, places))
    assert_same((jax.jit(inner) if jit else inner)(*args), sciquax.grad(quaxify(f), places)(*args))


DERIVATIVES = {
    "jacfwd": (jax.jacfwd, sciquax.jacfwd, lambda x, y: x**2, 1),
    "jacrev": (jax.jacrev, sciquax.jacrev, lambda x, y: x**2, 1),
    "hessian": (jax.hessian, sciquax.hessian, lambda x, y: jnp.sum(x) * y, 0),
    "value_and_grad": (jax.value_and_grad, sciquax.value_and_grad, lambda x, y: y**2, 0),
}


@pytest.mark.parametrize("case", DERIVATIVES.values(), ids=DERIVATIVES)
def test_transforms(case):
    jaxs, ours, f, place = case
    assert_same(quaxify(jaxs(f, place))(LENGTH, TIME), ours(f, place)(LENGTH, TIME))


def test_zeros_of_several_outputs():
    """A zero of which output is not known has a unit where all give one."""
    f = lambda x, y: (y**2, y * 3)  # noqa: E731
    found = quaxify(jax.jacrev(f))(LENGTH, TIME)
    assert_same(found, (Quantity(0 * X, "s**2/m"), Quantity(0 * X, "s/m")))

    def pulled(x, y):
        out, pull = jax.vjp(lambda x: f(x, y), x)
        return pull(jax.tree.map(lambda z: z / z, out))[0]

    assert_same(quaxify(pulled)(LENGTH, TIME), 0 * X)


def test_integers_beside():
    def both(x, n):
        out, pull = jax.vjp(lambda x, n: (x[0] * 0, n + 1), x, n)
        zero = np.zeros((), jax.dtypes.float0)
        return pull((jnp.ones_like(out[0] / x[0]), zero))[0]

    assert_same(quaxify(both)(LENGTH, jnp.int32(2)), 0 * X)

    def pushed(x, n):
        along = x, np.zeros((), jax.dtypes.float0)
        return jax.jvp(lambda x, n: x * n.astype(x.dtype), (x, n), along)[1]

    assert_same(quaxify(pushed)(LENGTH, jnp.int32(2)), Quantity(2 * X, "m"))


def test_tangents():
    def pushed(x, v):
        return jax.jvp(lambda x: (x**2, lax.stop_gradient(x)), (x,), (v,))[1]

    along, none = quaxify(pushed)(LENGTH, Quantity(X, "m/s"))
    assert_same(along, Quantity(2 * X * X, "m**2/s"))
    assert_same(none, Quantity(0 * X, "m/s"))


def test_models_and_steps():
    """As optimisers use them: parameters of several units in a tree, of which one is not used."""

    def step(model):
        grads = eqx.filter_grad(lambda m: jnp.sum(m["x"] ** 2))(model)
        return jax.tree.map(lambda p, g: p * g, model, eqx.filter(grads, eqx.is_array))

    model = {"x": LENGTH, "y": TIME}
    assert_same(
        quaxify(step)(model), {"x": Quantity(2 * X * X, "m**2"), "y": Quantity(0.0, "m**2")}
    )


def test_derivatives_of_derivatives():
    f = lambda x: jnp.sum(jax.grad(lambda y: jnp.sum(y**3))(x) * x)  # noqa: E731
    assert_same(quaxify(jax.grad(f))(LENGTH), Quantity(9 * X**2, "m**2"))
    assert_same(sciquax.grad(f)(LENGTH), Quantity(9 * X**2, "m**2"))


@pytest.mark.parametrize("f", [lambda z: jnp.abs(z).sum(), lambda z: (jnp.abs(z) ** 2).sum()])
def test_abs_of_complex(f):
    """JAX's rule puts a one for a zero that it would divide by."""
    z = jnp.array([3 + 4j, 0, 1j])
    expected = jax.grad(f)(z)
    found = quaxify(jax.grad(f))(Quantity(z, "m"))
    np.testing.assert_allclose(getattr(found, "m", found), expected, rtol=1e-6)
    assert_same(found, sciquax.grad(f)(Quantity(z, "m")))


TEMPLATES = {
    "ones": jnp.ones_like,
    "zeros": jnp.zeros_like,
    "full": lambda x: jnp.full_like(x, jnp.inf),
}
SPELLINGS = {
    "itself": lambda f: f,
    "lambda": lambda f: lambda x: f(x),
    "jit": jax.jit,
    "vmap": jax.vmap,
    "in jit": lambda f: lambda x: jax.jit(f)(x),
    "captured": lambda f: lambda x: f(LENGTH),
}


@pytest.mark.parametrize("f", TEMPLATES.values(), ids=TEMPLATES)
@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS)
def test_templates_mean_the_same(f, spelled):
    assert_same(quaxify(spelled(f))(LENGTH), Quantity(f(X), "m"))


@pytest.mark.parametrize("f", TEMPLATES.values(), ids=TEMPLATES)
def test_templates_of_captured_values(f):
    """Also where no argument is a value, and the function is called first as it is."""
    assert_same(quaxify(lambda n: n * f(LENGTH))(jnp.float32(2.0)), Quantity(2 * f(X), "m"))


SEVERAL = {
    "a sum": (lambda x, y: jnp.sum(x) * y, (0, 1)),
    "two outputs": (lambda x, y: {"a": x**2 * y, "b": jnp.float32(3.0)}, 0),
    "a loop": (lambda x, y: (lax.scan(lambda c, z: (c + z, z), x[0], x)[0] * y, y**3), (1, 0)),
}
JACOBIANS = ((jax.jacfwd, sciquax.jacfwd), (jax.jacrev, sciquax.jacrev))


@pytest.mark.parametrize("program", SEVERAL.values(), ids=SEVERAL)
@pytest.mark.parametrize("jaxs, ours", JACOBIANS, ids=("jacfwd", "jacrev"))
def test_jacobians_of_several(program, jaxs, ours):
    """JAX puts all arguments, or outputs, into the rows of one array, of one unit."""
    f, places = program
    both = quaxify(jaxs(lambda *args: (f(*args), args[1]), places, has_aux=True))
    found, aux = jax.jit(both)(LENGTH, TIME)
    assert_same(found, ours(quaxify(f), places)(LENGTH, TIME))
    assert_same(aux, TIME)


def test_hessian_of_several():
    found = quaxify(jax.hessian(lambda p: jnp.sum(p["x"] ** 2) * p["y"]))({"x": LENGTH, "y": TIME})
    mixed = Quantity(2 * X, "m")
    of_x = {"x": Quantity(4 * jnp.eye(3), "s"), "y": mixed}
    assert_same(found, {"x": of_x, "y": {"x": mixed, "y": Quantity(0.0, "m**2/s")}})


def test_jacobians_at_plain_numbers_of_captured_quantities():
    found = quaxify(lambda k: jax.jacrev(lambda x, y: (k * x, k**2 * y), (0, 1))(2.0, 3.0))(TIME)
    assert_same(found[0], (Quantity(2.0, "s"), Quantity(0.0, "s")))
    assert_same(found[1], (Quantity(0.0, "s**2"), Quantity(4.0, "s**2")))


def test_derivatives_with_names_nest_as_everywhere():
    found = quaxify(jax.jacfwd(lambda a, y: a[0], 1))(LENGTHS, TIME)
    assert_same(found, NamedArray(Quantity(0 * X, "m/s"), ("j",)))


def test_roots_with_the_jacobian_of_jaxs_documentation():
    """What solves the tangent system is transposed: its Jacobian may not depend on that."""

    def root(y):
        there = lambda f, start: start  # noqa: E731
        solve = lambda g, b: b / jnp.diag(jax.jacobian(g)(b))  # noqa: E731
        return lax.custom_root(lambda z: z**2 - (X * y) ** 2, X * y, there, solve).sum()

    assert_same(quaxify(jax.grad(root))(TIME), jnp.sum(X))
