"""Sparse arrays: `BCOO`, stored elements and their places; `CSR` makes one of rows."""

from . import (  # enrol their rules
    _dot_general as _dot_general,
    _elementwise as _elementwise,
    _from_bands as _from_bands,  # loads structured, whose masks keep `A + jnp.eye(n)` sparse
    _functions as _functions,
    _implicit as _implicit,
    _moving as _moving,
    _reducing as _reducing,
    _systems as _systems,
    _updating as _updating,
)
from ._array import BCOO as BCOO
from ._csr import CSR as CSR
from ._eigen import eigsh as eigsh
from ._preconditioning import incomplete_inverse as incomplete_inverse
