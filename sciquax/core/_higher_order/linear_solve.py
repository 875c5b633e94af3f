"""`lax.custom_linear_solve`, which holds four functions."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax import lax

from .._compat.jaxprs import open_jaxpr
from .._errors import Unsettled
from .._interpret import interpret
from .._values.common_type import convert_to
from .._values.kinds import VALUE_TYPES
from .._values.types import convert, flatten, regroup, type_of, unflatten
from .._values.unit_polymorphic import UnitPolymorphic, strip


def custom_linear_solve(
    primitive: Any, operands: Sequence[Any], params: dict[str, Any]
) -> list[Any]:
    """`lax.custom_linear_solve` on the interpreted functions; the solution's type is solve's."""
    lengths, bodies = params["const_lengths"], params["jaxprs"]
    groups, position = [], 0
    for n in lengths:
        groups.append(list(operands[position : position + n]))
        position += n
    matvec_consts, vecmat_consts, solve_consts, transpose_consts = groups
    b = list(operands[position:])
    b_types = [type_of(x) for x in b]

    def run(body: Any, consts: list[Any], args: list[Any]) -> list[Any]:
        jaxpr, own = open_jaxpr(body)
        return [strip(x) for x in interpret(jaxpr, own, [*consts, *args])]

    solution = jax.eval_shape(
        lambda leaves: run(bodies.solve, solve_consts, unflatten(b_types, leaves)), flatten(b)
    )
    x_types = [type_of(x) for x in solution]
    if any(type(x) is UnitPolymorphic for x in b):  # a cotangent that is zero: as A's image is
        image = jax.eval_shape(
            lambda leaves: run(bodies.matvec, matvec_consts, unflatten(x_types, leaves)),
            [a for x in solution for a in jtu.tree_leaves(x)],
        )
        b = [
            convert_to(x, type_of(y).example()) if type(x) is UnitPolymorphic else x
            for x, y in zip(b, image, strict=True)
        ]
        b_types = [type_of(x) for x in b]

    try:
        jax.eval_shape(
            lambda leaves: [
                convert_to(x, t.example())
                for x, t in zip(
                    run(bodies.matvec, matvec_consts, unflatten(x_types, leaves)),
                    b_types,
                    strict=True,
                )
            ],
            [a for x in solution for a in jtu.tree_leaves(x)],
        )
    except Unsettled:
        # The solver materialised: a type without structure to keep. Then so do all operands.
        arrays = [x.materialise() if type(x) in VALUE_TYPES else x for x in operands]
        return primitive.bind(*arrays, **params)

    def matvec(leaves: list[Any]) -> list[Any]:
        out = run(bodies.matvec, matvec_consts, unflatten(x_types, leaves))
        return flatten([convert(x, t) for x, t in zip(out, b_types, strict=True)])

    def solve(_: Any, leaves: list[Any]) -> list[Any]:
        return flatten(run(bodies.solve, solve_consts, unflatten(b_types, leaves)))

    def transpose_solve(_: Any, leaves: list[Any]) -> list[Any]:
        given = []
        for x, own in zip(x_types, regroup(x_types, leaves), strict=True):
            example = x.example()
            given.append(example.as_cotangent(own) if type(example) in VALUE_TYPES else own[0])
        out = run(bodies.transpose_solve, transpose_consts, given)
        result: list[Any] = []
        for ct, t in zip(out, b_types, strict=True):
            example = t.example()
            if type(example) in VALUE_TYPES:
                ct = convert_to(
                    ct, example.as_cotangent([jnp.zeros(a.shape, a.dtype) for a in t.avals])
                )
            result += jtu.tree_leaves(strip(ct))
        return result

    del vecmat_consts
    leaves = lax.custom_linear_solve(
        matvec, flatten(b), solve, transpose_solve if bodies.transpose_solve is not None else None
    )
    return unflatten(x_types, leaves)
