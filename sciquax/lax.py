"""`jax.lax`, quaxified."""

import sys

import jax.lax as _source

from .core import Namespace

sys.modules[__name__] = Namespace(__name__, _source, ("linalg",))
