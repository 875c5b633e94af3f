"""The examples on arrays of other kinds run, and find what they say."""

import importlib.util
from pathlib import Path

import jax
import pytest

from tests.structured.specimens import largest_intermediate

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


@pytest.mark.slow
def test_lora_finetune(capsys):
    pytest.importorskip("sklearn")
    pytest.importorskip("optax")
    results = load("lora_finetune").main(width=32, depth=1, steps=60)
    assert set(results) == {"all", "LoRA", "QLoRA"}
    assert min(results.values()) > 0.17, results  # a tenth by chance
    assert "QLoRA" in capsys.readouterr().out


@pytest.mark.slow
def test_heat_equation(x64, capsys):
    """Both solutions are the analytic one up to the stencil's error, O(1 / n^2)."""
    pytest.importorskip("diffrax")
    example = load("heat_equation")
    errors, solution = example.main(n=60, big=None, sizes=(20,))
    assert len(errors) == 2 and max(errors) < 0.02, errors
    assert "n = 20: a step takes" in capsys.readouterr().out
    assert solution.dims == ("position",) and str(solution.array.units) == "kelvin"


def test_no_dense_array_in_the_stiff_solve(x64):
    """Nothing in Diffrax's program with a tridiagonal Jacobian grows with the square of n."""
    pytest.importorskip("diffrax")
    example = load("heat_equation")
    program = jax.make_jaxpr(lambda: example.diffrax_solution(500).array.magnitude)()
    assert largest_intermediate(program) <= 20 * 500
