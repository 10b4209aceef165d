"""The store's schema: which migrations it has, which are pending, and applying them.

Migrations are the numbered files of `migrations/`; each runs in one transaction together with its row in the history,
so a process killed half way leaves the schema as it was. A migration that was applied may never be edited: its checksum
is kept, and a difference refuses the store rather than guess.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

from meshag_tui.store import models
from meshag_tui.store.sqlite_file import SqliteFile
from meshag_tui.types import MeshagError
from meshag_tui.upgrading import Step

DIRECTORY = Path(__file__).parent / "migrations"
_HISTORY = "schema_migration"  # the name playhouse.migrations gives it
_CHECKSUMS = "schema_checksum"
_TURN = int.from_bytes(b"meshag", "big")  # the key of the advisory lock that one migrating process holds


class SchemaRefused(MeshagError):
    """The store's schema is not one this MeshAG may touch."""


class Migration(NamedTuple):
    """`edited`: its file differs from what was applied. `unknown`: applied, but this MeshAG has no such file."""

    name: str
    state: Literal["applied", "pending", "edited", "unknown"]


def status(database: Any) -> tuple[Migration, ...]:
    """All migrations in order, those of our files and those of the store's history."""
    applied: dict[str, str | None] = {}
    tables = set(database.get_tables())
    if _HISTORY in tables:
        applied = {name: None for (name,) in database.execute_sql(f"SELECT name FROM {_HISTORY}").fetchall()}  # noqa: S608
        if applied and _CHECKSUMS not in tables:  # another process has just made both
            tables = set(database.get_tables())
    if _CHECKSUMS in tables:
        applied.update(database.execute_sql(f"SELECT name, checksum FROM {_CHECKSUMS}").fetchall())  # noqa: S608
    files = {path.stem: path for path in sorted(DIRECTORY.glob("[0-9]*.py"))}
    rows: list[Migration] = []
    for name in sorted({*files, *applied}):
        if name not in files:
            rows.append(Migration(name, "unknown"))
        elif name not in applied:
            rows.append(Migration(name, "pending"))
        else:
            rows.append(Migration(name, "applied" if applied[name] == _checksum(files[name]) else "edited"))
    return tuple(rows)


def refuse_foreign(database: Any, label: str) -> tuple[Migration, ...]:
    """Do nothing to a store that is not ours, or not ours to understand; else its status.

    Raises:
        SchemaRefused: another program's SQLite file, a newer MeshAG's store, or an edited migration.
    """
    tables = set(database.get_tables()) - {"sqlite_sequence"}
    if _HISTORY not in tables:
        foreign = (
            tables if isinstance(database, SqliteFile) else tables & {model._meta.table_name for model in models.MODELS}
        )
        if foreign:
            raise SchemaRefused(
                f"{label} holds tables of another program ({sorted(foreign)[0]}): use a store of its own"
            )
    found = status(database)
    for migration in found:
        if migration.state == "unknown":
            raise SchemaRefused(
                f"The store {label} was written by a newer MeshAG ({migration.name}): upgrade, or use another store"
            )
        if migration.state == "edited":
            raise SchemaRefused(
                f"Migration {migration.name} is not the one the store {label} was made with: reinstall MeshAG"
            )
    return found


def apply(database: Any, told: Callable[[Step | None], None] = lambda step: None) -> tuple[str, ...]:
    """Apply what is pending, each in its own transaction; returns the names. `told` hears of each as it begins.

    Several processes may do this at once. On PostgreSQL they take turns: there even CREATE TABLE IF NOT EXISTS fails
    beside another's. On SQLite a loser's transaction fails, and it finds nothing pending when it looks again.
    """
    from playhouse.migrations import Runner

    class CheckedRunner(Runner):  # type: ignore[misc]
        def _run(self, name: str, module: Any, direction: str, fake: bool = False) -> None:
            checksum = _checksum(DIRECTORY / f"{name}.py")
            told(Step(name.partition("_")[2].replace("_", " "), names.index(name) + 1, len(names)))

            def up(migrator: Any, db: Any) -> None:
                module.up(migrator, db)
                db.execute_sql(
                    f"CREATE TABLE IF NOT EXISTS {_CHECKSUMS} (name TEXT NOT NULL PRIMARY KEY, checksum TEXT NOT NULL)"
                )
                db.execute_sql(f"INSERT INTO {_CHECKSUMS} VALUES ({db.param}, {db.param})", (name, checksum))  # noqa: S608

            super()._run(name, SimpleNamespace(up=up, atomic=True), direction, fake)

    names = _pending(database)
    with _turn(database):
        peewee_own = database.peewee if isinstance(database, SqliteFile) else database
        return _run(CheckedRunner(peewee_own, directory=str(DIRECTORY)), database)


@contextmanager
def _turn(database: Any) -> Iterator[None]:
    """Hold the store's migration lock; on SQLite its write lock is enough."""
    if isinstance(database, SqliteFile):
        yield
        return
    database.execute_sql("SELECT pg_advisory_lock(%s)", (_TURN,))
    try:
        yield
    finally:
        database.execute_sql("SELECT pg_advisory_unlock(%s)", (_TURN,))


def _run(runner: Any, database: Any) -> tuple[str, ...]:
    import peewee

    pending = _pending(database)
    while pending:
        try:
            return tuple(runner.up())
        except (peewee.OperationalError, peewee.ProgrammingError, peewee.IntegrityError):
            left = _pending(database)
            if left == pending:
                raise  # nobody was faster: the migration itself failed
            pending = left
    return ()


def _pending(database: Any) -> list[str]:
    return [migration.name for migration in status(database) if migration.state == "pending"]


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
