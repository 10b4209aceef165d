"""MySQL's and MariaDB's errors in the few words the engines share, each with what to do about it.

Server errors are known by their numbers, whatever language the server speaks. No text made here contains a password:
the servers never print one, and the last net is `mask_secrets`.
"""

from __future__ import annotations

import re
import ssl

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
from meshag_tui.types import Target

_LOST = (1053, 1077, 1078, 1079, 1927, 2002, 2003, 2006, 2013, 2055, 4031)
_FULL = (1040, 1203, 1226, 4161)
_NO_ENTRY = (1129, 1130)
_WRONG_PASSWORD = (1045, 1698)
_LOCKED_OUT = (1820, 1862, 3118, 4151)
_NO_PLUGIN = (1251, 1524, 2049, 2059)
_INSECURE = (1275, 3159)
_NO_RIGHT = (1044, 1045, 1142, 1143, 1227, 1345, 1356, 1370, 1410, 1683)
_LOCKED = (1205, 1213, 3058, 3572)
_TIMED_OUT = (1317, 1969, 3024)
_READ_ONLY = (1290, 1836)
_EXHAUSTED = (1037, 1041, 1135)
_SORTING = 1878
_NO_ROOM = (3, 1021, 1026, 1114, 3675, _SORTING)
_NO_SPACE = re.compile(r"No space left|(?:errno|errcode|error number|error):? 28\b", re.IGNORECASE)


def number(error: BaseException | None) -> int | None:
    """The server's (or driver's) number of an asyncmy error, also of one that we have translated."""
    if isinstance(error, EngineError):
        error = error.__cause__
    first = error.args[0] if error is not None and error.args else None
    return first if isinstance(first, int) else None


def place(target: Target) -> str:
    """host:port, or the socket."""
    return target.host if target.host.startswith("/") else f"{target.host}:{target.port}"


def connect_error(error: BaseException, target: Target, encrypted: bool) -> EngineError:
    """The error for what stopped a connect: an asyncmy error, an OSError, or the driver stumbling over what it read."""
    where = place(target)
    reason: BaseException | None = error
    while reason is not None:
        if isinstance(reason, EngineError):
            return reason
        if isinstance(reason, ssl.SSLError):
            return _tls(reason, where, target)
        if isinstance(reason, OSError):
            return _network(reason, where, target)
        reason = reason.__cause__
    code, text = number(error), _said(error)
    if code in _WRONG_PASSWORD:
        return _refused_user(where, target, text, encrypted)
    if code == 1044:
        return PermissionDenied(
            f"{target.user} has no right to any database on {where}: {text}", "Run the setup SQL for this user"
        )
    if code == 1049:
        return NoSuchDatabase(f"There is no database {target.database} on {where}", "Check the database's name")
    if code in _LOCKED_OUT:
        return AuthenticationFailed(
            f"{where} keeps {target.user} out: {text}", "Set a new password, or unlock the account"
        )
    if code in _NO_ENTRY:
        return AuthenticationFailed(
            f"{where} does not take connections from here: {text}",
            "FLUSH HOSTS;" if code == 1129 else f"Make the user for this address: CREATE USER {account(target.user)} …",
        )
    if code in _NO_PLUGIN:
        return AuthenticationFailed(
            f"{where} asks {target.user} for a kind of login we do not speak: {text}",
            "Give this user caching_sha2_password (MySQL) or mysql_native_password (MariaDB)",
        )
    if code in _INSECURE:
        return TlsFailed(
            f"{where} takes no connections without TLS: {text}", "Choose TLS mode verify-full (or require)"
        )
    if code in _FULL:
        return CannotConnect(f"{where} has no free connection: {text}", "Close sessions, or raise max_connections")
    if code in _LOST:
        return CannotConnect(f"{where} closed the connection before it answered: {text}")
    if code is None or code == 0 or code >= 2000:
        return CannotConnect(f"What answers on {where} is not a MySQL or MariaDB server: {text}", "Check the port")
    return CannotConnect(f"{where} does not let us in: {text} ({code})")


