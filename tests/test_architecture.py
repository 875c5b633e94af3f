"""The house's floors: imports go down, nothing private crosses packages, files stay small.

CONTRIBUTING.md has the floors, one line a folder, in the block that begins with ```floors. Here
they are read, and held against every import in `sciquax/`, those inside functions included. What
is still against the rules is listed in `tests/architecture_known.txt`, which may only shrink.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
KNOWN = ROOT / "tests" / "architecture_known.txt"
MAX_LINES, MAX_FILES = 350, 20

# Packages that take each other's private modules: what the types made of several arrays share, and
# what files say of values.
SHARED = {
    "sciquax._storage": {"structured", "zero", "lora", "quantised", "sparse"},
    "sciquax._files": {"units", "named", "lora", "interop"},
}
# Libraries that are loaded by the function that needs them: optional ones, and plum, whose import
# takes a third of a second that a program without rules by signature need not wait for.
LOADED_LATE = {
    "IPython", "astropy", "blackjax", "diffrax", "equinox", "hypothesis", "lineax", "matplotlib",
    "netCDF4", "optax", "optimistix", "orbax", "pandas", "plum", "scipy", "uncertainties", "xarray",
    "zarr",
}  # fmt: skip
# Where a module is looked up by its name, which no reading of imports can see.
BY_NAME = {
    "sciquax/__init__.py",
    "sciquax/core/_adapters.py",
    "sciquax/core/_compat/known.py",
    "sciquax/core/_functions/intercept.py",
    "sciquax/versions.py",
    "sciquax/interop/__init__.py",
    "sciquax/named/__init__.py",
    "sciquax/scipy/__init__.py",
    "sciquax/units/_wrapping/with_constants.py",
}


def floors() -> dict[str, dict[str, int]]:
    """For each folder, the floor of every module and folder in it; the lowest is 0."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = text.split("```floors\n")[1].split("```")[0]
    found: dict[str, dict[str, int]] = {}
    for line in block.replace("\n  ", " ").splitlines():
        folder, _, rest = line.partition(":")
        ranks = [names.split() for names in rest.split("<")]
        found[folder.strip()] = {name: i for i, names in enumerate(ranks) for name in names}
    return found


def modules() -> list[Path]:
    return sorted((ROOT / "sciquax").rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[tuple[ast.stmt, str, bool]]:
    """The imports of a file: each statement, what it names, and whether it is in a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = path.relative_to(ROOT).parent.parts
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name, id(node) in inner
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node, f"{module}.{alias.name}", id(node) in inner


def _target(full: str, names: set[str]) -> str | None:
    """The module of ours that an import loads, or None."""
    if full in names:
        return full
    module = full.rpartition(".")[0]
    return module if module in names else None


def _goes_down(source: str, target: str, order: dict[str, dict[str, int]]) -> bool:
    """Whether a module may import another: at the folder where they part, its floor is higher."""
    a, b = source.split("."), target.split(".")
    k = 0
    while k < min(len(a), len(b)) and a[k] == b[k]:
        k += 1
    ranks = order.get("/".join(a[:k]), {})
    mine, theirs = ((x[k] if k < len(x) else "__init__") for x in (a, b))
    if mine == "__init__":  # a folder's face stands above what is in the folder
        return True
    return mine in ranks and theirs in ranks and ranks[mine] > ranks[theirs]


def violations() -> Iterator[str]:
    order, paths = floors(), modules()
    names = {name_of(p) for p in paths}
    for path in paths:
        file, source = str(path.relative_to(ROOT)), name_of(path)
        package = source.split(".")[1] if "." in source else ""
        for _, full, inside in imports(path):
            if full.split(".")[0] != "sciquax":
                if inside and full.split(".")[0] not in LOADED_LATE:
                    yield f"in a function: {file} imports {full}"
                if full.startswith("importlib") and file not in BY_NAME:
                    yield f"by name: {file} imports {full}"
                continue
            target = _target(full, names)
            assert target is not None, (file, full)
            if inside:
                yield f"in a function: {file} imports {full}"
            if target != source and not _goes_down(source, target, order):
                yield f"not down: {file} imports {target}"
            theirs = full.split(".")
            if package and theirs[1:2] != [package] and any(x.startswith("_") for x in theirs[1:]):
                if package not in SHARED.get(".".join(theirs[:2]), ()):
                    yield f"private: {file} imports {full}"
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > MAX_LINES:
            yield f"long: {file} has more than {MAX_LINES} lines"
    for folder in {p.parent for p in paths}:
        if len(list(folder.glob("*.py"))) > MAX_FILES:
            yield f"full: {folder.relative_to(ROOT)} has more than {MAX_FILES} files"


def test_every_file_has_a_floor():
    order = floors()
    for folder in sorted({p.parent for p in modules()}):
        here = {p.stem for p in folder.glob("*.py")} | {
            p.name for p in folder.iterdir() if (p / "__init__.py").exists()
        }
        name = "/".join(folder.relative_to(ROOT).parts)
        assert here - {"__init__"} == order.get(name, {}).keys() - {"__init__"}, name


def test_imports_go_down():
    known = set(KNOWN.read_text(encoding="utf-8").splitlines())
    found = set(violations())
    assert not found - known, "new:\n" + "\n".join(sorted(found - known))
    assert not known - found, "mended, take off the list:\n" + "\n".join(sorted(known - found))


@pytest.mark.parametrize("source, target, down", [
    ("sciquax.units._unit.unit", "sciquax.core.internal", True),
    ("sciquax.core._interpret", "sciquax.units", False),
    ("sciquax.units", "sciquax.named", False),
])  # fmt: skip
def test_what_down_means(source, target, down):
    order = {"sciquax": {"core": 0, "units": 1, "named": 1}}
    assert _goes_down(source, target, order) is down
