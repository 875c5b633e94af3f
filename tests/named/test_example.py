"""The climate example runs, agrees with xarray, and draws its picture."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_climate_anomaly(tmp_path):
    for library in ("xarray", "eofs", "matplotlib", "netCDF4"):
        pytest.importorskip(library)
    picture = tmp_path / "climate.png"
    result = subprocess.run(
        [sys.executable, "examples/climate_anomaly.py", "--output", str(picture)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "trend: NamedArray(f64[latitude=28, longitude=49], 'm/century')" in result.stdout
    assert "40.7% of the variance" in result.stdout
    assert "Did you mean 'time'?" in result.stdout
    assert picture.stat().st_size > 20_000
