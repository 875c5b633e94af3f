"""Copies and pickles of every type, within a process and across processes."""

import copy
import importlib
import multiprocessing
import os
import pickle
import subprocess
import sys

import pytest

from .stored_values import assert_equal, values

COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "pickle 2": lambda x: pickle.loads(pickle.dumps(x, 2)),
    "cloudpickle": lambda x: _through("cloudpickle", x),
    "dill": lambda x: _through("dill", x),
}


def _through(library, x):
    module = importlib.import_module(library)
    return (
        pickle.loads(module.dumps(x)) if library == "cloudpickle" else module.loads(module.dumps(x))
    )


@pytest.mark.parametrize("name", COPIES)
def test_copies(name):
    if name in ("cloudpickle", "dill"):
        pytest.importorskip(name)
    for value in values().values():
        assert_equal(COPIES[name](value), value)
    both = COPIES[name]([values()["Quantity"], values()["Quantity"]])
    assert both[0]._unit is values()["Quantity"]._unit


def test_a_spawned_process_gets_and_gives_every_type():
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        back = pool.apply_async(dict, (values(),)).get(120)
    for name, value in values().items():
        assert_equal(back[name], value)


FORK = """
import os, sys
import sciquax, sciquax.named, sciquax.structured, sciquax.sparse, sciquax.lora, sciquax.quantised
import sciquax.interop.json
from sciquax.units import Quantity
from jax._src.xla_bridge import backends_are_initialized
assert not backends_are_initialized()
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(Quantity(1.5, "km").to("m"), flush=True)
os._exit(7)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_process_forked_before_jax_starts_works():
    """JAX starts threads with its first array, which no fork takes along: importing makes none."""
    run = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stdout) == (7, "1500.0 meter\n"), run.stderr
