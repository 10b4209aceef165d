"""The monitored databases: how to reach them, what they are, and how their last sync went.

Passwords go in and out through the vault only; a `ConnectionInfo` never holds one. Status: TESTING until the first
success, ACTIVE, ERROR until the next success, INACTIVE while the user has paused it.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from meshag_tui.store import database, ids, models
from meshag_tui.store.documents import clean, document
from meshag_tui.store.statistics import forget_digests, forget_intervals
from meshag_tui.store.vault import Vault, bare_target, join_proxy, split_proxy
from meshag_tui.types import (
    ChangeState,
    ConnectionStatus,
    DbType,
    Finding,
    MeshagError,
    Secret,
    SuggestionStatus,
    Taken,
    Target,
    TlsMode,
    UsageError,
)

if TYPE_CHECKING:
    from meshag_tui.snapshot import ServerFacts

DEFAULT_PROJECT = "Default"
BUSY = (ChangeState.GATED, ChangeState.RUNNING, ChangeState.VERIFYING)
_TARGET_FIELDS = frozenset({"host", "port", "database", "user", "tls", "tls_ca", "proxy", "password"})
_OWN_FIELDS = frozenset(
    {
        "name",
        "project",
        "interval_s",
        "read_only",
        "undo_worse",
        "slow_ms",
        "slow_by_longest",
        "other_databases",
        "stage",
    }
)
STAGES = ("production", "staging", "test", "development")
"""What a connection is for, where it was said."""

_DOCUMENTS = {"facts": "c.facts", "warnings": "c.warnings", "project_settings": "p.settings"}
_FLAGS = ("read_only", "undo_worse", "slow_by_longest", "other_databases")
_ELSEWHERE = frozenset(
    {*_DOCUMENTS, "project_name", "has_password", "no_cloud", "colour", "theme", "folder", "open_suggestions"}
)
"""What of a `ConnectionInfo` is no column of the connection that is read as it is."""


class Gone(MeshagError):
    """There is no connection with this id any more."""

    def __init__(self, connection_id: str) -> None:
        super().__init__(f"The connection {connection_id} is gone")


class ConnectionInfo(NamedTuple):
    """One connection as shown: no secrets. Times are epoch ms; `interval_s` and `slow_ms` None: the setting holds."""

    id: str
    name: str
    project_id: str
    project_name: str
    db_type: DbType
    host: str
    port: int
    database: str
    username: str
    has_password: bool
    tls: TlsMode
    tls_ca: str | None
    proxy: str | None
    status: ConnectionStatus
    read_only: bool
    undo_worse: bool  # a change that is measured to make things worse is undone without asking
    no_cloud: bool  # of its project: nothing is sent to a model that is not on this machine
    interval_s: int | None
    slow_ms: float | None
    slow_by_longest: bool  # one call of that time makes a statement slow, too, not its mean alone
    other_databases: bool  # statements of other databases of the server are kept, too
    last_sync_at: int | None
    next_sync_at: int | None
    last_error: str | None
    failures: int
    engine: str | None
    version: str | None
    system_identifier: str | None
    facts: Mapping[str, Any]
    warnings: tuple[Finding, ...]
    texts_at: int | None
    created_at: int
    updated_at: int
    stage: str | None  # one of `STAGES`
    colour: str  # of its project, "" for none
    theme: str  # likewise
    folder: str  # likewise: where files of it are put unless another is named
    open_suggestions: int

    def proposed(self, name: str) -> str:
        """A file of this name where its project's files are put, or here where that folder is not there."""
        return str(Path(self.folder) / name) if self.folder and Path(self.folder).is_dir() else f"./{name}"

    @property
    def label(self) -> str:
        """user@host:port/database."""
        return Target(self.db_type, self.host, self.port, self.database, self.username).label


def add(
    name: str,
    target: Target,
    vault: Vault,
    *,
    project: str | None = None,
    interval_s: int | None = None,
    read_only: bool = False,
    slow_ms: float | None = None,
    slow_by_longest: bool = False,
    other_databases: bool = False,
    stage: str | None = None,
    facts: "ServerFacts | None" = None,
) -> ConnectionInfo:
    """Remember a connection, its password sealed; its status is TESTING until a first success.

    `project` is a name, made if it is new; `facts` are what a test has just read of the server.

    Raises:
        UsageError: the name is taken or empty.
    """
    name = _name(name)
    with database.durable():
        now = database.now_ms()
        if models.Connection.select().where(models.Connection.name == name).exists():
            raise Taken(f"There is already a connection named {name!r}")
        connection_id = ids.new("con")
        models.Connection.create(
            id=connection_id,
            project=_project(project or DEFAULT_PROJECT, now),
            name=name,
            db_type=target.db_type,
            interval_s=interval_s,
            read_only=read_only,
            slow_ms=slow_ms,
            slow_by_longest=slow_by_longest,
            other_databases=other_databases,
            stage=stage,
            created_at=now,
            updated_at=now,
            **(_server(facts) if facts else {}),
            **_target_columns(connection_id, target, vault),
        )
    return get(connection_id)


