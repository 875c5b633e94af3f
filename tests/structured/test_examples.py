"""The example of sparse arrays runs, and finds what it says."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pytestmark = pytest.mark.usefixtures("lenient")


@pytest.mark.slow
def test_sparse_graph(capsys):
    pytest.importorskip("networkx")
    load("sparse_graph").main(side=24)
    assert "members 33 0 32 2" in capsys.readouterr().out
