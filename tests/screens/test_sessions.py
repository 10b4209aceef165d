"""Sessions by keys alone, on a real server: who blocks whom, stopping one, back in time; and what is said else."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from meshag_tui.engines import words_for
from meshag_tui.live import LiveReading, LiveSession, Vital
from meshag_tui.screens import sessions_facts
from meshag_tui.screens.sessions import SessionsPane
from meshag_tui.settings import CollectSettings
from meshag_tui.store import activity, connections, sampled
from meshag_tui.store.database import Store
from meshag_tui.store.sampled import SeenSession, Span
from meshag_tui.types import Target
from meshag_tui.workflows.sampling import Latest
from meshag_tui.workflows.workbench import Workbench
from tests.rig.mysql import Schema
from tests.rig.postgres import Database
from tests.screens import picture
from tests.screens.conftest import AT, Desk, Open
from tests.screens.test_pictures import LOOKS, SIZES, the_same_everywhere

__all__ = ["the_same_everywhere"]

MINUTE = 60_000


def pane(desk: Desk) -> SessionsPane:
    found = desk.app.pane("sessions")
    assert isinstance(found, SessionsPane)
    return found


@contextmanager
def blocked(database: Database) -> Iterator[list[BaseException]]:
    """A session that waits for another: what it raised is in the list after the block, when the other has let go."""
    database.execute("CREATE TABLE stock (id int PRIMARY KEY, note text)", "INSERT INTO stock VALUES (1)")
    raised: list[BaseException] = []

    def wait() -> None:
        with database.connect(application_name="waiter") as connection:
            try:
                connection.execute("UPDATE stock SET note = 'canary' WHERE id = 1")
            except psycopg.Error as error:
                raised.append(error)

    with database.connect(application_name="holder") as holder:
        holder.execute("BEGIN")
        holder.execute("UPDATE stock SET note = 'canary' WHERE id = 1")
        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        yield raised
        if not holder.closed and not holder.broken:
            with suppress(psycopg.Error):  # it may have been ended
                holder.execute("ROLLBACK")
        thread.join(20)
        assert not thread.is_alive()


async def test_who_blocks_whom_and_stopping_one(bench: Workbench, at_desk: Open, pg18: Database) -> None:
    info = await bench.connections.add("shop", Target.from_url(pg18.url))
    with blocked(pg18) as raised:
        async with at_desk(bench, collect=True) as desk:
            await desk.press("0")
            await desk.until(lambda screen: "✗ blocked" in screen and "blocking" in screen)
            assert "UPDATE stock SET note = $1" in desk.screen
            assert "canary" not in desk.screen
            assert "1 active" in desk.screen and "1 blocked" in desk.screen and "1 idle in transaction" in desk.screen
            rows = pane(desk)._table.rows
            holder, waiter = rows[0].id, rows[1].id
            assert [each.application for each in rows[:2]] == ["holder", "waiter"], "who blocks comes first"
            await desk.press("b")
            tree = await desk.until(f"+- {waiter}")
            assert tree.index(str(holder)) < tree.index(str(waiter))
            await desk.press("escape", "j", "enter")
            said = await desk.until("Blocked by")
            assert str(holder) in said and "Lock: transactionid" in said
            await desk.press("x")
            await desk.until("Stop session")
            await desk.press("enter")
            shown = await desk.until("pg_cancel_backend")
            assert f"pg_stat_get_activity({waiter})" in shown and "backend_start" in shown and "query_start" in shown
            assert not raised
            await desk.press("r")
            await desk.until("the server was told to stop it")
            await desk.press("escape")
            await desk.until(lambda screen: "✗ blocked" not in screen)
            entries = await bench.store(activity.recent, kind="session")
            assert [each.kind for each in entries] == ["session.cancel", "session.cancel"]
            assert "the server was told to stop it" in entries[0].message
            assert "asked to cancel the statement of" in entries[1].message
            assert entries[0].connection_id == info.id and "canary" not in str(entries)
            await desk.press("x", "down", "enter")
            await desk.until("pg_terminate_backend")
            await desk.press("r")
            await desk.until("0 idle in transaction")
            ended = await bench.store(activity.recent, kind="session.terminate")
            assert "asked to end session" in ended[-1].message
    assert [type(each) for each in raised] == [psycopg.errors.QueryCanceled]


async def test_a_right_that_is_missing_to_stop_one_is_said_in_full(
    bench: Workbench, at_desk: Open, mariadb: Schema
) -> None:
    await bench.connections.add("shop", Target.from_url(mariadb.monitor_url))
    with mariadb.connect(autocommit=False) as other, other.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id int PRIMARY KEY)")
        cursor.execute("SELECT * FROM t")
        async with at_desk(bench, collect=True, size=(80, 24)) as desk:
            await desk.press("0")
            await desk.until("idle in trx")
            await desk.press("x")
            await desk.until("Stop session")
            await desk.press("down", "enter")
            await desk.until("KILL ")
            await desk.press("r")
            await desk.until("GRANT CONNECTION ADMIN ON *.* TO")


async def test_what_is_over_or_read_only_is_not_stopped(bench: Workbench, at_desk: Open, pg18: Database) -> None:
    info = await bench.connections.add("shop", Target.from_url(pg18.url), read_only=True)
    with pg18.connect(application_name="holder") as holder:
        holder.execute("BEGIN")
        async with at_desk(bench, collect=True) as desk:
            await desk.press("0")
            await desk.until("idle in trx")
            await desk.press("x")
            assert "Stop session" not in desk.screen and "x Stop" not in desk.screen
        await bench.connections.edit(info.id, read_only=False)
        async with at_desk(bench, collect=True) as desk:
            await desk.press("0")
            await desk.until("idle in trx")
            await desk.press("x", "down", "enter")
            await desk.until("pg_terminate_backend")
            holder.execute("SELECT 1")  # it has gone on: what was seen is no more
            await desk.press("r")
            await desk.until("nothing was sent, it is no more at what was seen")
        holder.execute("SELECT 1")


async def test_back_in_time_and_to_now(bench: Workbench, at_desk: Open) -> None:
    shop = await _shop(bench)
    await bench.store(_past, shop)
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        await desk.press("0")
        await desk.until("Active sessions, 15 min")
        assert "running 67 %" in desk.screen and "lock 33 %" in desk.screen
        await desk.press("T", *"14:05", "enter")
        await desk.until("UPDATE carts SET …")
        said = desk.screen
        assert "14:04:20 to 14:05:20, 12 samples" in said
        assert "nobody looked" not in said
        await desk.press("x")
        assert "this is of" in desk.screen
        for _ in range(9):
            await desk.press("]")
        await desk.press("escape")
        await desk.until("now" if pane(desk).at is not None else "Loading")
        assert pane(desk).at is None
        await desk.press("[")
        assert pane(desk).at is not None
        await desk.press("T", *"03:12", "enter")
        await desk.until("nobody looked around 2026-09-21 03:12")


async def test_without_sampling_it_says_why(bench: Workbench, at_desk: Open) -> None:
    await _shop(bench)
    bench.settings = bench.settings._replace(collect=CollectSettings(sample_s=0))
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        await desk.press("0")
        await desk.until("sampling is off")
        assert "no samples here yet" in desk.screen


async def test_an_error_is_not_an_empty_list(bench: Workbench, at_desk: Open) -> None:
    shop = await _shop(bench)
    reading = LiveReading(AT - 90_000, 1.0, (_live(1),))
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        bench.sampler._latest[shop] = Latest(None, "db1 refused the connection", "Start it")
        await desk.press("0")
        await desk.until("sessions cannot be read")
        assert "db1 refused the connection" in desk.screen
        bench.sampler._latest[shop] = Latest(reading, "db1 refused the connection", "Start it", None, 5.0)
        await desk.until(re.compile(r"Stale: of 1 min|Stale: of 90 s").search)  # type: ignore[arg-type]
        assert "SELECT 1" in desk.screen, "the last good one stays"


def test_a_ring_of_sessions_ends() -> None:
    ring = [replace(_live(one), blocked_by=(other,)) for one, other in ((1, 2), (2, 3), (3, 1))]
    rows = sessions_facts.rows_of(LiveReading(AT, 1.0, tuple(ring)))
    assert [row.blocks for row in rows] == [2, 2, 2]
    said = "".join(text for _, text in sessions_facts.tree(rows))
    assert said.count("a ring") == 1


def test_of_one_that_idles_it_is_said_why_no_statement_is_known() -> None:
    (row,) = sessions_facts.rows_of(LiveReading(AT, 1.0, (replace(_live(1), state="idle", text=None),)))
    said = {
        name: "".join(text for _, text in sessions_facts.in_full(row, [row], False, words_for(name)))
        for name in ("MySQL", "MariaDB")
    }
    assert "MariaDB tells a statement while it runs, no longer" in said["MariaDB"]
    assert "none, or not ours to see" in said["MySQL"]
    assert sessions_facts.COLUMNS[-1].value(row) == "–", "a client is not a word of SQL"


def _live(number: int, **more: Any) -> LiveSession:
    known: dict[str, Any] = {
        **{"id": number, "began": f"b{number}", "begun": "x", "user": "app", "database": "shop", "client": "10.0.0.7"},
        **{"application": "shop-web", "kind": "client", "state": "active", "wait": "cpu", "event": ""},
        **{"statement_ms": 120.0, "transaction_ms": 150.0, "state_ms": 120.0, "text": "SELECT 1", "fingerprint": "f1"},
    }
    return LiveSession(**(known | more))


async def _shop(bench: Workbench) -> str:
    return (await bench.connections.add("shop", Target.from_url("postgresql://watcher@db1.example.org/shop"))).id


def _past(connection: str) -> None:
    """Fourteen minutes up to now in which one session works and, in the latter half, another waits for it."""
    for minute in range(14):
        start = AT - (14 - minute) * MINUTE
        waits = minute >= 4
        seen = [
            SeenSession(
                *(4711, "shop_app", "shop", "10.0.0.7", "shop-web", "client", "active", "cpu", "", 900.0, "f1", (), 12),
                text="SELECT * FROM orders WHERE customer_id = $1 ORDER BY placed_at DESC LIMIT $2",
            )
        ]
        if waits:
            seen.append(
                SeenSession(
                    *(4712, "shop_app", "shop", "10.0.0.8", "shop-batch", "client", "active", "lock"),
                    *("Lock: transactionid", 31_000.0, "f2", (4711,), 9),
                    text="UPDATE carts SET …",
                )
            )
        active = {"cpu": 15.0, "lock": 10.5} if waits else {"cpu": 15.0}
        vitals = {"hit_ratio": Vital("ok", 0.982), "connections": Vital("ok", 41.0, 97.0)}
        vitals |= {"lag_ms": Vital("no data", detail="nobody replicates from it"), "oldest_ms": Vital("ok", 31_000.0)}
        vitals |= {"age": Vital("insufficient privilege", fix="GRANT pg_read_all_stats TO watcher;")}
        sampled.add(connection, Span(start, start + MINUTE, 12, active, tuple(seen), vitals))


PICTURES: dict[str, tuple[str, ...]] = {
    "sessions": ("0",),
    "sessions-then": ("0", "left_square_bracket", "left_square_bracket"),
    "session": ("0", "j", "enter"),
    "sessions-tree": ("0", "b"),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", PICTURES)
def test_screen(snap_compare: Any, tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    assert look_at(snap_compare, tmp_path / "home", name, size)


@pytest.mark.parametrize("look", LOOKS)
def test_other_looks(snap_compare: Any, tmp_path: Path, look: str) -> None:
    assert look_at(snap_compare, tmp_path / "home", "sessions", *LOOKS[look])


def look_at(snap_compare: Any, home: Path, name: str, size: tuple[int, int], theme: str = "dark") -> bool:
    settings = picture.settings_in(home, theme)
    picture.fill(settings)
    store = Store.open(settings.store_url)
    shop = store.run(connections.find, "shop")
    store.run(_past, shop.id)
    store.close()
    app = picture.application(settings)
    sitting = {"state": "idle in transaction", "wait": None, "statement_ms": None, "transaction_ms": 95_000.0}
    first = {
        "blocked_by": (4711,),
        "event": "Lock: transactionid",
        "statement_ms": 31_000.0,
        "text": "UPDATE carts SET …",
    }
    second = {"blocked_by": (4712,), "event": "Lock: tuple", "statement_ms": 8_000.0, "application": "shop-batch"}
    chain = (
        _live(4711, fingerprint=None, **sitting),
        _live(4712, wait="lock", **first),
        _live(4713, wait="lock", **second),
        _live(4714, wait="io", event="IO: DataFileRead", text="SELECT count(*) FROM orders"),
    )
    vitals = {"hit_ratio": Vital("ok", 0.982), "connections": Vital("ok", 41.0, 97.0), "oldest_ms": Vital("ok", 1.0)}
    vitals |= {"lag_ms": Vital("no data"), "age": Vital("ok", 4e8, 2.1e9)}

    async def show(pilot: Any) -> None:
        await picture.settled(pilot)
        assert app.bench is not None
        app.bench.sampler._latest[shop.id] = Latest(LiveReading(AT - 1_000, 0.9, chain), "", "", vitals, 5.0)
        app.look_at_connection(shop.id)
        await picture.press(pilot, *PICTURES[name])

    return bool(snap_compare(app, terminal_size=size, run_before=show))
