"""What units do to JAX's primitives; each file registers its own rules."""

from . import (  # enrol their rules
    elementwise as elementwise,
    indexing as indexing,
    linalg as linalg,
    products as products,
)
