"""A headless Chromium that a test drives over a pair of pipes; no driver and no network."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[1]

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-pipe",
)  # fmt: skip


def chromium() -> str | None:
    """The path of Chromium or Chrome, if one is installed."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next(filter(None, map(shutil.which, names)), None)


def axe_core() -> Path | None:
    """The script of axe-core: where AXE_CORE says, or as npm has installed it in this folder."""
    named = os.environ.get("AXE_CORE")
    path = Path(named) if named else ROOT / "node_modules" / "axe-core" / "axe.min.js"
    return path if path.is_file() else None


class Browser:
    """One page of a browser, as a context manager."""

    def __init__(self, binary: str) -> None:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        read, self._to = os.pipe()
        self._from, write = os.pipe()
        flags = [*_FLAGS, f"--user-data-dir={self._profile.name}"]
        # Chromium reads from descriptor 3 and writes to 4; the shell moves ours there
        script = f'exec "$@" 3</dev/fd/{read} 4>/dev/fd/{write}'
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", script, "sh", binary, *flags],
            pass_fds=(read, write), stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read)
        os.close(write)
        self._number, self._session, self._rest = 0, "", b""
        self.complaints: list[str] = []

    def __enter__(self) -> Self:
        try:
            self._attach()
        except BaseException:
            self._close()
            raise
        return self

    def _attach(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)
        self._profile.cleanup()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask the browser, and wait for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            if answer.get("method") == "Log.entryAdded":
                self.complaints.append(answer["params"]["entry"]["text"])
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            read = os.read(self._from, 1 << 20)
            assert read, "the browser has ended"
            self._rest += read
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def show(self, address: str, *, width: int = 1200, scheme: str = "light") -> None:
        """Open a page in a window of so many pixels, in light or dark."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", media="screen", features=[feature])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=address)
        while self.value("document.readyState + location.href") != f"complete{address}":
            pass

    def value(self, script: str) -> Any:
        """What a script gives, awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")
