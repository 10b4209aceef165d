"""Money that our calls do not report: lines of a provider's invoice, entries by hand; and how both agree.

An invoice is read whole or not at all. A line that is there already, by the provider's own id, is left out; a line of
the same id with another amount is an error: somebody must say which is right.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import peewee

from meshag_tui.store import activity, database, ids, models
from meshag_tui.store.amounts import currency_code, decimal, micros
from meshag_tui.store.documents import clean
from meshag_tui.types import UsageError

MOST_LINES = 200_000
_BATCH = 500
_NEEDED = ("external_id", "date", "amount")


class Line(NamedTuple):
    """A line of an invoice. `at` epoch ms."""

    external_id: str
    at: int
    model: str | None
    amount_micros: int
    currency: str
    description: str | None


class Import(NamedTuple):
    """What an invoice holds: `new` lines, `known` ones that are left out, the sum of the new ones by currency."""

    provider: str
    new: int
    known: int
    totals: Mapping[str, Decimal]
    first_at: int | None
    last_at: int | None


class CostRow(NamedTuple):
    """An entry that no call of ours reports."""

    id: str
    source: str
    provider: str
    model: str | None
    external_id: str | None
    at: int
    amount: Decimal
    currency: str
    description: str | None
    actor: str
    created_at: int
    updated_at: int


class Difference(NamedTuple):
    """Of one model, what the ledger says and what was invoiced. `share`: of the invoice, what the ledger lacks."""

    provider: str
    model: str
    currency: str
    ledger: Decimal
    invoiced: Decimal
    unpriced: int
    lines: int

    @property
    def gap(self) -> Decimal:
        return self.invoiced - self.ledger

    @property
    def share(self) -> float | None:
        return None if not self.invoiced else float(self.gap / self.invoiced)


def read(text: str, currency: str = "USD") -> tuple[Line, ...]:
    """The lines of an invoice: CSV with a header, or a JSON list of objects.

    Columns external_id, date (ISO 8601; without a zone UTC) and amount are needed; model, currency and description
    may be there. Two lines of one id are an error.

    Raises:
        UsageError: it cannot be read; the text names the line.
    """
    found: list[Line] = []
    seen: set[str] = set()
    for number, given in enumerate(_rows(text), start=1):
        if number > MOST_LINES:
            raise UsageError(f"The invoice has more than {MOST_LINES:,} lines: split it")
        line = _line(number, given, currency)
        if line.external_id in seen:
            raise UsageError(f"Line {number} of the invoice: the id {line.external_id!r} is there twice")
        seen.add(line.external_id)
        found.append(line)
    if not found:
        raise UsageError("The invoice holds no line")
    return tuple(found)


def preview(provider: str, lines: Sequence[Line]) -> Import:
    """What importing these lines would do; nothing is written. UsageError as `take_in`."""
    new = _new(provider, lines)
    totals: dict[str, int] = {}
    for line in new:
        totals[line.currency] = totals.get(line.currency, 0) + line.amount_micros
    times = [line.at for line in lines]
    return Import(
        provider,
        len(new),
        len(lines) - len(new),
        {name: decimal(total) or Decimal(0) for name, total in sorted(totals.items())},
        min(times, default=None),
        max(times, default=None),
    )


def take_in(provider: str, lines: Sequence[Line], actor: str) -> Import:
    """Import the lines that are new, all or none, and say so once in the activity log.

    Raises:
        UsageError: a line is there already with another amount.
    """
    with database.durable():
        said = preview(provider, lines)
        now = database.now_ms()
        rows = [
            {
                "id": ids.new("cst"),
                "source": "invoice",
                "provider": provider,
                "model": line.model,
                "external_id": line.external_id,
                "at": line.at,
                "amount_micros": line.amount_micros,
                "currency": line.currency,
                "description": line.description,
                "actor": actor,
                "created_at": now,
                "updated_at": now,
            }
            for line in _new(provider, lines)
        ]
        for batch in peewee.chunked(rows, _BATCH):
            models.Cost.insert_many(batch).execute()
        totals = ", ".join(f"{total} {name}" for name, total in said.totals.items()) or "nothing"
        activity.record(
            actor, "invoice.imported", f"Invoice of {provider}: {said.new} lines, {totals}; {said.known} were there"
        )
    return said


def enter(
    provider: str,
    amount: str | Decimal,
    currency: str,
    actor: str,
    *,
    at: int | None = None,
    model: str | None = None,
    description: str | None = None,
) -> CostRow:
    """Enter an amount by hand."""
    cost_id = ids.new("cst")
    with database.durable():
        now = database.now_ms()
        models.Cost.create(
            id=cost_id,
            source="manual",
            provider=clean(provider),
            model=model,
            at=now if at is None else at,
            amount_micros=micros(amount),
            currency=currency_code(currency),
            description=clean(description or "") or None,
            actor=actor,
            created_at=now,
            updated_at=now,
        )
    return page(1, where=models.Cost.id == cost_id)[0]


def remove(cost_id: str) -> None:
    """Forget an entry made by hand. UsageError for any other: an invoice stays as it was."""
    cost = models.Cost
    if not cost.delete().where((cost.id == cost_id) & (cost.source == "manual")).execute():
        raise UsageError(f"{cost_id} is no entry made by hand")


def page(limit: int = 200, before: str | None = None, where: Any = None) -> tuple[CostRow, ...]:
    """The newest entries, then those before the id `before`."""
    cost = models.Cost
    query = cost.select().order_by(cost.id.desc()).limit(limit)
    if before is not None:
        query = query.where(cost.id < before)
    if where is not None:
        query = query.where(where)
    rows: Any = query.dicts()
    return tuple(CostRow(amount=decimal(row.pop("amount_micros")) or Decimal(0), **row) for row in rows)


def reconcile(provider: str, since: int, until: int) -> tuple[Difference, ...]:
    """Ledger against invoice of a span [since, until) of epoch ms, by model, the largest gap first."""
    usage, cost = models.Usage, models.Cost
    ours: Any = (
        usage.select(
            usage.model,
            usage.currency,
            peewee.fn.SUM(usage.cost_micros),
            peewee.fn.SUM(peewee.Case(None, [(usage.cost_micros.is_null() & (usage.outcome == "success"), 1)], 0)),
        )
        .where((usage.provider == provider) & (usage.at >= since) & (usage.at < until) & (usage.outcome != "reserved"))
        .group_by(usage.model, usage.currency)
        .tuples()
    )
    theirs: Any = (
        cost.select(cost.model, cost.currency, peewee.fn.SUM(cost.amount_micros), peewee.fn.COUNT(cost.id))
        .where((cost.provider == provider) & (cost.source == "invoice") & (cost.at >= since) & (cost.at < until))
        .group_by(cost.model, cost.currency)
        .tuples()
    )
    known: dict[tuple[str, str], list[int]] = {}
    for model, currency, total, unpriced in ours:
        if total or unpriced:
            entry = known.setdefault((model, currency or ""), [0, 0, 0, 0])
            entry[0] += int(total or 0)
            entry[2] += int(unpriced)
    for model, currency, total, lines in theirs:
        entry = known.setdefault((model or "", currency), [0, 0, 0, 0])
        entry[1] += int(total or 0)
        entry[3] += int(lines)
    found = [
        Difference(
            provider,
            model,
            currency,
            decimal(entry[0]) or Decimal(0),
            decimal(entry[1]) or Decimal(0),
            entry[2],
            entry[3],
        )
        for (model, currency), entry in known.items()
    ]
    return tuple(sorted(found, key=lambda one: (-abs(one.gap), one.model)))


def _new(provider: str, lines: Sequence[Line]) -> list[Line]:
    """The lines that are not there yet."""
    cost = models.Cost
    known: dict[str, int] = {}
    for batch in peewee.chunked([line.external_id for line in lines], _BATCH):
        rows: Any = (
            cost.select(cost.external_id, cost.amount_micros)
            .where((cost.provider == provider) & cost.external_id.in_(batch))
            .tuples()
        )
        known.update(rows)
    for line in lines:
        if known.get(line.external_id, line.amount_micros) != line.amount_micros:
            raise UsageError(
                f"{line.external_id} was imported with {decimal(known[line.external_id])}, and is "
                f"{decimal(line.amount_micros)} now: nothing was imported"
            )
    return [line for line in lines if line.external_id not in known]


def _rows(text: str) -> Iterable[Mapping[str, Any]]:
    plain = text.lstrip("\ufeff").strip()
    if plain.startswith(("[", "{")):
        try:
            document = json.loads(plain, parse_float=Decimal)
        except ValueError as error:
            raise UsageError(f"The invoice is no JSON: {error}") from None
        if not isinstance(document, list) or not all(isinstance(each, dict) for each in document):
            raise UsageError("The invoice must be a JSON list of objects")
        return document
    reader = csv.DictReader(io.StringIO(plain), strict=True)
    missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
    if missing:
        raise UsageError(f"The invoice has no column {missing[0]!r}: it needs {', '.join(_NEEDED)}")
    try:
        return list(reader)
    except csv.Error as error:
        raise UsageError(f"The invoice is no CSV: {error}") from None


def _line(number: int, given: Mapping[str, Any], currency: str) -> Line:
    def text(name: str) -> str:
        value = given.get(name)
        return "" if value is None else clean(str(value)).strip()

    try:
        for name in _NEEDED:
            if not text(name):
                raise UsageError(f"{name} is missing")
        at = datetime.fromisoformat(text("date"))
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return Line(
            text("external_id"),
            round(at.timestamp() * 1000),
            text("model") or None,
            micros(text("amount")),
            currency_code(text("currency") or currency),
            text("description") or None,
        )
    except ValueError:
        raise UsageError(f"Line {number} of the invoice: {text('date')[:40]!r} is no date: write 2026-01-31") from None
    except UsageError as error:
        raise UsageError(f"Line {number} of the invoice: {error}") from None
