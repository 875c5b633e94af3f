# pyright: strict, reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false
"""What type checkers infer of the public API: checked by pyright, as a part of `make lint`.

`assert_type` fails for any other type, so also where a name has become `Any`. Strict, but for what
JAX, pint and lambdas leave unknown. Not run as a test.
"""

from typing import Any, assert_type

import equinox as eqx
import jax
import jax.numpy as jnp
import pint
from jaxtyping import Float

import sciquax
import sciquax.numpy as np
from sciquax import ArrayValue, Checked, named, quaxify, show
from sciquax.core import bind
from sciquax.named import NamedArray
from sciquax.quantised import QuantisedArray, quantise
from sciquax.sparse import BCOO
from sciquax.structured import DiagonalMatrix
from sciquax.testing import assert_allclose
from sciquax.units import Inference, Quantity, constants, infer, unit
from sciquax.zero import Zero

# -- quantities -----------------------------------------------------------------------------------

q = Quantity(jnp.ones((2, 3)), "m")
assert_type(q, Quantity)
assert_type(q + q, Quantity)
assert_type(q - 1 * q, Quantity)
assert_type(q * q, Quantity)
assert_type(2.0 * q, Quantity)
assert_type(q * 2, Quantity)
assert_type(q / 2, Quantity)
assert_type(1 / q, Quantity)
assert_type(jnp.ones(3) * q, Quantity)
assert_type(q**2, Quantity)
assert_type(q @ q.T, Quantity)
assert_type(-q, Quantity)
assert_type(abs(q), Quantity)
assert_type(q < q, jax.Array)
assert_type(q[0], Quantity)
assert_type(q.to("km"), Quantity)
assert_type(q.to_base_units(), Quantity)
assert_type(q.sum(0), Quantity)
assert_type(q.mean(), Quantity)
assert_type(q.argmax(), jax.Array)
assert_type(q.reshape(3, 2), Quantity)
assert_type(q.T, Quantity)
assert_type(q.at[0].set(q[0]), Quantity)
assert_type(q.shape, tuple[int, ...])
assert_type(q.units, pint.Unit)
assert_type([row for row in q], list[Quantity])
assert_type(unit("m"), pint.Unit)
assert_type(constants.speed_of_light, Quantity)
assert_type(Quantity.from_pint(pint.Quantity(1.0, "m")), Quantity)

# -- named arrays: a result is one even if no axis is left ----------------------------------------

a = NamedArray(q, ("x", "y"))
assert_type(a.mean("x"), NamedArray)
assert_type(a.sum(), NamedArray)
assert_type(a.argmax("x"), NamedArray)
assert_type(a + a, NamedArray)
assert_type(2.0 * a, NamedArray)
assert_type(a > a, NamedArray)
assert_type(a.transpose("y", "x"), NamedArray)
assert_type(a.rename(x="z"), NamedArray)
assert_type(a.isel(x=0), NamedArray)
assert_type(a[{"x": 0}], NamedArray)
assert_type(a.at[{"x": 0}].add(a.isel(x=0)), NamedArray)
assert_type(a.to("km"), NamedArray)
assert_type(a.dims, tuple[str | None, ...])
assert_type(a.sizes, dict[str, int])
assert_type(named.dot(a, a, "x"), NamedArray)
assert_type(named.zeros({"x": 2}), NamedArray)
assert_type(a.unstack("x"), list[NamedArray])

# -- JAX's namespaces, quaxified ------------------------------------------------------------------

assert_type(np.sum(q, axis=0), Quantity)
assert_type(np.sqrt(a), NamedArray)
assert_type(np.mean(jnp.ones(3)), jax.Array)
assert_type(np.where(q > q, q, 0.0), Any)
assert_type(np.linalg.solve(q, q), Any)
assert_type(np.shape(q), tuple[int, ...])
assert_type(np.zeros(3), jax.Array)
assert_type(np.maximum.reduce(q), Any)
np.sinn(q)  # pyright: ignore[reportAttributeAccessIssue]
np.sum(q, axes=0)  # pyright: ignore[reportCallIssue]
np.linalg.solve(q)  # pyright: ignore[reportCallIssue]


def speed(x: Checked[Quantity, "m"], a: Checked[NamedArray, "t x"]) -> Checked[Quantity, "m/s"]:
    return x


assert_type(speed(q, a), Quantity)

# -- structured and other arrays ------------------------------------------------------------------

