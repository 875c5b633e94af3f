"""How a matrix is shown."""

from typing import Any

import jax
import numpy as np

from sciquax.core import VALUE_TYPES
from sciquax.core.internal import Tracer

from .base import MatrixBase


def shown(matrix: MatrixBase) -> str:
    """The constructor's call, large arrays by dtype and shape alone."""
    parts = [f"{name}={_short(getattr(matrix, name))}" for name in matrix.LEAVES]
    parts += [
        f"{name}={value!r}"
        for name in matrix.STATIC
        if (value := getattr(matrix, name)) and name != "properties"
    ]
    if matrix.properties:
        parts.append(f"properties={sorted(matrix.properties)}")
    return f"{type(matrix).__name__}({', '.join(parts)})"


def _short(x: Any) -> str:
    if type(x) in VALUE_TYPES:
        return repr(x)
    if not hasattr(x, "dtype"):
        return repr(x)
    if isinstance(x, (Tracer, jax.ShapeDtypeStruct)) or np.size(x) > 8:
        dtype = np.dtype(x.dtype).name
        return f"{dtype}[{','.join(map(str, x.shape))}]"
    return np.array2string(np.asarray(x), separator=", ", precision=4).replace("\n", "")