def listing() -> tuple[ConnectionInfo, ...]:
    """All connections by name."""
    return _select()


def get(connection_id: str) -> ConnectionInfo:
    """The connection with this id. Gone if there is none."""
    found = _select("id", connection_id)
    if not found:
        raise Gone(connection_id)
    return found[0]


def find(name_or_id: str) -> ConnectionInfo:
    """A connection by id or name (its case matters only between two that differ in nothing else).

    Raises:
        UsageError: there is none; the text names those nearest.
    """
    known = listing()
    for match in (
        [info for info in known if name_or_id in (info.id, info.name)],
        [info for info in known if info.name.casefold() == name_or_id.casefold()],
    ):
        if len(match) == 1:
            return match[0]
    if not known:
        raise UsageError("There is no connection yet: meshag connections add NAME URL")
    names = [info.name for info in known]
    near = difflib.get_close_matches(name_or_id, names, n=3, cutoff=0.5) or names[:3]
    raise UsageError(f"There is no connection {name_or_id!r}: did you mean {', '.join(near)}?")


def target(connection_id: str, vault: Vault) -> Target:
    """How to reach it, with its password.

    Raises:
        vault.OtherKey, vault.NotForThisConnection: the password cannot be had, or is not for this server.
    """
    return _revealed(_row(connection_id), vault)


class Watched(NamedTuple):
    """All that a sync needs of a connection, read at once. The password is sealed until `target` is asked for."""

    info: ConnectionInfo  # its suggestions are not counted
    reading: Mapping[str, Any]  # what the last sync left, see `snapshots`
    sealed: Any  # its row, with the sealed secrets

    def target(self, vault: Vault) -> Target:
        """As `target` of this room."""
        return _revealed(self.sealed, vault)


def watched(connection_id: str) -> Watched:
    """What a sync needs of this connection. Gone if there is none."""
    connection, project = models.Connection, models.Project
    query = connection.select(connection, *_of_project()).join(project)
    row: Any = query.where(connection.id == connection_id).objects().first()
    if row is None:
        raise Gone(connection_id)
    return Watched(
        _info({**row.__data__, **_project_of(row)}, 0),
        row.reading or {},
        row,
    )


def _revealed(row: Any, vault: Vault) -> Target:
    bare = bare_target(row)
    proxy = bare.proxy
    if proxy is not None and row.proxy_secret is not None:
        proxy = join_proxy(proxy, vault.reveal(row.proxy_secret, row.id, bare, "proxy", row.secret_key_id))
    return replace(bare, password=_password(row, vault), proxy=proxy)


def _password(row: Any, vault: Vault) -> Secret | None:
    if row.secret is None:
        return None
    return vault.reveal(row.secret, row.id, bare_target(row), "password", row.secret_key_id)


def edit(connection_id: str, *, vault: Vault | None = None, **changes: Any) -> ConnectionInfo:
    """Change a connection: `target` (a whole Target), or any of host, port, database, user, password, tls, tls_ca,
    proxy; name, project, interval_s, read_only, undo_worse, slow_ms, slow_by_longest, other_databases, stage. A
    `password` of None forgets it. `no_cloud` is of its whole project.

    `vault` is needed when how to reach it changes, for the password is sealed for exactly that: without a new one, the
    old one is sealed anew. A `target` without a password keeps the old one too.

    Raises:
        UsageError: an unknown field, or a name that is taken.
    """
    unknown = set(changes) - _TARGET_FIELDS - _OWN_FIELDS - {"target", "no_cloud"}
    if unknown:
        raise UsageError(f"A connection has no {sorted(unknown)[0]!r} to change")
    columns: dict[str, Any] = {key: value for key, value in changes.items() if key in _OWN_FIELDS}
    with database.durable():
        row = _row(connection_id)
        now = database.now_ms()
        if "name" in columns:
            columns["name"] = _name(columns["name"])
            other = (models.Connection.name == columns["name"]) & (models.Connection.id != connection_id)
            if models.Connection.select().where(other).exists():
                raise Taken(f"There is already a connection named {columns['name']!r}")
        if "project" in columns:
            columns["project"] = _project(columns["project"] or DEFAULT_PROJECT, now)
        if {"target", *_TARGET_FIELDS} & set(changes):
            if vault is None:
                raise MeshagError("Changing how a connection is reached needs the vault")
            columns.update(_target_columns(connection_id, _changed_target(row, vault, changes), vault))
        models.Connection.update(updated_at=now, **columns).where(models.Connection.id == connection_id).execute()
        if "no_cloud" in changes:
            project = models.Project.get_by_id(columns.get("project") or row.project_id)
            project.settings = {**project.settings, "no_cloud": bool(changes["no_cloud"])}
            project.updated_at = now
            project.save()
    return get(connection_id)


