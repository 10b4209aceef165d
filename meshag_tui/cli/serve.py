"""`meshag serve`: the screens in a browser, on this machine alone unless asked otherwise, and only with a key.

Each page runs a `meshag` of its own, as the user who serves it. The key is asked of every request, the page's own
included: it comes once in the address, is then kept in a cookie of the browser, and the address is left without it. Who
asks under another name of the host, or from another page, is turned away, so that no other site can use the browser.

With `--access-keys` it is not one key for all, but one of the store's access keys: the page acts by it, may what it was
given, and is closed when the key is revoked or ends.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import importlib
import importlib.util
import logging
import os
import secrets
import shlex
import sys
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from meshag_tui.cli.output import Output
from meshag_tui.types import MeshagError, Secret, UsageError, is_loopback

if TYPE_CHECKING:
    from meshag_tui.store.database import Store

COOKIE = "meshag_key"
MOST_PAGES = 8
"""Pages at the same time: each is a process with a store of its own open."""
LEAST_KEY = 16
LOOK_S = 1.0
"""How often the key of an open page is looked up again."""
_PAGE_KEY: ContextVar[str | None] = ContextVar("page_key", default=None)
"""The access key of the page that is being opened."""
_HEADERS = {
    "Cache-Control": "no-store",
    # The page of textual-serve would ask a maker of fonts for one.
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_log = logging.getLogger("meshag.serve")


def serve(args: argparse.Namespace, output: Output) -> int:
    """Serve until stopped."""
    if importlib.util.find_spec("textual_serve") is None:
        raise MeshagError("The extra `serve` is not installed: pip install 'meshag-tui[serve]'")
    if output.as_json:
        raise UsageError("meshag serve answers in a browser: leave out --json")
    if args.access_keys and args.key_stdin:
        raise UsageError("--access-keys asks for keys of the store, --key-stdin for one key: say one of them")
    key = None if args.access_keys else _key(args.key_stdin)
    url = (args.public_url or f"http://{_in_url(args.host)}:{args.port}").rstrip("/")
    if not is_loopback(args.host):
        output.note(
            f"meshag: {args.host} is reached from other machines, and what is shown there is not encrypted: "
            "put a proxy with TLS before it and name it with --public-url"
        )
    if args.store is not None:
        # Not in the arguments of each page, where others could read it: it may hold a password.
        os.environ["MESHAG_STORE"] = args.settings.store_url
    web: Any = importlib.import_module("aiohttp.web")
    said = f"{url}/?key={key.reveal()}" if key is not None and not args.key_stdin else url
    output.line(f"Open {said}/?key=mk_…, with an access key of the store" if key is None else f"Open {said}")
    output.line("Ctrl+C ends it, and every page with it.")
    sys.stdout.flush()
    store = _open(args.settings.store_url) if key is None else None
    try:
        web.run_app(
            make(command(args.settings.read_only), args.host, args.port, url, key, store),
            host=args.host,
            port=args.port,
            print=None,
            access_log=None,
        )
    except OSError as error:
        raise MeshagError(f"{args.host}:{args.port} cannot be listened on: {error.strerror}") from None
    finally:
        if store is not None:
            store.close()
    return 0


def _open(url: str) -> Store:
    from meshag_tui.store.database import Store

    return Store.open(url)


def command(read_only: bool) -> str:
    """What each page runs, for a shell."""
    words = [sys.executable, "-m", "meshag_tui", *(["--read-only"] if read_only else [])]
    return f"exec {shlex.join(words)}"


async def make(
    command: str, host: str, port: int, public_url: str, key: Secret | None, store: Store | None = None
) -> Any:
    """The web application: textual-serve's, behind the key, or behind the access keys of `store`."""
    web: Any = importlib.import_module("aiohttp.web")
    served: Any = importlib.import_module("textual_serve.server")
    if store is not None:
        served.AppService = _acting_by_key(importlib.import_module("textual_serve.app_service"))
    server: Any = served.Server(command, host=host, port=port, title="MeshAG", public_url=public_url)

    async def quiet(_: Any) -> None:
        """In place of a banner."""

    server.on_startup = quiet
    application = await server._make_app()
    lock = _OneKey(key) if key is not None else _AccessKeys(store)
    door = _Door(web, lock, public_url, host, port)
    application.middlewares.append(door.middleware())
    application.on_response_prepare.append(_private)
    return application


