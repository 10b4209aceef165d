"""The mark on statements that are read without being merged: whatever comes, pages are those of merging everything."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshag_tui.settings import RetentionSettings, Settings
from meshag_tui.snapshot import StatementText
from meshag_tui.store import connections, copies, history, models, recording, retention, snapshots
from meshag_tui.store.database import Store
from meshag_tui.store.vault import Vault
from meshag_tui.types import Target, Window
from tests.store.readings import MINUTE, START, Watched, text

DAY = 86_400_000


def drawn(dice: random.Random, key: str) -> StatementText:
    """The text of a statement, of one of few meanings, always the same; or it could not be read this time."""
    if dice.random() < 0.1:
        return replace(text(key), text=None, state=dice.choice(("forbidden", "unavailable")))
    own = random.Random(key)
    meaning = own.randrange(30)
    fingerprint = None if own.random() < 0.1 else f"f{meaning}"
    user, internal = own.choice(("ann", "bob")), own.random() < (0.8 if meaning == 0 else 0.05)
    return text(key, f"SELECT {meaning}", fingerprint=fingerprint, user=user, aside="catalogue" if internal else None)


def syncs(store: Store, connection: str, server: Watched, dice: random.Random, number: int) -> None:
    """Some syncs in which statements come, run and go, and texts come when they come, some of them again."""
    assert server.statements is not None
    for _ in range(number):
        for _ in range(12):
            server.run(
                f"q{dice.randrange(60)}", dice.randrange(1, 9), dice.random() * 50, shared_read=dice.randrange(99)
            )
        for key in dice.sample(sorted(server.statements), 2):
            del server.statements[key]
        texts = [drawn(dice, key) for key in sorted(server.statements) if dice.random() < 0.15]
        store.run(snapshots.write, connection, server.snapshot(), texts)


def pages(connection: str, window: Window) -> list[Any]:
    """Pages of every order, and of filters; figures to nine digits, for they are summed in another order."""
    found = []
    asked: list[dict[str, Any]] = [
        {"sort": sort, "descending": down} for sort in history.SORTS for down in (True, False)
    ]
    asked += [{"internal": True}, {"text": "select 3"}, {"text": "!select 3"}, {"text": "~[12]$"}]
    asked += [{"text": "!~[12]$", "internal": True}, {"limit": 5, "offset": 5}, {"by_longest": True}]
    for each in asked:
        page = history.queries(connection, window, slow_ms=20.0, trends=False, **each)
        sums = [float(f"{each:.9g}") for each in (page.total_time_ms, page.hidden_time_ms, page.covered_share or 0.0)]
        rows = [(row.id, row.calls, row.internal, row.rows, float(f"{row.total_time_ms:.9g}")) for row in page.rows]
        found.append((each, page.total_rows, page.hidden, page.slow, sums, rows))
    return found


def merged(connection: str, window: Window) -> list[Any]:
    """The same, of statements that are all merged by what they mean; the marks are left as they were."""
    with models.database.atomic() as transaction:
        models.Query.update(alone=False).execute()
        found = pages(connection, window)
        transaction.rollback()
    return found


def alone() -> int:
    return models.Query.select().where(models.Query.alone).count()


@pytest.mark.parametrize("seed", range(3))
def test_pages_are_those_of_merging_everything(store: Store, connection: str, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    vault = Vault.open(Settings(home=tmp_path, store_url=""), {})
    target = Target.from_url("postgresql://watcher@other.example/shop")
    other = store.run(connections.add, "other", target, vault).id
    server, beside = Watched(), Watched()
    for _ in range(2):
        syncs(store, connection, server, dice, 4)
        syncs(store, other, beside, dice, 3)
        for each, watched in ((connection, server), (other, beside)):
            window = Window(watched.at - 3 * MINUTE, watched.at)
            assert store.run(pages, each, window) == store.run(merged, each, window)
    assert 0 < store.run(alone) < store.run(models.Query.select().count), "something is read in either way"
    store.run(connections.remove, other)
    window = Window(START, server.at)
    assert store.run(pages, connection, window) == store.run(merged, connection, window)


def test_a_statement_that_is_left_of_those_that_meant_the_same_is_read_as_before(store: Store, connection: str) -> None:
    server = Watched().run("a").run("b")
    texts = [text(key, fingerprint="f") for key in "ab"]
    store.run(snapshots.write, connection, server.snapshot(), texts)
    assert server.statements is not None
    del server.statements["b"]
    store.run(snapshots.write, connection, server.run("a", 3).snapshot())
    late = server.at + 4_000 * DAY
    for day in range(2):  # the clock is believed from the first on
        store.run(retention.prune, RetentionSettings(), late + day * DAY)
        store.run(retention.roll_up, RetentionSettings(), late + day * DAY)
    store.run(snapshots.write, connection, server.run("a", 2, 5.0).snapshot())
    page = store.run(history.queries, connection, Window(server.at - MINUTE, server.at))
    assert [(row.key, row.calls, row.total_time_ms) for row in page.rows] == [("a", 2, 10.0)]


def test_a_copy_knows_which_are_alone(store: Store, connection: str, tmp_path: Path) -> None:
    syncs(store, connection, Watched(), random.Random(7), 6)
    window = Window(START, START + 6 * MINUTE)
    before, marked = store.run(pages, connection, window), store.run(alone)
    assert marked
    file = tmp_path / "copy.db"
    recording.record(store, file, copies.backup, copies.restore)
    copy = Store.open(f"sqlite:///{file}")
    try:
        assert copy.run(alone) == marked
        assert copy.run(pages, connection, window) == copy.run(merged, connection, window) == before
    finally:
        copy.close()


def test_an_internal_statement_that_nobody_can_parse_is_hidden(store: Store, connection: str) -> None:
    server = Watched().run("a").run("b")
    store.run(snapshots.write, connection, server.snapshot(), [text("a", fingerprint=None, aside="catalogue")])
    store.run(snapshots.write, connection, server.run("a").run("b").snapshot(), [text("b", aside="catalogue")])
    page = store.run(history.queries, connection, Window(START, server.at))
    assert (page.rows, page.hidden) == ((), 2)
