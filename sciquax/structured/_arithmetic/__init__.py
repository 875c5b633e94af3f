"""Sums, products and parts of matrices, and what two of them both fit in."""

from . import (  # enrol their rules
    arithmetic as arithmetic,
    band_part as band_part,
    joining as joining,
)
