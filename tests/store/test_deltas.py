"""Deltas against a simulated server that knows the truth: nothing invented, doubled or negative, every loss flagged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from meshag_tui.snapshot import Epoch, Statements
from meshag_tui.store import baselines, deltas, deltas_objects, readings
from meshag_tui.store.baselines import Block
from meshag_tui.store.readings import Reading

COLUMNS = ("calls", "total_time_ms", "rows", "io_read_ms", "min_time_ms", "max_time_ms", "stats_since")
KEYS = ("a", "b", "c", "d", "e", "f")
LONGEST = deltas.DELTA_COLUMNS.index("longest_ms")


@dataclass
class Entry:
    calls: int
    total: float
    least: float
    most: float
    since: int


@dataclass
class Server:
    """pg_stat_statements as it behaves: 13 (no view of its own), 14 to 16 (reset time, evictions), 17 (stats_since)."""

    major: int
    capacity: int = 4
    clock: int = 1_000_000
    started_at: int = 900_000
    stats_reset: int = 900_000
    evictions: int = 0
    role: str = "primary"
    entries: dict[str, Entry] = field(default_factory=dict)
    truth: Counter[str] = field(default_factory=Counter)  # calls really made since the last sync
    lost_unseen: bool = False  # a loss since the last sync that leaves no trace on such a server
    times: dict[str, list[float]] = field(default_factory=dict)  # of those calls
    present: dict[str, int] = field(default_factory=dict)  # calls at the last sync
    reset_keys: set[str] = field(default_factory=set)
    hidden: frozenset[str] = frozenset()
    least_ms: float | None = None  # entries that took less in all are left out
    step: float = 1.0

    def run(self, key: str, calls: int) -> None:
        self.clock += 10
        self.truth[key] += calls
        for _ in range(calls):
            self.step = self.step * 1.37 % 7 + 0.01
            self.times.setdefault(key, []).append(self.step)
            entry = self.entries.get(key)
            if entry is None:
                if len(self.entries) >= self.capacity:
                    self.evict()
                self.entries[key] = Entry(1, self.step, self.step, self.step, self.clock)
            else:
                entry.calls += 1
                entry.total += self.step
                entry.least = min(entry.least or self.step, self.step)
                entry.most = max(entry.most, self.step)

    def evict(self) -> None:
        self.clock += 10
        if self.entries:
            key = min(self.entries, key=lambda each: self.entries[each].calls)
            # Before 14 nothing counts evictions: one that is undone before we look leaves no trace.
            self.lost_unseen = self.lost_unseen or self.major == 13
            del self.entries[key]
            self.evictions += 1

    def reset_all(self) -> None:
        self.clock += 10
        self.entries.clear()
        self.stats_reset = self.clock
        self.evictions = 0
        self.lost_unseen = self.lost_unseen or self.major == 13

    def reset_one(self, key: str) -> None:
        self.clock += 10
        if self.entries.pop(key, None):
            self.reset_keys.add(key)

    def reset_extremes(self, key: str) -> None:
        """What 17 and later let be reset alone, and some tools reset at each look."""
        if self.major >= 17 and key in self.entries:
            self.entries[key].least = self.entries[key].most = 0.0

    def looked_at(self) -> None:
        """What is true since the last sync begins anew."""
        self.truth.clear()
        self.times.clear()

    def loss_leaves_a_trace(self) -> bool:
        """Whether the losses since the last sync can be seen by anybody: what the module says of the exceptions."""
        for key in self.reset_keys:
            before, now = self.present.get(key, 0), self.entries.get(key)
            if not before or (self.major < 17 and now is not None and now.calls >= before):
                return False
        return not self.lost_unseen

    def restart(self) -> None:
        self.clock += 10
        self.started_at = self.clock

    def crash(self, new_postmaster: bool) -> None:
        self.reset_all()
        if new_postmaster:
            self.started_at = self.clock

    def epoch(self) -> Epoch:
        known = self.major >= 14
        return Epoch(
            "7000", self.role, self.started_at, self.stats_reset if known else None, self.evictions if known else None
        )

    def rows(self) -> list[tuple[Any, ...]]:
        self.clock += 10
        return [
            (key, e.calls, e.total, e.calls * 2, None, e.least, e.most, e.since if self.major >= 17 else None)
            for key, e in self.entries.items()
            if key not in self.hidden and e.total >= (self.least_ms or 0)
        ]


@dataclass
class Kept:
    """Blocks of baselines as the store keeps them; the id of a statement is its place in `keys`."""

    blocks: dict[int, Block] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)

    def read(
        self, last: Reading | None, columns: tuple[str, ...], rows: list[tuple[Any, ...]], reading: Reading
    ) -> deltas.StatementDeltas:
        """Compare rows with what was kept, and keep them."""
        found = deltas.statements(last, self.blocks.values(), Statements(columns, rows, reading.hidden), reading)
        blocks = self.blocks | {block.number: block for block in found.changed}
        if found.fresh is not None:
            ids = [self._id(key) for key in found.fresh.keys]
            blocks |= {block.number: block for block in baselines.place(blocks.values(), replace(found.fresh, ids=ids))}
        texts = [(n, block.statements_text(), block.counters_text()) for n, block in blocks.items() if len(block)]
        self.blocks = {n: Block.from_texts(n, statements, counters) for n, statements, counters in texts}
        return found

    def _id(self, key: str) -> int:
        if key not in self.keys:
            self.keys.append(key)
        return self.keys.index(key)


def active(found: deltas.StatementDeltas) -> list[tuple[str, tuple[Any, ...]]]:
    """What was active: keys, and deltas in the order of `DELTA_COLUMNS`."""
    rows: list[tuple[str, tuple[Any, ...]]] = []
    for chunk in found.active:
        keys = chunk.block.keys if chunk.chosen is None else compress(chunk.block.keys, chunk.chosen)
        columns = [[None] * len(chunk.block) if column is None else column for column in chunk.columns]
        rows += zip(keys, zip(*columns), strict=True)  # noqa: B905
    return rows


class Monitor:
    """Syncs a server and keeps what the store would."""

    def __init__(self) -> None:
        self.last: Reading | None = None
        self.kept = Kept()
        self.total: Counter[str] = Counter()

    def sync(self, server: Server, during: Any = None) -> deltas.StatementDeltas:
        server.clock += 10
        epoch, observed = server.epoch(), server.clock
        if during is not None:
            during()
        rows = server.rows()
        hidden = len(server.entries) - len(rows)
        left_ms = sum(entry.total for entry in server.entries.values()) - sum(row[2] for row in rows)
        reading = Reading(epoch, observed, observed, ("meshag",), not server.hidden, hidden, left_ms, server.least_ms)
        found = self.kept.read(self.last, COLUMNS, rows, reading)
        self.last = Reading.from_document(reading.as_document())
        server.present = {row[0]: row[1] for row in rows}
        for key, values in active(found):
            assert values[0] >= 0 and values[1] >= 0 and (values[2] or 0) >= 0
            assert values[2] == values[0] * 2, "the counters of one row belong together"
            self.total[key] += values[0]
        return found


keys = st.sampled_from(KEYS)
work = st.tuples(st.just("run"), keys, st.integers(1, 9))
trouble = st.one_of(
    st.tuples(st.just("reset_all")),
    st.tuples(st.just("reset_one"), keys),
    st.tuples(st.just("reset_extremes"), keys),
    st.tuples(st.just("evict")),
    st.tuples(st.just("restart")),
    st.tuples(st.just("crash"), st.booleans()),
)
sync = st.tuples(st.just("sync"))
steps = st.lists(st.one_of(work, work, work, sync, trouble), min_size=15, max_size=60)
thorough = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def longest_is_true(found: deltas.StatementDeltas, server: Server, before: Mapping[str, float] | None = None) -> None:
    """What is said to be the longest call was made since the last sync; where it is not known, none took longer than
    those `before`, as far as the server still knows of it."""
    for key, values in active(found):
        longest, made = values[LONGEST], server.times.get(key, [])
        event(f"longest {'known' if longest else 'not known'}")
        if longest is not None:
            assert longest in made
        if longest is None and found.complete and before is not None and key in server.entries:
            assert server.entries[key].most <= before.get(key, 0.0)


@thorough
@given(major=st.sampled_from([13, 14, 16, 17, 18]), steps=steps)
def test_random_histories_never_invent_and_every_loss_is_flagged(major: int, steps: list[tuple[Any, ...]]) -> None:
    server, monitor = Server(major), Monitor()
    before: dict[str, float] = {}
    for name, *arguments in [*steps, ("sync",)]:
        if name != "sync":
            getattr(server, name)(*arguments)
            continue
        first = monitor.last is None
        traceable = server.loss_leaves_a_trace()
        found = monitor.sync(server)
        seen = {key: values[0] for key, values in active(found)}
        assert all(calls <= server.truth[key] for key, calls in seen.items()), "invented or doubled"
        longest_is_true(found, server, before)
        before = {key: entry.most for key, entry in server.entries.items()}
        if not first and sum(seen.values()) < server.truth.total():
            event(f"{major}: loss, {'flagged' if not found.complete else 'unseen'}")
            assert not found.complete or not traceable
        assert found.complete or found.events, "a loss says what it is"
        if first:
            assert not found.active
        server.looked_at()
        server.lost_unseen = False
        server.reset_keys.clear()


@thorough
@given(
    major=st.sampled_from([13, 14, 17]),
    steps=steps,
    torn=st.lists(st.lists(st.one_of(work, trouble), max_size=3), max_size=20),
)
def test_a_server_that_changes_while_it_is_read_is_never_counted_twice(
    major: int, steps: list[tuple[Any, ...]], torn: list[list[tuple[Any, ...]]]
) -> None:
    server, monitor = Server(major), Monitor()
    made: Counter[str] = Counter()
    for name, *arguments in [*steps, ("sync",)]:
        if name != "sync":
            getattr(server, name)(*arguments)
            continue
        first = monitor.last is None
        inside = torn.pop() if torn else []

        def change(inside: list[tuple[Any, ...]] = inside) -> None:
            for each, *more in inside:
                getattr(server, each)(*more)

        monitor.sync(server, change)
        if not first:
            made += server.truth
        server.truth.clear()
        assert all(monitor.total[key] <= made[key] for key in monitor.total)


@thorough
@given(
    majors=st.tuples(st.sampled_from([13, 14, 17]), st.booleans()),
    steps=st.lists(
        st.one_of(
            work,
            work,
            sync,
            trouble,
            st.tuples(st.just("view"), st.frozensets(keys, max_size=3)),
            st.tuples(st.just("switch")),
            st.tuples(st.just("promote")),
        ),
        min_size=15,
        max_size=60,
    ),
)
def test_failover_and_changing_rights_never_invent(majors: tuple[int, bool], steps: list[tuple[Any, ...]]) -> None:
    """Two nodes of one cluster behind one address, and statements of others that come into view and leave it."""
    major, _ = majors
    nodes = [Server(major), Server(major, started_at=950_000, stats_reset=950_000)]
    nodes[1].run("a", 5)
    nodes[1].looked_at()
    monitor = Monitor()
    for name, *arguments in [*steps, ("sync",)]:
        server = nodes[0]
        nodes[1].clock = max(nodes[1].clock, server.clock)
        if name == "switch":
            nodes.reverse()
            nodes[0].clock = max(node.clock for node in nodes)
        elif name == "promote":
            server.role = "replica" if server.role == "primary" else "primary"
        elif name == "view":
            server.hidden = arguments[0]
        elif name != "sync":
            getattr(server, name)(*arguments)
        else:
            found = monitor.sync(server)
            assert all(values[0] <= server.truth[key] for key, values in active(found))
            longest_is_true(found, server)
            for node in nodes:
                node.looked_at()


def test_pg17_counts_all_calls_after_a_reset_and_marks_the_interval() -> None:
    server, monitor = Server(17), Monitor()
    server.run("a", 10)
    monitor.sync(server)
    server.reset_all()
    server.run("a", 25)
    found = monitor.sync(server)
    assert found.calls == 25
    assert not found.complete and [each["kind"] for each in found.events] == ["reset"]


@pytest.mark.parametrize("major", [15, 18])
def test_the_longest_call_is_known_where_it_was_longer_than_all_before(major: int) -> None:
    server, monitor = Server(major), Monitor()

    def longest(**took: float) -> dict[str, float | None]:
        for key, ms in took.items():
            server.step = (ms - 0.01) / 1.37
            server.run(key, 1)
        return {key: values[LONGEST] for key, values in active(monitor.sync(server))}

    longest(a=3.0, b=1.0)
    assert longest(a=2.0, b=5.0, c=4.0) == {"a": None, "b": pytest.approx(5.0), "c": pytest.approx(4.0)}
    assert longest(b=5.0 - 1e-6) == {"b": None}
    server.reset_one("b")
    assert longest(b=2.0) == {"b": pytest.approx(2.0)}, "of its new life it is the longest"
    server.reset_extremes("a")
    assert longest(a=2.5) == {"a": pytest.approx(2.5) if major >= 17 else None}
    server.reset_extremes("a")
    assert longest() == {}


def test_before_pg17_a_reset_is_a_marked_lower_bound() -> None:
    server, monitor = Server(15), Monitor()
    server.run("a", 10)
    monitor.sync(server)
    server.reset_all()
    server.run("a", 25)
    found = monitor.sync(server)
    assert 15 <= found.calls <= 25
    assert not found.complete


@pytest.mark.parametrize("major", [14, 17])
def test_a_single_reset_rebases_that_entry_only(major: int) -> None:
    server, monitor = Server(major), Monitor()
    server.run("a", 10)
    server.run("b", 10)
    monitor.sync(server)
    server.reset_one("a")
    server.run("a", 3)
    server.run("b", 4)
    found = monitor.sync(server)
    assert dict((key, values[0]) for key, values in active(found)) == {"a": 3, "b": 4}
    assert [each["kind"] for each in found.events] == ["decrease"]


def test_a_statement_that_comes_to_take_enough_to_be_read_begins_at_a_baseline() -> None:
    server, monitor = Server(16, least_ms=20.0), Monitor()
    server.run("a", 30)
    server.run("b", 3)
    server.run("c", 30)
    monitor.sync(server)
    server.run("a", 5)
    server.run("b", 20)
    found = monitor.sync(server)
    assert {key: values[0] for key, values in active(found)} == {"a": 5}
    assert found.complete and not found.events, "it is no loss worth a word"
    server.run("b", 7)
    server.reset_one("c")
    found = monitor.sync(server)
    assert {key: values[0] for key, values in active(found)} == {"b": 7}
    assert [each["kind"] for each in found.events] == ["decrease"], "one that was read and is not there was dropped"
    server.least_ms = 50.0
    server.run("a", 2)
    found = monitor.sync(server)
    assert [each["kind"] for each in found.events] == ["visibility"]
    assert not found.vanished, "what is left out now may still be there"


def test_a_restart_that_kept_its_statistics_loses_nothing() -> None:
    server, monitor = Server(16), Monitor()
    server.run("a", 10)
    monitor.sync(server)
    server.run("a", 3)
    server.restart()
    server.run("a", 4)
    found = monitor.sync(server)
    assert found.calls == 7 and found.complete
    assert [each["kind"] for each in found.events] == ["restart"]


def test_idle_statements_cost_nothing_and_41_stay_41() -> None:
    server, monitor = Server(18), Monitor()
    server.run("a", 1)
    monitor.sync(server)
    server.run("a", 41)
    assert monitor.sync(server).calls == 41
    for _ in range(5):
        found = monitor.sync(server)
        assert (found.calls, found.active, found.changed, found.fresh, found.events) == (0, [], [], None, ())


def test_a_counter_that_becomes_measured_makes_no_spike() -> None:
    reading = Reading(Epoch("1", "primary", 1, 1, 0), 10, 10, (), True, 0, 0.0)
    columns = ("calls", "total_time_ms", "io_read_ms")
    kept = Kept()
    kept.read(None, columns, [("k", 5, 2.5, None), ("l", 5, 2.5, 1.0)], reading)
    ((_, second),) = active(kept.read(reading, columns, [("k", 6, 3.0, 900.0), ("l", 5, 2.5, 1.0)], reading))
    ((_, third),) = active(kept.read(reading, columns, [("k", 7, 3.5, 901.5), ("l", 5, 2.5, 1.0)], reading))
    io = deltas.DELTA_COLUMNS.index("io_time_ms")
    assert second[io] is None
    assert third[io] == 1.5


def test_counters_beyond_double_precision_stay_exact() -> None:
    reading = Reading(Epoch("1", "primary", 1, 1, 0), 10, 10, (), True, 0, 0.0)
    columns = ("calls", "total_time_ms", "shared_hit")
    near = 2**63 - 10
    kept = Kept()
    kept.read(None, columns, [("k", 3 * 10**9, 1e15, near)], reading)
    ((_, then),) = active(kept.read(reading, columns, [("k", 3 * 10**9 + 1, 1e15, near + 3)], reading))
    assert then[0] == 1
    assert then[deltas.DELTA_COLUMNS.index("shared_hit")] == 3


# Tables, indexes and the observation of their use


def same(**changes: Any) -> readings.Continuity:
    before = Reading(Epoch("1", "primary", 1, 5, 0), 10, 10, (), True, 0, 0.0)
    return readings.continuity(
        before,
        Epoch(
            **{"system_identifier": "1", "role": "primary", "started_at": 1, "stats_reset": 5, "evictions": 0} | changes
        ),
    )


def test_index_counters_zeroed_by_a_crash_end_the_observation() -> None:
    before = Reading(Epoch("1", "primary", 1, 5, 0), 10, 10, (), True, 0, 0.0)
    after = Epoch("1", "primary", 1, 20, 0)  # a crash moves nothing but this
    tie = readings.continuity(before, after)
    found = deltas_objects.objects(tie, {"i": {"scans": 7}, "j": {"scans": 0}}, {"i": {"scans": 2}, "j": {"scans": 0}})
    assert found.active == {"i": {"scans": 2}}
    assert deltas_objects.observation_break(before, after, tie, [found]) is not None


def test_a_reset_of_statements_alone_leaves_index_observation_unbroken() -> None:
    before = Reading(Epoch("1", "primary", 1, 5, 0), 10, 10, (), True, 0, 0.0)
    after = Epoch("1", "primary", 1, 20, 0)
    tie = readings.continuity(before, after)
    found = deltas_objects.objects(tie, {"i": {"scans": 7}, "j": {"scans": 3}}, {"i": {"scans": 9}, "j": {"scans": 3}})
    assert found.active == {"i": {"scans": 2}}
    assert deltas_objects.observation_break(before, after, tie, [found]) is None


def test_a_crash_that_leaves_no_witness_ends_the_observation() -> None:
    before = Reading(Epoch("1", "primary", 1, 5, 0), 10, 10, (), True, 0, 0.0)
    after = Epoch("1", "primary", 1, 20, 0)
    tie = readings.continuity(before, after)
    found = deltas_objects.objects(tie, {"i": {"scans": 0}}, {"i": {"scans": 0}})
    assert deltas_objects.observation_break(before, after, tie, [found]) is not None


def test_a_reset_of_object_counters_ends_the_observation_though_nothing_fell() -> None:
    before = Reading(Epoch("1", "primary", 1, 5, 0, objects_reset=3), 10, 10, (), True, 0, 0.0)
    after = Epoch("1", "primary", 1, 5, 0, objects_reset=15)
    tie = readings.continuity(before, after)
    assert deltas_objects.observation_break(before, after, tie, [deltas_objects.objects(tie, {}, {})]) is not None


@pytest.mark.parametrize(("became", "broken"), [(8, False), (15, True)])
def test_the_first_count_in_a_new_database_is_no_reset(became: int, broken: bool) -> None:
    before = Reading(Epoch("1", "primary", 1, 5, 0), 10, 10, (), True, 0, 0.0)
    after = Epoch("1", "primary", 1, 5, 0, objects_reset=became)
    tie = readings.continuity(before, after)
    event = deltas_objects.observation_break(before, after, tie, [deltas_objects.objects(tie, {}, {})])
    assert (event is not None) == broken


def test_deltas_are_the_same_in_one_part_or_many(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Reading(Epoch("1", "primary", 1, 1, 0), 10, 10, (), True, 0, 0.0)
    after = Reading(Epoch("1", "primary", 1, 1, 0), 20, 20, (), True, 0, 0.0)
    old = [(f"k{n}", n + 5, float(n), 3, None, 0.5, 0.9, 7) for n in range(50)]
    new = [
        (key, 1 if n % 7 == 0 else calls + n % 3, total + n % 3, rows, None, least, most, since)
        for n, (key, calls, total, rows, _, least, most, since) in enumerate(old)
    ]
    found = {}
    for size in (1, 7, 50, 256):
        monkeypatch.setattr(baselines, "SIZE", size)
        kept = Kept()
        rows = list(old)
        kept.read(None, COLUMNS, rows, before)
        assert not rows, "they are let go as they are compared"
        assert len(kept.blocks) == -(-50 // size)
        then = kept.read(before, COLUMNS, list(reversed(new)), after)
        found[size] = (sorted(active(then)), sorted(then.extremes), then.events, then.calls, then.time_ms)
    assert len(found[256][0]) > 30 and found[256][2]
    assert all(each == found[256] for each in found.values())


def test_dropping_a_partition_is_not_a_reset_of_its_parent() -> None:
    found = deltas_objects.objects(same(), {"p": {"seq_scan": 90}}, {"p": {"seq_scan": 40}}, derived={"p"})
    assert found.active == {} and not found.fell


# Time


def reading_at(ours: int, servers: int) -> Reading:
    return Reading(Epoch("1", "primary", 1, 1, 0), servers, ours, (), True, 0, 0.0)


def test_spans_follow_each_other() -> None:
    assert readings.span(None, reading_at(100_000, 100_000), 60_000) == readings.Span(None, 100_000)
    assert readings.span(reading_at(100_000, 7), reading_at(160_000, 60_007), 60_000) == readings.Span(100_000, 160_000)


def test_a_long_pause_is_a_gap_and_keeps_its_counts() -> None:
    found = readings.span(reading_at(0, 0), reading_at(600_000, 600_000), 60_000)
    assert (found.start_at, found.end_at) == (0, 600_000)
    assert [each["kind"] for each in found.events] == ["gap"]


@pytest.mark.parametrize("step", [-900, 900])
def test_a_second_by_which_a_clock_is_corrected_has_no_effect(step: int) -> None:
    start = 1_800_000_000_000
    found = readings.span(reading_at(start, start), reading_at(start + 60_000 + step, start + 60_000), 60_000)
    assert found == readings.Span(start, start + 60_000 + step)


@pytest.mark.parametrize("jump", [3_600_000, -3_600_000, 315_360_000_000, -1_700_000_000_000])
@pytest.mark.parametrize("whose", ["ours", "the server's"])
def test_a_clock_that_jumps_makes_no_negative_and_no_giant_span(jump: int, whose: str) -> None:
    start = 1_800_000_000_000
    ours, servers = (60_000 + jump, 60_000) if whose == "ours" else (60_000, 60_000 + jump)
    found = readings.span(reading_at(start, start), reading_at(start + ours, start + servers), 60_000)
    assert found.start_at is not None and found.end_at - found.start_at == 60_000
    assert [each["kind"] for each in found.events] == ["clock"]
