"""What a server is: flavour, version, role, settings, what it watches, and the epoch two readings must share."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from meshag_tui.engines.base import EngineError, NoSuchDatabase, PermissionDenied
from meshag_tui.engines.mysql import sources
from meshag_tui.engines.mysql.errors import place
from meshag_tui.engines.mysql.sql import load
from meshag_tui.engines.mysql.unaltered import ALTERING
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
    *("wsrep_on", "wsrep_provider", "wsrep_osu_method"),
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
# A source as its replica knows it. MariaDB's servers have no name of their own that both know, but an address, and the
# numbers of those whose transactions came last.
_SOURCES = {
    "MySQL": {"source": "r.SOURCE_UUID", "sources": "replication_connection_status"},
    "MariaDB": {
        "source": "CONCAT(LOWER(r.HOST), ':', r.PORT, ' ', @@GLOBAL.gtid_slave_pos)",
        "sources": "replication_connection_configuration",
    },
}
_AGAIN = ("version", "now", "current_user", "connection", "read_only", "deadline")
_IDS = 2**32  # the greeting has room for numbers up to here
LASTING_S = 300
"""How long what seldom changes is remembered between syncs."""
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
    source_names: tuple[str, ...]

    @property
    def digests(self) -> bool:
        """Whether statements are counted by digest."""
        return all(self.consumers.get(name, True) for name in DIGEST_CONSUMERS)

    @property
    def everything(self) -> bool:
        """Whether nothing that we look for is left out."""
        return self.digests and self.all_actors and all(map(all, self.instruments.values()))

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
    replicates: bool | None  # from others, or would had it not stopped; None: not ours to know
    settings_taken: bool
    pooled: bool  # our statements are handed to sessions that are not the one that greeted us
    provider: Provider
    readable: frozenset[str]  # tables of InnoDB's own statistics that we may see
    remembered: bool  # what seldom changes is of an earlier reading

    @property
    def lost_objects(self) -> int:
        """Tables and indexes that performance_schema had no room for: of what it does not list, nothing is known."""
        return sum(int(self.status.get(name, 0)) for name in LOST_OBJECTS)

    @property
    def altering(self) -> int | None:
        """How many statements that alter something have begun, as the facts say it: MySQL's do not."""
        counts = [int(value) for name, value in self.status.items() if name in ALTERING]
        return sum(counts) if counts else None

    @property
    def processes(self) -> str:
        """The list of threads that costs the server least: the old one of MySQL holds a mutex that all need."""
        new = self.flavour == "MySQL" and self.version >= (8, 0, 22) and self.observing is not None
        return "performance_schema.processlist" if new else "information_schema.PROCESSLIST"


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read of a server: as (part -> name -> value), what is watched, whether that is denied, its replicas."""

    parts: Mapping[str, Mapping[str, str]]
    observing: Observing | None
    denied: bool
    replicas: int
    replicates: bool | None  # from others; None: not ours to know

    @property
    def sign(self) -> tuple[Any, ...]:
        """What tells the server, its start and our account there from any other."""
        server, settings = self.parts["server"], self.parts["variable"]
        watched = settings.get("performance_schema")
        return server["version"], server["current_user"], _identity(settings, ""), watched, _started_at(self.parts)


_known: dict[tuple[Any, ...], tuple[float, _Read]] = {}  # by target: when (s, monotonic), and what was read


async def read(wire: Wire, remember: bool = False) -> Server:
    """Read the facts with two statements, or one.

    Sources: global variables and status, USER_PRIVILEGES; performance_schema's set-up tables, the list of threads.
    The start is now minus Uptime, both of one statement, so it is constant until the server really starts anew.

    Args:
        remember: what seldom changes (the database's name, rights, what is watched, replicas where only the list of
            threads shows them) may be up to `LASTING_S` old, if it is of the same start of the server and account. It
            is most of what the facts cost; what is missing is never remembered, so that a remedy shows.

    Raises:
        NoSuchDatabase: the target names a schema that is not there, or of which we may see nothing.
    """
    target = wire.target
    at = (target.host, target.port, target.database, target.user, target.proxy)
    read_at, known = _known.get(at, (0.0, None))
    found = None
    if remember and known is not None and time.monotonic() < read_at + LASTING_S:
        found = await _again(wire, known)
    remembered = found is not None
    if found is None:
        _known.pop(at, None)
        found = await _whole(wire)
    server = _server(wire, found, remembered)
    if not remembered and found.observing is not None and found.observing.everything:
        _known[at] = (time.monotonic(), found)
    return server


async def _whole(wire: Wire) -> _Read:
    query = load("server").format(**_places(wire.flavour))
    asked = {"database": wire.target.database, "status": _figures(wire.flavour), "variables": SETTINGS}
    parts = _parts(await wire.fetch(query, asked))
    flavour, _ = flavour_and_version(parts["server"]["version"])
    return _Read(parts, *await _observing(wire, parts["variable"].get("performance_schema") == "ON", flavour))


async def _again(wire: Wire, known: _Read) -> _Read | None:
    """What is known with what may differ read anew; None if it is another server, or has not all of that any more."""
    before = known.parts["variable"]
    names = sorted(before)
    variables = ", ".join(f"@@GLOBAL.{name}" for name in names)
    query = load("server_again").format(**(_places(wire.flavour) | {"variables": variables}))
    try:
        rows = await wire.fetch(query, {"status": _figures(wire.flavour)})
    except EngineError:
        if wire.gone is not None:
            raise
        return None
    if not rows:
        return None
    figures, server, values = rows[0][0] or "", rows[0][1 : 1 + len(_AGAIN)], rows[0][1 + len(_AGAIN) :]
    parts = {
        **known.parts,
        **_parts(("status", *line.split(" ", 1)) for line in figures.splitlines()),
        "server": {**known.parts["server"], **dict(zip(_AGAIN, map(str, server), strict=True))},
        "variable": {name: _as_listed(value, before[name]) for name, value in zip(names, values, strict=True)},
    }
    found = replace(known, parts=parts)
    return found if found.sign == known.sign else None


def _figures(flavour: Flavour) -> tuple[str, ...]:
    """Names of status variables. MySQL shows the last of them in no table."""
    return (*STATUS, *ALTERING) if flavour == "MariaDB" else STATUS


def _as_listed(value: Any, before: str) -> str:
    """A variable's value as the list of all writes it: asked for by name, switches are 1 and 0, and figures bare."""
    if value is None:
        return ""
    if before in ("ON", "OFF") and value in (0, 1):
        return "ON" if value else "OFF"
    if not isinstance(value, str):
        with contextlib.suppress(ValueError):
            if float(before) == float(value):
                return before
    return str(value)


