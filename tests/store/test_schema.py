"""The store's schema: exactly the models' tables, made in one go or not at all."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from meshag_tui import upgrading
from meshag_tui.store import (
    browsing,
    database,
    ids,
    models,
    rehearsals,
    remembered,
    schema,
    snapshots_statements,
)
from meshag_tui.store.database import Store
from meshag_tui.types import UsageError


def _columns(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Every table of the store as its own catalogue describes it."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for name in models.database.get_tables():
        if store.kind == "sqlite":
            rows = models.database.execute_sql(f"PRAGMA table_info('{name}')").fetchall()
            found[name] = sorted((row[1], row[2], row[3], row[5]) for row in rows)
        else:
            rows = models.database.execute_sql(
                "SELECT column_name, data_type, is_nullable, 0 FROM information_schema.columns WHERE table_name = %s",
                (name,),
            ).fetchall()
            found[name] = sorted(rows)
    return found


def _indexes() -> set[tuple[str, str, bool]]:
    return {
        (table, ",".join(index.columns), index.unique)
        for table in models.database.get_tables()
        for index in models.database.get_indexes(table)
    }


def _keys() -> set[tuple[str, str, str]]:
    return {
        (table, key.column, key.dest_table)
        for table in models.database.get_tables()
        for key in models.database.get_foreign_keys(table)
    }


def _drop_all() -> None:
    for model in reversed(models.MODELS):
        model.drop_table()


def test_migrations_make_exactly_the_models(store: Store) -> None:
    """What the migrations made equals what the models would make."""
    migrated = store.run(lambda: (_columns(store), _indexes(), _keys()))
    for extra in ("schema_migration", "schema_checksum", "sqlite_sequence"):
        migrated[0].pop(extra, None)
    store.run(_drop_all)

    def make() -> None:
        for model in models.MODELS:
            rowless = model._meta.without_rowid
            model._meta.without_rowid = rowless and store.kind == "sqlite"
            model.create_table(safe=False)
            model._meta.without_rowid = rowless

    store.run(make)
    modelled = store.run(lambda: (_columns(store), _indexes(), _keys()))
    for extra in ("schema_migration", "schema_checksum", "sqlite_sequence"):
        modelled[0].pop(extra, None)
    assert migrated[0] == modelled[0]
    only = {entry for entry in migrated[1] ^ modelled[1] if not entry[0].startswith("schema_")}
    # The partial indexes that only migrations make.
    assert only == {
        ("change", "suggestion_id", True),
        ("execution", "kind,key", True),
        ("query", "connection_id", False),
    }
    assert migrated[2] == modelled[2]


def test_opening_again_finds_nothing_to_do(unmade_store_url: str) -> None:
    first = Store.open(unmade_store_url)
    names = tuple(path.stem for path in sorted(schema.DIRECTORY.glob("0*.py")))
    assert names[0] == "0001_initial" and first.migrated == names
    assert [(m.name, m.state) for m in first.status()] == [(name, "applied") for name in names]
    first.close()
    second = Store.open(unmade_store_url)
    assert second.migrated == ()
    second.close()


def _five_statements() -> None:
    """As the first version had them, of a connection: the first two mean the same, the last is internal."""
    for statement in (
        "INSERT INTO project(id, name, settings, created_at, updated_at) VALUES('prj_1', 'p', '{}', 1, 1)",
        "INSERT INTO connection(id, project_id, name, db_type, host, port, database, username, tls, status, read_only, "
        "failures, facts, warnings, created_at, updated_at) VALUES('con_1', 'prj_1', 'shop', 'POSTGRES', "
        "'h', 1, 'd', 'u', 'prefer', 'ACTIVE', FALSE, 0, '{}', '[]', 1, 1)",
        "INSERT INTO query(connection_id, key, fingerprint, text_state, kind, internal, db_name, db_user, "
        "first_seen_at, last_seen_at) VALUES('con_1', 'a', 'f00d', 'ok', 'select', FALSE, 'shop', 'app', 1, 1), "
        "('con_1', 'b', 'f00d', 'ok', 'select', FALSE, 'shop', 'app', 1, 1), "
        "('con_1', 'c', 'f00d', 'ok', 'select', FALSE, 'shop', 'other', 1, 1), "
        "('con_1', 'd', NULL, 'unread', 'other', FALSE, NULL, NULL, 1, 1), "
        "('con_1', 'e', 'beef', 'ok', 'select', TRUE, 'shop', 'app', 1, 1)",
    ):
        models.database.execute_sql(statement)


def test_an_older_store_is_upgraded_with_its_data(
    unmade_store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store made with the first migration alone gets the others, and keeps what is in it."""
    with monkeypatch.context() as older:
        shutil.copy(schema.DIRECTORY / "0001_initial.py", tmp_path)
        older.setattr(schema, "DIRECTORY", tmp_path)
        first = Store.open(unmade_store_url)
        assert first.migrated == ("0001_initial",)
        first.run(remembered.remember, "kept", {"since": 1})
        first.run(_five_statements)
        first.close()
    heard: list[upgrading.Step] = []
    upgrading.listen(heard.append)
    second = Store.open(unmade_store_url)
    upgrading.ignore(heard.append)
    assert second.migrated == tuple(path.stem for path in sorted(schema.DIRECTORY.glob("0*.py")))[1:]
    steps = [each for each in heard if each.number]
    assert [f"{each.number:04}" for each in steps] == [f"{int(name[:4]) - 1:04}" for name in second.migrated]
    assert {each.of for each in steps} == {len(second.migrated)} and steps[0].name == "outcomes"
    assert [each.name for each in heard if not each.number] == [upgrading.COPY] * (second.kind == "sqlite")
    late: list[upgrading.Step] = []
    upgrading.listen(late.append)
    upgrading.ignore(late.append)
    assert not late, "it is over"
    assert second.run(remembered.recall, "kept") == {"since": 1}
    assert second.run(rehearsals.of_suggestion, "sug_1") == ()
    number = snapshots_statements._meaning("f00d", "app", "shop")
    other = snapshots_statements._meaning("f00d", "other", "shop")
    upgraded = second.run(lambda: {row.key: (row.meaning, row.alone) for row in models.Query.select()})
    own = snapshots_statements._meaning("beef", "app", "shop")
    assert upgraded == {
        **dict.fromkeys("ab", (number, False)),
        "c": (other, True),
        "d": (None, True),
        "e": (own, False),
    }
    second.close()


