"""The elements and products of matrices of two by two blocks."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from .._matrix.base import allow_both
from .._matrix.factor import dense, entries, linalg, square, swap, times
from .._matrix.fields import leaf
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import surviving
from .zeros import ZeroMatrix


class BlockGrid(StructuredMatrix):
    """The matrix [[a, b], [c, d]] without its systems: products, elements, functions of them."""

    arrays_are_entries: ClassVar[bool] = True

    a: Any = leaf(core_ndim=2)
    b: Any = leaf(core_ndim=2)
    c: Any = leaf(core_ndim=2)
    d: Any = leaf(core_ndim=2)

    def check(self) -> None:
        rows = self.a.shape[-2] == self.b.shape[-2] and self.c.shape[-2] == self.d.shape[-2]
        columns = self.a.shape[-1] == self.c.shape[-1] and self.b.shape[-1] == self.d.shape[-1]
        if not (rows and columns):
            raise ValueError(
                "The blocks of a `BlockMatrix` have one number of rows side by side, and of "
                f"columns above each other; got shapes {[x.shape for x in self.arrays()]}."
            )

    def split(self) -> tuple[int, int]:
        """Where the second rows and columns begin."""
        return self.a.shape[-2:]

    def aval(self) -> Any:
        batch = np.broadcast_shapes(*[tuple(x.shape[:-2]) for x in self.arrays()])
        rows = self.a.shape[-2] + self.c.shape[-2]
        return self.matrix_aval((*batch, rows, self.a.shape[-1] + self.b.shape[-1]))

    def known(self) -> frozenset[str]:
        own = StructuredMatrix.known(self)
        if self.apart() and all(isinstance(x, StructuredMatrix) for x in (self.a, self.d)):
            own |= (self.a.known() & self.d.known()) & surviving("kron", own | _EVERY)
        return own

    def apart(self) -> bool:
        """Whether only the blocks on the diagonal are not zero, and are square."""
        return is_zero(self.b) and is_zero(self.c) and square(self.a) and square(self.d)

    def each(self, function: Callable[..., Any], *more: Sequence[Any], **static: Any) -> Any:
        """A matrix of `function` of each block, as of an array, or NotImplemented."""
        return self.rebuild(
            [linalg(function, x, *y) for x, *y in zip(self.arrays(), *more, strict=True)], **static
        )

    def _methods(self, name: str, plain: Callable[..., Any], *more: Sequence[Any]) -> Any:
        """A matrix of a method of each block, or of what it is of arrays; or NotImplemented."""
        found = [
            getattr(x, name)(*y) if isinstance(x, StructuredMatrix) else plain(x, *y)
            for x, *y in zip(self.arrays(), *more, strict=True)
        ]
        return NotImplemented if any(x is NotImplemented for x in found) else self.rebuild(found)

    # -- products and elements --------------------------------------------------------------------

    def matmat(self, x: Any) -> Any:
        q = self.split()[1]
        x = [x[..., :q, :], x[..., q:, :]]
        a, b, c, d = self.arrays()
        return above(total(times(a, x[0]), times(b, x[1])), total(times(c, x[0]), times(d, x[1])))

    def materialise(self) -> Any:
        a, b, c, d = map(dense, self.arrays())
        batch = self.batch_shape()
        a, b, c, d = (jnp.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (a, b, c, d))
        top, bottom = jnp.concatenate([a, b], -1), jnp.concatenate([c, d], -1)
        return jnp.concatenate([top, bottom], -2)

    def transpose(self) -> Any:
        a, b, c, d = map(swap, self.arrays())
        return self.rebuild([a, c, b, d], properties=self.properties)

    def conj(self) -> Any:
        return self.each(jnp.conj, properties=self.properties)

    def convert(self, dtype: Any) -> Any:
        convert = lambda x: jax.lax.convert_element_type(x, dtype)  # noqa: E731
        return self.each(convert, properties=surviving("convert", self.known()))

    def scale(
        self, s: Any, function: Callable[..., Any] = jnp.multiply, properties: str = "scale"
    ) -> Any:
        s = s if jnp.ndim(s) == 0 else s[..., None, None]
        made = self.each(lambda x: function(x, s))
        return made.rebuild(made.arrays(), properties=surviving(properties, self.known()))

    def entries(self, i: Any, j: Any) -> Any:
        p, q = self.split()
        i, j = jnp.broadcast_arrays(i, j)
        out: Any = jnp.zeros((*self.batch_shape(), *i.shape), self.dtype)
        for x, down, right in zip(self.arrays(), (0, 0, p, p), (0, q, 0, q), strict=True):
            rows, columns = x.shape[-2:]
            if 0 in (rows, columns) or is_zero(x):
                continue
            inner = jnp.clip(i - down, 0, rows - 1), jnp.clip(j - right, 0, columns - 1)
            found = entries(x, *inner)
            if found is NotImplemented:
                return NotImplemented
            inside = (i >= down) & (i < down + rows) & (j >= right) & (j < right + columns)
            out = jnp.where(inside, found, out)
        return out

    def diagonal(self) -> Any:
        if not (square(self.a) and square(self.d)):
            return StructuredMatrix.diagonal(self)
        found = [linalg(lambda x: jnp.diagonal(x, 0, -2, -1), x) for x in (self.a, self.d)]
        return _beside(*found)

    def map_entries(self, function: Callable[..., Any], zero: bool) -> Any:
        flag = [zero] * 4
        return self._methods("map_entries", lambda x, _, __: function(x), [function] * 4, flag)

    def map_together(
        self, matrices: Sequence[Any], function: Callable[..., Any], zero: bool
    ) -> Any:
        found = []
        for xs in zip(*[m.arrays() for m in matrices], strict=True):
            structured = isinstance(xs[0], StructuredMatrix)
            found.append(xs[0].map_together(xs, function, zero) if structured else function(*xs))
        if any(x is NotImplemented for x in found):
            return NotImplemented
        return self.rebuild(
            found,
            allow_materialise=allow_both(*matrices),
            properties=surviving("elementwise", *[m.known() for m in matrices]),
        )

    def stored(self, beside: Any = 0) -> Any:
        """NotImplemented where a block stores its elements but not each of them."""
        if any(isinstance(x, StructuredMatrix) and x.covers_all for x in self.arrays()):
            return NotImplemented
        rows = [
            x.stored(beside) if isinstance(x, StructuredMatrix) else x.reshape(*x.shape[:-2], -1)
            for x in self.arrays()
        ]
        if any(x is NotImplemented for x in rows):
            return NotImplemented
        batch = self.batch_shape()
        return jnp.concatenate([jnp.broadcast_to(x, (*batch, x.shape[-1])) for x in rows], -1)

    def scale_rows(self, d: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        p = self.split()[0]
        first, second = d[..., :p], d[..., p:]
        return self._methods(
            "scale_rows",
            lambda x, d, f: f(x, d[..., :, None]),
            [first, first, second, second],
            [function] * 4,
        )

    def times_dense(self, x: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        p, q = self.split()
        parts = x[..., :p, :q], x[..., :p, q:], x[..., p:, :q], x[..., p:, q:]
        return self._methods("times_dense", lambda y, x, f: f(y, x), parts, [function] * 4)

    def is_triangular(self, lower: bool) -> bool:
        if not (square(self.a) and is_zero(self.b if lower else self.c)):
            return False
        inner = (self.a, self.d)
        return all(
            x.is_triangular(lower) if isinstance(x, StructuredMatrix) else x.shape[-1] < 2
            for x in inner
        )


_EVERY = frozenset({"symmetric", "hermitian", "positive_definite", "orthogonal"})


def is_zero(x: Any) -> bool:
    return isinstance(x, ZeroMatrix)


def total(x: Any, y: Any, sign: int = 1) -> Any:
    return x + y if sign > 0 else x - y


def above(x: Any, y: Any) -> Any:
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    x, y = (jnp.broadcast_to(z, (*batch, *z.shape[-2:])) for z in (x, y))
    return jnp.concatenate([x, y], -2)


def _beside(x: Any, y: Any) -> Any:
    batch = np.broadcast_shapes(x.shape[:-1], y.shape[:-1])
    x, y = (jnp.broadcast_to(z, (*batch, z.shape[-1])) for z in (x, y))
    return jnp.concatenate([x, y], -1)
