"""Passwords at rest: sealed with a master key that is never in the store, for one connection and nobody else.

A secret is sealed by AES-256-GCM with a nonce of its own. What is authenticated with it, though not stored beside it,
is the connection's id, whether it is the password or the proxy's, and the host, port, user, TLS and proxy it is for:
someone who edits a row of the store to point at a machine of theirs, or copies a secret to a row of theirs, gets an
error, not a password. The key of a provider of models is sealed alike, with its id and address, and the address of a
webhook with its id and place. The master key comes from MESHAG_KEY, else from the file `key` in MESHAG_HOME
(`key_file`), made with the first secret. Each holds the current key first and, while a rotation is under way, the old
ones after it.

Earlier secrets are Fernet tokens (AES-128-CBC with HMAC), with what they are for inside; they are still read, and
a rotation seals them as all others.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote, unquote

from meshag_tui.settings import Settings
from meshag_tui.store import database, key_file, models
from meshag_tui.store.key_file import VaultError, new_key
from meshag_tui.types import DbType, Secret, Target, TlsMode

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VARIABLE = "MESHAG_KEY"
_FORM = "gcm1"  # a token: this word, the key's id, nonce and ciphertext in URL-safe base64, with dots between
_NONCE_BYTES = 12
Use = Literal["password", "proxy"]
__all__ = ["VARIABLE", "NotForThisConnection", "OtherKey", "Rotated", "Vault", "VaultError", "new_key", "rotate"]


class OtherKey(VaultError):
    """The secret was sealed with a key we do not have."""


class NotForThisConnection(VaultError):
    """The secret is not for the row it stands in: another connection, server, user or TLS mode; or it is damaged."""


class _Misplaced(Exception):
    """A token does not open for what it is asked to open for."""


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
            return cls(settings.key_file, key_file.parse(text.replace(",", " "), VARIABLE), True)
        return cls(settings.key_file, key_file.read(settings.key_file), False)

    @property
    def key_id(self) -> str | None:
        """First 8 hex digits of the current key's SHA-256; None while there is no key."""
        return key_id(self._keys[0]) if self._keys else None

    def seal(self, secret: Secret, connection_id: str, target: Target, use: Use = "password") -> tuple[str, str]:
        """Encrypt `secret` for `target` as `use` of the connection; returns the token and the id of the key.

        Makes the key file if there is no key yet.
        """
        return self._seal(secret, _for(connection_id, use, target))

    def seal_provider(self, secret: Secret, provider_id: str, base_url: str) -> tuple[str, str]:
        """The same for the key of a provider of models, which opens only for this provider at this address."""
        return self._seal(secret, _for_provider(provider_id, base_url))

    def seal_channel(self, secret: Secret, channel_id: str, place: str) -> tuple[str, str]:
        """The same for the address and signing key of a webhook, which open only for this webhook at this place."""
        return self._seal(secret, _for_channel(channel_id, place))

    def _seal(self, secret: Secret, bound_to: bytes) -> tuple[str, str]:
        if not self._from_environment:  # read again: it may have been rotated since
            self._keys = key_file.read(self._file) or key_file.make(self._file)
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + _cipher(self._keys[0]).encrypt(nonce, secret.reveal().encode(), bound_to)
        current = key_id(self._keys[0])
        return f"{_FORM}.{current}.{base64.urlsafe_b64encode(sealed).decode()}", current

    def reveal(
        self, token: str, connection_id: str, target: Target, use: Use = "password", sealed_with: str | None = None
    ) -> Secret:
        """Decrypt a token that was sealed for `target` as `use` of the connection.

        `sealed_with` is its key's id as the row says it, for a better message.

        Raises:
            OtherKey: no key of ours opens it.
            NotForThisConnection: it was sealed for another connection, use, host, port, user, TLS mode, CA or proxy, or
                is damaged.
        """
        form, _, rest = token.partition(".")

        def opened() -> Secret:
            if form != _FORM:
                return self._open_fernet(token, target)
            try:
                return self._open(rest, _for(connection_id, use, target))
            except _Misplaced:
                raise _misplaced(target) from None

        return self._opened(opened, f"The password of {target.label}", sealed_with)

    def reveal_provider(
        self, token: str, provider_id: str, base_url: str, sealed_with: str | None = None, label: str = ""
    ) -> Secret:
        """Decrypt the key of a provider that was sealed for this address. Raises as `reveal` does."""

        def opened() -> Secret:
            try:
                return self._open(token.partition(".")[2], _for_provider(provider_id, base_url))
            except _Misplaced:
                raise NotForThisConnection(
                    f"The stored key of {label} is not for {base_url}, or is damaged: enter the key again"
                ) from None

        return self._opened(opened, f"The key of {label}", sealed_with)

    def reveal_channel(
        self, token: str, channel_id: str, place: str, sealed_with: str | None = None, label: str = ""
    ) -> Secret:
        """Decrypt the address and signing key of a webhook. Raises as `reveal` does."""

        def opened() -> Secret:
            try:
                return self._open(token.partition(".")[2], _for_channel(channel_id, place))
            except _Misplaced:
                raise NotForThisConnection(
                    f"The stored address of {label} is not for {place}, or is damaged: remove it and add it again"
                ) from None

        return self._opened(opened, f"The address of {label}", sealed_with)

    def _opened(self, opened: Callable[[], Secret], what: str, sealed_with: str | None) -> Secret:
        """Open a token with our keys, reading them again once: another process may have rotated them."""
        for attempt in range(2):
            try:
                return opened()
            except OtherKey:
                if attempt or self._from_environment:
                    break
                self._keys = key_file.read(self._file)
        ids = f"{sealed_with or 'unknown'}, ours: {self.key_id or 'none'}"
        raise OtherKey(
            f"{what} was sealed with another key ({ids}): set {VARIABLE} or "
            "copy the key file from where it was added, or enter it again"
        )

    def _open(self, rest: str, bound_to: bytes) -> Secret:
        from cryptography.exceptions import InvalidTag

        sealed_with, _, text = rest.partition(".")
        key = next((key for key in self._keys if key_id(key) == sealed_with), None)
        if key is None:
            raise OtherKey(sealed_with)
        try:
            sealed = base64.b64decode(text, altchars=b"-_", validate=True)
            nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            plain = _cipher(key).decrypt(nonce, ciphertext, bound_to)
        except (InvalidTag, ValueError):  # ValueError: no base64, or cut short
            raise _Misplaced from None
        return Secret(plain.decode())

    def _open_fernet(self, token: str, target: Target) -> Secret:
        from cryptography.fernet import Fernet, InvalidToken, MultiFernet

        try:
            plain = MultiFernet([Fernet(key) for key in self._keys]).decrypt(token.encode()) if self._keys else None
        except (InvalidToken, UnicodeEncodeError):
            plain = None
        if plain is None:
            raise OtherKey
        document = json.loads(plain)
        if document["for"] != _place(target):
            raise _misplaced(target)
        return Secret(document["secret"])


