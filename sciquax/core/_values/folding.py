"""Computing equations whose inputs the program states, on the host and exactly as JAX would.

A number here is a NumPy array of the equation's dtype and of few elements: it has length one along
axes that it repeats along, so that a constant of a million elements is one number.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._compat.jaxprs import Literal, all_inputs, open_jaxpr
from .._weak_cache import WeakCache

Number = np.ndarray
MOST, MADE = 16, 4096  # elements of a constant that is no data, and of what a program makes


def number_of_literal(literal: Any) -> Number:
    return np.asarray(literal.val).astype(literal.aval.dtype)


def only(x: Any) -> Any:
    """The one element of a number, as a NumPy scalar."""
    return np.asarray(x).reshape(())[()]


def number_of_constant(x: Any) -> Number | None:
    """The number of a jaxpr's constant that the program states: JAX holds those as NumPy arrays."""
    if not isinstance(x, np.ndarray) or x.size > MOST:
        return None
    number = np.asarray(x)  # not JAX's subclass of it
    same = number.size > 0 and bool((number == number.flat[0]).all())
    return number.flat[0:1].reshape((1,) * number.ndim) if same else number


def _divide(x: Number, y: Number) -> Any:
    if x.dtype.kind not in "iu":
        return np.divide(x, y)
    if not np.all(y):
        return None
    return np.sign(x) * np.sign(y) * (np.abs(x) // np.abs(y))


def _rem(x: Number, y: Number) -> Any:
    return np.fmod(x, y) if x.dtype.kind not in "iu" or np.all(y) else None


def _select(which: Number, *cases: Number) -> Number:
    out = cases[0]
    for i, case in enumerate(cases[1:], start=1):
        out = np.where(which == i, case, out)
    return out


_ELEMENTWISE: dict[str, Callable[..., Number | None]] = {
    "add": np.add,
    "add_any": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": _divide,
    "rem": _rem,
    "neg": np.negative,
    "sign": np.sign,
    "abs": np.abs,
    "max": np.maximum,
    "min": np.minimum,
    "floor": np.floor,
    "ceil": np.ceil,
    "sqrt": np.sqrt,
    "square": np.square,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "not": np.bitwise_not,
    "is_finite": np.isfinite,
    "select_n": _select,
    "clamp": lambda low, x, high: np.minimum(np.maximum(x, low), high),
    "copy": np.copy,
    "copy_p": np.copy,
}

_ROUNDED: dict[str, Callable[..., Number | None]] = {
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "tanh": np.tanh,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "cbrt": np.cbrt,
}
"""What the host may round otherwise: good to show a literal, not to decide by it."""


def _full(x: Number, var: Any) -> Number | None:
    """A number with all the elements that its variable has, if they are few."""
    return np.broadcast_to(x, var.aval.shape) if var.aval.size <= MADE else None


def _integer_pow(eqn: Any, x: Number) -> Any:
    """By products, as JAX does."""
    y, out = abs(eqn.params["y"]), np.ones_like(x)
    while y:
        out = out * x if y & 1 else out
        x, y = x * x, y >> 1
    return np.divide(np.ones_like(out), out) if eqn.params["y"] < 0 else out


def _convert(eqn: Any, x: Number) -> Number | None:
    dtype = np.dtype(eqn.outvars[0].aval.dtype)
    if dtype.kind in "iu" and x.dtype.kind not in "biu":
        limits = np.iinfo(dtype)
        if not np.all((x >= limits.min) & (x <= limits.max)):
            return None
    return x.astype(dtype)


def _broadcast(eqn: Any, x: Number, *sizes: Any) -> Number | None:
    shape = [1] * len(eqn.params["shape"])
    for axis, size in zip(eqn.params["broadcast_dimensions"], x.shape, strict=True):
        shape[axis] = size
    return None if sizes else x.reshape(shape)


def _reshape(eqn: Any, x: Number, *sizes: Any) -> Number | None:
    shape = eqn.outvars[0].aval.shape
    if x.size == 1:
        return x.reshape((1,) * len(shape))
    full = None if eqn.params.get("dimensions") else _full(x, eqn.invars[0])
    return None if full is None else full.reshape(shape)


def _slice(eqn: Any, x: Number) -> Number | None:
    full, params = _full(x, eqn.invars[0]), eqn.params
    bounds = params["start_indices"], params["limit_indices"], params["strides"] or (1,) * x.ndim
    return None if full is None else full[tuple(map(slice, *bounds))]


def _joined(join: Callable[..., Number], axis: str) -> Callable[..., Number | None]:
    def joined(eqn: Any, *parts: Number) -> Number | None:
        full = [_full(x, var) for x, var in zip(parts, eqn.invars, strict=True)]
        return None if any(x is None for x in full) else join(full, axis=eqn.params[axis])

    return joined


def _tile(eqn: Any, x: Number) -> Number | None:
    if x.size == 1:
        return x.reshape((1,) * eqn.outvars[0].aval.ndim)
    full = _full(x, eqn.invars[0]) if eqn.outvars[0].aval.size <= MADE else None
    return None if full is None else np.tile(full, eqn.params["reps"])


_OTHERS: dict[str, Callable[..., Number | None]] = {
    "integer_pow": _integer_pow,
    "convert_element_type": _convert,
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "squeeze": lambda eqn, x: np.squeeze(x, tuple(eqn.params["dimensions"])),
    "slice": _slice,
    "concatenate": _joined(np.concatenate, "dimension"),
    "stack": _joined(np.stack, "axis"),  # from 0.12 on
    "tile": _tile,
    "iota": lambda eqn: (  # of one axis
        np.arange(min(*eqn.params["shape"], MADE + 1)) if len(eqn.params["shape"]) == 1 else None
    ),
}

_BODIES = {
    "jit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_closed_call": "call_jaxpr",
    "remat2": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "whole_call": "body",
}

HOLDS_BODIES = {*_BODIES, "cond"}


def fold(eqn: Any, inputs: Sequence[Number | None]) -> Sequence[Number | None]:
    """The outputs of an equation for these inputs, None where they are not known."""
    name = eqn.primitive.name
    unknown = [None] * len(eqn.outvars)
    if (body := eqn.params.get(_BODIES.get(name))) is not None:
        return _evaluate(body, inputs)
    if name == "cond":
        index, *operands = inputs
        branches = eqn.params["branches"]
        return unknown if index is None else _evaluate(branches[taken(index, branches)], operands)
    if any(x is None for x in inputs):
        return unknown
    with np.errstate(all="ignore"):
        if (function := _ELEMENTWISE.get(name) or _ROUNDED.get(name)) is not None:
            out = function(*inputs)
        elif (function := _OTHERS.get(name)) is not None:
            out = function(eqn, *inputs)
        else:
            return unknown
    if out is None or np.size(out) > MADE:
        return unknown
    return [np.asarray(out).astype(eqn.outvars[0].aval.dtype)]


def taken(index: Any, branches: Sequence[Any]) -> int:
    """The number of the branch that an index takes, as JAX clamps it."""
    return min(max(int(index.item()), 0), len(branches) - 1)


def _evaluate(body: Any, inputs: Sequence[Number | None]) -> list[Number | None]:
    jaxpr, consts = open_jaxpr(body)
    given = [*map(number_of_constant, consts), *inputs]
    env = dict(zip(all_inputs(jaxpr, len(consts)), given, strict=True))

    def read(var: Any) -> Number | None:
        return number_of_literal(var) if type(var) is Literal else env[var]

    for eqn in jaxpr.eqns:
        env.update(zip(eqn.outvars, fold(eqn, [*map(read, eqn.invars)]), strict=True))
    return [*map(read, jaxpr.outvars)]


def stated_outputs(eqn: Any) -> Sequence[Number | None]:
    """The outputs of an equation that do not depend on its operands, as those of `zeros_like`."""
    unknown = [None] * len(eqn.invars)
    return fold(eqn, unknown) if any(foldable(eqn, [False] * len(unknown))) else ()


_foldable_outputs = WeakCache()


def foldable(eqn: Any, known: Sequence[bool], picks: bool = False) -> Sequence[bool]:
    """A mask of the outputs that `fold` can give for known inputs. It computes nothing.

    With `picks`, also those that hold nothing but elements of known inputs (`combined`).
    """
    name = eqn.primitive.name
    if (body := eqn.params.get(_BODIES.get(name))) is not None:
        return _outputs(body, tuple(known), picks)
    if picks and name in _PICKS and known and all(known[_PICKS[name]]):
        return [True] * len(eqn.outvars)
    if name == "cond" and (known[0] or picks):
        ways = [_outputs(branch, tuple(known[1:]), picks) for branch in eqn.params["branches"]]
        return [all(flags) for flags in zip(*ways, strict=True)]
    folds = name in _ELEMENTWISE or name in _OTHERS or picks and name in _ROUNDED
    every = (bool(known) or name == "iota") and all(known) and folds or picks and _is_mask(eqn)
    return [every] * len(eqn.outvars)


def _is_mask(eqn: Any) -> bool:
    """Whether an equation makes zeros and ones of truth values, whatever these are."""
    return eqn.primitive.name == "convert_element_type" and eqn.invars[0].aval.dtype == bool


def _outputs(body: Any, known: tuple[bool, ...], picks: bool = False) -> Sequence[bool]:
    found = _foldable_outputs.get(body, (known, picks))
    if found is None:
        jaxpr, consts = open_jaxpr(body)
        given = [*(number_of_constant(c) is not None for c in consts), *known]
        env = dict(zip(all_inputs(jaxpr, len(consts)), given, strict=True))
        for eqn in jaxpr.eqns:
            flags = foldable(eqn, [type(v) is Literal or env[v] for v in eqn.invars], picks)
            env.update(zip(eqn.outvars, flags, strict=True))
        found = tuple(type(v) is Literal or env[v] for v in jaxpr.outvars)
        _foldable_outputs.put(body, (known, picks), found)
    return found


# -- what literals an array is made of ------------------------------------------------------------

_PICKS = {
    "select_n": slice(1, None),
    "concatenate": slice(None),
    "stack": slice(None),
    "pad": slice(None),
    "transpose": slice(0, 1),
    "rev": slice(0, 1),
    "dynamic_slice": slice(0, 1),
    "broadcast_in_dim": slice(0, 1),
    "reshape": slice(0, 1),
    "squeeze": slice(0, 1),
    "slice": slice(0, 1),
    "copy": slice(0, 1),
    "copy_p": slice(0, 1),
}
"""Operations that put elements of these operands together and change none."""

Parts = dict[Any, Any]
"""The numbers that an array has elements of, with what is known of each, the first one's."""


def combined(eqn: Any, inputs: Sequence[Parts]) -> Sequence[Parts]:
    """The numbers that an equation's outputs consist of, given its inputs'. Empty if unknown."""
    name = eqn.primitive.name
    if (body := eqn.params.get(_BODIES.get(name))) is not None:
        return _combined_body(body, inputs)
    if name in _PICKS:
        return [_either(inputs[_PICKS[name]])]
    if name == "cond":
        ways = [_combined_body(branch, inputs[1:]) for branch in eqn.params["branches"]]
        return [_either(way) for way in zip(*ways, strict=True)]
    if len(eqn.outvars) != 1:
        return [{} for _ in eqn.outvars]
    if _is_mask(eqn):
        dtype = eqn.outvars[0].aval.dtype
        return [{only(np.asarray(x, dtype)): None for x in (0, 1)}]
    out: Parts = {}
    if sum(len(part) > 1 for part in inputs) < 2:  # else it is not known which meet
        for numbers in itertools.product(*(part.items() for part in inputs)):
            shaped = [
                np.asarray(x).reshape((1,) * v.aval.ndim)
                for (x, _), v in zip(numbers, eqn.invars, strict=True)
            ]
            (result,) = fold(eqn, shaped)
            if result is None or result.size != 1:
                return [{}]
            known = next((place for _, place in numbers if place is not None), None)
            out.setdefault(only(result), known)
    return [out]


def _either(parts: Sequence[Parts]) -> Parts:
    """The numbers that an array chosen from these may hold; none if not all are known."""
    return {k: x for part in parts for k, x in part.items()} if all(parts) else {}


def _combined_body(body: Any, inputs: Sequence[Parts]) -> list[Parts]:
    jaxpr, consts = open_jaxpr(body)
    known = next((x for part in inputs for x in part.values()), None)
    given = [*({} for _ in consts), *inputs]
    env = dict(zip(all_inputs(jaxpr, len(consts)), given, strict=True))

    def read(var: Any) -> Parts:
        return {only(number_of_literal(var)): known} if type(var) is Literal else env[var]

    for eqn in jaxpr.eqns:
        env.update(zip(eqn.outvars, combined(eqn, [*map(read, eqn.invars)]), strict=True))
    return [*map(read, jaxpr.outvars)]
