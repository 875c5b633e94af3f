"""What `mkdocs.yml` adds to pages while the site is built."""

import ast
import logging
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File  # pyright: ignore[reportMissingImports]

sys.path.insert(0, str(Path(__file__).parent))
import notebooks  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "docs" / "figures"
log = logging.getLogger("mkdocs.hooks.examples")


def on_files(files: Any, config: Any, **_: Any) -> None:
    """Execute the notebooks, and add a page for each, with its pictures."""
    for name, content in notebooks.pages().items():
        files.append(File.generated(config, f"notebooks/{name}", content=content))


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the gallery where a page says `<!-- examples -->`, and `make bench`'s plots, likewise.

    Links to notebooks, which GitHub shows, become links to their pages; downloads stay.
    """
    markdown = re.sub(r"(?<!this notebook\]\()(?<=\()([\w./-]+)\.ipynb\)", r"\1.md)", markdown)
    if "<!-- examples -->" in markdown:
        files = sorted((ROOT / "examples").glob("*.py"))
        markdown = markdown.replace("<!-- examples -->", "\n".join(map(example, files)))
    if "<!-- plots -->" in markdown:
        plots = sorted(FIGURES.glob("benchmarks-*.png"))
        shown = [f"![{plot.stem}](figures/{plot.name})" for plot in plots]
        markdown = markdown.replace("<!-- plots -->", "\n\n".join(shown))
    return markdown


def example(file: Path) -> str:
    """An example's docstring as a section, with its figure, what it prints, and its source."""
    source = file.read_text(encoding="utf-8")
    title, _, text = (ast.get_docstring(ast.parse(source)) or file.stem).partition("\n")
    figure, printed = f"figures/{file.stem}.png", FIGURES / f"{file.stem}.txt"
    for needed in (ROOT / "docs" / figure, printed):
        if not needed.exists():  # an error, since `make docs` is strict
            log.warning("%s is missing: python tools/make_figures.py %s", needed.name, file.stem)
            return f"## {title}\n"
    return "\n\n".join(
        [
            f"## {title.rstrip('.')}",
            text.strip(),
            f"![{title}]({figure})",
            folded("It prints", "text", printed.read_text(encoding="utf-8")),
            folded(f"examples/{file.name}", "python", source),
            "",
        ]
    )


def folded(title: str, language: str, text: str) -> str:
    """A block of code that a click opens."""
    lines = [f"    {line}".rstrip() for line in [f"```{language}", *text.splitlines(), "```"]]
    return "\n".join([f'??? example "{title}"', "", *lines])
