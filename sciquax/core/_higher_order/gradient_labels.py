"""Gradients that a quaxified program takes itself: `quaxify(jax.grad(f))`, `jax.vjp` within.

What is interpreted is the program that JAX has differentiated. A gradient gets its unit and its
names from what it is computed of. A zero is computed of nothing, nor are the names of the gradient
of a sum. So `jax.vjp`, which all of them call, leaves a call of which the argument and the output
are operands as well.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from .._autodiff.tangent_labels import align, derivative, scaled
from .._compat import derivatives
from .._compat.jaxprs import Tracer
from .._compat.tracing import trace_to_jaxpr
from .._errors import LocatedError
from .._functions.call import LateCall, leave_call
from .._functions.intercept import add_hook
from .._functions.rules import labels
from .._values.kinds import VALUE_TYPES
from .._values.mode import MODE
from .._values.unit_polymorphic import UnitPolymorphic, strip


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class _Labels(LateCall):
    """Derivatives with labels. They are the first `count` operands.

    Derivatives of these in turn get what labels they have.
    """

    count: int

    def once(self, operands: Sequence[Any]) -> Any:
        return self.labelled(*operands)

    def labelled(self, *operands: Any) -> Any:
        raise NotImplementedError

    def differentiated(self) -> None:
        return None


class _GradientLabels(_Labels):
    """Labels of gradients. Operands: gradients, the arguments, the outputs, their cotangents."""

    def labelled(self, *operands: Any) -> Any:
        n = self.count
        outs, cotangents = _halves([*map(strip, operands[2 * n :])])
        if any(type(x) in VALUE_TYPES for x in cotangents):  # whoever has one, has labels
            return operands[:n]
        pairs = zip(operands[:n], operands[n : 2 * n], strict=True)
        return [_gradient(outs, strip(x), g) for g, x in pairs]


def _gradient(outs: Sequence[Any], arg: Any, grad: Any) -> Any:
    """A gradient, labelled where what it was computed of did not say how.

    A zero stays one of every unit where it is not known of which output: their labels differ.
    """
    if not _is_of(grad, arg):
        return grad
    if _is_unlabelled_zero(grad):
        leaf = grad.inner
        if type(arg) in VALUE_TYPES:
            leaf = jtu.tree_unflatten(jtu.tree_structure(arg), [leaf])
        found = [derivative(out, arg, leaf) for out in outs]
        return found[0] if len({jtu.tree_structure(x) for x in found}) == 1 else grad
    return _with_names_of(arg, grad)


class _TangentLabels(_Labels):
    """Labels of tangents. Operands: tangents, the outputs, the arguments, their tangents."""

    def labelled(self, *operands: Any) -> Any:
        n = self.count
        primals, given = _halves(operands[2 * n :])
        try:
            _, rate = align(tuple(map(strip, primals)), tuple(given))
        except LocatedError:  # arguments in several units, whose tangents are all plain
            return operands[:n]
        return [
            _tangent(strip(x), t, rate)
            for t, x in zip(operands[:n], operands[n : 2 * n], strict=True)
        ]


def _tangent(out: Any, tangent: Any, rate: Any) -> Any:
    if not _is_of(tangent, out):
        return tangent
    if _is_unlabelled_zero(tangent):
        leaf = tangent.inner
        return scaled(out.as_tangent([leaf]) if type(out) in VALUE_TYPES else leaf, rate)
    return _with_names_of(out, tangent)


def _halves(items: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    return items[: len(items) // 2], items[len(items) // 2 :]


def _is_of(found: Any, value: Any) -> bool:
    """Whether a derivative could be the one array that a value labels, or is."""
    return [jnp.shape(x) for x in jtu.tree_leaves(value)] == [jnp.shape(strip(found))]


def _is_unlabelled_zero(x: Any) -> bool:
    return type(x) is UnitPolymorphic and type(x.inner) not in VALUE_TYPES


def _with_names_of(value: Any, found: Any) -> Any:
    if type(value) not in VALUE_TYPES or not labels(type(value)):
        return found
    held = getattr(found, value.payload) if type(found) is type(value) else found
    return value.with_payload(held)


# -- what leaves these calls ----------------------------------------------------------------------


def _vjp(original: Callable[..., Any]) -> Callable[..., Any]:
    def vjp(fun: Callable[..., Any], *primals: Any, **kwargs: Any) -> Any:
        out, pull, *aux = original(fun, *primals, **kwargs)
        if MODE.staging and has_tracer((primals, out)):
            of = functools.partial(_without_aux, fun) if aux else fun
            pull = jtu.Partial(PullBack(of), pull, out, primals)
        return (out, pull, *aux)

    return vjp


def _without_aux(fun: Callable[..., Any], *primals: Any) -> Any:
    return fun(*primals)[0]


class PullBack:
    """Gradients of a function, from what pulls back, the output and the primals, with labels."""

    def __init__(self, of: Callable[..., Any]):
        self.of = of

    def __call__(self, pull: Callable[..., Any], out: Any, primals: Any, cotangents: Any) -> Any:
        grads, tree = jtu.tree_flatten(pull(cotangents))
        rest = _inexact_pairs(out, cotangents)
        args = jtu.tree_leaves(primals)
        if rest and len(args) == len(grads):
            grads = _leave(_GradientLabels, grads, args, rest)
        return jtu.tree_unflatten(tree, grads)


def _jvp(original: Callable[..., Any]) -> Callable[..., Any]:
    def jvp(fun: Callable[..., Any], primals: Any, tangents: Any, *args: Any, **kwargs: Any) -> Any:
        out, pushed, *aux = original(fun, primals, tangents, *args, **kwargs)
        if MODE.staging and has_tracer(primals):
            leaves, tree = jtu.tree_flatten(pushed)
            rest = _inexact_pairs(primals, tangents)
            leaves = _leave(_TangentLabels, leaves, jtu.tree_leaves(out), rest)
            pushed = jtu.tree_unflatten(tree, leaves)
        return (out, pushed, *aux)

    return jvp


def _inexact_pairs(points: Any, directions: Any) -> list[Any]:
    """The leaves of a tree, and then those of its tangents or cotangents; but for integers."""
    pairs = zip(jtu.tree_leaves(points), jtu.tree_leaves(directions), strict=True)
    pairs = [(x, t) for x, t in pairs if is_inexact(t)]
    return [*(x for x, _ in pairs), *(t for _, t in pairs)]


def _leave(
    kind: type[_Labels], found: list[Any], values: list[Any], rest: Sequence[Any]
) -> list[Any]:
    """Leave a call that labels derivatives of these values, or by them."""
    places = [i for i, x in enumerate(found) if is_inexact(x)]
    operands = [*(found[i] for i in places), *(values[i] for i in places), *rest]
    if not places or not MODE.staging or MODE.transposing or not has_tracer(operands):
        return found
    body = trace_to_jaxpr(lambda *xs: xs[: len(places)], operands)
    call = kind(of="the labels of derivatives", count=len(places))
    labelled = list(found)
    for i, x in zip(places, leave_call(call, operands, body), strict=True):
        labelled[i] = x
    return labelled


def has_tracer(tree: Any) -> bool:
    return any(isinstance(x, Tracer) for x in jtu.tree_leaves(tree))


def is_inexact(x: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.inexact)


def _replace_zero(original: Callable[..., Any]) -> Callable[..., Any]:
    """JAX's derivative of `abs` divides by one where `abs` is zero: that one has the same unit."""

    def replace_zero(x: Any) -> Any:
        return jnp.where(x == 0, jnp.ones_like(x), x) if MODE.staging else original(x)

    return replace_zero


def _custom_root(original: Callable[..., Any]) -> Callable[..., Any]:
    """JAX transposes what solves the linear system. A label is no linear function of anything."""

    def custom_root(
        f: Any, guess: Any, solve: Any, tangent_solve: Any, *args: Any, **kwargs: Any
    ) -> Any:
        if not MODE.staging:
            return original(f, guess, solve, tangent_solve, *args, **kwargs)
        return original(
            f, guess, solve, functools.partial(_unlabelled, tangent_solve), *args, **kwargs
        )

    return custom_root


def _unlabelled(function: Callable[..., Any], *args: Any) -> Any:
    before, MODE.transposing = MODE.transposing, True
    try:
        return function(*args)
    finally:
        MODE.transposing = before


add_hook(jax.vjp, _vjp)
add_hook(jax.lax.custom_root, _custom_root)
add_hook(derivatives.push_forward, _jvp)
add_hook(derivatives.replace_zero, _replace_zero)
