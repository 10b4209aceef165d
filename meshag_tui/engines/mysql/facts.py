"""What a server is: flavour, version, role, settings, what it watches, and the epoch two readings must share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from meshag_tui.engines.base import NoSuchDatabase, PermissionDenied
from meshag_tui.engines.mysql.errors import place
from meshag_tui.engines.mysql.sql import load
from meshag_tui.engines.mysql.wire import Flavour, flavour_and_version
from meshag_tui.snapshot import CostModel, Epoch, ServerFacts, Traits

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.wire import Wire

SETTINGS = (
    *("server_uuid", "server_uid", "server_id", "version_comment", "hostname", "port", "basedir", "datadir"),
    *("aurora_version", "aad_auth_only", "read_only", "super_read_only", "character_set_server", "collation_server"),
    *("lower_case_table_names", "sql_mode", "time_zone", "system_time_zone", "max_connections", "max_user_connections"),
    *("extra_max_connections", "wait_timeout", "lock_wait_timeout", "innodb_lock_wait_timeout", "autocommit"),
    *("transaction_isolation", "tx_isolation", "innodb_page_size", "innodb_buffer_pool_size", "innodb_log_file_size"),
    *("innodb_redo_log_capacity", "innodb_flush_log_at_trx_commit", "innodb_online_alter_log_max_size"),
    *("innodb_file_per_table", "innodb_stats_persistent", "innodb_stats_auto_recalc", "innodb_stats_on_metadata"),
    *("innodb_stats_persistent_sample_pages", "innodb_autoinc_lock_mode", "innodb_sort_buffer_size"),
    *("sort_buffer_size", "join_buffer_size", "read_rnd_buffer_size", "tmp_table_size", "max_heap_table_size"),
    *("internal_tmp_mem_storage_engine", "temptable_max_ram", "optimizer_switch", "eq_range_index_dive_limit"),
    *("explain_json_format_version", "auto_increment_increment", "auto_increment_offset", "table_open_cache"),
    *("performance_schema", "performance_schema_digests_size", "performance_schema_max_digest_length"),
    *("performance_schema_max_sql_text_length", "performance_schema_max_index_stat", "max_digest_length"),
    *("performance_schema_max_table_instances", "performance_schema_max_table_handles", "userstat"),
    *("log_bin", "binlog_format", "gtid_mode", "slow_query_log", "long_query_time", "log_slow_query_time"),
    *("require_secure_transport", "have_ssl", "have_openssl", "innodb_read_only", "partial_revokes"),
)
STATUS = (
    *("Uptime", "Queries", "Performance_schema_digest_lost", "Performance_schema_table_instances_lost"),
    *("Performance_schema_index_stat_lost", "Slave_running", "Slaves_connected", "wsrep_cluster_size"),
)
STATEMENTS = ("statement/sql/select", "statement/sql/insert", "statement/sql/update", "statement/sql/delete")
LOST_OBJECTS = ("Performance_schema_table_instances_lost", "Performance_schema_index_stat_lost")
TABLE_IO = "wait/io/table/sql/handler"
DIGEST_CONSUMERS = ("global_instrumentation", "thread_instrumentation", "statements_digest")
# One of no group stands there alone, in some versions without an id.
_MEMBERS = (
    "(SELECT COUNT(*) FROM performance_schema.replication_group_members m "
    "WHERE m.MEMBER_ID NOT IN ('', @@GLOBAL.server_uuid))"
)
_CHANGING = frozenset({"SUPER", "INSERT", "UPDATE", "DELETE", "DROP", "ALTER", "CREATE USER", "SHUTDOWN", "FILE"})
# MySQL's own figures, in its own unit: a row, a key comparison, a page of a file, a page of memory.
COSTS = CostModel(random_page=1.0, sequential_page=0.25, row=0.1, index_entry=0.05, operator=0.05)

Provider = Literal["local", "RDS", "Aurora", "Cloud SQL", "Azure"]
"""Who runs the server, as far as it tells; it decides how a setting is changed there."""


@dataclass(frozen=True, slots=True)
class Observing:
    """What performance_schema watches; None in `Server` where we may not read that, or it is off."""

    consumers: Mapping[str, bool]
    instruments: Mapping[str, tuple[bool, bool]]  # enabled, timed
    all_actors: bool  # every user's statements are watched
    sources: int

    @property
    def digests(self) -> bool:
        """Whether statements are counted by digest."""
        return all(self.consumers.get(name, True) for name in DIGEST_CONSUMERS)

    @property
    def counts_index_use(self) -> bool:
        return self.consumers.get("global_instrumentation", True) and self.instruments.get(TABLE_IO, (True, True))[0]


@dataclass(frozen=True, slots=True)
class Server:
    """The facts, and what reading this server depends on but nobody else needs."""

    facts: ServerFacts
    flavour: Flavour
    version: tuple[int, int, int]
    settings: Mapping[str, str]
    status: Mapping[str, str]
    rights: frozenset[str]  # global ones of the account itself; what roles give shows when it is used
    account: str  # user@host as the server matched us
    performance_schema: bool
    observing: Observing | None
    watch_denied: bool  # performance_schema is on and not ours to read
    settings_taken: bool
    provider: Provider

    @property
    def lost_objects(self) -> int:
        """Tables and indexes that performance_schema had no room for: of what it does not list, nothing is known."""
        return sum(int(self.status.get(name, 0)) for name in LOST_OBJECTS)

    @property
    def processes(self) -> str:
        """The list of threads that costs the server least: the old one of MySQL holds a mutex that all need."""
        new = self.flavour == "MySQL" and self.version >= (8, 0, 22) and self.observing is not None
        return "performance_schema.processlist" if new else "information_schema.PROCESSLIST"


async def read(wire: Wire) -> Server:
    """Read the facts with two statements.

    Sources: global variables and status, USER_PRIVILEGES; performance_schema's set-up tables, the list of threads.
    The start is now minus Uptime, both of one statement, so it is constant until the server really starts anew.

    Raises:
        NoSuchDatabase: the target names a schema that is not there, or of which we may see nothing.
    """
    target, mysql = wire.target, wire.flavour == "MySQL"
    home = "performance_schema" if mysql else "information_schema"
    query = load("server").format(
        variables=f"{home}.{'global_variables' if mysql else 'GLOBAL_VARIABLES'}",
        status=f"{home}.{'global_status' if mysql else 'GLOBAL_STATUS'}",
        read_only="@@session.transaction_read_only" if mysql else "@@session.tx_read_only",
        deadline="@@session.max_execution_time" if mysql else "@@session.max_statement_time",
    )
    asked = {"database": target.database, "status": STATUS, "variables": SETTINGS}
    parts = _parts(await wire.fetch(query, asked))
    server, settings, status = parts["server"], parts["variable"], parts["status"]
    flavour, version = flavour_and_version(server["version"])
    if target.database and not server["schema"]:
        raise NoSuchDatabase(
            f"There is no database {target.database} on {place(target)}, or {target.user} may see nothing of it",
            "Check the database's name, or run the setup SQL for this user",
        )
    watched = settings.get("performance_schema") == "ON"
    observing, denied, replicas = await _observing(wire, watched, flavour)
    # MariaDB counts those that are connected for everybody, and the nodes of its cluster, this one among them.
    replicas = max(replicas, int(status.get("Slaves_connected") or 0), int(status.get("wsrep_cluster_size") or 0) - 1)
    replica = "ON" in (settings.get("read_only"), settings.get("innodb_read_only"), status.get("Slave_running"))
    replica = replica or (observing is not None and observing.sources > 0)
    now = float(server["now"])
    started_at = (int(now) - int(status.get("Uptime", 0))) * 1000
    rights = frozenset(parts["right"])
    facts = ServerFacts(
        engine=flavour,
        version=server["version"].partition("-")[0],
        version_number=version[0] * 10_000 + version[1] * 100 + version[2],
        database=server["schema"],  # as the server writes it
        database_oid=None,
        user=target.user,
        superuser=bool(rights & _CHANGING),
        encoding=settings.get("character_set_server", ""),
        in_recovery=replica,
        observed_at=int(now * 1000),
        epoch=Epoch(
            system_identifier=_identity(settings, place(target)),
            role="replica" if replica else "primary",
            started_at=started_at,
            stats_reset=None,  # known when the counters are read
            objects_reset=started_at,  # they live as long as the server, and never longer
            ran=int(status["Queries"]) if "Queries" in status else None,
        ),
        latency_ms=wire.latency_ms,
        tls=wire.tls,
        settings=settings,
        block_size=int(settings.get("innodb_page_size", 16384)),
        replicas=replicas,
        costs=COSTS,
        traits=_traits(flavour, version),
        hides_indexes=version >= ((8, 0, 0) if flavour == "MySQL" else (10, 6, 0)),
    )
    return Server(
        facts=facts,
        flavour=flavour,
        version=version,
        settings=settings,
        status=status,
        rights=rights,
        account=server["current_user"],
        performance_schema=watched,
        observing=observing,
        watch_denied=denied,
        settings_taken=server["read_only"] in ("1", "ON") and float(server["deadline"] or 0) > 0,
        provider=_provider(settings, server["version"], target.host),
    )


async def _observing(wire: Wire, watched: bool, flavour: Flavour) -> tuple[Observing | None, bool, int]:
    """What is watched, whether that is denied to us, and the number of replicas and other members of a group."""
    denied = False
    if watched:
        query = load("observing").format(
            enabled=" AND a.ENABLED = 'YES'", members=_MEMBERS if flavour == "MySQL" else "0"
        )
        try:
            parts = _parts(await wire.fetch(query, {"instruments": (*STATEMENTS, TABLE_IO)}))
        except PermissionDenied:
            denied = True
        else:
            observing = Observing(
                consumers={name: value == "YES" for name, value in parts["consumer"].items()},
                instruments={
                    name: (value.startswith("YES"), value.endswith("YES"))
                    for name, value in parts["instrument"].items()
                },
                all_actors=int(parts["actors"]["all"]) > 0,
                sources=int(parts["replication"]["sources"]),
            )
            others = int(parts["replication"]["replicas"]) + int(parts["replication"]["members"])
            return observing, False, others
    parts = _parts(await wire.fetch(load("replicas"), ()))
    return None, denied, int(parts["replication"]["replicas"])


def _parts(rows: list[tuple[str, str, str | int | None]]) -> dict[str, dict[str, str]]:
    """part -> name -> value. MariaDB writes the names of variables in capitals."""
    parts: dict[str, dict[str, str]] = defaultdict(dict)
    for part, name, value in rows:
        parts[part][name.lower() if part == "variable" else _STATUS_NAMES.get(name.lower(), name)] = (
            "" if value is None else str(value)
        )
    return parts


_STATUS_NAMES = {name.lower(): name for name in STATUS}


def _traits(flavour: Flavour, version: tuple[int, int, int]) -> Traits:
    return Traits(
        index_methods=("btree",),
        index_includes=False,
        index_conditions=False,
        index_expressions=flavour == "MySQL" and version >= (8, 0, 13),
        pattern_classes=False,
        key_bytes=3072,  # of InnoDB's usual row formats with pages of 16 kB
        shares_repeats=False,
        counts_late=False,
        foreign_keys_keep_index=True,
    )


def _identity(settings: Mapping[str, str], where: str) -> str:
    """The server's own identity: MySQL keeps one with its data, MariaDB works one out from its machine and port."""
    if uuid := settings.get("server_uuid"):
        return uuid
    number = settings.get("server_id", "")
    return f"{settings['server_uid']}/{number}" if settings.get("server_uid") else f"{where}/{number}"


def _provider(settings: Mapping[str, str], version: str, host: str) -> Provider:
    if "aurora_version" in settings or ".mysql_aurora." in version:
        return "Aurora"
    if settings.get("basedir", "").startswith("/rdsdbbin/") or host.endswith(".rds.amazonaws.com"):
        return "RDS"
    if "-google" in version or "(Google)" in settings.get("version_comment", ""):
        return "Cloud SQL"
    if "aad_auth_only" in settings or host.endswith((".mysql.database.azure.com", ".mariadb.database.azure.com")):
        return "Azure"
    return "local"