def _server(wire: Wire, found: _Read, remembered: bool) -> Server:
    target, parts, observing, replicas = wire.target, found.parts, found.observing, found.replicas
    server, settings, status = parts["server"], parts["variable"], parts["status"]
    flavour, version = flavour_and_version(server["version"])
    watched = settings.get("performance_schema") == "ON"
    if target.database and not server["schema"]:
        raise NoSuchDatabase(
            f"There is no database {target.database} on {place(target)}, or {target.user} may see nothing of it",
            "Check the database's name, or run the setup SQL for this user",
        )
    # MariaDB counts those that are connected for everybody, and the nodes of its cluster, this one among them.
    replicas = max(replicas, int(status.get("Slaves_connected") or 0), int(status.get("wsrep_cluster_size") or 0) - 1)
    replicates = True if status.get("Slave_running") == "ON" else found.replicates
    replica = bool(replicates) or "ON" in (settings.get("read_only"), settings.get("innodb_read_only"))
    now, started_at = float(server["now"]), _started_at(parts)
    rights = frozenset(parts.get("right", ()))
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
        sources=observing.source_names if observing is not None else (),
        known_as=_known_as(flavour, settings, target.host, target.port),
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
        watch_denied=found.denied,
        replicates=replicates,
        settings_taken=server["read_only"] in ("1", "ON") and float(server["deadline"] or 0) > 0,
        pooled=int(server["connection"]) % _IDS != wire.connection_id % _IDS,
        provider=_provider(settings, server["version"], target.host),
        readable=frozenset(parts.get("readable", ())),
        remembered=remembered,
    )


def _places(flavour: Flavour) -> dict[str, str]:
    """What the two flavours call the same."""
    if flavour == "MySQL":
        return {
            "variables": "performance_schema.global_variables",
            "status": "performance_schema.global_status",
            "read_only": "@@session.transaction_read_only",
            "deadline": "@@session.max_execution_time",
        }
    return {
        "variables": "information_schema.GLOBAL_VARIABLES",
        "status": "information_schema.GLOBAL_STATUS",
        "read_only": "@@session.tx_read_only",
        "deadline": "@@session.max_statement_time",
    }


def _started_at(parts: Mapping[str, Mapping[str, str]]) -> int:
    """When the server started, epoch ms, to the second."""
    return (int(float(parts["server"]["now"])) - int(parts["status"].get("Uptime", 0))) * 1000


async def _observing(wire: Wire, watched: bool, flavour: Flavour) -> tuple[Observing | None, bool, int, bool | None]:
    """What is watched, whether that is denied to us, the number of replicas and other members of a group, and whether
    it is a replica itself, if that can be known."""
    denied = False
    if watched:
        query = load("observing").format(
            enabled=" AND a.ENABLED = 'YES'", members=_MEMBERS if flavour == "MySQL" else "0", **_SOURCES[flavour]
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
                source_names=tuple(name for said in parts["source"] for name in _source_names(said)),
            )
            others = int(parts["replication"]["replicas"]) + int(parts["replication"]["members"])
            return observing, False, others, observing.sources > 0
    parts = _parts(await wire.fetch(load("replicas"), ()))
    found = await sources.sources(wire, watched)
    return None, denied, int(parts["replication"]["replicas"]), None if found is None else bool(found)


def _parts(rows: Iterable[Sequence[Any]]) -> dict[str, dict[str, str]]:
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
        vacuums=False,
        joint_statistics=False,
        checks_rows_later=False,
        copies_identity=False,
        quote="`",
        bare_names=False,
    )


def _identity(settings: Mapping[str, str], where: str) -> str:
    """The server's own identity: MySQL keeps one with its data, MariaDB works one out from its machine and port."""
    if uuid := settings.get("server_uuid"):
        return uuid
    number = settings.get("server_id", "")
    return f"{settings['server_uid']}/{number}" if settings.get("server_uid") else f"{where}/{number}"


def _source_names(said: str) -> tuple[str, ...]:
    """A source in the words of `_known_as`, from what a replica says: its own name, or address and GTIDs (0-7-15)."""
    place, space, positions = said.partition(" ")
    if not space:
        return (said,) if said else ()
    return tuple(f"{place}/{each.split('-')[1]}" for each in positions.split(",") if each.count("-") == 2)


def _known_as(flavour: Flavour, settings: Mapping[str, str], host: str, port: int) -> tuple[str, ...]:
    """What replicas of this server know it as, see `_SOURCES`."""
    if flavour == "MySQL":
        return (settings["server_uuid"],) if settings.get("server_uuid") else ()
    places = {f"{host.lower()}:{port}", f"{settings.get('hostname', '').lower()}:{settings.get('port', port)}"}
    return tuple(sorted(f"{place}/{settings.get('server_id', '')}" for place in places))


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
