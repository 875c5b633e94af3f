"""Names through code that speaks of positions: what JAX's primitives and functions do to them."""

from . import (  # enrol their rules
    functions as functions,
    indexing as indexing,
    linalg as linalg,
    masks as masks,
    moving as moving,
    reducing as reducing,
)
