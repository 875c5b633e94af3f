"""Every public function of JAX that takes quantities: what it makes of their units.

One row per way of calling a function; the tests in `tests/units/test_catalogue.py` and the table
in `docs/units-coverage.md` are made of them.
"""

from . import linalg as linalg, numpy as numpy, other as other, rest as rest, scipy as scipy
from ._case import (
    CASES as CASES,
    REFUSALS as REFUSALS,
    ROWS as ROWS,
    UNCLAIMED as UNCLAIMED,
    Case as Case,
    Q as Q,
)
