"""Files of `sciquax.interop.equinox` keep the whole type of values."""

import io
import itertools
import json as stdlib_json
import re
import zlib
from collections import OrderedDict
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sciquax._files.comparison import check
from sciquax._files.descriptions import describe
from sciquax.core import is_value
from sciquax.interop.equinox import (
    StoredTypeError,
    deserialise_filter_spec,
    serialise_filter_spec,
    tree_deserialise_leaves,
    tree_serialise_leaves,
)
from sciquax.lora import LoraArray
from sciquax.named import NamedArray
from sciquax.sparse import BCOO
from sciquax.structured import BidiagonalMatrix, CirculantMatrix, DiagonalMatrix, TridiagonalMatrix
from sciquax.units import DimensionalityError, Quantity

from ..helpers import assert_raises, assert_same
from .stored_values import assert_equal, before, classes_due, classes_within, emptied, values

FILES = Path(__file__).parent / "files"
X = jnp.array([1.5, 2.0])
A = jnp.arange(6.0).reshape(2, 3)


def stored(tree):
    file = io.BytesIO()
    tree_serialise_leaves(file, tree)
    file.seek(0)
    return file


def reread(tree, like):
    return tree_deserialise_leaves(stored(tree), like)


def test_every_type_is_among_the_values():
    known = set().union(*map(classes_within, values().values()))
    assert classes_due() <= known


def test_equinox_gives_back_every_type():
    back = reread(values(), {name: emptied(x) for name, x in values().items()})
    for name, value in values().items():
        assert_equal(back[name], value)


def test_equinox_function_by_function():
    file = io.BytesIO()
    eqx.tree_serialise_leaves(file, values(), serialise_filter_spec, is_leaf=is_value)
    file.seek(0)
    like = {name: emptied(x) for name, x in values().items()}
    # `eqx.tree_deserialise_leaves` compares leaves that it knows; ours it cannot.
    for name in sorted(like):
        assert_equal(deserialise_filter_spec(file, like[name]), values()[name])


def test_no_type_is_read_as_another():
    """Whatever two values differ in, structure or shapes, the description differs."""
    nodes = {n: stdlib_json.loads(stdlib_json.dumps(describe(x)[0])) for n, x in values().items()}
    names = [*values()]
    for (i, one), (j, other) in itertools.product(enumerate(names), repeat=2):
        node, like = nodes[one], values()[other]
        if type(values()[one]) is not type(like) and j != (i + 1) % len(names):
            continue
        if is_convertible(values()[one], like):
            check(node, like, "file")
        else:
            with pytest.raises((StoredTypeError, DimensionalityError)):
                check(node, like, "file")
                raise AssertionError(f"{one} into {other}")


def is_convertible(x, y):
    """The same but for units of one dimension."""
    if type(x) is Quantity and type(y) is Quantity:
        alike = x._unit.compatible(y._unit)
        return (
            alike
            and (not is_value(x.m) or not is_value(y.m)) == (not is_value(y.m))
            and (is_convertible(x.m, y.m))
        )
    if is_value(x) != is_value(y):
        return False
    leaves = [[(np.shape(v), str(v.dtype)) for v in jax.tree.leaves(z)] for z in (x, y)]
    return jax.tree.structure(x) == jax.tree.structure(y) and leaves[0] == leaves[1]


KM = NamedArray(Quantity(A, "km"), ("x", "y"))
LORA = eqx.tree_at(
    lambda w: w.b, LoraArray(Quantity(A, "km"), rank=1, key=jax.random.key(0)), jnp.ones((1, 3))
)


