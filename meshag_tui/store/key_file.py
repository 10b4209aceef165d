"""The file that holds the master key: mode 0600, made whole or not at all, replaced by one process at a time.

One key a line, 32 bytes in URL-safe base64; the current one first and, while a rotation is under way, the old after it.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from meshag_tui.types import MeshagError


class VaultError(MeshagError):
    """The master key cannot be used; the text says what to do."""


def new_key() -> str:
    """A fresh master key, as MESHAG_KEY and the key file hold it."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def parse(text: str, source: object) -> tuple[bytes, ...]:
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


def read(file: Path) -> tuple[bytes, ...]:
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
        return parse(opened.read(), file)


def make(file: Path) -> tuple[bytes, ...]:
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
    return read(file)


def write(file: Path, keys: Sequence[bytes]) -> None:
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
def locked(file: Path) -> Iterator[None]:
    """Only one process rotates a key file at a time."""
    lock = file.with_name(file.name + ".lock")
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
