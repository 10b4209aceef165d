"""The doctor: one row for each capability, ok or not, with the exact SQL or step that mends what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshag_tui.engines.base import EngineError, Limits
from meshag_tui.engines.postgres import statements
from meshag_tui.engines.postgres.capabilities import readable, statements_finding, unseen_finding
from meshag_tui.engines.postgres.errors import quoted
from meshag_tui.engines.postgres.remedies import EXTENSION, hypopg_step, preload_step, setting_step
from meshag_tui.engines.postgres.sandbox import missing_programs
from meshag_tui.engines.postgres.sandbox.files import PAGE as SANDBOX_PAGE
from meshag_tui.engines.postgres.setup import setup_sql
from meshag_tui.engines.postgres.sql import load
from meshag_tui.engines.postgres.texts import texts_readable
from meshag_tui.figures import number_of
from meshag_tui.types import Finding, TlsMode, is_loopback

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.facts import Server
    from meshag_tui.engines.postgres.session import PostgresSession

_OLDEST = 130_000
_OTHERS_VISITED = 5  # databases looked into for an extension that is not in ours


@dataclass(frozen=True, slots=True)
class _Examination:
    """What the doctor's own statements found, beside the facts of the session."""

    server: Server
    settings_taken: bool
    tls_mode: TlsMode
    remote: bool
    available: dict[str, str]  # extension on the server's disk -> its version there
    unreadable_tables: int
    elsewhere: str | None  # another database that has pg_stat_statements
    sql_ascii: tuple[str, ...]  # databases whose texts may hold any bytes
    texts: str | None  # why texts cannot be read
    reading: statements.Reading | None
    statements_from: tuple[str, str] | None  # what the settings name in place of pg_stat_statements


async def findings(session: PostgresSession) -> tuple[Finding, ...]:
    """All rows, the worst first. Sources: pg_settings, pg_available_extensions, pg_stat_statements, privileges."""
    examination = await _examine(session)
    found = [
        *_server(examination),
        *_role(examination),
        *_statements(examination),
        *_measuring(examination),
        *_what_if(examination),
    ]
    order = ("missing", "degraded", "info", "ok")
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))


async def _examine(session: PostgresSession) -> _Examination:
    server, target = session.server, session.wire.target
    ((available, unreadable, others, sql_ascii),) = await session.fetch(load("doctor"))
    elsewhere = None
    if EXTENSION not in server.extension_schemas and server.statements_elsewhere is None:
        elsewhere = await _elsewhere(session, others or [])
    reading, why = None, None
    if readable(server):
        try:
            reading = await statements.read(session.wire, server, session.choice)
            why = await texts_readable(session)
        except EngineError as error:
            if session.wire.gone is not None:
                raise
            why = str(error)
    return _Examination(
        server=server,
        settings_taken=session.wire.settings_taken,
        tls_mode=target.tls,
        remote=not is_loopback(target.host),
        available=dict(available or ()),
        unreadable_tables=unreadable,
        elsewhere=elsewhere,
        sql_ascii=tuple(sql_ascii or ()),
        texts=why,
        reading=reading,
        statements_from=session.wire.limits.statements_from,
    )


async def _elsewhere(session: PostgresSession, databases: list[str]) -> str | None:
    """Another database of this server that has pg_stat_statements: people create it where they happen to be."""
    from meshag_tui.engines.postgres.session import read_only_settings
    from meshag_tui.engines.postgres.wire import Wire

    limits = Limits(connect_s=2.0, call_s=2.0)
    for database in databases[:_OTHERS_VISITED]:
        try:
            target = replace(session.wire.target, database=database)
            wire = await Wire.open(target, "meshag/doctor", read_only_settings(limits), limits)
        except EngineError:
            continue  # we may not go there: it says nothing about ours
        try:
            if await wire.fetch("SELECT 1 FROM pg_catalog.pg_extension e WHERE e.extname = %s", [EXTENSION]):
                return database
        except EngineError:
            continue
        finally:
            wire.close()
    return None


