"""Matrices of blocks of any structure, and what is solved as such."""

from . import (  # enrol their rules
    block_operations as block_operations,
    cyclic_operations as cyclic_operations,
)
