"""All measurements, as Markdown: `python -m benchmarks`."""

import platform

import jax

from . import arrays, dispatch, eager, importing, named, structured, tracing
from ._timing import HEADER


def main() -> None:
    print(
        f"Python {platform.python_version()}, JAX {jax.__version__}, "
        f"{jax.devices()[0].platform}, {platform.machine()}\n"
    )
    print(f"`import sciquax` after `import jax, equinox`: {importing.run() * 1e3:.0f} ms\n")
    print(HEADER)
    for module in (eager, dispatch, tracing, named, arrays, structured):
        for ratio in module.run():
            print(ratio.row(), flush=True)
    print(
        "\n| optimised program | instructions | ours | flops | ours | |\n|---|---|---|---|---|---|"
    )
    for row in (*tracing.identity(), *named.identity()):
        print(row, flush=True)


if __name__ == "__main__":
    main()
