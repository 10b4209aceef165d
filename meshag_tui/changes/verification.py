"""Compare an applied change with the time before it, from what the store counted: one look at one change.

In: a change that is done, and the history of its connection. Out: a `Look`, which is written down by whoever asked.
Compared are the statements the change was made for, and all others that name its table, so that what it costs them
counts too; statements that have nothing to do with it show how the machine fared meanwhile. Beside them stand the
rows written to the table, the use of a made index, and the plans before and after. Runs in a thread of the store and
only reads.

The window grows with the time since, up to `[verify] window_h`: as long before the change as after it (but a dozen
syncs, if there were as many), without what ran while it was made, without intervals in which counts were lost, and no
further than to another change of the same table. Changes of a table with next to no syncs between them are measured as
one. When the last word is spoken, somebody may still ask for a later window: what it says stands beside that word.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from meshag_tui.changes import concerned
from meshag_tui.changes.concerned import same_table
from meshag_tui.changes.effect import LEAST_BATCHES, Between, Side, Span, saved_ms_per_day
from meshag_tui.changes.unmoved import unmoved
from meshag_tui.changes.verdicts import LEVEL, MOST_STATEMENTS, Verdict, Watched, judge
from meshag_tui.figures import duration
from meshag_tui.plan import steps
from meshag_tui.settings import VerifySettings
from meshag_tui.store import changes, database, history, history_plans, history_queries, outcomes
from meshag_tui.store.changes import ChangeRow
from meshag_tui.store.history import Observed, StoredPlan
from meshag_tui.store.ids import query_uid
from meshag_tui.store.outcomes import ChangeOutcome, OutcomeState
from meshag_tui.store.readings import LOSSLESS
from meshag_tui.types import ChangeState, CreateIndex, MeshagError, RestoreIndex, Window, table_of

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
SKEW_MS = 1_000
"""How far the clocks of server and store may differ: what ends or begins so near to the change is left out."""
EARLY = (1 / 288, 1 / 96, 1 / 48, 1 / 24, 1 / 12, 1 / 6, 1 / 3, 1.0)
"""When is looked, in windows since the change: with a day's window after 5 minutes, 15, 30, 1, 2, 4, 8, 24 hours."""
_DOZEN = 12


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found. `document` is the outcome's `result`; `next_look_at` epoch ms, None: nobody looks again;
    `unused`: the index it made was used by nobody for as long as is waited for that."""

    verdict: Verdict
    document: Mapping[str, Any]
    settled: bool
    next_look_at: int | None
    unused: bool = False


def looks_in_all(settings: VerifySettings) -> int:
    """How often a change is looked at, at most."""
    return len(EARLY) + max(0, settings.patience_windows - 1)


def look(change_id: str, settings: VerifySettings, *, later: bool = False) -> Look:
    """Look at one change now.

    Args:
        later: its window is over: compare the last window there is with the one before the change.

    Raises:
        MeshagError: it is not done, or was made before outcomes were kept.
    """
    row, outcome = changes.get(change_id), outcomes.get(change_id)
    if outcome is None:
        raise MeshagError(f"{change_id} was applied before MeshAG kept forecasts: there is nothing to compare it with")
    if row.state is not ChangeState.DONE or row.finished_at is None or row.started_at is None:
        raise MeshagError(f"{change_id} is {row.state}: only what is done can be compared with the time before")
    now = max(database.now_ms(), row.finished_at + 1)
    longest = round(_window_ms(settings) * max(1, settings.patience_windows))
    found = history.intervals(
        row.connection_id, Window(row.started_at - 2 * longest, max(now, row.finished_at + 2 * longest))
    )
    run = _run(row, found)
    before, after = _last_window(run, settings, now) if later else _windows(run, settings, now)
    before = _a_dozen(found, run, before, settings)
    neighbour = run.following
    sides = [_whole(found, window) for window in (before, after)]
    lost = [loss.kind for window in (before, after) for loss in _lost(found, window)]
    targets = [int(each) for each in outcome.forecast.get("query_ids", ())]
    watched = concerned.watched(row.connection_id, row.change, targets, Window(before.start, after.end))
    both = Window(before.start, after.end)
    counted = _counted(row.connection_id, both, [*watched.roles, *watched.controls])
    first, second = (Side(spans, counted) for spans in sides)
    verdict = judge(
        first,
        second,
        watched,
        lost=lost,
        least_calls=settings.least_calls,
        looks=looks_in_all(settings),
        gain=outcome.gain_ms_per_day,
        affected=outcome.forecast.get("affected_ms_per_day"),
        unmoved=unmoved(row, outcome, watched, both, sides, now),
    )
    verdict = _shared(verdict, outcome, run)
    windows = (now - row.finished_at) / _window_ms(settings)
    if neighbour is not None and verdict.state in (OutcomeState.WAITING, OutcomeState.INCOMPARABLE):
        after_it = duration(max(0, (neighbour.started_at or 0) - run.done))
        said = f"{neighbour.id} changed the same table {after_it} later: what each of them did cannot be told apart"
        verdict = Verdict(OutcomeState.INCOMPARABLE, said, "neighbour")
    settled = later or _settled(verdict, windows, settings, neighbour is not None)
    index = _index(row)
    due = (settings.unused_index_days * DAY_MS) + row.finished_at
    unused = index is not None and index["scans"] == 0 and now >= due
    following = _next(row, windows, settings, settled)
    if following is None and index is not None and index["scans"] == 0 and now < due:
        following = round(due)
    if verdict.reason == "few-syncs" and not settled:
        following = now  # each sync brings one more: what is said follows them
    document = {
        **_document(verdict, first, second, watched),
        "window": {"before": [before.start, before.end], "after": [after.start, after.end]},
        "intervals": {"before": len(first.spans), "after": len(second.spans), "left_out": len(lost)},
        "reads": _reads(row.connection_id, both, sides, watched),
        "index": index,
        "plans": _plans(row, targets, now),
        "writes": _writes(row, before, after),
        "together": [each.id for each in run.others],
        "neighbour": None if neighbour is None else neighbour.id,
    }
    return Look(verdict, document, settled, following, unused)


# ---------------------------------------------------------------------------------------------- when


def _window_ms(settings: VerifySettings) -> float:
    return max(1.0, settings.window_h * HOUR_MS)


def _at(row: ChangeRow, windows: float, settings: VerifySettings) -> int:
    return round((row.finished_at or row.updated_at) + windows * _window_ms(settings))


def _next(row: ChangeRow, windows: float, settings: VerifySettings, settled: bool) -> int | None:
    if settled:
        return None
    later = [share for share in (*EARLY, *range(2, settings.patience_windows + 1)) if share > windows]
    return _at(row, later[0], settings) if later else None


def _settled(verdict: Verdict, windows: float, settings: VerifySettings, cut_short: bool) -> bool:
    """Whether waiting longer would say more."""
    if verdict.reason in ("unwatched", "neighbour") or cut_short:
        return True
    if verdict.state in (OutcomeState.WAITING, OutcomeState.INCOMPARABLE):
        return windows >= max(1, settings.patience_windows)
    return windows >= 1


class _Run(NamedTuple):
    """Changes of the same table with too few syncs between them to tell them apart: they are measured as one.

    `others` are those beside the one that is looked at; `begun` and `done` are of all, epoch ms; `free_since` is when
    the change before them was over; `following` is the next one after them.
    """

    others: tuple[ChangeRow, ...]
    begun: int
    done: int
    free_since: int
    following: ChangeRow | None


def _run(row: ChangeRow, found: Sequence[Observed]) -> _Run:
    same = [each for each in outcomes.neighbours(row) if same_table(row.change, each.change)]
    line = sorted([row, *same], key=lambda each: (each.started_at or 0, each.id))

    def apart(one: ChangeRow, other: ChangeRow) -> bool:
        return len(_whole(found, Window(one.finished_at or 0, other.started_at or 0))) >= LEAST_BATCHES

    first = last = next(number for number, each in enumerate(line) if each.id == row.id)
    while first > 0 and not apart(line[first - 1], line[first]):
        first -= 1
    while last + 1 < len(line) and not apart(line[last], line[last + 1]):
        last += 1
    members = line[first : last + 1]
    return _Run(
        others=tuple(each for each in members if each.id != row.id),
        begun=min(each.started_at or 0 for each in members),
        done=max(each.finished_at or 0 for each in members),
        free_since=(line[first - 1].finished_at or 0) if first else 0,
        following=line[last + 1] if last + 1 < len(line) else None,
    )


def _windows(run: _Run, settings: VerifySettings, now: int) -> tuple[Window, Window]:
    """As long before the run as after it, each cut at another change of the same table."""
    longest = _window_ms(settings) * max(1, settings.patience_windows)
    gone = max(1, now - run.done)
    since = round(min(gone, longest))
    end = run.done + since
    if run.following is not None and run.following.started_at is not None:
        end = max(run.done, min(end, run.following.started_at))
    return Window(max(run.begun - since, run.free_since), run.begun), Window(run.done, end)


def _last_window(run: _Run, settings: VerifySettings, now: int) -> tuple[Window, Window]:
    """The window before the run, and the last whole one since, up to another change of the same table."""
    length = round(_window_ms(settings))
    end = now if run.following is None or run.following.started_at is None else min(now, run.following.started_at)
    before = Window(max(run.begun - length, run.free_since), run.begun)
    return before, Window(max(run.done, end - length), max(run.done, end))


def _a_dozen(found: Sequence[Observed], run: _Run, before: Window, settings: VerifySettings) -> Window:
    """The window before it, longer where fewer than a dozen syncs lie in it, but no longer than a whole window."""
    starts = [
        each.start_at
        for each in found
        if each.start_at is not None and each.complete and each.timed and each.end_at <= before.end - SKEW_MS
    ]
    dozen = sorted(starts)[-_DOZEN:]
    earliest = max(run.free_since, before.end - round(_window_ms(settings)))
    return Window(min(before.end, max(earliest, min([before.start, *(at - SKEW_MS for at in dozen)]))), before.end)


def _shared(verdict: Verdict, outcome: ChangeOutcome, run: _Run) -> Verdict:
    """What is said of a change that is measured together with others. Whether its forecast held is only known where it
    was made for statements that none of the others was made for."""
    if not run.others or verdict.saved is None:
        return verdict
    own, theirs = set(outcome.forecast.get("query_ids", ())), set[int]()
    for each in run.others:
        other = outcomes.get(each.id)
        theirs.update(() if other is None else other.forecast.get("query_ids", ()))
    held = verdict.held if own and not own & theirs else None
    return replace(verdict, held=held, said=f"{verdict.said}, with {', '.join(each.id for each in run.others)}")


# ---------------------------------------------------------------------------------------------- what was counted


def _whole(found: Sequence[Observed], window: Window) -> tuple[Span, ...]:
    """The intervals that lie in the window, in which nothing was lost."""
    return tuple(
        Span(each.id, each.length_ms / 1000, each.calls)
        for each in found
        if each.complete and each.timed and each.length_ms > 0 and _inside(each, window)
    )


def _inside(each: Observed, window: Window) -> bool:
    start = each.start_at if each.start_at is not None else each.end_at
    return start >= window.start + SKEW_MS and each.end_at <= window.end - SKEW_MS


def _lost(found: Sequence[Observed], window: Window) -> Iterable[Any]:
    """What was lost in intervals of the window that were left out for it."""
    for each in found:
        if window.start < each.end_at <= window.end and not each.complete:
            yield from (event for event in each.events if event.kind not in LOSSLESS)


def _counted(
    connection_id: str, window: Window, ids: Collection[int]
) -> Mapping[int, Mapping[int, tuple[float, float]]]:
    """Calls and time by interval, statements of one fingerprint as one."""
    return history_queries.amounts(connection_id, window, history_queries.shown_as(connection_id, list(ids)))


def _reads(
    connection_id: str, window: Window, sides: Sequence[tuple[Span, ...]], watched: Watched
) -> dict[str, float] | None:
    """Blocks read less a day since the change, by the same arithmetic as time; None where the server counts none."""
    shown = history_queries.shown_as(connection_id, list(watched.roles))
    read = history_queries.amounts(connection_id, window, shown, "shared_read")
    before, after = (Side(spans, read) for spans in sides)
    return _between(saved_ms_per_day(before, after, list(watched.roles), LEVEL))


def _index(row: ChangeRow) -> dict[str, Any] | None:
    """Use since then, and size, of an index that the change made; `scans` None: not read yet since."""
    if not isinstance(row.change, CreateIndex | RestoreIndex):
        return None
    name = str(row.target.get("catalogue", {}).get("index", ""))
    everything = Window(row.finished_at or 0, database.now_ms())
    for found in history.indexes(row.connection_id, everything):
        if (found.stats.schema, found.stats.table) == table_of(row.change) and found.stats.name == name:
            return {"name": name, "scans": found.scans, "size_bytes": found.stats.size_bytes}
    return None


def _plans(row: ChangeRow, targets: Sequence[int], now: int) -> list[dict[str, Any]]:
    """The plans of the statements it was made for: the last one kept before it, and the last one since."""
    before = history_plans.planned(targets, 0, row.started_at or 0)
    after = history_plans.planned(targets, row.finished_at or 0, now)
    return [
        {"query_id": query_uid(each), "before": _plan(before.get(each)), "after": _plan(after.get(each))}
        for each in targets
        if each in before or each in after
    ]


def _plan(stored: StoredPlan | None) -> dict[str, Any] | None:
    if stored is None:
        return None
    plan = stored.plan
    return {"id": stored.id, "hash": plan.hash, "cost": plan.cost, "mode": plan.mode, "nodes": steps(plan)}


def _writes(row: ChangeRow, before: Window, after: Window) -> dict[str, Any] | None:
    """Rows written to the table by second on each side, and the share of updates that touched no index."""
    rates: dict[str, Any] = {}
    for name, window in (("before", before), ("after", after)):
        seconds = sum(
            (each.end_at - each.objects_since) / 1000
            for each in history.intervals(row.connection_id, window)
            if each.objects_since is not None
        )
        found = next(
            (
                each
                for each in history.tables(row.connection_id, window)
                if (each.stats.schema, each.stats.name) == table_of(row.change)
            ),
            None,
        )
        if found is None or seconds <= 0 or found.inserts is None:
            return None
        rows = (found.inserts or 0) + (found.updates or 0) + (found.deletes or 0)
        rates[f"{name}_per_s"] = round(rows / seconds, 4)
        rates[f"{name}_hot"] = found.hot_updates / found.updates if found.hot_updates and found.updates else None
    return rates


# ---------------------------------------------------------------------------------------------- written down


def _document(verdict: Verdict, before: Side, after: Side, watched: Watched) -> dict[str, Any]:
    spent = sorted(watched.roles, key=lambda each: -(before.time_ms(each) + after.time_ms(each)))
    return {
        "said": verdict.said,
        "reason": verdict.reason,
        "level": LEVEL,
        "saved": _between(verdict.saved),
        "targets": _between(verdict.targets),
        "writers": _between(verdict.writers),
        "expected_ms_per_day": verdict.expected,
        "load": {"before_per_s": before.calls_per_s, "after_per_s": after.calls_per_s},
        "machine": None if verdict.machine is None else {"times": verdict.machine[0], "statements": verdict.machine[1]},
        "slower": [query_uid(each) for each in verdict.slower],
        "statements": [_statement(each, before, after, watched) for each in spent[:MOST_STATEMENTS]],
    }


def _statement(query_id: int, before: Side, after: Side, watched: Watched) -> dict[str, Any]:
    return {
        "query_id": query_uid(query_id),
        "role": watched.roles[query_id],
        "calls": [before.calls(query_id), after.calls(query_id)],
        "mean_ms": [before.mean_ms(query_id), after.mean_ms(query_id)],
        "saved": _between(saved_ms_per_day(before, after, [query_id], LEVEL)),
    }


def _between(found: Between | None) -> dict[str, float] | None:
    """None also where the interval has no end: too little ran to say anything."""
    if found is None or not all(map(math.isfinite, found)):
        return None
    return {name: round(value, 3) for name, value in found._asdict().items()}
