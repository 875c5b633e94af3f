"""How many files one call goes through: see "How one call travels" in CONTRIBUTING.md."""

import sys
from collections import defaultdict
from pathlib import Path

import jax.numpy as jnp
import pytest

import sciquax
from sciquax import quaxify
from sciquax.units import Quantity

HOME = str(Path(sciquax.__file__).parent)


def _file_of_ours(frame):
    """The innermost file of sciquax on the stack."""
    while frame is not None and not frame.f_code.co_filename.startswith(HOME):
        frame = frame.f_back
    return None if frame is None else frame.f_code.co_filename


@pytest.mark.same_everywhere
def test_a_call_enters_few_files():
    """Files, and stations: those that call into two or more others. Neither number may grow."""
    x, y = Quantity(jnp.array([1.0, 3.0]), "m"), Quantity(150.0, "cm")
    quaxify(lambda a, b: a + b)(x, y)  # what is done once a process
    called = defaultdict(set)

    def watch(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(HOME):
            file = frame.f_code.co_filename
            called[_file_of_ours(frame.f_back)].add(file)

    sys.setprofile(watch)
    try:
        quaxify(lambda a, b: a * b)(x, y)
    finally:
        sys.setprofile(None)
    files = set.union(*called.values())
    stations = [file for file, others in called.items() if file and len(others - {file}) > 1]
    assert len(files) <= 38, sorted(files)
    assert len(stations) <= 14, sorted(stations)
