"""Outputs that no structure holds, beside others that one does.

`jnp.linalg.eigh` gives eigenvalues and eigenvectors; `jnp.linalg.lstsq` a solution, a rank and
singular values. Who takes only what is structured is served, and who uses the rest is refused.
"""

from typing import Any, ClassVar

from sciquax.core import ArrayValue, RuleError
from sciquax.core.internal import ShapedArray

from .._matrix.fields import unchecked
from .._matrix.value_contract import REMEDY


class Withheld(ArrayValue, leaves=(), static=("operation", "extent", "kind")):
    """An output that was not computed: using it raises `RuleError`."""

    layer: ClassVar[int] = 102

    operation: str
    extent: tuple[int, ...]
    kind: Any

    @staticmethod
    def of(operation: str, shape: tuple[int, ...], dtype: Any) -> "Withheld":
        return unchecked(Withheld, operation=operation, extent=tuple(shape), kind=dtype)

    def aval(self) -> Any:
        return ShapedArray(self.extent, self.kind)

    def __repr__(self) -> str:
        return f"<an output of `{self.operation}` without a structured result, not computed>"

    __short__ = __repr__

    def _jax_array(self) -> Any:
        raise self.refusal()

    def refusal(self) -> RuleError:
        return RuleError(
            f"This output of `{self.operation}` has no structured result, and making it dense is "
            "not allowed.",
            REMEDY,
        )

    def materialise(self) -> Any:
        raise self.refusal()

    @staticmethod
    def default(primitive: Any, values: Any, params: dict[str, Any]) -> Any:
        raise next(x for x in values if isinstance(x, Withheld)).refusal()
