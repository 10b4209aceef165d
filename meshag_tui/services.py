"""libpq's service files: parameters of a connection under a name, as psql knows it (`psql service=shop`).

Read when a connection is given: what a service says is taken over, and a later change of the file changes nothing here.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from pathlib import Path

from meshag_tui.types import UsageError

_TAKEN = frozenset({"host", "port", "dbname", "user", "password", "sslmode", "sslrootcert"})
# These say how to wait or what to be called: MeshAG has settings of its own for that.
_WITHOUT_MEANING = frozenset(
    {
        "application_name",
        "fallback_application_name",
        "connect_timeout",
        "client_encoding",
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
        "gssencmode",
    }
)


def files(environment: Mapping[str, str]) -> list[Path]:
    """Where services are looked for, in libpq's order: the user's file, then the system's."""
    own = environment.get("PGSERVICEFILE")
    found = [Path(own) if own else Path.home() / ".pg_service.conf"]
    folder = environment.get("PGSYSCONFDIR")
    places = [folder] if folder else ["/etc/postgresql-common", "/etc"]
    return [*found, *(Path(place) / "pg_service.conf" for place in places)]


def read(name: str, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The parameters of a service, by libpq's names.

    Raises:
        UsageError: there is no such service, its file cannot be read, or it says what MeshAG cannot follow. The text
            repeats no value.
    """
    looked = files(os.environ if environment is None else environment)
    for path in looked:
        if not path.is_file():
            continue
        parser = configparser.ConfigParser(
            interpolation=None, strict=False, delimiters=("=",), comment_prefixes=("#",), default_section=""
        )
        try:
            parser.read_string(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, configparser.Error) as error:
            raise UsageError(f"The service file {path} cannot be read ({type(error).__name__})") from None
        if parser.has_section(name):
            return _understood(name, path, dict(parser.items(name)))
    raise UsageError(f"There is no service {name}: looked in {', '.join(map(str, looked))}")


def _understood(name: str, path: Path, given: Mapping[str, str]) -> dict[str, str]:
    strange = sorted(set(given) - _TAKEN - _WITHOUT_MEANING)
    if strange:
        raise UsageError(f"Service {name} in {path} says {strange[0]}, which MeshAG cannot follow: give host and user")
    return {key: value for key, value in given.items() if key in _TAKEN}
