"""The open store: its threads, transactions, failures, bulk statements and upgrades."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peewee
import pytest

from meshag_tui.store import bulk, database, models, place, schema
from meshag_tui.store.database import Store, StoreUnavailable
from meshag_tui.types import MeshagError


def _note(key: str, value: Any = 1) -> None:
    models.Setting.create(key=key, value=value)


def _keys() -> list[str]:
    return [row.key for row in models.Setting.select().order_by(models.Setting.key)]


def test_a_driver_is_loaded_for_the_store_that_needs_it(store_url: str) -> None:
    """Peewee imports all drivers it finds; a store on SQLite has nothing of it, one on PostgreSQL its own."""
    Store.open(store_url).close()  # making it loads more
    program = (
        "import sys; from meshag_tui.store import activity, database\n"
        f"store = database.Store.open({store_url!r})\n"
        "store.run(activity.record, 'me', 'test', 'done')\n"
        "print(store.run(activity.recent, 5)[0].message, 'psycopg' in sys.modules, 'pymysql' in sys.modules)\n"
        "store.close()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["done", str(store_url.startswith("postgresql")), "False"], done.stderr


async def test_what_was_read_ahead_answers_the_first_who_asks_the_same(store: Store) -> None:
    asked: list[str] = []

    def answer(name: str) -> int:
        asked.append(name)
        return len(asked)

    async with asyncio.timeout(20):
        for name in ("a", "b"):
            store.ahead(answer, name)
        assert await store.read(answer, "c") == 3  # another question
        assert [await store.read(answer, "a") for _ in range(2)] == [1, 4]
        store.drop_ahead()
        assert await store.read(answer, "b") == 5
        assert asked == ["a", "b", "c", "a", "b"]


async def test_work_is_off_the_loop_and_in_order(store: Store) -> None:
    async with asyncio.timeout(20):
        names = await asyncio.gather(*(store(lambda: threading.current_thread().name) for _ in range(5)))
        assert set(names) == {"store"}
        await asyncio.gather(*(store(_note, f"{n:03}") for n in range(50)))
        assert await store.read(_keys) == [f"{n:03}" for n in range(50)]


async def test_a_reader_neither_waits_for_the_writer_nor_writes(store: Store) -> None:
    inside, leave = threading.Event(), threading.Event()

    def slow_write() -> None:
        with database.atomic():
            _note("late")
            inside.set()
            leave.wait(10)

    writing = asyncio.ensure_future(store(slow_write))
    await asyncio.to_thread(inside.wait, 10)
    async with asyncio.timeout(5):
        assert await store.read(_keys) == []
    leave.set()
    await writing
    assert await store.read(_keys) == ["late"]
    with pytest.raises((StoreUnavailable, peewee.DatabaseError)):
        await store.read(_note, "never")
    assert await store(_keys) == ["late"]


def test_sorting_for_a_reader_takes_no_more_memory_than_the_cache(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'store.db'}")

    def sort() -> int:
        """Bytes of memory that sorting 60 MB of rows takes at most."""
        rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) SELECT i FROM n"
        before = _resident()
        found = models.database.execute_sql(
            f"SELECT random() AS r, hex(zeroblob(500)) AS t FROM ({rows}) ORDER BY r, t"
        )
        found.fetchone()
        return _resident() - before

    assert store._submit(store._reader, True, sort).result() < 40_000_000
    store.close()


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def test_what_was_cancelled_before_it_began_never_runs(store: Store) -> None:
    blocked = asyncio.ensure_future(store(time.sleep, 0.3))
    await asyncio.sleep(0.05)
    waiting = asyncio.ensure_future(store(_note, "cancelled"))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await blocked
    assert await store(_keys) == []


def test_a_failed_transaction_leaves_nothing_and_the_next_works(store: Store) -> None:
    def fails() -> None:
        with database.durable():
            _note("a")
            _note("a")

    with pytest.raises(peewee.IntegrityError):
        store.run(fails)
    store.run(_note, "b")
    assert store.run(_keys) == ["b"]
    if store.kind == "sqlite":
        assert store.run(lambda: models.database.pragma("synchronous")) == 1


def test_closing_twice_and_using_it_after(store_url: str) -> None:
    store = Store.open(store_url)
    store.close()
    store.close()
    with pytest.raises(RuntimeError, match="closed"):
        store.run(_keys)


def test_a_process_leaves_though_its_store_is_busy(store: Store, store_url: str) -> None:
    script = (
        "import sys, threading\nfrom meshag_tui.store.database import Store\nstore = Store.open(sys.argv[1])\n"
        "begun = threading.Event()\n"
        "def for_ever():\n    begun.set()\n    threading.Event().wait()\n"
        "store._submit(store._writer, False, for_ever)\nbegun.wait()"
    )
    assert subprocess.run([sys.executable, "-c", script, store_url], timeout=120).returncode == 0


# ------------------------------------------------------------------ bulk

ODD = ["plain", "tab\tnew\nline", "back\\slash \\N", "quote'\"", "Ω≈ç√ 日本 🦀", "", "%s ? :x"]


def test_bulk_rows_come_back_as_they_were(store: Store) -> None:
    columns = ("at", "actor", "kind", "subject", "message", "details")

    def write() -> None:
        with database.atomic():
            bulk.insert(
                "activity", columns, [(n, text, "k", None if n % 2 else text, text, "{}") for n, text in enumerate(ODD)]
            )

    store.run(write)
    rows = store.run(lambda: list(models.Activity.select().order_by(models.Activity.at)))
    assert [row.message for row in rows] == ODD
    assert [row.subject for row in rows] == [None if n % 2 else text for n, text in enumerate(ODD)]


def test_bulk_upsert_and_update(store: Store) -> None:
    def write() -> None:
        with database.atomic():
            bulk.upsert("setting", ("key", "value"), [("a", "1"), ("b", "[2]")], key=("key",), update=("value",))
            bulk.upsert("setting", ("key", "value"), [("a", "9"), ("c", '{"d":3}')], key=("key",), update=())
            bulk.upsert("setting", ("key", "value"), [("b", "4")], key=("key",), update=("value",))
            bulk.update("setting", ("key",), ("value",), [("c", '"new"'), ("none", "1")])

    store.run(write)
    store.run(write)  # staging tables are used again
    assert store.run(lambda: {row.key: row.value for row in models.Setting.select()}) == {"a": 1, "b": 4, "c": "new"}

    def fails() -> None:
        with database.atomic():
            bulk.insert("setting", ("key", "value"), [("z", "1"), ("a", "1")])

    with pytest.raises(Exception, match=r"(?i)unique"):
        store.run(fails)
    assert store.run(_keys) == ["a", "b", "c"]


# ------------------------------------------------------------------ upgrades


@pytest.fixture
def two_migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A version of MeshAG with one migration more; the file is returned, to be written by the test."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    for file in schema.DIRECTORY.glob("[0-9]*.py"):
        (folder / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(schema, "DIRECTORY", folder)
    yield folder / "9000_more.py"


ADD_COLUMN = """
def up(migrator, db):
    db.execute_sql("ALTER TABLE setting ADD COLUMN more TEXT")
    db.execute_sql("CREATE TABLE later (a INTEGER)")
