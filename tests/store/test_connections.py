"""Connections: added, found, edited, synced, failed, paused and removed, as a DBA would."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import peewee
import pytest

from meshag_tui.settings import Settings
from meshag_tui.snapshot import Epoch, ServerFacts
from meshag_tui.store import connections, models, remembered
from meshag_tui.store.database import Store
from meshag_tui.store.vault import OtherKey, Vault
from meshag_tui.types import ConnectionStatus, DbType, Finding, MeshagError, Secret, Target, TlsMode, UsageError

TARGET = Target.from_url("postgresql://watcher:geheim@db.example:5433/shop?proxy=socks5://me:pw@proxy.example:1080")
FACTS = ServerFacts(
    engine="PostgreSQL",
    version="18.1",
    version_number=180001,
    database="shop",
    database_oid=16384,
    user="watcher",
    superuser=False,
    encoding="UTF8",
    in_recovery=False,
    observed_at=1,
    epoch=Epoch(system_identifier="73", role="primary", started_at=1, stats_reset=None),
    latency_ms=0.3,
    tls=None,
    extensions={"pg_stat_statements": "1.12"},
)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    (tmp_path / "home").mkdir(mode=0o700)
    return Vault.open(Settings(home=tmp_path / "home", store_url=""), {})


def test_add_and_reach(store: Store, vault: Vault) -> None:
    info = store.run(connections.add, "shop", TARGET, vault, project="Web", interval_s=30)
    assert info.id.startswith("con_")
    assert (info.status, info.project_name, info.has_password) == (ConnectionStatus.TESTING, "Web", True)
    assert info.label == "watcher@db.example:5433/shop"
    assert info.proxy == "socks5://me@proxy.example:1080"
    assert store.run(connections.target, info.id, vault) == TARGET
    assert store.run(connections.listing) == (info,)
    with pytest.raises(UsageError, match="already"):
        store.run(connections.add, "shop", TARGET, vault)


@pytest.mark.parametrize("name", ["", "  ", "a\x1b[31m", "x" * 101])
def test_names_that_cannot_be_shown_are_refused(store: Store, vault: Vault, name: str) -> None:
    with pytest.raises(UsageError, match="name"):
        store.run(connections.add, name, TARGET, vault)


def test_find_names_what_is_near(store: Store, vault: Vault) -> None:
    with pytest.raises(UsageError, match="connections add"):
        store.run(connections.find, "shop")
    for name in ("shop", "shop-replica", "Billing"):
        store.run(connections.add, name, TARGET, vault)
    assert store.run(connections.find, "billing").name == "Billing"
    assert store.run(connections.find, store.run(connections.find, "shop").id).name == "shop"
    with pytest.raises(UsageError, match="did you mean shop"):
        store.run(connections.find, "shpo")


def test_edit_seals_for_the_new_place(store: Store, vault: Vault) -> None:
    info = store.run(connections.add, "shop", TARGET, vault)
    store.run(connections.edit, info.id, name="store", slow_ms=50.0, slow_by_longest=True, read_only=True)
    moved = store.run(connections.edit, info.id, vault=vault, host="new.example", tls=TlsMode.REQUIRE)
    assert (moved.name, moved.slow_ms, moved.read_only, moved.host) == ("store", 50.0, True, "new.example")
    assert moved.slow_by_longest and not info.slow_by_longest
    expected = replace(TARGET, host="new.example", tls=TlsMode.REQUIRE)
    assert store.run(connections.target, info.id, vault) == expected
    store.run(connections.edit, info.id, vault=vault, password=Secret("neu"))
    assert store.run(connections.target, info.id, vault) == replace(expected, password=Secret("neu"))
    store.run(connections.edit, info.id, vault=vault, target=replace(TARGET, password=None, proxy=None))
    assert store.run(connections.target, info.id, vault) == replace(TARGET, password=Secret("neu"), proxy=None)
    assert not store.run(connections.edit, info.id, vault=vault, password=None).has_password
    with pytest.raises(UsageError, match="hots"):
        store.run(connections.edit, info.id, hots="x")
    with pytest.raises(UsageError, match="another kind"):
        store.run(connections.edit, info.id, vault=vault, target=replace(TARGET, db_type=DbType.MYSQL))


def test_a_new_password_mends_a_lost_key(store: Store, vault: Vault, tmp_path: Path) -> None:
    target = replace(TARGET, proxy=None)
    info = store.run(connections.add, "shop", target, vault)
    (tmp_path / "home" / "key").unlink()
    vault = Vault.open(Settings(home=tmp_path / "home", store_url=""), {})
    with pytest.raises(OtherKey):
        store.run(connections.edit, info.id, vault=vault, host="new.example")
    store.run(connections.edit, info.id, vault=vault, host="new.example", password=Secret("neu"))
    assert store.run(connections.target, info.id, vault).password == Secret("neu")


def test_all_four_states(store: Store, vault: Vault) -> None:
    info = store.run(connections.add, "shop", TARGET, vault)

    def status() -> ConnectionStatus:
        return store.run(connections.get, info.id).status

    assert status() is ConnectionStatus.TESTING
    store.run(connections.failed, info.id, "could not connect", 5)
    store.run(connections.failed, info.id, "could not connect", 9)
    broken = store.run(connections.get, info.id)
    assert (broken.status, broken.failures, broken.last_error, broken.next_sync_at) == (
        ConnectionStatus.ERROR,
        2,
        "could not connect",
        9,
    )
    warning = Finding("io-timing-off", "info", "I/O times are not measured", "track_io_timing is off", "SET …")
    store.run(connections.synced, info.id, FACTS, [warning], 60)
    well = store.run(connections.get, info.id)
    assert (well.status, well.failures, well.last_error) == (ConnectionStatus.ACTIVE, 0, None)
    assert (well.version, well.system_identifier, well.warnings) == ("18.1", "73", (warning,))
    assert well.facts["extensions"] == {"pg_stat_statements": "1.12"}
    assert well.last_sync_at is not None
    store.run(connections.set_status, info.id, ConnectionStatus.INACTIVE)
    store.run(connections.synced, info.id, FACTS, [])
    assert status() is ConnectionStatus.INACTIVE
    store.run(connections.failed, info.id, "gone")
    assert status() is ConnectionStatus.INACTIVE
    store.run(connections.set_status, info.id, ConnectionStatus.ACTIVE)
    assert status() is ConnectionStatus.ACTIVE
    with pytest.raises(MeshagError, match="gone"):
        store.run(connections.failed, "con_none", "x")


OWNED = [model for model in models.MODELS if model not in (models.Connection, models.Project, models.User)]
"""Every table but those above a connection, parents before their children."""
NAMED = {f"{model._meta.table_name}_id": model for model in OWNED}  # type: ignore[attr-defined]


def parents(model: type[models.Record]) -> dict[str, type[models.Record]]:
    """What a row belongs to, by column: foreign keys, and the bare ids of large tables."""
    found: dict[str, type[models.Record]] = {}
    for name, field in model._meta.fields.items():  # type: ignore[attr-defined]
        if isinstance(field, peewee.ForeignKeyField):
            found[name] = field.rel_model
        elif name in NAMED and isinstance(field, (peewee.IntegerField, peewee.BigIntegerField)):
            found[name] = NAMED[name]
    return found


def fill(connection: str) -> dict[type[models.Record], Any]:
    """A row in every table that has to do with a connection, by introspection: new tables come by themselves."""
    made: dict[type[models.Record], Any] = {models.Connection: connection}
    waiting = list(OWNED)
    while waiting:
        model = next(each for each in waiting if not set(parents(each).values()) & set(waiting) - {each})
        waiting.remove(model)
        above = parents(model)
        if not set(above.values()) & set(made):
            continue  # of no connection: prices, plans, the providers
        values: dict[str, Any] = {}
        for name, field in model._meta.fields.items():  # type: ignore[attr-defined]
            if name in above:
                values[name] = made.get(above[name])
            elif not field.null and field.default is None and not isinstance(field, peewee.AutoField):
                kind = field.field_type
                values[name] = {} if kind in ("JSON", "JSONB") else f"{name} {connection}" if kind == "TEXT" else 7
        row = model.create(**values)
        made[model] = row.get_id() if not isinstance(model._meta.primary_key, peewee.CompositeKey) else row  # type: ignore[attr-defined]
    for what in ("sequences", "llm-consent"):
        remembered.remember(f"{what}:{connection}", {})
    return made


def test_remove_leaves_no_orphan_and_keeps_the_log(store: Store, vault: Vault) -> None:
    gone = store.run(connections.add, "shop", TARGET, vault)
    kept = store.run(connections.add, "other", TARGET, vault)
    store.run(fill, gone.id)
    filled = store.run(fill, kept.id)
    assert len(filled) > 20 and {models.QueryDigest, models.SampledText, models.Outcome} < set(filled)
    counts = store.run(connections.remove, gone.id)
    for counted in ("queries", "intervals", "tables", "indexes", "suggestions", "changes", "executions"):
        assert counts[counted] == 1, counted
    of_nobody = {
        models.Usage,
        models.Activity,
    }  # what it cost and what was done stays, and says of which connection not
    for model in filled:
        assert store.run(model.select().count) == (2 if model in of_nobody else 1), model
    for each in of_nobody:
        said = store.run(lambda each=each: sorted(str(row.connection_id) for row in each.select()))  # type: ignore[misc]
        assert said == sorted(["None", kept.id])
    assert [row.key for row in store.run(lambda: list(models.Setting.select())) if gone.id in row.key] == []
    assert store.run(connections.contents, kept.id) == counts


def test_no_cloud_is_of_a_whole_project_and_of_no_other(store: Store, vault: Vault) -> None:
    def add(name: str, project: str) -> str:
        return store.run(lambda: connections.add(name, TARGET, vault, project=project)).id

    one, two, other = add("one", "shop"), add("two", "shop"), add("other", "stock")
    assert not any(info.no_cloud for info in store.run(connections.listing))
    assert store.run(lambda: connections.edit(one, no_cloud=True)).no_cloud
    read = {info.id: info.no_cloud for info in store.run(connections.listing)}
    assert read == {one: True, two: True, other: False}
    assert {each: store.run(connections.watched, each).info.no_cloud for each in read} == read
    assert store.run(lambda: connections.edit(other, project="shop")).no_cloud, "it is of the project it moved to"
    assert not store.run(lambda: connections.edit(two, project="stock")).no_cloud
    store.run(lambda: connections.edit(other, project="stock", no_cloud=True))
    store.run(lambda: connections.edit(one, no_cloud=False))
    read = {info.id: info.no_cloud for info in store.run(connections.listing)}
    assert read == {one: False, two: True, other: True}
