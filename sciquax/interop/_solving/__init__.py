"""What the adapters of solvers share: units of trees, calls of the user's functions, operators with units."""
