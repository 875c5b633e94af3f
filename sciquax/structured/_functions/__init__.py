"""Rules for whole functions of linear algebra."""

from . import (  # enrol their rules
    comparisons as comparisons,
    eigen as eigen,
    elements as elements,
    factors as factors,
    matrix_functions as matrix_functions,
    norms as norms,
    pseudoinverse as pseudoinverse,
    singular as singular,
    systems as systems,
)
