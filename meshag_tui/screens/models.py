"""Language models: who may be asked, what each call cost, what may be spent, which answers are kept."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from meshag_tui.agents.presets import PRESETS
from meshag_tui.figures import ago, count, duration, moment, number_of, size
from meshag_tui.glyphs import glyphs
from meshag_tui.screens.entities import EntityPane, Kind, Verb
from meshag_tui.screens.models_agents import Agents
from meshag_tui.screens.models_budget import Budget, Plans, Prices
from meshag_tui.screens.models_money import Ledger, Sums, minute
from meshag_tui.screens.models_people import AccessKeys, Projects, Users
from meshag_tui.screens.models_threads import Threads
from meshag_tui.store import answers, scores
from meshag_tui.store.providers import SHAPES
from meshag_tui.types import Secret
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.dialog import Confirmation
from meshag_tui.widgets.form import Field
from meshag_tui.widgets.page import Piece
from meshag_tui.widgets.states import Condition, State
from meshag_tui.workflows.notices import Topic

if TYPE_CHECKING:
    from meshag_tui.workflows.models import Listed

_NO_ANSWER = State(
    Condition.EMPTY,
    "no answer is kept",
    "What a model answered is used again while nothing it rests on changes: statements, plans, columns, indexes.",
)


def _state(one: Listed) -> str:
    drawn = glyphs()
    if not one.usable:
        return f"{drawn.none} {one.why_not}"
    if one.health.rests_until is not None:
        return f"{drawn.warning} rests"
    return f"{drawn.warning} failed" if one.health.failures else f"{drawn.ok} ready"


class Providers(Kind):
    """Who may be asked, in the order they are tried."""

    name, title = "providers", "Providers"
    columns = (
        Column("name", "Name", 10, flex=1, keep=100),
        Column("models", "Models", 12, flex=2, value=lambda one: ", ".join(one.models), keep=90),
        Column("state", "State", 10, flex=1, value=_state, prose=True, keep=95),
        Column("key", "Key", 8, value=lambda one: one.key or "none", keep=60),
        Column("shape", "Supports", 11, keep=40),
        Column("where", "Where", 14, flex=2, value=lambda o: "this machine" if o.local else o.base_url, keep=70),
    )
    verbs = (
        Verb("add", "Add", "Add a provider", of_row=False),
        Verb("edit", "Edit", "Change it, or give it another key"),
        Verb("try", "Test", "Ask it for a word; the call is in the ledger", needs="llm"),
        Verb("switch", "On/off", "Ask it no more, or again"),
        Verb("remove", "Remove", "Forget it and its key"),
        Verb("first", "Try it first", "Ask it before all others"),
        Verb("score", "Score", "Try it on seven planted cases; each is a call", needs="llm"),
    )

    def key(self, row: Any) -> str:
        return str(row.name)

    async def rows(self, limit: int) -> Sequence[Any]:
        return (await self.bench.models.providers(limit))[:limit]

    async def about(self, row: Any) -> list[Piece]:
        now = self.shell.now_ms()
        said: list[Piece] = [
            ("bold", f"{row.name}"),
            ("dim", f"  {row.kind}\n"),
            ("", f"{', '.join(row.models)} at {row.base_url}\n"),
            ("dim", "key  "),
            ("", f"{row.key or 'none'}\n"),
        ]
        if row.local:
            said.append(("", "On this machine: what is sent there leaves nothing, and costs nothing.\n"))
        if row.why_not:
            said.append(("warning", f"{glyphs().warning} not asked: {row.why_not}\n"))
        if row.health.last_at:
            said += [("dim", "asked last  "), ("", f"{ago(row.health.last_at, now)}\n")]
        if row.health.last_error:
            said.append(("critical", f"{glyphs().bad} {row.health.last_error}\n"))
        if row.health.rests_until and row.health.rests_until > now:
            said.append(("warning", f"left alone until {moment(row.health.rests_until, '%H:%M:%S')}; T asks it now\n"))
        if row.info is not None:
            made, changed = moment(row.info.created_at), moment(row.info.updated_at)
            said.append(("dim", f"{row.info.id}, added {made}, changed {changed}\n"))
        else:
            said.append(("dim", "[llm] of config.toml: it is always the first, and changed there\n"))
        return said

    def why_not(self, verb: str, row: Any) -> str | None:
        if verb in ("edit", "switch", "remove", "first") and row is not None and row.info is None:
            return "it is [llm] of config.toml: change it there"
        return None

    def _fields(self, row: Listed | None) -> list[Field]:
        kinds = tuple(preset.kind for preset in PRESETS)
        models = "" if row is None else ", ".join(row.models)
        usual = "as usual for its kind"
        return [
            Field("name", "Name", "" if row is None else row.name, required=True),
            *([Field("kind", "Kind", kinds[0], choices=kinds)] if row is None else []),
            Field("models", "Models", models, required=True, hint="names with commas; the first is asked"),
            Field("base_url", "Address", "" if row is None else row.base_url, hint=usual, required=row is not None),
            Field(
                "shape",
                "Supports",
                usual if row is None else row.shape,
                choices=(*((usual,) if row is None else ()), *SHAPES),
            ),
            Field("key", "Key", kind="password", hint="none" if row is None or not row.key else "unchanged"),
        ]

    async def do_add(self) -> None:
        self.form("Add a provider of models", self._fields(None), self._add)

    async def _add(self, values: dict[str, str]) -> str:
        info = await self.bench.models.add_provider(
            values["name"],
            values["kind"],
            values["models"].split(","),
            base_url=values["base_url"].strip() or None,
            shape=values["shape"] if values["shape"] in SHAPES else None,
            key=Secret(values["key"].strip()) if values["key"].strip() else None,
        )
        return f"Added {info.name}: T tests it"

    async def do_edit(self, row: Listed) -> None:
        async def save(values: dict[str, str]) -> str:
            changes: dict[str, Any] = {
                "name": values["name"],
                "models": values["models"].split(","),
                "base_url": values["base_url"],
                "shape": values["shape"],
            }
            if values["key"].strip():
                changes["key"] = Secret(values["key"].strip())
            info = await self.bench.models.edit_provider(row.name, **changes)
            return f"Saved {info.name}"

        self.form(f"Edit {row.name}", self._fields(row), save)

    async def do_try(self, row: Listed) -> None:
        self.shell.say(f"Asking {row.models[0]}")
        told = await self.bench.models.test(row.name)
        usage = told.answer.usage
        tokens = "tokens not said" if usage.tokens_in is None else f"{usage.tokens_in} + {usage.tokens_out} tokens"
        cost = "unpriced" if told.cost is None else f"{told.cost:f} {told.currency or ''}".strip()
        self.done(f"{usage.model} answered in {duration(usage.duration_ms)} as {told.answer.shape}, {tokens}, {cost}")

    async def do_switch(self, row: Listed) -> None:
        assert row.info is not None  # noqa: S101 (why_not)
        info = await self.bench.models.edit_provider(row.name, enabled=not row.info.enabled)
        self.done(f"{info.name} is {'asked again' if info.enabled else 'asked no more'}")

    async def do_remove(self, row: Listed) -> None:
        async def remove() -> str:
            await self.bench.models.remove_provider(row.name)
            return f"Removed {row.name}"

        said = "Its key is forgotten. What it cost stays in the ledger."
        self.confirm(Confirmation("Forget a provider", row.name, said, verb="Forget it", key="r"), remove)

    async def do_score(self, row: Listed) -> None:
        said = await self.bench.models.score(
            row.name, lambda words: self.shell.say(f"Scoring {row.models[0]}, {words}")
        )
        self.done(f"{said.model}: {said.passed} of {said.cases} planted cases; Scores has them")

    async def do_first(self, row: Listed) -> None:
        found = await self.bench.models.order([row.name])
        self.done(f"Tried in this order: {', '.join(info.name for info in found)}")


class Cache(Kind):
    """The answers that are kept."""

    name, title = "cache", "Cache"
    cut = "the last used"
    empty = _NO_ANSWER
    columns = (
        Column("connection", "Connection", 12, flex=1, keep=90),
        Column("model", "Model", 12, flex=1, keep=80),
        Column("statements", "Statements", 10, align="right", value=lambda one: len(one.statements), keep=60),
        Column("size_bytes", "Size", 8, align="right", render=size, keep=50),
        Column("hits", "Used", 5, align="right", render=count, descending=True, keep=85),
        Column("bought", "Bought", 16, value=lambda one: one.created_at, render=minute, descending=True, keep=70),
        Column("until", "Until", 16, value=lambda one: one.expires_at, render=minute, keep=55),
    )
    verbs = (
        Verb("remove", "Forget", "Forget the answer under the cursor"),
        Verb("clear", "Forget all", "Forget every kept answer", of_row=False),
        Verb("only", "Kept answers only", "Use kept answers alone and ask nobody, or ask again", of_row=False),
    )

    def key(self, row: Any) -> str:
        return str(row.key)

    async def rows(self, limit: int) -> Sequence[Any]:
        return await self.bench.store.read(answers.page, self.bench.actor, limit)

    async def heading(self) -> str:
        kept = await self.bench.store.read(answers.size)
        only = "nobody is asked: kept answers only" if await self.bench.models.cache_only() else ""
        return glyphs().separator.join(filter(None, (f"{size(kept.bytes)}, used {count(kept.hits)} times", only)))

    async def about(self, row: Any) -> list[Piece]:
        return [
            ("bold", f"{row.connection}"),
            ("dim", f"  {row.model} of {row.provider}, key {row.key[:12]}, prompt {row.prompt_version}\n"),
            ("dim", f"bought {moment(row.created_at)}, used {row.hits} times, last {moment(row.last_hit_at)}\n"),
            ("", row.text),
        ]

    async def do_remove(self, row: Any) -> None:
        await self.bench.models.clear_cache(key=row.key)
        self.done("Forgot the answer")

    async def do_clear(self) -> None:
        async def clear() -> str:
            return f"Forgot {number_of(await self.bench.models.clear_cache(), 'answer')}"

        said = "The same questions will be bought again."
        self.confirm(Confirmation("Forget kept answers", "all of them", said, verb="Forget them", key="r"), clear)

    async def do_only(self) -> None:
        on = not await self.bench.models.cache_only()
        await self.bench.models.set_cache_only(on)
        self.done("Only kept answers are used: nobody is asked" if on else "Models are asked again")


class _Try(NamedTuple):
    """A try of a model, and how it stands to the one before."""

    score: scores.ScoreRow
    since: scores.Since | None


def _of_try(name: str) -> Callable[[_Try], Any]:
    return lambda one: getattr(one.score, name)


class Scores(Kind):
    """How models did on the planted cases."""

    name, title = "scores", "Scores"
    cut = "the newest"
    empty = State(
        Condition.EMPTY,
        "no model was scored yet",
        "Seven planted cases (a missing index, a healthy schema, …) with the same prompt and judging as real ones.",
        "In Providers, m scores the one under the cursor.",
    )
    columns = (
        Column("created_at", "When", 16, value=_of_try("created_at"), render=minute, descending=True, keep=60),
        Column("provider", "Provider", 10, flex=1, value=_of_try("provider"), keep=70),
        Column("model", "Model", 12, flex=2, value=_of_try("model"), keep=100),
        Column(
            "score", "Score", 7, align="right", value=lambda one: f"{one.score.passed} of {one.score.cases}", keep=95
        ),
        Column("since", "Change", 16, flex=1, value=lambda one: one.since.said if one.since else "", keep=65),
        Column("release", "Release", 9, value=_of_try("release"), keep=50),
        Column("prompt_version", "Prompt", 12, value=_of_try("prompt_version"), keep=30),
    )
    verbs = (Verb("cases", "Cases", "See all cases, models and releases beside each other", of_row=False, needs=""),)

    def key(self, row: Any) -> Hashable:
        return str(row.score.id)

    async def rows(self, limit: int) -> Sequence[Any]:
        found = await self.bench.store.read(scores.page, limit)
        since = scores.since(found)
        return [_Try(row, since.get(row.id)) for row in found]

    async def about(self, row: Any) -> list[Piece]:
        score, since = row.score, row.since
        said: list[Piece] = [
            ("bold", f"{score.model} of {score.provider}"),
            ("dim", f"  {score.id}, by {score.actor}\n"),
        ]
        if since is not None:
            said.append(("dim", f"{since.said}, {minute(since.before.created_at)}"))
            for word, names, look in (("better", since.better, "good"), ("worse", since.worse, "critical")):
                said += [("dim", f"; {word}: "), (look, ", ".join(names))] if names else []
            said.append(("", "\n"))
        for one in score.document["cases"]:
            sign = glyphs().ok if one["passed"] else glyphs().bad
            said.append(("good" if one["passed"] else "critical", f"{sign} {one['name']}"))
            said.append(("", f"  {one['why']}\n" if one["why"] else "\n"))
        return said

    def why_not(self, verb: str, row: Any) -> str | None:
        return "no model was scored yet" if row is None else None

    async def do_cases(self) -> None:
        from meshag_tui.widgets.dialog import TextDialog

        sheet = scores.sheet(await self.bench.store.read(scores.page))
        said: list[Piece] = []
        for number, row in enumerate(sheet.tries, start=1):
            said.append(
                ("", f"{number:>3}  {row.model} of {row.provider}, {row.release}: {row.passed} of {row.cases}\n")
            )
        width = max(len(name) for name in sheet.cases)
        said.append(("dim", f"\n{'':{width}}" + "".join(f"{number:>4}" for number in range(1, len(sheet.tries) + 1))))
        signs: dict[bool | None, Piece] = {
            True: ("good", f"   {glyphs().ok}"), False: ("critical", f"   {glyphs().bad}"), None: ("dim", "    "),
        }  # fmt: skip
        for name, done in sheet.cases.items():
            said += [("", f"\n{name:{width}}"), *(signs[each] for each in done)]
        self.shell.push_screen(TextDialog("Planted cases by model and release", said))


class ModelsPane(EntityPane):
    """Providers, ledger, budget and cache; what was said with models; people, their keys, and projects."""

    place = "models"
    topics: ClassVar[frozenset[Topic]] = frozenset(
        {"models", "suggestions", "threads", "agents", "executions", "people", "connections"}
    )
    kinds = (
        *(Providers, Ledger, Sums, Budget, Plans, Prices, Cache, Scores),
        *(Projects, Users, AccessKeys, Agents, Threads),
    )
