"""`meshag serve`: a page for who has the key, from the served address only, and a `meshag` behind it that answers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from meshag_tui.cli import serve
from meshag_tui.store import access_keys, activity
from meshag_tui.store.database import Store
from meshag_tui.types import Secret
from tests.cli.conftest import ROOT, Meshag
from tests.rig import browser as browsers

pytest.importorskip("textual_serve")

KEY = "a-key-of-the-test-0123456789"


@pytest.fixture
async def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """The address of what is served, without a slash at its end."""
    from aiohttp import web

    monkeypatch.setenv("MESHAG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("MESHAG_STORE", raising=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    runner = web.AppRunner(await serve.make(serve.command(read_only=True), "127.0.0.1", port, url, Secret(KEY)))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield url
    await runner.cleanup()


async def test_who_has_no_key_or_comes_from_elsewhere_sees_nothing(page: str) -> None:
    import aiohttp

    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        for path in ("/", "/ws", "/static/js/textual.js", "/download/x", "/?key=wrong", f"/ws?key={KEY}"):
            async with browser.get(page + path) as answer:
                assert answer.status == 403, path
                assert KEY not in await answer.text() and "Set-Cookie" not in answer.headers
        async with browser.get(f"{page}/?key={KEY}", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/")
            cookie = answer.headers["Set-Cookie"]
            assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        async with browser.get(f"{page}/") as answer:
            text = await answer.text()
            assert answer.status == 200 and f"{page.replace('http', 'ws')}/ws" in text and KEY not in text
            assert answer.headers["X-Frame-Options"] == "DENY" and answer.headers["Referrer-Policy"] == "no-referrer"
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            async with browser.get(f"{page}/", headers=headers) as answer:
                assert answer.status == 403, headers
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await browser.ws_connect(f"{page}/ws", headers={"Origin": "https://evil.example"})


async def test_behind_the_page_the_screens_answer_keys(page: str) -> None:
    import aiohttp

    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        await browser.get(f"{page}/?key={KEY}")
        async with browser.ws_connect(f"{page}/ws?width=100&height=30", headers={"Origin": page}) as screens:
            await _until(screens, "no connection yet")
            await screens.send_json(["stdin", "?"])
            await _until(screens, "Keys: Overview")
            async with asyncio.timeout(60):
                while not screens.closed:  # the first one closes the help
                    await screens.send_json(["stdin", "q"])
                    with contextlib.suppress(TimeoutError):
                        await screens.receive(timeout=0.5)
            assert screens.closed


async def test_a_page_acts_by_an_access_key_and_is_closed_when_it_is_revoked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import aiohttp
    from aiohttp import web

    monkeypatch.setenv("MESHAG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    store = Store.open(f"sqlite:///{tmp_path / 'store.db'}")
    monkeypatch.setenv("MESHAG_STORE", str(tmp_path / "store.db"))
    made = store.run(access_keys.add, "ada", "wall", ("read",))
    secret = made.secret.reveal()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    runner = web.AppRunner(await serve.make(serve.command(read_only=True), "127.0.0.1", port, url, None, store))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
            async with browser.get(f"{url}/?key=mk_00000000_nobody") as answer:
                assert answer.status == 403
            await browser.get(f"{url}/?key={secret}")
            async with browser.ws_connect(f"{url}/ws?width=100&height=30", headers={"Origin": url}) as screens:
                await _until(screens, "access key")  # which says that it only looks
                await store(access_keys.set_active, "ada", made.info.prefix, False)
                async with asyncio.timeout(30):
                    async for _ in screens:
                        continue
                assert screens.closed
            async with browser.get(f"{url}/") as answer:
                assert answer.status == 403, "at once"
        kinds = [entry.kind for entry in await store(activity.recent)]
        assert kinds.count("key.rejected") == 1 and "key.revoked" in kinds
    finally:
        await runner.cleanup()
        store.close()


async def _until(socket_: Any, said: str) -> str:
    import aiohttp

    seen = ""
    async with asyncio.timeout(60):
        async for message in socket_:
            if message.type is aiohttp.WSMsgType.BINARY:
                seen += message.data.decode("utf-8", "replace")
            if said in seen:
                return seen
    raise AssertionError(f"{said!r} did not come: {seen[-2000:]}")


async def test_a_browser_shows_the_screens_and_asks_nobody_else(page: str, tmp_path: Path) -> None:
    if browsers.found() is None:
        pytest.skip("no browser on this machine")
    async with browsers.tab(tmp_path / "browser") as tab:
        await tab.call("Page.navigate", url=f"{page}/?key={KEY}")
        await tab.until("no connection yet")
        blank = await tab.painted()
        for kind in ("mousePressed", "mouseReleased"):
            await tab.call("Input.dispatchMouseEvent", type=kind, x=500, y=400, button="left", clickCount=1)
        await tab.press("?")
        await tab.until("Keys: Overview")
        assert await tab.painted() != blank
        here = await tab.call("Runtime.evaluate", expression="location.href + ' ' + document.cookie")
        assert here["result"]["value"].split() == [f"{page}/"], "the key is in the cookie, which no script reads"
        assert {url.split("/")[2] for url in tab.requested.values()} == {page.split("/")[2]}
        while not tab.closed:  # the first one closes the help
            await tab.press("q")
            await asyncio.sleep(0.3)


def test_a_key_that_is_too_short_is_refused(meshag: Meshag, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = meshag("serve", "--key-stdin", stdin="short\n")
    assert answer.code == 2 and "16 characters" in answer.err and "short" not in answer.err
    assert meshag("serve", "--json").code == 2
