"""Conditionals and loops. Where types differ they are joined, in loops until they settle."""

from collections.abc import Callable, Sequence
from typing import Any

from .._compat import jaxprs
from .._compat.jaxprs import open_jaxpr, typeof
from .._compat.tracing import trace_to_jaxpr
from .._errors import CarryError, LocatedError, Unsettled
from .._interpret import interpret
from .._values.folding import taken
from .._values.kinds import VALUE_TYPES
from .._values.stated import Source, Stated, bare, scalar, whole
from .._values.trust import TRUST, literals_of, start_of, taking
from .._values.types import (
    Type,
    convert,
    describe_type,
    describe_types,
    element_type,
    flatten,
    join_types,
    leading_axis,
    sliceable,
    stacked_type,
    type_of,
    unflatten,
)
from .._values.unit_polymorphic import UnitPolymorphic
from .bodies import Staged, check_number, minding, restage, stated_outputs


def cond(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """Interpret only the branch that is taken, where the program states the index.

    Else every branch on the values; where the outputs differ in type they are joined.
    """
    index, *values = operands
    branches = params["branches"]
    if type(index) is Stated and (number := index.source.ask(scalar, True)) is not None:
        return interpret(*open_jaxpr(branches[taken(number, branches)]), values)
    index = bare(index)
    index = index.materialise() if type(index) in VALUE_TYPES else index
    types = [type_of(x) for x in values]
    staged = [restage(branch, types) for branch in branches]
    outs, first_literals = list(staged[0].outs), list(staged[0].literals)
    for number, other in enumerate(staged[1:], start=1):
        for i, (a, b) in enumerate(zip(outs, other.outs, strict=True)):
            literals = first_literals[i], other.literals[i]
            sides = (a, b, branches[0], literals[0]), (b, a, branches[number], literals[1])
            for x, y, body, made_of in sides:
                if found := minding(x, y):
                    check_number(stated_outputs(body, types)[i], found, "cond", made_of)
            try:
                outs[i] = join_types(a, b, literals)
            except Unsettled as unsettled:
                first, second = describe_types(a, b)
                raise unsettled.make(
                    f"Output {i} of a conditional is {first} in its first branch and {second} in "
                    f"branch {number}, which have no common type.",
                    remedy="Make the branches return the same kind of value.",
                ) from None
    staged = [
        s if list(s.outs) == outs else restage(branch, types, outs)
        for s, branch in zip(staged, branches, strict=True)
    ]
    bodies, consts = zip(*[jaxprs.closed_without_consts(s.jaxpr) for s in staged], strict=True)
    if any(consts):
        bodies, leading = _share_consts(staged)
    else:
        leading = []
    new = dict(params, branches=tuple(bodies))
    return unflatten(outs, primitive.bind(index, *leading, *flatten(values), **new))


def _share_consts(staged: Sequence[Staged]) -> tuple[list[Any], list[Any]]:
    """Branches that all take all branches' constants as leading operands, and those."""
    opened = [open_jaxpr(s.jaxpr) for s in staged]
    everything = [c for _, consts in opened for c in consts]
    bodies, start = [], 0
    for jaxpr, consts in opened:
        stop = start + len(consts)

        def flat(*leaves: Any, jaxpr=jaxpr, start=start, stop=stop) -> list[Any]:
            return jaxprs.eval_jaxpr(jaxpr, leaves[start:stop], *leaves[len(everything) :])

        avals = [*map(typeof, everything), *(v.aval for v in jaxpr.invars)]
        bodies.append(trace_to_jaxpr(flat, avals))
        start = stop
    return bodies, everything


_MAX_ROUNDS = 8


def _settle(
    step: Callable[[list[Type], Sequence[Type]], Staged],
    carry: list[Type],
    op: str,
    names: Sequence[str | None],
    starts: Sequence[Source | None],
    sources: Sequence[Source | None],
    others: Sequence[Type],
) -> tuple[list[Type], Staged]:
    """The carry's types, found by running the body on them until they come back unchanged.

    **Arguments**: the body, the carry, and for errors the loop's and the carry's names; and who
    knows the trusted literals that it starts from, which take the types that the body gives them;
    and who knows what numbers it starts from. `others` are the types of its other operands.
    """
    n, begun = len(carry), carry
    judged = any(sources) and any(minding(None, t) for t in (*carry, *others))
    if judged and not any(starts):
        # The first step is on these numbers; what it gives is of no use.
        step([_asking(t, s) for t, s in zip(carry, sources, strict=True)], ())
    # Trusted literals are such until they take a type: where a number would be refused, or where it
    # would be another thing, as radians beside degrees.
    as_literals = judged and any(starts)

    def run(carry: list[Type]) -> Staged:
        nonlocal as_literals
        if not as_literals:
            try:
                return step(carry, ())
            except LocatedError:
                if not any(starts):
                    raise
        as_literals = True
        trio = zip(carry, starts, begun, strict=True)
        return step([t.asking(s) if t == b else t for t, s, b in trio], ())

    staged = run(carry)
    literals = [*map(literals_of, starts)]
    rounds = [carry]
    for _ in range(_MAX_ROUNDS):
        if as_literals and list(staged.outs[:n]) == carry:  # the others are numbers
            if judged:
                with TRUST(None):
                    step([_asking(t, s) for t, s in zip(carry, sources, strict=True)], ())
            as_literals, staged = False, step(carry, ())
        if list(staged.outs[:n]) == carry:
            return carry, staged
        joined = []
        for i, (a, b) in enumerate(zip(carry, staged.outs[:n], strict=True)):
            if (known := sources[i]) is not None and (found := minding(a, b)):
                check_number(known.ask(whole, False), found, op, literals[i])
            try:
                joined.append(_join(a, b, (literals[i], staged.literals[i])))
            except Unsettled as unsettled:
                before, after = describe_types(a, b)
                raise unsettled.make(
                    f"The `{op}` carry changed structure: {_called(names[i], i)} goes in as "
                    f"{before} and comes out of the body as {after}, which have no common type.",
                    remedy="Start the loop with the type that its body returns, or convert in the "
                    "body. A loop cannot carry a value whose type grows in every step.",
                ) from None
        # What another item's mark decided may be otherwise once that is settled: `x * i` is of any
        # unit while the counter is a literal 0.
        definite = [a != b and not _of_every_unit(b) for a, b in zip(carry, joined, strict=True)]
        if any(definite):
            joined = [b if d else a for a, b, d in zip(carry, joined, definite, strict=True)]
        if joined == carry:  # the outputs only need converting
            staged = step(carry, carry)
            if list(staged.outs[:n]) == carry:
                return carry, staged
        carry = joined
        rounds.append(carry)
        staged = run(carry)
    i = next(i for i in range(n) if rounds[-1][i] != rounds[-2][i])
    raise CarryError(
        f"The `{op}` carry changed structure at every step: {_called(names[i], i)} became "
        f"{', '.join(describe_type(types[i]) for types in rounds[:4])}, ....",
        "Write the loop in Python if it is short, or carry something whose type does not grow.",
    )


def _asking(t: Type, source: Source | None) -> Type:
    """The type of what a loop starts from, in its first step; a counter counts as computed."""
    return t if t.is_counter() else t.asking(source)


def _source_of(x: Any) -> Source | None:
    return x.source if type(x) is Stated else None


def _of_every_unit(t: Type) -> bool:
    return type(t.example()) is UnitPolymorphic


def _join(before: Type, after: Type, literals: Sequence[Any]) -> Type:
    """Constants of every unit that were made of other literals take the type of the result."""
    try:
        return join_types(before, after, literals)
    except Unsettled:
        if _of_every_unit(before) and _of_every_unit(after):
            return after
        raise


def _called(name: str | None, number: int) -> str:
    return f"`{name}`" if name else f"item {number}"


def _started(
    carry: Sequence[Any], starts: Sequence[Source | None], types: Sequence[Type]
) -> list[Any]:
    """The start of a loop, converted to the types of its carry."""
    return [
        convert(taking(x, literals_of(s), t.example()), t)
        for x, s, t in zip(carry, starts, types, strict=True)
    ]


def scan(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    consts, carry, xs = jaxprs.scan_operands(list(operands), params)
    starts, sources = [*map(start_of, carry)], [*map(_source_of, carry)]
    const_types = [type_of(x) for x in consts]
    carry = [*map(bare, carry)]  # which changes
    xs = [sliceable(bare(x)) for x in xs]
    x_types = [element_type(x) for x in xs]

    def step(types: list[Type], targets: Sequence[Type]) -> Staged:
        return restage(params["jaxpr"], [*const_types, *types, *x_types], tuple(targets))

    names = jaxprs.last_argument_names(params["jaxpr"], len(carry) + len(xs))
    types = [type_of(x) for x in carry]
    carry_types, staged = _settle(
        step, types, "scan", names, starts, sources, [*const_types, *x_types]
    )
    carry = _started(carry, starts, carry_types)
    closed, hoisted = jaxprs.closed_without_consts(staged.jaxpr)
    const_leaves, carry_leaves, x_leaves = flatten(consts), flatten(carry), flatten(xs)
    along = leading_axis(xs)
    y_types = [stacked_type(t, params["length"], along) for t in staged.outs[len(carry) :]]
    new = jaxprs.scan_params(
        params,
        closed,
        len(hoisted) + len(const_leaves),
        len(carry_leaves),
        len(x_leaves),
        sum(len(t.avals) for t in y_types),
    )
    outs = primitive.bind(*hoisted, *const_leaves, *carry_leaves, *x_leaves, **new)
    return unflatten([*carry_types, *y_types], outs)


def while_(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    n_cond, n_body = params["cond_nconsts"], params["body_nconsts"]
    cond_consts = list(operands[:n_cond])
    body_consts = list(operands[n_cond : n_cond + n_body])
    carry = list(operands[n_cond + n_body :])
    starts, sources = [*map(start_of, carry)], [*map(_source_of, carry)]
    carry = [*map(bare, carry)]  # which changes
    body_types = [type_of(x) for x in body_consts]

    def step(types: list[Type], targets: Sequence[Type]) -> Staged:
        return restage(params["body_jaxpr"], [*body_types, *types], tuple(targets))

    names = jaxprs.last_argument_names(params["body_jaxpr"], len(carry))
    types = [type_of(x) for x in carry]
    carry_types, staged = _settle(step, types, "while", names, starts, sources, body_types)
    carry = _started(carry, starts, carry_types)
    test = restage(params["cond_jaxpr"], [*[type_of(x) for x in cond_consts], *carry_types])
    body, body_hoisted = jaxprs.closed_without_consts(staged.jaxpr)
    cond, cond_hoisted = jaxprs.closed_without_consts(test.jaxpr)
    cond_leaves = [*cond_hoisted, *flatten(cond_consts)]
    body_leaves = [*body_hoisted, *flatten(body_consts)]
    new = dict(
        params,
        cond_jaxpr=cond,
        body_jaxpr=body,
        cond_nconsts=len(cond_leaves),
        body_nconsts=len(body_leaves),
    )
    return unflatten(
        carry_types, primitive.bind(*cond_leaves, *body_leaves, *flatten(carry), **new)
    )
