"""Settings and fixtures for every test: where JAX runs, how strict it is, and the seeds."""

import gc
import os
import random
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import tests.environment  # noqa: F401  # isort: skip  # before JAX is imported
import hypothesis
import jax
import numpy as np
import pytest

# JAX keeps millions of objects, which a full collection visits: seldom is often enough here.
gc.set_threshold(100_000, 50, 100)

# A test module may build arrays while it is imported, so these are set here, not in a fixture.
# A test of NumPy's own broadcasting or promotion relaxes them for itself, by the fixture `lenient`.
jax.config.update("jax_platforms", os.environ["JAX_PLATFORMS"])
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# No deadline, since an example's first run may compile. Derandomised, so that a run repeats;
# `--hypothesis-profile=explore` looks for new counterexamples.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--one-in",
        type=int,
        default=1,
        metavar="N",
        help="run one test in N, always the same ones",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import a file of tests that never says "slow" where only slow tests are to run."""
    if config.option.markexpr != "slow" or not collection_path.name.startswith("test_"):
        return None
    return "slow" not in collection_path.read_text(encoding="utf-8") or None


def pytest_collection_finish() -> None:
    """Leave what stays for the whole run out of the collections that tests of memory ask for."""
    gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    one_in = config.getoption("--one-in")
    kept, left_out = [], []
    for item in items:
        (left_out if zlib.crc32(item.nodeid.encode()) % one_in else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def _seed(request: pytest.FixtureRequest) -> int:
    """A seed of the test's own, the same in every process and whatever else runs."""
    return zlib.crc32(request.node.nodeid.encode())


@pytest.fixture(autouse=True)
def _seeded(request: pytest.FixtureRequest) -> None:
    """Seed Python's and NumPy's global generators, for libraries that draw from them."""
    seed = _seed(request)
    random.seed(seed)
    np.random.seed(seed)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A NumPy generator, seeded by the test's name."""
    return np.random.default_rng(_seed(request))


@pytest.fixture
def getkey(request: pytest.FixtureRequest) -> Callable[[], jax.Array]:
    """A function that returns a new JAX key at each call, seeded by the test's name."""
    keys = np.random.default_rng(_seed(request))

    def next_key() -> jax.Array:
        return jax.random.key(int(keys.integers(2**31)))

    return next_key


@pytest.fixture
def x64() -> Iterator[None]:
    """64-bit numbers during one test; elsewhere JAX's default, 32, holds."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def lenient() -> Iterator[None]:
    """NumPy's own broadcasting and promotion of dtypes, during one test."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def leak_check() -> Iterator[None]:
    """JAX reports tracers that outlive their trace, during one test.

    Not for every test: while it checks, JAX bypasses its own caches, and whether sciquax hits
    those caches is itself under test.
    """
    with jax.checking_leaks():
        yield
