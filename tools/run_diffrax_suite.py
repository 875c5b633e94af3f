"""Run the public tests of Diffrax, Optimistix and Lineax with `sciquax.interop` in their place.

    python tools/run_diffrax_suite.py                        # all three
    python tools/run_diffrax_suite.py lineax -- -x -q        # one; what follows `--` goes to pytest
    python tools/run_diffrax_suite.py --plain lineax         # on Lineax itself, to compare
    python tools/run_diffrax_suite.py --sources FOLDER ...   # clones that are there already

Each suite is cloned from GitHub at the release that is installed, and copied to
`build/diffrax_suites`. In the copies `import diffrax` is `from sciquax.interop import diffrax`, and
so for the others; imports of private modules stay as they are. The tests have no units: everything
that passes plainly is to pass. docs/diffrax.md says what has been run.

The environment needs the extra `diffrax`, pytest, and what the suites import (scipy, beartype,
tqdm). Not part of CI: it needs the network and an hour.
"""

import argparse
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "diffrax_suites"


class Suite(NamedTuple):
    """A package's tests."""

    tests: str  # the folder, in its repository
    not_run: tuple[str, ...] = ()


SUITES = {
    "diffrax": Suite(
        "test",
        (
            "test_detest.py",  # a benchmark against published figures
        ),
    ),
    "optimistix": Suite("tests"),
    "lineax": Suite("tests"),
}

_NAMES = "|".join(SUITES)
_CHANGES = (
    (rf"^(\s*)import ({_NAMES})( as \w+)?$", r"\1from sciquax.interop import \2\3"),
    (rf"^(\s*)from ({_NAMES}) import", r"\1from sciquax.interop.\2 import"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("suites", nargs="*", help=" ".join(SUITES))
    parser.add_argument("--plain", action="store_true", help="on the packages themselves")
    parser.add_argument("--sources", type=Path, default=FOLDER / "sources")
    arguments = sys.argv[1:]
    at = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:at])
    failed = 0
    for name in options.suites or SUITES:
        tests = prepare(name, options.sources.resolve(), options.plain)
        print(f"== {name}, {'plain' if options.plain else 'on sciquax'}", flush=True)
        failed |= run(tests, arguments[at + 1 :])
    return failed


def prepare(name: str, sources: Path, plain: bool) -> Path:
    """A copy of a suite's tests that imports what is to be tested."""
    source = sources / name
    if not source.exists():
        release = f"v{importlib.metadata.version(name)}"
        clone = ["git", "clone", "-q", "--depth", "1", "--branch", release]
        address = f"https://github.com/patrick-kidger/{name}"
        subprocess.run([*clone, address, str(source)], check=True)
    suite = SUITES[name]
    tests = FOLDER / ("plain" if plain else "sciquax") / name / suite.tests
    shutil.rmtree(tests, ignore_errors=True)
    shutil.copytree(source / suite.tests, tests)
    for skipped in suite.not_run:
        (tests / skipped).unlink()
    for file in () if plain else tests.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        for old, new in _CHANGES:
            text = re.sub(old, new, text, flags=re.MULTILINE)
        file.write_text(text, encoding="utf-8")
    return tests


def run(tests: Path, pytest_args: list[str]) -> int:
    """Run one suite; return pytest's exit status."""
    command = [sys.executable, "-m", "pytest", tests.name, "-q", "-rf", "-p", "no:cacheprovider"]
    command += ["-c", os.devnull, "--rootdir", str(tests.parent)]
    path = os.pathsep.join([str(tests.parent), str(ROOT)])
    environment = dict(os.environ, PYTHONPATH=path, JAX_PLATFORMS="cpu")
    return subprocess.run([*command, *pytest_args], cwd=tests.parent, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