async def _private(_: Any, response: Any) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _acting_by_key(module: Any) -> Any:
    """textual-serve's service of a page, whose process acts by the page's access key: in its environment, where no
    other user of the machine can read it."""

    class Service(module.AppService):  # type: ignore[misc]
        def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
            environment: dict[str, str] = super()._build_environment(width=width, height=height)
            key = _PAGE_KEY.get()
            return environment if key is None else {**environment, "MESHAG_ACCESS_KEY": key}

    return Service


class _OneKey:
    """One key for all pages; nothing ends it."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    async def opens(self, given: str, entering: bool = False) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._key.reveal().encode())


class _AccessKeys:
    """The store's access keys: who is `entering` uses one, other requests of a page only look whether it is one."""

    def __init__(self, store: Any) -> None:
        self._store = store

    async def opens(self, given: str, entering: bool = False) -> bool:
        from meshag_tui.store import access_keys

        try:
            await self._store(access_keys.authenticate if entering else access_keys.look_up, Secret(given))
        except access_keys.KeyRejected:
            return False
        return True


class _Door:
    """Lets in who has the key, from this page, under a name we know."""

    def __init__(self, web: Any, lock: _OneKey | _AccessKeys, public_url: str, host: str, port: int) -> None:
        self._web = web
        self._lock = lock
        self._secure = public_url.startswith("https://")
        names = {_in_url(host), "127.0.0.1", "localhost", "[::1]"} if is_loopback(host) else {_in_url(host)}
        self._hosts = {f"{name}:{port}" for name in names} | {urlsplit(public_url).netloc}
        self._pages = 0

    def middleware(self) -> Any:
        @self._web.middleware  # type: ignore[untyped-decorator, unused-ignore]
        async def ask(request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
            origin = request.headers.get("Origin")
            if request.host not in self._hosts or (origin is not None and urlsplit(origin).netloc not in self._hosts):
                return self._refused("This is not the address that is served.")
            given = request.query.get("key")
            if given is not None and request.path == "/":
                if not await self._lock.opens(given, entering=True):
                    return self._refused("That is not the key: meshag serve printed it.")
                found = self._web.HTTPSeeOther("/")
                found.set_cookie(COOKIE, given, httponly=True, samesite="Strict", secure=self._secure, path="/")
                raise found
            key = request.cookies.get(COOKIE, "")
            if not await self._lock.opens(key):
                return self._refused("The key is missing: open the address that meshag serve printed.")
            if request.path != "/ws":
                return await handler(request)
            return await self._page(request, handler, key)

        return ask

    async def _page(self, request: Any, handler: Callable[[Any], Awaitable[Any]], key: str) -> Any:
        if self._pages >= MOST_PAGES:
            return self._refused(f"{MOST_PAGES} pages are open already: close one.")
        self._pages += 1
        _log.info("a page was opened, %d are open", self._pages)
        try:
            return await self._while_open(handler(request), key)
        finally:
            self._pages -= 1
            _log.info("a page was closed, %d are open", self._pages)

    async def _while_open(self, showing: Awaitable[Any], key: str) -> Any:
        """Show a page as long as its key opens the door."""
        _PAGE_KEY.set(key if isinstance(self._lock, _AccessKeys) else None)
        page = asyncio.ensure_future(showing)
        try:
            while not (await asyncio.wait([page], timeout=LOOK_S))[0]:
                if not await self._lock.opens(key):
                    _log.info("a page was closed: its key is none any more")
                    page.cancel()
            return await page
        finally:
            page.cancel()

    def _refused(self, why: str) -> Any:
        return self._web.Response(status=403, text=f"{why}\n")


def _key(from_stdin: bool) -> Secret:
    if not from_stdin:
        return Secret(secrets.token_urlsafe(32))
    text = sys.stdin.readline().strip() if sys.stdin is not None else ""
    if len(text) < LEAST_KEY or not text.isascii() or not text.isprintable() or set(text) & set(' ";,\\'):
        raise UsageError(f"--key-stdin: a key has {LEAST_KEY} characters at least, letters, digits, - and _")
    return Secret(text)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
