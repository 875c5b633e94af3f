"""Puts into the environment what JAX reads when it is imported; `conftest.py` imports this first.

What the environment says already stands: `JAX_PLATFORMS=cuda` runs the tests on a GPU, and
`JAX_ENABLE_COMPILATION_CACHE=0` compiles everything anew.
"""

import os
import platform
import shutil
import time
import zlib
from importlib.metadata import version
from pathlib import Path

# Eight devices out of one processor, for the tests of sharding; and machine code that LLVM does not
# optimise, which compiles in four fifths of the time. XLA's own passes all run, so that programs
# compared after optimisation are what users get.
_FLAGS = ["--xla_force_host_platform_device_count=8", "--xla_backend_optimization_level=0"]
# Kernels without MLIR compile in half of the time, and may round the last bits otherwise. Releases
# after 0.10 have no such kernels.
PLAIN_KERNELS = version("jaxlib").startswith("0.10.")
if PLAIN_KERNELS:
    _FLAGS.append("--xla_cpu_use_fusion_emitters=false")
_DAYS = 14


def _processor() -> str:
    """What machine code may depend on, so that no processor is given another's."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    known = {line for line in lines if line.startswith(("flags", "Features", "model name"))}
    return f"{zlib.crc32(repr((platform.platform(), sorted(known))).encode()):08x}"


def _compilation_cache() -> Path:
    """The folder where JAX keeps compiled programs from one run of the tests to the next.

    Half of the time of a run is XLA's, compiling programs that have not changed. What is older than
    two weeks is deleted.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = home / "sciquax-tests" / _processor() / time.strftime("%Y-%m")
    folder.mkdir(parents=True, exist_ok=True)
    for other in folder.parent.iterdir():
        if time.time() - other.stat().st_mtime > _DAYS * 86400:
            shutil.rmtree(other, ignore_errors=True)
    return folder


os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_TRACEBACK_FILTERING", "off")  # a failing test shows all frames
_given = os.environ.get("XLA_FLAGS", "")
_added = [flag for flag in _FLAGS if flag.partition("=")[0] not in _given]
os.environ["XLA_FLAGS"] = " ".join([*_given.split(), *_added])
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_compilation_cache())
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
