"""The fields of a connection, and what they make together: a `Target` and how it is to be read. No widgets here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from meshag_tui.engines import KINDS, words_for
from meshag_tui.store.connections import STAGES
from meshag_tui.types import DbType, Secret, Target, TlsMode, UsageError
from meshag_tui.widgets.form import Field, whole_number

if TYPE_CHECKING:
    from meshag_tui.store.connections import ConnectionInfo

_YES_NO = ("no", "yes")
_SLOW_BY = ("mean", "mean or one call")
_NO_STAGE = "not said"
_PROXY_SCHEMES = ("socks5", "socks5h")


@dataclass(frozen=True)
class Wanted:
    """What the form asks for: how to reach it, and how to treat it."""

    name: str
    target: Target
    interval_s: int | None
    slow_ms: float | None
    slow_by_longest: bool
    other_databases: bool  # their statements are kept, too
    read_only: bool
    undo_worse: bool
    no_cloud: bool  # of the whole project
    stage: str | None  # what it is for


def fields(taken: Collection[str], info: ConnectionInfo | None = None) -> tuple[Field, ...]:
    """The form's fields, filled from a saved connection when one is edited; `taken` are the names of the others."""

    def free(name: str) -> str | None:
        return "another connection has this name" if name.strip() in taken else None

    engine = next(name for name, kind in KINDS.items() if info is None or kind is info.db_type)
    words = words_for(KINDS[engine])
    interval_s, slow_ms = (None, None) if info is None else (info.interval_s, info.slow_ms)
    port = str(KINDS[engine].address.port if info is None else info.port)
    saved = info is not None and info.has_password
    return (
        Field("url", "URL", hint=words.url, check=_url),
        Field("name", "Name", "" if info is None else info.name, required=True, check=free),
        Field("engine", "Engine", engine, choices=tuple(KINDS)),
        Field("host", "Host", "" if info is None else info.host, required=True, hint="name, address or socket folder"),
        Field("port", "Port", port, required=True, check=whole_number(1, 65_535)),
        database_field(KINDS[engine], "" if info is None else info.database),
        Field("user", "User", "" if info is None else info.username, required=True),
        Field("password", "Password", kind="password", hint="unchanged" if saved else f"empty: {words.keyless}"),
        Field("tls", "TLS", TlsMode.PREFER if info is None else info.tls, choices=tuple(TlsMode)),
        Field("tls_ca", "CA file", (info and info.tls_ca) or "", hint="for verify-ca, verify-full", check=_file),
        Field("proxy", "Proxy", (info and info.proxy) or "", hint="socks5://host:1080", check=_proxy),
        Field(
            "interval_s",
            "Sync every (s)",
            _number(interval_s),
            check=whole_number(1, 86_400),
        ),
        Field("slow_ms", "Slow from (ms)", _number(slow_ms), check=_positive),
        Field("read_only", "Never change it", _YES_NO[bool(info and info.read_only)], choices=_YES_NO),
        *(
            []
            if info is None
            else [
                Field("slow_by", "Slow by", _SLOW_BY[info.slow_by_longest], choices=_SLOW_BY),
                Field("other_databases", "Other databases", _YES_NO[info.other_databases], choices=_YES_NO),
                Field("undo_worse", "Undo what is worse", _YES_NO[info.undo_worse], choices=_YES_NO),
                Field("no_cloud", "Only local models", _YES_NO[info.no_cloud], choices=_YES_NO),
                Field("stage", "Stage", info.stage or _NO_STAGE, choices=(_NO_STAGE, *STAGES)),
            ]
        ),
    )


def database_field(db_type: DbType, value: str = "") -> Field:
    """The field of the database, which some engines let be left empty."""
    empty = db_type.address.whole_server
    hint = "empty: all databases of the server" if empty else ""
    return Field("database", "Database", value, hint=hint, required=not empty)


def other_port(port: str, db_type: DbType) -> str:
    """The port after another engine was chosen: its usual one, unless an unusual one was given."""
    usual = {str(kind.address.port) for kind in DbType}
    return str(db_type.address.port) if port.strip() in usual else port


def wanted(values: Mapping[str, str]) -> Wanted:
    """What the values of the fields ask for; they were checked one by one.

    Raises:
        UsageError: they do not fit together.
    """
    given = {name: value.strip() for name, value in values.items() if name != "password"}
    tls = TlsMode(given["tls"])
    if tls is TlsMode.DISABLE and given["tls_ca"]:
        raise UsageError("A CA file is of no use with TLS mode disable")
    password = values["password"]
    target = Target(
        db_type=KINDS[given["engine"]],
        host=given["host"],
        port=int(given["port"]),
        database=given["database"],
        user=given["user"],
        password=Secret(password) if password else None,
        tls=tls,
        tls_ca=str(Path(given["tls_ca"]).expanduser()) if given["tls_ca"] else None,
        proxy=given["proxy"] or None,
    )
    return Wanted(
        name=given["name"],
        target=target,
        interval_s=int(given["interval_s"]) if given["interval_s"] else None,
        slow_ms=float(given["slow_ms"]) if given["slow_ms"] else None,
        slow_by_longest=given.get("slow_by") == _SLOW_BY[True],
        other_databases=given.get("other_databases") == "yes",
        read_only=given["read_only"] == "yes",
        undo_worse=given.get("undo_worse") == "yes",
        no_cloud=given.get("no_cloud") == "yes",
        stage=stage if (stage := given.get("stage")) in STAGES else None,
    )


def from_url(url: str, name: str) -> dict[str, str]:
    """The values a URL fills in; the name only if there is none yet. UsageError if it cannot be read."""
    target = Target.from_url(url.strip())
    engine = next(known for known, kind in KINDS.items() if kind is target.db_type)
    values: dict[str, Any] = {
        "engine": engine,
        "host": target.host,
        "port": str(target.port),
        "database": target.database,
        "user": target.user,
        "tls": str(target.tls),
        "tls_ca": target.tls_ca or "",
        "proxy": target.proxy or "",
    }
    if target.password is not None:
        values["password"] = target.password.reveal()
    if not name.strip():
        database = target.database or target.db_type.label.lower()
        values["name"] = database if target.host.startswith("/") else f"{database}@{target.host}"
    return values


def reaches_elsewhere(target: Target, info: ConnectionInfo) -> bool:
    """Whether a saved password must not be sent along: it was given for another server or user."""
    return (target.host, target.port, target.user) != (info.host, info.port, info.username)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _url(text: str) -> str | None:
    try:
        from_url(text, "")
    except UsageError as error:
        return str(error)
    return None


def _file(text: str) -> str | None:
    path = Path(text.strip()).expanduser()
    return None if path.is_file() else "there is no such file"


def _proxy(text: str) -> str | None:
    try:
        parts = urlsplit(text.strip())
        good = parts.scheme in _PROXY_SCHEMES and parts.hostname and parts.port
    except ValueError:
        good = None
    return None if good else "write socks5://host:1080, or socks5://user:password@host:1080"


def _positive(text: str) -> str | None:
    try:
        return None if 0 < float(text) <= 86_400_000 else "a number of milliseconds above 0"
    except ValueError:
        return "a number of milliseconds"
