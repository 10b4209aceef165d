"""A connection at a glance: its figures over the window, the load as a chart, what is worth doing most, what was done.

In: what `store.history.overview`, `store.suggestions` and `store.activity` say. Out: columns, pieces of text, a trend
and the state that stands in its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from meshag_tui.advisor.score import Health
from meshag_tui.engines import words_for
from meshag_tui.figures import ago, count, duration, number_of, percent
from meshag_tui.glyphs import glyphs
from meshag_tui.live import WAIT_CLASSES, WAIT_WORDS, Vital
from meshag_tui.screens.models_money import money
from meshag_tui.screens.query_facts import losses, trend_of
from meshag_tui.screens.sessions_facts import vital_words
from meshag_tui.screens.suggestions_facts import gain_word, priority_tone, priority_word
from meshag_tui.screens.why_empty import missing_state, unread
from meshag_tui.snapshot import UNSEEN
from meshag_tui.store import activity, ledger, sampled, suggestions
from meshag_tui.store.activity import Entry
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.store.history import Overview
from meshag_tui.store.suggestions import StoredSuggestion
from meshag_tui.text import one_line
from meshag_tui.types import ConnectionStatus, Finding, Window
from meshag_tui.widgets.chart import Trend
from meshag_tui.widgets.page import Piece
from meshag_tui.widgets.stacked import Stack
from meshag_tui.widgets.states import READY, Condition, State
from meshag_tui.workflows.turns import servers
from meshag_tui.workflows.watching import judge

WORTH_DOING = 3
LATELY_MS = 15 * 60_000
_OLD_MS = 10 * 60_000
_VITAL_WORDS = {
    "hit_ratio": "hits",
    "connections": "connections",
    "lag_ms": "lag",
    "oldest_ms": "oldest transaction",
    "age": "age",
}
_RECENT = 4


class Around(NamedTuple):
    """How a connection fares, what is to be decided on it, and what was decided last; `load` in as many steps as there
    was room for."""

    worth: tuple[StoredSuggestion, ...]
    recent: tuple[Entry, ...]
    vitals: tuple[int, Mapping[str, Vital]] | None = None  # when they were read last, epoch ms
    waits: Mapping[str, float] | None = None  # average active sessions by wait class, lately; None: nobody looked
    health: Health | None = None
    load: tuple[sampled.Bucket, ...] = ()  # average active sessions over what was sampled of the window
    asked: tuple[ledger.Sum, ...] = ()  # the calls of models about it in the window, by currency


def around(connection_id: str, now_ms: int, slow_ms: float, window: Window, steps: int) -> Around:
    """Read it, in the store's thread. `slow_ms`: the mean from which one is slow; `window` of load and spend."""
    urgent = suggestions.listing(connection_id, open_only=True, limit=WORTH_DOING)
    (lately,) = sampled.load(connection_id, Window(now_ms - LATELY_MS, now_ms), 1)
    return Around(
        urgent,
        activity.recent(_RECENT, connection=connection_id),
        sampled.newest_vitals(connection_id, now_ms),
        lately.active,
        judge(connection_id, slow_ms, now_ms),
        sampled.load(connection_id, sampled.observed_part(connection_id, window), steps),
        ledger.pivot("connection", window.start, window.end, connection_id),
    )


def active(found: Overview) -> int | None:
    """Sessions that worked when the server was last read; None: they were not counted, or not all were ours to see."""
    states = None if found.sessions is None else found.sessions["by_state"]
    return None if states is None or states.get(UNSEEN) else int(states.get("active", 0))


def load_stack(name: str, known: Around) -> Stack:
    """Average active sessions of a connection over what was sampled of the window, by what they waited for."""
    parts = tuple(
        None if each.active is None else tuple(each.active.get(wait, 0.0) for wait in WAIT_CLASSES)
        for each in known.load
    )
    names = tuple(WAIT_WORDS[wait] for wait in WAIT_CLASSES)
    return Stack(f"{name}: active sessions", names, known.load[0].start_at, known.load[-1].end_at, parts)


def health_pieces(health: Health) -> list[Piece]:
    """The score, and what takes most of it."""
    between = glyphs().separator
    unread = f", {100 - health.judged} points not judged" if health.judged < 100 else ""
    said: list[Piece] = [("dim", f"{'Health':<9}"), ("", f"{health.score} of 100{unread}")]
    for item in sorted((each for each in health.items if each.lost), key=lambda each: -each.lost):
        sign = glyphs().bad if item.verdict == "critical" else glyphs().warning
        said.append((item.verdict, f"{between}{sign} {item.title.lower()} {item.said} -{item.lost}"))
    return [*said, ("", "\n")]


