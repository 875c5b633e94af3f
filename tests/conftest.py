"""Settings and fixtures for every test: where JAX runs, how strict it is, and the seeds."""

import gc
import os
import platform
import random
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

# Before JAX is imported, and for the subprocesses that tests start. JAX_PLATFORMS=cuda in the
# environment runs the tests on a GPU instead.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

# Eight devices out of one processor, for the tests of sharding; and machine code that LLVM does not
# optimise, which compiles in four fifths of the time. XLA's own passes all run, so that programs
# compared after optimisation are what users get.
for flag in ("--xla_force_host_platform_device_count=8", "--xla_backend_optimization_level=0"):
    if flag.split("=")[0] not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".lstrip()


def _processor() -> str:
    """What machine code may depend on, so that a cache is not read on another processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    known = {line for line in lines if line.startswith(("flags", "Features", "model name"))}
    return f"{zlib.crc32(repr((platform.platform(), sorted(known))).encode()):08x}"


def _compilation_cache() -> Path:
    """Where compiled programs are kept from one run of the tests to the next.

    More than half of a run's time is XLA's, compiling programs that did not change. What no run has
    asked for in two weeks is deleted. `JAX_COMPILATION_CACHE_DIR=` (empty) turns this off.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = home / "sciquax-tests" / _processor()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_compilation_cache())
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# JAX keeps millions of objects, which a full collection visits: seldom is often enough here.
gc.set_threshold(100_000, 50, 100)

import hypothesis
import jax
import numpy as np
import pytest

# A test module may build arrays while it is imported, so these are set here, not in a fixture.
# A test of NumPy's own broadcasting or promotion relaxes them for itself, with
# `jax.numpy_rank_promotion("allow")` or `jax.numpy_dtype_promotion("standard")`.
jax.config.update("jax_platforms", os.environ["JAX_PLATFORMS"])
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# No deadline, since an example's first run may compile. Derandomised, so that a run repeats;
# `--hypothesis-profile=explore` looks for new counterexamples.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("repeatable")


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
def leak_check() -> Iterator[None]:
    """JAX reports tracers that outlive their trace, during one test.

    Not for every test: while it checks, JAX bypasses its own caches, and whether sciquax hits
    those caches is itself under test.
    """
    with jax.checking_leaks():
        yield
