"""Check the English of every Markdown page with proselint, code aside.

    python tools/lint_prose.py

Its rules about curly quotes, repeated words (tables repeat them), names and accents are left out.
"""

import re
import subprocess
import sys
from pathlib import Path

from proselint.checks import __register__
from proselint.config import DEFAULT
from proselint.registry import CheckRegistry
from proselint.tools import LintFile

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = ("misc.preferred_forms", "typography", "lexical_illusions", "terms")
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def without_code(text: str) -> str:
    """The text with its code blanked, so that every word stays where it is."""
    return CODE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def main() -> None:
    CheckRegistry().register_many(__register__)
    checks = dict.fromkeys(LEFT_OUT, False)  # the first name that fits a rule decides
    checks |= {name: on for name, on in DEFAULT["checks"].items() if name not in checks}
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    bad = 0
    for name in listed.stdout.split():
        text = without_code((ROOT / name).read_text(encoding="utf-8"))
        for result in LintFile(name, content=text).lint({"max_errors": 1000, "checks": checks}):
            line, column = result.pos
            print(f"{name}:{line}:{column}: {result.check_result.message}")
            bad += 1
    if bad:
        sys.exit(1)


if __name__ == "__main__":
    main()
