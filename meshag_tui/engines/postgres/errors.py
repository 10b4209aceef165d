"""libpq's and PostgreSQL's errors in the few words the engines share, each with what to do about it.

A failed connect carries no SQLSTATE in libpq, only a text; texts of other languages than English fall through to the
server's own words. No text made here contains a password: libpq never prints one, and the last net is `mask_secrets`.
"""

from __future__ import annotations

import re

import psycopg

from meshag_tui.engines.base import (
    AuthenticationFailed,
    CannotConnect,
    DeadlinePassed,
    EngineError,
    LockTimeout,
    NoSuchDatabase,
    PermissionDenied,
    ServerFault,
    TlsFailed,
)
from meshag_tui.text import mask_secrets
from meshag_tui.types import Target, TlsMode


def connect_error(said: str, target: Target) -> EngineError:
    """The error for what libpq said when it could not connect. `said` may be several lines, one an attempt."""
    text = _tidy(said)
    where = f"{target.host}:{target.port}" if not target.host.startswith("/") else f"{target.host} (port {target.port})"
    for pattern, make in _CONNECT:
        if re.search(pattern, text, re.IGNORECASE):
            return make(where, target, text)
    return CannotConnect(f"{where} cannot be connected to: {text}")


def _tidy(said: str) -> str:
    """One line, without libpq's "connection to server at …" prefix, `FATAL:` and secrets."""
    text = re.sub(r"connection to server (at|on) [^\n]*? failed: ", "", said.strip())
    text = re.sub(r"\b(FATAL|ERROR|PANIC):\s+", "", text)
    text = re.sub(r"\s*\n\s*", "; ", text)
    return mask_secrets(text)[:500]


def _tls_not_offered(where: str, target: Target, text: str) -> EngineError:
    return TlsFailed(
        f"{where} offers no TLS, and TLS mode {target.tls} asks for it",
        "Switch ssl on at the server, or choose TLS mode prefer if the line is private",
    )


def _tls_only(where: str, target: Target, text: str) -> EngineError:
    return TlsFailed(
        f"{where} takes no connections of {target.user} without TLS: {text}",
        "Choose TLS mode verify-full (or require), or add a line to pg_hba.conf",
    )


def _untrusted(where: str, target: Target, text: str) -> EngineError:
    why, fix = "is not signed by a certificate authority we trust", "Give the CA file of this server (tls_ca)"
    if "expired" in text:
        why, fix = "has expired", "Renew the server's certificate"
    elif "revoked" in text:
        why, fix = "was revoked", "Give the server another certificate, and ask why this one was revoked"
    elif text.endswith(("self-signed certificate", "self signed certificate")):
        why = "is self-signed"
    return TlsFailed(f"The certificate of {where} {why}: {text}", fix)


def _wrong_host(where: str, target: Target, text: str) -> EngineError:
    return TlsFailed(
        f"The certificate is for another host than {target.host}: {text}",
        "Connect by a name that is in the certificate",
    )


def _no_ca(where: str, target: Target, text: str) -> EngineError:
    return TlsFailed(
        f"The CA file for {where} cannot be read: {text}", "Give the path of the server's CA file (tls_ca)"
    )


def _tls_other(where: str, target: Target, text: str) -> EngineError:
    return TlsFailed(f"The TLS handshake with {where} failed: {text}")


def _no_password(where: str, target: Target, text: str) -> EngineError:
    return AuthenticationFailed(
        f"{where} asks for the password of {target.user}, and none is stored", "Give the password"
    )


def _wrong_password(where: str, target: Target, text: str) -> EngineError:
    return AuthenticationFailed(f"{where} does not accept this password for {target.user}", "Check user and password")


def _no_role(where: str, target: Target, text: str) -> EngineError:
    return AuthenticationFailed(f"There is no user {target.user} on {where}", "Make it with the setup SQL")


def _hba(where: str, target: Target, text: str) -> EngineError:
    return AuthenticationFailed(
        f"{where} does not let {target.user} in from here: {text}",
        f"Add a line for {target.user} to pg_hba.conf and reload the server",
    )


def _no_database(where: str, target: Target, text: str) -> EngineError:
    return NoSuchDatabase(f"There is no database {target.database} on {where}", "Check the database's name")


