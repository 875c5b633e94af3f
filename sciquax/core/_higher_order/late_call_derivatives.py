"""Derivatives, by the caller, of calls that are kept as one equation: `quaxify(grad(f))`.

The tangents of such a call are another one, linear in the tangents that it takes beside the primal
operands; its transpose takes cotangents instead. Either differentiates whoever carries out the call
when there are values, so that a function's rule is still found, and tangents and cotangents come
with their units. Where nobody does, the derivative of the function's own jaxpr is interpreted.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax import lax
from jax.interpreters import ad

from .._autodiff import transforms
from .._autodiff.tangent_labels import align, scaled
from .._compat.jaxprs import Literal, open_jaxpr
from .._compat.tracing import trace_to_jaxpr
from .._dispatch.resolve import bind
from .._errors import user_line
from .._functions.batched import Declined, mapped_derivative
from .._functions.call import LateCall, leave_call, run_body, whole_call_p
from .._stage.quaxify import quaxify
from .._values.kinds import VALUE_TYPES, aval_of
from .._values.unit_polymorphic import UnitPolymorphic, strip
from .late_call import underivable


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Derivative(LateCall):
    """The derivative of a call by some of its operands, at operands that come first.

    **Attributes**: the `call`; its number of operands, `count`; the places of those `varied`, and
    of the results `wanted`; whether it is `transposed`, from cotangents of these to those of them.
    """

    call: LateCall
    count: int
    varied: tuple[int, ...]
    wanted: tuple[int, ...]
    transposed: bool = False

    def once(self, operands: Sequence[Any]) -> Any:
        primals, given = list(operands[: self.count]), list(operands[self.count :])
        own = self.call.own_derivative(primals)
        try:
            if own is not None:
                derivatives = quaxify(lambda *xs: self._by(own, xs))(*map(strip, operands))
            else:
                derivatives = (self._pulled if self.transposed else self._pushed)(primals, given)
        except Declined:
            return NotImplemented
        if all(type(x) is UnitPolymorphic for x in given):  # of zeros in any unit
            return [UnitPolymorphic(strip(x)) for x in derivatives]
        return derivatives

    def _by(self, own: Callable[..., Any], operands: Sequence[Any]) -> list[Any]:
        """By what a rule says of itself, a program that is staged."""
        of, to = (self.wanted, self.varied) if self.transposed else (self.varied, self.wanted)
        given = dict(zip(of, operands[self.count :], strict=True))
        found = own(operands[: self.count], given, self.transposed)
        return [found[i] for i in to]

    def own_derivative(self, operands: Sequence[Any]) -> Callable[..., Any] | None:
        """That of the program which a rule's derivative is."""
        own = self.call.own_derivative(operands[: self.count])
        if own is None:
            return None

        def derivative(operands: Sequence[Any], given: dict[int, Any], transposed: bool) -> Any:
            places = [*given]
            if transposed:
                places = [i for i, x in enumerate(operands) if jnp.issubdtype(x.dtype, jnp.inexact)]
            at = [operands[i] for i in places]
            program = lambda *xs: self._by(own, _filled(operands, places, xs))  # noqa: E731
            if not transposed:
                return dict(enumerate(jax.jvp(program, tuple(at), tuple(given.values()))[1]))
            out, pull = jax.vjp(program, *at)
            whole = [given[i] if i in given else jnp.zeros_like(x) for i, x in enumerate(out)]
            return dict(zip(places, pull(whole), strict=True))

        for batch in reversed(self.batches):
            derivative = mapped_derivative(derivative, batch)
        return derivative

    def _pushed(self, primals: list[Any], given: list[Any]) -> list[Any]:
        fit = [i for i, x in enumerate(given) if _fits(x, primals[self.varied[i]])]
        if not fit:
            raise Declined
        varied = [self.varied[i] for i in fit]
        at = tuple(strip(primals[i]) for i in varied)
        results = self._results(primals, varied, self.wanted)
        tangents = tuple(given[i] for i in fit)
        if all(map(_stored_alike, at, tangents)):
            return transforms.jvp(results, at, tangents)[1]
        return _pushed_along(results, at, tangents)

    def _pulled(self, primals: list[Any], given: list[Any]) -> list[Any]:
        at = [_point(strip(primals[i])) for i in self.varied]
        out, pull = transforms.vjp(self._results(primals, self.varied, self.wanted), *at)
        fit = [i for i, x in enumerate(given) if _fits(x, out[i])]
        if not fit:
            raise Declined
        wanted = [self.wanted[i] for i in fit]
        if len(fit) < len(given):
            out, pull = transforms.vjp(self._results(primals, self.varied, wanted), *at)
        cotangents = [given[i] for i in fit]
        if not all(map(_stored_alike, out, cotangents)):
            paired = _paired(self._results(primals, self.varied, wanted))
            out, pull = transforms.vjp(paired, at, cotangents)
            return list(pull(jnp.ones_like(out))[0])
        return list(pull(cotangents))

    def _results(
        self, primals: Sequence[Any], varied: Sequence[int], wanted: Sequence[int]
    ) -> Callable[..., list[Any]]:
        """Some results of the call as a function of some of its operands."""

        def results(*given: Any) -> list[Any]:
            found = self.call.carry_out(_filled(primals, varied, given))
            if found is NotImplemented:
                raise Declined
            return [found[i] for i in wanted]

        results._takes_values = True  # type: ignore[attr-defined]  # not to be staged once more
        return results