"""


def test_upgrade_keeps_the_data_and_makes_a_backup_first(
    unmade_store_url: str, two_migrations: Path, tmp_path: Path
) -> None:
    store = Store.open(unmade_store_url)
    store.run(_note, "kept")
    store.close()
    two_migrations.write_text(ADD_COLUMN)
    waiting = Store.open(unmade_store_url, migrate=False)
    assert [found.state for found in waiting.status()][-2:] == ["applied", "pending"]
    assert waiting.migrate() == ("9000_more",)
    assert waiting.run(_keys) == ["kept"]
    waiting.close()
    backups = list(tmp_path.glob("store.db.backup-*"))
    assert len(backups) == (1 if store.kind == "sqlite" else 0)


def test_a_migration_that_fails_changes_nothing(unmade_store_url: str, two_migrations: Path) -> None:
    Store.open(unmade_store_url).close()
    two_migrations.write_text(ADD_COLUMN + '    db.execute_sql("SELECT no_such_column")\n')
    with pytest.raises((StoreUnavailable, peewee.DatabaseError), match="no_such_column"):
        Store.open(unmade_store_url)
    two_migrations.write_text(ADD_COLUMN)
    store = Store.open(unmade_store_url)
    assert store.migrated == ("9000_more",)
    store.close()


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from meshag_tui.store import schema
    from meshag_tui.store.database import Store
    schema.DIRECTORY = Path(sys.argv[2])
    Store.open(sys.argv[1], backup=False)
"""


