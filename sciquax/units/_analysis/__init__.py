"""Dimensional analysis of programs: unknown units inferred, scales chosen, groups found."""
