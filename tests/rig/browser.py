"""A real browser without a window, driven by the DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

SHELLS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
# Nothing is asked of the browser's makers; as root it has no sandbox.
_ALONE = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
)  # fmt: skip


def found() -> str | None:
    """The browser of this machine."""
    return next(filter(None, map(shutil.which, SHELLS)), None)


class Tab:
    """One page: what it asked for, what came over its web sockets, and what it paints."""

    def __init__(self, wire: Any) -> None:
        self._wire = wire
        self._asked = 0
        self.requested: dict[str, str] = {}
        self.received = ""
        self.closed = False

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Do what the protocol names so, and return what it answers."""
        self._asked += 1
        await self._wire.send_json({"id": self._asked, "method": method, "params": params})
        while True:
            said = await self._next()
            if said.get("id") == self._asked:
                assert "error" not in said, said
                return dict(said["result"])

    async def until(self, said: str) -> None:
        """Wait until a web socket has brought the words."""
        async with asyncio.timeout(60):
            while said not in self.received:
                await self._next()

    async def press(self, key: str) -> None:
        """A key, as the keyboard would send it to what has the focus."""
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def painted(self) -> bytes:
        """The page as a PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot"))["data"])

    async def _next(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads((await self._wire.receive(timeout=60)).data)
        if said.get("method") == "Network.requestWillBeSent":
            self.requested[said["params"]["requestId"]] = said["params"]["request"]["url"]
        if said.get("method") == "Network.loadingFailed" and said["params"].get("blockedReason") == "csp":
            del self.requested[said["params"]["requestId"]]  # the page wanted to, and was not let
        if said.get("method") == "Network.webSocketFrameReceived":
            frame = said["params"]["response"]
            binary = frame["opcode"] == 2
            self.received += base64.b64decode(frame["payloadData"]).decode() if binary else frame["payloadData"]
        self.closed = self.closed or said.get("method") == "Network.webSocketClosed"
        return said


@asynccontextmanager
async def tab(folder: Path, width: int = 1000, height: int = 700) -> AsyncIterator[Tab]:
    """An empty page of a browser of its own, which is gone afterwards; `folder` is for its profile."""
    import aiohttp

    command = (str(found()), *_ALONE, f"--user-data-dir={folder}", "about:blank")
    browser = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, start_new_session=True)
    assert browser.stderr is not None
    try:
        async with asyncio.timeout(60):
            while b"DevTools listening on" not in (line := await browser.stderr.readline()):
                assert line, "the browser ended"
        host = line.decode().split()[-1].split("/")[2]
        async with aiohttp.ClientSession() as client:
            async with client.get(f"http://{host}/json") as answer:
                pages = await answer.json(content_type=None)
            (address,) = [page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"]
            async with client.ws_connect(address, max_msg_size=0) as wire:
                shown = Tab(wire)
                await shown.call("Network.enable")
                size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
                await shown.call("Emulation.setDeviceMetricsOverride", **size)
                yield shown
    finally:
        os.killpg(browser.pid, signal.SIGKILL)  # its helpers, too, which hold the pipe
        await browser.communicate()