@pytest.mark.parametrize(
    "tree, like, message",
    [
        (KM, NamedArray(Quantity(A, "s"), ("x", "y")),
         "At .array the file has a quantity in 'km', `like` one in 's'."),
        (KM, NamedArray(Quantity(A.T, "km"), ("y", "x")),
         "The file has the dims ('x', 'y'), `like` ('y', 'x').\n"
         "At .array.magnitude the file has f32[2,3], `like` f32[3,2]."),
        (KM, Quantity(A, "km"),
         "The file has NamedArray(Quantity(f32[2,3])), `like` Quantity(f32[2,3])."),
        ({"w": Quantity(X, "m")}, {"w": X},
         "At ['w'] the file has Quantity(f32[2]), `like` f32[2]."),
        (BCOO(Quantity(X, "km"), jnp.zeros((2, 1), int), (3,)),
         BCOO(Quantity(X, "s"), jnp.zeros((2, 1), int), (3,)),
         "At .data the file has a quantity in 'km', `like` one in 's'."),
        (LORA, eqx.tree_at(lambda w: w.weight, LORA, Quantity(A, "s")),
         "At .weight the file has a quantity in 'km', `like` one in 's'."),
        (DiagonalMatrix(X), CirculantMatrix(X),
         "The file has DiagonalMatrix(f32[2]), `like` CirculantMatrix(f32[2])."),
        (BidiagonalMatrix(X, X[:1], lower=True), BidiagonalMatrix(X, X[:1]),
         "At .lower the file has True, `like` False."),
        (DiagonalMatrix(X, properties={"positive_definite"}), DiagonalMatrix(X),
         "At .properties the file has {'hermitian', 'positive_definite'}, `like` {}."),
        ({"a": X, "z": X}, {"m": X, "n": X},
         "At ['a'] the file has f32[2], `like` nothing.\n"
         "At ['z'] the file has f32[2], `like` nothing.\n"
         "At ['m'] the file has nothing, `like` f32[2].\n"
         "At ['n'] the file has nothing, `like` f32[2]."),
        ([X, X, X], [X, X], "At [2] the file has f32[2], `like` nothing."),
        ({"n": 2}, {"n": 2.0}, "At ['n'] the file has a Python int, `like` a Python float."),
        ({"n": X}, {"n": X.astype(jnp.float16)},
         "At ['n'] the file has f32[2], `like` f16[2]."),
        (Quantity(1.2345678, "km"), Quantity(jnp.int32(1), "m"),
         "At .magnitude the file has f32[], `like` i32[]."),
        (NamedArray(X, ("t",), {"t": [0.0, 1.0]}), NamedArray(X, ("t",), {"t": [0.0, 2.0]}),
         "The file has the coordinates [0.0, 1.0] along 't', `like` the coordinates [0.0, 2.0]."),
        (NamedArray(X, ("t",), {"t": [0.0, 1.0]}), NamedArray(X, ("t",)),
         "The file has the coordinates [0.0, 1.0] along 't', `like` no coordinates."),
        (jax.random.key(0), jax.random.key(0, impl="rbg"),
         "The file has key<fry>[], `like` key<rbg>[]."),
    ],
)  # fmt: skip
def test_what_differs_is_refused_by_its_place(tree, like, message):
    file = stored(tree)
    with pytest.raises((StoredTypeError, DimensionalityError)) as caught:
        tree_deserialise_leaves(file, like)
    assert caught.value.what() == message
    assert caught.value.location.file == __file__


def test_many_differences_are_counted():
    with pytest.raises(StoredTypeError, match="There are 4 more differences"):
        reread(list(range(12)), [0.0] * 12)


