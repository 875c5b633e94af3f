"""The class `Quantity` and what it is assembled of."""