@pytest.mark.parametrize("at", ["before", "between", "after"])
def test_killed_in_a_migration_rolls_back(unmade_store_url: str, two_migrations: Path, at: str) -> None:
    Store.open(unmade_store_url).close()
    kill = "    import os; os.kill(os.getpid(), 9)\n"
    body = ADD_COLUMN.strip("\n").split("\n")
    body.insert({"before": 1, "between": 2, "after": 3}[at], kill.rstrip("\n"))
    two_migrations.write_text("\n".join(body) + "\n")
    script = textwrap.dedent(KILLED)
    done = subprocess.run([sys.executable, "-c", script, unmade_store_url, two_migrations.parent])
    assert done.returncode == -signal.SIGKILL
    two_migrations.write_text(ADD_COLUMN)
    store = Store.open(unmade_store_url)
    assert store.migrated == ("9000_more",)
    assert "later" in store.run(models.database.get_tables)
    store.close()


def test_processes_that_open_a_new_store_at_once_all_succeed(unmade_store_url: str) -> None:
    script = "import sys\nfrom meshag_tui.store.database import Store\nStore.open(sys.argv[1]).close()"
    openers = [subprocess.Popen([sys.executable, "-c", script, unmade_store_url]) for _ in range(4)]
    assert [opener.wait(60) for opener in openers] == [0] * 4
    store = Store.open(unmade_store_url)
    assert {found.state for found in store.status()} == {"applied"}
    store.close()


def test_opening_what_is_up_to_date_is_light(store: Store, store_url: str) -> None:
    script = (
        "import sys\nfrom meshag_tui.store.database import Store\nStore.open(sys.argv[1]).close()\n"
        "assert 'playhouse.migrations' not in sys.modules and 'cryptography' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", script, store_url]).returncode == 0


# ------------------------------------------------------------------ failures


def test_a_locked_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(database._SQLITE_PRAGMAS, "busy_timeout", 100)
    store = Store.open(f"sqlite:///{tmp_path / 'store.db'}")
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="close it and try again"):
        store.run(_note, "x")
    other.execute("ROLLBACK")
    other.close()
    store.run(_note, "x")
    store.close()


def test_a_full_disk_is_named_and_survived(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'store.db'}")
    pages = store.run(lambda: models.database.pragma("page_count"))
    store.run(lambda: models.database.pragma("max_page_count", pages + 5))
    with pytest.raises(StoreUnavailable, match="make room"):
        store.run(_note, "big", "x" * 100_000)
    store.run(lambda: models.database.pragma("max_page_count", 100_000))
    store.run(_note, "small")
    assert store.run(_keys) == ["small"]
    store.close()


def test_postgresql_store_comes_back_after_its_server_went_away(private_pg: Any) -> None:
    server = private_pg(18)
    store = Store.open(server.url)
    store.run(_note, "before")
    store.run(lambda: models.database.execute_sql("SELECT 1"))
    with pytest.raises(StoreUnavailable) as error:
        store.run(
            lambda: models.database.execute_sql("SELECT pg_terminate_backend(pg_backend_pid())")  # as a restart would
        )
    assert "\n" not in str(error.value)
    store.run(_note, "after")
    assert store.run(_keys) == ["after", "before"]
    store.close()


def test_postgresql_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(MeshagError, match=r"me@127\.0\.0\.1:1/store") as error:
        Store.open("postgresql://me:geheim@127.0.0.1:1/store")
    assert "geheim" not in str(error.value)


def test_postgresql_with_tables_of_others_is_refused(pg18: Any) -> None:
    pg18.execute("CREATE TABLE users (id int)")
    with pytest.raises(schema.SchemaRefused, match="users"):
        Store.open(pg18.url)


def test_only_the_location_knows_the_password(pg18: Any) -> None:
    store = Store.open(pg18.url)
    assert str(pg18.server.password) not in f"{store.url_label} {store!r} {place.locate(pg18.url)!r}"
    store.close()
    assert os.environ.get("PGPASSWORD") is None
