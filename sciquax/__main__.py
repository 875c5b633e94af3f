"""`python -m sciquax` prints versions."""

from .versions import show_versions

if __name__ == "__main__":
    show_versions()
