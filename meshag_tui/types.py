"""The few words everything shares: enums and frozen values, no behaviour beyond their own consistency.

Everything here is on the lowest floor: it imports the standard library only. Values of one sync are in
`snapshot`, plan trees in `plan`; what is said with them (rules, SQL, rows) lives in the rooms above. Suggestions and
changes are of these words too, but live in `proposed`, which is opened with the first of them: the first screen needs
none.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, get_args
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from meshag_tui.proposed import (
        Analyze,
        Change,
        CreateIndex,
        CreateStatistics,
        DropIndex,
        DropStatistics,
        HideIndex,
        IndexColumn,
        IndexSpec,
        Rebuild,
        Reindex,
        RenameIndex,
        RestoreIndex,
        RestoreStatistics,
        SetSetting,
        SetStatisticsTarget,
        SetTableOptions,
        ShowIndex,
        Suggestion,
        Vacuum,
        table_of,
    )

__all__ = [
    "Analyze",
    "Change",
    "ChangeState",
    "ConnectionStatus",
    "CreateIndex",
    "CreateStatistics",
    "DbType",
    "DropIndex",
    "DropStatistics",
    "EvidenceKind",
    "ExecutionState",
    "Finding",
    "HideIndex",
    "IndexColumn",
    "IndexSpec",
    "MeshagError",
    "Rebuild",
    "Reindex",
    "RenameIndex",
    "RestoreIndex",
    "RestoreStatistics",
    "Risk",
    "Secret",
    "SetSetting",
    "SetStatisticsTarget",
    "SetTableOptions",
    "ShowIndex",
    "Suggestion",
    "SuggestionPriority",
    "SuggestionStatus",
    "SuggestionType",
    "Target",
    "TlsMode",
    "UsageError",
    "Vacuum",
    "WhatIfChoice",
    "Window",
    "is_loopback",
    "table_of",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("meshag_tui.proposed"), name)


class MeshagError(Exception):
    """An error the user can act on: its text is one line that says what to do. Exit code 1."""


class UsageError(MeshagError):
    """The command or value itself is wrong. Exit code 2."""


class Taken(UsageError):
    """The value could be used, but what is there has it already; the text names that. Exit code 1."""

    exit_code = 1


class Address(NamedTuple):
    """How the address of a database of some kind is written."""

    label: str  # as people write the kind
    schemes: tuple[str, ...]  # of a URL, the usual one first
    port: int
    whole_server: bool  # the database may be left out: then all are watched; else it is called like the user
    services: bool  # a file of libpq's may hold parts of it under a name


class DbType(StrEnum):
    """Kind of monitored database; MariaDB is a flavour of MYSQL."""

    POSTGRES = "POSTGRES"
    MYSQL = "MYSQL"

    @property
    def address(self) -> Address:
        """How such a database is addressed."""
        return _ADDRESSES[self]

    @property
    def label(self) -> str:
        """As people write it."""
        return self.address.label


_ADDRESSES: Mapping[DbType, Address] = {
    DbType.POSTGRES: Address("PostgreSQL", ("postgresql", "postgres"), 5432, whole_server=False, services=True),
    DbType.MYSQL: Address("MySQL or MariaDB", ("mysql", "mariadb"), 3306, whole_server=True, services=False),
}


class ConnectionStatus(StrEnum):
    """ACTIVE syncs; INACTIVE is paused by the user; ERROR recovers on its next success; TESTING is being tested."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    ERROR = "ERROR"
    TESTING = "TESTING"


class TlsMode(StrEnum):
    """libpq's words for transport security, used for every engine."""

    DISABLE = "disable"
    PREFER = "prefer"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


class SuggestionType(StrEnum):
    INDEX_OPTIMIZATION = "INDEX_OPTIMIZATION"
    QUERY_OPTIMIZATION = "QUERY_OPTIMIZATION"
    SCHEMA_OPTIMIZATION = "SCHEMA_OPTIMIZATION"
    CONNECTION_OPTIMIZATION = "CONNECTION_OPTIMIZATION"


class SuggestionPriority(StrEnum):
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class SuggestionStatus(StrEnum):
    NEW = "NEW"
    REVIEWED = "REVIEWED"
    APPLIED = "APPLIED"
    DISMISSED = "DISMISSED"


class EvidenceKind(StrEnum):
    """How we know: the strongest kind of evidence a suggestion rests on."""

    MEASURED = "measured"  # run, in a sandbox or on the database
    PLANNED = "planned"  # the server's planner priced it with hypothetical indexes
    COUNTED = "counted"  # from statistics or the catalogue over a stated window
    STATED = "stated"  # said by a model or reasoned from structure, unchecked


class Risk(StrEnum):
    """What applying could do at worst: LOW reads or adds concurrently; MEDIUM takes load or disk; HIGH removes."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


class ChangeState(StrEnum):
    """A journal row is committed in each state before the step it names begins."""

    PLANNED = "planned"
    GATED = "gated"
    RUNNING = "running"
    VERIFYING = "verifying"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    UNDONE = "undone"


class ExecutionState(StrEnum):
    """One run of a workflow. INTERRUPTED: its owner died and it was not resumed."""

    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


Aside = Literal["own", "utility", "catalogue", "elsewhere"]
"""Why a statement is set aside: it is MeshAG's, a utility, reads nothing but catalogues, or ran in another database."""
ASIDE: tuple[Aside, ...] = get_args(Aside)
"""In the order they are told in."""


