"""The examples that solve differential equations: each agrees with its reference and is drawn."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow  # each takes more than ten seconds on one core

# The largest deviation allowed, in what `main` returns, and words that must have been printed.
EXAMPLES = [
    ("robertson", 1e-6, "mistaken_kinetics"),
    ("hodgkin_huxley", 1e-3, "(neuron)"),
    ("ornstein_uhlenbeck", 4.0, "ms**0.5'."),
    ("thermostat", 1e-8, "Without the area of the walls"),
]


def run(program):
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "examples")]),
            "PYTHONIOENCODING": "utf-8",
        },
        capture_output=True,
        encoding="utf-8",
    )


@pytest.mark.parametrize("name, allowed, says", EXAMPLES)
def test_example(name, allowed, says, tmp_path):
    picture = tmp_path / "picture.png"
    program = f"import {name}; print(float({name}.main(['--output', {str(picture)!r}])))"
    result = run(program)
    assert result.returncode == 0, result.stdout + result.stderr
    *_, deviation = result.stdout.split()
    assert 0 < float(deviation) < allowed
    assert says in result.stdout
    assert picture.stat().st_size > 10_000


def test_ensemble(tmp_path):
    picture = tmp_path / "picture.png"
    program = f"import ensemble; print(*ensemble.main(64, {str(picture)!r}))"
    result = run(program)
    assert result.returncode == 0, result.stdout + result.stderr
    *_, difference, error = result.stdout.split()
    assert float(difference) < 1e-12 and 0 < float(error) < 1e-6
    assert "on 8 devices" in result.stdout
    assert picture.stat().st_size > 10_000
