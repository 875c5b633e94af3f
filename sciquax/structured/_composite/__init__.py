"""Matrices made of other matrices, and the factors of matrices."""
