"""Hypothesis strategies for named arrays. Hypothesis is imported when one is made.

```python
@given(named_arrays(min_dims=1))
def test_something(a): ...
```
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ._named_array import NamedArray

NAMES = ("x", "y", "z", "time", "space")


def sizes(
    *, names: Sequence[str] = NAMES, min_dims: int = 0, max_dims: int = 3, max_size: int = 4
) -> Any:
    """Dictionaries of name to size, in any order of the names; sizes from 1."""
    from hypothesis import strategies as st

    chosen = st.lists(
        st.sampled_from(list(names)), min_size=min_dims, max_size=max_dims, unique=True
    )
    size = st.integers(1, max_size)
    return chosen.flatmap(lambda found: st.fixed_dictionaries(dict.fromkeys(found, size)))


def named_arrays(
    sizes: Any = None, *, dtype: Any = np.float32, wrap: Callable[[Any], Any] | None = None,
    **options: Any,
) -> Any:  # fmt: skip
    """Named arrays of small numbers.

    **Arguments**: a dictionary of name to size or a strategy for one (`options` are those of the
    strategy `sizes`); the dtype; and what to put the array into, such as
    `lambda x: Quantity(x, "m")`.
    """
    from hypothesis import strategies as st

    if sizes is None:
        sizes = globals()["sizes"](**options)
    elif isinstance(sizes, Mapping):
        sizes = st.just(dict(sizes))
    kind = np.dtype(dtype).kind
    elements = (
        st.booleans()
        if kind == "b"
        else st.integers(-9, 9)
        if kind in "iu"
        else st.integers(-64, 64).map(lambda n: n / 8)  # sums and products are exact
    )

    def arrays(found: dict[str, int]) -> Any:
        shape = tuple(found.values())
        n = int(np.prod(shape, dtype=int))

        def make(numbers: list[Any]) -> NamedArray:
            array = jnp.asarray(np.array(numbers, dtype).reshape(shape))
            return NamedArray(array if wrap is None else wrap(array), tuple(found))

        return st.lists(elements, min_size=n, max_size=n).map(make)

    return sizes.flatmap(arrays)


def reordered(a: NamedArray) -> Any:
    """`a` with its axes stored in any order: equal to `a` by name."""
    from hypothesis import strategies as st

    return st.permutations(list(a.dims)).map(lambda dims: a.transpose(*dims) if dims else a)
