"""What sessions did, minute by minute: average active sessions by wait class, and the sessions worth remembering.

In: what `workflows.sampling` counted of a span. Out: buckets of a window, to plot and to scroll back through. Spans may
overlap where two processes sample one server: the load of a moment is the sum over all divided by their samples, which
does not depend on who took them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import peewee

from meshag_tui.live import WAIT_CLASSES, Vital
from meshag_tui.store import bulk, database, models
from meshag_tui.store.documents import clean, document
from meshag_tui.types import Window

_TEXT = 8_000
"""Characters of a text that are kept."""


@dataclass(frozen=True, slots=True)
class SeenSession:
    """A session as it was seen in `seen` samples of a span. `ms` is the longest its statement or, idle in a
    transaction, its transaction had then taken."""

    id: int
    user: str
    database: str
    client: str
    application: str
    kind: str
    state: str
    wait: str | None
    event: str
    ms: float | None
    fingerprint: str | None
    blocked_by: tuple[int, ...]
    seen: int
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """What was seen in (start_at, end_at] (epoch ms); `active` are sums over the samples, by wait class."""

    start_at: int
    end_at: int
    samples: int
    active: Mapping[str, float]
    sessions: tuple[SeenSession, ...]
    vitals: Mapping[str, Vital] | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """Average active sessions by wait class in a step of a window; None: nobody looked."""

    start_at: int
    end_at: int
    active: Mapping[str, float] | None

    @property
    def total(self) -> float | None:
        return None if self.active is None else sum(self.active.values())


def add_all(spans: Mapping[str, Span]) -> None:
    """Keep a span of each of these connections that is still there."""
    with database.atomic():
        row = models.Connection
        known: Any = row.select(row.id).where(row.id.in_(list(spans))).tuples()
        for (connection_id,) in known:
            add(connection_id, spans[connection_id])


def add(connection_id: str, span: Span) -> None:
    """Keep a span: one row, and the texts that are new."""
    texts = {each.fingerprint: each.text[:_TEXT] for each in span.sessions if each.fingerprint and each.text}
    sessions = [{key: value for key, value in asdict(each).items() if key != "text"} for each in span.sessions]
    row = models.Sampled
    row.insert(
        connection=connection_id,
        start_at=span.start_at,
        end_at=span.end_at,
        samples=span.samples,
        active=document(dict(span.active)),
        sessions=document(sessions),
        vitals=document({name: asdict(vital) for name, vital in span.vitals.items()}) if span.vitals else None,
    ).execute()
    if texts:
        bulk.upsert(
            models.SampledText._meta.table_name,
            ("connection_id", "fingerprint", "text", "seen_at"),
            [(connection_id, fingerprint, clean(text), span.end_at) for fingerprint, text in texts.items()],
            key=("connection_id", "fingerprint"),
            update=("seen_at",),
        )


def load(connection_id: str, window: Window, steps: int) -> tuple[Bucket, ...]:
    """The window in `steps` equal steps. A span counts in each step by the part of it that lies there."""
    width = max(1, window.span_ms // max(1, steps))
    sums: list[dict[str, float]] = [{} for _ in range(steps)]
    samples = [0.0] * steps
    for at, count, whole in _within_steps(connection_id, window, width, steps):
        samples[at] += count
        sums[at] = whole
    for start, end, count, active in _across_steps(connection_id, window, width, steps):
        length = max(1, end - start)
        for at in range(max(0, (start - window.start) // width), min(steps, (end - 1 - window.start) // width + 1)):
            left = max(start, window.start + at * width)
            share = (min(end, window.start + (at + 1) * width) - left) / length
            if share <= 0:
                continue
            samples[at] += count * share
            for name, total in active.items():
                sums[at][name] = sums[at].get(name, 0.0) + total * share
    return tuple(
        Bucket(
            window.start + at * width,
            window.start + (at + 1) * width,
            {name: sums[at][name] / samples[at] for name in WAIT_CLASSES if name in sums[at]} if samples[at] else None,
        )
        for at in range(steps)
    )


def at(connection_id: str, moment: int, reach_ms: int) -> Span | None:
    """What was seen around a moment (epoch ms): the span nearest to it, within `reach_ms`."""
    row = models.Sampled
    near = (row.connection == connection_id) & (row.end_at >= moment - reach_ms) & (row.end_at <= moment + 2 * reach_ms)
    wanted = (row.start_at, row.end_at, row.samples, row.active, row.sessions, row.vitals)
    rows: Any = row.select(*wanted).where(near).order_by(row.end_at).tuples()
    found = [each for each in rows if each[0] - reach_ms <= moment <= each[1] + reach_ms]
    if not found:
        return None
    best = min(found, key=lambda each: (max(each[0] - moment, moment - each[1], 0), each[1]))
    return _span(connection_id, best)


def observed_part(connection_id: str, window: Window) -> Window:
    """The window from its first sample on: the load of an hour is not lost in the width of a month."""
    row = models.Sampled
    here = (row.connection == connection_id) & (row.end_at > window.start) & (row.start_at < window.end)
    first: Any = row.select(peewee.fn.MIN(row.start_at)).where(here).scalar()
    return window if first is None else Window(max(window.start, int(first)), window.end)


def newest(connection_id: str, upto: int | None = None) -> Span | None:
    """The last span that was kept up to a moment (epoch ms), by default of all; None: nobody looked."""
    row = models.Sampled
    wanted = (row.start_at, row.end_at, row.samples, row.active, row.sessions, row.vitals)
    mine = row.connection == connection_id
    if upto is not None:
        mine &= row.end_at <= upto
    found: Any = row.select(*wanted).where(mine).order_by(row.end_at.desc()).tuples().first()
    return None if found is None else _span(connection_id, found)


def _span(connection_id: str, found: tuple[Any, ...]) -> Span:
    start, end, samples, active, sessions, vitals = found
    texts = _texts(connection_id, {each["fingerprint"] for each in sessions if each["fingerprint"]})
    return Span(
        start,
        end,
        samples,
        active,
        tuple(_seen(each, texts) for each in sessions),
        _vitals(vitals),
    )


def newest_vitals(connection_id: str, upto: int | None = None) -> tuple[int, Mapping[str, Vital]] | None:
    """The last vital figures of a connection, up to a moment if one is given, and when they were read; epoch ms."""
    row = models.Sampled
    mine = (row.connection == connection_id) & ~row.vitals.is_null()
    if upto is not None:
        mine &= row.end_at <= upto
    query = row.select(row.end_at, row.vitals).where(mine)
    found: Any = query.order_by(row.end_at.desc()).tuples().first()
    vitals = _vitals(found[1]) if found else None
    return None if vitals is None else (found[0], vitals)


def query_of(connection_id: str, fingerprint: str) -> int | None:
    """The number of the statement of this connection that has a fingerprint, the one that ran last; None: none."""
    query = models.Query
    here = (query.connection == connection_id) & (query.fingerprint == fingerprint)
    found = query.select(query.id).where(here).order_by(query.last_seen_at.desc()).first()
    return None if found is None else int(found.id)


def _within_steps(
    connection_id: str, window: Window, width: int, steps: int
) -> list[tuple[int, float, dict[str, float]]]:
    """Samples and sums of the spans that lie whole in a step, by step: added up by the database, as there are many."""
    mark = models.database.param
    active = "CAST(active ->> '{}' AS DOUBLE PRECISION)"
    sums = ", ".join(f"SUM({active.format(name)})" for name in WAIT_CLASSES)
    statement = f"""
        SELECT (start_at - {window.start}) / {width} AS step, SUM(samples), {sums} FROM sampled
        WHERE connection_id = {mark} AND end_at > {window.start} AND start_at < {window.end}
            AND {_in_one_step(window, width, steps)} GROUP BY 1
    """  # noqa: S608
    found = models.database.execute_sql(statement, (connection_id,)).fetchall()
    return [
        (
            int(step),
            float(count),
            {name: value for name, value in zip(WAIT_CLASSES, each, strict=True) if value is not None},
        )
        for step, count, *each in found
    ]


def _across_steps(
    connection_id: str, window: Window, width: int, steps: int
) -> list[tuple[int, int, int, Mapping[str, float]]]:
    """The spans that lie in more than one step, or reach out of the window."""
    row = models.Sampled
    here = (row.connection == connection_id) & (row.end_at > window.start) & (row.start_at < window.end)
    across = here & ~peewee.SQL(f"({_in_one_step(window, width, steps)})")
    rows: Any = row.select(row.start_at, row.end_at, row.samples, row.active).where(across).tuples()
    return list(rows)


def _in_one_step(window: Window, width: int, steps: int) -> str:
    return (
        f"start_at >= {window.start} AND end_at <= {window.start + width * steps} AND end_at > start_at "
        f"AND (start_at - {window.start}) / {width} = (end_at - 1 - {window.start}) / {width}"
    )


def _texts(connection_id: str, fingerprints: set[str]) -> dict[str, str]:
    text = models.SampledText
    here = (text.connection == connection_id) & text.fingerprint.in_(sorted(fingerprints))
    rows: Any = text.select(text.fingerprint, text.text).where(here).tuples()
    return dict(rows) if fingerprints else {}


def _seen(found: Mapping[str, Any], texts: Mapping[str, str]) -> SeenSession:
    known = {**found, "blocked_by": tuple(found["blocked_by"])}
    return replace(SeenSession(**known), text=texts.get(found["fingerprint"] or ""))


def _vitals(found: Mapping[str, Any] | None) -> Mapping[str, Vital] | None:
    return None if found is None else {name: Vital(**vital) for name, vital in found.items()}
