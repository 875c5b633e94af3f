"""Rules of quantities for JAX's primitives. Each file registers its own."""

from . import (  # enrol their rules
    elementwise as elementwise,
    indexing as indexing,
    linalg as linalg,
    products as products,
)
