"""An SQLite store before Peewee is there, and the same connections with it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import peewee
import pytest

from meshag_tui.store.sqlite_file import SqliteFile


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SqliteFile]:
    opened = SqliteFile(tmp_path / "store.db", {"busy_timeout": 200, "foreign_keys": 1})
    opened.connect()
    yield opened
    if not opened.is_closed():
        opened.close()


def test_plain_statements_need_no_peewee(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from meshag_tui.store.sqlite_file import SqliteFile\n"
        "file = SqliteFile(Path(sys.argv[1]), {'journal_mode': 'wal'})\n"
        "file.connect()\n"
        "file.execute_sql('CREATE TABLE kept(n)')\n"
        "file.execute_sql('INSERT INTO kept VALUES (?)', (7,))\n"
        "print(file.get_tables(), file.execute_sql('SELECT n FROM kept').fetchall(), 'peewee' in sys.modules)\n"
        "file.atomic()\n"
        "print('peewee' in sys.modules)\n"
        "file.close()"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "store.db")], capture_output=True, text=True)
    assert done.stdout.split("\n") == ["['kept'] [(7,)] False", "True", ""], done.stderr


def test_peewee_goes_on_with_the_connection_of_each_thread(file: SqliteFile) -> None:
    file.execute_sql("CREATE TEMP TABLE mine(n)")  # is seen by this connection alone
    own, there, gone_on = file.connection(), threading.Event(), threading.Event()
    seen: list[object] = []

    def other() -> None:
        file.connect()
        file.execute_sql("CREATE TEMP TABLE its(n)")
        there.set()
        gone_on.wait(20)
        seen.extend([file.peewee.get_tables("temp"), file.peewee.connection() is file.connection()])
        file.close()

    thread = threading.Thread(target=other)
    thread.start()
    assert there.wait(20)
    assert file.peewee.get_tables("temp") == ["mine"] and file.peewee.connection() is own
    assert file.execute_sql("PRAGMA foreign_keys").fetchone() == (1,)
    gone_on.set()
    thread.join(20)
    assert seen == [["its"], True]


def test_errors_are_those_of_peewee_before_and_after(file: SqliteFile) -> None:
    file.execute_sql("CREATE TABLE kept(n UNIQUE)")
    file.execute_sql("INSERT INTO kept VALUES (1)")
    for _ in range(2):
        with pytest.raises(peewee.IntegrityError, match="UNIQUE"):
            file.execute_sql("INSERT INTO kept VALUES (1)")
        with pytest.raises(peewee.OperationalError, match="no such table"):
            file.execute_sql("SELECT * FROM nowhere")
        assert file.peewee is file.peewee


def test_a_transaction_of_peewee_holds_plain_statements_too(file: SqliteFile) -> None:
    file.execute_sql("CREATE TABLE kept(n)")
    with pytest.raises(ZeroDivisionError), file.atomic():
        file.execute_sql("INSERT INTO kept VALUES (1)")
        assert file.in_transaction()
        raise ZeroDivisionError
    assert file.execute_sql("SELECT * FROM kept").fetchall() == []


def test_a_thread_without_a_connection_is_told(file: SqliteFile) -> None:
    file.close()
    assert file.is_closed() and not file.is_connection_usable()
    with pytest.raises(peewee.ProgrammingError, match="not open in this thread"):
        file.execute_sql("SELECT 1")
    with pytest.raises(peewee.ProgrammingError, match="not open in this thread"):
        file.peewee.execute_sql("SELECT 1")
    file.connect()
    assert file.execute_sql("SELECT 1").fetchone() == (1,)
