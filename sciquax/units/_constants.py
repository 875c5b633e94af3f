"""Physical constants: pint's, which follow CODATA."""

from typing import Any

from ._quantity import Quantity
from ._registry import get_registry


class Constants:
    """`constants.speed_of_light`, `constants.gravitational_constant`: quantities in SI base units.

    Any name that pint's registry defines as a constant or a unit works. Values are pint's, from
    CODATA; the registry's `constants_en.txt` states the release.

    **Raises** AttributeError, with near names, for one that the registry does not know.
    """

    def __getattr__(self, name: str) -> Quantity:
        if name.startswith("_"):
            raise AttributeError(name)
        from ._errors import UndefinedUnitError

        try:
            return Quantity(1.0, name).to_base_units()
        except UndefinedUnitError as error:
            raise AttributeError(str(error)) from None

    def __dir__(self) -> Any:
        return sorted(name for name in get_registry()._units if name.isidentifier())


constants = Constants()
