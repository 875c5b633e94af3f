"""Derivatives of deferred calls: `jax.grad` of a solve within a program that is being staged.

The pushforward of a deferred call is another one, linear in the tangents that it takes beside the
primal operands; its transpose takes cotangents instead. Either differentiates the call when the
values have arrived, so that tangents and cotangents come with their units.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax.interpreters import ad

from sciquax.core import Polymorphic, RuleError, jvp, strip, user_line, vjp


@dataclasses.dataclass(frozen=True, eq=False)
class Linear:
    """The derivative of a deferred call by some of its operands, at operands that come first.

    **Attributes**: `call`; its number of operands, `count`; the places of those `varied`, and of
    the results `wanted`; whether it is `transposed`, from cotangents of these to those of them.
    """

    call: Callable
    count: int
    varied: tuple[int, ...]
    wanted: tuple[int, ...]
    transposed: bool = False

    def __call__(self, *operands: Any) -> list[Any]:
        primals, given = list(operands[: self.count]), operands[self.count :]

        def results(*varied: Any) -> list[Any]:
            operands = list(primals)
            for i, x in zip(self.varied, varied, strict=True):
                operands[i] = x
            found = self.call(*operands)
            return [found[i] for i in self.wanted]

        results._takes_values = True  # type: ignore[attr-defined]  # not to be staged once more
        at = [strip(primals[i]) for i in self.varied]
        if self.transposed:
            _, pull = vjp(results, *at)
            derivatives = list(pull(list(given)))
        else:
            _, derivatives = jvp(results, at, given)
        if all(type(x) is Polymorphic for x in given):  # of zeros in any unit
            return [Polymorphic(x) for x in derivatives]
        return derivatives


def differentiate(primitive: Any) -> None:
    """Give a primitive that makes deferred calls its derivatives."""

    def pushforward(
        primals: Sequence[Any], tangents: Sequence[Any], *, call: Any, avals: Any
    ) -> tuple[list[Any], list[Any]]:
        outs = primitive.bind(*primals, call=call, avals=avals)
        varied = tuple(i for i, t in enumerate(tangents) if type(t) is not ad.Zero)
        wanted = tuple(i for i, a in enumerate(avals) if jnp.issubdtype(a.dtype, jnp.inexact))
        own = [a.to_tangent_aval() for a in avals]
        linear = Linear(call, len(primals), varied, wanted)
        given = [tangents[i] for i in varied]
        found = primitive.bind(*primals, *given, call=linear, avals=tuple(own[i] for i in wanted))
        pushed: list[Any] = [ad.Zero(a) for a in own]
        for i, x in zip(wanted, found, strict=True):
            pushed[i] = x
        return outs, pushed

    def transpose(cotangents: Any, *operands: Any, call: Any, avals: Any) -> list[Any]:
        unknown = [i for i, x in enumerate(operands) if ad.is_undefined_primal(x)]
        if not isinstance(call, Linear) or unknown != list(range(call.count, len(operands))):
            error = RuleError(
                "A solve on quantities within `quaxify` is differentiated in a way that it has no "
                "rule for.",
                "Differentiate outside: `sciquax.grad(f)(...)` of a function `f` that solves.",
            )
            raise error.at(user_line())
        del avals
        known = [i for i, ct in enumerate(cotangents) if type(ct) is not ad.Zero]
        sides = (call.varied, call.wanted)
        sources, targets = sides if call.transposed else sides[::-1]
        sources = tuple(sources[i] for i in known)
        varied, wanted = (sources, targets) if call.transposed else (targets, sources)
        transposed = Linear(call.call, call.count, varied, wanted, not call.transposed)
        pulled = primitive.bind(
            *operands[: call.count],
            *[cotangents[i] for i in known],
            call=transposed,
            avals=tuple(operands[i].aval for i in unknown),
        )
        return [None] * call.count + list(pulled)

    ad.primitive_jvps[primitive] = pushforward
    ad.primitive_transposes[primitive] = transpose
