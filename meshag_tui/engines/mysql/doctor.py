"""The doctor: one row for each capability, ok or not, with the exact SQL or step that mends what is missing."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from meshag_tui.engines.base import EngineError, PermissionDenied
from meshag_tui.engines.mysql import capabilities, cluster, histograms, live_vitals, statements
from meshag_tui.engines.mysql.errors import quoted
from meshag_tui.engines.mysql.remedies import file_step, running_step
from meshag_tui.engines.mysql.scope import INTERNAL, watcher
from meshag_tui.engines.mysql.setup import setup_sql
from meshag_tui.engines.mysql.sql import load
from meshag_tui.engines.mysql.storage import Storage, file_part, from_file_name, storage
from meshag_tui.engines.mysql.texts import is_cut, longest
from meshag_tui.types import Finding, TlsMode, is_loopback

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.facts import Server
    from meshag_tui.engines.mysql.session import MysqlSession
    from meshag_tui.live import Vital

T = TypeVar("T")
_OLDEST = {"MySQL": (8, 0, 0), "MariaDB": (10, 11, 0)}
_SHORTEST = 0.3  # bytes of text for each byte in the array of tokens, at least


@dataclass(frozen=True, slots=True)
class _Examination:
    """What the doctor's own statements found, beside the facts of the session. None: not ours to see."""

    server: Server
    tls_mode: TlsMode
    remote: bool
    process: bool  # we have the right of that name
    hidden_schemas: tuple[str, ...] | None
    storage: Storage | None
    reading: statements.Reading | None
    cut: int
    lag: Vital | None
    failures: tuple[str, ...]


async def findings(session: MysqlSession) -> tuple[Finding, ...]:
    """All rows, the worst first. Sources: the facts, performance_schema, InnoDB's tables in information_schema."""
    examination = await _examine(session)
    found = [*_server(examination), *_user(examination), *_statements(examination), *_measuring(examination)]
    order = ("missing", "degraded", "info", "ok")
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))


async def _examine(session: MysqlSession) -> _Examination:
    server, target = session.server, session.wire.target
    failures: list[str] = []
    denied: list[str] = []

    async def tried(work: Coroutine[Any, Any, T]) -> T | None:
        """The result, None when it is denied or fails; why is kept."""
        try:
            return await work
        except EngineError as error:
            if session.wire.gone is not None:
                raise
            (denied if isinstance(error, PermissionDenied) else failures).append(str(error))
            return None

    reading, cut = None, 0
    if capabilities.counts_statements(server):
        reading = await tried(statements.read(session.wire, server, session.choice))
        cut = await tried(_cut(session)) or 0
    hidden_schemas = await tried(_hidden_schemas(session))
    return _Examination(
        server=server,
        tls_mode=target.tls,
        remote=not is_loopback(target.host),
        process=not any("PROCESS" in why for why in denied),
        hidden_schemas=hidden_schemas,
        storage=await tried(storage(session.wire, server, ask=True)),
        reading=reading,
        cut=cut,
        lag=await tried(live_vitals.lag(session)),
        failures=tuple(failures),
    )


async def _hidden_schemas(session: MysqlSession) -> tuple[str, ...]:
    mysql = session.server.flavour == "MySQL"
    query = load("hidden_schemas").format(
        tables="INNODB_TABLES" if mysql else "INNODB_SYS_TABLES",
        schema_name=file_part("SUBSTRING_INDEX(t.NAME, '/', 1)", session.server),
    )
    there = {from_file_name(name) for (name,) in await session.fetch(query, ())}
    seen = {name for (name,) in await session.fetch(load("visible_schemas"))}
    return tuple(sorted(name for name in there - seen if name not in INTERNAL and "@" not in name))


async def _cut(session: MysqlSession) -> int:
    most = longest(session.server)
    rows = await session.fetch(load("long_digests"), {"length": int(most * _SHORTEST), "internal": INTERNAL})
    watched = watcher(session.server)
    return sum(is_cut(text, most) for schema, text in rows if watched(schema))


def _server(seen: _Examination) -> Iterator[Finding]:
    facts = seen.server.facts
    if seen.server.version < _OLDEST[seen.server.flavour]:
        oldest = ".".join(map(str, _OLDEST[seen.server.flavour][:2]))
        yield Finding(
            "server-old",
            "degraded",
            f"{facts.engine} {facts.version} is older than what MeshAG is tested with",
            f"{facts.engine} is supported from {oldest} on",
            "Upgrade the server",
        )
    else:
        where = "" if seen.server.provider == "local" else f" at {seen.server.provider}"
        role = "a replica: advice about index use needs the primary's figures too"
        if not facts.in_recovery:
            role = "the primary" if seen.server.replicates is not None else "the primary, as far as we can see"
        yield Finding("server", "ok", f"{facts.engine} {facts.version}{where}", f"It is {role}")
    if seen.lag is not None and seen.lag.state == "insufficient privilege":
        replica = seen.server.replicates is not None
        yield Finding(
            "replica-lag" if replica else "replica-unknown",
            "degraded",
            "How far this replica is behind is not visible"
            if replica
            else "Whether this server is a replica that has stopped is not visible: nothing is changed here",
            f"{facts.user} may not ask how it replicates"
            + ("" if replica else ", and performance_schema does not tell"),
            seen.lag.fix,
        )
    if cluster.is_node(seen.server.settings):
        yield Finding(
            "cluster",
            "info",
            f"It is a node of a Galera cluster of {seen.server.status.get('wsrep_cluster_size', 'unknown size')}",
            "Statements, and the use of indexes, are counted by each node: watch all of them. No index is made here: "
            "every node would stand still meanwhile",
        )
    if facts.tls is not None:
        checked = seen.tls_mode in (TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL)
        yield Finding(
            "tls",
            "ok" if checked or not seen.remote else "info",
            f"The line is encrypted ({facts.tls})",
            "The server's certificate is checked"
            if checked
            else f"TLS mode {seen.tls_mode} does not check who answers",
            None if checked else "Set TLS mode verify-full and give the server's CA file",
        )
    elif seen.remote:
        yield Finding(
            "tls-off",
            "degraded",
            "The line to the server is not encrypted",
            f"TLS mode is {seen.tls_mode}",
            "Give the server a certificate and set TLS mode verify-full",
        )
    if ":" in facts.epoch.system_identifier:
        yield Finding(
            "identity",
            "info",
            "The server's identity is its address",
            "It tells no server_uuid or server_uid: two servers behind one address look like one",
        )
    for failure in seen.failures:
        yield Finding("examination", "degraded", "A part of this examination failed", failure)


