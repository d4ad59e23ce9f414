"""Debian's chromium, driven over the Chrome DevTools Protocol: nothing to install besides the browser itself.

with chromium(microphone=wav) as browser:
    page = browser.page("http://127.0.0.1:8080/live")
    page.click("#start")
    page.wait_for("document.querySelector('#log').textContent.includes('seven')")
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

_FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--mute-audio",
    "--hide-scrollbars",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0",
]


class PageError(AssertionError):
    """The page threw, or what was waited for did not come."""


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection, session: str) -> None:
        self._socket, self._session, self._id = socket, session, 0
        self.errors: list[str] = []
        """Uncaught exceptions and console errors, content security violations among them."""
        self.dialogs: list[str] = []
        """Kinds of dialogs that opened, such as beforeunload. Each is answered with yes."""
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> Any:
        """One command of the protocol; returns its result."""
        self._id += 1
        self._socket.send(json.dumps({"id": self._id, "sessionId": self._session, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == self._id and message.get("sessionId") == self._session:
                if "error" in message:
                    raise PageError(f"{method}: {message['error']}")
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description") or details["text"])
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            case "Page.javascriptDialogOpening" if message.get("sessionId") == self._session:
                self.dialogs.append(params["type"])
                yes = {"method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
                self._socket.send(json.dumps({"id": 0, "sessionId": self._session, **yes}))
            case _:
                pass

    def goto(self, url: str) -> None:
        """Load a page and wait until its scripts have run."""
        self.send("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page; promises are awaited."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise PageError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def wait_for(self, expression: str, timeout_s: float = 30.0) -> Any:
        """Wait until the expression is truthy; returns its value."""
        deadline = time.monotonic() + timeout_s
        while True:
            with suppress(PageError):
                value = self.evaluate(expression)
                if value:
                    return value
            if time.monotonic() > deadline:
                text = self.evaluate("document.body.innerText")
                raise PageError(f"not within {timeout_s} s: {expression}\nerrors: {self.errors}\npage:\n{text[:3000]}")
            time.sleep(0.1)

    def click(self, selector: str) -> None:
        """A real click in the middle of an element, which must be visible."""
        box = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); if (!e) return null;"
            " e.scrollIntoView({block: 'nearest'}); const r = e.getBoundingClientRect();"
            " return r.width ? [r.x + r.width / 2, r.y + r.height / 2] : null; })()"
        )
        if box is None:
            raise PageError(f"nothing to click at {selector}")
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def press(self, key: str) -> None:
        """One key with its text."""
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, text=key if len(key) == 1 else "")
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def text(self, selector: str = "body") -> str:
        """Text of an element as it is drawn."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def choose_files(self, selector: str, *paths: Path) -> None:
        """Put files into a file input."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def viewport(self, width: int, height: int, *, mobile: bool = False) -> None:
        """Size of the page in CSS pixels."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def colours(self, scheme: str) -> None:
        """`light` or `dark`, as the system would say."""
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path: Path) -> None:
        """A PNG of what is seen."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))


class Browser:
    """A running chromium with a fresh profile."""

    def __init__(self, socket: ClientConnection, downloads: Path) -> None:
        self._socket, self._id = socket, 0
        self.downloads = downloads
        self._send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))

    def _send(self, method: str, **params: Any) -> Any:
        self._id -= 1
        self._socket.send(json.dumps({"id": self._id, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == self._id:
                return message["result"]

    def page(self, url: str) -> Page:
        """A new tab on `url`."""
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        page = Page(self._socket, self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        page.goto(url)
        return page

    def grant(self, *permissions: str) -> None:
        """Permissions without a prompt, e.g. clipboardReadWrite."""
        self._send("Browser.grantPermissions", permissions=list(permissions))

    def downloaded(self, suffix: str, timeout_s: float = 15.0) -> Path:
        """The finished download whose name ends so."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = [p for p in self.downloads.iterdir() if p.name.endswith(suffix)]
            if found:
                return found[0]
            time.sleep(0.1)
        raise PageError(f"no download {suffix}; there are {[p.name for p in self.downloads.iterdir()]}")


@contextmanager
def chromium(*flags: str, microphone: Path | None = None, deny: bool = False) -> Iterator[Browser]:
    """Start chromium. `microphone` is a WAV played once to each getUserMedia call; `deny` blocks the microphone."""
    assert CHROMIUM is not None, "chromium is not installed"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        downloads, log = Path(scratch) / "downloads", Path(scratch) / "chromium.log"
        downloads.mkdir()
        command = [CHROMIUM, *_FLAGS, *flags, f"--user-data-dir={scratch}/profile"]
        if microphone is not None or deny:
            # The fake device needs the flag of the prompt as well; a wrong path would be silence, not an error.
            command += ["--use-fake-device-for-media-stream"]
            command += ["--use-fake-ui-for-media-stream" + ("=deny" if deny else "")]
        if microphone is not None:
            assert microphone.is_file() and microphone.is_absolute()
            command += [f"--use-file-for-fake-audio-capture={microphone}%noloop"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "about:blank"],
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "HOME": scratch},
            )
        try:
            with connect(
                _address(log, process), max_size=None, compression=None, proxy=None, ping_interval=None
            ) as socket:
                yield Browser(socket, downloads)
                with suppress(Exception):
                    socket.send(json.dumps({"id": 1, "method": "Browser.close"}))
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _address(log: Path, process: subprocess.Popen[bytes], timeout_s: float = 30.0) -> str:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = re.search(r"DevTools listening on (ws://\S+)", log.read_text(errors="replace"))
        if found:
            return found.group(1)
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise PageError(f"chromium did not start:\n{log.read_text(errors='replace')[-3000:]}")
