"""Names through positional code: what each structure of primitive does to the names of axes.

Names follow the axes; a new axis has none. A named axis that meets one without a name keeps its
name; two different names on one axis, or one name on two axes, are refused. Only names are inferred
here: what is inside goes on through `core.bind`, and the compiled program is as it was.

Structures are facts of the primitives, kept in `sciquax/core/_facts.py`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sciquax.core import (
    RuleError,
    UnitPolymorphic,
    aval_of,
    bind,
    describe,
    is_value,
    register_rule,
    strip,
)
from sciquax.core.internal import AFTER_BODY

from .._array.axes import Axes, Dims, axes, met
from .._array.base import bare
from .._array.errors import AxisError, AxisSizeError, CoordinateError, show_dims
from .._array.value_contract import _parts
from .._named_array import NamedArray

Params = dict[str, Any]


class Call:
    """A primitive on operands of given dims: what a rule for names looks at.

    **Attributes**: the primitive's `name` and `params`; the `dims` and `shapes` of the operands;
    `moved`, names along which elements are no longer at their coordinates; and `picked`, (operand,
    name) where another operand says which of its elements come out, and what they are called; and
    `written`, (operand, name) of a part that is written into the first operand, whose coordinates
    beside its axes stay as they are: (operand, None).
    """

    __slots__ = ("dims", "dtypes", "moved", "name", "params", "picked", "shapes", "written")

    def __init__(self, name: str, dims: list[Dims], held: Sequence[Any], params: Params):
        avals = [aval_of(x) for x in held]
        self.name, self.dims, self.params = name, dims, params
        self.shapes, self.dtypes = [tuple(a.shape) for a in avals], [a.dtype for a in avals]
        self.moved: set[str] = set()
        self.picked: set[tuple[int, str | None]] = set()
        self.written: set[tuple[int, str | None]] = set()

    def unify(self, *names: str | None) -> str | None:
        """The one name among these, None being a wildcard. **Raises** `AxisError` for two."""
        known = list(dict.fromkeys(n for n in names if n is not None))
        if len(known) > 1:
            raise AxisError(
                f"`{self.name}` got {known[0]!r} and {known[1]!r} on one axis: "
                f"{' and '.join(show_dims(d) for d in self.dims if any(d))}.",
                "Under `quaxify` axes meet by position: transpose or `rename` one operand first. "
                "Operators of named arrays align by name.",
            )
        return known[0] if known else None

    def same(self, positions: Sequence[int]) -> Dims:
        """The dims of operands whose axes correspond one to one. Numbers have none."""
        dims = [self.dims[i] for i in positions]
        ndim = max(map(len, dims), default=0)
        rows = [d for d in dims if len(d) == ndim]
        if len(rows) == 1 or all(d == rows[0] for d in rows):
            return rows[0] if rows else ()
        return tuple(self.unify(*column) for column in zip(*rows, strict=True))

    def broadcast(self) -> Dims:
        """The dims of elementwise operands, in which an axis of size 1 may be repeated."""
        shapes = [s for s in self.shapes if s]
        if any(s != shapes[0] for s in shapes):
            sizes = tuple(map(max, zip(*shapes, strict=True)))
            for dims, shape in zip(self.dims, self.shapes, strict=True):
                for name, own, size in zip(dims, shape, sizes[: len(dims)], strict=True):
                    self.repeat(name, own, size)
        return self.same(range(len(self.dims)))

    def repeat(self, name: str | None, own: int, size: int) -> str | None:
        """`name`, of an axis that is repeated. **Raises** `AxisSizeError` if it has one."""
        if name is not None and own != size:
            raise AxisSizeError(
                f"`{self.name}` would repeat the axis {name!r} of size {own} to size {size}.",
                "A size of 1 is a size: select the place (`a[0]`, `squeeze`), or keep an axis "
                "without a name (`keepdims=True`) to be broadcast.",
            )
        return name

    def move(self, name: str | None) -> str | None:
        if name is not None:
            self.moved.add(name)
        return name

    def move_all(self, dims: Dims, places: Any) -> Dims:
        for i in places:
            self.move(dims[i])
        return dims


Infer = Callable[[Call], Any]
"""From a call to the dims of its output; a list of dims, if the primitive has several."""


def _rule(infer: Infer) -> Callable:
    def rule(primitive: Any, operands: Sequence[Any], params: Params) -> Any:
        try:
            return _label(infer, primitive, operands, params)
        except AxisError as error:  # its place is the equation's, which the interpreter knows
            error.location = None
            raise

    return rule


def _label(infer: Infer, primitive: Any, operands: Sequence[Any], params: Params) -> Any:
    held, layouts = zip(*map(_operand, operands), strict=True)
    call = Call(primitive.name, [x.dims for x in layouts], held, params)
    inferred = infer(call)
    if not primitive.multiple_results and type(inferred) is list:
        (inferred,) = inferred  # a primitive that has several results on other releases of JAX
    if not any(is_value(strip(x)) for x in held):
        held = map(strip, held)
    out = bind(primitive, *held, **params)
    known = _coordinates(call, layouts)
    if not primitive.multiple_results:
        return _wrap(call, strip(out), inferred, known)
    # Zeros of any unit among several outputs stay so: `device_put` of a state and its zero start.
    named = [_wrap(call, strip(x), d, known) for x, d in zip(out, inferred, strict=True)]
    return [
        UnitPolymorphic(y) if type(x) is UnitPolymorphic else y
        for x, y in zip(out, named, strict=True)
    ]


def _operand(x: Any) -> tuple[Any, Axes]:
    inner = strip(x)
    if is_value(inner) or hasattr(inner, "shape"):
        return _parts(x)
    return x, axes(())


def _wrap(call: Call, x: Any, dims: Dims, known: list[Axes]) -> NamedArray:
    named = [d for d in dims if d is not None]
    if len(set(named)) != len(named):
        name = next(d for d in named if named.count(d) > 1)
        raise AxisError(
            f"`{call.name}` would put the name {name!r} on two axes: {show_dims(dims)}.",
            f"Rename one operand's axis first: `.rename({name}='{name}2')`. In code that is not "
            f"yours, give its two arguments `*named.distinct(a, {name!r})`; or give it "
            f"`a.untag({name!r})` and name the result with `.tag({name!r}, '{name}2')`.",
        )
    if not known:
        return bare(x, axes(tuple(dims)))
    out = met(call.name, tuple(dims), *known)
    sizes = dict(zip(dims, aval_of(x).shape, strict=True))
    other = [n for n, c in out.coords.items() if len(c) != sizes[n]]
    other += [
        d for c in out.beside.values() for d, n in zip(c.dims, c.held.values.shape, strict=True)
        if n != sizes[d]
    ]  # fmt: skip
    return bare(x, out.without(*other) if other else out)


def _coordinates(call: Call, layouts: Sequence[Axes]) -> list[Axes]:
    """The operands' coordinates that stay, without those that the call rearranges or picks."""
    known = [(i, x) for i, x in enumerate(layouts) if x.coords or x.beside]
    for i, name in call.written:
        if name is None:
            continue
        whole, part = layouts[0].coords.get(name), layouts[i].coords.get(name)
        if whole is not None and part is not None and not part.within(whole):
            raise CoordinateError(
                f"`{call.name}` would write elements labelled {part.show(0)} and so on along "
                f"{name!r} into an array that has no such labels.",
                f"Write elements of the same places, or drop their labels: "
                f"`.drop_coords({name!r})`.",
            )
    gone = call.picked | call.written
    return [
        (axes(x.dims, x.coords) if (i, None) in gone else x).without(
            *call.moved, *[n for k, n in gone if k == i]
        )
        for i, x in known
    ]


