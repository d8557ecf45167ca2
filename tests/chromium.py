"""Headless Chromium, driven by its DevTools protocol: pages, clicks, files, pictures."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
DRIVEN = ("--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0")
SECONDS = 120.0
"""After which something that is waited for does not come: long, as the machine may be busy."""


class Tab:
    """A page of a browser; errors of its scripts are raised."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._count = socket, 0
        self.log: list[str] = []
        """Errors of scripts, and what the browser refused or could not load."""
        for domain in ("Page", "Runtime", "DOM", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to a command of the protocol."""
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": params}))
        while True:
            said = json.loads(self._socket.recv(timeout=SECONDS))
            if said.get("id") == self._count:
                assert "error" not in said, (method, said["error"])
                answer: dict[str, Any] = said["result"]
                return answer
            self._hear(said)

    def _hear(self, said: dict[str, Any]) -> None:
        if said["method"] == "Runtime.exceptionThrown":
            details = said["params"]["exceptionDetails"]
            self.log.append(details.get("exception", {}).get("description", details["text"]))
        if said["method"] == "Log.entryAdded" and said["params"]["entry"]["level"] == "error":
            entry = said["params"]["entry"]
            self.log.append(f"{entry['text']} {entry.get('url', '')}")

    def open(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Show the page at `url` in a window of this size, and wait until it is loaded."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask("Page.navigate", url="about:blank")
        self.ask("Page.navigate", url=url)
        self.until("location.href !== 'about:blank' && document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """The value of an expression, or of what it promises."""
        done = self.ask(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        if "exceptionDetails" in done:
            raise AssertionError(done["exceptionDetails"])
        return done["result"].get("value")

    def until(self, condition: str) -> Any:
        """The value of an expression once it is true; of an element True."""
        asked = f"(() => {{ const v = {condition}; return v instanceof Node || v; }})()"
        end = time.monotonic() + SECONDS
        while not (value := self.run(asked)):
            assert time.monotonic() < end, f"never: {condition}; {self.log}"
            time.sleep(0.05)
        return value

    def upload(self, selector: str, file: Path) -> None:
        """Choose a file for an input, as a person does."""
        root = self.ask("DOM.getDocument")["root"]["nodeId"]
        node = self.ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.ask("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def move(self, selector: str) -> None:
        """Put the pointer on the middle of an element."""
        place = self.run(
            f"(() => {{ const e = document.querySelector({selector!r});"
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])

    def press(self, key: str, code: int) -> None:
        """Press a key and let it go."""
        for kind in ("rawKeyDown", "keyUp"):
            self.ask(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code
            )

    def picture(self, path: Path, *, whole: bool = False) -> Path:
        """Write a PNG of the window, or of the whole page."""
        done = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(done["data"]))
        return path

    def too_wide(self) -> list[str]:
        """What reaches beyond the sides of the window."""
        found: list[str] = self.run(
            "[...document.querySelectorAll('main *')].filter((each) => {"
            "const { left, right, width } = each.getBoundingClientRect();"
            "return width && (left < -0.5 || right > innerWidth + 0.5) && !each.closest('.slide');"
            "}).map((each) => each.tagName + ' ' + each.className)"
        )
        return found


def executable() -> str:
    """The path of Chromium; skips without one."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    return found


@contextlib.contextmanager
def chromium(profile: Path, flags: Sequence[str] = ()) -> Iterator[Tab]:
    """A page of a browser of its own, which keeps its files in `profile`; skips without one."""
    from websockets.sync.client import connect

    process = subprocess.Popen(
        [executable(), *FLAGS, *DRIVEN, *flags, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with connect(_address(profile, process), max_size=None) as socket:
            yield Tab(socket)
    finally:
        process.terminate()
        process.wait()


def _address(profile: Path, process: subprocess.Popen[bytes]) -> str:
    """That of the page which the browser opens; it writes down its port when it is ready."""
    end, port = time.monotonic() + SECONDS, profile / "DevToolsActivePort"
    while not (port.is_file() and port.read_text().strip()):
        assert process.poll() is None, f"the browser ended with {process.returncode}"
        assert time.monotonic() < end, "the browser does not start"
        time.sleep(0.05)
    url = f"http://127.0.0.1:{port.read_text().split()[0]}/json"
    while True:
        with urllib.request.urlopen(url) as answer:
            pages = [each for each in json.load(answer) if each["type"] == "page"]
        if pages:
            return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.05)
