"""The activity log is a chain: what was done to it is found and named, on both databases."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from meshag_tui.store import activity, chain, connections, models
from meshag_tui.store.database import Store
from meshag_tui.types import UsageError


def _faults(store: Store) -> list[str]:
    return [fault.what for fault in store.run(chain.verify).faults]


def _write(store: Store, sql: str, *values: object) -> None:
    mark = "?" if store.kind == "sqlite" else "%s"
    store.run(lambda: models.database.execute_sql(sql.replace("?", mark), values))


def _entries(store: Store, count: int) -> None:
    for number in range(count):
        details = {"of": [number, 1.0, 0.1, 1e20, -(2.0**60), True, None, "Ω"], "in": {"b": 1, "a": "x"}}
        store.run(activity.record, "ada", "note.made", f"note {number}", details=details)


def test_an_entry_that_is_not_as_it_was_is_named(store: Store) -> None:
    _entries(store, 12)
    whole = store.run(chain.verify)
    assert whole.whole and whole.entries == 12
    assert store.run(chain.verify, whole.head).whole
    keep = [store.run(lambda n=n: models.Activity.get_by_id(n).__data__) for n in (2, 4, 5, 6, 8, 9, 12)]

    def back() -> None:
        for row in keep:
            models.Activity.delete().where(models.Activity.id == row["id"]).execute()
            models.Activity.insert(**row).execute()

    for column, value in (("message", "nothing"), ("actor", "bo"), ("at", 1), ("details", "{}"), ("kind", "x")):
        _write(store, f"UPDATE activity SET {column} = ? WHERE id = 4", value)
        assert _faults(store) == ["entry 4 is not as it was written"], column
        store.run(back)
    assert _faults(store) == []

    _write(store, "DELETE FROM activity WHERE id IN (5, 6)")
    assert _faults(store) == ["entries 5 to 6 are missing"]
    store.run(back)
    _write(store, "DELETE FROM activity WHERE id = 12")
    assert _faults(store) == ["entry 12 is missing at the end"]
    store.run(back)

    for was, becomes in ((8, -1), (9, 8), (-1, 9)):
        _write(store, "UPDATE activity SET id = ? WHERE id = ?", becomes, was)
    assert _faults(store)[0] == "entry 8 does not follow entry 7 as that is now"
    store.run(back)

    def anew() -> None:
        """One who knows the rule: the entry's own hash is right again, what follows it tells."""
        row = models.Activity.get_by_id(2).__data__
        row["message"] = "nothing"
        seal = chain.seal({**row, "about": None}, row["prev_hash"])
        models.Activity.update(message="nothing", hash=seal).where(models.Activity.id == 2).execute()

    store.run(anew)
    assert _faults(store) == ["entry 3 does not follow entry 2 as that is now"]
    store.run(back)
    store.run(lambda: models.Activity.create(id=40, at=1, actor="bo", kind="k", message="m"))
    assert _faults(store) == ["entry 40 was put in behind the end"]
    store.run(lambda: models.Activity.delete().where(models.Activity.id == 40).execute())
    end = store.run(lambda: models.Setting.get_by_id(chain.HEAD).__data__)
    store.run(lambda: models.Setting.delete().execute())
    assert _faults(store) == ["what the end was is not remembered: entries may be missing there"]
    store.run(lambda: models.Setting.insert(**end).execute())
    assert store.run(chain.verify, "0" * 64).faults[0].what.startswith("no entry has the hash")


def test_the_log_outlives_what_it_is_about_and_goes_on(store: Store, connection: str) -> None:
    store.run(activity.record, "ada", "connection.added", "shop", connection=connection)
    store.run(connections.remove, connection)
    store.run(activity.record, "ada", "note.made", "after")
    assert _faults(store) == []
    (entry,) = store.run(activity.recent, connection=connection)
    assert entry.about == connection and entry.connection_name is None

    def failing() -> None:
        with models.database.atomic():
            activity.record("ada", "note.made", "never")
            raise KeyError

    with pytest.raises(KeyError):
        store.run(failing)
    store.run(activity.record, "bo", "note.made", "100% of it")
    assert _faults(store) == [] and [e.id for e in store.run(activity.recent)] == [3, 2, 1]
    assert [e.message for e in store.run(activity.recent, 10, actor="bo", kind="note")] == ["100% of it"]
    assert [e.id for e in store.run(activity.recent, 10, text="%", since=1)] == [3]
    assert store.run(activity.recent, 10, until=1) == ()


WRITER = """
    import sys
    from meshag_tui.store import activity
    from meshag_tui.store.database import Store
    store = Store.open(sys.argv[1])
    for number in range(40):
        store.run(activity.record, sys.argv[2], "note.made", str(number), details={"n": number / 7})
    store.close()
"""


def test_processes_that_write_at_once_make_one_chain(store: Store, store_url: str) -> None:
    script = textwrap.dedent(WRITER)
    writers = [subprocess.Popen([sys.executable, "-c", script, store_url, f"w{n}"]) for n in range(3)]
    _entries(store, 20)
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    verdict = store.run(chain.verify)
    assert verdict.whole and verdict.entries == 140


def test_entries_of_another_store_are_brought_once_and_only_as_they_were(store: Store) -> None:
    _entries(store, 3)
    rows = [activity.exported(entry) for entry in store.run(activity.recent)]
    for row in rows:
        row["prev_hash"] = row["prev_hash"] or ""
    store.run(lambda: models.Activity.delete().execute())
    store.run(lambda: models.Setting.delete().execute())  # another store, as far as the log is concerned
    altered = [{**rows[0], "message": "nothing"}, *rows[1:]]
    with pytest.raises(UsageError, match="entry 3 is not as it was written"):
        store.run(activity.bring, altered, "bo", "a file")
    assert store.run(activity.recent) == ()
    assert store.run(activity.bring, rows, "bo", "a file") == 3
    assert store.run(activity.bring, rows, "bo", "a file") == 0
    kinds = [entry.kind for entry in store.run(activity.recent)]
    assert kinds == ["activity.brought", "note.made", "note.made", "note.made"]
    assert store.run(activity.recent)[1].at == rows[0]["at"] and _faults(store) == []


def test_a_log_from_before_is_chained_as_it_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    store = Store.open(url)
    _entries(store, 3)
    store.close()
    with sqlite3.connect(tmp_path / "old.db") as old:
        old.executescript("DROP INDEX activity_origin; DELETE FROM setting; DELETE FROM activity WHERE id = 2;")
        for column in ("about", "origin", "prev_hash", "hash"):
            old.execute(f"ALTER TABLE activity DROP COLUMN {column}")
        for table in ("schema_migration", "schema_checksum"):
            old.execute(f"DELETE FROM {table} WHERE name = '0011_chain'")
    old.close()
    store = Store.open(url)
    try:
        assert store.migrated == ("0011_chain",)
        store.run(activity.record, "ada", "note.made", "more")
        verdict = store.run(chain.verify)
        assert verdict.whole and verdict.entries == 3
    finally:
        store.close()
