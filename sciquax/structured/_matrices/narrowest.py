"""The narrowest type for a set of diagonals."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, SupportsIndex

import jax.numpy as jnp
import numpy as np

from sciquax.core import RuleError, user_line
from sciquax.core.internal import wanted

from .._kernels.bands import Bands
from .._matrix.matrix import StructuredMatrix

Layout = tuple[type[StructuredMatrix], list[Any], dict[str, Any]]
"""A type, its defining arrays, and what else defines it."""

narrowest: dict[tuple[int, int] | None, Callable[[Callable[[int], Any], int, int], Layout]] = {}
"""The layout of diagonals from the lowest offset to the highest, by the two; None, of any others.

Each type's file enters its own. A layout is made from a function that gives a diagonal by offset
(the same array wherever the same was given), and the two offsets.
"""


def from_bands(
    bands: Bands,
    n: int,
    *,
    allow_materialise: bool = False,
    properties: Iterable[str] = (),
    banded: bool = False,
) -> Any:
    """The narrowest matrix with these diagonals, by offset.

    **Arguments**: the diagonals, each (..., n - abs(offset)); the size `n`; `allow_materialise`
    and `properties` as for all matrices; `banded` asks for a `BandedMatrix`, however narrow.

    **Returns** a matrix whose batch shape is what the diagonals' broadcast to. One array for the
    offsets 1 and -1 makes it symmetric.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.structured import from_bands
    >>> from_bands({-1: jnp.ones(2), 0: jnp.arange(3.0)}, 3)
    BidiagonalMatrix(main_diag=[0., 1., 2.], off_diag=[1., 1.], lower=True)

    ```
    """
    wanted("from_bands", bands, Mapping, "diagonals by offset")
    wanted("from_bands", n, SupportsIndex, "the size as a whole number")
    if not bands:
        raise RuleError("`from_bands` takes one diagonal at least, `{0: diag}`.").at(user_line())
    some = next(iter(bands.values()))
    bands = {k: x for k, x in bands.items() if abs(k) < n}
    bands = bands or {0: jnp.zeros((*some.shape[:-1], n), some.dtype)}
    batch = np.broadcast_shapes(*[x.shape[:-1] for x in bands.values()])
    low, high = (min(bands), max(bands)) if banded else (min([0, *bands]), max([0, *bands]))
    done: dict[int, Any] = {}

    def band(k: int) -> Any:
        shape = (*batch, n - abs(k))
        if k not in bands:
            return jnp.zeros(shape, some.dtype)
        x = bands[k]
        if x.shape == shape:
            return x
        if id(x) not in done:
            done[id(x)] = jnp.broadcast_to(x, shape)
        return done[id(x)]

    layout = narrowest.get(None if banded else (low, high), narrowest[None])
    cls, arrays, static = layout(band, low, high)
    return cls.build(
        arrays, allow_materialise=allow_materialise, properties=frozenset(properties), **static
    )
