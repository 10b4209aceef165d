"""Passwords at rest: sealed with a master key that is never in the store, for one server and nobody else.

A sealed secret holds, inside its authenticated ciphertext, the host, port, user, TLS and proxy it is for; someone who
edits a row of the store to point at a machine of theirs gets an error, not a password. The master key comes from
MESHAG_KEY, else from the 0600 file `key` in MESHAG_HOME, made with the first secret. Each holds the current key first
and, while a rotation is under way, the old ones after it.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

from meshag_tui.settings import Settings
from meshag_tui.store import database, models
from meshag_tui.types import MeshagError, Secret, Target

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

VARIABLE = "MESHAG_KEY"


class VaultError(MeshagError):
    """The master key cannot be used; the text says what to do."""


class OtherKey(VaultError):
    """The secret was sealed with a key we do not have, or is damaged."""


class NotForThisConnection(VaultError):
    """The secret belongs to another server, user or TLS mode than the row it stands in."""


class Rotated(NamedTuple):
    """`key_id` of the new key, how many secrets were sealed anew, and how many no key of ours opens."""

    key_id: str
    secrets: int
    unreadable: int


class Vault:
    """The master keys in use. Never prints them."""

    def __init__(self, file: Path, keys: Sequence[bytes], from_environment: bool) -> None:
        self._file = file
        self._keys = tuple(keys)
        self._from_environment = from_environment

    def __repr__(self) -> str:
        return f"<Vault {self.key_id or 'without a key'}>"

    @classmethod
    def open(cls, settings: Settings, environment: Mapping[str, str] | None = None) -> Vault:
        """Read the master key; there need not be one yet.

        Raises:
            VaultError: the variable or file holds no key, or others may read or replace the file.
        """
        text = (os.environ if environment is None else environment).get(VARIABLE)
        if text:
            return cls(settings.key_file, _parse(text.replace(",", " "), VARIABLE), True)
        return cls(settings.key_file, _read(settings.key_file), False)

    @property
    def key_id(self) -> str | None:
        """First 8 hex digits of the current key's SHA-256; None while there is no key."""
        return key_id(self._keys[0]) if self._keys else None

    def seal(self, secret: Secret, target: Target) -> tuple[str, str]:
        """Encrypt `secret` for `target`; returns the token and the id of the key.

        Makes the key file if there is no key yet.
        """
        if not self._from_environment:
            self._keys = _read(self._file) or _make(self._file)  # read again: it may have been rotated since
        plain = json.dumps({"secret": secret.reveal(), "for": _binding(target)}).encode()
        return _fernet(self._keys).encrypt(plain).decode(), key_id(self._keys[0])

    def reveal(self, token: str, target: Target, sealed_with: str | None = None) -> Secret:
        """Decrypt a token that was sealed for `target`; `sealed_with` is its key id, for a better message.

        Raises:
            OtherKey: no key of ours opens it.
            NotForThisConnection: it was sealed for another host, port, user, TLS mode, CA or proxy.
        """
        plain = self._open(token)
        if plain is None:
            ids = f"{sealed_with or 'unknown'}, ours: {self.key_id or 'none'}"
            raise OtherKey(
                f"The password of {target.label} was sealed with another key ({ids}): set {VARIABLE} or "
                "copy the key file from where it was added, or enter the password again"
            )
        document = json.loads(plain)
        if document["for"] != _binding(target):
            raise NotForThisConnection(
                f"The stored password is not for {target.label} with TLS {target.tls}: enter the password again"
            )
        return Secret(document["secret"])

    def _open(self, token: str) -> bytes | None:
        for attempt in range(2):
            if self._keys:
                from cryptography.fernet import InvalidToken

                try:
                    return _fernet(self._keys).decrypt(token.encode())
                except (InvalidToken, UnicodeEncodeError):
                    pass
            if attempt or self._from_environment:
                break
            self._keys = _read(self._file)  # another process may have rotated it
        return None


