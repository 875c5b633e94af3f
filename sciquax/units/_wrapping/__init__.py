"""Formulas and constants of packages that know no units."""
