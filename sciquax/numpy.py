"""`jax.numpy`, quaxified: `import sciquax.numpy as jnp`."""

import sys

import jax.numpy as _source

from .core import Namespace

sys.modules[__name__] = Namespace(__name__, _source, ("linalg", "fft"))
