"""What models cost: the list of calls, and sums of them with a bar for each day; invoices beside them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from meshag_tui.figures import count, duration, moment, number_of, percent
from meshag_tui.glyphs import glyphs
from meshag_tui.screens.entities import Kind, Verb
from meshag_tui.store import costs, ledger
from meshag_tui.store.amounts import day_ms
from meshag_tui.store.people import Forbidden
from meshag_tui.types import UsageError
from meshag_tui.widgets.chart import Series, Trend
from meshag_tui.widgets.columns import Column, Tone
from meshag_tui.widgets.dialog import Confirmation
from meshag_tui.widgets.form import Field
from meshag_tui.widgets.page import Piece
from meshag_tui.widgets.states import Condition, State

_DAYS = 30
_TONES: dict[str, Tone] = {"error": "critical", "timeout": "critical", "blocked": "warning", "cancelled": "dim"}


def money(cost: Decimal | None, currency: str | None) -> str:
    """ "0.001234 USD"; "unpriced" where no price is known."""
    return "unpriced" if cost is None else f"{cost:f} {currency or ''}".strip()


def minute(at: float | None) -> str:
    """A moment without its seconds."""
    return moment(at, "%Y-%m-%d %H:%M")


class Ledger(Kind):
    """Every call, whatever came of it."""

    name, title = "ledger", "Ledger"
    cut = "the newest"
    empty = State(Condition.EMPTY, "no model was asked yet", "Each call is listed here: answers, failures, kept ones.")
    columns = (
        Column("at", "When", 16, render=minute, descending=True, keep=90),
        Column("provider", "Provider", 10, keep=60),
        Column("model", "Model", 12, flex=2, keep=80),
        Column("purpose", "For", 8, keep=70),
        Column("outcome", "Outcome", 9, tone=lambda said: _TONES.get(said, ""), keep=95),
        Column(
            "tokens",
            "Tokens",
            11,
            align="right",
            value=lambda r: (r.tokens_in, r.tokens_out),
            keep=50,
            render=lambda pair: glyphs().none if pair[0] is None else f"{count(pair[0])}+{count(pair[1])}",
        ),
        Column("duration_ms", "Took", 8, align="right", render=duration, keep=40),
        Column(
            "cost",
            "Cost",
            15,
            align="right",
            value=lambda row: (row.cost, row.currency),
            render=lambda pair: money(*pair),
            sort_key=lambda pair: -1 if pair[0] is None else pair[0],
            descending=True,
            keep=85,
        ),
        Column("connection", "About", 10, flex=1, value=lambda r: r.connection or "", keep=45),
    )
    verbs = (
        Verb("import", "Import an invoice", "Read a provider's invoice, all of it or nothing", of_row=False),
        Verb(
            "reconcile",
            "Reconcile",
            "The ledger beside the invoices of the last days, by model",
            of_row=False,
            needs="",
        ),
        Verb("enter", "Enter an amount", "Enter what no call of ours reports", of_row=False),
    )

    async def rows(self, limit: int) -> Sequence[Any]:
        return await self.bench.store.read(ledger.page, limit)

    async def about(self, row: Any) -> list[Piece]:
        where = "on this machine" if row.local else "elsewhere"
        said: list[Piece] = [
            ("bold", f"{row.model} of {row.provider}"),
            ("dim", f"  {row.id}, {moment(row.at)} by {row.actor}, {where}\n"),
            ("", f"{row.purpose}: {row.outcome}, {money(row.cost, row.currency)}\n"),
        ]
        if row.error:
            said.append(("critical", f"{glyphs().bad} {row.error}\n"))
        if row.tokens_in is not None:
            cached = f", of them {count(row.tokens_cached)} cached there" if row.tokens_cached else ""
            said.append(("", f"{count(row.tokens_in)} tokens sent{cached}, {count(row.tokens_out)} got\n"))
        about = " ".join(filter(None, (row.connection, row.project and f"of {row.project}", row.agent)))
        if about:
            said += [("dim", "about  "), ("", f"{about}\n")]
        if row.query_ids:
            said += [("dim", "statements  "), ("", f"{', '.join(row.query_ids)}\n")]
        requests = number_of(row.attempts, "request")
        said.append(("dim", f"{requests}, prompt {row.prompt_hash[:16]}, changed {moment(row.updated_at)}"))
        if self.pane.view == "whole":
            said += [("dim", "\n\nExactly this was sent:\n"), ("", await self._sent(row.id))]
        return said

    async def _sent(self, usage_id: str) -> str:
        try:
            return await self.bench.store.read(ledger.sent, usage_id, self.bench.actor)
        except (UsageError, Forbidden) as error:
            return f"{error}."

    async def do_import(self) -> None:
        fields = (
            Field("provider", "Provider", required=True),
            Field("file", "File", required=True, hint="CSV or JSON: external_id, date, amount, model"),
            Field("currency", "Currency", "USD", required=True),
        )
        self.form("Read an invoice", fields, self._read, "Look at it")

    async def _read(self, values: dict[str, str]) -> str:
        import asyncio

        def read() -> tuple[costs.Line, ...]:
            try:
                text = Path(values["file"].strip()).expanduser().read_text(encoding="utf-8-sig")
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"The file cannot be read: {error}") from None
            return costs.read(text, values["currency"])

        provider = values["provider"].strip()
        lines = await asyncio.to_thread(read)
        seen = await self.bench.store.read(costs.preview, provider, lines)
        totals = ", ".join(f"{total:f} {name}" for name, total in seen.totals.items()) or "nothing"
        said = f"{seen.new} lines are new ({totals}), {seen.known} are there already."

        async def take_in() -> str:
            done = await self.bench.models.take_in(provider, lines)
            return f"Imported {done.new} lines of {provider}"

        self.confirm(Confirmation("Import an invoice", provider, said, verb="Import it", key="r"), take_in)
        return said

    async def do_reconcile(self) -> None:
        from meshag_tui.widgets.dialog import TextDialog

        async def compare(values: dict[str, str]) -> str:
            provider = values["provider"].strip()
            since, until = day_ms(values["since"]), day_ms(values["until"])
            found = await self.bench.store.read(costs.reconcile, provider, since, until)
            parts: list[Piece] = []
            for one in found:
                share = "" if one.share is None else f", {percent(one.share)} of the invoice"
                unpriced = f"; {one.unpriced} calls are unpriced" if one.unpriced else ""
                parts += [
                    ("bold", f"{one.model or 'no model named'}\n"),
                    ("", f"  ledger {money(one.ledger, one.currency)}, invoiced {money(one.invoiced, one.currency)}\n"),
                    ("warning" if one.gap else "dim", f"  gap {one.gap:f}{share}{unpriced}\n"),
                ]
            nothing: list[Piece] = [("", "Neither calls nor invoices in this time.")]
            self.shell.push_screen(TextDialog(f"Ledger and invoices of {provider}", parts or nothing))
            return f"Compared {len(found)} models"

        now = datetime.now(UTC)
        fields = (
            Field("provider", "Provider", required=True),
            Field("since", "From", now.strftime("%Y-%m-01"), required=True),
            Field("until", "Until", (now + timedelta(days=1)).strftime("%Y-%m-%d"), required=True),
        )
        self.form("Ledger and invoices", fields, compare, "Compare")

    async def do_enter(self) -> None:
        async def save(values: dict[str, str]) -> str:
            row = await self.bench.models.enter_cost(
                values["provider"], values["amount"], values["currency"], description=values["description"]
            )
            return f"Entered {money(row.amount, row.currency)} of {row.provider}"

        fields = (
            Field("provider", "Provider", required=True),
            Field("amount", "Amount", required=True),
            Field("currency", "Currency", "USD", required=True),
            Field("description", "What for"),
        )
        self.form("Enter an amount", fields, save)


class Sums(Kind):
    """The last days' calls by one thing, with a bar for each day below."""

    name, title = "sums", "Sums"
    empty = State(Condition.EMPTY, f"no model was asked in the last {_DAYS} days")
    columns = (
        Column("group", "By", 14, flex=2, value=lambda one: one.group or "none", keep=100),
        Column("calls", "Calls", 7, align="right", render=count, descending=True, keep=70),
        Column("failed", "Failed", 7, align="right", render=count, descending=True, keep=60),
        Column("cached", "Kept", 6, align="right", render=count, descending=True, keep=50),
        Column(
            "tokens",
            "Tokens",
            9,
            align="right",
            value=lambda one: one.tokens_in + one.tokens_out,
            render=count,
            descending=True,
            keep=55,
        ),
        Column(
            "cost",
            "Cost",
            15,
            align="right",
            value=lambda one: (one.cost, one.currency),
            render=lambda pair: money(*pair),
            sort_key=lambda pair: pair[0],
            descending=True,
            keep=90,
        ),
        Column("unpriced", "Unpriced", 8, align="right", render=count, keep=65),
    )
    verbs = (Verb("by", "Sum by", "Sum by another thing", of_row=False, needs=""),)

    def __init__(self, pane: Any) -> None:
        super().__init__(pane)
        self._by = "model"

    def key(self, row: Any) -> tuple[str, str]:
        return row.group, row.currency

    def _since(self) -> int:
        return (round(self.shell.now_ms()) // ledger.DAY_MS - _DAYS + 1) * ledger.DAY_MS

    async def rows(self, limit: int) -> Sequence[Any]:
        return (await self.bench.store.read(ledger.pivot, self._by, self._since()))[:limit]

    async def heading(self) -> str:
        return f"by {self._by}, last {_DAYS} days"

    async def about(self, row: Any) -> list[Piece]:
        return [("", f"{row.group or 'none'}: {count(row.calls)} calls, {money(row.cost, row.currency)}")]

    async def trend(self) -> Trend | None:
        since = self._since()
        days = await self.bench.store.read(ledger.pivot, "day", since)
        priced = [one for one in days if one.cost]
        if not days:
            return None
        what = max((one.currency for one in priced), key=[one.currency for one in priced].count, default="")
        figure = {
            day_ms(one.group): float(one.cost) if priced else float(one.calls)
            for one in days
            if not priced or one.currency == what
        }
        points = tuple((since + n * ledger.DAY_MS, figure.get(since + n * ledger.DAY_MS, 0.0)) for n in range(_DAYS))
        title = f"Cost a day, {what}" if priced else f"Calls a day: {_why_no_cost(days)}"
        return Trend(
            title,
            since - ledger.DAY_MS // 2,
            since + _DAYS * ledger.DAY_MS,
            (Series("", points),),
            ledger.DAY_MS,
            unit=_amount if priced else count,
            bars=True,
        )

    async def do_by(self) -> None:
        from meshag_tui.widgets.chooser import Choice, Chooser

        def chosen(by: str | None) -> None:
            if by is not None:
                self._by = by
                self.done(f"Summed by {by}")

        self.shell.push_screen(Chooser("Sum by", [Choice(by, by) for by in ledger.PIVOTS], self._by), chosen)


def _why_no_cost(days: Sequence[ledger.Sum]) -> str:
    """Why there is no cost to draw: the price is not known, or there was nothing to pay."""
    unpriced = sum(one.unpriced for one in days)
    return f"{count(unpriced)} unpriced, the others cost nothing" if unpriced else "they cost nothing"


def _amount(value: float | None) -> str:
    return glyphs().none if value is None else f"{value:.4g}"
