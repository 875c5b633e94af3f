"""Run the public test suites of quax and of packages built on it, with sciquax in quax's place.

    python tools/run_quax_suites.py                        # all five, in build/quax_suites
    python tools/run_quax_suites.py quax unxt -- -x -q     # some; what follows `--` goes to pytest
    python tools/run_quax_suites.py --on quax quaxed       # on quax itself, to compare

It makes a virtual environment with the released packages, downloads their source distributions
(which hold the tests), and writes a package named `quax` that is sciquax and goes first on the
path. Of quax itself only `quax.examples`, the array types of its tutorials, and `quax._compat`,
facts about JAX releases that its tests ask for, are run, from their own sources.

What needs quax's private modules is not run; `SUITES` says why, file by file. What else is expected
to fail is listed in docs/coming-from-quax.md, with reasons. Not part of CI: it needs the package
index and a quarter of an hour.
"""

import argparse
import os
import subprocess
import sys
import tarfile
import venv
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Suite(NamedTuple):
    """A package's source distribution, and what of its tests to run."""

    requirement: str
    tests: tuple[str, ...] = ("tests",)
    private: tuple[str, ...] = ()  # test files and tests about quax's own insides
    options: tuple[str, ...] = ()  # of pytest


_SYBIL = ("--import-mode=importlib", "-p", "no:doctest")  # their docstrings are run by sybil

SUITES = {
    "quax": Suite(
        "quax==0.4.6",
        private=(
            "tests/benchmark",  # times quax's insides
            "tests/unit/test_version_guards.py",  # reads quax's own source files
            "tests/unit/test_fast_module.py",  # quax's metaclass
            "tests/unit/test_cache_gc.py",  # the sizes of quax's caches
            "tests/unit/test_jit_quax_cache.py",  # the same
            "tests/unit/test_stage_value.py",  # quax's tracer
            "tests/unit/test_core.py::test_quax_tracer_aval_cached",  # quax's tracer
            "tests/unit/test_core.py::test_default_process_rejects_non_array_operand",  # private
        ),
    ),
    "quaxed": Suite("quaxed==0.10.7", ("tests", "src", "docs"), (), _SYBIL[1:]),
    "quax_blocks": Suite("quax-blocks==0.5.1", ("tests", "src"), (), _SYBIL[1:]),
    "unxt": Suite(
        "unxt==2.0.6", ("tests", "README.md", "docs", "src"), ("tests/benchmark",), _SYBIL
    ),
    "coordinax": Suite("coordinax==0.24.3", ("tests", "README.md", "docs", "src"), (), _SYBIL[1:]),
}

TEST_TOOLS = (
    "pytest pytest-arraydiff pytest-benchmark pytest-codspeed pytest-cov pytest-env pytest-mpl "
    "pytest-github-actions-annotate-failures pytest-xdist sybil hypothesis[numpy] matplotlib "
    "myst-parser unxts-hypothesis unxts-interop-matplotlib unxts-parametric xmmutablemap zeroth "
    "hatchling hatch-vcs setuptools-scm"
).split()

ALIAS = '''\
"""sciquax under the name of quax."""

from sciquax import ArrayValue, Value, quaxify, register

__version__ = "0.4.6"

from . import _compat, examples  # quax's own files

lora, zero = examples.lora, examples.zero
'''


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("suites", nargs="*", default=list(SUITES), help=" ".join(SUITES))
    parser.add_argument("--on", choices=("sciquax", "quax"), default="sciquax")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "quax_suites")
    parser.add_argument("--jax", default="jax", help="requirement, such as jax==0.10.2")
    own, _, pytest_args = _split(sys.argv[1:])
    options = parser.parse_args(own)
    python = prepare(options.folder.resolve(), options.jax)
    failed = 0
    for name in options.suites or SUITES:
        print(f"== {name} on {options.on}", flush=True)
        failed |= run(name, python, options.folder.resolve(), options.on, pytest_args)
    return failed


def _split(arguments: list[str]) -> tuple[list[str], str, list[str]]:
    if "--" not in arguments:
        return arguments, "", []
    at = arguments.index("--")
    return arguments[:at], "--", arguments[at + 1 :]


def prepare(folder: Path, jax: str) -> Path:
    """The environment, the sources and the alias; what is there already is kept."""
    environment, sources, alias = folder / "venv", folder / "sources", folder / "alias" / "quax"
    python = environment / "bin" / "python"
    pip = [str(python), "-m", "pip", "-q", "--disable-pip-version-check"]
    requirements = [suite.requirement for suite in SUITES.values()]
    if not python.exists():
        venv.create(environment, with_pip=True)
        # coordinax 0.24.3 asks for `plum`, which is another package; plum-dispatch is meant.
        most = [r for r in requirements if not r.startswith("coordinax")]
        subprocess.run([*pip, "install", jax, *most, *TEST_TOOLS, "pint"], check=True)
        coordinax = SUITES["coordinax"].requirement
        subprocess.run([*pip, "install", "--no-deps", coordinax], check=True)
    for requirement in requirements:
        name = requirement.replace("-", "_").replace("==", "-")
        if not (sources / name).exists():
            # quaxed's build asks for JAX: hence in the environment that has it.
            download = ["download", "--no-deps", "--no-build-isolation", "--no-binary", ":all:"]
            subprocess.run([*pip, *download, "-d", str(sources), requirement], check=True)
            with tarfile.open(sources / f"{name}.tar.gz") as archive:
                archive.extractall(sources, filter="data")
    alias.mkdir(parents=True, exist_ok=True)
    (alias / "__init__.py").write_text(ALIAS)
    for own in ("examples", "_compat.py"):
        if not (alias / own).exists():
            (alias / own).symlink_to(sources / "quax-0.4.6" / "src" / "quax" / own)
    return python


def run(name: str, python: Path, folder: Path, on: str, pytest_args: list[str]) -> int:
    """Run one suite as it is set up by its package; return pytest's exit status."""
    suite = SUITES[name]
    source = folder / "sources" / suite.requirement.replace("-", "_").replace("==", "-")
    command = [str(python), "-m", "pytest", *suite.tests, "-q", "-p", "no:cacheprovider"]
    command += ["-o", "addopts=", "-rf", *suite.options]
    path = [""]
    if on == "sciquax":
        path = [str(folder / "alias"), str(ROOT)]
        for private in suite.private:
            command += ["--deselect" if "::" in private else "--ignore", private]
    command += ["-o", "pythonpath=" + " ".join(path)]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path), JAX_PLATFORMS="cpu")
    return subprocess.run([*command, *pytest_args], cwd=source, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
