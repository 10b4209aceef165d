"""The ledger of calls to models: a row for every call, whatever came of it, and sums of them.

A call is reserved before it is made, with the most it may cost, in the transaction that asks the budgets; it is settled
with what it did cost. Answers from the cache and calls a budget refused have rows of their own, which cost nothing. A
cost of None is unpriced: no price was known when it was made, or the endpoint did not say the tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import peewee

from meshag_tui.store import budgets, database, ids, models, people, prices
from meshag_tui.store.amounts import day, decimal
from meshag_tui.store.documents import clean
from meshag_tui.store.remembered import recall, remember
from meshag_tui.types import UsageError

Outcome = Literal["success", "error", "timeout", "cancelled"]
PIVOTS = ("provider", "model", "purpose", "connection", "project", "user", "agent", "outcome", "day")
LOST_AFTER_MS = 30 * 60_000
"""A call reserved this long ago and never settled died with its process; what it cost is not known."""
DAY_MS = 86_400_000
SENT_KEPT_MS = 90 * DAY_MS
_SENT = "sent:"


@dataclass(frozen=True, slots=True)
class Call:
    """What is known of a call before it is made. `prompt_hash` is of the exact text sent."""

    provider: str
    model: str
    purpose: str
    local: bool
    actor: str
    prompt_hash: str
    connection_id: str | None = None
    project_id: str | None = None
    agent: str | None = None
    query_ids: tuple[str, ...] = ()
    most_in: int | None = None  # tokens it may send and get at most, retries in other forms included
    most_out: int | None = None


class UsageRow(NamedTuple):
    """A call as shown. Times epoch ms; `cost` None: unpriced."""

    id: str
    at: int
    provider: str
    model: str
    purpose: str
    outcome: str
    local: bool
    connection_id: str | None
    connection: str | None
    project: str | None
    actor: str
    agent: str | None
    tokens_in: int | None
    tokens_out: int | None
    tokens_cached: int | None
    duration_ms: float | None
    attempts: int
    cost: Decimal | None
    currency: str | None
    prompt_hash: str
    query_ids: tuple[str, ...]
    error: str | None
    created_at: int
    updated_at: int


class Sum(NamedTuple):
    """Calls of one group in one currency. `unpriced` are answers whose cost is not known: they are not in `cost`."""

    group: str
    currency: str
    calls: int
    failed: int
    cached: int
    tokens_in: int
    tokens_out: int
    cost: Decimal
    unpriced: int


class Settled(NamedTuple):
    """What a call came to. `alerts`: what it made worth saying of the budgets."""

    cost: Decimal | None
    currency: str | None
    alerts: tuple[str, ...]


def reserve(call: Call) -> str:
    """Open a call: its id. To be settled by `settle`.

    Raises:
        budgets.Blocked: a budget does not allow it; that is a row of the ledger too.
    """
    blocked: budgets.Blocked | None = None
    with database.durable():
        now = database.now_ms()
        _give_up_lost(now)
        price = None if call.local else prices.of(call.provider, call.model, now)
        most = 0 if call.local else prices.cost_micros(price, call.most_in, call.most_out, 0)
        currency = None if price is None else price.currency
        try:
            budgets.check(call.provider, call.local, call.project_id, most, currency, now, call.actor)
        except budgets.Blocked as no:
            blocked = no
        usage_id = _insert(
            call,
            now,
            outcome="reserved" if blocked is None else "blocked",
            reserved_micros=most if blocked is None else None,
            currency=currency,
            cost_micros=None if blocked is None else 0,
            error=None if blocked is None else clean(str(blocked)),
        )
    if blocked is not None:
        raise blocked
    return usage_id


def settle(
    usage_id: str,
    outcome: Outcome,
    *,
    tokens_in: int | None = None,
    tokens_out: int | None = None,
    tokens_cached: int | None = None,
    duration_ms: float | None = None,
    attempts: int = 0,
    error: str | None = None,
) -> Settled:
    """Close a call with what came of it. Its price is the one of the moment it was begun."""
    usage = models.Usage
    with database.durable():
        row: Any = usage.get_by_id(usage_id)
        price = None if row.local else prices.of(row.provider, row.model, row.at)
        cost = 0 if row.local else prices.cost_micros(price, tokens_in, tokens_out, tokens_cached)
        usage.update(
            outcome=outcome,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            tokens_cached=tokens_cached,
            duration_ms=duration_ms,
            attempts=attempts,
            cost_micros=cost,
            reserved_micros=None,
            currency=None if price is None else price.currency,
            error=None if error is None else clean(error),
            updated_at=database.clock(),
        ).where(usage.id == usage_id).execute()
        said = budgets.alert(row.project_id, database.now_ms(), row.actor) if cost else ()
    return Settled(decimal(cost), None if price is None else price.currency, said)


def from_cache(call: Call) -> str:
    """Record that a call was spared: its answer was there. It cost nothing."""
    with database.atomic():
        return _insert(call, database.now_ms(), outcome="cached", cost_micros=0)


def keep_sent(prompt_hash: str, text: str) -> None:
    """Keep exactly what is sent, so that it can be read later; what no call of the last months sent is forgotten."""
    usage, setting = models.Usage, models.Setting
    with database.atomic():
        if recall(_SENT + prompt_hash) is not None:
            return
        remember(_SENT + prompt_hash, text)
        lately = usage.select(peewee.Value(_SENT).concat(usage.prompt_hash)).where(
            usage.at >= database.now_ms() - SENT_KEPT_MS
        )
        others = setting.key.startswith(_SENT) & (setting.key != _SENT + prompt_hash)
        setting.delete().where(others & setting.key.not_in(lately)).execute()


def sent(subject: str, actor: str) -> str:
    """Exactly what was sent for a call (use_…), or for the model's advice behind a suggestion (sug_…).

    Raises:
        UsageError: there is no such call or suggestion, or what was sent is not kept any more.
        Forbidden: it is a call of somebody else, whose words may be in it, and `actor` sees only their own.
    """
    found: Any = None
    if subject.startswith("sug_"):
        row: Any = models.Suggestion.get_or_none(models.Suggestion.id == subject)
        found = None if row is None else (row.evidence or {}).get("prompt_hash")
    else:
        row = models.Usage.get_or_none(models.Usage.id == subject)
        found = None if row is None else row.prompt_hash
        if row is not None and row.actor != actor and not people.sees_all(actor):
            raise people.Forbidden(f"{subject} was asked by {row.actor}: an admin may read what was sent")
    text = None if found is None else recall(_SENT + found)
    if text is None:
        raise UsageError(f"Nothing that was sent is kept of {subject}")
    return str(text)


def page(
    limit: int = 200, before: str | None = None, since: int | None = None, until: int | None = None
) -> tuple[UsageRow, ...]:
    """The newest calls, then those before the id `before`; of a span [since, until) of epoch ms, where given."""
    usage, connection, project = models.Usage, models.Connection, models.Project
    query = (
        usage.select(usage, connection.name.alias("connection_name"), project.name.alias("project_name"))
        .join(connection, peewee.JOIN.LEFT_OUTER)
        .switch(usage)
        .join(project, peewee.JOIN.LEFT_OUTER)
        .order_by(usage.id.desc())
        .limit(limit)
    )
    for where in (*_within(since, until), *([] if before is None else [usage.id < before])):
        query = query.where(where)
    rows: Any = query.dicts()
    return tuple(_usage(row) for row in rows)


def pivot(
    by: str, since: int | None = None, until: int | None = None, connection_id: str | None = None
) -> tuple[Sum, ...]:
    """Sums by one of `PIVOTS` over a span [since, until) of epoch ms, the dearest first; by day in order of time. Of
    the calls about one connection, where given.

    Days are of UTC. Each currency has sums of its own: nothing is converted. What has none, as it cost nothing or is
    unpriced, is counted with the group's only currency, if there is one.
    """
    if by not in PIVOTS:
        raise UsageError(f"Sums are by one of {', '.join(PIVOTS)}")
    usage = models.Usage
    group = _group(by)
    total = peewee.fn.COALESCE(peewee.fn.SUM(usage.cost_micros), 0)
    currency = peewee.fn.COALESCE(usage.currency, "")
    done = usage.outcome == "success"
    query = (
        usage.select(
            group,
            currency,
            peewee.fn.COUNT(usage.id),
            _counted(usage.outcome.in_(("error", "timeout", "cancelled", "blocked"))),
            _counted(usage.outcome == "cached"),
            peewee.fn.COALESCE(peewee.fn.SUM(usage.tokens_in), 0),
            peewee.fn.COALESCE(peewee.fn.SUM(usage.tokens_out), 0),
            total,
            _counted(usage.cost_micros.is_null() & done),
        )
        .group_by(peewee.SQL("1"), peewee.SQL("2"))
        .order_by(peewee.SQL("1") if by == "day" else peewee.SQL("8 DESC"), peewee.SQL("1"))
    )
    if by in ("connection", "project"):
        model: Any = models.Connection if by == "connection" else models.Project
        query = query.join(model, peewee.JOIN.LEFT_OUTER)
    about = [] if connection_id is None else [usage.connection == connection_id]
    for where in (*_within(since, until), *about):
        query = query.where(where)
    rows: Any = query.tuples()
    sums = [
        Sum(_named(by, name), money, calls, failed, cached, int(sent), int(got), decimal(int(cost)) or Decimal(0), free)
        for name, money, calls, failed, cached, sent, got, cost, free in rows
    ]
    return tuple(_one_currency(sums))


# --- inside -----------------------------------------------------------------------------------------------------------


def _one_currency(sums: Sequence[Sum]) -> Iterator[Sum]:
    """The sums, those without a currency added to the one of their group that has one, if it is the only one."""
    priced: dict[str, list[Sum]] = {}
    for one in sums:
        if one.currency:
            priced.setdefault(one.group, []).append(one)
    free = {one.group: one for one in sums if not one.currency}
    for one in sums:
        alone = len(priced.get(one.group, ())) == 1
        if not alone:
            yield one
        elif one.currency:
            other = free.get(one.group)
            yield one if other is None else _together(one, other)


def _together(one: Sum, other: Sum) -> Sum:
    return Sum(
        one.group,
        one.currency,
        one.calls + other.calls,
        one.failed + other.failed,
        one.cached + other.cached,
        one.tokens_in + other.tokens_in,
        one.tokens_out + other.tokens_out,
        one.cost + other.cost,
        one.unpriced + other.unpriced,
    )


def _usage(row: Mapping[str, Any]) -> UsageRow:
    own = {name: row[name] for name in UsageRow._fields if name in row}
    own |= {
        "cost": decimal(row["cost_micros"]),
        "connection_id": row["connection"],
        "connection": row["connection_name"],
        "project": row["project_name"],
        "query_ids": tuple(row["query_ids"]),
    }
    return UsageRow(**own)


def _insert(call: Call, now: int, **more: Any) -> str:
    usage_id = ids.new("use")
    models.Usage.create(
        id=usage_id,
        at=now,
        created_at=now,
        updated_at=now,
        provider=call.provider,
        model=clean(call.model),
        purpose=call.purpose,
        local=call.local,
        connection=call.connection_id,
        project=call.project_id,
        actor=call.actor,
        agent=call.agent,
        prompt_hash=call.prompt_hash,
        query_ids=list(call.query_ids),
        **more,
    )
    return usage_id


def _give_up_lost(now: int) -> None:
    usage = models.Usage
    lost = (usage.outcome == "reserved") & (usage.at < now - LOST_AFTER_MS) & (usage.at > now - 30 * DAY_MS)
    usage.update(
        outcome="error", error="its process ended before the answer came", reserved_micros=None, updated_at=now
    ).where(lost).execute()


def _within(since: int | None, until: int | None) -> Sequence[Any]:
    usage = models.Usage
    return [
        *([] if since is None else [usage.at >= since]),
        *([] if until is None else [usage.at < until]),
    ]


def _group(by: str) -> Any:
    usage = models.Usage
    if by == "day":
        return usage.at / DAY_MS
    if by == "connection":
        return peewee.fn.COALESCE(models.Connection.name, "")
    if by == "project":
        return peewee.fn.COALESCE(models.Project.name, "")
    if by == "agent":
        return peewee.fn.COALESCE(usage.agent, "")
    return {
        "provider": usage.provider,
        "model": usage.model,
        "purpose": usage.purpose,
        "user": usage.actor,
        "outcome": usage.outcome,
    }[by]


def _named(by: str, group: Any) -> str:
    if by == "day":
        return day(int(group) * DAY_MS)
    return str(group)


def _counted(condition: Any) -> Any:
    return peewee.fn.SUM(peewee.Case(None, [(condition, 1)], 0))
