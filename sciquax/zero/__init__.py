"""Symbolic zeros: `Zero`, an array of zeros that holds no memory and is multiplied away."""

from . import _primitives as _primitives  # enrols its rules
from ._array import Zero as Zero
