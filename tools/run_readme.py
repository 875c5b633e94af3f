"""Run the Python code in README.md, and compare what it prints with what README.md shows.

    python tools/run_readme.py [--quiet] [FILE.md ...]

Each ```python block runs in a namespace of its own, each ```python continued block in the one
before's. Where the next block is ```text, it must be what the code prints. With --quiet, only what
went wrong is printed. Standard library only; the code itself imports what it shows.
"""

import contextlib
import difflib
import io
import re
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    line: int  # of the code's first line in the file
    continued: bool  # whether it sees what the block before defined


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a Markdown file, in order."""
    fence = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [
        Block(
            found[1],
            found[3],
            text.count("\n", 0, found.start(3)) + 1,
            found[2].strip() == "continued",
        )
        for found in fence.finditer(text)
    ]


def run(file: Path, block: Block, namespace: dict[str, object]) -> str:
    """Execute one block and return what it printed. Its tracebacks show the file's own lines."""
    padded = "\n" * (block.line - 1) + block.code
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(padded, str(file), "exec"), namespace)
    return printed.getvalue()


def difference(expected: str, printed: str) -> str:
    """A diff of the two, or nothing if they agree but for white space at line ends."""
    shown, got = ([line.rstrip() for line in x.strip().splitlines()] for x in (expected, printed))
    return "\n".join(difflib.unified_diff(shown, got, "shown", "printed", lineterm=""))


def check(file: Path, quiet: bool = False) -> bool:
    found = blocks(file.read_text(encoding="utf-8"))
    if not any(block.language == "python" for block in found):
        print(f"{file.name}: no python block")
        return False
    good = True
    namespace: dict[str, object] = {}
    for block, following in zip(found, [*found[1:], None], strict=True):
        if block.language != "python":
            continue
        place = f"{file.name}:{block.line}"
        try:
            namespace = namespace if block.continued else {"__name__": "__main__"}
            printed = run(file, block, namespace)
        except Exception:
            traceback.print_exc()
            print(f"{place}: raised")
            good = False
            continue
        wrong = ""
        if following is not None and following.language == "text":
            wrong = difference(following.code, printed)
        if wrong or not quiet:
            print(f"{place}: {'ran, but printed something else:' if wrong else 'ran, as shown'}")
            print(wrong or printed.rstrip())
        good = good and not wrong
    if quiet and good:
        print(f"    {file.name}: ran, as shown")
    return good


if __name__ == "__main__":
    names = [name for name in sys.argv[1:] if name != "--quiet"]
    quiet = "--quiet" in sys.argv
    if not all([check(Path(name), quiet) for name in names or [README]]):
        sys.exit(1)
