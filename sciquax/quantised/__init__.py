"""Quantised arrays: `QuantisedArray`, stored in 8 or 4 bits an element, and how to make them."""

from . import (  # enrol their rules
    _dot_general as _dot_general,
    _primitives as _primitives,
)
from ._array import QuantisedArray as QuantisedArray
from ._calibrate import calibrate as calibrate, quantisation_errors as quantisation_errors
from ._quantise import quantise as quantise, quantise_model as quantise_model
