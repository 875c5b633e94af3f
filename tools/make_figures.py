"""Make the figures of the examples' gallery, and keep what they print: docs/figures/.

    python tools/make_figures.py [NAME ...]

Runs each example (or those named) with `--output`, in an environment with the `examples` extra, and
reduces the picture to 128 colours, so that it takes less than 80 kB.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image  # comes with matplotlib

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "docs" / "figures"
LIMIT = 80_000  # bytes
COLOURS = 128


def make(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        done = subprocess.run(
            [sys.executable, ROOT / "examples" / f"{name}.py", "--output", picture],
            cwd=folder,
            check=True,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        reduced = Image.open(picture).convert("RGB").quantize(COLOURS)
        reduced.save(FIGURES / f"{name}.png", optimize=True)
        printed = done.stdout.strip("\n")
        for path in (picture.resolve(), picture):
            printed = printed.replace(str(path), f"{name}.png")
        printed = printed.replace(f"{ROOT}{os.sep}", "")
    (FIGURES / f"{name}.txt").write_text(f"{printed}\n", encoding="utf-8")
    size = (FIGURES / f"{name}.png").stat().st_size
    print(f"docs/figures/{name}.png: {size / 1e3:.0f} kB")
    if size > LIMIT:
        sys.exit(f"{name}.png has {size} bytes; the limit is {LIMIT}.")


if __name__ == "__main__":
    FIGURES.mkdir(exist_ok=True)
    for name in sys.argv[1:] or sorted(file.stem for file in (ROOT / "examples").glob("*.py")):
        make(name)
