"""Connections from the keyboard: added after a test, edited, tested, switched off, forgotten; failures in words."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual._compositor import Compositor

from meshag_tui.figures import moment
from meshag_tui.store import connections, models
from meshag_tui.types import ConnectionStatus, DbType, Secret, Target
from meshag_tui.workflows.durable import RunFailed
from meshag_tui.workflows.scheduler import Scheduler
from meshag_tui.workflows.workbench import Workbench
from tests.rig.certificates import authority, install, only_tls
from tests.rig.mysql import Schema
from tests.rig.postgres import MONITOR, MONITOR_PASSWORD, Database
from tests.screens.conftest import Desk, Open

CANARY = "can4ry-pass-phrase"
MY_PASSWORD = "m4ria-pass-phrase"
NOWHERE = Target(DbType.POSTGRES, "192.0.2.1", 5432, "shop", "watcher", Secret(CANARY))


async def fill(desk: Desk, **values: str) -> None:
    """Type values into the form, from the URL down; a choice is gone through with the right arrow."""
    for name in ("url", "name", "engine", "host", "port", "database", "user", "password", "tls", "tls_ca", "proxy"):
        value = values.get(name)
        if name == "tls" and value:
            while f"< {value} >" not in desk.screen:
                await desk.press("right")
        elif value is not None:
            if name == "port":
                await desk.press("end", *["backspace"] * 4)
            await desk.type(value)
        await desk.press("tab")


async def open_form(desk: Desk) -> None:
    await desk.press("1", "i")
    await desk.until("CREATE ROLE")
    await desk.press("enter")
    await desk.until("how to reach it")


def parts(pg: Database, **other: str) -> dict[str, str]:
    target = Target.from_url(pg.monitor_url)
    known = {"name": "shop", "host": target.host, "port": str(target.port), "database": pg.name, "user": MONITOR}
    return known | {"password": MONITOR_PASSWORD} | other


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(5)
        yield listening.getsockname()[1]


async def test_a_connection_is_added_by_keys_alone(bench: Workbench, at_desk: Open, pg18: Database) -> None:
    pg18.execute("CREATE TABLE goods (id int PRIMARY KEY)")
    async with at_desk(bench, size=(80, 24)) as desk:
        await open_form(desk)
        await fill(desk, **parts(pg18))
        await desk.press("enter")
        said = await desk.until("✓ PostgreSQL 18")
        assert ("answers in" in said and f"role {MONITOR}" in said.replace("\n", " ")) or MONITOR in said
        assert "Save" in said and not await bench.store(connections.listing)
        await desk.press("enter")
        await desk.until("✓ active")
        (info,) = await bench.store(connections.listing)
        assert info.name == "shop" and info.last_sync_at is not None
        assert desk.app.connection is not None and desk.app.connection.id == info.id
        assert MONITOR_PASSWORD not in desk.screen


async def test_a_pasted_url_fills_the_form_and_hides_its_password(
    bench: Workbench, at_desk: Open, pg18: Database
) -> None:
    async with at_desk(bench) as desk:
        await open_form(desk)
        await desk.type(pg18.monitor_url)
        await desk.press("tab")
        said = await desk.until("Filled in from the URL")
        assert pg18.name in said and MONITOR in said and "p%40ss" not in said and "p@ss" not in said
        await desk.press("enter")
        await desk.until("✓ PostgreSQL 18")


async def test_each_field_says_beside_itself_what_is_wrong(
    bench: Workbench, at_desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.connections.add("shop", NOWHERE)
    async with at_desk(bench) as desk:
        await open_form(desk)
        whole, paint = [], Compositor.render_full_update
        monkeypatch.setattr(Compositor, "render_full_update", lambda *a, **how: whole.append(how) or paint(*a, **how))
        await desk.press("tab", "shift+tab")
        assert whole == [], "of a field that is left and one that is come to no more than they are painted"
        await fill(desk, name="shop", host="", port="99999", proxy="http://proxy", tls_ca="/no/such/file")
        await desk.press("enter")
        said = await desk.until("another connection has this name")
        for problem in ("needed", "a whole number from 1 to 65535", "there is no such file", "write socks5://"):
            assert problem in said
        assert "PostgreSQL 18" not in said


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        pytest.param({"user": "nobody"}, "does not accept this password for nobody", marks=pytest.mark.soak),
        ({"database": "nowhere"}, "There is no database nowhere"),
        ({"host": "host.invalid"}, "host.invalid"),
        ({"tls": "require"}, "offers no TLS"),
        ({"proxy": "socks5://127.0.0.1:9"}, "The SOCKS5 proxy 127.0.0.1:9 cannot be reached"),
    ],
    ids=["user", "database", "host", "tls", "proxy"],
)
async def test_what_fails_is_said_in_its_own_words_and_the_form_stays(
    bench: Workbench, at_desk: Open, pg18: Database, wrong: dict[str, str], said: str
) -> None:
    async with at_desk(bench) as desk:
        await open_form(desk)
        await fill(desk, **parts(pg18, **wrong))
        await desk.press("enter")
        screen = await desk.until(lambda screen: said in " ".join(screen.replace("│", "").split()))
        assert "Nothing was saved" in screen
        assert "shop" in screen and parts(pg18, **wrong)["user"] in screen
        assert await bench.store(connections.listing) == ()


async def test_the_others_are_watched_on_while_one_cannot_be_added(
    bench: Workbench, at_desk: Open, pg18: Database
) -> None:
    old = await bench.connections.add("old", Target.from_url(pg18.monitor_url), interval_s=600)
    now = [1_000.0]
    scheduler = Scheduler(bench.store, bench.settings, bench.runner, bench.notices, clock=lambda: now[0])
    await scheduler.once()
    first = (await bench.store(connections.get, old.id)).last_sync_at
    assert first
    async with at_desk(bench) as desk:
        await open_form(desk)
        await fill(desk, **parts(pg18, password="not it"))
        await desk.press("enter")
        said = f"does not accept this password for {MONITOR}"
        screen = await desk.until(lambda screen: said in " ".join(screen.replace("│", "").split()))
        assert "Nothing was saved" in screen
        now[0] += 700
        await scheduler.once()
    (left,) = await bench.store(connections.listing)
    assert (left.name, left.status, left.last_error) == ("old", ConnectionStatus.ACTIVE, None)
    assert left.last_sync_at is not None and left.last_sync_at > first


@pytest.mark.slow
async def test_tls_is_checked_against_the_ca_that_is_given(
    bench: Workbench, at_desk: Open, private_pg: Callable[..., Database], tmp_path: Path
) -> None:
    server = private_pg(15)
    signer, stranger = authority(tmp_path, "signer"), authority(tmp_path, "stranger")
    install(server, signer, ["127.0.0.1"])
    only_tls(server)
    async with at_desk(bench) as desk:
        await open_form(desk)
        await fill(desk, **parts(server, tls="verify-full", tls_ca=str(stranger.file)))
        await desk.press("enter")
        await desk.until(lambda _: "is not signed by a certificate authority we trust" in desk.words)
        assert "Nothing was saved" in desk.screen and "stranger.crt" in desk.screen
        await desk.press(*["shift+tab"] * 2, "end", *["backspace"] * len(str(stranger.file)))
        await desk.paste(str(signer.file))
        await desk.press("enter")
        await desk.until("enter saves it")
        await desk.press("enter")
        await desk.until("✓ active")
        (info,) = await bench.store(connections.listing)
        assert (info.tls, info.tls_ca) == ("verify-full", str(signer.file))


async def test_a_server_that_is_gone_is_down_since_its_last_answer_and_then_up(
    bench: Workbench, at_desk: Open, private_pg: Callable[..., Database]
) -> None:
    database = private_pg(18)
    info = await bench.connections.add("shop", Target.from_url(database.monitor_url))
    await bench.sync(info.id)
    async with at_desk(bench, size=(80, 24)) as desk:
        await desk.press("1")
        await desk.until("✓ active")
        await asyncio.to_thread(database.server.stop, immediate=True)
        with pytest.raises(RunFailed):
            await bench.sync(info.id)
        last = (await bench.store(connections.get, info.id)).last_sync_at
        await desk.until(f"down since {moment(last, '%d %b %H:%M:%S')}, data")
        await asyncio.to_thread(database.server.start)
        await bench.sync(info.id)
        await desk.until("✓ active")
        assert "down since" not in desk.screen


async def test_a_service_fills_the_form_and_a_socket_is_a_host(
    bench: Workbench, at_desk: Open, pg18: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket_url = Target.from_url(pg18.socket_url)
    assert socket_url.host.startswith("/")
    file = tmp_path / "services"
    lines = (f"host={socket_url.host}", f"port={socket_url.port}", f"dbname={pg18.name}", f"user={socket_url.user}")
    file.write_text("\n".join(("[shop]", *lines, "")))
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    async with at_desk(bench, size=(80, 24)) as desk:
        await open_form(desk)
        await desk.type("service=stock")
        await desk.press("enter")
        await desk.until("There is no service stock")
        await desk.press(*["backspace"] * 5)
        await desk.type("shop")
        await desk.press("tab")
        await desk.until("Filled in from the URL")
        await desk.press("enter")
        await desk.until("✓ PostgreSQL 18")
        await desk.press("enter")
        await desk.until("✓ active")
        (info,) = await bench.store(connections.listing)
        assert (info.host, info.database) == (socket_url.host, pg18.name)


@pytest.mark.slow
async def test_nobody_listening_and_nobody_answering_differ(bench: Workbench, at_desk: Open, silent_port: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = free.getsockname()[1]
    async with at_desk(bench) as desk:
        await open_form(desk)
        known = {"name": "shop", "host": "127.0.0.1", "database": "shop", "user": "watcher"}
        await fill(desk, **known, port=str(closed))
        await desk.press("enter")
        await desk.until("connection refused")
        await desk.press("escape", "i", "enter")
        await fill(desk, **known, port=str(silent_port))
        await desk.press("enter")
        await desk.until("Testing watcher@")
        await desk.press("escape")  # stops the test, keeps the form
        await desk.until("The test was cancelled")
        await desk.press("enter")
        said = await desk.until("Nothing was saved")
        assert "refused" not in said


async def test_a_database_without_the_extension_is_saved_with_what_mends_it(
    bench: Workbench, at_desk: Open, pg18: Database
) -> None:
    pg18.execute("DROP EXTENSION pg_stat_statements")
    async with at_desk(bench) as desk:
        await open_form(desk)
        await fill(desk, **parts(pg18))
        await desk.press("enter")
        said = await desk.until("✗ missing")
        assert "CREATE EXTENSION" in said
        await desk.press("enter")
        await desk.until("shop ")


async def test_the_same_database_is_not_added_twice_by_accident(
    bench: Workbench, at_desk: Open, pg18: Database
) -> None:
    first = await bench.connections.add("stock", Target.from_url(pg18.monitor_url))
    await bench.sync(first.id)
    async with at_desk(bench) as desk:
        await open_form(desk)
        await fill(desk, **parts(pg18))
        await desk.press("enter")
        await desk.until("monitored already as stock")
        await desk.press("enter", "enter")
        await desk.pilot.pause(0.3)
        assert [info.name for info in await bench.store(connections.listing)] == ["stock"]
        await desk.press("ctrl+s")
        await desk.gone("how to reach it")
        assert [info.name for info in await bench.store(connections.listing)] == ["shop", "stock"]


async def test_the_setup_sql_is_copied_whole(bench: Workbench, at_desk: Open) -> None:
    async with at_desk(bench) as desk:
        await desk.press("1", "i", "y")
        await desk.until("Copied the setup SQL")
        assert desk.app.clipboard.startswith("-- A role for MeshAG")
        assert "pg_stat_statements" in desk.app.clipboard


async def test_editing_keeps_the_password_unless_the_server_is_another(
    bench: Workbench, at_desk: Open, pg18: Database
) -> None:
    info = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    async with at_desk(bench) as desk:
        await desk.press("1", "E")
        await desk.until("Edit shop")
        await desk.press("end")
        await desk.type("-two")
        await desk.press(*["tab"] * 10)
        await desk.type("30")
        await desk.press("enter")
        await desk.until("enter saves it")
        await desk.press("enter")
        await desk.until("✓ active")
        edited = await bench.store(connections.get, info.id)
        assert (edited.name, edited.interval_s) == ("shop-two", 30)
        kept = await bench.store(connections.target, info.id, bench.vault)
        assert kept.password is not None and kept.password.reveal() == MONITOR_PASSWORD

        await desk.press("E")
        await desk.until("Edit shop-two")
        await desk.press("tab", "tab", "end", *["backspace"] * 12)
        await desk.type("localhost")
        await desk.press("enter")
        await desk.until("saved password is for another server")
        assert (await bench.store(connections.get, info.id)).host == edited.host


async def test_a_saved_connection_is_tested_and_its_error_shown_in_full(bench: Workbench, at_desk: Open) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    await bench.connections.add("shop", Target(DbType.POSTGRES, "127.0.0.1", port, "shop", "watcher", Secret(CANARY)))
    async with at_desk(bench) as desk:
        await desk.press("1", "T")
        said = await desk.until("Test of shop failed")
        assert "connection refused" in said and CANARY not in said
        await desk.press("escape")
        await desk.until("✗ error")


async def test_syncing_is_switched_off_and_on(bench: Workbench, at_desk: Open) -> None:
    info = await bench.connections.add("shop", NOWHERE)
    async with at_desk(bench) as desk:
        await desk.press("1", "P")
        await desk.until("– off")
        assert (await bench.store(connections.get, info.id)).status is ConnectionStatus.INACTIVE
        await desk.press("P")
        await desk.until("✓ active")


async def test_a_connection_is_forgotten_only_by_its_name_and_completely(
    bench: Workbench, at_desk: Open, pg18: Database
) -> None:
    info = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    await bench.sync(info.id)
    async with at_desk(bench) as desk:
        await desk.press("1", "D")
        await desk.until("Type shop to confirm")
        assert " intervals" in desk.words and "database itself is not touched" in desk.words
        await desk.type("shoq")
        await desk.press("enter")
        await desk.until("That is not the name")
        await desk.press("backspace")
        await desk.type("p")
        await desk.press("enter")
        await desk.until("no connection yet")

        def left() -> int:
            of_connections = (models.Query, models.Interval, models.MonitoredTable, models.MonitoredIndex)
            return sum(model.select().count() for model in (*of_connections, models.Execution, models.Suggestion))

        assert await bench.store(left) == 0
        await desk.press("7")
        await desk.until("connection.removed")


async def test_the_list_shows_every_column_and_sorts(bench: Workbench, at_desk: Open) -> None:
    await bench.connections.add("shop", NOWHERE)
    await bench.connections.add("stock", NOWHERE)
    first = (await bench.store(connections.listing))[0]
    await bench.store(connections.failed, first.id, "the server is on fire", None)
    async with at_desk(bench, size=(200, 40)) as desk:
        await desk.press("1")
        said = await desk.until("the server is on fire")
        heading = said.splitlines()[2]
        for title in ("Name", "Status", "Type", "Address", "Database", "Synced", "Next", "Advice", "Last error"):
            assert title in heading
        for title in ("Load", "Trend", "Calls", "Active", "Slow"):
            assert title in heading
        assert "192.0.2.1:5432" in said and "✗ error" in said
        assert said.index("shop  ") < said.index("stock  ")
        await desk.press("S")
        await desk.until(lambda screen: screen.index("stock  ") < screen.index("shop  "))
        assert CANARY not in said


async def test_a_mysql_or_mariadb_connection_is_added_by_keys_alone(
    bench: Workbench, at_desk: Open, my: Schema
) -> None:
    rights = ("PROCESS ON *.*", "SELECT ON performance_schema.*", f"SELECT ON `{my.name}`.*")
    target = Target.from_url(my.user(*rights, password=MY_PASSWORD))
    async with at_desk(bench, size=(80, 24)) as desk:
        await desk.press("1", "i")
        await desk.until("CREATE ROLE")
        await desk.press("right")
        said = await desk.until("GRANT PROCESS")
        assert "MySQL or MariaDB" in said and "CREATE ROLE" not in said, "the script is that of the engine chosen"
        await desk.press("enter")
        said = await desk.until("empty: all databases of the server")
        assert "3306" in said and "mysql://user@host:3306/database" in said
        known = {"name": "shop", "host": target.host, "port": str(target.port), "user": target.user}
        await fill(desk, **known, password=f"wrong{CANARY}")
        await desk.press("enter")
        said = await desk.until("does not accept this user and password")
        assert CANARY not in said and not await bench.store(connections.listing)
        await desk.press(*["shift+tab"] * 4, "end", *["backspace"] * 30)
        await desk.type(MY_PASSWORD)
        await desk.press("enter")
        await desk.until(f"✓ {my.flavour}")
        await desk.press("enter")
        await desk.until("✓ active")
        (info,) = await bench.store(connections.listing)
        assert (info.db_type, info.engine, info.database) == (DbType.MYSQL, my.flavour, "")
        assert info.last_sync_at is not None and MY_PASSWORD not in desk.screen
        await desk.press("2")
        await desk.until("▼Total")
        await desk.press("i")
        await desk.until("Statements set aside")
        await desk.press("i")
        await desk.until("internal ones shown")
