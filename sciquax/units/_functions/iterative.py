"""`cg`, `gmres` and `bicgstab` of functions, of arrays and of trees: on numbers, in units found."""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.sparse.linalg as iterative
import jax.tree_util as jtu
from jax import lax

from sciquax.core import MODE, UnitPolymorphic
from sciquax.core.internal import add_hook

from .._quantity.base import own_unit
from .._unit.errors import DimensionalityError
from .._unit.unit import InternedUnit, dimensionless
from .._wrapping.unit_primitives import Role, unit_given_p, unit_taken_p, unit_tangent_p


class _Due(Role):
    """The unit of a leaf of b or x, by the leaves of b and what A makes of each leaf of x alone.

    b's leaf over what A makes of numbers is x's, and x's times that is b's, where b is a literal
    zero. Times b's, x's is the first leaf's product if that is of one dimension, so that what is
    symmetric stays symmetric in numbers. The powers are whether it is x's, and the leaf's place.
    """

    def due(self, references: Sequence[Any]) -> InternedUnit:
        of_x, j = self.powers
        n = math.isqrt(len(references))  # n of b's, and n times n of what A makes
        bs, images = references[:n], [references[n * k : n * (k + 1)] for k in range(1, n + 1)]
        b_units = {i: own_unit(b) for i, b in enumerate(bs) if not _is_zero(b)}
        x_units: dict[int, InternedUnit] = {}
        for _ in range(n):
            for i, k in itertools.product(range(n), repeat=2):
                if _is_zero(images[k][i]):
                    continue
                image = own_unit(images[k][i])
                if i in b_units:
                    x_units.setdefault(k, b_units[i] / image)
                elif k in x_units:
                    b_units[i] = x_units[k] * image
        for i, k in itertools.product(b_units, x_units):
            made = None if _is_zero(images[k][i]) else x_units[k] * own_unit(images[k][i])
            if made is not None and not made.compatible(b_units[i]):
                raise DimensionalityError(
                    f"`{self.function}` got A and b that do not fit: leaf {i} of b is in "
                    f"'{b_units[i]}', and A makes '{made}' there of leaf {k} of x, which is in "
                    f"'{x_units[k]}'.",
                    made.pint,
                    b_units[i].pint,
                    remedy="What couples leaves that measure different things has a unit itself.",
                )
        unit, of_b = x_units.get(j, dimensionless()), b_units.get(j, dimensionless())
        if not of_x:
            return of_b
        first = next(iter(sorted(x_units.keys() & b_units.keys())), j)
        alike = b_units.get(first, of_b) * x_units.get(first, unit) / of_b
        return alike if alike.compatible(unit) else unit


def _is_zero(x: Any) -> bool:
    return isinstance(x, UnitPolymorphic)


def _images(times: Callable[[Any], Any], b: Any) -> list[Any]:
    """The results of A for ones in one leaf and literal zeros in the others, for each leaf."""
    leaves, tree = jtu.tree_flatten(b)
    found: list[Any] = []
    for j in range(len(leaves)):
        parts = [
            (jnp.ones if i == j else jnp.zeros)(x.shape, x.dtype) for i, x in enumerate(leaves)
        ]
        found += tree.flatten_up_to(times(tree.unflatten(parts)))
    return found


def _of_function(original: Any) -> Any:
    """`gmres(A, b)` of a function: on numbers, in the units that A takes and gives.

    What A makes of numbers says what it multiplies units by: x is in b's unit over that, leaf by
    leaf of a tree. A tangent and a cotangent, which are such systems too, have units of their own.
    JAX's own code for `cg` works on quantities where only A and an array b are given.
    """
    name = original.__name__

    def solve(
        A: Any, b: Any, x0: Any = None, *, atol: Any = 0.0, M: Any = None, **options: Any
    ) -> Any:
        exact = isinstance(atol, (int, float)) and atol == 0
        known = not MODE.staging or hasattr(A, "shape") or not callable(A)
        leaves, tree = jtu.tree_flatten(b)
        alone = name == "cg" and exact and x0 is None and M is None and len(leaves) == 1
        if known or alone or not all(isinstance(x, jax.Array) for x in leaves):
            return original(A, b, x0, atol=atol, M=M, **options)
        own = Role(name, "b", False, dimensionless(), (), True)

        def due(what: str, of_x: bool, j: int) -> Role:
            return _Due(name, what, what == "x0", dimensionless(), (of_x, j))

        def references(times: Callable[[Any], Any], b: Any) -> tuple[Any, ...]:
            return lax.stop_gradient((*tree.flatten_up_to(b), *_images(times, b)))

        def number(role: Role, x: Any, refs: Sequence[Any]) -> Any:
            return lax.stop_gradient(unit_taken_p.bind(jnp.asarray(x), *refs, role=role))

        if not exact:
            of_atol = Role(name, "atol", True, dimensionless(), (1,))
            atol = number(of_atol, atol, lax.stop_gradient(leaves[:1]))
        if x0 is not None:
            refs = references(A, b)
            starts = enumerate(tree.flatten_up_to(x0))
            x0 = [number(due("x0", True, j), x, refs) for j, x in starts]
        given: list[Any] = []

        def of(times: Callable[[Any], Any], b: Any, start: Any = None) -> Any:
            bs = tree.flatten_up_to(b)
            refs = (*bs, *_images(times, b))
            roles = [(due("x", True, j), due("b", False, j)) for j in range(len(bs))]
            ones = [jnp.ones(b.shape, b.dtype) for b in bs]

            def moved(parts: list[Any], on: bool) -> list[Any]:
                out = []
                for part, one, (of_x, of_b) in zip(parts, ones, roles, strict=True):
                    role = of_x if on else of_b
                    like = one if on else unit_given_p.bind(one, *refs, role=role)
                    out.append(unit_tangent_p.bind(part, like, *refs, role=role, taken=not on))
                return out

            def on_numbers(vs: list[Any]) -> list[Any]:
                return moved(tree.flatten_up_to(times(tree.unflatten(moved(vs, True)))), False)

            def precondition(rs: list[Any], M: Any = M) -> list[Any]:
                apply: Callable[[Any], Any] = M if callable(M) else M.__matmul__
                pairs = zip(rs, roles, strict=True)
                r = [unit_given_p.bind(r, *refs, role=of_b) for r, (_, of_b) in pairs]
                made = tree.flatten_up_to(apply(tree.unflatten(r)))
                return [unit_taken_p.bind(z, role=own) for z in made]

            xs, info = original(
                on_numbers,
                [unit_taken_p.bind(b, role=own) for b in bs],
                start,
                atol=atol,
                M=None if M is None else precondition,
                **options,
            )
            given.append(info)
            xs = [unit_given_p.bind(x, *refs, role=r) for x, (r, _) in zip(xs, roles, strict=True)]
            return tree.unflatten(xs)

        b = jax.device_put(b)  # as JAX does: then all leaves have tangents, or none
        x = lax.custom_linear_solve(A, b, partial(of, start=x0), of)
        if given[0] is None:
            return x, None
        failed = jnp.stack([jnp.isnan(leaf).any() for leaf in jtu.tree_leaves(x)]).any()
        return x, jnp.where(failed, -1, 0)

    return solve


for _name in ("cg", "gmres", "bicgstab"):
    add_hook(getattr(iterative, _name), _of_function)
