"""`jax.numpy`, quaxified: `import sciquax.numpy as jnp`.

To type checkers and editors, what `tools/make_stubs.py` wrote beside this file.
"""

import sys

import jax.numpy as _source

from sciquax.core import Namespace

sys.modules[__name__] = Namespace(__name__, _source)
