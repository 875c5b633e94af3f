"""The text of a matrix."""

from sciquax.core.internal import brief

from .base import MatrixBase


def shown(matrix: MatrixBase) -> str:
    """The constructor's call, large arrays by dtype and shape alone."""
    parts = [f"{name}={brief(getattr(matrix, name))}" for name in matrix.LEAF_NAMES]
    parts += [
        f"{name}={value!r}"
        for name in matrix.STATIC
        if (value := getattr(matrix, name)) and name != "properties"
    ]
    if matrix.properties:
        parts.append(f"properties={sorted(matrix.properties)}")
    return f"{type(matrix).__name__}({', '.join(parts)})"
