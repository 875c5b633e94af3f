"""Algorithms on plain arrays: bands, elimination, eigenvalues."""
