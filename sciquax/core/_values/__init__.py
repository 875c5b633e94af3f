"""Values: the contract of a custom array-ish object, and what holds for all of them."""
