"""Build sdist and wheel, and try them as a user would, with only what they declare installed.

    python tools/check_wheel.py

README.md's code with what README.md says to install, then every page's and every example, each in
an empty folder, so that nothing of the checkout is imported or read. Standard library only. The
environment is .venvs/wheel, made anew at each run.
"""

import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from setup_env import ROOT, SetupError, display, env_python, install, make_env, say

ENV = ROOT / ".venvs" / "wheel"
DIST = ROOT / "dist"
# Programs run once: LLVM need not optimise them.
SETTINGS = {"MPLBACKEND": "Agg", "XLA_FLAGS": "--xla_backend_optimization_level=0"}
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | SETTINGS
READ_QUIETLY = (ROOT / "tools" / "run_readme.py", "--quiet")
PAGES_ALSO = ["sympy2jax", "networkx"]  # pages say to install them
# What makes an example take seconds where it takes a minute as it is.
SHORTER = {
    "ensemble": ["--flights", "1024"],
    "solar_system": ["--years", "1"],
}

# Run outside the checkout. sciquax.interop is left out: its modules need their own extras.
IMPORT_EVERYTHING = """
import importlib, pkgutil, sciquax
names = [module.name for module in pkgutil.walk_packages(sciquax.__path__, "sciquax.",
         onerror=lambda name: None) if not module.name.startswith("sciquax.interop.")]
for name in names:
    importlib.import_module(name)
print(f"    imported sciquax and {len(names)} modules from {sciquax.__path__[0]}")
"""


def build() -> Path:
    """The source distribution, and from that the wheel: both hold what is needed."""
    shutil.rmtree(DIST, ignore_errors=True)
    pip = [env_python(ENV), "-m", "pip"]
    with tempfile.TemporaryDirectory() as backend:
        environment = ENVIRONMENT | {"PYTHONPATH": backend}
        steps = [[*pip, "install", "--quiet", "--target", backend, "hatchling"]]
        steps += [[env_python(ENV), "-m", "hatchling", "build", "-t", "sdist", "-d", DIST]]
        for step in steps:
            if subprocess.run(step, cwd=ROOT, env=environment).returncode:
                raise SetupError("the source distribution could not be built; see above.")
    (source,) = DIST.glob("sciquax-*.tar.gz")
    command = [*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", DIST, source]
    if subprocess.run(command).returncode:
        raise SetupError("the wheel could not be built; pip's message is above.")
    (wheel,) = DIST.glob("sciquax-*.whl")
    return wheel


def check_contents(wheel: Path) -> None:
    """The wheel holds the package, its licence and its typing marker, and nothing else."""
    names = zipfile.ZipFile(wheel).namelist()
    info = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"
    foreign = [name for name in names if name.split("/")[0] not in ("sciquax", info)]
    missing = {"sciquax/py.typed", "sciquax/numpy/__init__.pyi", f"{info}/licenses/LICENSE"} - set(
        names
    )
    if foreign or missing:
        raise SetupError(f"{wheel.name}: unexpected {foreign}, missing {sorted(missing)}.")
    say(f"    {display(wheel)}: {len(names)} files, {wheel.stat().st_size / 1024:.0f} KiB")


def run(*arguments: str | Path, folder: Path | None = None) -> None:
    """Run the environment's Python in an empty folder, so that the checkout is not imported."""
    with tempfile.TemporaryDirectory() as elsewhere:
        command = [env_python(ENV), *arguments]
        if subprocess.run(command, cwd=folder or elsewhere, env=ENVIRONMENT).returncode:
            raise SetupError("failed with the wheel and only what it declares; see above.")


def run_pages() -> None:
    """The code of all pages, two at a time, as copies elsewhere: they print their paths."""
    with tempfile.TemporaryDirectory() as elsewhere:
        folder = Path(elsewhere)
        (folder / "docs").mkdir()
        pages = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
        if sys.version_info < (3, 12):  # for which the extra `real` is empty
            pages.remove(ROOT / "docs" / "real-packages.md")
        copies = []
        for page in pages:
            if "```python" in page.read_text(encoding="utf-8"):
                copies.append(page.relative_to(ROOT))
                shutil.copy(page, folder / copies[-1])
        halves = [copies[::2], copies[1::2]]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda half: run(*READ_QUIETLY, *half, folder=folder), halves))


def run_examples() -> None:
    """All examples, two at a time."""
    examples = sorted((ROOT / "examples").glob("*.py"))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for example, seconds in zip(examples, pool.map(run_example, examples), strict=True):
            say(f"    {example.name}: {seconds:.0f} s")


def run_example(example: Path) -> float:
    """Run a copy of an example elsewhere, and see that it draws; the seconds that took."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as elsewhere:
        copy = shutil.copy(example, elsewhere)
        done = subprocess.run(
            [env_python(ENV), copy, "--output", "picture.png", *SHORTER.get(example.stem, ())],
            cwd=elsewhere,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        if done.returncode or not (Path(elsewhere) / "picture.png").exists():
            say(done.stdout)
            raise SetupError(f"{example.name} failed with the wheel; its output is above.")
    return time.perf_counter() - start


def main() -> None:
    say("==> [1/6] building the source distribution, and the wheel from it")
    shutil.rmtree(ENV, ignore_errors=True)
    make_env(ENV, this_python=True)
    wheel = build()
    check_contents(wheel)
    say("==> [2/6] installing it without extras")
    install(ENV, [wheel], "sciquax")
    run("-m", "pip", "check")
    say("==> [3/6] importing every module")
    run("-c", IMPORT_EVERYTHING)
    say("==> [4/6] README.md's code, with the diffrax extra")
    install(ENV, [f"sciquax[diffrax] @ {wheel.as_uri()}"], "sciquax[diffrax]")
    run(ROOT / "tools" / "run_readme.py")
    say("==> [5/6] every page's code, with the extras and what the pages say to install")
    extras = f"sciquax[diffrax,interop,real] @ {wheel.as_uri()}"
    install(ENV, [extras, *PAGES_ALSO], "sciquax[interop,real]")
    run_pages()
    say("==> [6/6] every example, with the examples extra")
    install(ENV, [f"sciquax[examples] @ {wheel.as_uri()}"], "sciquax[examples]")
    run_examples()


if __name__ == "__main__":
    try:
        main()
    except SetupError as error:
        sys.exit(f"\nerror: {error}")
