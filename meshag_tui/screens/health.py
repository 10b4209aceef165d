"""Health: what each item takes of a hundred and why, past scores, alerts and where they are sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from meshag_tui.advisor import score
from meshag_tui.cli.health import taken
from meshag_tui.figures import ago, duration, moment
from meshag_tui.glyphs import glyphs
from meshag_tui.screens.entities import EntityPane, Kind, Verb
from meshag_tui.screens.health_server import Reviewed, Schemas
from meshag_tui.store import alerts, channels, health
from meshag_tui.types import Secret, UsageError
from meshag_tui.widgets.chart import Series, Trend
from meshag_tui.widgets.columns import Column, Tone
from meshag_tui.widgets.dialog import Confirmation
from meshag_tui.widgets.form import Field
from meshag_tui.widgets.page import Piece
from meshag_tui.widgets.states import Condition, State
from meshag_tui.workflows.notices import Topic
from meshag_tui.workflows.watching import judge

if TYPE_CHECKING:
    from meshag_tui.advisor.score import Health, Item
    from meshag_tui.store.alerts import AlertInfo
    from meshag_tui.store.channels import ChannelInfo
    from meshag_tui.store.health import Kept

_ALL = "all"
_PROJECT = "project "
_NEVER = "never"
_UNREAD = {"insufficient privilege": "not allowed", "unsupported": "not told"}
"""Why there is no figure, in the room of one."""
_TONES: dict[str, Tone] = {"critical": "critical", "warning": "warning", "ok": "good", "not counted": "dim"}


def verdict_word(verdict: str) -> str:
    """A verdict with its sign: "✗ critical"."""
    drawn = glyphs()
    signs = {"critical": drawn.bad, "warning": drawn.warning, "ok": drawn.ok}
    return f"{signs.get(verdict, drawn.none)} {verdict}"


def verdict_tone(said: str) -> Tone:
    """The tone of such a word."""
    return _TONES.get(said[2:], "")


def _limit(item: Item, value: float) -> str:
    return score.measure(item.name).says(value) + ("*" if item.own else "")


def _since(one: AlertInfo) -> str:
    return moment(one.began_at, "%d %b %H:%M")


class Items(Kind):
    """The lines of the score of the connection that is looked at."""

    name, title = "items", "Score"
    empty = State(Condition.EMPTY, "there is no connection yet", remedy="1 goes to the overview, i adds one there.")
    columns = (
        Column("lost", "Takes", 5, align="right", render=lambda n: f"-{n}" if n else "", descending=True, keep=95),
        Column("points", "Of", 3, align="right", render=str, keep=40),
        Column("title", "What", 20, flex=1, keep=100),
        Column("verdict", "State", 13, render=verdict_word, tone=lambda word: _TONES.get(word, ""), keep=90),
        Column("said", "Figure", 11, align="right", render=lambda said: _UNREAD.get(said, said), keep=97),
        Column("warning", "Warning", 9, align="right", value=lambda one: _limit(one, one.warning), keep=60),
        Column("critical", "Critical", 9, align="right", value=lambda one: _limit(one, one.critical), keep=70),
        Column("why", "Why", 20, flex=3, value=lambda one: one.detail or one.fix, prose=True, keep=50),
    )
    verbs = (
        Verb("edit", "Limits", "Change from when its figure counts, on this connection"),
        Verb("usual", "Usual limits", "Let the usual limits hold again"),
    )

    def key(self, row: Any) -> str:
        return str(row.name)

    async def _judged(self) -> Health | None:
        info = self.pane.connection
        if info is None:
            return None
        slow_ms, now = self.bench.settings.advice.slow_ms, round(self.shell.now_ms())
        return await self.bench.store.read(judge, info.id, slow_ms, now)

    async def rows(self, limit: int) -> Sequence[Any]:
        found = await self._judged()
        return () if found is None else found.items[:limit]

    async def heading(self) -> str:
        info, found = self.pane.connection, await self._judged()
        if info is None or found is None:
            return ""
        unread = f", {100 - found.judged} points not judged" if found.judged < 100 else ""
        return f"{info.name}: {found.score} of 100{unread}"

    async def about(self, row: Item) -> list[Piece]:
        word = verdict_word(row.verdict)
        said: list[Piece] = [("bold", f"{row.title}  "), (verdict_tone(word), word)]
        said.append(("", f"  {row.said}, takes {row.lost} of {row.points}\n"))
        if row.detail:
            said.append(("", f"{row.detail}\n"))
        if row.fix:
            said += [("dim", "what would mend that  "), ("accent", f"{row.fix}\n")]
        of = score.measure(row.name)
        whose = "of this connection" if row.own else "as usual"
        limits = f"warning from {of.says(row.warning)}, critical from {of.says(row.critical)} ({whose})"
        order = ", less is worse" if of.less_is_worse else ""
        return [*said, ("dim", f"{limits}{order}. From: {row.source}\n")]

    def why_not(self, verb: str, row: Any) -> str | None:
        return "it has the usual limits" if verb == "usual" and row is not None and not row.own else None

    async def do_edit(self, row: Item) -> None:
        of = score.measure(row.name)

        def check(text: str) -> str | None:
            try:
                score.limit_from(row.name, text)
            except UsageError as error:
                return str(error)
            return None

        hints = (("warning", "Warning from", of.warning), ("critical", "Critical from", of.critical))
        fields = [
            Field(name, label, hint=f"{of.says(usual)} as usual", check=check, required=True)
            for name, label, usual in hints
        ]
        self.form(f"Limits: {row.title}", fields, lambda values: self._set(row.name, values))

    async def _set(self, name: str, values: dict[str, str] | None) -> str:
        info = self.pane.connection
        assert info is not None  # noqa: S101 (there are rows of one only)
        own = await self.bench.store.read(health.limits, info.id)
        own.pop(name, None)
        if values is not None:
            own[name] = (score.limit_from(name, values["warning"]), score.limit_from(name, values["critical"]))
        await self.bench.alerting.set_limits(info.id, own)
        return f"{info.name}: {name} has {'limits of its own' if values else 'the usual limits again'}"

    async def do_usual(self, row: Item) -> None:
        self.done(await self._set(row.name, None))


class Scores(Kind):
    """Scores that were kept, as a list and a line."""

    name, title = "scores", "History"
    cut = "the newest"
    empty = State(
        Condition.EMPTY,
        "no score is kept yet",
        "It is kept when it changed, else once an hour, while these screens or meshag collect run.",
    )
    columns = (
        Column("at", "When", 16, render=lambda at: moment(at, "%Y-%m-%d %H:%M"), descending=True, keep=90),
        Column("score", "Score", 6, align="right", render=str, keep=100),
        Column("judged", "Judged", 6, align="right", render=str, keep=60),
        Column("taken", "Taken by", 30, flex=1, value=taken, prose=True, keep=95),
    )

    def key(self, row: Any) -> int:
        return int(row.at)

    async def rows(self, limit: int) -> Sequence[Any]:
        info = self.pane.connection
        return () if info is None else await self.bench.store.read(health.history, info.id, limit)

    async def about(self, row: Kept) -> list[Piece]:
        said: list[Piece] = [("bold", f"{row.score} of 100"), ("dim", f"  {moment(row.at)}, {row.judged} judged\n")]
        for item in row.items:
            said += [(_TONES.get(item["verdict"], ""), f"{verdict_word(item['verdict']):<14}")]
            said.append(("", f"{item['title']}: {item['said']}, takes {item['lost']} of {item['points']}\n"))
        return said

    async def trend(self) -> Trend | None:
        info = self.pane.connection
        if info is None:
            return None
        window = await self.pane.window()
        kept = await self.bench.store.read(health.history, info.id, 500, window)
        points = tuple((each.at, float(each.score)) for each in reversed(kept))
        if len(points) < 2:
            return None
        series = (Series("health", points),)
        return Trend(f"{info.name}: health", window.start, window.end, series, gap_ms=2 * health.HOUR_MS)


class Alerts(Kind):
    """What somebody should know, of the connection that is looked at and of everything."""

    name, title = "alerts", "Alerts"
    empty = State(
        Condition.EMPTY,
        "nothing is alerted of",
        "Measures past their limits, falls of the score, long waits, slower statements, other plans, failed runs, "
        "budgets.",
    )
    columns = (
        Column("severity", "", 10, render=verdict_word, tone=lambda word: _TONES.get(word, ""), keep=95),
        Column("since", "Since", 12, value=_since, keep=80),
        Column(
            "lasted", "Lasted", 8, align="right", keep=70,
            value=lambda one: "open" if one.is_open else duration(one.ended_at - one.began_at),
        ),
        Column("connection", "Connection", 11, flex=1, value=lambda one: one.connection_name or "everything", keep=60),
        Column("rule", "Rule", 11, keep=65),
        Column("noted", "Noted by", 8, value=lambda one: one.acknowledged_by or "", keep=40),
        Column("message", "What", 30, flex=6, prose=True, keep=100),
    )  # fmt: skip
    verbs = (Verb("note", "Note", "Take note of it: it is counted no more", needs="analyze"),)

    async def rows(self, limit: int) -> Sequence[Any]:
        info = self.pane.connection
        return await self.bench.store.read(alerts.listing, None if info is None else info.id, limit=limit)

    async def about(self, row: AlertInfo) -> list[Piece]:
        word = verdict_word(row.severity)
        until = "" if row.is_open else f" until {moment(row.ended_at)}" if row.ended_at != row.began_at else ""
        said: list[Piece] = [
            (verdict_tone(word), f"{word}  "),
            ("", f"{row.message}\n"),
            ("dim", f"{alerts.RULES.get(row.rule, row.rule)}. {row.id}, {moment(row.began_at)}{until}\n"),
        ]
        if row.details:
            figures = glyphs().separator.join(f"{name} {value}" for name, value in row.details.items())
            said.append(("dim", f"{figures}\n"))
        if row.acknowledged_at:
            said.append(("", f"noted by {row.acknowledged_by} {moment(row.acknowledged_at)}\n"))
        for sent in row.deliveries:
            ok = f"{glyphs().ok} sent to {sent['name']}" if sent["taken"] else f"{glyphs().bad} {sent['error']}"
            said.append(("good" if sent["taken"] else "critical", f"{ok}  {moment(sent['at'])}\n"))
        return said

    def why_not(self, verb: str, row: Any) -> str | None:
        return "it was noted" if row is not None and row.acknowledged_at else None

    async def do_note(self, row: AlertInfo) -> None:
        noted = await self.bench.alerting.note(row.id)
        self.done(f"Noted: {noted.message}")


class Webhooks(Kind):
    """Where alerts are sent."""

    name, title = "webhooks", "Webhooks"
    empty = State(
        Condition.EMPTY,
        "alerts are sent nowhere",
        "They are shown here, and rung by this terminal. A webhook gets a JSON document of each.",
        "i adds one.",
    )
    columns = (
        Column("name", "Name", 12, flex=1, keep=100),
        Column("place", "Where", 20, flex=2, keep=90),
        Column("of", "Of", 10, flex=1, value=lambda one: one.of, keep=60),
        Column("rules", "Which", 14, flex=2, value=lambda one: ", ".join(one.rules) or "all alerts", keep=70),
        Column("quiet", "Quiet", 12, flex=1, value=lambda one: one.quiet or _NEVER, keep=65),
        Column("state", "State", 6, value=lambda one: "on" if one.enabled else "off", keep=80),
    )
    verbs = (
        Verb("add", "Add", "Add a webhook", of_row=False),
        Verb("edit", "Edit", "Change which alerts go there, and when none do"),
        Verb("try", "Test", "Send a test document there now"),
        Verb("switch", "On/off", "Send nothing there, or again"),
        Verb("remove", "Remove", "Forget it and its address"),
    )

    async def rows(self, limit: int) -> Sequence[Any]:
        return await self.bench.store.read(channels.listing, limit)

    async def about(self, row: ChannelInfo) -> list[Piece]:
        said: list[Piece] = [
            ("bold", f"{row.name}  "),
            ("", f"{', '.join(row.rules) or 'all alerts'} of {row.connection_name or 'all connections'}\n"),
            ("", f"{row.place}, address sealed\n"),
        ]
        if not row.encrypted:
            said.append(("warning", f"{glyphs().warning} not encrypted: names and figures can be read on their way\n"))
        changed = ago(row.updated_at, self.shell.now_ms())
        return [*said, ("dim", f"quiet {row.quiet or _NEVER}; {row.id}, changed {changed}\n")]

    def _fields(self, row: ChannelInfo | None) -> list[Field]:
        def readable(text: str) -> str | None:
            try:
                channels.checked_quiet(text)
            except UsageError as error:
                return str(error)
            return None

        known = self.shell.connections
        in_projects = dict.fromkeys(f"{_PROJECT}{info.project_name}" for info in known)
        names = (_ALL, *(info.name for info in known), *in_projects)
        every = ", ".join(alerts.RULES)
        return [
            *(
                [
                    Field("name", "Name", required=True),
                    Field("url", "Address", kind="password", required=True, hint="https://…, it is kept sealed"),
                    Field("key", "Signing key", kind="password", hint="none"),
                    Field("connection", "Of", _ALL, choices=names),
                ]
                if row is None
                else []
            ),
            Field("rules", "Which", "" if row is None else ", ".join(row.rules), hint=f"all: {every}"),
            Field("quiet", "Quiet", "" if row is None else row.quiet, hint="never; or 22:00-07:00", check=readable),
        ]

    async def do_add(self) -> None:
        async def save(values: dict[str, str]) -> str:
            whose = values["connection"]
            project = whose.startswith(_PROJECT)
            info = await self.bench.alerting.add_webhook(
                values["name"],
                Secret(values["url"].strip()),
                key=Secret(values["key"]) if values["key"] else None,
                connection=None if whose == _ALL or project else whose,
                project=whose.removeprefix(_PROJECT) if project else None,
                rules=_listed(values["rules"]),
                quiet=values["quiet"],
            )
            return f"Added {info.name}: T tests it"

        self.form("Add a webhook", self._fields(None), save)

    async def do_edit(self, row: ChannelInfo) -> None:
        async def save(values: dict[str, str]) -> str:
            changes = {"rules": _listed(values["rules"]), "quiet": values["quiet"]}
            return f"Saved {(await self.bench.alerting.edit_webhook(row.id, **changes)).name}"

        self.form(f"Edit {row.name}", self._fields(row), save)

    async def do_try(self, row: ChannelInfo) -> None:
        self.shell.say(f"Sending to {row.place}")
        info, status = await self.bench.alerting.test_webhook(row.id)
        self.done(f"{info.place} took it ({status})")

    async def do_switch(self, row: ChannelInfo) -> None:
        info = await self.bench.alerting.edit_webhook(row.id, enabled=not row.enabled)
        self.done(f"{info.name} is {'on' if info.enabled else 'off'}")

    async def do_remove(self, row: ChannelInfo) -> None:
        async def remove() -> str:
            return f"Removed {(await self.bench.alerting.remove_webhook(row.id)).name}"

        said = "Its address is forgotten."
        self.confirm(Confirmation("Forget a webhook", row.name, said, verb="Forget it", key="r"), remove)


def _listed(text: str) -> list[str]:
    return [rule for part in text.split(",") if (rule := part.strip()) and rule != _ALL]


class HealthPane(EntityPane):
    """Score, history, alerts, webhooks; settings and schema of the server."""

    place = "health"
    topics: ClassVar[frozenset[Topic]] = frozenset({"statistics", "sessions", "alerts", "suggestions"})
    kinds = (Items, Scores, Alerts, Webhooks, Reviewed, Schemas)

    def connection_changed(self) -> None:
        super().connection_changed()
        self.refresh_soon()