def key_id(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:8]


def rotate(vault: Vault, store: database.Store) -> Rotated:
    """Seal every secret with a new key, in one transaction. Blocks; not to be called from the store's thread.

    The key file holds the new and the old key until the transaction is committed, so that a kill at any point leaves
    every secret readable. A secret that no key of ours opens where it stands is left as it is and counted.

    Raises:
        VaultError: the key is in MESHAG_KEY and there is only one: we cannot change the environment.
    """
    if vault._from_environment:
        if len(vault._keys) < 2:
            raise VaultError(f"{VARIABLE} cannot be changed from here: set it to NEW,OLD and rotate again, then to NEW")
        rotated = store.run(_seal_anew, vault)
        vault._keys = vault._keys[:1]
        return rotated
    with key_file.locked(vault._file):
        keys = (new_key().encode(), *key_file.read(vault._file))
        key_file.write(vault._file, keys)
        vault._keys = keys
        rotated = store.run(_seal_anew, vault)
        # What no key opens belongs to another home; our own old keys have no secret left.
        key_file.write(vault._file, keys[:1])
        vault._keys = keys[:1]
    return rotated


def bare_target(row: Any) -> Target:
    """How a connection of the store is reached, without its passwords."""
    return Target(
        db_type=DbType(row.db_type),
        host=row.host,
        port=row.port,
        database=row.database,
        user=row.username,
        tls=TlsMode(row.tls),
        tls_ca=row.tls_ca,
        proxy=row.proxy,
    )


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


def _seal_anew(vault: Vault) -> Rotated:
    current = key_id(vault._keys[0])
    done = unreadable = 0
    connection = models.Connection
    with database.durable():
        for row in list(connection.select()):
            target, changed = bare_target(row), dict[str, Any]()
            for column, use in _COLUMNS.items():
                token = getattr(row, column)
                if token is None:
                    continue
                try:
                    secret = vault.reveal(token, row.id, target, use)
                except (OtherKey, NotForThisConnection):
                    unreadable += 1
                    continue
                changed[column], _ = vault.seal(secret, row.id, target, use)
                done += 1
            if changed:
                connection.update(secret_key_id=current, **changed).where(connection.id == row.id).execute()
        provider = models.Provider
        sealed: Any = provider.select().where(provider.secret.is_null(False))
        for each in list(sealed):
            try:
                key = vault.reveal_provider(each.secret, each.id, each.base_url, label=each.name)
            except (OtherKey, NotForThisConnection):
                unreadable += 1
                continue
            token, _ = vault.seal_provider(key, each.id, each.base_url)
            provider.update(secret=token, secret_key_id=current).where(provider.id == each.id).execute()
            done += 1
        channel = models.Channel
        for each in list(channel.select()):
            try:
                known = vault.reveal_channel(each.secret, each.id, each.place, label=each.name)
            except (OtherKey, NotForThisConnection):
                unreadable += 1
                continue
            token, _ = vault.seal_channel(known, each.id, each.place)
            channel.update(secret=token, secret_key_id=current).where(channel.id == each.id).execute()
            done += 1
    return Rotated(current, done, unreadable)


_COLUMNS: dict[str, Use] = {"secret": "password", "proxy_secret": "proxy"}


def _misplaced(target: Target) -> NotForThisConnection:
    return NotForThisConnection(
        f"The stored password is not for {target.label} with TLS {target.tls}, or is damaged: enter the password again"
    )


def _for(connection_id: str, use: Use, target: Target) -> bytes:
    """What is authenticated with a secret."""
    return json.dumps([connection_id, use, _place(target)], sort_keys=True).encode()


def _for_provider(provider_id: str, base_url: str) -> bytes:
    """The same for the key of a provider: an edited address gets an error, not the key."""
    return json.dumps([provider_id, "provider", base_url]).encode()


def _for_channel(channel_id: str, place: str) -> bytes:
    """The same for a webhook."""
    return json.dumps([channel_id, "channel", place]).encode()


def _place(target: Target) -> dict[str, Any]:
    proxy, _ = split_proxy(target.proxy)
    return {
        "host": target.host,
        "port": target.port,
        "user": target.user,
        "tls": str(target.tls),
        "tls_ca": target.tls_ca,
        "proxy": proxy,
    }


def _cipher(key: bytes) -> AESGCM:
    """AES-256-GCM with a key derived from the master key, which Fernet used as it is: none serves two ciphers."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"meshag: secrets of connections, AES-256-GCM")
    return AESGCM(derive.derive(base64.urlsafe_b64decode(key)))