def test_clock_and_ids(store: Store) -> None:
    assert abs(store.run(database.now_ms) - time.time() * 1000) < 5_000
    made = [ids.new("con") for _ in range(1000)]
    assert made == sorted(set(made))
    assert len(made[0]) == 20
    assert ids.query_id(ids.query_uid(42)) == 42
    with pytest.raises(Exception, match="qry_0000000042"):
        ids.query_id("qry_x")


@pytest.mark.parametrize("name", ["9999_future", "0000_gone"])
def test_store_of_a_newer_version_is_refused(unmade_store_url: str, name: str) -> None:
    store = Store.open(unmade_store_url)
    store.run(lambda: models.database.execute_sql(f"INSERT INTO schema_checksum VALUES ('{name}', 'x')"))
    store.close()
    with pytest.raises(schema.SchemaRefused, match="newer MeshAG"):
        Store.open(unmade_store_url)


def test_edited_migration_is_refused(unmade_store_url: str) -> None:
    store = Store.open(unmade_store_url)
    store.run(lambda: models.database.execute_sql("UPDATE schema_checksum SET checksum = 'other'"))
    store.close()
    with pytest.raises(schema.SchemaRefused, match="0001_initial"):
        Store.open(unmade_store_url)


def test_the_store_can_be_looked_at_and_compared_with_what_it_should_be(store: Store) -> None:
    assert store.run(browsing.differences) == store.run(browsing.orphans) == ()

    def fill() -> None:
        models.User.create(id="usr_1", email="ada@example.com", name="Ada", created_at=1, updated_at=1)
        keys = {"id": "key_1", "name": "cron", "user": "usr_1", "prefix": "mk_1", "hashed": "canary", "permissions": []}
        models.AccessKey.create(created_at=1, updated_at=1, **keys)

    store.run(fill)
    known = {each.name: each for each in store.run(browsing.tables)}
    assert known["users"].rows == 1 and any(column.startswith("email") for column in known["users"].columns)
    for name in known:
        assert store.run(browsing.rows, name) is not None, "every table can be opened"
    (key,) = store.run(browsing.rows, "access_key", "CRON")
    assert key["name"] == "cron" and "canary" not in str(key)
    assert store.run(browsing.rows, "access_key", "canary") == [], "nor is it found by what it hides"
    with pytest.raises(UsageError, match="no table"):
        store.run(browsing.rows, 'users"; DROP TABLE users; --')

    def spoil() -> None:
        models.database.execute_sql("ALTER TABLE users ADD COLUMN age INTEGER")
        models.database.execute_sql("CREATE TABLE strange (id INTEGER)")
        models.database.execute_sql("DROP INDEX channel_project_id")

    store.run(spoil)
    assert store.run(browsing.differences) == (
        "strange is no table of MeshAG",
        "channel has no index on project_id",
        "users has a column age",
    )


READINGS = {
    *("Interval", "Digest", "Query", "QueryText", "Baseline", "QueryStatistics", "QueryDigest", "Plan"),
    *("MonitoredTable", "TableAccess", "TableDigest", "MonitoredIndex", "IndexUsage", "IndexDigest", "SchemaVersion"),
    *("Sampled", "SampledText", "Health"),
}
"""What was read of a server: it has the time it is of, and is nobody's to change."""
WRITTEN_ONCE = {"Rehearsal", "AgentVersion", "FlowVersion", "ExecutionStep", "ExecutionLog", "Activity"}
OF_ANOTHER = {"Setting", "HealthLimits"}
"""Values that belong to something else."""
OWN_WORDS = {"Alert": {"began_at", "seen_at", "ended_at", "acknowledged_at"}}


def test_every_entity_says_when_it_was_made_and_when_it_was_changed() -> None:
    for model in models.MODELS:
        name, columns = model.__name__, set(model._meta.fields)
        if name in READINGS | OF_ANOTHER:
            assert not {"created_at"} & columns, name
        elif name in WRITTEN_ONCE:
            assert {"created_at", "at", "finished_at"} & columns and "updated_at" not in columns, name
        else:
            assert OWN_WORDS.get(name, {"created_at", "updated_at"}) <= columns, name
            assert not any(model._meta.fields[each].null for each in {"created_at", "updated_at"} & columns), name
