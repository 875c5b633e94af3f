"""What SciPy computes on the host: factors, solutions, rows for products that are not compiled."""