def _paired(results: Callable[..., list[Any]]) -> Callable[[list[Any], list[Any]], Any]:
    """The sum of results times cotangents of another type, as dense ones of sparse results."""
    pair = quaxify(lambda x, c: jnp.sum(x * c))

    def paired(at: list[Any], cotangents: list[Any]) -> Any:
        return sum(map(pair, results(*at), cotangents))

    paired._takes_values = True  # type: ignore[attr-defined]  # not to be staged once more
    return paired


def _point(x: Any) -> Any:
    return x.as_point() if type(x) in VALUE_TYPES else x


def _stored_alike(primal: Any, tangent: Any) -> bool:
    """Whether the leaves of a tangent belong to those of a primal, whatever labels either has."""
    inside, moved = _innermost(primal), _innermost(tangent)
    if jtu.tree_structure(inside) != jtu.tree_structure(moved):
        return False
    leaves = zip(jtu.tree_leaves(inside), jtu.tree_leaves(moved), strict=True)
    return all(jnp.shape(x) == jnp.shape(y) and (x is y or _varies(x)) for x, y in leaves)


def _varies(x: Any) -> bool:
    """Whether a leaf is what a derivative is of, and no place of a sparse element."""
    return jnp.issubdtype(jnp.result_type(x), jnp.inexact)


def _innermost(x: Any) -> Any:
    """The value under labels: a value with more leaves than the array inside is itself."""
    while type(x := strip(x)) in VALUE_TYPES and x.payload is not None:
        inside = getattr(x, x.payload)
        if len(jtu.tree_leaves(inside)) != len(jtu.tree_leaves(x)):
            break
        x = inside
    return x


def _pushed_along(
    results: Callable[..., list[Any]], primals: tuple[Any, ...], tangents: tuple[Any, ...]
) -> list[Any]:
    """By the length of a step along the tangents, whose types add to the primals' (a diagonal
    matrix to a tridiagonal one, which has other leaves)."""
    aligned, rate = align(primals, tangents)

    def along(step: Any) -> list[Any]:
        moves = [bind(lax.mul_p, x, step.astype(aval_of(x).dtype)) for x in aligned]
        return results(*[bind(lax.add_p, *x) for x in zip(primals, moves, strict=True)])

    along._takes_values = True  # type: ignore[attr-defined]  # not to be staged once more
    dtype = jnp.finfo(jnp.result_type(*[aval_of(x).dtype for x in aligned])).dtype
    pushed = transforms.jvp(along, (jnp.zeros((), dtype),), (jnp.ones((), dtype),))[1]
    return [scaled(x, rate) for x in pushed]


def _fits(derivative: Any, value: Any) -> bool:
    """Whether a tangent or cotangent can be one of a value's leaves.

    A literal zero of any unit is one array, and of a value that stores its elements in another way
    it is none: it adds nothing and stays out.
    """
    if type(derivative) is not UnitPolymorphic:
        return True
    leaves, own = jtu.tree_leaves(derivative), jtu.tree_leaves(value)
    return [jnp.shape(x) for x in leaves] == [jnp.shape(x) for x in own]


