"""Discrete Fourier transforms by name. The transformed axis keeps its name, or gets another.

Coordinates along it are dropped, since its places are frequencies then; another name gets these as
its coordinates.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp

from ._array.axes import axes, name_of
from ._array.base import as_named, bare
from ._by_name.call_jax import apply
from ._labels.distances import frequencies_of
from ._named_array import NamedArray


@runtime_checkable
class _Transform(Protocol):
    def __call__(
        self, a: Any, name: Any, into: Any = None, n: int | None = None, norm: str | None = None
    ) -> NamedArray: ...


@runtime_checkable
class _TransformSeveral(Protocol):
    def __call__(self, a: Any, names: Any, norm: str | None = None) -> NamedArray: ...


@runtime_checkable
class _Shift(Protocol):
    def __call__(self, a: Any, names: Any) -> NamedArray: ...


def _transform(op: str) -> _Transform:
    function = getattr(jnp.fft, op)

    def transform(
        a: Any, name: Any, into: Any = None, n: int | None = None, norm: str | None = None
    ) -> NamedArray:
        a = as_named(a, op)
        i = a._axes.position(op, name, a)
        out = apply(function, a.array, n=n, axis=i, norm=norm)
        made = bare(out, a._axes.without(a.dims[i]))
        if into is None:
            return made
        made = made.rename({a.dims[i]: into})
        frequencies = frequencies_of(op, a, i, n)
        if frequencies is None:
            return made
        return bare(made.array, made._axes.with_coord(name_of(into), frequencies))

    transform.__name__ = transform.__qualname__ = op
    transform.__doc__ = (
        f"`jnp.fft.{op}` along a name, which becomes `into` if that is given.\n\n"
        "Of evenly spaced coordinates, `fft` and `rfft` give the axis `into` its frequencies. "
        "`n` is the transform's length, `norm` its normalisation, as in JAX."
    )
    return transform


fft: _Transform = _transform("fft")
ifft: _Transform = _transform("ifft")
rfft: _Transform = _transform("rfft")
irfft: _Transform = _transform("irfft")
hfft: _Transform = _transform("hfft")
ihfft: _Transform = _transform("ihfft")


def _transform_several(op: str) -> _TransformSeveral:
    function = getattr(jnp.fft, op)

    def transform(a: Any, names: Any, norm: str | None = None) -> NamedArray:
        a = as_named(a, op)
        positions = a._axes.positions(op, names, a)
        out = apply(function, a.array, axes=positions, norm=norm)
        return bare(out, a._axes.without(*[a.dims[i] for i in positions]))

    transform.__name__ = transform.__qualname__ = op
    transform.__doc__ = f"`jnp.fft.{op}` along several names; `norm` as in JAX."
    return transform


fftn: _TransformSeveral = _transform_several("fftn")
ifftn: _TransformSeveral = _transform_several("ifftn")
rfftn: _TransformSeveral = _transform_several("rfftn")
irfftn: _TransformSeveral = _transform_several("irfftn")


def _shift(op: str) -> _Shift:
    function = getattr(jnp.fft, op)

    def shift(a: Any, names: Any) -> NamedArray:
        a = as_named(a, op)
        positions = a._axes.positions(op, names, a)
        out = apply(function, a.array, axes=positions)
        return bare(out, a._axes.without(*[a.dims[i] for i in positions]))

    shift.__name__ = shift.__qualname__ = op
    shift.__doc__ = f"`jnp.fft.{op}` along a name or several."
    return shift


fftshift: _Shift = _shift("fftshift")
ifftshift: _Shift = _shift("ifftshift")


def fftfreq(name: Any, n: int, d: Any = 1.0) -> NamedArray:
    """The frequencies of `fft` along a name, for n samples a distance `d` apart."""
    return _frequencies(jnp.fft.fftfreq, name, n, d)


def rfftfreq(name: Any, n: int, d: Any = 1.0) -> NamedArray:
    """The frequencies of `rfft` along a name, for n samples a distance `d` apart."""
    return _frequencies(jnp.fft.rfftfreq, name, n, d)


def _frequencies(function: Callable, name: Any, n: int, d: Any) -> NamedArray:
    spacing = as_named(d, function.__name__)
    return bare(function(n), axes((name_of(name),))) / spacing
