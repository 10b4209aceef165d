"""What a server counts and lets us see, from the facts alone, and the exact step that mends what is missing.

The same findings are warnings of a sync and rows of the doctor.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from meshag_tui.engines.mysql.errors import account
from meshag_tui.engines.mysql.facts import DIGEST_CONSUMERS, STATEMENTS, TABLE_IO
from meshag_tui.engines.mysql.remedies import file_step, running_step
from meshag_tui.types import Finding

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.facts import Observing, Server
    from meshag_tui.engines.mysql.statements import Reading

_MANY = 0.8  # of the table of digests, from which it will soon be full


def counts_statements(server: Server) -> bool:
    """Whether there are counters of statements that we may read."""
    return server.observing is not None


def grantee(server: Server) -> str:
    """Our account as GRANT names it: the one the server matched us with."""
    user, _, host = server.account.rpartition("@")
    return account(user, host)


def shortcomings(server: Server) -> Iterator[Finding]:
    """What is missing of counting statements and index use; nothing where all is well."""
    if not server.performance_schema:
        yield _switched_off(server)
    elif server.observing is None:
        yield Finding(
            "performance-schema-denied",
            "missing",
            "No privilege on performance_schema: no statements, no use of indexes",
            f"{server.facts.user} may not read its tables; sizes, structure and indexes are collected all the same",
            f"GRANT SELECT ON performance_schema.* TO {grantee(server)};",
        )
    else:
        yield from _consumers(server, server.observing)
        yield from _instruments(server, server.observing)
    if not server.settings_taken:
        yield Finding(
            "proxy-settings",
            "degraded",
            "A proxy stands between us and the server and drops the session's settings",
            "What we read is not held to a read-only session and to the server's own time-outs",
            "Connect to the server's own port",
        )
    elif server.pooled:
        yield Finding(
            "proxy-pools",
            "degraded",
            "A proxy stands between us and the server and hands statements to sessions of its own",
            "Figures may be of one server now and of another later; no session is kept, and nothing changed, that way "
            "(ProxySQL, MaxScale and RDS Proxy do so)",
            "Connect to the server's own port",
        )


def unattributed(server: Server, reading: Reading) -> Iterator[Finding]:
    """The table of digests was full: what ran is counted, but not told apart."""
    lost = reading.unattributed
    limit = int(server.settings.get("performance_schema_digests_size", 0))
    if lost.calls or lost.lost:
        yield Finding(
            "digests-lost",
            "degraded",
            f"{lost.share:.0%} of the time is not attributed to a statement",
            f"The table of digests has room for {limit:,} and is full: {lost.calls:,} executions since the counters "
            f"began are counted together, under no text ({lost.lost:,} lost)",
            file_step(server, "performance_schema_digests_size", str(max(20_000, limit * 2))),
            {"share": lost.share, "calls": lost.calls, "time_ms": lost.time_ms, "lost": lost.lost, "size": limit},
        )
    elif limit > 0 and reading.digests > _MANY * limit:
        yield Finding(
            "digests-filling",
            "info",
            f"The table of digests holds {reading.digests:,} of {limit:,}",
            "What comes when it is full is counted together, under no text",
            file_step(server, "performance_schema_digests_size", str(max(20_000, limit * 2))),
            {"digests": reading.digests, "size": limit},
        )


def process_missing(server: Server) -> Finding:
    """Without PROCESS the server shows our own sessions alone, and nothing of InnoDB."""
    return Finding(
        "process",
        "degraded",
        f"{server.facts.user} sees no sessions but its own, no transactions and nothing of InnoDB",
        "It lacks the PROCESS privilege: connections, idle transactions, replicas, rows changed since ANALYZE and free "
        "space are not known",
        f"GRANT PROCESS ON *.* TO {grantee(server)};",
    )


def _switched_off(server: Server) -> Finding:
    userstat = server.settings.get("userstat") == "ON"
    detail = "No statements are counted. Sizes, structure, indexes and sessions are collected all the same"
    if server.flavour == "MariaDB":
        detail += (
            "; the use of indexes comes from userstat"
            if userstat
            else ". MariaDB ships with it off; SET GLOBAL userstat = ON counts at least the use of indexes, at once"
        )
    return Finding(
        "performance-schema-off",
        "missing",
        "performance_schema is off: the server counts no statements",
        detail,
        file_step(server, "performance_schema", "ON"),
        {"userstat": userstat},
    )


def _consumers(server: Server, observing: Observing) -> Iterator[Finding]:
    off = [name for name in DIGEST_CONSUMERS if not observing.consumers.get(name, True)]
    if not off:
        return
    names = ", ".join(f"'{name}'" for name in off)
    setting = f"performance-schema-consumer-{off[-1].replace('_', '-')}"
    yield Finding(
        "performance-schema-consumers",
        "missing",
        "Statements are no longer counted: their consumer is off",
        f"performance_schema is on, but {', '.join(off)} is not: the figures stand still",
        running_step(
            server,
            f"UPDATE performance_schema.setup_consumers SET ENABLED = 'YES' WHERE NAME IN ({names});",  # noqa: S608 (names of our own, for a person to run)
            setting,
            "ON",
        ),
        {"off": off},
    )


def _instruments(server: Server, observing: Observing) -> Iterator[Finding]:
    off = [name for name in STATEMENTS if not observing.instruments.get(name, (True, True))[0]]
    untimed = [name for name in STATEMENTS if observing.instruments.get(name, (True, True)) == (True, False)]
    for names, code, title in (
        (off, "performance-schema-instruments", "Some statements are not counted: their instruments are off"),
        (untimed, "performance-schema-untimed", "Some statements are counted but not timed: their time reads as 0"),
    ):
        if names:
            yield Finding(
                code,
                "degraded",
                title,
                ", ".join(names),
                running_step(
                    server,
                    "UPDATE performance_schema.setup_instruments SET ENABLED = 'YES', TIMED = 'YES' "
                    "WHERE NAME LIKE 'statement/%';",
                    "performance-schema-instrument",
                    "'statement/%=ON'",
                ),
                {"off": names},
            )
    if not observing.instruments.get(TABLE_IO, (True, True))[0]:
        yield Finding(
            "index-use",
            "degraded",
            "The use of indexes is not counted: its instrument is off",
            f"{TABLE_IO} is off, so no index can be called unused",
            running_step(
                server,
                "UPDATE performance_schema.setup_instruments SET ENABLED = 'YES' "
                "WHERE NAME = 'wait/io/table/sql/handler';",
                "performance-schema-instrument",
                f"'{TABLE_IO}=ON'",
            ),
        )
    if server.lost_objects:
        yield Finding(
            "index-use-lost",
            "degraded",
            "The use of some indexes is not counted: performance_schema has no room for them",
            f"{server.lost_objects:,} times a table or index was left out; of those it does not list nothing is known",
            file_step(server, "performance_schema_max_index_stat", "-1")
            + "\n"
            + file_step(server, "performance_schema_max_table_instances", "-1"),
            {"lost": server.lost_objects},
        )
    if not observing.all_actors:
        yield Finding(
            "performance-schema-actors",
            "degraded",
            "Statements of some users are not counted",
            "performance_schema.setup_actors does not have every user",
            "INSERT INTO performance_schema.setup_actors VALUES ('%', '%', '%', 'YES', 'YES');",
        )