def _server(seen: _Examination) -> Iterator[Finding]:
    facts = seen.server.facts
    if facts.version_number < _OLDEST:
        yield Finding(
            "server-old",
            "degraded",
            f"PostgreSQL {facts.version} is older than what MeshAG is tested with",
            "Versions 13 to 18 are supported",
            "Upgrade the server",
        )
    else:
        where = "" if seen.server.provider == "local" else f" at {seen.server.provider}"
        role = (
            "a standby: advice about index use needs the primary's figures too" if facts.in_recovery else "the primary"
        )
        yield Finding("server", "ok", f"PostgreSQL {facts.version}{where}", f"It is {role}")
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
            "Switch ssl on at the server and set TLS mode verify-full",
        )
    if not seen.settings_taken:
        yield Finding(
            "pooler",
            "info",
            "A pooler stands between us and the server",
            "It drops the session's settings, so each statement gets them in a transaction of its own; "
            "changes are not applied through it",
            "Connect to the server's own port",
        )
    if ":" in facts.epoch.system_identifier:
        yield Finding(
            "identity",
            "info",
            "The server's identity is its address",
            "pg_control_system() may not be called: two servers behind one address look like one",
            f"GRANT EXECUTE ON FUNCTION pg_control_system() TO {quoted(facts.user)};",
        )


def _role(seen: _Examination) -> Iterator[Finding]:
    server = seen.server
    user, database = server.facts.user, server.facts.database
    if server.facts.superuser:
        yield Finding(
            "superuser",
            "degraded",
            f"{user} is a superuser",
            "MeshAG needs far less: a read-only transaction is a seat belt, the role is the wall",
            setup_sql("meshag", database),
        )
    if not server.sees_all_stats:
        yield Finding(
            "pg-monitor",
            "degraded",
            f"{user} does not see the statements and sessions of other roles",
            "It is not a member of pg_monitor",
            f"GRANT pg_monitor TO {quoted(user)};",
        )
    else:
        yield Finding("pg-monitor", "ok", "All roles' statements and sessions are visible", f"as {user}")
    if seen.unreadable_tables:
        grant = (
            f"GRANT pg_read_all_data TO {quoted(user)};"
            if server.facts.version_number >= 140_000
            else f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {quoted(user)};  -- and in each other schema"
        )
        yield Finding(
            "select",
            "degraded",
            f"{number_of(seen.unreadable_tables, 'table')} may not be read: their queries cannot be explained",
            "EXPLAIN asks for the rights of the statement, though it does not run it",
            grant,
            {"tables": seen.unreadable_tables},
        )
    else:
        yield Finding("select", "ok", "All tables may be read: their queries can be explained", f"as {user}")


def _statements(seen: _Examination) -> Iterator[Finding]:
    server = seen.server
    missing = statements_finding(server)
    if missing is not None and missing.code == "pgss-not-created" and seen.elsewhere is not None:
        yield missing._replace(
            code="pgss-in-other-database",
            title=f"pg_stat_statements is created in {seen.elsewhere}, not in {server.facts.database}",
            detail="The server counts the statements of all databases, but shows them only where it is created",
        )
    elif missing is not None:
        yield missing
    if not readable(server):
        return
    yield from _counters(seen, missing)
    if seen.reading is not None:
        yield from _reading(seen, seen.reading)
    if seen.texts is not None:
        yield _texts(seen, seen.texts)


def _counters(seen: _Examination, missing: Finding | None) -> Iterator[Finding]:
    server = seen.server
    if (named := server.statements_elsewhere) is not None:
        where = f"{named.schema}.{named.name}"
        yield Finding("pgss", "ok", f"{where} counts statements", "[collect] statements_from in config.toml names it")
        return
    if (named_in_vain := seen.statements_from) is not None:
        yield Finding(
            "statements-from",
            "info",
            f"{'.'.join(named_in_vain)} is not here, or not ours to read: the extension's own is read",
            "[collect] statements_from in config.toml names it",
        )
    schema = server.extension_schemas[EXTENSION]
    version, newest = server.facts.extensions[EXTENSION], seen.available.get(EXTENSION)
    if newest is not None and _number(version) < _number(newest):
        yield Finding(
            "pgss-old-version",
            "degraded",
            f"pg_stat_statements {version} is older than the server's {newest}",
            "An upgrade of the server left it behind: newer counters are missing",
            "ALTER EXTENSION pg_stat_statements UPDATE;",
        )
    elif missing is None:
        place = "" if schema in ("public", "pg_catalog") else f" in schema {quoted(schema)}"
        yield Finding("pgss", "ok", f"pg_stat_statements {version} counts statements{place}", "")


