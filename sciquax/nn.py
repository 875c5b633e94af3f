"""`jax.nn`, quaxified."""

import sys
from typing import TYPE_CHECKING, Any

import jax.nn as _source

from sciquax.core import Namespace

sys.modules[__name__] = Namespace(__name__, _source, ("initializers",))

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...
