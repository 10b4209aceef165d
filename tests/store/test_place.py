"""Where a store may live, what happens when its file is damaged, and copies of it."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from meshag_tui.settings import Settings
from meshag_tui.store import connections, copies, models, place, schema, seed
from meshag_tui.store.database import Store, StoreUnavailable
from meshag_tui.store.vault import Vault
from meshag_tui.types import MeshagError, Target, UsageError

TARGET = Target.from_url("postgresql://watcher:geheim@db.example/shop")


def _url(path: Path) -> str:
    return f"sqlite:///{path}"


def _vault(folder: Path) -> Vault:
    return Vault.open(Settings(home=folder, store_url=""), {})


def _fill(path: Path, names: int = 3) -> None:
    """A store with connections and enough rows to span many pages."""
    store = Store.open(_url(path))
    vault = _vault(path.parent)
    for number in range(names):
        store.run(connections.add, f"db{number}", TARGET, vault)
    store.run(lambda: [models.Setting.create(key=f"k{n}", value="x" * 2000) for n in range(60)])
    store.close()


def test_who_opens_what_another_is_about_to_make_waits_and_it_can_give_pages_back(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.touch(0o600)  # as one does that is killed, or is only about to go on
    with path.open("r+b") as made:
        fcntl.flock(made, fcntl.LOCK_EX)
        script = "import sys\nfrom meshag_tui.store.database import Store\nStore.open(sys.argv[1]).close()"
        opener = subprocess.Popen([sys.executable, "-c", script, _url(path)])
        with pytest.raises(subprocess.TimeoutExpired):
            opener.wait(2)
        assert not path.stat().st_size
    assert opener.wait(60) == 0
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    ("url", "kind", "label"),
    [
        ("/var/x.db", "sqlite", "sqlite:////var/x.db"),
        ("sqlite:////var/x%20y.db", "sqlite", "sqlite:////var/x y.db"),
        ("postgresql://me:secret@db:5433/store?sslmode=require", "postgresql", "postgresql://me@db:5433/store"),
        ("postgres://db/store", "postgresql", "postgresql://db/store"),
        ("postgresql://me@[::1]/store", "postgresql", "postgresql://me@[::1]/store"),
    ],
)
def test_urls(url: str, kind: str, label: str) -> None:
    found = place.locate(url)
    assert (found.kind, found.label) == (kind, label)
    assert "secret" not in repr(found)


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "sqlite:///:memory:", "postgresql://h:port/x"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(UsageError):
        place.locate(url)


def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        store = Store.open(_url(tmp_path / "store.db"))
        store.run(lambda: models.Setting.create(key="a", value=1))
        files = sorted(path.name for path in tmp_path.iterdir())
        modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        backup = store.backup()
        store.close()
    finally:
        os.umask(old)
    assert files == ["store.db", "store.db-shm", "store.db-wal"]
    assert modes == {0o600} == {stat.S_IMODE(backup.stat().st_mode)}
    (tmp_path / "store.db").chmod(0o644)
    Store.open(_url(tmp_path / "store.db")).close()
    assert stat.S_IMODE((tmp_path / "store.db").stat().st_mode) == 0o600


def test_places_that_cannot_be_a_store_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.sqlite"
    sqlite3.connect(foreign).execute("CREATE TABLE t(a)").connection.close()
    text = tmp_path / "notes.txt"
    text.write_text("not a database, and not to be touched")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    links = {"to-etc": "/etc", "to-passwd": "/etc/passwd", "to-null": "/dev/null", "loop": "loop"}
    for name, to in links.items():
        (tmp_path / name).symlink_to(to)
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    before = text.read_bytes(), foreign.read_bytes()
    for path, says in (
        (tmp_path / "missing" / "store.db", "does not exist"),
        (tmp_path, "is a folder"),
        (tmp_path / "to-etc", "is a folder"),
        (tmp_path / "to-passwd", "not a store"),
        (tmp_path / "to-null", "not a plain file"),
        (tmp_path / "loop", "cannot be opened|does not exist"),
        (fifo, "not a plain file"),
        (text, "not a store"),
        (text / "store.db", "not a folder|does not exist"),
        (foreign, "another program"),
        (open_folder / "store.db", "chmod o-w"),
    ):
        with pytest.raises(MeshagError, match=says) as error:
            Store.open(_url(path))
        assert "\n" not in str(error.value)
    assert (text.read_bytes(), foreign.read_bytes()) == before
    assert Path("/etc/passwd").stat().st_size > 0


def test_read_only_place_is_refused(short_tmp: Path) -> None:
    """As a user: to root nothing is read-only."""
    folder = short_tmp / "folder"
    folder.mkdir()
    _fill(folder / "store.db", 1)
    script = (
        "import os, sys\nfrom meshag_tui.store import place\nfrom pathlib import Path\n"
        "os.getuid() or os.setuid(65534)\nplace.prepare(Path(sys.argv[1]))"
    )
    if os.getuid() == 0:
        os.chown(folder / "store.db", 65534, 65534)
    (folder / "store.db").chmod(0o400)
    folder.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", script, folder / "store.db"], capture_output=True, text=True, cwd=Path.cwd()
    )
    folder.chmod(0o755)
    assert "read-only" in done.stderr, done.stderr


def test_a_damaged_file_is_never_lost_silently(tmp_path: Path) -> None:
    """Random bytes flipped: either it still works, or one line says what to do and the file is as it was."""
    path = tmp_path / "store.db"
    _fill(path)
    whole = path.read_bytes()
    said = 0
    for seed_number in range(12):
        chance = random.Random(seed_number)
        broken = bytearray(whole)
        for _ in range(100):
            broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
        path.write_bytes(broken)
        try:
            store = Store.open(_url(path))
        except (StoreUnavailable, place.StoreDamaged, schema.SchemaRefused) as error:
            said += 1
            assert "\n" not in str(error)
            assert path.read_bytes() == broken
            continue
        try:
            store.run(connections.listing)
        except (StoreUnavailable, MeshagError, ValueError):
            said += 1
        finally:
            store.close()
    assert said


@pytest.mark.parametrize("how", ["header", "truncated", "empty with a log"])
def test_damage_offers_a_way_out(tmp_path: Path, how: str) -> None:
    path = tmp_path / "store.db"
    _fill(path)
    whole = path.read_bytes()
    if how == "header":
        path.write_bytes(b"\0" * 100 + whole[100:])
    elif how == "truncated":
        path.write_bytes(whole[: 4096 * 9 + 100])
    else:
        path.write_bytes(b"")
        (tmp_path / "store.db-wal").write_bytes(b"x" * 100)
    damaged = path.read_bytes()
    with pytest.raises(MeshagError, match=r"damaged.*store restore FILE.*store reset"):
        store = Store.open(_url(path))
        try:
            store.run(lambda: list(models.Setting.select()))
        finally:
            store.close()
    kept = copies.reset(_url(path))
    assert kept is not None and kept.exists()
    if how == "header":
        assert kept.read_bytes() == damaged
    store = Store.open(_url(path))
    assert store.run(connections.listing) == ()
    store.close()


def test_an_unclean_end_is_followed_by_a_look_at_the_whole_file(tmp_path: Path) -> None:
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"
    _fill(path)
    store = Store.open(_url(path))
    store.run(lambda: models.Setting.create(key="last", value=1))
    for suffix in ("", "-wal"):  # as a kill would leave them
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    store.close()
    data = bytearray(copy.read_bytes())
    at = data.rindex(b"x" * 1000)
    data[at - 2100 : at - 2000] = os.urandom(100)
    data[-4096 * 3 : -4096 * 3 + 8] = b"\xff" * 8
    copy.write_bytes(data)
    with pytest.raises(MeshagError, match="damaged"):
        Store.open(_url(copy))


def test_network_file_systems_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_text = Path.read_text
    mounts = f"server:/export {tmp_path} nfs4 rw 0 0\n"
    monkeypatch.setattr(
        Path, "read_text", lambda self, *a, **k: mounts if str(self) == "/proc/mounts" else read_text(self, *a, **k)
    )
    store = Store.open(_url(tmp_path / "store.db"))
    store.close()
    assert "nfs4" in store.warnings[0]


def test_a_log_that_a_reader_keeps_from_being_taken_in_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.db"
    monkeypatch.setattr(place, "MOST_LOG", 8 * 2**20)  # twice of what is left of it to be taken in
    store = Store.open(_url(path))

    def write() -> None:
        for number in range(60):
            models.Setting.replace(key="large", value=f"{number:04}" * 50_000).execute()

    store.run(write)
    assert place.kept_log(path) is None, "nobody reads: it is taken in again and again"
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM setting").fetchall()
    store.run(write)
    assert "another program" in str(place.kept_log(path))
    reader.execute("COMMIT")
    reader.close()
    store.close()
    assert place.kept_log(path) is None


def test_a_file_that_may_not_grow_is_named_and_survived(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    _fill(path)
    script = """if True:
        import resource, sys
        from meshag_tui.store import models
        from meshag_tui.store.database import Store, StoreUnavailable
        store = Store.open(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        try:
            store.run(lambda: models.Setting.create(key="big", value="x" * 400_000))
        except StoreUnavailable as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        store.run(lambda: models.Setting.create(key="small", value="x"))
        store.close()
    """
    done = subprocess.run([sys.executable, "-c", script, _url(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1 and str(path) in done.stdout, done.stdout
    with sqlite3.connect(path) as left:
        assert left.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert left.execute("SELECT count(*) FROM setting WHERE key IN ('big', 'small')").fetchone() == (1,)
    left.close()


def test_backup_while_in_use_and_restore(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    _fill(path)
    store = Store.open(_url(path))
    backup = copies.backup(store, tmp_path / "mine.db")
    with pytest.raises(MeshagError, match="exists"):
        copies.backup(store, backup)
    store.run(lambda: models.Setting.delete().execute())
    script = "import sys\nfrom meshag_tui.store import copies\nfrom pathlib import Path\n"
    other = subprocess.run(
        [sys.executable, "-c", f"{script}copies.restore(sys.argv[1], Path(sys.argv[2]))", _url(path), backup],
        capture_output=True,
        text=True,
        cwd=Path.cwd(),
    )
    assert "close it and try again" in other.stderr
    store.close()
    kept = copies.restore(_url(path), backup)
    assert kept is not None
    store = Store.open(_url(path))
    assert store.run(models.Setting.select().count) == 60
    assert len(store.run(connections.listing)) == 3
    store.close()
    (tmp_path / "bad.db").write_bytes(backup.read_bytes()[:20_000])
    for bad in (tmp_path / "bad.db", tmp_path / "none.db", tmp_path / "key"):
        with pytest.raises(MeshagError, match="backup"):
            copies.restore(_url(path), bad)
    assert len(sqlite3.connect(path).execute("SELECT * FROM setting").fetchall()) == 60


def test_a_backup_leaves_alone_what_another_process_is_writing_in_the_same_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "stamp", lambda: "20260102T030405Z")
    store = Store.open(_url(tmp_path / "store.db"))
    theirs = tmp_path / "store.db.backup-20260102T030405Z.part"
    theirs.write_text("half")
    made = store.backup()
    store.close()
    assert made.name == "store.db.backup-20260102T030405Z-2" and theirs.read_text() == "half"


def test_old_backups_go_and_ours_stay(tmp_path: Path) -> None:
    store = Store.open(_url(tmp_path / "store.db"))
    made = [store.backup() for _ in range(place.KEPT_BACKUPS + 3)]
    store.close()
    left = {path for path in tmp_path.iterdir() if ".backup-" in path.name}
    assert len(left) == place.KEPT_BACKUPS
    assert made[-1] in left


def test_reset_keeps_the_old_store(store_url: str, tmp_path: Path) -> None:
    store = Store.open(store_url)
    store.run(seed.seed, _vault(tmp_path))
    before = store.run(_everything)
    store.close()
    kept = copies.reset(store_url, tmp_path)
    assert kept is not None
    store = Store.open(store_url)
    assert not store.run(connections.listing)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    store.close()
    copies.restore(store_url, kept, tmp_path)
    store = Store.open(store_url)
    assert store.run(_everything) == before
    store.run(lambda: models.Activity.create(at=1, actor="a", kind="b", message="c"))  # ids go on
    store.close()


def test_a_dump_moves_a_store_from_postgresql_to_sqlite(pg18: object, tmp_path: Path) -> None:
    url = pg18.url  # type: ignore[attr-defined]
    store = Store.open(url)
    store.run(seed.seed, _vault(tmp_path))
    before = store.run(_everything)
    dump = copies.backup(store, tmp_path / "store.jsonl.gz")
    store.close()
    copies.restore(_url(tmp_path / "moved.db"), dump)
    moved = Store.open(_url(tmp_path / "moved.db"))
    assert moved.run(_everything) == before
    moved.close()
    dump.write_bytes(dump.read_bytes()[:-40])
    with pytest.raises(MeshagError, match="damaged"):
        copies.restore(_url(tmp_path / "moved.db"), dump)


def test_seed_counts_and_refusal(store: Store, tmp_path: Path) -> None:
    counts = store.run(seed.seed, _vault(tmp_path))
    assert counts == {"users": 2, "projects": 3, "connections": 1, "executions": 3, "activities": 6}
    for model, count in ((models.User, 2), (models.Project, 3), (models.Execution, 3), (models.Activity, 6)):
        assert store.run(model.select().count) == count
    with pytest.raises(MeshagError, match="not empty"):
        store.run(seed.seed, _vault(tmp_path))


def _everything() -> dict[str, list[tuple[object, ...]]]:
    return {model.__name__: sorted(map(repr, model.select().tuples())) for model in models.MODELS}  # type: ignore[misc]


KILLED = """
import os, signal, sys
from meshag_tui.store import models
from meshag_tui.store.database import Store, atomic
store = Store.open(sys.argv[1])
def batch(n):
    with atomic():
        for part in range(20):
            models.Setting.create(key=f"{n}:{part}", value="x" * 500)
n = 0
while True:
    store.run(batch, n)
    print(n, flush=True)
    n += 1
"""


@pytest.mark.slow
def test_kill_leaves_whole_batches(tmp_path: Path) -> None:
    """Nothing acknowledged is lost, no batch is torn, and it opens."""
    path = tmp_path / "store.db"
    Store.open(_url(path)).close()
    chance = random.Random(1)
    for _ in range(6):
        worker = subprocess.Popen([sys.executable, "-c", KILLED, _url(path)], stdout=subprocess.PIPE, text=True)
        assert worker.stdout is not None
        worker.stdout.readline()
        time.sleep(chance.random() * 0.3)
        worker.kill()
        acknowledged = [line for line in worker.stdout.read().split("\n") if line]
        worker.wait()
        store = Store.open(_url(path))
        found = store.run(lambda: [row.key for row in models.Setting.select()])
        batches = {key.split(":")[0] for key in found}
        assert len(found) == 20 * len(batches)
        assert set(acknowledged) <= batches
        store.run(lambda: models.Setting.delete().execute())
        store.close()
