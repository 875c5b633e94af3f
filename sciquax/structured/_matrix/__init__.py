"""The base class of matrices: properties, operators, systems."""