def _texts(seen: _Examination, why: str) -> Finding:
    if seen.sql_ascii:
        cause = f"A statement of a database in SQL_ASCII is the usual cause ({', '.join(seen.sql_ascii[:3])})"
        fix = f"ALTER DATABASE {quoted(seen.sql_ascii[0])} SET pg_stat_statements.track = 'none';"
        fix += "  -- then let its entries be evicted, or reset them"
    else:
        cause = "The server's file of texts is damaged"
        fix = "SELECT pg_stat_statements_reset();  -- makes a new file; all counters start anew"
    return Finding("pgss-texts", "degraded", "Texts of statements cannot be read; counters can", f"{cause}: {why}", fix)


def _reading(seen: _Examination, reading: statements.Reading) -> Iterator[Finding]:
    server = seen.server
    if reading.unseen:
        yield unseen_finding(server, reading.unseen, len(reading.statements.rows))
    if reading.evictions:
        limit = int(server.session_settings.get(f"{EXTENSION}.max", "5000"))
        yield Finding(
            "pgss-evictions",
            "degraded",
            f"Statements were evicted {reading.evictions:,} times since the last reset",
            f"More than pg_stat_statements.max = {limit:,} different statements run: the rarest are not counted",
            setting_step(server, f"{EXTENSION}.max", str(limit * 2), restart=True),
            {"evictions": reading.evictions, "max": limit},
        )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _measuring(seen: _Examination) -> Iterator[Finding]:
    settings, server = seen.server.session_settings, seen.server
    if settings.get("track_io_timing") == "off":
        yield Finding(
            "track-io-timing",
            "info",
            "Time spent on input and output is not measured",
            "track_io_timing is off. pg_test_timing says whether the server's clock is cheap enough",
            setting_step(server, "track_io_timing", "on"),
        )
    else:
        yield Finding("track-io-timing", "ok", "Time spent on input and output is measured", "")
    for name, lost in (("track_counts", "use of tables and indexes"), ("track_activities", "what sessions do")):
        if settings.get(name) == "off":
            yield Finding(
                name.replace("_", "-"),
                "missing",
                f"The server does not count {lost}",
                f"{name} is off",
                setting_step(server, name, "on"),
            )
    loaded = ",".join(settings.get(f"{scope}_preload_libraries", "") for scope in ("shared", "session"))
    if "auto_explain" not in loaded:
        yield Finding(
            "auto-explain",
            "info",
            "Plans of slow statements are not logged by the server",
            "MeshAG does not need auto_explain; it shows plans of the moment, with the values of the moment",
            preload_step(server, "auto_explain"),
        )


def _what_if(seen: _Examination) -> Iterator[Finding]:
    server = seen.server
    if "hypopg" in server.extension_schemas:
        yield Finding(
            "hypopg", "ok", f"HypoPG {server.facts.extensions['hypopg']} prices indexes that do not exist", ""
        )
    else:
        yield Finding(
            "hypopg-missing",
            "info",
            "HypoPG is not here: indexes cannot be priced by this server's own planner",
            "It is on the server's disk, but not created in this database"
            if "hypopg" in seen.available
            else "It is not installed on the server",
            hypopg_step(server, "hypopg" in seen.available),
        )
        yield _sandbox(server)


def _sandbox(server: Server) -> Finding:
    """What prices indexes where HypoPG is not."""
    why = missing_programs()
    if why is None and server.facts.block_size != SANDBOX_PAGE:
        why = f"the server's pages are of {server.facts.block_size} bytes, a sandbox's of {SANDBOX_PAGE}"
    if why is not None:
        return Finding(
            "sandbox-missing",
            "info",
            "No statistics sandbox either: indexes are reckoned, not priced by a planner",
            why,
        )
    return Finding(
        "sandbox",
        "ok",
        "A statistics sandbox on this machine prices indexes that do not exist",
        "An empty server with this database's schema, statistics and sizes, there for the time of a search",
    )
