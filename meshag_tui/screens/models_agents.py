"""Agents: what they are told, what they may do, their flow as a graph with the last run in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from meshag_tui.agents.flow import TOOLS
from meshag_tui.agents.graph import drawn, states
from meshag_tui.agents.profiles import CATEGORIES, Profile, profile, templates
from meshag_tui.cli.values import seconds
from meshag_tui.figures import ago, duration, moment
from meshag_tui.glyphs import glyphs
from meshag_tui.screens import suggestions_model
from meshag_tui.screens.entities import Kind, Verb
from meshag_tui.store import agents, executions
from meshag_tui.types import ExecutionState, UsageError
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.dialog import Confirmation, TextDialog
from meshag_tui.widgets.form import Field
from meshag_tui.widgets.page import Piece
from meshag_tui.widgets.states import Condition, State

_LOOKS = {"RUNNING": "accent", "PAUSED": "warning", "INACTIVE": "dim"}


def _status(row: Any) -> str:
    drawn_ = glyphs()
    sign = {"ACTIVE": drawn_.ok, "RUNNING": drawn_.cursor, "PAUSED": drawn_.warning}.get(row.status, drawn_.none)
    return f"{sign} {row.status.lower()}"


class Agents(Kind):
    """Who looks after databases."""

    name, title = "agents", "Agents"
    empty = State(
        Condition.EMPTY,
        "no agent here",
        "An agent is a profile with a flow: what it is told, what it may do, and what it does, when.",
        "i makes one.",
    )
    columns = (
        Column("name", "Name", 16, flex=2, keep=100),
        Column("category", "Category", 10, keep=50),
        Column("status", "Status", 10, value=_status, keep=90),
        Column(
            "every_s",
            "Every",
            9,
            align="right",
            render=lambda every: "asked" if every is None else duration(every * 1000),
            keep=60,
        ),
        Column("runs", "Runs", 5, align="right", keep=70),
        Column("last_run_at", "Last run", 10, render=ago, descending=True, keep=80),
        Column("description", "", 20, flex=4, prose=True, keep=40),
    )
    verbs = (
        Verb("add", "Add", "Make an agent", of_row=False),
        Verb("edit", "Change", "Change its profile: another version"),
        Verb("try", "Run now", "Run it on the connection that is looked at", needs="analyze"),
        Verb("switch", "Pause", "Pause it, or let it run again"),
        Verb("remove", "Remove", "Hide it; its runs, threads and costs stay"),
        Verb("flow", "Flow", "Draw up what it does"),
        Verb("unflow", "Remove flow", "Take away what it does; runs that were keep theirs"),
        Verb(
            "preview",
            "What is sent",
            "Show what its search for advice would send to a model, and agree to it",
            needs="llm",
        ),
        Verb("off", "Switch off", "INACTIVE: it does not run; ACTIVE again by P"),
        Verb("removed", "Removed ones", "Show the ones that were removed, or the others", of_row=False, needs=""),
        Verb("restore", "Take back", "Take a removed one back"),
        Verb("purge", "Forget", "Forget what was removed 30 days ago or more, and has no run left", of_row=False),
    )
    _removed = False

    async def rows(self, limit: int) -> Sequence[Any]:
        return await self.bench.agents.page(limit, removed=self._removed)

    async def heading(self) -> str:
        return "those that were removed" if self._removed else ""

    async def about(self, row: Any) -> list[Piece]:
        found = await self.bench.agents.get(row.id)
        who = found.profile
        said: list[Piece] = [
            ("bold", row.name),
            (_LOOKS.get(row.status, "good"), f"  {_status(row)}"),
            ("dim", f"  {row.id}, profile {row.version}, flow {row.flow_version}\n"),
        ]
        if row.flow_deleted_at is not None:
            said.append(
                ("warning", f"{glyphs().warning} its flow was removed {ago(row.flow_deleted_at)}; the last was\n")
            )
        said += await self._flow_pieces(row)
        when = f"every {duration(row.every_s * 1000)}, next {moment(row.next_run_at)}" if row.every_s else "when asked"
        said.append(("", f"runs {when}; tools: {', '.join(who.tools) or 'none'}; model: {who.model or 'as usual'}\n"))
        for name, text in (("description", row.description), ("told", who.instructions), ("notes", who.context)):
            if text:
                said += [("dim", f"{name}: "), ("", f"{text}\n")]
        for name, value in who.configuration.items():
            said += [("dim", f"{name}: "), ("", f"{value}\n")]
        for thread in await self.bench.threads.page(5, agent_id=row.id):
            said += [("dim", f"thread, {ago(thread.updated_at)}: "), ("", f"{thread.name}\n")]
        return [*said, ("dim", f"made by {row.actor} {moment(row.created_at)}, changed {moment(row.updated_at)}")]

    async def _flow_pieces(self, row: Any) -> list[Piece]:
        """The graph, with the newest run of the connection that is looked at in it."""
        info = self.pane.connection
        key = f"{row.id}:{info.id}" if info is not None else ""
        last = await self.bench.store.read(executions.newest, agents.RUN, key)
        found = await self.bench.agents.get(row.id)
        flow, of_run = found.flow, None
        head = "not run here yet"
        if last is not None:
            run = await self.bench.agents.run_of(last)
            flow, of_run = run.agent.flow, states(run.standing, run.info.state)
            head = f"run {ago(run.info.created_at)}: {run.info.state}"
        where = f" on {info.name}" if info is not None else ""
        title = flow.metadata.title or "Flow"
        return [("accent", title), ("dim", f"  {head}{where}\n"), *self._rows(flow, of_run)]

    def _rows(self, flow: Any, of_run: Any) -> list[Piece]:
        width = max(20, self.pane.size.width - 4)
        return [piece for row in drawn(flow, of_run) for piece in (*row.within(width), ("", "\n"))]

    def why_not(self, verb: str, row: Any) -> str | None:
        if row is None:
            return None
        if verb == "restore":
            return None if row.deleted_at is not None else "it is not removed"
        if row.deleted_at is not None:
            return "it is removed: m takes it back"
        if verb in ("try", "preview") and self.pane.connection is None:
            return "there is no connection yet"
        if verb == "try" and row.kept_status != agents.ACTIVE:
            return f"it is {row.kept_status.lower()}: P lets it run"
        if verb == "unflow" and row.flow_deleted_at is not None:
            return "its flow is removed already: m draws up another"
        if verb == "off" and row.kept_status == agents.INACTIVE:
            return "it is switched off already"
        return None

    def _fields(self, row: Any = None, who: Profile | None = None) -> list[Field]:
        who = who or Profile(tools=["collect", "filter", "explain", "advise_rules", "notify"])
        every = "" if row is None or row.every_s is None else f"{row.every_s}s"
        return [
            Field("name", "Name", "" if row is None else row.name, required=True),
            Field("category", "Category", "tuning" if row is None else row.category, choices=CATEGORIES),
            Field("description", "What it is for", "" if row is None else row.description),
            Field("every", "Every", every, hint="1h, 7d; empty: only when asked", check=_every_problem),
            Field("tools", "Tools", ", ".join(who.tools), hint=", ".join(TOOLS), check=_tools_problem),
            Field("instructions", "Instructions", who.instructions, hint="told to models word for word"),
            Field("context", "Notes", who.context, hint="on the databases; told to models as well"),
            Field("model", "Model", who.model or "", hint="NAME or NAME/MODEL of a provider; empty: in their order"),
        ]

    async def do_add(self) -> None:
        async def save(values: dict[str, str]) -> str:
            row = await self.bench.agents.add(
                values["name"],
                _profile(values),
                templates()[values["flow"]],
                category=values["category"],
                description=values["description"],
                every_s=_every(values["every"]),
            )
            return f"Added {row.name}"

        flow = Field("flow", "Flow", "advise", choices=tuple(templates()), hint="to begin with")
        self.form("Make an agent", [*self._fields(), flow], save, "Make it")

    async def do_edit(self, row: Any) -> None:
        before = (await self.bench.agents.get(row.id)).profile

        async def save(values: dict[str, str]) -> str:
            own = {name: values[name] for name in ("name", "category", "description")}
            changes: dict[str, Any] = {name: value for name, value in own.items() if value != getattr(row, name)}
            if (every := _every(values["every"])) != row.every_s:
                changes["every_s"] = every
            saved = await self.bench.agents.edit(row.id, _profile(values, before), **changes)
            return f"Saved {saved.name}: version {saved.version}"

        self.form(f"Change {row.name}", self._fields(row, before), save)

    async def do_try(self, row: Any) -> None:
        info = self.pane.connection
        assert info is not None  # noqa: S101 (why_not)
        self.shell.say(f"{row.name} runs on {info.name}")
        outcome = await self.bench.agents.run(row.id, info.id)
        key = self.shell.actions["screen-5"].shown_key
        if outcome.state is ExecutionState.READY:
            self.done(f"{row.name}: {outcome.error}: see {key}")
        elif outcome.state is ExecutionState.DONE:
            said = outcome.result.get("said") or ["nothing to say"]
            self.done(f"{row.name}: {said[-1]}")
        else:
            self.pane.refresh_soon()
            self.shell.say(f"{row.name} {outcome.state}: {outcome.error}", "error")

    async def do_switch(self, row: Any) -> None:
        status = agents.PAUSED if row.kept_status == agents.ACTIVE else agents.ACTIVE
        saved = await self.bench.agents.set_status(row.id, status)
        self.done(f"{saved.name} is {saved.kept_status.lower()}")

    async def do_unflow(self, row: Any) -> None:
        async def remove() -> str:
            await self.bench.agents.remove_flow(row.id)
            return f"{row.name} has no flow any more"

        said = "It is inactive until another flow is saved. Runs that were keep the version they began with."
        self.confirm(Confirmation("Remove a flow", row.name, said, verb="Remove"), remove)

    async def do_off(self, row: Any) -> None:
        await self.bench.agents.set_status(row.id, agents.INACTIVE)
        self.done(f"{row.name} is inactive")

    async def do_remove(self, row: Any) -> None:
        await self.bench.agents.remove(row.id)
        self.done(f"Removed {row.name}: m shows and takes back what was removed")

    async def do_removed(self) -> None:
        self._removed = not self._removed
        self.pane.refresh_soon()

    async def do_restore(self, row: Any) -> None:
        await self.bench.agents.restore(row.id)
        self.done(f"{row.name} is back")

    async def do_purge(self) -> None:
        async def purge() -> str:
            gone = await self.bench.agents.purge()
            return f"Forgot {', '.join(gone)}" if gone else "None was removed so long ago"

        said = "Their versions and flows are lost; runs, threads and costs stay."
        self.confirm(Confirmation("Forget agents", "those removed 30 days ago or more", said, verb="Forget"), purge)

    async def do_preview(self, row: Any) -> None:
        """Show the exact text of its search for advice, and agree to such texts of the connection."""
        info = self.pane.connection
        assert info is not None  # noqa: S101 (why_not)
        who = (await self.bench.agents.get(row.id)).profile
        self.shell.say("Preparing what a model would be sent")
        preview = await self.bench.advice.model_preview(info.id, None, who.model, who.guidance)
        if preview.refused:
            said = suggestions_model.withheld(preview, info)
            self.shell.push_screen(TextDialog("Nothing of this may be sent", said))
            return

        async def agree() -> str:
            await self.bench.advice.give_model_consent(info.id, who.model)
            return f"Agreed: agents may ask {preview.model} about {info.name}"

        shown = suggestions_model.question(preview, info.name)
        effect = f"{shown.effect} Nothing is sent now: you agree to such texts of {info.name} being sent from now on."
        self.confirm(replace(shown, title=f"What {row.name} would send", effect=effect, verb="Agree", key="a"), agree)

    async def do_flow(self, row: Any) -> None:
        from meshag_tui.screens.flow import FlowDialog

        found = await self.bench.agents.get(row.id)

        def left(saved: str | None) -> None:
            if saved:
                self.done(saved)

        self.shell.push_screen(FlowDialog(found, self.shell, self.bench), left)


def _profile(values: dict[str, str], before: Profile | None = None) -> Profile:
    kept = before.document() if before is not None else {}
    tools = [tool.strip() for tool in values["tools"].split(",") if tool.strip()]
    model = values["model"].strip() or None
    return profile(
        {**kept, "tools": tools, "model": model, **{name: values[name] for name in ("instructions", "context")}}
    )


def _tools_problem(text: str) -> str | None:
    wrong = [tool.strip() for tool in text.split(",") if tool.strip() and tool.strip() not in TOOLS]
    return f"there is no {wrong[0]}" if wrong else None


def _every(text: str) -> int | None:
    return seconds(text.strip()) if text.strip() else None


def _every_problem(text: str) -> str | None:
    from argparse import ArgumentTypeError

    try:
        _every(text)
    except (ArgumentTypeError, UsageError) as error:
        return str(error)
    return None
