"""Where a store lives: reading its URL, and the file of an SQLite store: its permissions, health and copies.

A store holds what a company runs on its databases and how to reach them: the file is 0600, and a place where others
could replace it is refused. Nothing in here ever deletes a store: what is damaged or replaced is set aside.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from time import gmtime, strftime
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from meshag_tui.types import MeshagError, Secret, UsageError

_HEADER = b"SQLite format 3\0"
_SIDE_FILES = ("-wal", "-shm", "-journal")
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs"})
_DAMAGE = ("malformed", "not a database", "disk i/o error", "database corruption")
KEPT_BACKUPS = 5
_SEAL = ".sha256"
_SPARE = 16 * 2**20
MOST_LOG = 256 * 2**20
"""Bytes of a write-ahead log that no single sync fills: more is there because somebody keeps reading an old state."""


class StoreRefused(MeshagError):
    """This place cannot hold a store, or what is there is not one; the text says what to do."""


class StoreDamaged(MeshagError):
    """The file is an SQLite store that can no longer be read whole."""


class Location(NamedTuple):
    """A store's URL, read. `conninfo`, of PostgreSQL, holds the password."""

    kind: Literal["sqlite", "postgresql"]
    label: str
    path: Path | None = None
    conninfo: Secret | None = None


def locate(url: str) -> Location:
    """Read `sqlite:///relative.db`, `sqlite:////absolute.db`, a bare path, or `postgresql://user@host:port/database`.

    Raises:
        UsageError: it is none of them.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return _file(url)
    if scheme == "sqlite":
        if not rest.startswith("/") or rest in ("/", "/:memory:"):
            raise UsageError("An SQLite store is a file: write sqlite:////home/me/meshag.db")
        return _file(unquote(rest[1:]))
    if scheme not in ("postgresql", "postgres"):
        raise UsageError("The store must be a file path, sqlite:///path or postgresql://user@host:5432/database")
    try:
        parts = urlsplit(url)
        host = parts.hostname or "localhost"
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise UsageError("The store's URL cannot be read: write postgresql://user@host:5432/database") from None
    user = f"{unquote(parts.username)}@" if parts.username else ""
    label = f"postgresql://{user}{f'[{host}]' if ':' in host else host}{port}{parts.path}"
    return Location("postgresql", label, conninfo=Secret("postgresql://" + rest))


def prepare(path: Path) -> tuple[str, ...]:
    """Make sure `path` can be an SQLite store of ours, create it 0600 if it is not there, and return warnings.

    Raises:
        StoreRefused: a folder, a device, another program's file, another user's file, or a folder others may write.
        StoreDamaged: the file is empty though a write-ahead log stands beside it.
    """
    try:
        real = path.resolve()
        folder = real.parent.stat()
    except (OSError, RuntimeError):
        raise StoreRefused(
            f"The folder of the store {path} does not exist: create it or choose another place"
        ) from None
    if not stat.S_ISDIR(folder.st_mode):
        raise StoreRefused(f"The store {path} cannot be made: {real.parent} is not a folder")
    if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        raise StoreRefused(f"Everybody may write to {real.parent}, the store's folder: chmod o-w {real.parent}")
    warnings = _network_warning(real)
    try:
        found = real.stat()
    except FileNotFoundError:
        _create(path, real)
        return warnings
    except OSError as error:
        raise StoreRefused(f"The store {path} cannot be opened: {error.strerror}") from None
    if stat.S_ISDIR(found.st_mode):
        raise StoreRefused(f"The store {path} is a folder: name a file in it, such as {path / 'meshag.db'}")
    if not stat.S_ISREG(found.st_mode):
        raise StoreRefused(f"The store {path} is not a plain file: choose another")
    if found.st_uid != os.geteuid() and os.geteuid() != 0:
        raise StoreRefused(f"The store {path} belongs to another user: choose another with --store")
    if not found.st_size and os.access(real, os.R_OK | os.W_OK):
        _create(path, real)  # another process is about to, or ended before it had
    _check_header(path, real, real.stat().st_size)
    if not os.access(real, os.R_OK | os.W_OK) or not os.access(real.parent, os.W_OK):
        raise StoreRefused(f"The store {path} or its folder is read-only: mend its permissions or choose another")
    _refuse_foreign(path, real)
    for file in (real, *(real.with_name(real.name + suffix) for suffix in _SIDE_FILES)):
        if _mode(file) & 0o077:
            file.chmod(0o600)
    return warnings


def check(connection: Any, path: Path) -> None:
    """After an unclean end (a write-ahead log was left), look through the whole file before trusting it.

    Raises:
        StoreDamaged: SQLite finds faults in it.
    """
    wal = path.with_name(path.name + "-wal")
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if wal.exists() and wal.stat().st_size:
        faults = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
        if faults != ["ok"]:
            raise StoreDamaged(_damaged(path, faults[0]))


def backup(connection: Callable[[], Any], path: Path, to: Path | None) -> Path:
    """Copy the whole store to `to`, or beside it under a dated name (of which the last few are kept); 0600.

    The copy is checked before it is called a backup.

    Raises:
        MeshagError: the copy cannot be written or is not whole.
    """
    dated = to is None
    to, part = _begun(to or path.with_name(f"{path.name}.backup-{stamp()}"), dated)
    try:
        copy = sqlite3.connect(part, isolation_level=None)
        try:
            connection().backup(copy)
            copy.execute("PRAGMA journal_mode = delete")
            if copy.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise MeshagError(f"The backup {to} is not whole: the store itself is damaged")
        finally:
            copy.close()
        os.replace(part, to)
    except (OSError, sqlite3.Error) as error:
        raise MeshagError(f"The backup {to} cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    if dated:
        for old in sorted(path.parent.glob(f"{path.name}.backup-*"), key=_age)[:-KEPT_BACKUPS]:
            old.unlink(missing_ok=True)
    return to


def _begun(to: Path, dated: bool) -> tuple[Path, Path]:
    """Where a copy goes, and the file made for it until it is whole; another process may copy in the same second."""
    while True:
        name = free_name(to) if dated else to
        try:
            os.close(os.open(_part(name), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError as error:
            if not (dated and isinstance(error, FileExistsError)):
                raise MeshagError(f"The backup {to} cannot be written: {error}") from error
        else:
            return name, _part(name)


def _part(whole: Path) -> Path:
    return whole.with_name(whole.name + ".part")


def backup_beside(path: Path, folder: Path, keep: int) -> Path:
    """Copy a store that is in use into `folder` (made 0700) over a connection of its own, so that nobody waits, and
    write the copy's SHA-256 beside it; of those made so the newest `keep` stay. Blocks.

    Raises:
        MeshagError: there is no room for it, it cannot be written, or it is not whole.
    """
    import shutil

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        free, needed = shutil.disk_usage(folder).free, path.stat().st_size
    except OSError as error:
        raise MeshagError(f"No backup: {folder} cannot be used: {error.strerror}") from None
    if free < needed + _SPARE:
        raise MeshagError(
            f"No backup: {folder} has {free / 2**20:,.0f} MB free, and the store takes {needed / 2**20:,.0f} MB: "
            "make room, or name another folder in [backup]"
        )
    source = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        made = backup(lambda: source, path, free_name(folder / f"{path.name}.{stamp()}"))
    finally:
        source.close()
    seal(made)
    mine = sorted(folder.glob(f"{path.name}.*{_SEAL}"), key=_age)
    for old in mine[:-keep]:
        old.with_name(old.name.removesuffix(_SEAL)).unlink(missing_ok=True)
        old.unlink()
    return made


def seal(copy: Path) -> None:
    """Write the SHA-256 of a copy beside it, as `sha256sum --check` reads it; `restore` looks at it."""
    seal = copy.with_name(copy.name + _SEAL)
    with os.fdopen(os.open(seal, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
        file.write(f"{_digest(copy)}  {copy.name}\n")


def _digest(copy: Path) -> str:
    import hashlib

    with open(copy, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def set_aside(path: Path, why: str) -> Path | None:
    """Move the store's files to a dated name (`why` in it) so that a fresh one can be made; None if there were none.

    Raises:
        MeshagError: another process has the store open, and would go on writing to the file that was moved.
    """
    if path.is_dir():
        raise StoreRefused(f"The store {path} is a folder: name a file in it, such as {path / 'meshag.db'}")
    _refuse_in_use(path)
    to = free_name(path.with_name(f"{path.name}.{why}-{stamp()}"))
    moved = None
    for suffix in (*_SIDE_FILES, ""):  # the log first: alone, the main file would look complete
        file = path.with_name(path.name + suffix)
        if file.exists():
            try:
                file.rename(to.with_name(to.name + suffix))
            except OSError as error:
                raise MeshagError(f"The store {path} cannot be set aside: {error.strerror}") from None
            moved = to
    return moved


def restore(path: Path, source: Path) -> Path | None:
    """Put the backup `source` in the place of the store, which must be closed, and return where the old one went.

    Raises:
        MeshagError: `source` is not a whole SQLite store, or another process has ours open.
    """
    _refuse_in_use(path)
    try:
        with open(source, "rb") as file:
            if file.read(len(_HEADER)) != _HEADER:
                raise MeshagError(f"{source} is not a backup of a store")
        seal = source.with_name(source.name + _SEAL)
        if seal.is_file() and seal.read_text().partition(" ")[0] != _digest(source):
            raise MeshagError(f"The backup {source} is not as it was written ({seal.name}): choose another")
        connection = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
        try:
            connection.execute("SELECT count(*) FROM schema_migration").fetchone()
            if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise MeshagError(f"The backup {source} is damaged: choose another")
            part = path.with_name(path.name + ".part")
            part.unlink(missing_ok=True)
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            copy = sqlite3.connect(part, isolation_level=None)
            try:
                connection.backup(copy)
            finally:
                copy.close()
        finally:
            connection.close()
    except (OSError, sqlite3.Error) as error:
        raise MeshagError(f"The backup {source} cannot be restored: {error}") from error
    old = set_aside(path, "before-restore")
    os.replace(part, path)
    return old


def kept_log(path: Path) -> str | None:
    """Says so if the store's write-ahead log cannot be taken in and grows, with what mends it."""
    try:
        log = path.with_name(f"{path.name}-wal").stat().st_size
    except OSError:
        return None
    if log <= MOST_LOG:
        return None
    return f"Its write-ahead log has grown to {log / 2**20:,.0f} MB: another program has been reading {path} for long"