def test_units_are_converted_within_whatever_holds_them():
    like = NamedArray(Quantity(jnp.zeros((2, 3)), "m"), ("x", "y"))
    assert_same(reread(KM, like), NamedArray(Quantity(A * 1000, "m"), ("x", "y")))
    sparse = values()["BCOO(Quantity)"]
    like = eqx.tree_at(lambda a: a.data, sparse, Quantity(jnp.zeros(2), "mm"))
    assert_same(reread(sparse, like), eqx.tree_at(lambda a: a.data, sparse, sparse.data.to("mm")))
    like = eqx.tree_at(lambda w: w.weight, LORA, Quantity(jnp.zeros((2, 3)), "m"))
    found = reread(LORA, like)
    assert_same(found, eqx.tree_at(lambda w: w.weight, LORA, Quantity(A * 1000, "m")))
    matrix = Quantity(TridiagonalMatrix(X[:1], X, X[:1]), "km")
    found = reread(matrix, emptied(matrix.to("m")))
    assert_same(found, Quantity(TridiagonalMatrix(X[:1] * 1000, X * 1000, X[:1] * 1000), "m"))
    # The diagonal would not be of ones.
    ones = TridiagonalMatrix(X[:1], X * 0 + 1, X[:1], properties={"unit_diagonal"})
    with pytest.raises(StoredTypeError) as caught:
        reread(Quantity(ones, "km"), Quantity(ones, "m"))
    assert caught.value.what() == (
        "The file has a quantity in 'km' that is to be in 'm', and a TridiagonalMatrix would not "
        "be one then."
    )
    assert_same(reread(Quantity(21.5, "degC"), Quantity(0.0, "kelvin")), Quantity(294.65, "K"))
    level = reread(Quantity(30.0, "dBm"), Quantity(0.0, "W"))
    assert_same(level, Quantity(1.0, "W"))
    coordinates = values()["coordinates"]
    other = coordinates.assign_coords(x=coordinates.coord("x").array.to("cm"))
    assert_equal(reread(coordinates, emptied(other)), other)
    half = reread(Quantity(jnp.float16(1.5), "km"), Quantity(jnp.float16(0), "m"))
    assert_same(half, Quantity(jnp.float16(1500), "m"))
    assert_same(
        reread(Quantity(jnp.complex64(1 + 2j), "kV"), Quantity(jnp.complex64(0), "V")),
        Quantity(jnp.complex64(1000 + 2000j), "V"),
    )


@pytest.mark.parametrize(
    "number, source, target, expected",
    [
        (np.int32(3), "km", "m", 3000),
        (np.int32(-3), "km", "m", -3000),
        (np.int32(2147483), "km", "m", 2147483000),
        (np.int32(2147484), "km", "m", None),
        (np.int32(-2147484), "km", "m", None),
        (np.int32(3000), "m", "km", 3),
        (np.int32(-3000), "m", "km", -3),
        (np.int32(3001), "m", "km", None),
        (np.int8(1), "km", "m", None),
        (np.int8(0), "km", "m", 0),
        (np.uint8(2), "minute", "s", 120),
        (np.uint8(5), "minute", "s", None),
        (np.int32(1), "inch", "cm", None),
        (np.int32(20), "degC", "K", None),
        (np.bool_(True), "km", "m", None),
        (np.float16(100), "km", "m", None),
        (np.float16(np.inf), "km", "m", np.inf),
        (np.float32(1e38), "km", "m", None),
    ],
)
def test_numbers_that_the_dtype_cannot_hold_are_refused(number, source, target, expected):
    held, like = Quantity(jnp.asarray(number), source), Quantity(jnp.zeros_like(number), target)
    if expected is not None:
        assert_same(reread(held, like), Quantity(jnp.asarray(expected, number.dtype), target))
        return
    message = (
        f"The file has a quantity in '{held._unit}' that is to be in '{like._unit}', which "
        f"{number.dtype.name} cannot hold."
    )
    with pytest.raises(StoredTypeError, match=f"^{re.escape(message)}"):
        reread(held, like)


def test_keys_are_matched_and_not_their_order():
    tree = OrderedDict(z=X, a=2 * X)
    assert_same(reread(tree, {"a": X, "z": X}), {"a": 2 * X, "z": X})


def test_what_is_no_array_is_taken_from_like():
    model = eqx.nn.MLP(2, 2, 4, 1, key=jax.random.key(0))
    tree = {"model": model, "text": "a", "key": jax.random.key(3), "none": None, "n": True}
    like = {**tree, "model": emptied_model(model), "text": "b", "key": jax.random.key(0)}
    found = reread(tree, like)
    assert eqx.tree_equal(found["model"], model) and found["text"] == "b" and found["n"] is True
    assert (jax.random.key_data(found["key"]) == jax.random.key_data(tree["key"])).all()
    shapes = eqx.filter_eval_shape(lambda: tree)
    assert eqx.tree_equal(reread(tree, shapes)["model"], model)


