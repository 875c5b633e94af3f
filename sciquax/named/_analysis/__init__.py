"""Analysis along coordinates: interpolation, windows, groups, missing data."""
