"""JAX's differentiation for functions of values."""