def due_after(connection_id: str, interval_s: int) -> None:
    """Let the next sync come an interval after the last, as it would have had the interval been this then. One that
    fails keeps the time of its next try."""
    connection = models.Connection
    synced = (connection.id == connection_id) & (connection.failures == 0) & connection.next_sync_at.is_null(False)
    connection.update(next_sync_at=connection.last_sync_at + interval_s * 1000).where(
        synced & connection.last_sync_at.is_null(False)
    ).execute()


def contents(connection_id: str) -> dict[str, int]:
    """How much would go with the connection: rows by kind."""
    _row(connection_id)
    counts = {}
    for label, model in (
        ("queries", models.Query),
        ("intervals", models.Interval),
        ("tables", models.MonitoredTable),
        ("indexes", models.MonitoredIndex),
        ("suggestions", models.Suggestion),
        ("changes", models.Change),
        ("executions", models.Execution),
    ):
        counts[label] = model.select().where(model.connection == connection_id).count()
    return counts


def remove(connection_id: str) -> dict[str, int]:
    """Forget a connection and all that was collected from it; returns what went. The activity log stays.

    Raises:
        MeshagError: a change is being applied there.
    """
    with database.atomic():
        running = (models.Change.connection == connection_id) & models.Change.state.in_(BUSY)
        if models.Change.select().where(running).exists():
            raise MeshagError("A change is being applied there: wait until it is done, or cancel it")
        counts = contents(connection_id)
        forget_intervals(models.Interval.connection == connection_id)
        forget_digests(models.Digest.connection == connection_id)
        models.Connection.delete().where(models.Connection.id == connection_id).execute()
        models.Setting.delete().where(models.Setting.key.endswith(f":{connection_id}")).execute()
    return counts


def set_status(connection_id: str, status: ConnectionStatus) -> None:
    """Pause (INACTIVE), resume (ACTIVE) or mark as being tested. Resuming makes the next sync due at once."""
    changes: dict[str, Any] = {"status": status}
    if status is ConnectionStatus.ACTIVE:
        changes |= {"next_sync_at": None, "failures": 0, "last_error": None}
    _update(connection_id, **changes)


def answered(connection_id: str, facts: "ServerFacts") -> None:
    """A test succeeded: remember which server it is, which else only a sync tells."""
    _update(connection_id, **_server(facts))


def _server(facts: "ServerFacts") -> dict[str, Any]:
    return {"engine": facts.engine, "version": facts.version}


def synced(
    connection_id: str, facts: "ServerFacts", warnings: Sequence[Finding], next_sync_at: int | None = None
) -> None:
    """A sync succeeded: ERROR and TESTING become ACTIVE; a connection the user paused stays paused."""
    _update(connection_id, **success(facts, warnings, next_sync_at))


def success(facts: "ServerFacts", warnings: Sequence[Finding], next_sync_at: int | None) -> dict[str, Any]:
    """What a sync that succeeded sets of its connection, by column."""
    return {
        "updated_at": database.clock(),
        "status": _unless_paused(ConnectionStatus.ACTIVE),
        "last_sync_at": database.clock(),
        "next_sync_at": next_sync_at,
        "last_error": None,
        "failures": 0,
        **_server(facts),
        "system_identifier": facts.epoch.system_identifier,
        "facts": document(asdict(facts)),
        "warnings": document([finding._asdict() for finding in warnings]),
    }


def failed(connection_id: str, error: str, next_sync_at: int | None = None) -> None:
    """A sync or test failed: ACTIVE and TESTING become ERROR; what was collected before stays."""
    _update(
        connection_id,
        status=_unless_paused(ConnectionStatus.ERROR),
        next_sync_at=next_sync_at,
        last_error=clean(error),
        failures=models.Connection.failures + 1,
    )


def read_texts_soon(connection_id: str) -> None:
    """Let the next sync read the texts it does not know: what we just asked the server is among its statements, and
    only their texts say that they are ours where the role is not ours alone."""
    models.Connection.update(texts_at=None).where(models.Connection.id == connection_id).execute()


def _unless_paused(status: ConnectionStatus) -> Any:
    import peewee

    column = models.Connection.status
    return peewee.Case(None, [(column == ConnectionStatus.INACTIVE, str(ConnectionStatus.INACTIVE))], str(status))


def _update(connection_id: str, **columns: Any) -> None:
    columns.setdefault("updated_at", database.clock())
    if not models.Connection.update(**columns).where(models.Connection.id == connection_id).execute():
        raise Gone(connection_id)