def uncounted(info: ConnectionInfo) -> Finding | None:
    """Why no statements are counted at all on a connection, if that is so: 0 of them would then be no figure."""
    found = unread(info, words_for(info.engine or info.db_type).statement_findings)
    return found if found is not None and found.severity == "missing" else None


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
    if (missing := uncounted(info)) is not None:
        return missing_state(missing, any_rows=False)
    if found.syncs:
        why = "Figures are of what happened between two readings: after the first there are none yet."
        return State(Condition.EMPTY, "read once in this window", why, f"{sync} reads it now.")
    return State(Condition.EMPTY, "nothing was observed in this window", remedy=f"{window} looks at a longer one.")


def figure_pieces(info: ConnectionInfo, found: Overview | None, span: str, slow_ms: float) -> list[Piece]:
    """The figures in two or three lines; nothing where there are none."""
    if found is None or not found.syncs:
        return []
    between = glyphs().separator
    slow = f"{glyphs().warning} {count(found.slow)} slow" if found.slow else "none slow"
    missing = None if found.statements else uncounted(info)
    said: list[Piece] = [("dim", f"{span:<9}")]
    said += (
        [("warning", f"{one_line(missing.title)}\n")]
        if missing is not None
        else [
            ("", f"{number_of(found.calls, 'call')}{between}mean {duration(found.mean_time_ms)}"),
            ("", f"{between}{number_of(found.statements, 'statement')}, "),
            ("warning" if found.slow else "", slow),
            ("", f" (from {duration(slow_ms)})\n"),
        ]
    )
    if found.sessions is not None:
        by_state, limit = found.sessions["by_state"], found.sessions.get("max_connections") or None
        states = ", ".join(f"{number} {one_line(state)}" for state, number in sorted(by_state.items()) if number)
        of = f" of {count(limit)}" if limit else ""
        said += [("dim", f"{'Sessions':<9}"), ("", f"{count(sum(by_state.values()))}{of}")]
        said.append(("", f": {states}\n" if states else "\n"))
    if lost := losses(found.events, found.complete):
        said += [("dim", f"{'Counts':<9}"), ("" if found.complete else "warning", f"{lost}\n")]
    return said


def ours_pieces(info: ConnectionInfo, known: Sequence[ConnectionInfo], most: int) -> list[Piece]:
    """How many sessions of ours its server has at most; nothing where it is the only connection (of `known`) there."""
    there = servers(known)
    sharing = sum(server == there.get(info.id) for server in there.values())
    if sharing < 2:
        return []
    return [("dim", f"{'Ours':<9}"), ("", f"{most} sessions at most, of all {sharing} connections to this server\n")]


def vital_lines(known: Around, now_ms: float) -> list[Piece]:
    """What waits for what lately, and the vital figures, each with why it is not there; nothing where nobody looked."""
    between = glyphs().separator
    said: list[Piece] = []
    if known.waits is not None:
        total = sum(known.waits.values())
        parts = sorted(known.waits.items(), key=lambda each: -each[1])
        shares = between.join(f"{WAIT_WORDS.get(name, name)} {percent(part / total)}" for name, part in parts if part)
        said += [
            ("dim", f"{'Active':<9}"),
            ("", f"{total:.1f} on average in 15 min{between if shares else ''}{shares}\n"),
        ]
    if known.vitals is None:
        return said
    at, vitals = known.vitals
    said.append(("dim", f"{'Vitals':<9}"))
    for number, (name, words) in enumerate(_VITAL_WORDS.items()):
        vital = vitals.get(name)
        look = "" if vital is not None and vital.state in ("ok", "no data") else "warning"
        words = (vital.title if vital is not None else "") or words
        said.append((look, f"{between if number else ''}{words} {vital_words(name, vital)}"))
    said.append(("dim", f"{between}{ago(at, now_ms)}\n" if now_ms - at > _OLD_MS else "\n"))
    for fix in dict.fromkeys(vital.fix for vital in vitals.values() if vital.fix):
        said += [("dim", f"{'':<9}"), ("accent", f"{fix}\n")]
    return said


def spent_pieces(asked: Sequence[ledger.Sum], span: str) -> list[Piece]:
    """What models cost that were asked about a connection. Answers without a known price are no part of the sum: they
    are counted beside it, and where there are no others no sum is given."""
    label: Piece = ("dim", f"{'Models':<9}")
    calls, unpriced = sum(one.calls for one in asked), sum(one.unpriced for one in asked)
    if not calls:
        return [label, ("", f"none asked in {span}\n")]
    between = glyphs().separator
    sums = " + ".join(money(one.cost, one.currency) for one in asked if one.cost)
    spent = "" if calls == unpriced else f"{sums or 'nothing'} spent in {span}{between}"
    said: list[Piece] = [label, ("", f"{spent}{number_of(calls, 'call')}{'' if spent else f' in {span}'}")]
    if unpriced:
        said.append(("warning", f"{between}{glyphs().warning} {count(unpriced)} unpriced"))
    return [*said, ("", "\n")]


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