class Secret:
    """A password or key that cannot be printed by accident; `reveal()` is the only way to its text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a secret cannot be pickled")


def _options(query: str) -> dict[str, str]:
    """The options of a URL, read as libpq reads them: a plus is a plus, as passwords may hold one."""
    pairs = (option.partition("=") for option in query.split("&") if option)
    return {unquote(name): unquote(value) for name, _, value in pairs}


def _service(name: str, db_type: DbType) -> dict[str, str]:
    from meshag_tui import services

    if not db_type.address.services:
        raise UsageError("Services are PostgreSQL's: write mysql://user@host:3306/database")
    return services.read(name)


KEY_MARK = "mk_"
"""What the name of who acts by an access key begins with."""
_EXAMPLES = "postgresql://user@host:5432/database or mysql://user@host:3306/database"
_SCHEMES: Mapping[str, DbType] = {scheme: kind for kind in DbType for scheme in kind.address.schemes}


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name: a socket's path, or a loopback name or address."""
    return host.startswith("/") or host in ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Target:
    """How to reach one database. `host` starting with "/" is the folder of a Unix socket."""

    db_type: DbType
    host: str
    port: int
    database: str
    user: str
    password: Secret | None = None
    tls: TlsMode = TlsMode.PREFER
    tls_ca: str | None = None
    proxy: str | None = field(default=None, repr=False)  # socks5://[user:password@]host:port

    @property
    def label(self) -> str:
        """user@host:port/database, never with the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}:{self.port}/{self.database}"

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Read `postgresql://user:password@host:port/database?sslmode=…&sslrootcert=…&host=/socket&proxy=socks5://…`.

        `mysql://` and `mariadb://` are read alike; without a database they mean all databases of the server.
        `service=NAME`, alone or as an option, takes from libpq's service file what the URL does not say. Without
        `sslmode`, TLS is verify-full except for loopback and sockets, where it is prefer.

        Raises:
            UsageError: the URL names no known engine, or a part of it or the service cannot be read. The text never
                repeats the URL.
        """
        if url.startswith("service="):
            url = f"postgresql:///?{url}"
        try:
            parts = urlsplit(url)
            port = parts.port
            options = _options(parts.query)
        except ValueError:
            raise UsageError(f"The URL cannot be read: write {_EXAMPLES}") from None
        db_type = _SCHEMES.get(parts.scheme)
        if db_type is None:
            raise UsageError(f"The URL must start with postgresql://, mysql:// or mariadb://, as in {_EXAMPLES}")
        service = options.pop("service", None)
        given: dict[str, str] = {} if service is None else _service(service, db_type)
        host = options.pop("host", None) or unquote(parts.hostname or "") or given.get("host") or "localhost"
        port_text = options.pop("port", None)
        if port_text is not None:
            if not port_text.isdigit():
                raise UsageError("The port in the URL must be a number")
            port = int(port_text)
        elif port is None and given.get("port", "").isdigit():
            port = int(given["port"])
        user = options.pop("user", None) or unquote(parts.username or "") or given.get("user", "")
        if not user:
            raise UsageError(f"The URL names no user: write {parts.scheme}://user@host:{db_type.address.port}/database")
        database = unquote(parts.path.lstrip("/")) or options.pop("dbname", "") or given.get("dbname", "")
        password = options.pop("password", None)
        if password is None:
            password = given.get("password") if parts.password is None else unquote(parts.password)
        local = is_loopback(host)
        mode = (
            options.pop("sslmode", None) or given.get("sslmode") or (TlsMode.PREFER if local else TlsMode.VERIFY_FULL)
        )
        try:
            tls = TlsMode(mode)
        except ValueError:
            raise UsageError(f"sslmode must be one of {', '.join(TlsMode)}") from None
        ca, proxy = options.pop("sslrootcert", None) or given.get("sslrootcert"), options.pop("proxy", None)
        if options:
            raise UsageError(f"Unknown option in the URL: {', '.join(sorted(options))}")
        return cls(
            db_type=db_type,
            host=host,
            port=db_type.address.port if port is None else port,
            database=database or ("" if db_type.address.whole_server else user),
            user=user,
            password=None if password is None else Secret(password),
            tls=tls,
            tls_ca=ca,
            proxy=proxy,
        )


class Window(NamedTuple):
    """A span of time, epoch ms UTC: start < t <= end."""

    start: int
    end: int

    @property
    def span_ms(self) -> int:
        return self.end - self.start


_NO_FACTS: Mapping[str, Any] = {}


class Finding(NamedTuple):
    """Something that is missing or wrong with our access, and what mends it: a doctor's row, a sync's warning."""

    code: str  # stable, e.g. "pgss-missing"
    severity: Literal["ok", "info", "degraded", "missing"]
    title: str
    detail: str
    fix: str | None = None  # exact SQL or step
    facts: Mapping[str, Any] = _NO_FACTS


WhatIfChoice = Literal["auto", "hypopg", "sandbox", "off"]
"""What prices an index that does not exist; "auto": HypoPG where the database has it, else a statistics sandbox."""
