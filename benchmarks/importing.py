"""What `import sciquax` adds to `import jax, equinox`, in fresh processes."""

import statistics
import subprocess
import sys

_PROGRAM = """
import time, jax, equinox
start = time.perf_counter()
import sciquax
print(time.perf_counter() - start)
import sys
assert "pint" not in sys.modules and "plum" not in sys.modules
"""


def run(rounds: int = 5) -> float:
    """The median, in seconds."""
    times = [
        float(
            subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, check=True).stdout
        )
        for _ in range(rounds)
    ]
    return statistics.median(times)
