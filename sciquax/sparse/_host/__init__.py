"""SciPy's work on the host: factors, solutions, and products by rows that are not compiled."""
