"""What `mkdocs.yml` adds to pages while the site is built."""

import ast
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the gallery of examples where a page says `<!-- examples -->`."""
    if "<!-- examples -->" not in markdown:
        return markdown
    files = sorted((ROOT / "examples").glob("*.py"))
    return markdown.replace("<!-- examples -->", "\n".join(map(example, files)))


def example(file: Path) -> str:
    """An example's docstring as a section, with its figure if there is one, and its source."""
    source = file.read_text(encoding="utf-8")
    title, _, text = (ast.get_docstring(ast.parse(source)) or file.stem).partition("\n")
    figure = f"figures/{file.stem}.png"
    shown = f"![{title}]({figure})" if (ROOT / "docs" / figure).exists() else ""
    code = "\n".join(f"    {line}".rstrip() for line in ["```python", *source.splitlines(), "```"])
    return (
        f"## {title.rstrip('.')}\n\n`python examples/{file.name}`\n\n{text.strip()}\n\n{shown}\n\n"
        f'??? example "examples/{file.name}"\n\n{code}\n'
    )
