"""Build the wheel and try it as a user would, with nothing installed but what it declares.

    python tools/check_wheel.py

Standard library only. The environment is .venvs/wheel, made anew at each run.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from setup_env import ROOT, SetupError, display, env_python, install, make_env, say

ENV = ROOT / ".venvs" / "wheel"
DIST = ROOT / "dist"

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
    shutil.rmtree(DIST, ignore_errors=True)
    command = [env_python(ENV), "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", DIST]
    if subprocess.run([*command, ROOT]).returncode:
        raise SetupError("the wheel could not be built; pip's message is above.")
    (wheel,) = DIST.glob("sciquax-*.whl")
    return wheel


def check_contents(wheel: Path) -> None:
    """The wheel holds the package, its licence and its typing marker, and nothing else."""
    names = zipfile.ZipFile(wheel).namelist()
    info = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"
    foreign = [name for name in names if name.split("/")[0] not in ("sciquax", info)]
    missing = {"sciquax/py.typed", f"{info}/licenses/LICENSE"} - set(names)
    if foreign or missing:
        raise SetupError(f"{wheel.name}: unexpected {foreign}, missing {sorted(missing)}.")
    say(f"    {display(wheel)}: {len(names)} files, {wheel.stat().st_size / 1024:.0f} KiB")


def run(*arguments: str | Path) -> None:
    """Run the environment's Python in an empty folder, so that the checkout is not imported."""
    with tempfile.TemporaryDirectory() as elsewhere:
        if subprocess.run([env_python(ENV), *arguments], cwd=elsewhere).returncode:
            raise SetupError("failed with the wheel and only what it declares; see above.")


def main() -> None:
    say("==> [1/4] building the wheel")
    shutil.rmtree(ENV, ignore_errors=True)
    make_env(ENV, this_python=True)
    wheel = build()
    check_contents(wheel)
    say("==> [2/4] installing it without extras")
    install(ENV, [wheel], "sciquax")
    run("-m", "pip", "check")
    say("==> [3/4] importing every module")
    run("-c", IMPORT_EVERYTHING)
    say("==> [4/4] README.md's code, with the diffrax extra")
    install(ENV, [f"sciquax[diffrax] @ {wheel.as_uri()}"], "sciquax[diffrax]")
    run(ROOT / "tools" / "run_readme.py")


if __name__ == "__main__":
    try:
        main()
    except SetupError as error:
        sys.exit(f"\nerror: {error}")