def _no_connect_right(where: str, target: Target, text: str) -> EngineError:
    return PermissionDenied(
        f"{target.user} may not connect to database {target.database}: {text}",
        f"GRANT CONNECT ON DATABASE {quoted(target.database)} TO {quoted(target.user)};",
    )


def _full(where: str, target: Target, text: str) -> EngineError:
    return CannotConnect(f"{where} has no free connection slot: {text}", "Close sessions, or raise max_connections")


def _starting(where: str, target: Target, text: str) -> EngineError:
    return CannotConnect(f"{where} is not taking connections now: {text}")


def _refused(where: str, target: Target, text: str) -> EngineError:
    return CannotConnect(f"Nothing listens on {where}: connection refused", "Check host, port and whether it runs")


def _no_socket(where: str, target: Target, text: str) -> EngineError:
    return CannotConnect(f"There is no server socket in {target.host} for port {target.port}", "Check folder and port")


def _unreachable(where: str, target: Target, text: str) -> EngineError:
    return CannotConnect(f"The network has no way to {where}: {text}")


def _not_postgres(where: str, target: Target, text: str) -> EngineError:
    return CannotConnect(f"What answers on {where} is not a PostgreSQL server: {text}", "Check the port")


def _hung_up(where: str, target: Target, text: str) -> EngineError:
    if target.tls in (TlsMode.REQUIRE, TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL):
        return CannotConnect(f"{where} closed the connection during the TLS handshake: {text}")
    return CannotConnect(f"{where} closed the connection before it answered: {text}")


_CONNECT = (
    (r"server does not support SSL", _tls_not_offered),
    (r"certificate verify failed", _untrusted),
    (r"does not match host name|could not get server's host name", _wrong_host),
    (r"root certificate file|could not read root certificate", _no_ca),
    (r"no pg_hba\.conf entry.*(no encryption|SSL off)|pg_hba\.conf rejects.*(no encryption|SSL off)", _tls_only),
    (r"no pg_hba\.conf entry|pg_hba\.conf rejects", _hba),
    (r"no password supplied", _no_password),
    (r"password authentication failed|authentication failed for user|no such user", _wrong_password),
    (r'role ".*" does not exist', _no_role),
    (r'database ".*" does not exist|no such database', _no_database),
    (
        r"permission denied for database|is not permitted to log in|not currently accepting connections",
        _no_connect_right,
    ),
    (r"too many clients|too many connections|remaining connection slots|no more connections allowed", _full),
    (r"the database system is (starting up|shutting down|not yet accepting|not accepting)|recovery mode", _starting),
    (r"connection refused", _refused),
    (r"No such file or directory", _no_socket),
    (r"no route to host|network is unreachable|network unreachable", _unreachable),
    (
        r"invalid response to SSL negotiation|expected authentication request|invalid message length|"
        r"unsupported frontend protocol|received invalid|lost synchronization|protocol version|wrong version number|"
        r"expected \w+ (message|response)|unexpected message",
        _not_postgres,
    ),
    (r"closed the connection|connection reset|broken pipe|EOF detected|could not receive data", _hung_up),
    (r"SSL|TLS", _tls_other),
)


def statement_error(error: psycopg.Error, user: str) -> EngineError:
    """The error for a statement that failed: the server's first line only, as details may carry rows' values."""
    state = error.sqlstate or ""
    text = mask_secrets((error.diag.message_primary or str(error).strip().split("\n", 1)[0] or "unknown error")[:500])
    if state == "57014" and "lock timeout" not in text:
        return DeadlinePassed(f"The server ended the statement: {text}")
    if state == "55P03":
        return LockTimeout(f"A relation is locked: {text}")
    if state == "42501":
        return PermissionDenied(f"{user} lacks a right: {text}")
    if state.startswith(("08", "57P")) or (not state and isinstance(error, psycopg.OperationalError)):
        return CannotConnect(f"The connection was lost: {text}")
    if state.startswith("53"):
        return CannotConnect(f"The server is out of resources: {text}")
    return ServerFault(f"The server refused a statement: {text}" + (f" ({state})" if state else ""))


def quoted(name: str) -> str:
    """A name as an SQL identifier, always in double quotes: for texts shown to people."""
    return '"' + name.replace('"', '""') + '"'
