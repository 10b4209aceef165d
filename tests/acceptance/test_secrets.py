"""A password may be given in any form and the session may fail in any way: it is found nowhere afterwards."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from psycopg import sql

from tests.acceptance.conftest import Must, said_by, shop, work
from tests.cli.conftest import Answer, Meshag
from tests.rig.llm import FakeLlm, Reply
from tests.rig.postgres import Database
from tests.rig.pty import Terminal

CANARY = "kanarienvogel"
AWKWARD = f"{CANARY}@ # % ' \\ +:/?&=\"ü"
"""Every character that some way of giving a password breaks on."""
ROLE = "canary_role"


def forms(secret: str) -> set[bytes]:
    """How a secret may look in a file; the word alone is in most of them."""
    spelt = {secret, quote(secret), quote(secret, safe=""), repr(secret)[1:-1], json.dumps(secret)[1:-1], CANARY}
    return {form.encode() for form in spelt} | {b64encode(secret.encode())[:20], secret.encode("utf-16-le")}


def none_in(place: str, content: bytes, secret: str = AWKWARD) -> None:
    for form in forms(secret):
        at = content.find(form)
        assert at < 0, f"{place}: …{content[max(0, at - 80) : at + 80]!r}…"


@pytest.fixture
def guarded(pg18: Database) -> Database:
    """A shop that only lets in a role with the awkward password."""
    shop(pg18)
    pg18.execute(f"DROP ROLE IF EXISTS {ROLE}")
    with pg18.connect() as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(ROLE), sql.Literal(AWKWARD))
        )
    pg18.execute(f"GRANT pg_monitor, pg_read_all_data TO {ROLE}")
    return pg18


class Watcher:
    """Reads the arguments of the processes with this home, as any user's `ps` can, until it is stopped."""

    def __init__(self, home: Path) -> None:
        self._mark = b"MESHAG_HOME=" + bytes(home)
        self.seen: set[bytes] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        own = os.getpid()
        while not self._stopped.is_set():
            for place in Path("/proc").glob("[0-9]*"):
                if int(place.name) == own:
                    continue
                try:
                    if self._mark in (place / "environ").read_bytes():  # not those of tests beside this one
                        self.seen.add((place / "cmdline").read_bytes())
                except OSError:
                    continue
            self._stopped.wait(0.02)

    def stop(self) -> bytes:
        self._stopped.set()
        self._thread.join()
        return b"\n".join(self.seen)


def address(database: Database, userinfo: str, query: str = "") -> str:
    return f"postgresql://{userinfo}@127.0.0.1:{database.server.port}/{database.name}{query}"


@pytest.mark.slow
def test_every_way_to_give_a_password_works_and_none_leaves_it(
    guarded: Database, meshag: Meshag, fake_llm: FakeLlm, tmp_path: Path
) -> None:
    meshag.environment |= {"MESHAG_LOG": "DEBUG", "OPENAI_API_KEY": f"sk-{CANARY}-0123456789"}
    meshag.home.mkdir(mode=0o700)
    (meshag.home / "config.toml").write_text(f'[llm]\nbase_url = "{fake_llm.base_url}"\nmodel = "m"\n')
    encoded, bare = quote(AWKWARD, safe=""), address(guarded, ROLE)
    plus = quote(AWKWARD, safe="+")  # libpq takes a plus for a plus
    answers: list[Answer] = []

    def do(*arguments: str, code: int = 0, run: Callable[..., Answer] = meshag, **more: object) -> Answer:
        answer = run(*arguments, **more)
        answers.append(answer)
        assert answer.code == code, (arguments[:2], answer.err, meshag.log[-1000:])
        return answer

    do("connections", "add", "userinfo", address(guarded, f"{ROLE}:{encoded}"))
    do("connections", "add", "query", address(guarded, ROLE, f"?password={plus}"), "--again")
    watcher = Watcher(meshag.home)  # what is typed into the command line can be seen for a moment; these never
    do("connections", "add", "stdin", bare, "--again", "--password-stdin", stdin=AWKWARD + "\n", run=meshag.fresh)
    do("connections", "add", "environment", bare, "--again", environment={"MESHAG_PASSWORD": AWKWARD}, run=meshag.fresh)
    do("sync", "stdin", run=meshag.fresh)
    work(guarded)
    do("sync", "stdin", "--json")
    do("doctor", "stdin", run=meshag.fresh)
    fake_llm.script = [Reply('{"proposals": []}')]
    do("suggest", "stdin", "--preview")
    do("suggest", "stdin", "--consent", "--json")
    found = json.loads(do("suggestions", "stdin", "--json").out)
    do("apply", found[0]["id"], "--dry-run")
    do("runs", "--json")
    do("key", "rotate")
    do("connections", "test", "userinfo")
    do("store", "backup", str(tmp_path / "backup.db"))
    # Now everything fails, with the password in reach.
    guarded.execute(f"ALTER ROLE {ROLE} PASSWORD 'another'")
    do("sync", "stdin", "--json", code=1, run=meshag.fresh)
    do("connections", "test", "userinfo", code=1)
    guarded.execute(f"ALTER ROLE {ROLE} NOLOGIN")
    do("sync", "environment", code=1)
    (meshag.home / "key").rename(tmp_path / "key")
    do("sync", "stdin", code=1)
    do("connections", "edit", "stdin", "--password-stdin", stdin=AWKWARD + "\n", code=1)
    listed = watcher.stop()
    assert b"connections\0add" in listed, "it was watched"
    none_in("the process list", listed)
    for answer in answers:
        none_in("the output", (answer.out + answer.err).encode())
    none_in("the files", said_by(meshag.home))
    none_in("the backup", (tmp_path / "backup.db").read_bytes())
    assert len(fake_llm.requests) == 1
    none_in("the prompt", json.dumps(fake_llm.requests[0].body, ensure_ascii=False).encode())
    server_side = guarded.server.root.joinpath("log").read_bytes()
    assert b"FATAL" in server_side, "the log is the server's"


