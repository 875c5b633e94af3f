"""Names and units leave nothing in a compiled program."""

import jax
import pytest

from benchmarks.named import opcodes, problems


@pytest.mark.parametrize("kind", ["named", "named quantities"])
def test_the_optimised_program_is_plain_jax(kind):
    with jax.numpy_rank_promotion("allow"):
        found = problems()
        plain, ours = opcodes(found["plain"]), opcodes(found[kind])
    assert sum(plain.values()) > 10
    assert ours == plain
