"""`jax.nn`, quaxified."""

import sys

import jax.nn as _source

from .core import Namespace

sys.modules[__name__] = Namespace(__name__, _source, ("initializers",))