def emptied_model(model):
    return jax.tree.map(lambda x: 0 * x if eqx.is_array(x) else x, model)


def test_a_write_that_fails_leaves_the_file(tmp_path):
    path = tmp_path / "state.eqx"
    tree_serialise_leaves(str(path.with_suffix("")), {"x": Quantity(X, "km")})
    path.chmod(0o600)
    before = path.read_bytes()
    objects = {"x": X, "y": np.array([None, 1])}
    with pytest.raises(TypeError, match="A file cannot hold arrays of the dtype 'object'"):
        tree_serialise_leaves(path, objects)

    with pytest.raises(Exception):  # noqa: B017  # whatever the device says
        deleted = X + 1
        deleted.delete()
        tree_serialise_leaves(path, {"x": X, "y": deleted})
    assert path.read_bytes() == before and [*tmp_path.iterdir()] == [path]
    tree_serialise_leaves(path, {"x": Quantity(2 * X, "km")})
    assert path.stat().st_mode & 0o777 == 0o600 and [*tmp_path.iterdir()] == [path]
    found = tree_deserialise_leaves(path.with_suffix(""), {"x": Quantity(X, "m")})
    assert_same(found, {"x": Quantity(2000 * X, "m")})


def edited(whole, old, new):
    """A file with something else in its description."""
    length = int.from_bytes(whole[8:16], "little")
    text = zlib.decompress(whole[16 : 16 + length]).decode()
    assert old in text
    text = zlib.compress(text.replace(old, new).encode())
    return whole[:8] + len(text).to_bytes(8, "little") + text + whole[16 + length :]


def test_damaged_files_are_refused():
    whole = stored({"x": Quantity(X, "km"), "n": 3}).getvalue()
    like = {"x": Quantity(X, "km"), "n": 0}
    for length in range(1, len(whole), 17):
        with pytest.raises(StoredTypeError):
            tree_deserialise_leaves(io.BytesIO(whole[:length]), like)
    newer = edited(whole, '"version": 1', '"version": 2')

    def call():
        return tree_deserialise_leaves(io.BytesIO(newer), like)

    assert_raises(
        StoredTypeError,
        call,
        "The file is of format 2, and this release reads up to 1.\n"
        "Read it with the release of sciquax that wrote it, or a later one.",
    )
    undefined = edited(whole, '"kilometer"', '"kilosmoot"')
    with pytest.raises(StoredTypeError, match="a unit that cannot be read.*'kilosmoot' is not"):
        tree_deserialise_leaves(io.BytesIO(undefined), like)
    redefined = edited(whole, "1000.0", "1001.0")
    with pytest.raises(StoredTypeError, match="'kilometer' was stored as 1001.0 meter, and is"):
        tree_deserialise_leaves(io.BytesIO(redefined), like)


# -- files of before ------------------------------------------------------------------------------


def test_equinox_files_of_before():
    tree = before()
    like = {**jax.tree.map(jnp.zeros_like, tree), "number": 0.0}
    path = FILES / "before_types.eqx"
    told = "Their types, units and names are taken from `like`.*\\['named'\\] NamedArray"
    with pytest.warns(UserWarning, match=told):
        assert_same(tree_deserialise_leaves(path, like), tree)
    in_metres = {**like, "x": Quantity(jnp.zeros(2), "m")}
    with pytest.warns(UserWarning, match=told):
        assert_same(tree_deserialise_leaves(path, in_metres)["x"], Quantity(1000 * X, "m"))
    for wrong, error, message in (
        (Quantity(X, "s"), DimensionalityError, "At \\['x'\\] the file has a quantity in 'km'"),
        (Quantity(jnp.zeros(2, int), "m"), StoredTypeError, "At \\['x'\\] the file has f32"),
    ):
        with pytest.warns(UserWarning, match=told), pytest.raises(error, match=message):
            tree_deserialise_leaves(path, {**like, "x": wrong})
    with pytest.warns(UserWarning, match=told), pytest.raises(StoredTypeError, match="more leaves"):
        tree_deserialise_leaves(path, {k: x for k, x in like.items() if k != "x"})
