"""`DoraArray`: a low-rank adapted weight of which every row has a magnitude of its own.

S.-Y. Liu et al., *DoRA: Weight-Decomposed Low-Rank Adaptation* (2024): `m * V / |V|`, where
`V = W + s A B` and the norm is that of each output's weights. As in its section 4.3, gradients do
not pass through the norm.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax.numpy as jnp
from jax import lax

from sciquax.core import (
    ArrayValue,
    Scaling,
    aval_of,
    bind,
    describe,
    is_value,
    quaxify,
    register_rule,
    strip,
)

from ._array import COLUMN, ROW, LoraArray, aligned, make
from ._factors import Operands, Params
from ._functions import squared_norm


class DoraArray(ArrayValue, leaves=("direction", "magnitude"), static=("_static",)):
    """An adapted weight whose rows have magnitudes that are trained apart from their directions.

    In programs, `W @ x` becomes `magnitude / norm * (V @ x)`, where `V` is a `LoraArray` and the
    norm of its rows is computed without multiplying it out. Made by `loraify(model, dora=True)`, or
    of a `LoraArray`. It allows and refuses what that does.

    **Arguments**

    - `direction`: a `LoraArray`.
    - `magnitude`: an array of the shape of the weight without its column axes; the norms of the
      rows by default, so that the array is what `direction` is.

    ```python
    >>> import jax, jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.lora import DoraArray, LoraArray
    >>> W = LoraArray(jnp.array([[3.0, 4.0], [0.0, 1.0]]), rank=1, key=jax.random.key(0))
    >>> quaxify(lambda W, x: W @ x)(DoraArray(W, jnp.array([10.0, 1.0])), jnp.ones(2))
    Array([14.,  1.], dtype=float32)

    ```
    """

    direction: Any
    magnitude: Any
    _static: None

    layer: ClassVar[int] = 115
    payload: ClassVar[str | None] = "direction"

    def __init__(self, direction: LoraArray, magnitude: Any = None):
        if type(direction) is not LoraArray:
            raise TypeError(f"A DoraArray is made of a LoraArray, not {type(direction).__name__}.")
        self.direction = direction
        self.magnitude = _norms(direction) if magnitude is None else jnp.asarray(magnitude)
        self._static = None

    def aval(self) -> Any:
        return self.direction.aval()

    @property
    def allow_materialise(self) -> bool:
        return self.direction.allow_materialise

    def gain(self) -> Any:
        """The factor of each row of the direction."""
        norms = lax.stop_gradient(_norms(self.direction))
        return self.magnitude / jnp.where(norms > 0, norms, jnp.ones_like(norms))

    def rescaled(self, magnitude: Any) -> "DoraArray":
        """The same directions with other magnitudes, one a row."""
        return DoraArray(self.direction, magnitude)

    def lora(self) -> LoraArray:
        """The same array as a `LoraArray`, whose weight is the scaled one."""
        lora = self.direction
        gain = lax.expand_dims(self.gain(), [d for d, k in enumerate(lora.kinds) if k == COLUMN])
        a, b = aligned(lora)
        weight = quaxify(jnp.multiply)(lora.w, gain)
        return make(lora, weight, a * gain[..., None], b, lora.kinds)

    def as_sliceable(self) -> Any:
        return self.lora().as_sliceable()

    def materialise(self) -> Any:
        """The whole array. **Raises** `RuleError` unless the direction allows it."""
        return self.lora().materialise()

    def merged(self) -> Any:
        """The whole array, whether it may be materialised or not."""
        return self.lora().merged()

    @staticmethod
    def default(primitive: Any, values: Sequence[Any], params: dict[str, Any]) -> Any:
        return _through(primitive, values, params)

    def __short__(self) -> str:
        return f"DoraArray({self.direction.__short__()})"

    def __repr__(self) -> str:
        return describe(self)


def _norms(lora: LoraArray) -> Any:
    """Of every row: over the column axes."""
    columns = [d for d, k in enumerate(lora.kinds) if k == COLUMN]
    squares = squared_norm(lora, columns)
    return jnp.sqrt(squares).astype(lora.a.dtype)


def _through(primitive: Any, operands: Operands, params: Params) -> Any:
    """Apply an operation to a `LoraArray` with scaled rows."""
    return bind(
        primitive,
        *[y.lora() if type(y := strip(x)) is DoraArray else x for x in operands],
        **params,
    )


def _scale(primitive: Any, operands: Operands, params: Params) -> Any:
    """A number, or one a row, scales the magnitudes."""
    x, y = map(strip, operands)
    dora, factor = (x, y) if type(x) is DoraArray else (y, x)
    if is_value(factor) or factor is x and primitive.name == "div":
        return _through(primitive, operands, params)
    shape, kinds, own = dora.shape, dora.direction.kinds, aval_of(factor).shape
    columns = [d for d, k in enumerate(kinds) if k == COLUMN]
    if own:
        fits = len(own) == len(shape) and all(
            m in (1, n) if k != COLUMN else m == 1
            for m, n, k in zip(own, shape, kinds, strict=False)
        )
        if not fits:
            return _through(primitive, operands, params)
        factor = jnp.broadcast_to(lax.squeeze(factor, columns), dora.magnitude.shape)
    return dora.rescaled(primitive.bind(dora.magnitude, factor, **params))


def _neg(primitive: Any, operands: Operands, params: Params) -> Any:
    (dora,) = map(strip, operands)
    return dora.rescaled(primitive.bind(dora.magnitude, **params))


def _dot_general(primitive: Any, operands: Operands, params: Params) -> Any:
    """Where no row is contracted, the product with the direction is scaled: the weight is not."""
    x, y = map(strip, operands)
    side = 0 if type(x) is DoraArray else 1
    dora, other = (x, y) if side == 0 else (y, x)
    contract, batch = params["dimension_numbers"]
    kinds = dora.direction.kinds
    if type(other) is DoraArray or any(kinds[d] != COLUMN for d in contract[side]) or batch[side]:
        return _through(primitive, operands, params)
    pair = (dora.direction, other) if side == 0 else (other, dora.direction)
    out = bind(primitive, *pair, **params)
    free = [d for d in range(len(kinds)) if d not in contract[side]]
    others = [1] * (len(aval_of(other).shape) - len(contract[1 - side]))
    gain = lax.expand_dims(dora.gain(), [d for d, k in enumerate(kinds) if k == COLUMN])
    gain = lax.squeeze(gain, contract[side])
    gain = gain.reshape(*gain.shape, *others) if side == 0 else gain.reshape(*others, *gain.shape)
    assert len(free) + len(others) == gain.ndim
    return quaxify(jnp.multiply)(out, gain.astype(aval_of(out).dtype))


def _conv(primitive: Any, operands: Operands, params: Params) -> Any:
    """With the direction, the output's channels scaled."""
    image, kernel = map(strip, operands)
    numbers = params["dimension_numbers"]
    if type(kernel) is not DoraArray or type(image) is DoraArray:
        return _through(primitive, operands, params)
    kinds = kernel.direction.kinds
    rows = [d for d, k in enumerate(kinds) if k == ROW]
    if rows != [numbers.rhs_spec[0]] or len(kernel.gain().shape) != 1:
        return _through(primitive, operands, params)
    out = bind(primitive, image, kernel.direction, **params)
    shape = [1] * len(kinds)
    shape[numbers.out_spec[1]] = -1
    return quaxify(jnp.multiply)(out, kernel.gain().reshape(shape).astype(aval_of(out).dtype))


register_rule(DoraArray, [s for s in Scaling if s not in (Scaling.BODY, Scaling.REFUSED)], _through)
register_rule(DoraArray, "mul div".split(), _scale)
register_rule(DoraArray, "neg", _neg)
register_rule(DoraArray, "dot_general", _dot_general)
register_rule(DoraArray, "conv_general_dilated", _conv)


def _for_function(function: Callable) -> Callable:
    def rule(*args: Any, **kwargs: Any) -> Any:
        args = tuple(x.lora() if type(x) is DoraArray else x for x in args)
        return quaxify(function)(*args, **kwargs)

    return rule


for function in (jnp.linalg.norm, jnp.vdot, jnp.diagonal, jnp.diag, jnp.trace):
    register_rule(DoraArray, function, _for_function(function))