def _with_single_values(operands: Sequence[Any], outs: Sequence[Any]) -> Sequence[Any]:
    """Results of a body with the single coordinates that all its named operands have.

    Bodies are staged without these, so that they are not compiled anew for each.
    """
    first, *rest = [x._axes.beside for x in map(strip, operands) if isinstance(x, NamedArray)]
    single = {
        n: c for n, c in first.items()
        if not c.dims and all(n in other and c.same(other[n]) for other in rest)
    }  # fmt: skip
    if not single:
        return outs

    def beside(x: Any) -> Any:
        inner = strip(x)
        if not isinstance(inner, NamedArray):
            return x
        known = inner._axes
        made = bare(inner.array, known.with_beside(**{**single, **known.beside}))
        return UnitPolymorphic(made) if type(x) is UnitPolymorphic else made

    return [*map(beside, outs)]


AFTER_BODY[NamedArray] = _with_single_values


# -- enrolment ------------------------------------------------------------------------------------


def _enrol(keys: Any, infer: Infer) -> None:
    register_rule(NamedArray, keys, _rule(infer))


def _refuse(primitive: Any, operands: Sequence[Any], params: Params) -> Any:
    """For want of a rule a name is never dropped."""
    shown = ", ".join(describe(x) for x in operands)
    raise RuleError(
        f"`{primitive.name}` has no rule for names, and got ({shown}).",
        "Take `.array` and name the result, or register a rule: "
        f"`sciquax.core.register_rule(NamedArray, '{primitive.name}', rule)`.",
    )


NamedArray.default = staticmethod(_refuse)  # type: ignore[method-assign]
