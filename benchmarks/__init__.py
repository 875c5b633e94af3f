"""Speed and memory, as ratios against plain JAX in one process: `python -m benchmarks`."""
