"""Values in JSON."""

import json as stdlib_json
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from sciquax.interop import json as sq_json
from sciquax.sparse import BCOO
from sciquax.units import Quantity, UndefinedUnitError

from ..helpers import assert_same
from .stored_values import assert_equal, values

FILES = Path(__file__).parent / "files"


def test_json_gives_back_every_type():
    text = stdlib_json.dumps(values(), default=sq_json.encode)
    back = stdlib_json.loads(text, object_hook=sq_json.decode)
    for name, value in values().items():
        assert_equal(back[name], value)


def test_json_of_before():
    text = (FILES / "before_types.json").read_text(encoding="utf-8")
    assert_same(
        stdlib_json.loads(text, object_hook=sq_json.decode),
        [
            Quantity(jnp.array([1.5, 2.0]), "km"),
            Quantity(jnp.array([[1 + 2j]]), "V"),
            Quantity(jnp.zeros((0, 3), jnp.int8), "s"),
            Quantity(jnp.array([0.5], jnp.bfloat16), ""),
            Quantity(jnp.int32(3), "m"),
        ],
    )


def quantity(**item):
    return {"__quantity__": "m", "dtype": "float32", "magnitude": 1.0, **item}


@pytest.mark.parametrize(
    "item, message",
    [
        (quantity(__quantity__=None), "A quantity in JSON has the unit None, which is not text."),
        (quantity(dtype="int32", magnitude=1.5), "A number in JSON is 1.5, which is no int32."),
        (quantity(dtype="int8", magnitude=[1, 300]), "A number in JSON is 300, which is no int8."),
        (quantity(dtype="uint8", magnitude=-1), "A number in JSON is -1, which is no uint8."),
        (quantity(magnitude=1e39), "A number in JSON is 1e+39, which is no float32."),
        (quantity(magnitude=[1.0, None]), "A number in JSON is None, which is no float32."),
        (quantity(magnitude=True), "A number in JSON is True, which is no float32."),
        (quantity(dtype="bool"), "A number in JSON is 1.0, which is no bool."),
        (quantity(dtype="int64", magnitude=2**40),
         "A number in JSON is 1099511627776, which is no int32."),
        (quantity(dtype="complex64", magnitude=[1, 2, 3]), "A complex number in JSON is a pair."),
        (quantity(dtype="object"), "JAX has no arrays of 'object'."),
        (quantity(shape=[2]), "Numbers in JSON have the shape [2], by their lists []."),
        (quantity(dtype=None),
         "A quantity in JSON has `magnitude` and the name of a dtype, not {'__quantity__': 'm', "
         "'dtype': None}."),
        ({"__quantity__": "m", "dtype": "int8"},
         "A quantity in JSON has `magnitude` and the name of a dtype, not {'__quantity__': 'm', "
         "'dtype': 'int8'}."),
        ({"__value__": "os.system", "version": 1, "static": {}, "fields": {}},
         "The text has no 'os.system': No type of values is called 'os.system' here: import the "
         "module that defines it."),
        ({"__value__": "sciquax.zero.Zero", "version": 2},
         "A value in JSON is of format 2; this reads 1."),
    ],
)  # fmt: skip
def test_json_refuses(item, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        stdlib_json.loads(stdlib_json.dumps(item), object_hook=sq_json.decode)


def test_json_refuses_undefined_units_and_what_no_text_holds():
    with pytest.raises(UndefinedUnitError):
        sq_json.decode(quantity(__quantity__="smoot"))
    rows, columns = np.indices((60, 60))
    matrix = BCOO(jnp.ones(3600), jnp.stack([rows.ravel(), columns.ravel()], -1), (60, 60))
    with pytest.raises(TypeError, match="`layout` of a BCOO cannot be in JSON: a RowLayout is"):
        stdlib_json.dumps(matrix, default=sq_json.encode)


def test_json_keeps_every_complex_number():
    q = Quantity(np.array([complex(1, np.inf), complex(-0.0, 0.0), 2j], np.complex64), "V")
    text = stdlib_json.dumps(q, default=sq_json.encode)
    back = stdlib_json.loads(text, object_hook=sq_json.decode)
    assert np.asarray(back.m).tobytes() == np.asarray(q.m).tobytes()
