"""Trees of values in one file of bytes: a description, then the arrays as NumPy's `.npy`.

The file begins with eight bytes that no `.npy` begins with, the number of the format, and the
length of the description that follows, compressed by zlib.
"""

import contextlib
import json
import os
import shutil
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax.core import user_line
from sciquax.core.internal import adopt_all, quoted

from .comparison import StoredTypeError, check
from .descriptions import array_nodes, describe
from .filling import fill, plain

MAGIC = b"\x93SCIQUAX"
VERSION = 1


def header(tree: Any) -> tuple[dict[str, Any], list[Any]]:
    """The description of a tree and its arrays, read from a file."""
    node, arrays = describe(tree)
    return {"version": VERSION, "tree": node}, arrays


def tree_of(found: Any, source: str) -> Any:
    """The description in what a file says. **Raises** `StoredTypeError` for later formats."""
    version = found.get("version") if isinstance(found, dict) else None
    if type(version) is not int or not 1 <= version <= VERSION:
        raise StoredTypeError(
            f"The {source} is of format {version!r}, and this release reads up to {VERSION}.",
            "Read it with the release of sciquax that wrote it, or a later one.",
        )
    return found["tree"]


def write(f: Any, tree: Any) -> None:
    """Write a tree to an open file."""
    if not hasattr(f, "write"):
        raise StoredTypeError(f"{quoted(f)} is neither a path nor an open file.").at(user_line())
    said, arrays = header(adopt_all(tree))
    text = zlib.compress(json.dumps(said).encode())
    f.write(MAGIC + len(text).to_bytes(8, "little") + text)
    for x in arrays:
        array = np.asarray(plain(x))
        # NumPy's format has no names for bfloat16, float8, int4.
        np.save(f, array.view(f"u{array.itemsize}") if _is_foreign(array.dtype) else array)


def _is_foreign(dtype: Any) -> bool:
    return dtype.isbuiltin == 2


def has_description(f: Any) -> bool:
    """Whether what follows in an open file was written by `write`; the file stays where it is."""
    if not hasattr(f, "read"):
        raise StoredTypeError(f"{quoted(f)} is neither a path nor an open file.").at(user_line())
    start = f.read(len(MAGIC))
    f.seek(-len(start), 1)
    return start == MAGIC


def read(f: Any, like: Any) -> Any:
    """Read a tree from an open file, in the types and units of `like`.

    **Raises** `StoredTypeError` where the file holds something else, or ends too early.
    """
    like = adopt_all(like)
    f.read(len(MAGIC))
    length = int.from_bytes(f.read(8), "little")
    text = f.read(length)
    try:
        node = tree_of(json.loads(zlib.decompress(text)), "file")
        nodes = array_nodes(node)
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        if isinstance(error, StoredTypeError):
            raise
        raise StoredTypeError("The file is damaged: it does not say what it holds.") from error
    check(node, like, "file")
    return fill(node, like, [_read_array(f, x) for x in nodes], "file")


def _read_array(f: Any, node: dict[str, Any]) -> np.ndarray:
    try:
        array = np.load(f, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise StoredTypeError(f"The file is damaged: {error}") from error
    if "dtype" not in node:
        return array
    dtype = jnp.dtype(node["dtype"])
    array = array.view(dtype) if _is_foreign(dtype) and array.itemsize == dtype.itemsize else array
    if array.dtype != dtype or list(array.shape) != node["shape"]:
        raise StoredTypeError("The file is damaged: an array is not what the file says it is.")
    return array


def _path(file: Any) -> Path | None:
    """The path that a file is given by, with a suffix as Equinox has it; None for an open file."""
    if not isinstance(file, (str, os.PathLike)):
        return None
    path = Path(file)
    return path if path.suffix else path.with_suffix(".eqx")


@contextlib.contextmanager
def reading(file: Any) -> Iterator[Any]:
    """A path opened, or an open file, to read."""
    path = _path(file)
    with contextlib.nullcontext(file) if path is None else open(path, "rb") as f:
        yield f


@contextlib.contextmanager
def writing(file: Any) -> Iterator[Any]:
    """A path opened to be replaced, see `replacing`, or an open file, to write."""
    path = _path(file)
    with contextlib.nullcontext(file) if path is None else replacing(path) as f:
        yield f


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Any]:
    """An open file that takes the place of the one at a path once all is written.

    If something raises, what was there before stays.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # a pipe, a device
        with open(target, "wb") as f:
            yield f
        return
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with open(beside, "xb") as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        if target.exists():
            shutil.copymode(target, beside)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