def _filled(operands: Sequence[Any], places: Sequence[int], given: Sequence[Any]) -> list[Any]:
    filled = list(operands)
    for i, x in zip(places, given, strict=True):
        filled[i] = x
    return filled


def _jvp(primals: Any, tangents: Any, *, call: LateCall, body: Any, avals: Any) -> Any:
    own = [a.to_tangent_aval() for a in avals]
    pushed: list[Any] = [ad.Zero(a) for a in own]
    varied = tuple(i for i, t in enumerate(tangents) if type(t) is not ad.Zero)
    depends = [True] * len(avals) if body is None else _depend(body, varied)
    wanted = tuple(
        i for i, a in enumerate(avals) if depends[i] and jnp.issubdtype(a.dtype, jnp.inexact)
    )
    if not wanted:
        return leave_call(call, primals, body, avals), pushed
    given = [tangents[i] for i in varied]

    def tangents_of(*operands: Any) -> list[Any]:
        points, given = operands[: len(primals)], operands[len(primals) :]
        some = lambda *xs: _some(body, wanted, _filled(points, varied, xs))  # noqa: E731
        return jax.jvp(some, tuple(points[i] for i in varied), tuple(given))[1]

    if (differentiated := call.differentiated()) is None:
        found = tangents_of(*primals, *given)
        return leave_call(call, primals, body, avals), _filled(pushed, wanted, found)
    call = differentiated
    found = leave_call(
        Derivative(
            of=f"tangents of {call.of}", call=call, count=len(primals), varied=varied, wanted=wanted
        ),
        [*primals, *given],
        None if body is None else trace_to_jaxpr(tangents_of, [*primals, *given]),
        [own[i] for i in wanted],
    )
    return leave_call(call, primals, body, avals), _filled(pushed, wanted, found)


def _depend(body: Any, varied: Sequence[int]) -> list[bool]:
    """Whether each output depends on these operands: `ones_like`'s does not."""
    jaxpr, _ = open_jaxpr(body)
    reached = {jaxpr.invars[i] for i in varied}
    for eqn in jaxpr.eqns:
        if any(type(v) is not Literal and v in reached for v in eqn.invars):
            reached.update(eqn.outvars)
    return [type(v) is not Literal and v in reached for v in jaxpr.outvars]


def _some(body: Any, wanted: Sequence[int], operands: Sequence[Any]) -> list[Any]:
    out = run_body(body, *operands)
    return [out[i] for i in wanted]


def _transpose(cotangents: Any, *operands: Any, call: LateCall, body: Any, avals: Any) -> list[Any]:
    linear = [i for i, x in enumerate(operands) if ad.is_undefined_primal(x)]
    known = [i for i, ct in enumerate(cotangents) if type(ct) is not ad.Zero]
    given = [cotangents[i] for i in known]
    avals = [operands[i].aval for i in linear]
    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in avals]

    def pulled(points: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        some = lambda *xs: _some(body, known, _filled(points, linear, xs))  # noqa: E731
        return list(jax.linear_transpose(some, *shapes)(list(cotangents)))

    n, mapped = len(operands), bool(call.batches)
    if isinstance(call, Derivative) and linear == [*range(call.count, n)] and not mapped:
        points, flipped = operands[: call.count], _flipped(call, known)
        if body is not None:
            run = lambda *xs: pulled([*xs[: call.count], *shapes], xs[call.count :])  # noqa: E731
            body = trace_to_jaxpr(run, [*points, *given])
        found = leave_call(flipped, [*points, *given], body, avals)
    elif body is not None:  # a function that is linear: `trace`, in derivatives of JAX's
        found = pulled(operands, given)
    else:
        raise underivable(call).at(user_line())
    return _filled([None] * len(operands), linear, found)


def _flipped(call: Derivative, known: Sequence[int]) -> Derivative:
    """The transpose of a derivative, from cotangents of some of its results."""
    varied, wanted = call.varied, call.wanted
    if call.transposed:
        varied, of = tuple(varied[i] for i in known), "tangents"
    else:
        wanted, of = tuple(wanted[i] for i in known), "cotangents"
    return dataclasses.replace(
        call,
        of=f"{of} of {call.call.of}",
        varied=varied,
        wanted=wanted,
        transposed=not call.transposed,
    )


ad.primitive_jvps[whole_call_p] = _jvp
ad.primitive_transposes[whole_call_p] = _transpose
