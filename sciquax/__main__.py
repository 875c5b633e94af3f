"""`python -m sciquax` prints versions."""

from .versions import show_versions

show_versions()
