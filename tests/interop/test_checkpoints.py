"""Orbax checkpoints keep the whole type of values."""

import shutil
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sciquax.named import NamedArray
from sciquax.units import DimensionalityError, Quantity

from ..helpers import assert_same
from .stored_values import assert_equal, before, emptied, values

pytest.importorskip("orbax.checkpoint")
from sciquax.interop import orbax  # noqa: E402

X = jnp.array([1.5, 2.0])


@pytest.fixture(autouse=True)
def quiet():
    """Orbax warns of where arrays are restored to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="orbax")
        yield


def test_a_checkpoint_gives_back_every_type(tmp_path):
    more = {"key": jax.random.key(3), "n": 3, "f": 0.5, "text": "a", "none": None, "np": np.ones(2)}
    orbax.save(tmp_path / "all", {**values(), **more})
    like = {name: emptied(x) for name, x in values().items()}
    like |= {**more, "key": jax.random.key(0), "n": 0, "text": "b", "np": np.zeros(2)}
    back = orbax.restore(tmp_path / "all", like)
    for name, value in values().items():
        assert_equal(back[name], value)
    assert (jax.random.key_data(back["key"]) == jax.random.key_data(more["key"])).all()
    assert (back["n"], back["f"], back["text"], back["none"]) == (3, 0.5, "b", None)
    assert type(back["np"]) is np.ndarray and (back["np"] == 1).all()


def test_checkpoints_are_compared_and_converted(tmp_path, monkeypatch):
    tree = {"a": NamedArray(Quantity(X, "km"), ("x",)), "z": X}
    orbax.save(tmp_path / "a", tree)

    def restored(**like):
        return orbax.restore(tmp_path / "a", like)

    found = restored(a=NamedArray(Quantity(0 * X, "m"), ("x",)), z=0 * X)
    assert_same(found, {"a": NamedArray(Quantity(1000 * X, "m"), ("x",)), "z": X})
    for like, error, message in (
        (dict(a=NamedArray(Quantity(X, "s"), ("x",)), z=X), DimensionalityError,
         "At ['a'].array the checkpoint has a quantity in 'km', `like` one in 's'."),
        (dict(a=NamedArray(Quantity(X, "m"), ("y",)), z=X), ValueError,
         "At ['a'] the checkpoint has the dims ('x',), `like` ('y',)."),
        (dict(a=tree["a"], z=X.astype(jnp.bfloat16)), ValueError,
         "At ['z'] the checkpoint has f32[2], `like` bf16[2]."),
        (dict(m=tree["a"], z=X), ValueError,
         "At ['a'] the checkpoint has NamedArray(Quantity(f32[2])), `like` nothing.\n"
         "At ['m'] the checkpoint has nothing, `like` NamedArray(Quantity(f32[2]))."),
    ):  # fmt: skip
        with pytest.raises(error) as caught:
            restored(**like)
        assert caught.value.what() == message

    def fail(self, path, **kwargs):
        (path / "arrays").mkdir(parents=True)
        raise OSError("No space left.")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space left."):
        patched.setattr(orbax.ocp.Checkpointer, "save", fail)
        orbax.save(tmp_path / "a", {"z": X}, force=True)
    assert_same(restored(**tree), tree)
    orbax.save(tmp_path / "a", {}, force=True)
    assert [x.name for x in tmp_path.iterdir()] == ["a"]
    assert restored() == {}


def test_checkpoints_of_before(tmp_path):
    shutil.unpack_archive(
        Path(__file__).parent / "files" / "before_types_orbax.zip", tmp_path / "a"
    )
    tree = before()
    like = {**jax.tree.map(jnp.zeros_like, tree), "number": 0.0}
    told = "Keys, names, structure and units within values are taken from `like`"
    with pytest.warns(UserWarning, match=told):
        assert_same(orbax.restore(tmp_path / "a", like), tree)
    with pytest.warns(UserWarning, match=told):
        found = orbax.restore(tmp_path / "a", {**like, "x": Quantity(0 * X, "m")})
    assert_same(found["x"], Quantity(1000 * X, "m"))
    with pytest.warns(UserWarning, match=told), pytest.raises(DimensionalityError) as caught:
        orbax.restore(tmp_path / "a", {**like, "x": Quantity(0 * X, "s")})
    assert caught.value.what() == (
        "At ['x'] the checkpoint has a quantity in 'km', `like` one in 's'."
    )
