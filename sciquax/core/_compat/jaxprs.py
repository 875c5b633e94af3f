"""Jaxprs, equations and abstract values, the same over JAX's releases."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax.core
import jax.extend.core as jex_core
import numpy as np
from jax._src import core as _jax_core  # private: typeof (0.10 to 0.12)
from jax._src.interpreters import (
    partial_eval as pe,  # private: 0.10 to 0.12
)

from .._weak_cache import WeakCache

try:
    from jax._src import (
        flattree as ft,  # private: 0.12  # pyright: ignore[reportAttributeAccessIssue]
    )
except ImportError:  # 0.10 and 0.11 have none
    ft: Any = None

Jaxpr = jex_core.Jaxpr
ClosedJaxpr: Any = jex_core.ClosedJaxpr  # pyright: ignore[reportPrivateImportUsage]
Literal = jex_core.Literal
DropVar = jex_core.DropVar
Primitive = jex_core.Primitive
AbstractMesh = jax.sharding.AbstractMesh

Tracer = jax.core.Tracer
ShapedArray = jax.core.ShapedArray
eval_jaxpr = jax.core.eval_jaxpr


def typeof(x: Any) -> Any:
    """The abstract value of an array, tracer or Python scalar."""
    return _jax_core.typeof(x)


SCALARS = (bool, int, float, complex, np.generic)
_NUMBERS = (*SCALARS, np.ndarray)


def as_array(x: Any) -> Any:
    """Convert Python's and NumPy's numbers, as in literals of jaxprs, to JAX's; keep all else."""
    if not isinstance(x, _NUMBERS) or getattr(x, "dtype", None) == jax.dtypes.float0:
        return x
    return jax.numpy.asarray(x)


def open_jaxpr(jaxpr: Any) -> tuple[Any, Sequence[Any]]:
    """The bare jaxpr and the constants of `jaxpr`, closed or not (they are one class in 0.12)."""
    if isinstance(jaxpr, ClosedJaxpr):
        return getattr(jaxpr, "jaxpr", jaxpr), jaxpr.consts
    return jaxpr, ()


def last_argument_names(closed: Any, count: int) -> list[str | None]:
    """The user's names of the last `count` operands of a jaxpr, as `state['x']`, if JAX knows."""
    info = getattr(open_jaxpr(closed)[0], "debug_info", None)
    names = list(getattr(info, "arg_names", None) or ())[-count:] if count else []
    return [*[None] * (count - len(names)), *[name or None for name in names]]


def all_inputs(jaxpr: Any, n_consts: int) -> list[Any]:
    """The variables that stand for a jaxpr's constants and operands, in this order.

    In 0.12 a jaxpr whose constants are held elsewhere counts their variables among its operands.
    """
    missing = n_consts - len(jaxpr.constvars)
    return list(jaxpr.invars) if missing == n_consts else [*jaxpr.constvars, *jaxpr.invars]


def closed_without_consts(closed: Any) -> tuple[Any, list[Any]]:
    """A closed jaxpr equal to `closed` whose constants are leading arguments, and those."""
    jaxpr, consts = open_jaxpr(closed)
    if not consts:
        return closed, []
    if ClosedJaxpr is Jaxpr:  # 0.12: constants live on the jaxpr itself
        return pe.convert_constvars_jaxpr(jaxpr), list(consts)
    return ClosedJaxpr(pe.convert_constvars_jaxpr(jaxpr), ()), list(consts)


def as_open(closed: Any) -> Any:
    """For parameters that hold an open jaxpr (`remat2` before 0.12): drop the empty wrapper."""
    return closed if ClosedJaxpr is Jaxpr else closed.jaxpr


# -- scan: 0.10 and 0.11 count operands, 0.12 describes them by flat trees ------------------------


def scan_operands(operands: Sequence[Any], params: dict[str, Any]) -> tuple[list, list, list]:
    """Split a `scan` equation's operands into constants, carry and scanned inputs."""
    if "ft_in" in params:
        consts, carry, xs = (list(part) for part in params["ft_in"].update(operands).unpack())
        return consts, carry, xs
    n_consts, n_carry = params["num_consts"], params["num_carry"]
    operands = list(operands)
    return (
        operands[:n_consts],
        operands[n_consts : n_consts + n_carry],
        operands[n_consts + n_carry :],
    )


def scan_params(
    params: dict[str, Any], jaxpr: Any, n_consts: int, n_carry: int, n_xs: int, n_ys: int
) -> dict[str, Any]:
    """`params` of a `scan` equation for a new body with so many leaves."""
    if "ft_in" in params:
        nones = ft.nones
        return {
            **params,
            "jaxpr": jaxpr,
            "ft_in": ft.pack((nones(n_consts), nones(n_carry), nones(n_xs))),
            "ft_out": ft.pack((nones(n_carry), nones(n_ys))),
        }
    new = {**params, "jaxpr": jaxpr, "num_consts": n_consts, "num_carry": n_carry}
    if "linear" in params:
        new["linear"] = (False,) * (n_consts + n_carry + n_xs)
    return new


# -- equations ------------------------------------------------------------------------------------


def bind_equation(eqn: Any, operands: Sequence[Any]) -> Any:
    """Bind an equation's primitive again, as `jax.core.eval_jaxpr` does."""
    return eqn.primitive.bind(*operands, **eqn.primitive.get_bind_params(eqn.params))


def bodies(params: dict[str, Any]) -> Iterator[Any]:
    """The jaxprs among an equation's parameters."""
    for param in params.values():
        for item in param if isinstance(param, (tuple, list)) else (param,):
            if isinstance(item, (Jaxpr, ClosedJaxpr)):
                yield item


