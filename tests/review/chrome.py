"""A headless Chromium that is steered through pipes: real keys, what is fetched.

The DevTools protocol over `--remote-debugging-pipe` needs no library: messages are JSON, ended by a null byte.
"""

import contextlib
import json
import os
import select
import subprocess
import time
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.reliability.browser import chromium

CHROMIUM = chromium() or ""
_KEYS = {
    "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Enter": 13, "Escape": 27, " ": 32, "Tab": 9,
    "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36,
}  # fmt: skip


class Browser:
    """A running browser, for many pages.

    Args:
        folder: for its own files, empty.
    """

    def __init__(self, folder: Path) -> None:
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        words = [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
            f"--user-data-dir={folder}", "--remote-debugging-pipe", "about:blank",
        ]  # fmt: skip
        # The browser reads from descriptor 3 and writes to descriptor 4.
        script = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$0" "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", script, *words],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._number, self._buffer = 0, b""
        self.requests = defaultdict[str, list[str]](list)
        """Addresses that were asked for, by session."""

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(30)
        os.close(self._write)
        os.close(self._read)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """What a method of the protocol answers, of the browser or of a page's session."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests[answer["sessionId"]].append(answer["params"]["request"]["url"])
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise AssertionError(answer["error"])
                return dict(answer["result"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._read], [], [], 60)[0]:
                raise TimeoutError("The browser does not answer.")
            part = os.read(self._read, 1 << 20)
            if not part:
                raise EOFError("The browser has ended.")
            self._buffer += part
        message, self._buffer = self._buffer.split(b"\0", 1)
        return dict(json.loads(message))


class Page:
    """One page, with cookies and storage of its own.

    Args:
        browser: that shows it.
        width: of the window.
        height: of the window.
    """

    def __init__(self, browser: Browser, width: int = 1280, height: int = 860) -> None:
        self._browser = browser
        self._context = browser.call("Target.createBrowserContext")["browserContextId"]
        target = browser.call("Target.createTarget", url="about:blank", browserContextId=self._context, newWindow=True)
        attached = browser.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session: str = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self._call(f"{domain}.enable")
        self._call("Emulation.setFocusEmulationEnabled", enabled=True)
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def __enter__(self) -> "Page":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._browser.call("Target.disposeBrowserContext", browserContextId=self._context)

    @property
    def requests(self) -> list[str]:
        """Addresses that it asked for."""
        return self._browser.requests[self._session]

    def open(self, address: str) -> None:
        """Go to an address."""
        self._call("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = 20) -> Any:
        """Wait until an expression is true, and return it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(AssertionError):
                if value := self.run(script):
                    return value
            time.sleep(0.02)
        raise TimeoutError(f"{script} did not become true: {self.run('document.body.innerText')[:2000]}")

    def press(self, *keys: str, shift: bool = False) -> None:
        """Press keys as a person does."""
        for key in keys:
            code = _KEYS.get(key, ord(key.upper()[0]))
            text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
            common = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
            self._call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **common, **text)
            self._call("Input.dispatchKeyEvent", type="keyUp", **common)

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)
