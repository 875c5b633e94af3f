"""Whole texts of every value: its representation, in a printed tree, in notebooks, in LaTeX."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from sciquax.core import is_value
from sciquax.named import NamedArray
from sciquax.quantised import quantise
from sciquax.units import Quantity

from .displays import PAGE, dora, section, shown
from .stored_values import values

TEXTS = {text.partition("\n")[0]: text for text in PAGE.read_text("utf-8").strip().split("\n\n## ")}


@pytest.mark.same_everywhere  # but for where pint's older releases break lines of HTML
def test_every_value():
    """Written by `python -m tests.interop.displays`, and read through."""
    assert [name.removeprefix("## ") for name in TEXTS] == [*shown()]
    for (name, value), text in zip(shown().items(), TEXTS.values(), strict=True):
        assert section(name, value).removeprefix("## ") == text.removeprefix("## ")
        assert eqx.tree_pformat(value, width=500).count("\n") == 0


def test_within_jit():
    """Shapes instead of numbers."""
    seen = []

    @jax.jit
    def f(*values):
        for x in values:
            seen.append([repr(x), eqx.tree_pformat(x), x._repr_html_()])
            seen[-1] += [x._repr_latex_()] if hasattr(x, "_repr_latex_") else []

    tridiagonal = values()["TridiagonalMatrix"]
    f(Quantity(tridiagonal, "m"), dora(), NamedArray(jnp.ones(3), ("x",), {"x": ["a", "b", "c"]}))
    inner = "TridiagonalMatrix(lower_diag=f32[3], main_diag=f32[4], upper_diag=f32[3])"
    text = "DoraArray(LoraArray(QuantisedArray(nf4, f32[4,4]), rank=1))"
    assert seen == [
        [f"Quantity({inner}, 'm')", "Quantity(TridiagonalMatrix(f32[4,4]), 'm')",
         f"<code>{inner}</code> m", None],
        [text, text, f"<div><code>{text}</code></div>"],
        ["NamedArray(f32[x=3])\nx: a to c", "NamedArray(f32[x=3])",
         "<div><code>NamedArray(f32[x=3])</code><table><tr><th>axis</th><th>size</th>"
         "<th>coordinates</th></tr><tr><td><b>x</b></td><td>3</td><td>a to c</td></tr></table>"
         "</div>"],
    ]  # fmt: skip


def test_filtered():
    """What `eqx.filter` took arrays from is shown without them, and never fails."""
    for value in values().values():
        empty = eqx.filter(value, lambda x: False)
        assert empty._repr_html_()
        for text in (repr(empty), eqx.tree_pformat(empty)):
            assert type(empty).__name__ in text


def test_trees():
    layer = eqx.nn.Linear(3, 2, key=jax.random.key(0))
    layer = eqx.tree_at(lambda m: m.weight, layer, quantise(layer.weight, axis=0))
    assert eqx.tree_pformat({"layer": layer, "g": Quantity(9.81, "m/s**2")}) == (
        "{\n  'layer':\n  Linear(\n    weight=QuantisedArray(int8, f32[2,3]),\n    bias=f32[2],\n"
        "    in_features=3,\n    out_features=2,\n    use_bias=True\n  ),\n"
        "  'g': Quantity(f32[], 'm/s**2')\n}"
    )
    scales = eqx.filter(layer, lambda x: x.ndim == 2 and x.dtype == jnp.float32).weight
    assert is_value(scales) and repr(scales) == "QuantisedArray(...)"
    assert eqx.tree_pformat(scales, width=200) == (
        "QuantisedArray(codes=None, scale=f32[2,1], zero_point=None, master=None, "
        "input_scale=None, format='int8', block_size=0, _dtype=dtype('float32'), _observer=None)"
    )