def is_damage(error: Exception) -> bool:
    """Whether SQLite says that the file itself is broken."""
    text = str(error).lower()
    return any(word in text for word in _DAMAGE)


def explain(path: Path, error: Exception, reason: str) -> str:
    """One line about an SQLite failure that says what to do."""
    text = reason.lower()
    if is_damage(error):
        return _damaged(path, reason)
    if "full" in text:
        return f"The disk of the store {path} is full: make room, nothing was lost"
    if "locked" in text or "busy" in text:
        return f"The store {path} is held by another program for too long: close it and try again"
    if "readonly" in text or "unable to open" in text:
        return f"The store {path} cannot be written: mend the permissions of it and its folder"
    return f"The store {path} cannot be used: {reason}"


def _refuse_in_use(path: Path) -> None:
    """SQLite leaves write-ahead mode only when nobody else has the file open."""
    if not path.is_file() or path.stat().st_size == 0:
        return
    connection = sqlite3.connect(path, isolation_level=None, timeout=0.2)
    try:
        connection.execute("PRAGMA journal_mode = delete")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise MeshagError(f"Another program has the store {path} open: close it and try again") from None
    except sqlite3.DatabaseError:
        pass  # damaged: that is why it is being replaced
    finally:
        connection.close()


def _age(path: Path) -> int:
    return path.stat().st_mtime_ns


