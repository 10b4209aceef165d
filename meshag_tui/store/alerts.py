"""Alerts: what somebody should know, from when it began until it ended, and what became of telling it.

An alert lasts as long as its cause: raising it again while it is open adds nothing but its newest figures, whichever
process does so. Sending is claimed by one process for a minute, so that a webhook is told once by all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal, NamedTuple

import peewee

from meshag_tui.store import database, ids, models
from meshag_tui.store.documents import clean, document
from meshag_tui.types import MeshagError

Severity = Literal["warning", "critical"]
RULES: Mapping[str, str] = {
    "critical": "A measure of health is past its critical limit",
    "health-drop": "The score fell far below what it was in the last day",
    "blocked": "A session waits for another for too long",
    "regression": "A statement takes much longer than in the day before",
    "plan-flip": "The planner runs a statement otherwise than before",
    "run-failed": "Something MeshAG did by itself failed",
    "budget": "What may be spent on models is nearly used up",
}
"""What is alerted of. The subject tells alerts of one rule apart: a measure, a statement, a run, a plan of spending."""
TOLD_FOR_MS = 24 * 3_600_000
"""How long after its beginning an open alert is still sent, where quiet hours or a failure held it back."""
_CLAIM_MS = 60_000


class AlertInfo(NamedTuple):
    """An alert. Times are epoch ms; `ended_at` None: it is open. `deliveries`: what became of it, by webhook."""

    id: str
    connection_id: str | None
    connection_name: str | None
    rule: str
    subject: str
    severity: Severity
    message: str
    details: Mapping[str, Any]
    began_at: int
    seen_at: int
    ended_at: int | None
    acknowledged_at: int | None
    acknowledged_by: str | None
    undelivered: bool
    deliveries: tuple[Mapping[str, Any], ...]

    @property
    def is_open(self) -> bool:
        return self.ended_at is None


def put(
    connection_id: str | None,
    rule: str,
    message: str,
    *,
    subject: str = "",
    severity: Severity = "critical",
    details: Mapping[str, Any] | None = None,
    lasting: bool = True,
) -> AlertInfo | None:
    """Raise an alert. None: it is open already, or was of a moment and is known; its newest figures are kept then.

    Args:
        lasting: False for what happened at a moment (a plan, a run): it is ended as it begins, and known by its
            subject.
    """
    row = models.Alert
    key = f"{connection_id or '*'}:{rule}:{subject}"
    with database.atomic():
        now = database.now_ms()
        kept = {"severity": severity, "message": clean(message), "details": document(dict(details or {}))}
        if not lasting and row.select().where(_same(connection_id, rule, subject)).exists():
            return None
        if lasting and row.update(seen_at=now, **kept).where(row.open_key == key).execute():
            return None
        alert_id = ids.new("alr")
        try:
            with database.atomic():
                row.create(
                    id=alert_id,
                    open_key=key if lasting else None,
                    connection=connection_id,
                    rule=rule,
                    subject=clean(subject),
                    began_at=now,
                    seen_at=now,
                    ended_at=None if lasting else now,
                    **kept,
                )
        except peewee.IntegrityError:
            return None  # another process was first, or the connection is gone
    return get(alert_id)


def end(connection_id: str | None, rule: str, still: Collection[str] = ()) -> tuple[AlertInfo, ...]:
    """End the open alerts of a rule but those of the subjects in `still`; returns those ended."""
    row = models.Alert
    with database.atomic():
        here = row.open_key.startswith(f"{connection_id or '*'}:{rule}:")
        over = [each for each in _listed(here) if each.subject not in still and each.rule == rule]
        now = database.now_ms()
        chosen = row.id.in_([each.id for each in over])
        if over:
            row.update(ended_at=now, open_key=None).where(chosen).execute()
    return tuple(each._replace(ended_at=now) for each in over)


def get(alert_id: str) -> AlertInfo:
    """An alert. MeshagError: there is none of this id."""
    found = _listed(models.Alert.id == alert_id)
    if not found:
        raise MeshagError(f"There is no alert {alert_id}: it may have been forgotten")
    return found[0]


def listing(
    connection_id: str | None = None, *, open_only: bool = False, limit: int = 200, after: str = ""
) -> tuple[AlertInfo, ...]:
    """Alerts, the open ones first, then the newest; those of everything are among each connection's.

    `after`: only those with a later id.
    """
    row = models.Alert
    where = row.id > after
    if connection_id is not None:
        where &= (row.connection == connection_id) | row.connection.is_null()
    if open_only:
        where &= row.open_key.is_null(False)
    return _listed(where, limit)


def standing() -> dict[str | None, int]:
    """How many nobody took note of yet, by connection id: open ones, and those of a moment in the last day.

    None: those of everything.
    """
    row = models.Alert
    recent = (row.ended_at == row.began_at) & (row.began_at > database.now_ms() - TOLD_FOR_MS)
    counted: Any = (
        row.select(row.connection, peewee.fn.COUNT(row.id))
        .where((row.open_key.is_null(False) | recent) & row.acknowledged_at.is_null())
        .group_by(row.connection)
        .tuples()
    )
    return dict(counted)


def last_id() -> str:
    """The id of the newest alert, "" where there is none."""
    newest: Any = models.Alert.select(peewee.fn.MAX(models.Alert.id)).scalar()
    return newest or ""


def acknowledge(alert_id: str, actor: str) -> AlertInfo:
    """Take note of an alert: it stays open until its cause is over, and is not counted any more."""
    row = models.Alert
    get(alert_id)
    noted = {"acknowledged_at": database.clock(), "acknowledged_by": clean(actor)}
    row.update(**noted).where((row.id == alert_id) & row.acknowledged_at.is_null()).execute()
    return get(alert_id)


# --- telling --------------------------------------------------------------------------------------------------------


def waiting() -> bool:
    """Whether any alert waits to be sent; asked often, where `claim` would take the store's lock each time."""
    return bool(models.Alert.select().where(models.Alert.undelivered).exists())


