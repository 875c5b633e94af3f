"""Properties that a matrix may have beyond its structure, and which operations keep them.

A property is claimed by the caller (`properties={"positive_definite"}`) or follows from the type
and the operation that made a matrix. Nothing is ever found out from the numbers.
"""

from collections.abc import Iterable

from sciquax.core.internal import quoted

PROPERTIES = frozenset(
    {
        "symmetric",  # equal to its transpose
        "hermitian",  # equal to its adjoint
        "positive_definite",  # hermitian with positive eigenvalues
        "orthogonal",  # the adjoint is the inverse (unitary)
        "unit_diagonal",  # ones on the diagonal
        "diagonally_dominant",  # strictly, by rows or by columns: elimination needs no pivoting
    }
)

_SYMMETRY = {"symmetric", "hermitian"}

SURVIVE: dict[str, frozenset[str]] = {
    # of one matrix
    "transpose": PROPERTIES,
    "conj": PROPERTIES,
    "inverse": frozenset({*_SYMMETRY, "positive_definite", "orthogonal"}),
    "neg": frozenset({*_SYMMETRY, "orthogonal", "diagonally_dominant"}),
    "scale": frozenset({"symmetric"}),  # by any number; a real one keeps more
    "scale_real": frozenset({*_SYMMETRY, "diagonally_dominant"}),
    "scale_positive": frozenset({*_SYMMETRY, "diagonally_dominant", "positive_definite"}),
    "elementwise": frozenset({"symmetric"}),
    "convert": frozenset({*_SYMMETRY}),
    # of two, where both have it
    "add": frozenset({*_SYMMETRY, "positive_definite"}),
    "sub": frozenset({*_SYMMETRY}),
    "matmul": frozenset({"orthogonal"}),
    "hadamard": frozenset({*_SYMMETRY, "positive_definite", "unit_diagonal"}),
    "kron": frozenset({*_SYMMETRY, "positive_definite", "orthogonal", "unit_diagonal"}),
}
"""The properties that the result of each operation has if its operands do."""


def surviving(operation: str, *properties: Iterable[str]) -> frozenset[str]:
    """The properties of an operation's result, given those of its operands."""
    common = frozenset(properties[0]).intersection(*map(frozenset, properties[1:]))
    return common & SURVIVE[operation]


def checked(properties: Iterable[str]) -> frozenset[str]:
    """The properties a caller claims, with what they imply. **Raises** ValueError for others."""
    given = frozenset((properties,) if isinstance(properties, str) else properties)
    if unknown := given - PROPERTIES:
        raise ValueError(
            f"{quoted(sorted(map(str, unknown)))} are not properties of matrices; those are "
            f"{sorted(PROPERTIES)}."
        )
    return given | {"hermitian"} if "positive_definite" in given else given
