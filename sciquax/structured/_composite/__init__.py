"""Matrices made of other matrices, and the factors of matrices."""

from . import fallbacks as fallbacks  # enrol their rules
