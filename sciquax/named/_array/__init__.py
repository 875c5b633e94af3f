"""What a named array is made of, apart from its operations."""
