"""Deltas of a server that counts by digest (MySQL, MariaDB): emptied as a whole, never evicting, full at some point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshag_tui.snapshot import Epoch
from meshag_tui.store import deltas, deltas_objects, readings
from meshag_tui.store.readings import Reading
from tests.store.test_deltas import Entry, Kept, Monitor, Server, active, sync, thorough, work

OWN = "own"
_READING = Reading(Epoch("1", "primary", 1, 5, None), 10, 10, (), True, 0, 0.0)


@dataclass
class Digests(Server):
    """events_statements_summary_by_digest: a row for each digest with its FIRST_SEEN, whole seconds on MariaDB."""

    capacity: int = 5
    whole_seconds: bool = False
    overflowed: bool = False

    def run(self, key: str, calls: int) -> None:
        if key not in self.entries and len(self.entries) >= self.capacity:
            self.clock += 10
            self.truth[key] += calls
            self.overflowed = True  # counted together, under no digest
            return
        super().run(key, calls)

    def reset_all(self) -> None:
        """TRUNCATE."""
        self.clock += 1_000 if self.whole_seconds else 10  # no life is shorter than the clock's grain
        self.entries.clear()

    def restart(self) -> None:
        self.reset_all()
        self.started_at = self.clock

    def epoch(self) -> Epoch:
        # What reads the facts is itself counted first, so the table is never empty.
        self.entries.setdefault(OWN, Entry(1, 1.0, 1.0, 1.0, self.clock))
        oldest = min(self._since(entry) for entry in self.entries.values())
        return Epoch("uuid", self.role, self.started_at, oldest, None, self.started_at)

    def rows(self) -> list[tuple[Any, ...]]:
        self.clock += 10
        return [
            (key, e.calls, e.total, e.calls * 2, None, e.least, e.most, self._since(e))
            for key, e in self.entries.items()
            if key != OWN
        ]

    def _since(self, entry: Entry) -> int:
        return entry.since // 1_000 * 1_000 + 1_000 if self.whole_seconds else entry.since


trouble = st.sampled_from([("reset_all",), ("restart",)])
steps = st.lists(st.one_of(work, work, work, sync, trouble), min_size=15, max_size=60)


@settings(thorough)
@given(whole_seconds=st.booleans(), steps=steps)
def test_random_histories_never_invent_and_every_loss_is_flagged(
    whole_seconds: bool, steps: list[tuple[Any, ...]]
) -> None:
    server, monitor = Digests(0, whole_seconds=whole_seconds), Monitor()
    for name, *arguments in [*steps, ("sync",)]:
        if name != "sync":
            getattr(server, name)(*arguments)
            continue
        first = monitor.last is None
        found = monitor.sync(server)
        seen = {key: values[0] for key, values in active(found)}
        assert all(calls <= server.truth[key] for key, calls in seen.items()), "invented or doubled"
        if not first and sum(seen.values()) < server.truth.total():
            assert not found.complete or server.overflowed
        server.truth.clear()
        server.overflowed = False


def test_a_truncated_table_counts_all_calls_and_marks_the_interval() -> None:
    server, monitor = Digests(0), Monitor()
    server.run("a", 10)
    monitor.sync(server)
    server.reset_all()
    server.run("a", 25)
    found = monitor.sync(server)
    assert found.calls == 25
    assert [each["kind"] for each in found.events] == ["reset"]
    assert not found.complete


def test_two_lives_within_the_second_the_server_tells_its_start_in_are_two() -> None:
    columns = ("calls", "total_time_ms", "stats_since")
    first, second = (Reading(Epoch("1", "primary", 1, 5, None, 1, ran), 10, 10, (), True, 0, 0.0) for ran in (90, 40))
    kept = Kept()
    kept.read(None, columns, [("k", 9, 9.0, 5)], first)
    found = kept.read(first, columns, [("k", 4, 4.0, 5)], second)
    assert found.calls == 4
    assert ([each["kind"] for each in found.events], found.complete) == (["reset"], False)
    later = Reading(Epoch("1", "primary", 1, 5, None, 1, 41), 20, 20, (), True, 0, 0.0)
    assert readings.continuity(second, later.epoch).state == "same"


@pytest.mark.parametrize("column", ["total_time_ms", "rows_examined"])
def test_a_counter_that_goes_beyond_its_bits_invents_nothing(column: str) -> None:
    """Picoseconds fill 64 bits in 213 days of running: the sum begins at 0 again, the entry's life does not."""
    columns = ("calls", "total_time_ms", "rows_examined", "stats_since")
    before = {"calls": 10**9, "total_time_ms": 1.8e10, "rows_examined": 2**62, "stats_since": 5}
    now = before | {"calls": 10**9 + 7, column: 3}
    kept = Kept()
    kept.read(None, columns, [("k", *before.values())], _READING)
    then = kept.read(_READING, columns, [("k", *now.values())], _READING)
    ((_, delta),) = active(then)
    assert delta[0] == then.calls == 7
    assert delta[deltas.DELTA_COLUMNS.index("time_ms" if column == "total_time_ms" else column)] == 0
    assert [each["kind"] for each in then.events] == ["decrease"]
    assert not then.complete


def test_an_altered_table_counts_anew_alone() -> None:
    tie = readings.continuity(_READING, _READING.epoch)
    before = {"altered": {"scans": 7}, "other": {"scans": 40}}
    now = {"altered": {"scans": 2}, "other": {"scans": 41}}
    found = deltas_objects.objects(tie, before, now, renewed={"altered"})
    assert found.active == {"altered": {"scans": 2}, "other": {"scans": 1}}
    assert deltas_objects.observation_break(_READING, _READING.epoch, tie, [found]) is None
    fell = deltas_objects.objects(tie, before, now)
    event = deltas_objects.observation_break(_READING, _READING.epoch, tie, [fell])
    assert event is not None and event["kind"] == "decrease", "a fall that nothing explains is everybody's"


def test_emptying_the_digests_leaves_the_observation_of_indexes_unbroken() -> None:
    """Their counters live as long as the server, and say so."""
    before = Reading(Epoch("1", "primary", 1, 5, None, 1), 10, 10, (), True, 0, 0.0)
    emptied = Epoch("1", "primary", 1, 11, None, 1)
    tie = readings.continuity(before, emptied)
    busy = deltas_objects.objects(tie, {"i": {"scans": 7}}, {"i": {"scans": 9}})
    assert (tie.state, deltas_objects.observation_break(before, emptied, tie, [busy])) == ("reset", None)
    restarted = Epoch("1", "primary", 12, 12, None, 12)
    tie = readings.continuity(before, restarted)
    event = deltas_objects.observation_break(before, restarted, tie, [deltas_objects.objects(tie, {}, {})])
    assert event is not None and event["kind"] == "reset"
