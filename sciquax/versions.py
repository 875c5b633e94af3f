"""The installed versions, for bug reports."""

import importlib.metadata
import platform

_ALWAYS = ("sciquax", "jax", "jaxlib", "equinox", "plum-dispatch", "pint", "jaxtyping", "numpy")
_IF_THERE = (
    "diffrax", "lineax", "optimistix", "scipy", "pandas", "xarray", "astropy", "matplotlib",
)  # fmt: skip


def show_versions() -> None:
    """Print the versions of Python, of sciquax and of what it stands on: paste it into a report.

    `python -m sciquax` prints the same.

    **Raises** nothing for a library that is missing: it says so.
    """
    print(f"{'Python':14}{platform.python_version()} on {platform.platform()}")
    for name in (*_ALWAYS, *_IF_THERE):
        try:
            print(f"{name:14}{importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            if name in _ALWAYS:
                print(f"{name:14}not installed")