def _damaged(path: Path, reason: str) -> str:
    return (
        f"The store {path} is damaged ({reason}): `meshag store restore FILE` puts a backup in its place, "
        "`meshag store reset` sets it aside and starts afresh"
    )


def _file(text: str) -> Location:
    path = Path(text).expanduser().absolute()
    return Location("sqlite", f"sqlite:///{path}", path=path)


def _create(path: Path, real: Path) -> None:
    """Make an empty store; of several processes at once the first does, and the others wait until it has."""
    # SQLite gives its side files the mode of the main file, so the mode is right before it opens anything.
    try:
        descriptor = os.open(real, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StoreRefused(f"The store {path} cannot be made: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # SQLite's own locks are of another kind
        if os.fstat(descriptor).st_size or real.with_name(real.name + "-wal").exists():
            return
        connection = sqlite3.connect(real, isolation_level=None, timeout=10)
        try:
            # Only a file without tables can learn to give pages back.
            connection.executescript("PRAGMA auto_vacuum = incremental; PRAGMA journal_mode = wal")
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        raise StoreRefused(f"The store {path} cannot be made: {error}") from None
    finally:
        os.close(descriptor)


def _check_header(path: Path, real: Path, size: int) -> None:
    if size == 0:
        wal = real.with_name(real.name + "-wal")
        if wal.exists() and wal.stat().st_size:
            raise StoreDamaged(_damaged(path, "the file is empty, only its log is left"))
        return
    try:
        with open(real, "rb") as file:
            header = file.read(len(_HEADER))
    except OSError as error:
        raise StoreRefused(f"The store {path} cannot be read: {error.strerror}") from None
    if header != _HEADER:
        if any(real.with_name(real.name + suffix).exists() for suffix in _SIDE_FILES) or real.suffix == ".db":
            raise StoreDamaged(_damaged(path, "it does not begin as an SQLite file"))
        raise StoreRefused(f"{path} is not a store of MeshAG: choose another file")


def _mode(file: Path) -> int:
    """Its permissions; 0 if it is not there: another process may remove a side file at any time."""
    try:
        return stat.S_IMODE(file.stat().st_mode)
    except FileNotFoundError:
        return 0


def _refuse_foreign(path: Path, real: Path) -> None:
    """Look into the file without changing anything: opening it for work would turn on its write-ahead log."""
    if real.stat().st_size == 0:
        return
    connection = sqlite3.connect(f"{real.as_uri()}?mode=ro", uri=True, timeout=10)
    try:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            raise StoreDamaged(_damaged(path, str(error))) from error
        return  # whatever it is, opening it will say
    except UnicodeDecodeError as error:
        raise StoreDamaged(_damaged(path, "a name in its schema is no text")) from error
    finally:
        connection.close()
    if tables and "schema_migration" not in tables:
        raise StoreRefused(f"{path} is the database of another program: choose another with --store")


def _network_warning(path: Path) -> tuple[str, ...]:
    """SQLite's write-ahead log needs shared memory, which file systems over a network do not give."""
    try:
        mounts = [line.split(" ")[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except (OSError, IndexError):
        return ()  # not Linux: nothing is known
    above = {str(path), *map(str, path.parents)}
    best = max(
        (mount for mount in mounts if mount[0].replace("\\040", " ") in above),
        key=lambda mount: len(mount[0]),
        default=["/", ""],
    )
    if best[1] in _NETWORK:
        return (f"The store {path} lies on a network file system ({best[1]}): SQLite may lose data there",)
    return ()


def stamp() -> str:
    """The time as it stands in names of copies, UTC."""
    return strftime("%Y%m%dT%H%M%SZ", gmtime())


def free_name(path: Path) -> Path:
    """`path`, or with a number after it if there is such a file, or one that is being written."""
    free, number = path, 1
    while free.exists() or _part(free).exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free
