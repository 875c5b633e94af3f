"""Run the tests on the oldest and the newest supported versions, each in its own environment.

    python tools/stacks.py [--same-as .venv] [--also jax-0.11] [--every-case] -- -m pytest -n 2
    python tools/stacks.py --build
    python tools/stacks.py --move

The newest stack is what `tools/newest.txt` pins, so that nobody else's release fails an unchanged
tree. `--move` pins what the package index has now; a job does so every week.

What follows `--` is given to the Python of each environment, and after it what the stack adds to
pytest's arguments. Standard library only.
"""

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from setup_env import PINNED, ROOT, env_python, say


@dataclass(frozen=True)
class Stack:
    versions: str  # as in setup_env.py --versions, and the environment's name
    min_python: str
    max_python: str
    arguments: tuple[str, ...] = ()  # for pytest; the last `-m` holds
    extras: str = "test"

    @property
    def env(self) -> Path:
        return ROOT / ".venvs" / self.versions


# Between the two, for a run every night: `--also`.
BETWEEN = (Stack("jax-0.11", "3.12", "3.13"),)
# The newest stack has found what no version changes.
_WHAT_DIFFERS = ("-m", "not slow and not same_everywhere")
# Checks every annotation of sciquax at run time, which takes half as long again or more. The newest
# stack's tests run without, as users do.
_ANNOTATIONS = ("--jaxtyping-packages=sciquax,beartype.beartype",)
# Most functions are in several tables, of many dtypes and ways to call: enough for a change in JAX
# to show. `--every-case` runs all tests, before a release and every night.
_A_QUARTER = ("--one-in", "4")
STACKS = (
    Stack("oldest", "3.11", "3.11", (*_A_QUARTER, *_WHAT_DIFFERS, *_ANNOTATIONS)),
    # JAX after 0.10.2 needs Python 3.12.
    Stack("newest", "3.12", "3.13"),
)
# What the newest stack moves to, with the tools of CI's other steps.
LATEST = Stack("latest", "3.12", "3.13", extras="test,lint,docs")


def build(stack: Stack) -> bool:
    """Make the stack's environment; False, with the reason printed, if that fails."""
    finder = ["sh", "tools/find_python.sh", stack.min_python, stack.max_python]
    found = subprocess.run(finder, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if found.returncode:
        return False
    setup = [found.stdout.strip(), "tools/setup_env.py", str(stack.env.relative_to(ROOT))]
    setup += ["--extras", stack.extras, "--this-python", "--versions", stack.versions]
    return subprocess.run(setup, cwd=ROOT).returncode == 0


def installed(env: Path) -> set[str]:
    """The Python version and every `name==version` in an environment, installers aside."""
    python = env_python(env)
    code = "import sys; print('Python==' + '.'.join(map(str, sys.version_info[:3])))"
    freeze = [python, "-m", "pip", "list", "--format=freeze", "--exclude-editable"]
    lines: list[str] = []
    for command in ([python, "-c", code], freeze):
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        lines += done.stdout.split()
    return {line for line in lines if line.split("==")[0] not in ("pip", "setuptools")}


def move() -> None:
    """Pin the newest stack at the newest versions of everything."""
    if not build(LATEST):
        sys.exit("\nerror: the newest versions could not be installed")
    before = set(PINNED.read_text(encoding="utf-8").splitlines())
    pins = {x for x in installed(LATEST.env) if not x.startswith("Python==")}
    head = sorted(line for line in before if line.startswith("#"))
    lines = head + sorted(pins, key=str.lower)
    PINNED.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for line in sorted(pins - before, key=str.lower):
        say(f"    moved to {line}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--same-as", type=Path, help="an environment already tested")
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        choices=[stack.versions for stack in BETWEEN],
        help="a stack between the oldest and the newest; may be repeated",
    )
    parser.add_argument(
        "--every-case", action="store_true", help="run all tests on every stack, not one in a few"
    )
    parser.add_argument(
        "--build", action="store_true", help="make the environments, and run nothing in them"
    )
    parser.add_argument(
        "--move", action="store_true", help="pin the newest stack at the newest versions"
    )
    parser.add_argument("command", nargs="*", help="arguments for Python, such as -m pytest")
    options = parser.parse_args()
    if options.move:
        return move()

    tested = installed(ROOT / options.same_as) if options.same_as else None
    failed: list[str] = []
    for stack in (*STACKS, *(s for s in BETWEEN if s.versions in options.also)):
        say(f"\n==> the {stack.versions} stack")
        if not build(stack):
            say(f"==> the {stack.versions} stack could not be made: IT WAS NOT TESTED")
            failed.append(stack.versions)
            continue
        if options.build:
            continue
        packages = installed(stack.env)
        notable = ("Python", "jax", "jaxlib", "equinox", "plum-dispatch", "Pint", "diffrax")
        shown = (line for line in packages if line.split("==")[0] in notable)
        say("    " + ", ".join(sorted(shown, key=str.lower)))
        if tested is not None and packages <= tested:
            say(f"    the same versions as {options.same_as}, already tested: not run again")
            continue
        command = [env_python(stack.env), *options.command, *stack.arguments]
        if options.every_case:
            command += ["--one-in", "1"]
        if subprocess.run(command, cwd=ROOT).returncode:
            failed.append(stack.versions)
    if failed:
        sys.exit(f"\nerror: failed on the {' and the '.join(failed)} stack")


if __name__ == "__main__":
    main()