assert_type(DiagonalMatrix(jnp.ones(2)), DiagonalMatrix)
assert_type(quantise(jnp.ones(2)), QuantisedArray)
assert_type(Zero((2,), jnp.float32), Zero)
assert_type(BCOO.from_dense(jnp.eye(2)), BCOO)

# -- functions written for values keep their parameters and results -----------------------------


def energy(mass: Quantity, *, speed: Quantity = q) -> Quantity:
    return 0.5 * mass * speed**2


assert_type(quaxify(energy)(q, speed=q), Quantity)
assert_type(show(energy)(q), Quantity)
quaxify(energy)(3)  # pyright: ignore[reportArgumentType]
quaxify(energy)(q, velocity=q)  # pyright: ignore[reportCallIssue]
assert_type(infer(energy)(q), Inference)


@quaxify
def decorated(x: int) -> str:
    return str(x)


assert_type(decorated(1), str)


class Model(eqx.Module):
    weight: Quantity

    @quaxify
    def __call__(self, x: jax.Array) -> Quantity:
        return self.weight * x

    @quaxify
    def on_arrays(self, x: jax.Array) -> jax.Array:
        return x


assert_type(Model(q)(jnp.ones(3)), Quantity)
assert_type(Model(q).on_arrays(q), Any)
assert_type(quaxify(Model(q))(jnp.ones(3)), Quantity)

# -- functions written for plain arrays take and return anything ----------------------------------


def norms(x: jax.Array, y: dict[str, jax.Array]) -> tuple[jax.Array, dict[str, jax.Array]]:
    return x, y


def rank(x: Float[jax.Array, "n"], scale: float) -> int:
    return x.ndim


assert_type(quaxify(jnp.cos)(q), Any)
assert_type(quaxify(jnp.add)(q, q), Any)
assert_type(quaxify(jnp.linalg.svd)(q), Any)
assert_type(quaxify(jnp.shape)(q), tuple[int, ...])
assert_type(quaxify(jnp.split)(q, 2), Any)
assert_type(quaxify(jax.jit(jnp.cos))(q), Any)
assert_type(quaxify(jax.nn.relu)(q), Any)
assert_type(quaxify(jax.grad(lambda x: x))(q), Any)
assert_type(quaxify(jax.vmap(norms))(q), Any)
assert_type(quaxify(norms)(q, {"a": q}), Any)
assert_type(quaxify(rank)(q, 1.0), int)
assert_type(quaxify(lambda x: x * 2)(q), Any)
assert_type(quaxify(eqx.nn.Linear(2, 3, key=jax.random.key(0)))(a), Any)
assert_type(show(jnp.cos)(q), Any)

# -- derivatives ----------------------------------------------------------------------------------

assert_type(sciquax.grad(energy)(q), Any)
assert_type(sciquax.value_and_grad(energy)(q), tuple[Quantity, Any])
assert_type(sciquax.value_and_grad(jnp.sum)(q), tuple[Any, Any])
assert_type(sciquax.jvp(energy, (q,), (q,)), tuple[Quantity, Any])
assert_type(sciquax.jvp(jnp.sin, (q,), (q,)), tuple[Any, Any])
assert_type(sciquax.vjp(energy, q)[0], Quantity)
assert_type(sciquax.vjp(jnp.sin, q)[1](q), tuple[Any, ...])
assert_type(sciquax.linearize(energy, q)[0], Quantity)
assert_type(sciquax.jacfwd(energy)(q), Any)
assert_type(sciquax.jacrev(jnp.sin)(q), Any)
assert_type(sciquax.hessian(lambda x: x**2)(q), Any)

# -- helpers --------------------------------------------------------------------------------------

assert_type(assert_allclose(q, q), None)

# -- types of one's own: fields make the constructor ----------------------------------------------


class Scaled(ArrayValue):
    array: jax.Array
    factor: float = eqx.field(static=True, default=1.0)

    def aval(self):
        return jax.typeof(self.array)


assert_type(Scaled(jnp.ones(2), 2.0), Scaled)
assert_type(Scaled(jnp.ones(2)).ndim, int)


@sciquax.register(jax.lax.neg_p)
def _neg(x: Scaled, **params: Any) -> Scaled:
    return Scaled(bind(jax.lax.neg_p, x.array, **params), x.factor)


assert_type(_neg(Scaled(jnp.ones(2))), Scaled)
