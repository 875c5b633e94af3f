"""Parts of neural networks by name."""

from typing import Any

import jax
import jax.numpy as jnp

from sciquax.core import user_line

from ._array.axes import axes, check_distinct, name_of, size_given
from ._array.base import as_named, bare
from ._array.errors import AxisError, AxisSizeError
from ._by_name.call_jax import apply
from ._labels.distances import inexact, with_leaf
from ._named_array import NamedArray


def softmax(a: Any, axis: Any) -> NamedArray:
    """exp(x) / sum(exp(x)) over a name or several, without overflow."""
    return as_named(a, "softmax").softmax(axis)


def log_softmax(a: Any, axis: Any) -> NamedArray:
    """The logarithm of `softmax`."""
    return as_named(a, "log_softmax").log_softmax(axis)


def one_hot(a: Any, axis: Any, size: int | None = None, dtype: Any = float) -> NamedArray:
    """Ones at the places that integers name, along a new name, which comes last.

    **Arguments**: the integers; the new name and its size, or an `Axis` with both. A place outside
    gives zeros.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.named import Axis, NamedArray, nn
    >>> nn.one_hot(NamedArray(jnp.array([1, 0]), "n"), Axis("kind", 3)).array.tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]

    ```
    """
    a = as_named(a, "one_hot")
    size = size_given(axis) if size is None else size
    if size is None:
        raise AxisSizeError("`one_hot` needs the size of its axis.", "Write `Axis('kind', 3)`.").at(
            user_line()
        )
    dims = (*a.dims, name_of(axis))
    check_distinct("one_hot", dims)
    return bare(
        jax.nn.one_hot(a.array, size, dtype=dtype),
        axes(dims, a._axes.coords, beside=a._axes.beside),
    )


def dropout(key: Any, a: Any, rate: float, inference: bool = False) -> NamedArray:
    """Each element zero with the probability `rate`, the others divided by `1 - rate`."""
    a = inexact(as_named(a, "dropout"))
    if not 0 <= rate < 1:
        raise AxisError(f"`dropout` got the rate {rate}.", "It is at least 0 and below 1.").at(
            user_line()
        )
    if inference or rate == 0:
        return a
    kept = jax.random.bernoulli(key, 1 - rate, a.shape)
    return bare(with_leaf(a, lambda x: jnp.where(kept, x / (1 - rate), 0)), a._axes.plain)


def cross_entropy(logits: Any, labels: Any, axis: Any) -> NamedArray:
    """-log softmax(logits) at labels, along a name, which the result lacks.

    **Arguments**: the logits; integers, the places of the right classes, or probabilities of all
    of them, which have the name; and the name.
    """
    log = as_named(logits, "cross_entropy").log_softmax(axis)
    labels, name = as_named(labels, "cross_entropy"), name_of(axis)
    if name in labels._axes.place:
        return bare(apply(jnp.negative, (log * labels).array), (log * labels)._axes).sum(name)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise AxisError(
            f"`cross_entropy` got labels of {labels.dtype} without {name!r}.",
            f"Labels are integers, or probabilities along {name!r}.",
        ).at(user_line())
    return -log.isel({name: labels})