def statement_error(error: BaseException, user: str) -> EngineError:
    """The error for a statement that failed; the caller raises it from the driver's own, which keeps its number."""
    code, text = number(error), _said(error)
    if code in _NO_RIGHT:
        return PermissionDenied(f"{user} lacks a right: {text}")
    if code == 1049:
        return NoSuchDatabase(f"There is no such database: {text}", "Check the database's name")
    if code in _LOCKED:
        return LockTimeout(f"A table is locked: {text}")
    if code in _TIMED_OUT:
        return DeadlinePassed(f"The server ended the statement: {text}")
    if code in _READ_ONLY:
        return ServerFault(f"The server takes no changes here: {text} ({code})", "Connect to the primary")
    if code in _LOST or isinstance(error, OSError):
        return CannotConnect(f"The connection was lost: {text}")
    if code in _NO_ROOM or (code is not None and _NO_SPACE.search(text)):
        where = "where it sorts (innodb_tmpdir, tmpdir)" if code == _SORTING else "for its data (datadir)"
        said = f"The server has no room left {where}, as when that disk is full: {text} ({code})"
        return ServerFault(said, "Free space there, then try it again")
    if code in _FULL or code in _EXHAUSTED:
        return CannotConnect(f"The server is out of resources: {text}")
    return ServerFault(f"The server refused a statement: {text}" + (f" ({code})" if code else ""))


def quoted(name: str) -> str:
    """A name as an SQL identifier, always in backticks, which every sql_mode takes."""
    return "`" + name.replace("`", "``") + "`"


def account(user: str, host: str = "%") -> str:
    """An account as GRANT and CREATE USER name it."""
    return f"{literal(user)}@{literal(host)}"


def literal(text: str) -> str:
    """A text as an SQL string, for scripts shown to people; what is sent goes by parameters."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _said(error: BaseException) -> str:
    """One line, without secrets and without whether there was one."""
    text = str(error.args[1]) if len(error.args) > 1 else str(error) or type(error).__name__
    text = re.sub(r" ?\(using password: \w+\)", "", text)
    return mask_secrets(re.sub(r"\s*\n\s*", "; ", text.strip()))[:500]


def _refused_user(where: str, target: Target, text: str, encrypted: bool) -> EngineError:
    if target.password is None:
        return AuthenticationFailed(
            f"{where} asks for the password of {target.user}, and none is stored", "Give the password"
        )
    hint = (
        "" if encrypted else "; where the server, or the user's REQUIRE SSL, asks for TLS, choose TLS mode verify-full"
    )
    return AuthenticationFailed(
        f"{where} does not accept this user and password: {text}", f"Check user and password{hint}"
    )


def _tls(error: ssl.SSLError, where: str, target: Target) -> EngineError:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return TlsFailed(f"The TLS handshake with {where} failed: {error.reason or error}")
    why = error.verify_message
    if "mismatch" in why.lower():
        return TlsFailed(
            f"The certificate is for another host than {target.host}: {why}",
            "Connect by a name that is in the certificate, or choose TLS mode verify-ca",
        )
    what = "is not signed by a certificate authority we trust"
    if "expired" in why:
        what = "has expired"
    elif "revoked" in why:
        what = "was revoked"
    elif why in ("self-signed certificate", "self signed certificate"):
        what = "is self-signed"
    return TlsFailed(f"The certificate of {where} {what}: {why}", "Give the CA file of this server (tls_ca)")


def _network(error: OSError, where: str, target: Target) -> EngineError:
    text = error.strerror or str(error) or type(error).__name__
    if isinstance(error, ConnectionRefusedError):
        return CannotConnect(f"Nothing listens on {where}: connection refused", "Check host, port and whether it runs")
    if isinstance(error, FileNotFoundError):
        return CannotConnect(f"There is no server socket at {where}", "Give the socket file, or the folder it is in")
    if isinstance(error, PermissionError):
        return CannotConnect(f"We may not open the socket {where}: {text}", "Ask for the right to use its folder")
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return CannotConnect(f"{where} closed the connection before it answered: {text}")
    return CannotConnect(f"The network has no way to {where}: {text}")
