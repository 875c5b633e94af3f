"""Staging: from a call of a quaxified function to a jaxpr, and back to its result."""