def equations(jaxpr: Any) -> Iterator[Any]:
    """The equations of a jaxpr and of the jaxprs within."""
    for eqn in open_jaxpr(jaxpr)[0].eqns:
        yield eqn
        for body in bodies(eqn.params):
            yield from equations(body)


_last_use_cache: WeakCache = WeakCache()


def last_uses(jaxpr: Any) -> list[list[Any]]:
    """For each equation, the variables that nothing needs after it, so that memory is freed."""
    found = _last_use_cache.get(jaxpr, ())
    if found is None:
        seen = {var for var in jaxpr.outvars if type(var) is not Literal}
        found = []
        for eqn in reversed(jaxpr.eqns):
            dead = []
            for var in (*eqn.invars, *eqn.outvars):
                if type(var) is not Literal and var not in seen:
                    seen.add(var)
                    dead.append(var)
            found.append(dead)
        found.reverse()
        _last_use_cache.put(jaxpr, (), found)
    return found


def needed_equations(jaxpr: Any) -> list[Any]:
    """The equations that have an effect or that the outputs depend on; None for each other one.

    A call of which some results are not needed is replaced by one that returns only the others.
    """
    pruned, _ = pe.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars), True)
    made = {var: eqn for eqn in pruned.eqns for var in eqn.outvars}

    def needed(eqn: Any) -> Any:
        found = next((made[var] for var in eqn.outvars if var in made), None)
        if found is None or eqn.effects:
            return eqn if eqn.effects else None
        return found if len(found.outvars) < len(eqn.outvars) else eqn

    return [*map(needed, jaxpr.eqns)]


# -- avals on devices -----------------------------------------------------------------------------


def placed(aval: Any) -> Any:
    """An abstract value with only what JAX distinguishes types by: no sharding over automatic axes.

    Over explicit axes the sharding is of the type, within `shard_map` the axes it varies along.
    """
    sharding = getattr(aval, "sharding", None)
    if sharding is None or sharding.mesh.empty or _in_types(sharding.mesh):
        return aval
    return aval.update(sharding=None)


def _in_types(mesh: Any) -> bool:
    return mesh._any_axis_explicit or mesh._any_axis_manual


def placed_alike(lhs: Any, rhs: Any) -> bool:
    """Whether two types are placed alike on devices; a type on no mesh fits anywhere."""
    if lhs.sharding.mesh.empty or rhs.sharding.mesh.empty:
        return lhs.manual_axis_type == rhs.manual_axis_type
    return lhs.sharding == rhs.sharding and lhs.manual_axis_type == rhs.manual_axis_type


def struct_of(aval: Any) -> jax.ShapeDtypeStruct:
    """The shape and dtype of an array of this type; `aval_of_struct` is the inverse."""
    sharding = getattr(aval, "sharding", None)
    if sharding is None or sharding.mesh.empty:
        return jax.ShapeDtypeStruct(
            aval.shape, aval.dtype, weak_type=getattr(aval, "weak_type", False)
        )
    return jax.ShapeDtypeStruct(
        aval.shape,
        aval.dtype,
        weak_type=aval.weak_type,
        sharding=sharding,
        manual_axis_type=aval.manual_axis_type,
    )


def aval_of_struct(struct: jax.ShapeDtypeStruct) -> Any:
    """The abstract value of an array that is only a shape."""
    aval = ShapedArray(struct.shape, struct.dtype, weak_type=struct.weak_type)
    sharding: Any = struct.sharding
    if not isinstance(getattr(sharding, "mesh", None), AbstractMesh):
        return aval
    varying = struct.manual_axis_type or aval.manual_axis_type
    return placed(aval.update(sharding=sharding, manual_axis_type=varying))


def on_mesh_of(aval: Any, parts: Sequence[Any]) -> Any:
    """The abstract value of an object made of parts: on their mesh, varying along all their axes.

    **Arguments**: the abstract value on no mesh, and those of the parts.
    """
    parts = [a for a in map(placed, parts) if not a.sharding.mesh.empty]
    if not parts:
        return aval
    varying = frozenset[Any]().union(*[a.manual_axis_type.varying for a in parts])
    return aval.update(
        sharding=parts[0].sharding.update(spec=jax.sharding.PartitionSpec(*[None] * aval.ndim)),
        manual_axis_type=aval.manual_axis_type.update(varying=varying),
    )


def varying_alike(operands: Sequence[Any]) -> Sequence[Any]:
    """Operands of a primitive within `shard_map`, each varying along the axes that any does."""
    return _jax_core.auto_insert_reshard(*operands)


def without_leading_axis(aval: Any) -> Any:
    return _reshaped(aval, aval.shape[1:], lambda spec: spec[1:])


def with_leading_axis(aval: Any, length: int) -> Any:
    return _reshaped(aval, (length, *aval.shape), lambda spec: (None, *spec))


def _reshaped(aval: Any, shape: tuple[int, ...], respec: Callable[[Any], Any]) -> Any:
    sharding = aval.sharding
    if sharding.mesh.empty:
        return aval.update(shape=shape)
    spec = jax.sharding.PartitionSpec(*respec(tuple(sharding.spec)))
    return aval.update(shape=shape, sharding=sharding.update(spec=spec))


# -- primitives that JAX does not export through jax.extend ---------------------------------------


def all_primitives() -> dict[str, Any]:
    """Every public primitive of this JAX, by name."""
    exported = jex_core.primitives
    found = {}
    for name in dir(exported):
        value = getattr(exported, name)
        if isinstance(value, Primitive):
            found[value.name] = value
    return found
