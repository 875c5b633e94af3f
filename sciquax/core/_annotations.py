"""`Checked[Quantity, "m/s"]`: an annotation that all type checkers accept."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Annotated as Checked
else:

    class Checked:
        """`Checked[Quantity, "m/s"]` is `Quantity["m/s"]`, in a spelling that type checkers accept.

        To pyright and mypy it is `Quantity`. mypy reads what stands in `Quantity["m/s"]` as the
        name of a type, and refuses it; pyright takes both.

        ```python
        >>> from sciquax import Checked, Quantity
        >>> Checked[Quantity, "m/s"] is Quantity["m/s"]
        True
        >>> isinstance(Quantity(36.0, "km/h"), Checked[Quantity, "m/s"])
        True

        ```
        """

        def __class_getitem__(cls, item: tuple[Any, Any]) -> Any:
            kind, spec = item
            return kind[spec]
