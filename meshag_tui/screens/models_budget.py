"""What may be spent on models: the plans in force, those that can be put in force, and prices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from meshag_tui.figures import bar, moment, percent
from meshag_tui.glyphs import glyphs
from meshag_tui.screens.entities import Kind, Verb
from meshag_tui.screens.models_money import money
from meshag_tui.store import budgets, prices
from meshag_tui.store.amounts import day, day_ms
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.dialog import Confirmation
from meshag_tui.widgets.form import Field, whole_number
from meshag_tui.widgets.page import Piece
from meshag_tui.widgets.states import Condition, State


def _until(at: int | None) -> str:
    return glyphs().none if at is None else day(at)


def _plain(amount: Decimal) -> str:
    """Without zeros that say nothing."""
    return f"{amount.normalize():f}"


class Budget(Kind):
    """The plans in force and those that were, with how they stand."""

    name, title = "budget", "Budget"
    cut = "the newest"
    empty = State(
        Condition.EMPTY,
        "no plan is in force",
        "Nothing is held: whoever may use MeshAG may spend what the provider allows.",
        "i puts a plan in force; Plans, the next list, is where one is made.",
    )
    columns = (
        Column("plan", "Plan", 12, flex=1, keep=100),
        Column("project", "For", 12, flex=1, value=lambda one: one.scope, keep=70),
        Column("status", "Status", 9, tone=lambda said: "" if said == "active" else "dim", keep=80),
        Column("share", "", 12, draw=lambda share, width: "" if share is None else bar(share, width), keep=40),
        Column(
            "used",
            "Used",
            6,
            align="right",
            value=lambda one: one.share,
            render=lambda share: glyphs().none if share is None else percent(share),
            keep=90,
        ),
        Column("spent", "Spent", 15, align="right", value=lambda one: money(one.spent, one.currency), keep=85),
        Column(
            "cap",
            "Cap",
            12,
            align="right",
            value=lambda one: "none" if one.cap is None else f"{_plain(one.cap)} a {one.period}",
            keep=75,
        ),
        Column("end_at", "Until", 10, render=_until, keep=50),
    )
    verbs = (
        Verb("add", "Put in force", "Put a plan in force", of_row=False),
        Verb("remove", "Cancel", "End it now: nothing is held any more"),
        Verb("override", "Override", "Let calls through for a while, and say why"),
    )

    async def rows(self, limit: int) -> Sequence[Any]:
        return await self.bench.store.read(budgets.standings, None, limit)

    async def about(self, row: Any) -> list[Piece]:
        cap = "no cap" if row.cap is None else f"of {row.cap:f} {row.currency} a {row.period}"
        said: list[Piece] = [
            ("bold", row.plan),
            ("dim", f"  {row.id}, for {row.scope}, {row.status}\n"),
            ("", f"{money(row.spent, row.currency)} spent {cap}, {row.held:f} held by calls that run\n"),
        ]
        if row.share is not None and row.share >= budgets.WARN_AT:
            what = "used up: models elsewhere are not asked" if row.share >= 1 else "nearly used up"
            said.append(("critical" if row.share >= 1 else "warning", f"{glyphs().warning} {what}\n"))
        if row.unpriced:
            said.append(("warning", f"{glyphs().warning} {row.unpriced} answers are unpriced: not in what is spent\n"))
        if row.override_until:
            said.append(
                (
                    "warning",
                    f"overridden until {moment(row.override_until)} by {row.override_by}: {row.override_reason}\n",
                )
            )
        return [
            *said,
            ("dim", f"from {day(row.start_at)} until {_until(row.end_at)}, changed {moment(row.updated_at)}"),
        ]

    def why_not(self, verb: str, row: Any) -> str | None:
        if verb in ("remove", "override") and row is not None and row.status != "active":
            return f"it is {row.status}"
        return None

    async def do_add(self) -> None:
        known = [plan.name for plan in await self.bench.store.read(budgets.plans) if plan.active]
        if not known:
            self.shell.say("There is no plan yet: the next list is where one is made", "warning")
            return

        async def save(values: dict[str, str]) -> str:
            one = await self.bench.models.subscribe(
                values["plan"],
                project=values["project"].strip() or None,
                user=values["user"].strip() or None,
                end_at=day_ms(values["until"]) if values["until"].strip() else None,
                replace=values["replace"] == "yes",
            )
            return f"{one.plan} is in force for {one.scope}"

        fields = (
            Field("plan", "Plan", known[0], choices=tuple(known)),
            Field("project", "Project", hint="empty: for everything"),
            Field("user", "User", hint="for what one spends; empty: all"),
            Field("until", "Until", hint="2026-12-31; empty: no end"),
            Field("replace", "Replace another", "no", choices=("no", "yes")),
        )
        self.form("Put a plan in force", fields, save)

    async def do_remove(self, row: Any) -> None:
        async def cancel() -> str:
            await self.bench.models.cancel_subscription(row.id)
            return f"{row.plan} is no longer in force"

        said = "It holds nothing up any more."
        self.confirm(Confirmation("Cancel a plan", row.plan, said, verb="Cancel it", key="r"), cancel)

    async def do_override(self, row: Any) -> None:
        async def save(values: dict[str, str]) -> str:
            until = round(self.shell.now_ms()) + int(values["hours"]) * 3_600_000
            await self.bench.models.override(row.id, until, values["reason"])
            return f"{row.plan} holds nothing up until {moment(until)}"

        fields = (
            Field("hours", "For hours", "1", required=True, check=whole_number(1, 744)),
            Field("reason", "Reason", required=True),
        )
        self.form(f"Override {row.plan}", fields, save, "Override")


class Plans(Kind):
    """What can be put in force."""

    name, title = "plans", "Plans"
    empty = State(
        Condition.EMPTY, "no plan yet", "A plan says how much may be spent in a month or year.", "i makes one."
    )
    columns = (
        Column("name", "Name", 14, flex=2, keep=100),
        Column(
            "cap",
            "Cap",
            22,
            align="right",
            keep=90,
            value=lambda p: "none" if p.cap is None else f"{_plain(p.cap)} {p.currency} a {p.period}",
        ),
        Column(
            "allows",
            "Allows",
            14,
            flex=1,
            keep=70,
            value=lambda p: "this machine" if p.local_only else ", ".join(p.providers) or "all",
        ),
        Column("subscriptions", "In force", 8, align="right", keep=60),
        Column("active", "State", 10, value=lambda p: "given out" if p.active else "retired", keep=80),
    )
    verbs = (
        Verb("add", "Add", "Make a plan", of_row=False),
        Verb("edit", "Edit", "Change it; a cap holds from the next call on"),
        Verb("switch", "Retire", "Give it out no more, or again; what is in force stays"),
        Verb("remove", "Remove", "Forget it, if nothing ever used it"),
        Verb("seed", "The usual plans", "Make Local only, Team and Unlimited", of_row=False),
    )

    async def rows(self, limit: int) -> Sequence[Any]:
        return await self.bench.store.read(budgets.plans, limit)

    async def about(self, row: Any) -> list[Piece]:
        words = f"{', '.join(row.features)}\n" if row.features else ""
        return [
            ("bold", row.name),
            ("dim", f"  {row.id}\n"),
            ("", words),
            ("dim", f"made {moment(row.created_at)}, changed {moment(row.updated_at)}"),
        ]

    def _fields(self, row: Any) -> list[Field]:
        return [
            Field("name", "Name", "" if row is None else row.name, required=True),
            Field("cap", "Cap", "" if row is None or row.cap is None else _plain(row.cap), hint="empty: none"),
            Field("currency", "Currency", "USD" if row is None else row.currency, required=True),
            Field("period", "A", "month" if row is None else row.period, choices=budgets.PERIODS),
            Field("providers", "Providers", "" if row is None else ", ".join(row.providers), hint="empty: all"),
            Field(
                "local",
                "Only local models",
                "yes" if row is not None and row.local_only else "no",
                choices=("no", "yes"),
            ),
            Field("features", "Words about it", "" if row is None else ", ".join(row.features)),
        ]

    @staticmethod
    def _given(values: dict[str, str]) -> dict[str, Any]:
        return {
            "currency": values["currency"],
            "period": values["period"],
            "providers": values["providers"].split(","),
            "local_only": values["local"] == "yes",
            "features": values["features"].split(","),
        }

    async def do_add(self) -> None:
        async def save(values: dict[str, str]) -> str:
            plan = await self.bench.models.add_plan(
                values["name"], values["cap"].strip() or None, **self._given(values)
            )
            return f"Made {plan.name}: it holds once it is put in force, in Budget"

        self.form("Make a plan", self._fields(None), save)

    async def do_edit(self, row: Any) -> None:
        async def save(values: dict[str, str]) -> str:
            changes = {"name": values["name"], "cap": values["cap"].strip() or None, **self._given(values)}
            plan = await self.bench.models.edit_plan(row.name, **changes)
            return f"Saved {plan.name}"

        self.form(f"Edit {row.name}", self._fields(row), save)

    async def do_switch(self, row: Any) -> None:
        plan = await self.bench.models.edit_plan(row.name, active=not row.active)
        self.done(f"{plan.name} is {'given out again' if plan.active else 'retired'}")

    async def do_remove(self, row: Any) -> None:
        async def remove() -> str:
            await self.bench.models.remove_plan(row.name)
            return f"Removed {row.name}"

        self.confirm(
            Confirmation("Forget a plan", row.name, "Nothing ever used it.", verb="Forget it", key="r"), remove
        )

    async def do_seed(self) -> None:
        await self.bench.models.seed_plans()
        self.done("Made the usual plans")


class Prices(Kind):
    """What a million tokens cost, from which day on."""

    name, title = "prices", "Prices"
    empty = State(
        Condition.EMPTY,
        "no price yet",
        "None is shipped: what a model costs is what its provider asks of you. Without a price a call is unpriced.",
        "i enters one.",
    )
    columns = (
        Column("provider", "Provider", 10, flex=1, keep=90),
        Column("model", "Model", 12, flex=2, keep=100),
        Column("valid_from", "From", 10, render=day, descending=True, keep=85),
        Column("input", "Input", 11, align="right", render=_plain, keep=80),
        Column("output", "Output", 11, align="right", render=_plain, keep=79),
        Column(
            "cached",
            "Cached",
            11,
            align="right",
            keep=50,
            render=lambda amount: glyphs().none if amount is None else _plain(amount),
        ),
        Column("currency", "", 4, keep=70),
        Column("source", "Source", 10, flex=1, value=lambda one: one.source or "", keep=30),
    )
    verbs = (
        Verb("add", "Add", "Enter a price", of_row=False),
        Verb("edit", "Edit", "Enter another price from a day on, or correct this one"),
        Verb("remove", "Remove", "Forget it; what was spent keeps its cost"),
    )

    async def rows(self, limit: int) -> Sequence[Any]:
        return await self.bench.store.read(prices.listing, limit)

    async def heading(self) -> str:
        return "of a million tokens"

    async def about(self, row: Any) -> list[Piece]:
        return [
            ("bold", f"{row.model} of {row.provider}"),
            ("dim", f"  {row.id}, from {day(row.valid_from)} on\n"),
            ("", f"{row.input:f} sent, {row.output:f} got, {row.currency} a million tokens\n"),
            (
                "dim",
                f"source: {row.source or 'not said'}\nentered {moment(row.created_at)}",
            ),
        ]

    def _form(self, title: str, row: Any) -> None:
        async def save(values: dict[str, str]) -> str:
            one = await self.bench.models.put_price(
                values["provider"],
                values["model"],
                day_ms(values["valid_from"]),
                input=values["input"],
                output=values["output"],
                cached=values["cached"].strip() or None,
                currency=values["currency"],
                source=values["source"],
            )
            return f"{one.provider} {one.model}: {one.input:f} and {one.output:f} {one.currency} a million tokens"

        def of(name: str, usual: str = "") -> str:
            value = usual if row is None else getattr(row, name)
            return "" if value is None else _plain(value) if isinstance(value, Decimal) else str(value)

        today = datetime.now(UTC).strftime("%Y-%m-%d")
        fields = (
            Field("provider", "Provider", of("provider"), required=True),
            Field("model", "Model", of("model"), required=True, hint="* for all of the provider"),
            Field("valid_from", "From", today if row is None else day(row.valid_from), required=True),
            Field("input", "Input", of("input"), required=True, hint="a million tokens sent"),
            Field("output", "Output", of("output"), required=True, hint="a million tokens got"),
            Field("cached", "Cached", of("cached"), hint="empty: as input"),
            Field("currency", "Currency", of("currency", "USD"), required=True),
            Field("source", "Source", of("source"), hint="where the figure is from"),
        )
        self.form(title, fields, save)

    async def do_add(self) -> None:
        self._form("Enter a price", None)

    async def do_edit(self, row: Any) -> None:
        self._form(f"Price of {row.model}", row)

    async def do_remove(self, row: Any) -> None:
        await self.bench.models.remove_price(row.id)
        self.done(f"Removed the price of {row.model}")
