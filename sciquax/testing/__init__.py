"""Helpers for tests of programs that use quantities, named arrays and structured matrices."""

from ._compare import approx as approx, assert_allclose as assert_allclose
