"""Editors and type checkers: the stubs of JAX's namespaces, and the public API."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from sciquax import NamedArray, Quantity
from sciquax.sparse import BCOO
from sciquax.structured import DiagonalMatrix

ROOT = Path(__file__).resolve().parent.parent
STUB = ROOT / "sciquax" / "numpy" / "__init__.pyi"


def test_the_stubs_are_those_of_this_jax():
    made_from = re.search(r"from JAX (\S+)\. Do not edit", STUB.read_text(encoding="utf-8"))
    assert made_from is not None
    if made_from[1] != jax.__version__:
        pytest.skip(f"the stubs are JAX {made_from[1]}'s")
    expected = runpy.run_path(str(ROOT / "tools" / "make_stubs.py"))["stubs"]()
    there = {path: path.read_text(encoding="utf-8") for path in (ROOT / "sciquax").rglob("*.pyi")}
    stale = sorted(str(x) for x in expected if expected[x] != there.pop(x, None))
    assert not stale and not there, "run tools/make_stubs.py"


def complete(code: str) -> set[str]:
    jedi = pytest.importorskip("jedi")
    return {name.name for name in jedi.Script(code).complete()}


def test_jedi_knows_names_signatures_and_documentation():
    jedi = pytest.importorskip("jedi")
    code = "import sciquax.numpy as np\n"
    assert {"linalg", "linspace"} <= complete(f"{code}np.lin")
    assert "solve" in complete(f"{code}np.linalg.so")
    assert "norm" in complete("import sciquax.scipy.stats as stats\nstats.no")
    (call,) = jedi.Script(f"{code}np.cumprod(").get_signatures()
    assert call.to_string().startswith("cumprod(a: Any, axis: int | None=None, dtype: Any=None")
    (found,) = jedi.Script(f"{code}np.linalg.solve").help()
    assert "Solve a linear system of equations." in found.docstring()
    made = "from sciquax import Quantity\nq = Quantity(1.0, 'm')\n"
    assert "to_base_units" in complete(f"{made}q.to_")


VALUES = {
    "q": (Quantity(1.0, "m"), "to to_base_units magnitude units sum at T shape m_as"),
    "a": (NamedArray([1.0], ("x",)), "isel sel mean dims sizes array at rolling to_xarray"),
    "A": (DiagonalMatrix(jnp.ones(2)), "materialise solve diagonal T at allow_materialise diag"),
    "S": (BCOO.from_dense(jnp.eye(2)), "todense data indices sum to_jax"),
}


@pytest.mark.parametrize("name", VALUES)
def test_completion_has_what_users_call_and_no_internals(name):
    value, called = VALUES[name]
    internal = "align common_type convert_to as_tangent layer payload rebuild map_bands LEAF_NAMES"
    assert set(called.split()) <= set(dir(value))
    assert not set(internal.split()) & set(dir(value))


PROGRAM = """
import jax.numpy as jnp
import sciquax.numpy as np
import sciquax.scipy.stats.norm as norm
from jaxtyping import Float
from sciquax import Checked, NamedArray, Quantity

def speed(x: Checked[Quantity, "m"], t: Checked[Quantity, "s"]) -> Checked[Quantity, "m/s"]:
    return x / t

def rain(a: Checked[NamedArray, "city day"], b: Float[Checked[Quantity, "mm"], "3"]) -> NamedArray:
    return a + np.sum(b)

q = Quantity([1.0, 2.0], "m")
reveal_type(np.sum(q, axis=0))
reveal_type(np.shape(q))
reveal_type(np.zeros(3))
np.sinn(q)
np.sum(q, axes=0)
np.linalg.solve(q)
speed(3, q)
norm.pdf(0.0, scale=2.0)
"""


@pytest.mark.slow
def test_mypy_infers_and_finds_mistakes(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", "program.py"],
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
    )
    said = [line.removeprefix("program.py:") for line in done.stdout.splitlines()]
    assert [x.split("[")[0].strip() for x in said if "Possible" not in x and "def " not in x] == [
        '15: note: Revealed type is "sciquax.units._quantity.quantity.Quantity"',
        '16: note: Revealed type is "tuple',
        '17: note: Revealed type is "jax._src.basearray.Array"',
        '18: error: Module has no attribute "sinn"; maybe "sin"?',
        '19: error: Unexpected keyword argument "axes" for overloaded function "sum"',
        '19: error: No overload variant of "sum" matches argument types "Quantity", "int"',
        '20: error: Missing positional argument "b" in call to "solve"',
        '21: error: Argument 1 to "speed" has incompatible type "int"; expected "Quantity"',
    ]
