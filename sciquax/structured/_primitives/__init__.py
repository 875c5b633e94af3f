"""Rules of structured matrices for JAX's primitives: one for each family, and the exceptions."""

from . import (  # enrol their rules
    constant_background as constant_background,
    dot_general as dot_general,
    elementwise as elementwise,
    factorising as factorising,
    indexing as indexing,
    masking as masking,
    moving as moving,
    raveled as raveled,
    reducing as reducing,
    scatter as scatter,
)
