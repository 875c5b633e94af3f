"""Make a virtual environment that holds this checkout of sciquax, telling what happens.

    python tools/setup_env.py .venv --extras test

Standard library only: this runs before anything is installed.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections import deque
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The Pythons of the newest stack, whose packages are pinned; moved by `tools/stacks.py --move`.
NEWEST_PYTHONS = (3, 12), (3, 13)
NEWEST_TESTED = NEWEST_PYTHONS[1]
PINNED = ROOT / "tools" / "newest.txt"
# The extras whose lower bounds are a promise to users, unlike those of the test tools.
PROMISED_EXTRAS = ("diffrax", "examples")


class SetupError(Exception):
    """What is missing and what to do about it, in words for the person who ran make."""


def say(text: str) -> None:
    print(text, flush=True)


def display(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def env_python(env: Path) -> Path:
    return env / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _minor_version(python: Path) -> tuple[int, int] | None:
    """The version of an interpreter, or None if it does not run."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    except OSError:
        return None
    if done.returncode:
        return None
    major, minor = done.stdout.split()
    return int(major), int(minor)


def make_env(env: Path, *, this_python: bool) -> None:
    """Create `env`, unless it is there and usable.

    With `this_python`, an environment of another Python than the one running is made anew.
    """
    if env.exists():
        version = _minor_version(env_python(env))
        if version is not None and version >= (3, 11):
            if not this_python or version == sys.version_info[:2]:
                say(f"    {display(env)} exists, with Python {version[0]}.{version[1]}")
                return
        if not (env / "pyvenv.cfg").exists() and any(env.iterdir()):
            raise SetupError(
                f"{display(env)} exists and is not a virtual environment. Move it out of the way."
            )
        say(f"    replacing {display(env)}, which is not a working environment of this Python")
        shutil.rmtree(env)
    done = subprocess.run(
        [sys.executable, "-m", "venv", env],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        shutil.rmtree(env, ignore_errors=True)
        raise SetupError(
            f"could not create the virtual environment {display(env)}:\n\n{done.stdout.strip()}\n\n"
            "If the venv module is missing (Debian and Ubuntu: apt install python3-venv), install "
            "it, or set PYTHON=/path/to/another/python."
        )


def lower_bounds() -> list[str]:
    """Every `name>=version` that sciquax promises to work with, as `name==version`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = list(project["dependencies"])
    for extra in PROMISED_EXTRAS:
        requirements += project["optional-dependencies"][extra]
    bound = re.compile(r"([\w.-]+)>=([\w.]+)(,<[\w.]+)?")
    bounds = map(bound.fullmatch, requirements)
    return [f"{bound[1]}=={bound[2]}" for bound in bounds if bound]


def install(env: Path, arguments: Sequence[str | Path], wanted: str) -> None:
    """Run `pip install` in `env`, showing one line per download and the whole log on failure."""
    log = env / "install.log"
    # Python compiles a module when it is first imported, and many never are.
    quick = ["--progress-bar", "off", "--no-compile"]
    command = [env_python(env), "-m", "pip", "install", *quick, *arguments]
    # PIP_USER=1 in someone's settings would be an error inside an environment.
    settings = os.environ | {
        "PIP_USER": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONUNBUFFERED": "1",
    }
    start = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        pip = subprocess.Popen(
            command,
            cwd=ROOT,
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        assert pip.stdout is not None
        tail: deque[str] = deque(maxlen=12)
        for line in pip.stdout:
            file.write(line)
            if line.strip():
                tail.append(line.rstrip())
            shown = _progress(line)
            if shown:
                say(f"    {shown}")
    if pip.wait():
        output = log.read_text(encoding="utf-8")
        raise SetupError(_explain(output, wanted, display(log), list(tail)))
    say(f"    done in {time.monotonic() - start:.0f} s")


_FETCH = re.compile(
    r"(?P<how>Downloading|Using cached|Processing) (\S*/)?(?P<file>\S+\.(whl|tar\.gz))"
    r"(?P<size> \([\d.]+ \w+\))?"
)
_SHOWN = {"Downloading": "downloading", "Using cached": "from cache:", "Processing": "from disk:"}


def _progress(line: str) -> str | None:
    """What of pip's output to show while it runs."""
    line = line.strip()
    if (fetch := _FETCH.match(line)) and ".whl.metadata" not in line:
        return f"{_SHOWN[fetch['how']]} {fetch['file']}{fetch['size'] or ''}"
    if line.startswith("Installing collected packages:"):
        return f"installing {line.count(',') + 1} packages"
    if line.startswith("WARNING: Retrying"):
        return "no answer from the package index; trying again"
    return None


_NETWORK = (
    "NewConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
    "SSLError",
    "Temporary failure in name resolution",
    "Connection refused",
    "Connection reset",
    "Network is unreachable",
)


def _explain(output: str, wanted: str, log: str, tail: list[str]) -> str:
    """A sentence for each way in which pip commonly fails, then pip's own last lines."""
    missing = re.search(r"No matching distribution found for (\S+)", output)
    what = missing[1] if missing else wanted
    if any(sign in output for sign in _NETWORK):
        reason = (
            f"could not download {what}: the package index cannot be reached. Check the network "
            "connection and any proxy settings, then run the same command again; what was already "
            "downloaded is kept."
        )
    elif missing:
        reason = (
            f"could not download {what}: pip found no version of it for Python "
            f"{sys.version_info[0]}.{sys.version_info[1]} on {sys.platform}. Either this platform "
            "has no build of it, or pip's settings (PIP_NO_INDEX, PIP_INDEX_URL, pip.conf) keep "
            "pip from a full package index."
        )
    elif "No space left on device" in output:
        reason = f"could not install {what}: the disk is full."
    else:
        reason = f"could not install {what}: pip failed."
    lines = "\n".join(f"    | {line}" for line in tail)
    return f"{reason}\n\nThe end of pip's output (all of it is in {log}):\n{lines}"


def set_up(env: Path, extras: str, *, this_python: bool, versions: str) -> None:
    """Bring `env` to hold this checkout, editable, with the named extras."""
    version = ".".join(map(str, sys.version_info[:3]))
    untested = "" if sys.version_info[:2] <= NEWEST_TESTED else "; newer than any tested"
    say(f"==> [1/3] Python {version} at {sys.executable}{untested}")
    say(f"==> [2/3] virtual environment {display(env)}")
    make_env(env, this_python=this_python)
    wanted = f"sciquax[{extras}]"
    say(f"==> [3/3] installing {wanted} (the first time downloads some 200 MB: minutes)")
    arguments: list[str | Path] = ["--editable", f".[{extras}]"]
    if versions == "oldest":
        file = env / "constraints.txt"
        file.write_text("\n".join(lower_bounds()) + "\n", encoding="utf-8")
        arguments += ["--constraint", file]
    elif versions.startswith("jax-"):
        file = env / "constraints.txt"
        release = versions.removeprefix("jax-")
        file.write_text(f"jax=={release}.*\njaxlib=={release}.*\n", encoding="utf-8")
        arguments += ["--constraint", file]
    elif versions == "latest":
        arguments += ["--upgrade", "--upgrade-strategy", "eager"]
    elif NEWEST_PYTHONS[0] <= sys.version_info[:2] <= NEWEST_PYTHONS[1]:
        arguments += ["--constraint", PINNED]
    install(env, arguments, wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("env", type=Path, help="where the virtual environment is or goes")
    parser.add_argument("--extras", required=True, help="comma-separated, as in pyproject.toml")
    parser.add_argument(
        "--this-python",
        action="store_true",
        help="make an existing environment of another Python anew",
    )
    parser.add_argument(
        "--versions",
        choices=("oldest", "jax-0.11", "newest", "latest"),
        default="newest",
        help="oldest: pyproject.toml's lower bounds; jax-0.11: that release; newest: what "
        "tools/newest.txt pins, on the Pythons that it is for; latest: what the index has",
    )
    options = parser.parse_args()
    set_up(
        ROOT / options.env,
        options.extras,
        this_python=options.this_python,
        versions=options.versions,
    )


if __name__ == "__main__":
    try:
        main()
    except SetupError as error:
        sys.exit(f"\nerror: {error}")
    except KeyboardInterrupt:
        sys.exit("\nstopped; run the same command to go on")