def _user(seen: _Examination) -> Iterator[Finding]:
    server = seen.server
    user = server.facts.user
    if server.facts.superuser:
        yield Finding(
            "superuser",
            "degraded",
            f"{user} may change this server",
            "MeshAG needs far less: a read-only session is a seat belt, the user's rights are the wall",
            setup_sql("meshag", server.facts.database),
        )
    if not seen.process:
        yield capabilities.process_missing(server)
    else:
        yield Finding("process", "ok", "All sessions, transactions and InnoDB's figures are visible", f"as {user}")
    if seen.storage is not None and seen.storage.pages is None:
        grantee = capabilities.grantee(server)
        yield Finding(
            "index-sizes",
            "info",
            "The sizes of single indexes are not visible",
            "Only the sum of a table's indexes is known, and not when its statistics were made",
            f"GRANT SELECT ON mysql.innodb_index_stats TO {grantee};\n"
            f"GRANT SELECT ON mysql.innodb_table_stats TO {grantee};",
        )
    if server.flavour == "MariaDB" and histograms.PRIVATE not in server.readable:
        yield Finding(
            "histograms",
            "info",
            "The planner's own statistics of columns are not visible",
            "What ANALYZE TABLE … PERSISTENT keeps is not used: values are counted in a sample of the rows alone",
            f"GRANT SELECT ON mysql.{histograms.PRIVATE} TO {capabilities.grantee(server)};",
        )
    hidden = seen.hidden_schemas or ()
    if hidden and not server.facts.database:
        grantee = capabilities.grantee(server)
        yield Finding(
            "select",
            "degraded",
            f"{len(hidden)} databases are hidden from {user}: their tables are not seen, their queries not explained",
            ", ".join(hidden[:10]) + (f" and {len(hidden) - 10} more" if len(hidden) > 10 else ""),
            "\n".join(f"GRANT SELECT, SHOW VIEW ON {quoted(name)}.* TO {grantee};" for name in hidden[:10]),
            {"databases": list(hidden)},
        )
    else:
        yield Finding("select", "ok", "The watched tables are visible: their queries can be explained", f"as {user}")


def _statements(seen: _Examination) -> Iterator[Finding]:
    server = seen.server
    missing = list(capabilities.shortcomings(server))
    yield from missing
    if seen.reading is None:
        return
    if not any(finding.code.startswith("performance-schema") for finding in missing):
        yield Finding(
            "performance-schema",
            "ok",
            f"performance_schema counts statements ({seen.reading.digests:,} different ones)",
            "" if server.flavour == "MySQL" else "MariaDB keeps no samples of their values",
        )
    yield from capabilities.unattributed(server, seen.reading)
    if seen.cut:
        most = longest(server)
        yield Finding(
            "digest-length",
            "degraded",
            f"{seen.cut} statement{' is' if seen.cut == 1 else 's are'} longer than the server looks: several may be "
            "counted as one",
            f"Digests are made of the first {most:,} bytes of tokens. There is no advice on these statements",
            file_step(server, "max_digest_length", str(most * 4))
            + "\n"
            + file_step(server, "performance_schema_max_digest_length", str(most * 4)),
            {"statements": seen.cut, "length": most},
        )


def _measuring(seen: _Examination) -> Iterator[Finding]:
    settings = seen.server.settings
    if settings.get("innodb_stats_on_metadata") == "ON":
        yield Finding(
            "stats-on-metadata",
            "degraded",
            "Reading the catalogue makes the server work out statistics anew",
            "innodb_stats_on_metadata is on: each sync costs it pages of tables without persistent statistics",
            running_step(seen.server, "SET GLOBAL innodb_stats_on_metadata = OFF;", "innodb_stats_on_metadata", "OFF"),
        )
    if settings.get("innodb_stats_persistent") == "OFF":
        yield Finding(
            "stats-not-persistent",
            "info",
            "The planner's statistics do not survive a restart",
            "innodb_stats_persistent is off: plans may change after each start",
            running_step(seen.server, "SET GLOBAL innodb_stats_persistent = ON;", "innodb_stats_persistent", "ON"),
        )
