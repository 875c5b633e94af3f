"""Helpers that the adapters of solvers share: units of trees, user functions, operators."""
