"""A connection at a glance: its figures over the window, the load as a chart, what is worth doing most, what was done.

In: what `store.history.overview`, `store.suggestions` and `store.activity` say. Out: columns, pieces of text, a trend
and the state that stands in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from meshag_tui.screens.query_facts import losses, trend_of
from meshag_tui.screens.suggestions_facts import gain_word, priority_tone, priority_word
from meshag_tui.snapshot import UNSEEN
from meshag_tui.store import activity, suggestions
from meshag_tui.store.activity import Entry
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.store.history import Overview
from meshag_tui.store.suggestions import StoredSuggestion
from meshag_tui.text import ago, count, duration, glyphs, number_of, one_line
from meshag_tui.types import ConnectionStatus
from meshag_tui.widgets.chart import Trend
from meshag_tui.widgets.page import Piece
from meshag_tui.widgets.states import READY, Condition, State

WORTH_DOING = 3
_RECENT = 4


class Around(NamedTuple):
    """What is to be decided on a connection, and what was decided last."""

    worth: tuple[StoredSuggestion, ...]
    recent: tuple[Entry, ...]


def around(connection_id: str) -> Around:
    """Read it, in the store's thread."""
    urgent = suggestions.most_urgent(connection_id, WORTH_DOING)
    return Around(urgent, activity.recent(_RECENT, connection=connection_id))


def active(found: Overview) -> int | None:
    """Sessions that worked when the server was last read; None: they were not counted, or not all were ours to see."""
    states = None if found.sessions is None else found.sessions["by_state"]
    return None if states is None or states.get(UNSEEN) else int(states.get("active", 0))


def load_trend(name: str, found: Overview | None) -> Trend | None:
    """The load of a connection over the window; where nothing was observed there is a gap."""
    if found is None:
        return None
    trend = trend_of(found.load, 0, found.events)
    return replace(trend, title=f"{name}: {trend.title}")


def load_state(info: ConnectionInfo, found: Overview | None, keys: dict[str, str]) -> State:
    """What is said above the chart, or in its place. `keys`: of `sync-now`, `connection-pause` and `choose-window`."""
    sync, pause, window = (keys[name] for name in ("sync-now", "connection-pause", "choose-window"))
    measured = found is not None and found.ms_per_s is not None
    if info.status is ConnectionStatus.INACTIVE:
        again = f"{pause} starts it again."
        return State(Condition.STALE if measured else Condition.EMPTY, "it is not synced any more", remedy=again)
    if info.status is ConnectionStatus.ERROR:
        what = "it cannot be read" if info.last_sync_at else "it could not be read yet"
        return State(Condition.STALE if measured else Condition.ERROR, what, remedy=f"{sync} tries again.")
    if info.last_sync_at is None:
        return State(Condition.EMPTY, "it was never read", remedy=f"{sync} reads it now.")
    if found is None:
        return State(Condition.LOADING)
    if measured:
        return READY
    if found.syncs:
        why = "Figures are of what happened between two readings: after the first there are none yet."
        return State(Condition.EMPTY, "read once in this window", why, f"{sync} reads it now.")
    return State(Condition.EMPTY, "nothing was observed in this window", remedy=f"{window} looks at a longer one.")


def figure_pieces(found: Overview | None, span: str, slow_ms: float) -> list[Piece]:
    """The figures in two or three lines; nothing where there are none."""
    if found is None or not found.syncs:
        return []
    between = glyphs().separator
    slow = f"{glyphs().warning} {count(found.slow)} slow" if found.slow else "none slow"
    said: list[Piece] = [
        ("dim", f"{span:<9}"),
        ("", f"{number_of(found.calls, 'call')}{between}mean {duration(found.mean_time_ms)}"),
        ("", f"{between}{number_of(found.statements, 'statement')}, "),
        ("warning" if found.slow else "", slow),
        ("", f" (from {duration(slow_ms)})\n"),
    ]
    if found.sessions is not None:
        by_state, limit = found.sessions["by_state"], found.sessions.get("max_connections") or None
        states = ", ".join(f"{number} {one_line(state)}" for state, number in sorted(by_state.items()) if number)
        of = f" of {count(limit)}" if limit else ""
        said += [("dim", f"{'Sessions':<9}"), ("", f"{count(sum(by_state.values()))}{of}")]
        said.append(("", f": {states}\n" if states else "\n"))
    if lost := losses(found.events, found.complete):
        said += [("dim", f"{'Counts':<9}"), ("" if found.complete else "warning", f"{lost}\n")]
    return said


def worth_pieces(worth: Sequence[StoredSuggestion], keys: Sequence[str], more: int) -> list[Piece]:
    """What is worth doing most, each with the key that opens it; `more` is how many others are open."""
    said: list[Piece] = []
    for key, each in zip(keys, worth, strict=False):
        word = priority_word(each.priority)
        gain = gain_word(each.gain_ms_per_day)
        said += [
            ("accent", f"{key:<2}"),
            (priority_tone(word), f"{word:<9}"),
            ("dim", f"{gain}  " if gain else ""),
            ("", f"{one_line(each.title, None, ' ')}\n"),
        ]
    if said:
        others = f"  ({count(more)} more)" if more > 0 else ""
        said.insert(0, ("bold", "Worth doing"))
        said.insert(1, ("dim", f"{others}\n"))
    return said


def recent_pieces(recent: Sequence[Entry], now_ms: float) -> list[Piece]:
    """What was done last, the newest first."""
    said: list[Piece] = []
    for entry in recent:
        said += [
            ("dim", f"{ago(entry.at, now_ms):<11}{one_line(entry.actor, 12)} "),
            ("dim", f"{entry.kind} "),
            ("", f"{one_line(entry.message, None, ' ')}\n"),
        ]
    return [("bold", "Done last\n"), *said] if said else []
