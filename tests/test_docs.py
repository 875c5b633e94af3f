"""Everything shown in the documentation runs and prints what it shows."""

import doctest
import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", "CONTRIBUTING.md"] + [
    page.relative_to(ROOT).as_posix()
    for page in sorted((ROOT / "docs").rglob("*.md"))
    if "```python" in page.read_text(encoding="utf-8")
]
MORE_ENVIRONMENT = {
    "docs/devices.md": {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"},
}
WITH_EXAMPLES = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for file in (ROOT / "sciquax").rglob("*.py")
    if ">>> " in file.read_text(encoding="utf-8")
)


# Needs other people's packages, the extra `real`, which the oldest stack does not have.
SLOW = {"docs/real-packages.md"}


@pytest.mark.parametrize(
    "page", [pytest.param(p, marks=pytest.mark.slow) if p in SLOW else p for p in PAGES]
)
def test_page(page):
    if page in SLOW and importlib.util.find_spec("interpax") is None:
        pytest.skip("needs the extra `real`")
    result = subprocess.run(
        [sys.executable, "tools/run_readme.py", page],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **MORE_ENVIRONMENT.get(page, {})},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr


COMING_FROM = (ROOT / "docs/coming-from.md").read_text(encoding="utf-8").split("\n## ")[1:]


@pytest.mark.parametrize("section", COMING_FROM, ids=lambda text: text.splitlines()[0])
def test_our_column_of_equivalents(section):
    """The code in the last column of a section's table runs, after the section's own."""
    (setup,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    namespace: dict[str, object] = {}
    exec(setup, namespace)
    rows = [line.split(" | ")[-1] for line in section.splitlines() if line.startswith("| ")]
    assert len(rows) > 5
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        for row in rows[2:]:
            for code in re.findall(r"`([^`]+)`", row):
                exec(code, namespace)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_docstring_examples(name):
    module = importlib.import_module(name)
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0


NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))


@pytest.mark.same_everywhere
def test_every_guide_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md")]
    pages += [f"notebooks/{file.stem}.md" for file in NOTEBOOKS]
    assert [page for page in pages if f" {page}\n" not in navigation] == []


@pytest.mark.same_everywhere
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_notebooks_hold_no_outputs(file):
    """`make docs` executes them: a change shows what somebody wrote, and nothing else."""
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None
    assert cells[0]["source"][0].startswith("# ") and "pip install" in "".join(cells[0]["source"])
    assert any("plot" in "".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


@pytest.mark.same_everywhere
@pytest.mark.parametrize("page", [page for page in PAGES if page != "README.md"])
def test_code_fits_the_sites_column(page):
    """What fits at 1280 pixels; `tests/test_site.py` measures it in a browser."""
    text = (ROOT / page).read_text(encoding="utf-8")
    code = re.findall(r"^```python[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert [line for block in code for line in block.splitlines() if len(line) > 78] == []


@pytest.mark.parametrize("package", ["sciquax", "sciquax.structured", "sciquax.units"])
def test_the_reference_lists_every_name_in_a_readers_order(package):
    page = f"docs/api/{package.rpartition('.')[2]}.md"
    (block,) = re.findall(
        rf"^::: {package}\n.*?members:\n((?: +- \w+\n)+)",
        (ROOT / page).read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    module = importlib.import_module(package)
    public = {
        name
        for name, x in vars(module).items()
        if name[0] != "_" and name != "PROPERTIES" and not isinstance(x, types.ModuleType)
    }
    assert set(re.findall(r"\w+", block)) - {"Quantity", "NamedArray"} == public - {
        "Quantity", "NamedArray"
    }  # fmt: skip


NO_FIGURE = {"by-hand.md", "sharp-edges.md", "versions.md"}  # pages that explain: tables and prose


@pytest.mark.same_everywhere
def test_every_guide_has_a_figure():
    """Which `tools/make_figures.py` made from the block above it; and every example has its own."""
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("- Reference:")[0]
    guides = {*re.findall(r"([\w-]+\.md)$", navigation, re.MULTILINE)} - NO_FIGURE
    guides -= {"index.md", *(f"{file.stem}.md" for file in NOTEBOOKS)}  # these have their plots
    for page in guides - {"examples.md", "benchmarks.md"}:  # made of figures
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        shown = re.findall(r"!\[(.+?)\]\((figures/[\w-]+\.\w+)\)", text)
        assert shown, f"{page} has no figure"
        for _, file in shown:
            assert (ROOT / "docs" / file).exists(), file
        drawn = re.findall(r"    plt\.show\(\)\n```\n|^plt\.show\(\)\n```\n", text, re.MULTILINE)
        assert len(drawn) == sum(file.endswith(".png") for _, file in shown), page
    for example in (ROOT / "examples").glob("*.py"):
        for suffix in "png", "txt":
            assert (ROOT / f"docs/figures/{example.stem}.{suffix}").exists(), example


@pytest.mark.same_everywhere
def test_versions_agree():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "version"
    ]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


@pytest.mark.same_everywhere
def test_elementwise_functions_are_in_the_reference():
    """Those made by a loop are listed by hand."""
    from sciquax.named._by_name.elementwise import ELEMENTWISE

    page = (ROOT / "docs/api/named.md").read_text(encoding="utf-8")
    assert [name for name in ELEMENTWISE if f"`{name}`" not in page] == []
