"""The parts of a named array, without its operations."""
