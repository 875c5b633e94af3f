"""Everything shown in the documentation runs and prints what it shows."""

import doctest
import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import sciquax

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", "CONTRIBUTING.md"] + [
    page.relative_to(ROOT).as_posix()
    for page in sorted((ROOT / "docs").rglob("*.md"))
    if "```python" in page.read_text(encoding="utf-8")
]
MODULES = sorted(m.name for m in pkgutil.walk_packages(sciquax.__path__, "sciquax."))


@pytest.mark.parametrize("page", PAGES)
def test_page(page):
    result = subprocess.run(
        [sys.executable, "tools/run_readme.py", page],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_docstring_examples():
    failures, attempts = 0, 0
    for name in MODULES:
        module = importlib.import_module(name)
        if not isinstance(getattr(module, "__file__", None), str):
            continue  # a namespace of JAX's
        found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
        failures += found.failed
        attempts += found.attempted
    assert failures == 0
    assert attempts > 10
