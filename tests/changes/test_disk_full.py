"""A disk that fills while MySQL or MariaDB makes an index or writes a table anew: one clear line, and all as before."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from meshag_tui.changes.record import ChangeRefused
from meshag_tui.engines.mysql import gates as gate_checks
from meshag_tui.servers.mysqld import MARIADB, MYSQL, EmbeddedMysql
from meshag_tui.servers.rundir import DATA
from meshag_tui.types import ChangeState, CreateIndex, IndexColumn, IndexSpec, Rebuild
from meshag_tui.workflows.durable import RunFailed
from tests.changes.conftest import Desk
from tests.rig.mysql import Schema
from tests.rig.small_disk import SmallDisks

Private = Callable[..., Schema]

ORDERS = (
    "CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, note VARCHAR(250))",
    "INSERT INTO orders (note) WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 900) "
    "SELECT CONCAT(REVERSE(i), REPEAT('x', 230)) FROM n",
    *["INSERT INTO orders (note) SELECT INSERT(note, 1, 1, CHAR(97 + id MOD 26)) FROM orders"] * 6,
)
ROOM_MB = 40  # 18 MB of rows fit, with their log; what is made of them again does not


def on(disks: SmallDisks, folder: str, room_mb: int) -> Callable[[EmbeddedMysql], None]:
    def put(server: EmbeddedMysql) -> None:
        disks.replace(server.root / folder, room_mb)

    return put


def looks(schema: Schema) -> tuple[object, ...]:
    return (
        *schema.fetch("SHOW CREATE TABLE orders"),
        *schema.fetch("SELECT COUNT(*), SUM(CRC32(note)) FROM orders"),
        *schema.fetch("CHECK TABLE orders"),
        *schema.fetch(
            "SELECT COUNT(*) FROM information_schema.{} WHERE NAME LIKE '%#sql%'".format(
                "INNODB_TABLES" if schema.flavour == "MySQL" else "INNODB_SYS_TABLES"
            )
        ),
    )


@pytest.mark.parametrize("flavour", [MARIADB, MYSQL], ids=str.lower)
@pytest.mark.parametrize(
    ("folder", "room_mb", "words"),
    [("tmp", 4, r"where it sorts \(innodb_tmpdir, tmpdir\).*full.*\(1878\)"), (DATA, ROOM_MB, r"for its data.*full")],
    ids=["where it sorts", "where its data is"],
)
async def test_a_disk_that_fills_is_said_in_a_line_and_nothing_is_half_made(
    small_disks: SmallDisks,
    private_my: Private,
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    flavour: str,
    folder: str,
    room_mb: int,
    words: str,
) -> None:
    schema = private_my(flavour, before_start=on(small_disks, folder, room_mb))
    schema.execute(*ORDERS)
    if folder == DATA:  # what is left for the index depends on the server's own files
        _fill(schema, folder)
    before = looks(schema)
    change = CreateIndex(IndexSpec(schema.name, "orders", (IndexColumn("note"),), name="by_note"))
    advice = await desk.suggest(schema, change, size_bytes=20_000_000)
    gate = next(gate for gate in (await desk.bench.hands.review(advice.id)).gates if gate.name == "free disk")
    assert gate.state == "block", "the gate sees it coming"
    with pytest.raises((RunFailed, ChangeRefused)):
        await desk.bench.hands.apply(advice.id, (await desk.bench.hands.review(advice.id)).plan_hash)
    assert looks(schema) == before

    monkeypatch.setattr(gate_checks, "_free", lambda _: 10**12)  # it fills after the gate was passed
    kinds = [change] if folder == "tmp" else [change, Rebuild(schema.name, "orders")]
    for each in kinds:
        advice = await desk.suggest(schema, each, size_bytes=1_000_000)
        review = await desk.bench.hands.review(advice.id)
        with pytest.raises(RunFailed, match=words) as failed:
            await desk.bench.hands.apply(advice.id, review.plan_hash)
        assert "\n" not in str(failed.value)
        row = (await desk.journal())[0]
        assert row.state is ChangeState.FAILED and row.error is not None and row.attempts == 1
        left = "there is no index" if each is change else "is as before"
        assert "full" in row.error and left in row.error
        assert looks(schema) == before, "and the server still works"
    schema.execute("INSERT INTO orders (note) VALUES ('small')", "ANALYZE TABLE orders")


def _fill(schema: Schema, folder: str) -> None:
    """Leave 6 MB of the disk: less than the index takes, and enough for the server to go on."""
    place = schema.server.root / folder
    found = os.statvfs(place)
    free = found.f_bavail * found.f_frsize
    (place / "other").write_bytes(b"x" * max(0, free - 6_000_000))
