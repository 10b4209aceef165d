"""A store filled for measuring is one that syncs and their upkeep could have left: every place reads it."""

from __future__ import annotations

from pathlib import Path

from meshag_tui.store import digests, history_windows, models, retention
from meshag_tui.store.database import Store
from meshag_tui.types import Window
from tests.benchmarks.history import places
from tests.benchmarks.ninety_days import DAY, Shape, fill

SHAPE = Shape(servers=2, days=3, statements=8, tables=3, indexes=4, sampled_days=0.1, runs_days=0.1)


def test_ninety_days_are_what_their_parts_add_up_to(store: Store, tmp_path: Path) -> None:
    found = fill(store, tmp_path, SHAPE)
    levels = {level.resolution_s: level.intervals for level in store.run(retention.levels)}
    assert levels == {0: 2 * 2 * 1_440, 600: 2 * 144}
    for name, read in store.run(places, found[0]).items():
        if "," not in name or name.endswith(", 7 d"):
            store.run(read)

    def summed(source: digests.Source) -> tuple[int, int]:
        statement = f"SELECT count(DISTINCT query_id), SUM(calls) FROM ({source.rows_sql()}) r"
        return tuple(map(int, models.database.execute_sql(statement).fetchone()))

    def both() -> tuple[tuple[int, int], tuple[int, int]]:
        end = history_windows.latest_window(found[1], DAY).end
        window = Window(end - 3 * DAY + 7, end)
        through = digests.source(found[1], window)
        alone = digests.Source(tuple(each.id for each in history_windows.intervals(found[1], window)), ())
        assert len(through.digests) > 10 and len(through.intervals) < len(alone.intervals) / 4
        return summed(through), summed(alone)

    through, alone = store.run(both)
    assert through == alone and through[0] == SHAPE.statements
