"""A JAX that lacks what is used of it is named when the package is imported."""

import ast
import importlib.metadata
import pathlib

import pytest
from jax._src import core, pjit

import sciquax
from sciquax.core._compat import known

COMPAT = pathlib.Path(sciquax.__file__).parent / "core" / "_compat"
NOT_IN_ALL = {("flattree", "nones"), ("flattree", "pack")}  # asked for where it is there


def _used():
    """The private names that the files of `_compat` take from modules of `jax._src`."""
    for path in COMPAT.glob("*.py"):
        tree = ast.parse(path.read_text())
        modules = {
            alias.asname or alias.name: f"{node.module}.{alias.name}".removeprefix("jax._src.")
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jax._src")
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.value.id in modules:
                    yield modules[node.value.id], node.attr


def test_every_private_name_is_listed():
    listed = {(module, name) for module, names in known.PRIVATE.items() for name in names.split()}
    by_their_names = {("numpy.linalg", name) for name in known.PRIVATE["numpy.linalg"].split()}
    assert set(_used()) - NOT_IN_ALL == listed - by_their_names


def test_this_release_has_them():
    known.check_known()


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.delattr(core, "trace_ctx")
    monkeypatch.delattr(pjit, "_infer_params")
    with pytest.raises(ImportError) as caught:
        known.check_known()
    assert str(caught.value) == (
        f"sciquax {sciquax.__version__} knows JAX 0.10.2 to 0.12, and JAX "
        f"{importlib.metadata.version('jax')} is installed, which lacks jax._src.core.trace_ctx, "
        "jax._src.pjit._infer_params. Install a JAX among those, "
        '`pip install "jax>=0.10.2,<0.13"`, or a newer sciquax.'
    )


def test_what_is_said_is_what_is_tested():
    """The oldest release is the lower bound, which the oldest stack installs."""
    requirements = importlib.metadata.requires("sciquax") or ()
    assert f"jax>={known.OLDEST}" in requirements
    newest = tuple(map(int, known.NEWEST.split(".")))
    assert tuple(map(int, importlib.metadata.version("jax").split(".")[:2])) <= newest
