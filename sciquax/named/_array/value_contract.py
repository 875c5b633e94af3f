"""The interpreter's questions to a named array: common types, loops, derivatives, nesting."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from sciquax.core import (
    UnitPolymorphic,
    Unsettled,
    aval_of,
    common_type,
    convert_to,
    is_value,
    strip,
)
from sciquax.core.internal import derivative, owner_of

from .axes import Axes, Dims, axes, met
from .base import NamedBase, bare
from .coordinates import meet
from .errors import AxisError, show_dims


def _parts(x: Any) -> tuple[Any, Axes]:
    """The array inside a value (polymorphic if the value is), and its axes."""
    inner = strip(x)
    if isinstance(inner, NamedBase):
        layout, held = inner._axes, inner.array
        layout.dims  # noqa: B018  # says so if a transformation took a named axis
    else:
        layout, held = axes((None,) * len(aval_of(inner).shape)), inner
        held = held if hasattr(held, "shape") else jnp.asarray(held)  # a literal number
    return (UnitPolymorphic(held) if type(x) is UnitPolymorphic else held), layout


def unified(lhs: Dims, rhs: Dims) -> Dims | None:
    """The dims that both agree with, None being a wildcard; or None, where they do not."""
    if len(lhs) != len(rhs):
        return None
    out = tuple(a if b is None else b for a, b in zip(lhs, rhs, strict=True))
    if any(b is not None and a is not None and a != b for a, b in zip(lhs, rhs, strict=True)):
        return None
    named = [d for d in out if d is not None]
    return out if len(set(named)) == len(named) else None


class Nesting:
    """How [`sciquax.named.NamedArray`][] joins, nests and differentiates."""

    @classmethod
    def common_type(cls, lhs: Any, rhs: Any) -> Any:
        (a, a_axes), (b, b_axes) = _parts(lhs), _parts(rhs)
        dims = unified(a_axes.dims, b_axes.dims)
        if dims is None:
            raise Unsettled(AxisError)
        both = met("cond or a loop", dims, a_axes, b_axes)
        coords = {n: c for n, c in both.coords.items() if n in a_axes.coords and n in b_axes.coords}
        beside = {n: c for n, c in both.beside.items() if n in a_axes.beside and n in b_axes.beside}
        return bare(strip(common_type(a, b)), axes(dims, coords, beside=beside))

    @classmethod
    def convert_to(cls, value: Any, example: Any) -> Any:
        held, layout = _parts(value)
        example_held, example_layout = _parts(example)
        dims, example_dims = layout.dims, example_layout.dims
        if not isinstance(strip(example), NamedBase):
            if any(d is not None for d in dims):
                raise Unsettled(AxisError)
            return strip(convert_to(held, example_held))
        if unified(dims, example_dims) != example_dims:
            raise AxisError(
                f"A value with the dims {show_dims(dims)} cannot have {show_dims(example_dims)}.",
                "Transpose or rename it.",
            )
        meet("convert", layout.coords, example_layout.coords)
        return bare(strip(convert_to(held, example_held)), example_layout.plain)

    def canonical(self: Any) -> Any:
        """Checked: as many names as axes; names within names are one set of names."""
        inner = self.array
        if not is_value(inner):
            self._axes.dims  # noqa: B018
            return self
        inner = inner.canonical()
        if isinstance(inner, NamedBase):
            held, layout = _parts(inner)
            both = unified(self._axes.dims, layout.dims)
            if both is None:
                raise AxisError(
                    f"Names meet on the same axes: {show_dims(self._axes.dims)} and "
                    f"{show_dims(layout.dims)}.",
                    "Rename one array's axes first.",
                )
            return bare(held, met("NamedArray", both, self._axes, layout))
        return self if inner is self.array else bare(inner, self._axes)

    # -- loops ------------------------------------------------------------------------------------

    def as_element(self: Any, leaves: Sequence[Any]) -> Any:
        layout = self._axes
        return bare(_inner_element(self.array, leaves), layout.with_dims(layout.dims[1:]))

    @classmethod
    def scanned_axis(cls, scanned: Sequence[Any]) -> Any:
        names = [x._axes.dims[0] for x in scanned if isinstance(x, NamedBase)]
        known = list(dict.fromkeys(n for n in names if n is not None))
        if len(known) > 1:
            raise AxisError(
                f"A loop runs over axes of different names: {show_dims(known)}.",
                "Rename one first: `.rename(...)`.",
            )
        return known[0] if known else None

    def as_stacked(self: Any, leaves: Sequence[Any]) -> Any:
        return type(self).stacked_along(self, leaves, None)

    @classmethod
    def stacked_along(cls, element: Any, leaves: Sequence[Any], axis: Any) -> Any:
        if isinstance(element, NamedBase):
            layout, inner = element._axes, element.array
        else:
            layout, inner = axes((None,) * len(element.shape)), element
        dims = layout.dims
        if axis is not None and axis in dims:
            raise AxisError(
                f"A loop over {axis!r} stacks outputs with the dims {show_dims(dims)}, which have "
                "that name already.",
                f"Rename one first: `.rename({axis}='{axis}2')`.",
            )
        held = inner.as_stacked(leaves) if is_value(inner) else leaves[0]
        return bare(held, layout.plain.with_dims((axis, *dims)))

    # -- derivatives ------------------------------------------------------------------------------

    def as_tangent(self: Any, leaves: Any) -> Any:
        inner = self.array
        leaves = list(leaves)
        held = inner.as_tangent(leaves) if is_value(inner) else leaves[0]
        return bare(held, self._axes.plain)

    def as_cotangent(self: Any, leaves: Any) -> Any:
        inner = self.array
        leaves = list(leaves)
        held = inner.as_cotangent(leaves) if is_value(inner) else leaves[0]
        return bare(held, self._axes.plain)

    @classmethod
    def derivative(cls, out: Any, arg: Any, leaf: Any) -> Any:
        """Its axes are the output's, then the argument's."""
        held_out, of_out = (None, axes(())) if out is None else _parts(out)
        held_arg, of_arg = _parts(arg)
        inner = derivative(held_out, held_arg, leaf)
        dims = (*of_out.dims, *of_arg.dims)
        shape = inner.shape
        if len(shape) != len(dims):  # a gradient's output has no axes of its own
            dims = of_arg.dims
        named = [d for d in dims if d is not None]
        for name in named:
            if named.count(name) > 1:
                raise AxisError(
                    f"A derivative would have the dims {show_dims(dims)}, the output's and the "
                    "argument's.",
                    f"Rename the output's: `.rename({name}='{name}2')`.",
                )
        return bare(inner, met("grad", dims, of_out, of_arg))

    @classmethod
    def align(cls, primals: Sequence[Any], tangents: Sequence[Any], inverse: bool) -> Any:
        """Tangents in the layout of their primals; what is inside aligns among itself."""
        held_primals, held_tangents, layouts = [], [], []
        for primal, tangent in zip(primals, tangents, strict=True):
            held, layout = _parts(primal)
            dims = layout.dims
            if isinstance(strip(tangent), NamedBase):
                tangent = strip(tangent)
                if set(tangent.dims) == set(dims) and None not in dims:
                    tangent = tangent.transpose(*dims)
            given, own = _parts(tangent) if hasattr(tangent, "shape") else (tangent, axes(dims))
            if unified(dims, own.dims) is None:
                raise AxisError(
                    f"A tangent has the dims {show_dims(own.dims)} for a value with "
                    f"{show_dims(dims)}.",
                    "A tangent has the names of its value.",
                )
            meet("jvp", layout.coords, own.coords)
            held_primals.append(held)
            held_tangents.append(given)
            layouts.append(primal._axes if isinstance(primal, NamedBase) else None)
        owner = owner_of(*held_primals, *held_tangents)
        rate = None
        if owner is not None:
            held_tangents, rate = owner.align(held_primals, held_tangents, inverse)
        aligned = [
            x if layout is None else bare(x, layout)
            for x, layout in zip(held_tangents, layouts, strict=True)
        ]
        return aligned, rate


def _inner_element(inner: Any, leaves: Sequence[Any]) -> Any:
    return inner.as_element(leaves) if is_value(inner) else leaves[0]
