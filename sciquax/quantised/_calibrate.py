"""Scales of activations from data, and what rounding the weights does to each layer."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax._storage.weights import name_of
from sciquax.core import quaxify

from ._array import QuantisedArray
from ._codes import FORMATS, find_scale, group
from ._quantise import check_clip

_SAMPLE = 4096
"""As many elements of each activation are kept, evenly spread."""


class Observer:
    """A record of the operands that a weight was contracted with: magnitudes, contracted axes."""

    def __init__(self):
        self.largest = 0.0
        self.samples: list[np.ndarray] = []
        self.axes: set[int] = set()

    def see(self, x: Any, axis: int) -> None:
        """Note an operand, which may be traced, and the axis (of -1 and -2) that it met."""
        self.axes.add(axis)
        size = jnp.abs(jnp.ravel(x)).astype(jnp.float32)
        sample = size[:: max(1, size.size // _SAMPLE)]
        jax.debug.callback(self._add, jnp.max(size, initial=0), sample)

    def _add(self, largest: Any, sample: Any) -> None:
        self.largest = max(self.largest, float(np.max(largest)))
        self.samples.append(np.ravel(sample))


def calibrate(
    model: Any,
    batches: Iterable[Any],
    *,
    call: Callable[[Any, Any], Any] | None = None,
    clip: str | float | int | None = None,
) -> Any:
    """The quantised model with scales for its activations, found by running it.

    Its products with floating point activations are then of int8 codes on both sides, summed in
    integers; elsewhere, and for derivatives, activations are as they were. It serves weights of
    int8 and int4 with one scale for each output channel, or for all; others stay as they are.

    **Arguments**

    - `model`: what `quantise_model` gave, also with LoRA on it.
    - `batches`: examples of what it will be given.
    - `call`: how it is called, `call(model, batch)`; by default `model(batch)`.
    - `clip`: as for `quantise`: the largest magnitude by default, `"mse"` or a percentile.

    **Returns** the model, its `QuantisedArray`s with an `input_scale`. Gradients reach the
    activations as if they had not been rounded.

    **Raises** ValueError if no weight of the model can have such a scale, or none was met.

    ```python
    >>> import equinox as eqx, jax, jax.numpy as jnp
    >>> from sciquax.quantised import calibrate, quantise_model
    >>> model = quantise_model(eqx.nn.Linear(4, 3, key=jax.random.key(0)))
    >>> model = calibrate(model, [jnp.array([1.0, -2.0, 0.5, 0.0])])
    >>> (model.weight.input_scale * 127).tolist()
    [[2.0, 2.0, 2.0, 2.0]]

    ```
    """
    check_clip(clip, True)
    observers: dict[str, Observer] = {}

    def watch(path: Any, q: Any) -> Any:
        if not _is_quantised(q) or not FORMATS[q.format].integer or q.ndim < 2:
            return q
        observer = observers[jtu.keystr(path)] = Observer()
        return q.replace(input_scale=_repeated(q, 1.0, -1), _observer=observer)

    watched = jtu.tree_map_with_path(watch, model, is_leaf=_is_quantised)
    if not observers:
        raise ValueError("`calibrate` found no weights of int8 or int4 in the model.")
    run = quaxify(call or (lambda model, batch: model(batch)))
    for batch in batches:
        run(watched, batch)
    jax.effects_barrier()
    if not any(observer.samples for observer in observers.values()):
        raise ValueError("`calibrate` ran the model, in which no quantised weight was contracted.")

    def scale(path: Any, q: Any) -> Any:
        observer = observers.get(jtu.keystr(path))
        if observer is None or not observer.samples or len(observer.axes) != 1:
            return q
        (axis,) = observer.axes
        if q.scale.shape[axis] != 1:  # its products are not summed in integers
            return q
        seen = np.concatenate([np.asarray([observer.largest], np.float32), *observer.samples])
        found = find_scale(jnp.asarray(seen), "int8", group(seen.shape, (), None), clip)
        return q.replace(input_scale=_repeated(q, found[0], axis))

    return jtu.tree_map_with_path(scale, model, is_leaf=_is_quantised)


def _repeated(q: QuantisedArray, scale: Any, axis: int) -> Any:
    """A scale along the contracted axis, and along those of a stack: it moves as the array does."""
    shape = list(q.codes.shape)
    shape[-1 if axis == -2 else -2] = 1
    return jnp.full(shape, scale, q.scale.dtype)


def _is_quantised(x: Any) -> bool:
    return type(x) is QuantisedArray


def quantisation_errors(model: Any, quantised: Any) -> dict[str, float]:
    """How far the weights of a quantised model are from a model's, by the names of the layers.

    **Returns** of each quantised weight the norm of its error over its norm, the largest first.

    ```python
    >>> import equinox as eqx, jax
    >>> from sciquax.quantised import quantisation_errors, quantise_model
    >>> mlp = eqx.nn.MLP(8, 4, 64, 1, key=jax.random.key(0))
    >>> errors = quantisation_errors(mlp, quantise_model(mlp))
    >>> {name: error < 0.01 for name, error in sorted(errors.items())}
    {'layers.0': True, 'layers.1': True}

    ```
    """
    arrays = {jtu.keystr(p): x for p, x in jtu.tree_flatten_with_path(model)[0]}
    errors = {}
    for path, q in jtu.tree_flatten_with_path(quantised, is_leaf=_is_quantised)[0]:
        if _is_quantised(q):
            exact = arrays.get(jtu.keystr(path))
            if exact is None or jnp.shape(exact) != q.shape:
                where = jtu.keystr(path) or "its root"
                raise ValueError(
                    f"`quantisation_errors` got a model that has no weight of shape {q.shape} at "
                    f"{where}, where the quantised one has."
                )
            exact = jnp.asarray(exact, jnp.float32)
            error = jnp.linalg.norm(jnp.ravel(q.dequantise().astype(jnp.float32) - exact))
            errors[name_of(path)] = float(error / jnp.linalg.norm(jnp.ravel(exact)))
    return dict(sorted(errors.items(), key=lambda item: -item[1]))
