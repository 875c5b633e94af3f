"""Make the figures of the guides and of the examples' gallery, in docs/figures/.

    python tools/make_figures.py [NAME ...]

A guide's figures are what its own code draws: `docs/units.md` shows `figures/units.png` after the
block that draws it. An example is run with `--output`, and what it prints is kept beside its
picture. Without names, makes all of them; needs an environment with the extras `test` and
`examples`. Pictures are reduced to 256 colours, and must take less than 100 kB.
"""

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image  # comes with matplotlib
from run_readme import blocks, run

ROOT = Path(__file__).resolve().parent.parent
DOCS, EXAMPLES = ROOT / "docs", ROOT / "examples"
FIGURES = DOCS / "figures"
LIMIT = 100_000  # bytes
COLOURS = 256
EIGHT_DEVICES = "--xla_force_host_platform_device_count=8"  # of docs/devices.md
SHOWN = re.compile(r"^!\[[^\]]*\]\(figures/([\w-]+\.png)\)$", re.MULTILINE)


def reduce(picture: str | Path | io.BytesIO, name: str) -> None:
    """Write a picture to docs/figures/."""
    path = FIGURES / name
    Image.open(picture).convert("RGB").quantize(COLOURS).save(path, optimize=True)
    size = path.stat().st_size
    print(f"docs/figures/{name}: {size / 1e3:.0f} kB")
    if size > LIMIT:
        sys.exit(f"{name} has {size} bytes; the limit is {LIMIT}.")


def draw_page(page: Path) -> None:
    """Run a page's code; each block that draws has its picture below it."""
    from matplotlib import pyplot as plt

    text = page.read_text(encoding="utf-8")
    names = iter(SHOWN.findall(text))
    last = text.count("\n", 0, [found.start() for found in SHOWN.finditer(text)][-1])
    namespace: dict[str, object] = {}
    plt.show = lambda: None
    for block in blocks(text):
        if block.language == "python" and block.line < last:
            namespace = namespace if block.continued else {"__name__": "__main__"}
            run(page, block, namespace)
            if plt.get_fignums():
                drawn = io.BytesIO()
                plt.savefig(drawn, dpi=180)
                plt.close("all")
                reduce(drawn, next(names))


def draw_example(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        done = subprocess.run(
            [sys.executable, EXAMPLES / f"{name}.py", "--output", picture],
            cwd=folder,
            check=True,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        reduce(picture, f"{name}.png")
        printed = done.stdout.strip("\n")
        for path in (picture.resolve(), picture):
            printed = printed.replace(str(path), f"{name}.png")
        printed = printed.replace(f"{ROOT}{os.sep}", "")
    (FIGURES / f"{name}.txt").write_text(f"{printed}\n", encoding="utf-8")


def main(names: list[str]) -> None:
    os.environ["MPLBACKEND"] = "Agg"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {EIGHT_DEVICES}"
    examples = [file.stem for file in sorted(EXAMPLES.glob("*.py"))]
    pages = [x.stem for x in sorted(DOCS.glob("*.md")) if SHOWN.search(x.read_text("utf-8"))]
    for name in names or pages + examples:
        if name in examples:
            draw_example(name)
        else:
            draw_page(DOCS / f"{name}.md")


if __name__ == "__main__":
    main(sys.argv[1:])
