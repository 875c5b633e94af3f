"""The built site in a browser: on a wide and on a narrow screen, nothing is cut.

Needs Debian's chromium, and site/, which `make docs` builds; skipped without them.
"""

import contextlib
import functools
import http.server
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "site"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
WIDE, NARROW = 1280, 390
SCROLLED = "/nestings/"  # a table of twelve columns of words, which the theme lets scroll

# Shows every page in a frame of each width, and sends what does not fit. A frame has its own
# width for media queries, and no least width, as windows have.
MEASURE = """<!doctype html><body><script>
const pages = PAGES, widths = [1280, 390], found = [];
const wait = ms => new Promise(done => setTimeout(done, ms));
async function measure(page, width) {
  const frame = document.createElement('iframe');
  frame.style = `width:${width}px;height:900px;border:0`;
  const loaded = new Promise(done => frame.onload = done);
  frame.src = page;
  document.body.append(frame);
  await loaded;
  await wait(150);
  const seen = frame.contentDocument, root = seen.documentElement;
  const tell = (what, x) => found.push([page, width, what, x.textContent.trim().slice(0, 60)]);
  if (root.scrollWidth > width) tell('page', seen.querySelector('h1'));
  for (const x of seen.querySelectorAll('.md-content pre > code, .md-content .result'))
    if (width === 1280 && x.scrollWidth > x.clientWidth + 1) tell('code', x);
  for (const x of seen.querySelectorAll('.md-typeset__scrollwrap'))
    if (width === 1280 && x.scrollWidth > x.clientWidth + 1) tell('table', x);
  for (const x of seen.querySelectorAll('.md-content img'))
    if (!x.naturalWidth && x.loading !== 'lazy') tell('picture', x.parentElement);
  frame.remove();
}
(async () => {
  for (const page of pages) for (const width of widths) await measure(page, width);
  await fetch('/found', {method: 'POST', body: JSON.stringify(found)});
})();
</script>"""


class Handler(http.server.SimpleHTTPRequestHandler):
    """The site; a page that measures all others; and where that sends what it found."""

    found: "queue.Queue[Any]"
    pages: list[str]

    def do_GET(self) -> None:
        if self.path != "/measure":
            return super().do_GET()
        text = MEASURE.replace("PAGES", json.dumps(self.pages)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self) -> None:
        self.found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def served(pages: list[str]) -> Iterator[tuple[str, "queue.Queue[Any]"]]:
    """The address of the site, and what the measuring page will have found."""
    handler = type("Here", (Handler,), {"found": queue.Queue(), "pages": pages})
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(SITE))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", handler.found
        server.shutdown()


@contextlib.contextmanager
def browser(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Chromium with nothing of its user's, and all its processes ended afterwards."""
    assert CHROMIUM is not None
    process = subprocess.Popen(
        [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


pytestmark = [
    pytest.mark.slow,
    pytest.mark.same_everywhere,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
    pytest.mark.skipif(not SITE.exists(), reason="`make docs` has not been run"),
]


def test_nothing_is_cut(tmp_path: Path) -> None:
    """Code and tables fit a wide screen; no page is wider than a narrow one."""
    pages = [f"/{file.relative_to(SITE).parent}/" for file in sorted(SITE.rglob("index.html"))]
    with served(pages) as (address, found), browser(tmp_path, f"{address}/measure"):
        cut = [x for x in found.get(timeout=300) if (x[0], x[2]) != (SCROLLED, "table")]
    assert cut == [], "\n".join(map(str, cut))


@pytest.mark.parametrize("page", ["", "getting-started/", "notebooks/pde/", "api/structured/"])
def test_a_page_is_drawn(page: str, tmp_path: Path) -> None:
    """A screenshot, kept below pytest's `--basetemp` for people to look at."""
    picture = tmp_path / "page.png"
    options = (f"--window-size={WIDE},2000", f"--screenshot={picture}")
    with served([]) as (address, _):
        with browser(tmp_path / "user", *options, f"{address}/{page}") as process:
            process.wait(timeout=60)
    assert picture.stat().st_size > 20_000
