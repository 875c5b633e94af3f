"""Rules for whole functions of JAX, where a function's meaning is lost in its primitives.

Most are one line, a unit signature (`_signature.py`), in the table of their module; what depends
on shapes or options is written out beside it.
"""

from . import (
    _creation as _creation,
    _histograms as _histograms,
    _linalg as _linalg,
    _numpy as _numpy,
    _scipy as _scipy,
    _stats as _stats,
)
