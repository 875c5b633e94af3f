"""Quantities to and from Astropy.

A unit is translated by name where both libraries mean the same by it, which is checked by its size
in SI base units; and through SI base units where they do not (solar masses differ in the last
digits by release). What is logarithmic or counts pixels is refused.
"""
