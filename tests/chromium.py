"""A real headless Chromium, driven through a pipe in its DevTools protocol; no network at all."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--remote-debugging-pipe",
)
# The protocol has its pipes at the descriptors 3 and 4, wherever ours are.
_LAUNCHER = """
import fcntl, os, sys
commands, answers = (fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3])
os.dup2(commands, 3)
os.dup2(answers, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
_PATIENCE = 30.0  # seconds for an answer


class Page:
    """One page. What its scripts log as an error or throw is kept in `complaints`, every address
    that it asks for in `requests`."""

    def __init__(self, to_browser: int, from_browser: int):
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._to_browser, self._from_browser = to_browser, from_browser
        self._session: str | None = None
        self._received = b""
        self._number = 0
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(self, path: Path, view: str = "", *, width: int = 1280, height: int = 900) -> None:
        """Loads a file afresh, `view` being what follows `#`, and forgets what came before."""
        self.resize(width, height)
        self._call("Page.navigate", url="about:blank")
        self.complaints.clear()
        self.requests.clear()
        self._call("Page.navigate", url=f"{path.as_uri()}#{view}")
        self.wait_for("document.readyState === 'complete'")
        self.settle()

    def resize(self, width: int, height: int, *, mobile: bool = False) -> None:
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if mobile else 1, mobile=mobile,
        )  # fmt: skip

    def prefer(self, scheme: str) -> None:
        """`light` or `dark`, as the system's setting."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._call("Emulation.setEmulatedMedia", features=features)

    def evaluate(self, expression: str) -> Any:
        answer = self._call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        element = f"document.querySelector({json.dumps(selector)})"
        return str(self.evaluate(f"{element}.innerText ?? {element}.textContent"))

    def count(self, selector: str) -> int:
        return int(self.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length"))

    def wait_for(self, condition: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not self.evaluate(condition):
            assert time.monotonic() < deadline, f"never came: {condition}"
            time.sleep(0.02)

    def settle(self) -> None:
        """Lets everything be drawn."""
        self.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")

    def centre_of(self, selector: str) -> tuple[float, float]:
        """Of an element, after it was scrolled into view; in the viewport's pixels."""
        return tuple(
            self.evaluate(
                f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
                "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
                "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
            )
        )

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """`kind`: mouseMoved, mousePressed, mouseReleased, mouseWheel."""
        self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)
        self.settle()

    def click(self, selector: str) -> None:
        x, y = self.centre_of(selector)
        self.drag((x, y), (x, y))

    def drag(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        self.mouse("mouseMoved", *begin)
        self.mouse("mousePressed", *begin, button="left", clickCount=1)
        if begin != end:
            self.mouse("mouseMoved", *end, button="left", buttons=1)
        self.mouse("mouseReleased", *end, button="left", clickCount=1)

    def touch(self, kind: str, *fingers: tuple[float, float]) -> None:
        """`kind`: touchStart, touchMove, touchEnd."""
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(fingers)]
        self._call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        self.settle()

    def press(self, key: str) -> None:
        """A key by its name in the DOM: `ArrowLeft`, `Enter`, `+`."""
        codes = {"Tab": 9, "Enter": 13, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38,
                 "ArrowRight": 39, "ArrowDown": 40}  # fmt: skip
        code: dict[str, Any] = {"text": "\r" if key == "Enter" else key}
        if key in codes:
            code = {"windowsVirtualKeyCode": codes[key]} | (code if key == "Enter" else {})
        self._call("Input.dispatchKeyEvent", type="keyDown", key=key, **code)
        self._call("Input.dispatchKeyEvent", type="keyUp", key=key)
        self.settle()

    def screenshot(self, *, whole: bool = False) -> bytes:
        """A PNG of the viewport, or of the whole page."""
        answer = self._call("Page.captureScreenshot", captureBeyondViewport=whole)
        return base64.b64decode(answer["data"])

    def close_browser(self) -> None:
        self._session = None
        self._call("Browser.close")

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to_browser, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])
            self._note(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            received = os.read(self._from_browser, 1 << 20)
            assert received, "the browser is gone"
            self._received += received
        message, _, self._received = self._received.partition(b"\0")
        return dict(json.loads(message))

    def _note(self, event: dict[str, Any]) -> None:
        details = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(str(details["exceptionDetails"]))
            case "Log.entryAdded" if details["entry"]["level"] == "error":
                self.complaints.append(details["entry"]["text"])
            case "Network.requestWillBeSent":
                self.requests.append(details["request"]["url"])


@contextmanager
def headless_chromium(profile: Path) -> Iterator[Page]:
    """Skips the test where no Chromium is installed."""
    program = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no Chromium is installed (none of {', '.join(_NAMES)})")
    commands, to_browser = os.pipe()
    from_browser, answers = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", _LAUNCHER, str(commands), str(answers), program, *_FLAGS,
         f"--user-data-dir={profile}", "about:blank"],
        pass_fds=(commands, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(commands)
    os.close(answers)
    try:
        page = Page(to_browser, from_browser)
        yield page
        page.close_browser()
        process.wait(timeout=_PATIENCE)
    finally:
        process.kill()
        process.wait()
        os.close(to_browser)
        os.close(from_browser)
