"""The closure table of `docs/structured.md` is what the code does."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sciquax import quaxify
from sciquax.core import RuleError
from tests.structured.specimens import SPECIMENS, N

PAGE = Path(__file__).parents[2] / "docs" / "structured.md"
NAMES = {
    "Identity": "identity", "Diagonal": "diagonal", "Bidiagonal": "upper bidiagonal",
    "Tridiagonal": "tridiagonal", "Banded": "banded", "Triangular": "lower triangular",
    "Toeplitz": "toeplitz", "Circulant": "circulant", "BlockDiagonal": "block diagonal",
    "BlockTridiagonal": "block tridiagonal", "Block": "blocks apart",
    "CyclicTridiagonal": "cyclic tridiagonal", "CyclicBanded": "cyclic banded",
    "Kronecker": "kronecker", "KroneckerSum": "kronecker sum",
    "LowRankPlusDiagonal": "low rank", "Permutation": "permutation",
}  # fmt: skip
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text().splitlines()
    if line.count("|") == 8 and line.strip("|").split("|")[0].strip() in NAMES
]
d = jnp.arange(1.0, N + 1)
COLUMNS = [
    [lambda A: A + A],
    [lambda A: A @ A],
    [lambda A: A * A],
    [lambda A: A + jnp.diag(d), lambda A: jnp.diag(d) @ A],
    [jnp.linalg.inv],
    [lambda A: jnp.linalg.cholesky(A)],
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_table(row):
    specimen = next(x for x in SPECIMENS if x.name == NAMES[row[0]])
    with jax.numpy_rank_promotion("allow"):
        matrix = specimen.make(np.random.default_rng(0))
    for cell, programs in zip(row[1:], COLUMNS, strict=True):
        if programs is COLUMNS[-1] and row[0] == "Kronecker":  # else refused
            matrix = jax.tree.map(lambda x: x @ x.T, matrix)
        wanted = cell.split(", ")
        wanted = wanted * len(programs) if len(wanted) == 1 else wanted
        for name, program in zip(wanted, programs, strict=True):
            if name == "refused":
                with pytest.raises(RuleError):
                    quaxify(program)(matrix)
                continue
            name = row[0] if name == "same" else name
            assert type(quaxify(program)(matrix)).__name__ == f"{name}Matrix", (row[0], program)


def test_every_type_is_listed():
    assert [row[0] for row in ROWS] == list(NAMES)
