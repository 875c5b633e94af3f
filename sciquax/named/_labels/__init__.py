"""Coordinates on the host: labels among them, distances along them, and what NumPy computes."""