@pytest.mark.parametrize(
    "wrong",
    [
        "postgresql://u:{raw}@127.0.0.1:1/d",
        "postgresql://u:{raw}@127.0.0.1:port/d",
        "postgresql://u:{encoded}@127.0.0.1:1/d?nonsense={encoded}",
        "postgresql://u:{encoded}@127.0.0.1:1/d?sslmode={encoded}",
        "postgresql://u@127.0.0.1:1/d?password={encoded}&proxy=socks5://me:{encoded}@127.0.0.1:1",
        "postgresql://u@127.0.0.1:1/d?proxy=socks5%3A%2F%2Fme%3A{encoded}%40127.0.0.1%3A1",
        "postgresql://u@127.0.0.1:1/d?proxy=nonsense://me:{encoded}@127.0.0.1:1",
        "host=127.0.0.1 user=u password={encoded}",
        "oracle://u:{encoded}@h/d",
    ],
)
def test_a_url_that_is_wrong_is_not_repeated(meshag: Meshag, wrong: str) -> None:
    meshag.environment["MESHAG_LOG"] = "DEBUG"
    url = wrong.format(raw=AWKWARD, encoded=quote(AWKWARD, safe=""))
    answers = [meshag("connections", "add", "x", url), meshag("connections", "setup-sql", url), meshag("sync", url)]
    assert all(answer.code for answer in (answers[0], answers[2]))
    none_in("the output", "".join(answer.out + answer.err for answer in answers).encode())
    none_in("the log", meshag.log.encode())


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:{encoded}@10.255.255.1:5432/d",
        "postgresql://u:{raw}@10.255.255.1:5432/d",
        "postgresql://u@10.255.255.1:5432/d?password={encoded}",
        "postgresql://u@10.255.255.1:5432/d?proxy=socks5://me:{encoded}@10.255.255.1:1",
        "postgresql://u@10.255.255.1:5432/d?proxy=socks5%3A%2F%2Fme%3A{encoded}%4010.255.255.1%3A1",
    ],
)
def test_the_process_list_forgets_every_form(meshag: Meshag, url: str) -> None:
    process = meshag.start(
        "connections", "add", "x", url.format(raw=f"{CANARY}@#%'\\", encoded=quote(CANARY + "@#%'\\", safe=""))
    )
    try:
        end = time.monotonic() + 60
        listed = CANARY.encode()
        while CANARY.encode() in listed and time.monotonic() < end and process.poll() is None:
            time.sleep(0.02)
            listed = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert CANARY.encode() not in listed
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("end", ["left", "terminated"])
@pytest.mark.slow
def test_no_screen_shows_one(guarded: Database, meshag: Meshag, end: str) -> None:
    """Through all the screens on a terminal, one of them with an error, to either end."""
    meshag.environment["MESHAG_LOG"] = "DEBUG"
    meshag("connections", "add", "shop", address(guarded, ROLE), "--password-stdin", stdin=AWKWARD + "\n")
    meshag("sync", "shop")
    meshag("connections", "add", "bad", address(guarded, f"nobody:{quote(AWKWARD, safe='')}"), "--no-test")
    meshag("sync", "bad")
    environment = meshag.environment | {"TERM": "xterm-256color"}
    with Terminal(meshag.command(), 120, 40, environment) as terminal:
        terminal.wait_for("shop", 20)
        for key in "123456":
            terminal.send(key)
            terminal.settle(0.4)
        terminal.send("?")
        terminal.settle(0.4)
        terminal.send("esc")
        terminal.settle(0.4)
        if end == "left":
            terminal.send("q")
        else:
            os.kill(terminal.process.pid, signal.SIGTERM)
        terminal.wait(20)
        terminal.settle(0.2)
        none_in("the terminal", terminal.raw)
        assert terminal.modes_left() == []
    none_in("the files", said_by(meshag.home))


def test_a_configuration_with_a_password_that_others_may_read_is_refused(meshag: Meshag, must: Must) -> None:
    meshag.home.mkdir(mode=0o700)
    config = meshag.home / "config.toml"
    config.write_text(f'store = "postgresql://u:{CANARY}@127.0.0.1:1/store"\n')
    config.chmod(0o644)
    answer = meshag("connections", "list")
    assert answer.code == 2 and f"chmod 600 {config}" in answer.err
    config.chmod(0o600)
    unreachable = meshag("connections", "list")
    assert unreachable.code == 1 and "chmod" not in unreachable.err
    none_in("the output", (answer.err + unreachable.err).encode())
    none_in("the log", meshag.log.encode())
