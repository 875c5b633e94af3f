"""`jax.numpy`, quaxified: `import sciquax.numpy as jnp`."""

import sys
from typing import TYPE_CHECKING, Any

import jax.numpy as _source

from sciquax.core import Namespace

sys.modules[__name__] = Namespace(__name__, _source, ("linalg", "fft"))

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...
