"""Rules for whole functions of linear algebra."""

from . import (  # enrol their rules
    comparisons as comparisons,
    eigen as eigen,
    elements as elements,
    factors as factors,
    generalised as generalised,
    matrix_functions as matrix_functions,
    norms as norms,
    pseudoinverse as pseudoinverse,
    rolling as rolling,
    singular as singular,
    systems as systems,
)
