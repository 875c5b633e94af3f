"""Execute the notebooks in docs/notebooks/ and turn them into the site's pages.

    python tools/notebooks.py [NAME ...]

executes them and says how long each takes; `make docs` calls `pages`. Each notebook runs in a fresh
kernel, as it does for a reader, two at a time. A cell that raises is an error. The files hold no
outputs, so that a change shows what somebody wrote; the site's outputs are those of its build.
"""

import asyncio
import base64
import os
import sys
import time
from pathlib import Path
from typing import Any

import nbformat  # pyright: ignore[reportMissingImports]
from nbclient import NotebookClient  # pyright: ignore[reportMissingImports]

NOTEBOOKS = Path(__file__).resolve().parent.parent / "docs" / "notebooks"
# Cells run once: LLVM need not optimise them.
SETTINGS = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_backend_optimization_level=0"}
SHARP = "--InlineBackend.figure_formats={'retina'}"


async def execute(file: Path, turn: asyncio.Semaphore) -> Any:
    """The notebook with its outputs. **Raises** nbclient's `CellExecutionError`."""
    async with turn:
        start = time.monotonic()
        notebook = nbformat.read(file, as_version=4)
        client = NotebookClient(notebook, extra_arguments=[SHARP], coalesce_streams=True)
        await client.async_execute(env=os.environ | SETTINGS)
        print(f"    {file.name}: {time.monotonic() - start:.0f} s", flush=True)
    return notebook


def executed(files: list[Path]) -> dict[str, Any]:
    """Notebooks with their outputs, by the stems of their names."""

    async def together() -> list[Any]:
        turn = asyncio.Semaphore(2)
        return await asyncio.gather(*(execute(file, turn) for file in files))

    return dict(zip((file.stem for file in files), asyncio.run(together()), strict=True))


def pages() -> dict[str, str | bytes]:
    """What the site shows: every page's Markdown and every picture, by its name."""
    found: dict[str, str | bytes] = {}
    for name, notebook in executed(sorted(NOTEBOOKS.glob("*.ipynb"))).items():
        parts: list[str] = []
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                parts.append(cell.source)
                continue
            parts.append(fenced("python", cell.source))
            for output in cell.outputs:
                data = output.get("data", {})
                if "image/png" in data:
                    picture = f"{name}-{len(found)}.png"
                    found[picture] = base64.b64decode(data["image/png"])
                    parts.append(f"![What the cell above draws]({picture})")
                elif "text/html" in data:
                    parts.append(f'<div class="result">{data["text/html"]}</div>')
                elif output.get("name") != "stderr":
                    parts.append(fenced("text", data.get("text/plain") or output.text))
        title, *rest = parts[0].split("\n", 1)
        download = f"[Download this notebook]({name}.ipynb). Its outputs are those of this build."
        found[f"{name}.md"] = "\n\n".join([title, download, *rest, *parts[1:]]) + "\n"
    return found


def fenced(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"


if __name__ == "__main__":
    named = [NOTEBOOKS / f"{name}.ipynb" for name in sys.argv[1:]]
    executed(named or sorted(NOTEBOOKS.glob("*.ipynb")))
