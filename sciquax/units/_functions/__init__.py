"""Rules for whole functions of JAX, where a function's meaning is lost in its primitives.

Most are one line, a unit signature (`_signature.py`), in the table of their module; what depends
on shapes or options is written out beside it.
"""

from . import (  # enrol their rules
    angles as angles,
    creation as creation,
    histograms as histograms,
    iterative as iterative,
    linalg as linalg,
    lineax as lineax,
    numpy as numpy,
    scipy as scipy,
    stats as stats,
    whole_multiples as whole_multiples,
)
