"""Matrices of two by two blocks, each an array or a matrix of any structure."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._kernels.bands import Bands
from .._matrices.bands import BandMatrix, rows_of
from .._matrices.diagonal import AnyDiagonal, DiagonalMatrix
from .._matrices.low_rank import mm
from .._matrices.narrowest import from_bands
from .._matrix import operations
from .._matrix.factor import linalg, solve, square, times
from .._matrix.matrix import StructuredMatrix
from .grid import BlockGrid, above, is_zero, total
from .zeros import ZeroMatrix, zeros_like


class BlockMatrix(BlockGrid):
    """The matrix [[a, b], [c, d]] of blocks, which are arrays or matrices of any structure.

    **Arguments**

    - `a`: (..., p, q); `b`: (..., p, s); `c`: (..., r, q); `d`: (..., r, s). Blocks of zeros are
      [`sciquax.structured.ZeroMatrix`][]; more than two by two are blocks of blocks.
    - `allow_materialise`, `properties`: as for [`sciquax.structured.TridiagonalMatrix`][].

    What `jnp.block`, `jnp.concatenate`, `jnp.pad` and `jax.scipy.linalg.block_diag` make of
    structured blocks. Bordered and arrowhead matrices are made of a large structured `a`, thin
    arrays `b` and `c`, and a small `d`.

    Systems and determinants: block by block if `b` or `c` is zero; by elimination with pivoting
    if all four are bands of one size, whose rows in turn make a band; else by the Schur complement
    of the larger of `a` and `d` (Golub and Van Loan, section 3.2.11), one step of refinement
    included. A band matrix beside thin borders may be singular if the whole is not.

    ```python
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> from sciquax import quaxify
    >>> from sciquax.structured import DiagonalMatrix
    >>> def arrowhead(D, u):
    ...     return jnp.block([[D, u[:, None]], [u[None, :], jnp.ones((1, 1))]])
    >>> D, u = DiagonalMatrix(jnp.array([2.0, 4.0, 5.0])), jnp.array([1.0, -1.0, 1.0])
    >>> a = quaxify(arrowhead)(D, u)
    >>> print(np.asarray(quaxify(jnp.linalg.solve)(a, jnp.ones(4))).round(3))
    [-5.  3. -2. 11.]

    ```
    """

    def woven(self) -> Any:
        """Blocks that are bands of one size, with the rows and columns of both halves in turn.

        None for others.
        """
        blocks = self.arrays()
        if not all(isinstance(x, BandMatrix | ZeroMatrix) for x in blocks):
            return None
        if len({x.shape[-2:] for x in blocks}) > 1 or not square(self.a):
            return None
        rows = [{} if is_zero(x) else rows_of(x) for x in blocks]
        n, batch = self.a.shape[-1], self.batch_shape()
        none = jnp.zeros((*batch, n), self.dtype)
        bands: Bands = {}
        for r, c, x in ((0, 0, 0), (0, 1, 1), (1, 0, 2), (1, 1, 3)):
            for k, row in rows[x].items():
                half = [none, none]
                half[r] = jnp.broadcast_to(row, none.shape)
                both = jnp.stack(half, -1).reshape(*batch, 2 * n)
                offset = 2 * k + c - r
                bands[offset] = bands[offset] + both if offset in bands else both
        cut = {k: x[..., : 2 * n - k] if k >= 0 else x[..., -k:] for k, x in bands.items()}
        kept = self.known() & {"positive_definite", "hermitian", "diagonally_dominant"}
        return from_bands(cut, 2 * n, properties=kept) if cut else None

    def _turned(self) -> "BlockMatrix":
        """The second rows and columns first."""
        a, b, c, d = self.arrays()
        return self.rebuild([d, c, b, a])

    def _order(self) -> bool | None:
        """Whether the block d is eliminated rather than a; None if neither can be.

        The larger one, if its Schur complement is a matrix that has solutions, else the other.
        """

        def abstract(matrix: BlockMatrix) -> None:
            second = matrix.d.shape[-1] > matrix.a.shape[-1]
            for order in (second, not second):
                whole = matrix._turned() if order else matrix
                if isinstance(whole.a, StructuredMatrix) and _solvable(whole.a):
                    if _solvable(whole.eliminated()[3]):
                        return found.append(order)

        found: list[bool] = []
        jax.eval_shape(abstract, self)
        return found[0] if found else None

    def can_solve(self) -> bool:
        if not (square(self.a) and square(self.d)):
            return False
        if is_zero(self.b) or is_zero(self.c):
            return _solvable(self.a) and _solvable(self.d)
        if self.woven() is not None or not _any_structured(self.arrays()):
            return True
        return self._order() is not None

    def solve(self, b: Any) -> Any:
        p = self.split()[0]
        a, up, low, d = self.arrays()
        first, second = b[..., :p, :], b[..., p:, :]
        if is_zero(low):
            x = solve(d, second)
            return above(solve(a, total(first, times(up, x), -1)), x)
        if is_zero(up):
            x = solve(a, first)
            return above(x, solve(d, total(second, times(low, x), -1)))
        woven = self.woven()
        if woven is not None:
            both = jnp.stack([first, second], -2).reshape(*b.shape)
            x = woven.solve(both).reshape(*b.shape[:-2], p, 2, b.shape[-1])
            return above(x[..., 0, :], x[..., 1, :])
        if not _any_structured(self.arrays()):
            return solve(self.materialise(), b)
        if self._order():
            x = self._turned().solve(above(second, first))
            q = d.shape[-1]
            return above(x[..., q:, :], x[..., :q, :])
        pivot, right, left, rest = self.eliminated()

        def once(b: Any) -> Any:
            first, second = b[..., :p, :], b[..., p:, :]
            added = rest.shape[-1] - second.shape[-2]
            second = jnp.pad(second, [*[(0, 0)] * (second.ndim - 2), (0, added), (0, 0)])
            x = solve(pivot, first)
            y = solve(rest, total(second, times(left, x), -1))
            x = total(x, times(right, y), -1)
            return above(x, y[..., : d.shape[-1], :])

        x = once(b)
        return x + once(b - self.matmat(x))  # what cancels comes back

    def eliminated(self) -> tuple[Any, Any, Any, Any]:
        """The block a, a^-1 b, c, and the Schur complement d - c a^-1 b.

        Of a band matrix beside thin arrays, as many diagonal elements as the border is wide are
        enlarged first, and what that adds is taken off by unknowns of its own: then a may be
        singular.
        """
        a, b, c, d = self.arrays()
        thin = not _any_structured((b, c)) and 0 < d.shape[-1] <= a.shape[-1]
        d = d.materialise() if thin and is_zero(d) else d
        if isinstance(a, BandMatrix) and thin and not _any_structured([d]):
            a, b, c, d = _deflated(a, b, c, d)
        right = divided(a, b)
        product = multiplied(c, right)
        if right is NotImplemented or product is NotImplemented:
            return a, right, c, NotImplemented
        return a, right, c, linalg(jnp.subtract, d, product)

    def slogdet(self) -> Any:
        if not (square(self.a) and square(self.d)):
            return NotImplemented
        if is_zero(self.b) or is_zero(self.c):
            return _both_determinants(self.a, self.d)
        woven = self.woven()
        if woven is not None:
            return woven.slogdet()
        if not _any_structured(self.arrays()):
            return tuple(jnp.linalg.slogdet(self.materialise()))
        if (order := self._order()) is None:
            return NotImplemented
        if order:
            return self._turned().slogdet()
        pivot, _, _, rest = self.eliminated()
        sign, log = _both_determinants(pivot, rest)
        return (-sign if (rest.shape[-1] - self.d.shape[-1]) % 2 else sign), log


def _deflated(a: Any, b: Any, c: Any, d: Any) -> tuple[Any, Any, Any, Any]:
    """[[a + E t E^T, b, -E t], [c, d, 0], [E^T, 0, -1]], E some columns of the identity."""
    n, count = a.shape[-1], d.shape[-1]
    main = a.diagonal()
    if isinstance(a, AnyDiagonal):
        places = jax.lax.top_k(-jnp.abs(main), count)[1]
    else:  # a connected chain is mended at an end
        places = jnp.broadcast_to(
            jnp.linspace(n - 1, 0, count).astype(int), (*main.shape[:-1], count)
        )
    chosen = (places[..., None] == jnp.arange(n)).astype(a.dtype)  # (..., count, n)
    size = jnp.max(jnp.abs(a.stored()), -1, keepdims=True)
    size = jnp.where(size == 0, 1, size)
    at = jnp.take_along_axis(main, places, -1)
    direction = jnp.where(at == 0, 1, at / jnp.where(at == 0, 1, jnp.abs(at)))
    t = (direction * size).astype(a.dtype)
    added = jnp.einsum("...c,...cn->...n", t, chosen)
    kept = a.known() & {"diagonally_dominant", "positive_definite", "hermitian", "symmetric"}
    larger = operations.add(a, DiagonalMatrix(added, allow_materialise=True))
    larger = larger.rebuild(larger.arrays(), properties=kept)
    columns = jnp.swapaxes(chosen, -1, -2) * t[..., None, :]
    batch = np.broadcast_shapes(*[x.shape[:-2] for x in (b, c, d, chosen)])
    grow = lambda x: jnp.broadcast_to(x, (*batch, *x.shape[-2:]))  # noqa: E731
    none = jnp.zeros((*batch, count, count), a.dtype)
    one = grow(-jnp.eye(count, dtype=a.dtype))
    b = jnp.concatenate([grow(b), -grow(columns)], -1)
    c = jnp.concatenate([grow(c), grow(chosen)], -2)
    d = jnp.block([[grow(d), none], [none, one]])
    return larger, b, c, d


def _solvable(x: Any) -> bool:
    if x is NotImplemented:
        return False
    return x.can_solve() if isinstance(x, StructuredMatrix) else square(x)


def _any_structured(blocks: Sequence[Any]) -> bool:
    return any(isinstance(x, StructuredMatrix) for x in blocks)


def _both_determinants(*factors: Any) -> Any:
    found = [
        x.slogdet() if isinstance(x, StructuredMatrix) else jnp.linalg.slogdet(x) for x in factors
    ]
    if any(x is NotImplemented for x in found):
        return NotImplemented
    (sign, log), (other, more) = found
    return sign * other, log + more


def divided(a: Any, b: Any) -> Any:
    """a^-1 b, an array if b is one; or NotImplemented."""
    if isinstance(b, ZeroMatrix):
        return b
    if isinstance(b, BlockMatrix) and 0 in b.c.shape[-2:]:
        found = divided(a, b.a), divided(a, b.b)
        if any(x is NotImplemented for x in found):
            return NotImplemented
        return b.rebuild([*found, b.c, b.d])
    if not isinstance(b, StructuredMatrix):
        return solve(a, b)
    inverse = operations.inverse(a) if isinstance(a, StructuredMatrix) else NotImplemented
    return NotImplemented if inverse is NotImplemented else operations.matmul(inverse, b)


def multiplied(x: Any, y: Any) -> Any:
    """x y, not made where an array would be larger than both; or NotImplemented."""
    if x is NotImplemented or y is NotImplemented:
        return NotImplemented
    if isinstance(x, ZeroMatrix) or isinstance(y, ZeroMatrix) or x.shape[-1] == 0:
        return zeros_like(x, x.shape[-2], y.shape[-1])
    if isinstance(x, StructuredMatrix) and isinstance(y, StructuredMatrix):
        return operations.matmul(x, y)
    if isinstance(x, StructuredMatrix):
        return x.matmat(y)
    if isinstance(y, StructuredMatrix):
        return jnp.swapaxes(y.transpose().matmat(jnp.swapaxes(x, -1, -2)), -1, -2)
    if x.shape[-2] * y.shape[-1] > max(x.shape[-2] * x.shape[-1], y.shape[-2] * y.shape[-1]):
        return NotImplemented
    return mm(x, y)