def new_key() -> str:
    """A fresh master key, as MESHAG_KEY and the key file hold it."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def key_id(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:8]


def rotate(vault: Vault, store: database.Store) -> Rotated:
    """Seal every secret with a new key, in one transaction. Blocks; not to be called from the store's thread.

    The key file holds the new and the old key until the transaction is committed, so that a kill at any point leaves
    every secret readable. A secret no key of ours opens is left as it is and counted.

    Raises:
        VaultError: the key is in MESHAG_KEY and there is only one: we cannot change the environment.
    """
    if vault._from_environment:
        if len(vault._keys) < 2:
            raise VaultError(f"{VARIABLE} cannot be changed from here: set it to NEW,OLD and rotate again, then to NEW")
        rotated = store.run(_seal_anew, vault._keys)
        vault._keys = vault._keys[:1]
        return rotated
    with _locked(vault._file):
        old = _read(vault._file)
        keys = (new_key().encode(), *old)
        _write(vault._file, keys)
        rotated = store.run(_seal_anew, keys)
        # What no key opens belongs to another home; our own old keys have no secret left.
        _write(vault._file, keys[:1])
        vault._keys = keys[:1]
    return rotated


def split_proxy(proxy: str | None) -> tuple[str | None, Secret | None]:
    """A proxy's URL without its password, and the password.

    Split by hand: a password with an unquoted # or / in it must not pass for a part of the URL that may be stored.
    """
    if proxy is None:
        return None, None
    scheme, separator, rest = proxy.partition("://")
    user, at, place = rest.rpartition("@")
    name, colon, password = user.partition(":")
    if not colon:
        return proxy, None
    return f"{scheme}{separator}{name}{at}{place}", Secret(unquote(password))


def join_proxy(proxy: str, password: Secret) -> str:
    """A proxy's URL with its password put back; only for a Target in memory."""
    scheme, _, rest = proxy.partition("://")
    user, _, place = rest.rpartition("@")
    return f"{scheme}://{user}:{quote(password.reveal(), safe='')}@{place}"


def _seal_anew(keys: Sequence[bytes]) -> Rotated:
    from cryptography.fernet import InvalidToken

    fernet, current = _fernet(keys), key_id(keys[0])
    done = unreadable = 0
    connection = models.Connection
    with database.durable():
        for row in list(connection.select(connection.id, connection.secret, connection.proxy_secret)):
            changed: dict[str, Any] = {}
            for column in ("secret", "proxy_secret"):
                token = getattr(row, column)
                if token is None:
                    continue
                try:
                    changed[column] = fernet.rotate(token.encode()).decode()
                    done += 1
                except InvalidToken:
                    unreadable += 1
            if changed:
                connection.update(secret_key_id=current, **changed).where(connection.id == row.id).execute()
    return Rotated(current, done, unreadable)


def _binding(target: Target) -> dict[str, Any]:
    proxy, _ = split_proxy(target.proxy)
    return {
        "host": target.host,
        "port": target.port,
        "user": target.user,
        "tls": str(target.tls),
        "tls_ca": target.tls_ca,
        "proxy": proxy,
    }


def _fernet(keys: Sequence[bytes]) -> MultiFernet:
    from cryptography.fernet import Fernet, MultiFernet

    return MultiFernet([Fernet(key) for key in keys])


def _parse(text: str, source: object) -> tuple[bytes, ...]:
    keys = tuple(word.encode() for word in text.split())
    for key in keys:
        try:
            whole = len(base64.urlsafe_b64decode(key)) == 32
        except (binascii.Error, ValueError):
            whole = False
        if not whole:
            raise VaultError(f"{source} holds no master key: it must be 32 bytes in URL-safe base64")
    if not keys:
        raise VaultError(f"{source} is empty: restore the key from a backup, or delete it and enter passwords again")
    return keys


def _read(file: Path) -> tuple[bytes, ...]:
    """The keys of the file; none if there is no file."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise VaultError(f"The key file {file} cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as opened:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise VaultError(f"The key file {file} is not a plain file")
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise VaultError(f"Others may read the key file: chmod 600 {file}")
        if found.st_uid not in (os.geteuid(), 0):
            raise VaultError(f"The key file {file} belongs to another user")
        if file.parent.stat().st_mode & 0o022:
            raise VaultError(f"Others may replace the key file: chmod 700 {file.parent}")
        return _parse(opened.read(), file)


def _make(file: Path) -> tuple[bytes, ...]:
    """Create the key file with a new key, unless another process was first: then take that one.

    It appears under its name only when it is whole: `link` refuses to replace a file.
    """
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        _write_part(part, (new_key().encode(),))
        try:
            os.link(part, file)
        except FileExistsError:
            pass
        finally:
            part.unlink()
        _sync_folder(file.parent)
    except OSError as error:
        raise VaultError(f"The key file {file} cannot be written: {error.strerror}") from None
    return _read(file)


def _write(file: Path, keys: Sequence[bytes]) -> None:
    """Put `keys` in the place of the file's, whole or not at all."""
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        _write_part(part, keys)
        os.replace(part, file)
        _sync_folder(file.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise VaultError(f"The key file {file} cannot be written: {error.strerror}") from None


def _write_part(part: Path, keys: Sequence[bytes]) -> None:
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as opened:
        opened.write(b"\n".join(keys) + b"\n")
        opened.flush()
        os.fsync(opened.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Only one process rotates a key file at a time."""
    lock = file.with_name(file.name + ".lock")
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
