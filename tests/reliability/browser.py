"""Pages in a headless Chromium: what of them is run, and what they fetch.

Pages are served from memory to frames of one page, which hears what a script in a frame tells it. Every name of a host
leads to the same server, which notes each request for the host of the payloads.
"""

import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

HOST = "hit.example"
"""What payloads fetch from."""
SCRIPT = "top.postMessage('{token}','*')"
"""What payloads run."""
_AT_ONCE, _WAIT = 12, 700
_INDEX = """<!doctype html><title>frames</title><script>
const count = %d, hits = new Set(); let next = 0, open = 0;
window.addEventListener("message", event => hits.add(String(event.data)));
function more() {
  while (open < %d && next < count) {
    const frame = document.createElement("iframe"); open += 1;
    frame.onload = () => { frame.onload = null; setTimeout(() => { frame.remove(); open -= 1; more(); }, %d); };
    frame.src = "/page/" + next; next += 1; document.body.append(frame);
  }
  if (!open && next >= count) fetch("/done", {method: "POST", body: JSON.stringify([...hits])});
}
window.onload = more;
</script><body>"""


def chromium() -> str | None:
    """Where the browser lies, or None."""
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )


def watch(browser: str, pages: Sequence[str], folder: Path, seconds: float = 400) -> tuple[list[str], list[str]]:
    """Show all pages.

    Args:
        browser: path of Chromium.
        pages: HTML.
        folder: for the browser's own files, empty.
        seconds: that it may take.

    Returns:
        What scripts told, and the paths that were asked of `HOST`.

    Raises:
        TimeoutError: the browser has not come to the end.
    """
    told: list[str] = []
    asked: list[str] = []
    done = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._note()
            body = ""
            if self.headers.get("Host") != address:
                pass
            elif self.path == "/":
                body = _INDEX % (len(pages), _AT_ONCE, _WAIT)
            elif number := re.fullmatch(r"/page/(\d+)", self.path):
                body = pages[int(number[1])]
            data = body.encode("utf-8", "surrogatepass")
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Host") == address and self.path == "/done":
                told.extend(json.loads(content))
                done.set()
            self._note()
            self.send_response(204)
            self.end_headers()

        def _note(self) -> None:
            # The browser asks other hosts for things of its own, such as updates.
            if self.headers.get("Host", "").partition(":")[0] == HOST:
                asked.append(self.path)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_port}"
    words = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
        "--autoplay-policy=no-user-gesture-required", "--ignore-certificate-errors", "--remote-debugging-port=0",
        f"--user-data-dir={folder}", f"--host-resolver-rules=MAP * {address}", f"http://{address}/",
    ]  # fmt: skip
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        if not done.wait(seconds):
            raise TimeoutError(f"{browser} did not show {len(pages)} pages in {seconds:.0f} s.")
    finally:
        process.terminate()
        process.wait(30)
        server.shutdown()
        server.server_close()
    return told, asked
