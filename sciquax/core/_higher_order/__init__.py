"""Primitives that hold functions, handled once for every type."""
