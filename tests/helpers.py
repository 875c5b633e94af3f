"""What the tests share: a transparent value type, ways to run a program, exact comparison."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import lax

from sciquax import ArrayValue, quaxify
from sciquax.core import Scaling, aval_of, bind, facts_of, is_value, register_rule, strip


class Plain(ArrayValue):
    """An array that any operation materialises."""

    array: jax.Array

    def aval(self):
        return aval_of(self.array)

    def materialise(self):
        return self.array


class Wrapped(ArrayValue, leaves=("array",), static=("_static",)):
    """An array that behaves as the array in it, so that plain JAX says what every answer is.

    Data stays wrapped; comparisons, predicates and integers for indexing come out plain.
    """

    array: Any
    _static: None

    def __init__(self, array: Any):
        self.array = array
        self._static = None

    def aval(self):
        return aval_of(self.array)

    @classmethod
    def common_type(cls, lhs: Any, rhs: Any) -> Any:
        return next(x for x in (lhs, rhs) if type(x) is Wrapped)

    @classmethod
    def convert_to(cls, value: Any, example: Any) -> Any:
        if type(value) is Wrapped:
            return value if type(example) is Wrapped else value.array
        return Wrapped(strip(value))


def unstated(x: Any) -> Any:
    """`x`, made such that a program that uses it does not state what it is."""
    return lax.optimization_barrier(jnp.asarray(x))


_PLAIN = (Scaling.COMPARE, Scaling.PREDICATE, Scaling.BITS, Scaling.CONSTANT)


def _transparent(primitive: Any, operands: Any, params: dict[str, Any]) -> Any:
    out = bind(primitive, *[x.array if type(x) is Wrapped else x for x in operands], **params)
    if facts_of(primitive).scaling in _PLAIN:
        return out
    return [Wrapped(x) for x in out] if primitive.multiple_results else Wrapped(out)


register_rule(
    Wrapped, [s for s in Scaling if s not in (Scaling.BODY, Scaling.REFUSED)], _transparent
)


def unwrap(tree: Any) -> Any:
    """`tree` with the arrays of `Wrapped` values in their places."""
    return jtu.tree_map(lambda x: x.array if type(x) is Wrapped else x, tree, is_leaf=is_value)


def wrap(tree: Any) -> Any:
    return jtu.tree_map(Wrapped, tree)


def assert_same(actual: Any, expected: Any, *, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """Same tree, same value types and units, same shapes and dtypes, close numbers."""
    actual_leaves, actual_tree = jtu.tree_flatten(actual)
    expected_leaves, expected_tree = jtu.tree_flatten(expected)
    assert actual_tree == expected_tree, f"{actual!r}\nis not\n{expected!r}"
    for a, e in zip(actual_leaves, expected_leaves, strict=True):
        assert jnp.shape(a) == jnp.shape(e), f"{a!r} is not {e!r}"
        assert jnp.result_type(a) == jnp.result_type(e), f"{a!r} is not {e!r}"
        if jnp.result_type(a) == jax.dtypes.float0:
            continue
        np.testing.assert_allclose(np.asarray(a), np.asarray(e), rtol=rtol, atol=atol)


def assert_raises(
    error_type: type[BaseException], call: Callable[[], Any], message: str, **kwargs: Any
) -> BaseException:
    """`call` raises exactly this message. `{place}` in it stands for the user's line.

    The line is the one marked `# HERE` in the source of `kwargs["at"]` (by default of `call`).
    """
    at = kwargs.pop("at", call)
    try:
        out = call()
    except error_type as error:
        text = str(error)
        if "{place}" in message:
            file, line = marked_line(at)
            where = f"{file}:{line}:"
            found = next((x for x in text.splitlines() if x.startswith("  at ")), "")
            where_eager = f"{file}:{line} ("
            assert where in found or where_eager in found, f"{where} is not in {text}"
            text = text.replace(found, "{place}")
        assert text == message, f"\n{text}\nis not\n{message}"
        return error
    raise AssertionError(f"{error_type.__name__} was not raised; got {out!r}")


def marked_line(function: Callable) -> tuple[str, int]:
    """File and number of the line of `function` that ends with `# HERE`."""
    lines, start = inspect.getsourcelines(function)
    (number,) = [i for i, line in enumerate(lines) if line.rstrip().endswith("# HERE")]
    return inspect.getsourcefile(function) or "", start + number


# -- the ways to run one program ------------------------------------------------------------------


def scalar_sum(f: Callable) -> Callable:
    """The sum of all inexact outputs of `f`, each weighted differently."""

    def total(*args: Any) -> Any:
        out = jnp.float32(0)
        for i, leaf in enumerate(jtu.tree_leaves(f(*args))):
            if jnp.issubdtype(leaf.dtype, jnp.inexact):
                weights = jnp.arange(1, leaf.size + 1, dtype=leaf.dtype).reshape(leaf.shape)
                out = out + (i + 1) * jnp.sum(leaf * weights).astype(jnp.float32)
        return out

    return total


def _batch(args: Iterable[Any]) -> list[Any]:
    """Arguments with a leading axis of two different rows."""
    return [jnp.stack([x, x * jnp.asarray(1.25, x.dtype)]) for x in args]


def _gradients(f: Callable) -> Callable:
    """The gradients of `f` by all its arguments."""
    return lambda *args: jax.grad(f, tuple(range(len(args))))(*args)


MODES: dict[str, Callable[[Callable], tuple[Callable, Callable, bool]]] = {
    # from a plain function to (function of values, plain oracle, whether arguments are batched)
    "eager": lambda f: (quaxify(f), f, False),
    "jit-outside": lambda f: (jax.jit(quaxify(f)), f, False),
    "jit-inside": lambda f: (quaxify(jax.jit(f)), f, False),
    "vmap-outside": lambda f: (jax.vmap(quaxify(f)), jax.vmap(f), True),
    "vmap-inside": lambda f: (quaxify(jax.vmap(f)), jax.vmap(f), True),
    "grad-inside": lambda f: (quaxify(_gradients(scalar_sum(f))), _gradients(scalar_sum(f)), False),
    "grad-outside": lambda f: (
        _gradients(lambda *xs: unwrap(quaxify(scalar_sum(f))(*xs))),
        _gradients(scalar_sum(f)),
        False,
    ),
    "jvp-inside": lambda f: (
        quaxify(lambda *xs: jax.jvp(f, xs, tuple(2 * x + 1 for x in xs))),
        lambda *xs: jax.jvp(f, xs, tuple(2 * x + 1 for x in xs)),
        False,
    ),
}


def check_transparent(f: Callable, args: tuple, mode: str, **tolerances: float) -> None:
    """`f` on wrapped arguments gives what `f` gives on plain ones."""
    ours, oracle, batched = MODES[mode](f)
    plain = _batch(args) if batched else list(args)
    expected = oracle(*plain)
    actual = ours(*map(Wrapped, plain))
    if mode != "grad-inside":  # the gradient of a linear program holds no data
        leaves = jtu.tree_leaves(actual, is_leaf=is_value)
        assert any(type(x) is Wrapped for x in leaves), f"nothing of {actual!r} is wrapped"
    assert_same(unwrap(actual), expected, **tolerances)
