"""What the adapters of solvers share: units of trees, user functions, operators with units."""