def _row(connection_id: str) -> Any:
    row = models.Connection.get_or_none(models.Connection.id == connection_id)
    if row is None:
        raise Gone(connection_id)
    return row


def _name(name: str) -> str:
    name = clean(name).strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise UsageError("A connection's name is 1 to 100 visible characters")
    return name


def _project(name: str, now: int) -> str:
    found = models.Project.get_or_none(models.Project.name == name)
    if found is not None:
        return str(found.id)
    return str(models.Project.create(id=ids.new("prj"), name=name, created_at=now, updated_at=now).id)


def _target_columns(connection_id: str, target: Target, vault: Vault) -> dict[str, Any]:
    proxy, proxy_password = split_proxy(target.proxy)
    secret = proxy_secret = secret_key = None
    if target.password is not None:
        secret, secret_key = vault.seal(target.password, connection_id, target)
    if proxy_password is not None:
        proxy_secret, secret_key = vault.seal(proxy_password, connection_id, target, "proxy")
    return {
        "host": target.host,
        "port": target.port,
        "database": target.database,
        "username": target.user,
        "secret": secret,
        "secret_key_id": secret_key,
        "tls": target.tls,
        "tls_ca": target.tls_ca,
        "proxy": proxy,
        "proxy_secret": proxy_secret,
    }


def _changed_target(row: Any, vault: Vault, changes: Mapping[str, Any]) -> Target:
    """The new target, with the old password unless there is a new one (then the old one need not be readable)."""
    given: Target | None = changes.get("target")
    if given is not None and given.db_type is not DbType(row.db_type):
        raise UsageError("A connection cannot become another kind of database: add a new one")
    now = bare_target(row) if given is None else given
    now = replace(now, **{key: value for key, value in changes.items() if key in _TARGET_FIELDS - {"password"}})
    if "password" in changes:
        password: Secret | None = changes["password"]
    elif given is not None and given.password is not None:
        password = given.password
    else:
        password = _password(row, vault)
    if now.proxy is not None and now.proxy == row.proxy and row.proxy_secret is not None:
        old = vault.reveal(row.proxy_secret, row.id, bare_target(row), "proxy", row.secret_key_id)
        now = replace(now, proxy=join_proxy(now.proxy, old))
    return replace(now, password=password)


def _select(column: str = "", value: str = "") -> tuple[ConnectionInfo, ...]:
    """All by name, or those with a value in a column. As text: the first screen reads this, and needs no Peewee."""
    mark = models.database.param
    plain = [name for name in ConnectionInfo._fields if name not in _ELSEWHERE]
    read = [f"c.{name}" for name in plain] + [f"CAST({name} AS TEXT)" for name in _DOCUMENTS.values()]
    statement = f"""
        SELECT {", ".join(read)}, p.name, c.secret FROM connection c JOIN project p ON p.id = c.project_id
        {f"WHERE c.{column} = {mark}" if column else ""} ORDER BY c.name
    """  # noqa: S608
    names = (*plain, *_DOCUMENTS, "project_name", "secret")
    found = models.database.execute_sql(statement, (value,) if column else ()).fetchall()
    rows = [dict(zip(names, row, strict=True)) for row in found]
    counted = f"""
        SELECT connection_id, COUNT(*) FROM suggestion WHERE status IN ({mark}, {mark}) AND resolved_at IS NULL
        GROUP BY connection_id
    """  # noqa: S608
    still_open = (SuggestionStatus.NEW, SuggestionStatus.REVIEWED)
    open_counts: dict[str, int] = dict(models.database.execute_sql(counted, still_open).fetchall())
    for row in rows:
        row |= {name: json.loads(row[name]) for name in _DOCUMENTS} | {name: bool(row[name]) for name in _FLAGS}
    return tuple(_info(row, open_counts.get(row["id"], 0)) for row in rows)


def _of_project() -> tuple[Any, Any]:
    return models.Project.name.alias("project_name"), models.Project.settings.alias("project_settings")


def _project_of(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("project_id", "project_name", "project_settings")}


def _info(row: Mapping[str, Any], open_suggestions: int) -> ConnectionInfo:
    values = {key: row[key] for key in ConnectionInfo._fields if key in row}
    values |= {
        "no_cloud": bool(row["project_settings"].get("no_cloud")),
        "colour": str(row["project_settings"].get("colour") or ""),
        "theme": str(row["project_settings"].get("theme") or ""),
        "folder": str(row["project_settings"].get("path") or ""),
        "db_type": DbType(row["db_type"]),
        "has_password": row["secret"] is not None,
        "tls": TlsMode(row["tls"]),
        "status": ConnectionStatus(row["status"]),
        "warnings": tuple(Finding(**finding) for finding in row["warnings"]),
        "open_suggestions": open_suggestions,
    }
    return ConnectionInfo(**values)