def claim() -> tuple[AlertInfo, ...]:
    """Alerts that are to be sent now, each claimed for this process; what is too old or over is let go.

    An alert that ended before it was sent is not sent any more, but one of a moment is.
    """
    row = models.Alert
    with database.atomic():
        now = database.now_ms()
        late = row.undelivered & (row.began_at <= now - TOLD_FOR_MS)
        row.update(undelivered=False).where(late).execute()
        over = row.undelivered & row.ended_at.is_null(False) & (row.ended_at > row.began_at)
        row.update(undelivered=False).where(over).execute()
        free = row.undelivered & (row.claimed_until <= now)
        found = _listed(free, 50)
        if found:
            mine = row.id.in_([each.id for each in found]) & (row.claimed_until <= now)
            row.update(claimed_until=now + _CLAIM_MS).where(mine).execute()
    return found


def told(alert_id: str, deliveries: Collection[Mapping[str, Any]], *, again: bool) -> None:
    """Keep what became of sending an alert; `again`: some of it is still to be sent."""
    row = models.Alert
    row.update(
        deliveries=document(list(deliveries)), undelivered=again, claimed_until=row.claimed_until if again else 0
    ).where(row.id == alert_id).execute()


def _same(connection_id: str | None, rule: str, subject: str) -> Any:
    row = models.Alert
    owner = row.connection.is_null() if connection_id is None else row.connection == connection_id
    return owner & (row.rule == rule) & (row.subject == clean(subject))


def _listed(where: Any, limit: int = 200) -> tuple[AlertInfo, ...]:
    row = models.Alert
    query = row.select(row, models.Connection.name.alias("connection_name")).left_outer_join(models.Connection)
    rows: Any = query.where(where).order_by(row.open_key.is_null(), row.began_at.desc(), row.id.desc()).limit(limit)
    return tuple(
        AlertInfo(
            connection_id=found.pop("connection"),
            deliveries=tuple(found.pop("deliveries")),
            **{name: found[name] for name in AlertInfo._fields if name in found},
        )
        for found in rows.dicts()
    )
