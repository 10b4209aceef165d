"""The workflow that is a run of an agent: its flow, node by node, each a durable step.

In: an agent and a connection, with the versions the run began with. A run that is taken up again after a crash walks
over what is done and goes on behind it; one that waits for a person is parked, and holds nothing. What changes a
database goes through the hands, by the hash of exactly what was agreed to; what it asks of a model over the desk.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from meshag_tui.agents import flow as flows
from meshag_tui.agents.flow import Flow, Node
from meshag_tui.agents.profiles import Profile, profile
from meshag_tui.agents.walk import Standing, standing
from meshag_tui.figures import count, number_of
from meshag_tui.store import activity, agents, changes, executions, history, outcomes, suggestions
from meshag_tui.store.database import now_ms
from meshag_tui.store.ids import query_uid
from meshag_tui.types import ChangeState, MeshagError
from meshag_tui.workflows import suggest, sync
from meshag_tui.workflows.durable import Outcome, Run, Waits, Workflow
from meshag_tui.workflows.notices import Changed

if TYPE_CHECKING:
    from meshag_tui.changes.review import Review
    from meshag_tui.workflows.workbench import Workbench

KIND = agents.RUN
_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000
_MOST_VERIFIED = 50


def workflow(bench: Workbench) -> Workflow:
    """The workflow function. Input: agent, version, flow_version, actor, trigger."""

    async def run_agent(run: Run) -> Mapping[str, Any]:
        if run.connection_id is None:
            raise MeshagError("An agent runs on a connection")
        given = run.input
        whole = await bench.store(agents.whole, given["agent"], given["version"], given["flow_version"])
        who = profile(whole.profile)
        flow = flows.configured(flows.read(whole.flow), who.configuration)
        flows.check(flow, who.tools)
        if "begun" not in run.done:
            await run.commit("begun", lambda: _noted(run, "agent.started", f"{whole.row.name} begins"))
        work = _Work(bench, run, flow, who, whole.row.name)
        try:
            while (now := standing(flow, run.done)).at is not None:
                await work.do(now)
        except MeshagError as error:
            text = f"{whole.row.name}: {error}"
            await bench.store(lambda: _noted(run, "agent.failed", text))
            raise
        said = [f"{visit.node_id}: {visit.output['said']}" for visit in now.visits if visit.output.get("said")]
        found = {subject: len(ids) for subject, ids in now.found.items()}
        if "told" not in run.done:
            await run.commit("told", lambda: _noted(run, "agent.completed", f"{whole.row.name} is done"))
        return {"said": said, "steps": len(now.visits), **found}

    return run_agent


def _noted(run: Run, kind: str, said: str) -> Mapping[str, Any]:
    actor = str(run.input.get("actor") or "meshag")
    activity.record(actor, kind, said, connection=run.connection_id, subject=run.id)
    return {}


class _Work:
    """Does the nodes of one run; each method is a kind of node and returns the output of its step."""

    def __init__(self, bench: Workbench, run: Run, flow: Flow, who: Profile, name: str) -> None:
        self._bench = bench
        self._store = bench.store
        self._run = run
        self._flow = flow
        self._who = who
        self._name = name
        self._actor = str(run.input.get("actor") or "meshag")
        assert run.connection_id is not None  # noqa: S101
        self._connection: str = run.connection_id

    async def do(self, now: Standing) -> None:
        """Do the node that comes next, and keep what came of it."""
        assert now.at is not None  # noqa: S101
        node = self._flow.node(now.at)
        kinds: Mapping[str, Callable[[Node, Standing], Awaitable[Mapping[str, Any]]]] = {
            "collect": self._collect,
            "filter": self._filter,
            "explain": self._explain,
            "advise_rules": self._advise_rules,
            "advise_llm": self._advise_llm,
            "simulate": self._simulate,
            "sandbox_apply": self._sandbox_apply,
            "ask": self._ask,
            "approve": self._approve,
            "benchmark": self._benchmark,
            "apply": self._apply,
            "verify": self._verify,
            "rollback": self._rollback,
            "notify": self._notify,
            "branch": self._branch,
            "end": self._end,
        }
        async with self._run.phase(node.id):
            output = await kinds[node.kind](node, now)
        if output.get("said"):
            await self._run.log("info", f"{node.id}: {output['said']}")
        await self._run.commit(now.step, lambda: output)
        self._bench.notices.publish(Changed("executions", self._connection))

    async def _part(self, kind: str, given: Mapping[str, Any]) -> Outcome:
        """Run another workflow as a part of this one, or join it where it runs; it is cancelled with this one."""
        given = {**given, "part_of": self._run.id}
        try:
            return await self._bench.runner.submit(kind, self._connection, connection_id=self._connection, input=given)
        except asyncio.CancelledError:
            await asyncio.shield(self._stop(kind))
            raise

    async def _stop(self, kind: str) -> None:
        newest = await self._store.read(executions.newest, kind, self._connection)
        if newest is None:
            return
        part = await self._store.read(executions.get, newest)
        if part.input.get("part_of") == self._run.id:  # another one is somebody else's
            await self._bench.runner.cancel(newest)

    # --- looking ----------------------------------------------------------------------------------------------------

    async def _collect(self, node: Node, now: Standing) -> Mapping[str, Any]:
        outcome = await self._part(sync.KIND, {"by_hand": True})
        result = outcome.value()
        self._bench.notices.publish(Changed("statistics", self._connection))
        return {"said": f"{number_of(result.get('statements', 0), 'statement')} read", "run": outcome.execution_id}

    async def _filter(self, node: Node, now: Standing) -> Mapping[str, Any]:
        given = node.parameters

        def pick() -> tuple[list[int], int]:
            window = history.latest_window(self._connection, round(given["window_h"] * _HOUR_MS))
            page = history.queries(self._connection, window, limit=500)
            slow, share = given["slow_ms"], given["least_share"]
            fit = [row for row in page.rows if row.share >= share and (row.mean_time_ms or 0) >= slow]
            return [row.id for row in fit[: given["most"]]], page.total_rows

        picked, of = await self._store.read(pick)
        return {"said": f"{len(picked)} of {number_of(of, 'statement')} picked", "found": {"queries": picked}}

    async def _explain(self, node: Node, now: Standing) -> Mapping[str, Any]:
        planned, notes = 0, []
        wanted = now.found.get("queries", [])
        for number, query in enumerate(wanted, start=1):
            self._run.progress(node.id, number, len(wanted))
            try:
                await self._bench.explain(query)
                planned += 1
            except MeshagError as error:
                if getattr(error, "transient", False):
                    raise
                notes.append(f"{query_uid(query)}: {error}")
        for note in notes:
            await self._run.log("warning", note)
        return {"said": f"{number_of(planned, 'plan')} read, {len(notes)} could not be"}

    async def _advise_rules(self, node: Node, now: Standing) -> Mapping[str, Any]:
        return await self._advise(now, {"actor": self._actor})

    async def _advise_llm(self, node: Node, now: Standing) -> Mapping[str, Any]:
        given = {"llm": True, "actor": self._actor, "model": self._who.model, "guidance": self._who.guidance}
        return await self._advise(now, {**given, "agent": self._name})

    async def _advise(self, now: Standing, given: Mapping[str, Any]) -> Mapping[str, Any]:
        while True:
            outcome = await self._part(suggest.KIND, given)
            if not outcome.joined or not given.get("llm"):
                break  # one that was under way may not have asked a model
        result = outcome.value()
        for note in (*result.get("notes", ()), *result.get("model_notes", ()), *result.get("model_dropped", ())):
            await self._run.log("info", note)
        ids = {*result.get("ids", ()), *result.get("model_ids", ())}
        picked = set(now.found["queries"]) if "queries" in now.found else None
        listed = await self._store.read(suggestions.listing, self._connection, open_only=True)
        kept = [
            one.id
            for one in listed
            if one.id in ids and (picked is None or not one.query_ids or picked & set(one.query_ids))
        ]
        self._bench.notices.publish(Changed("suggestions", self._connection))
        return {"said": f"{number_of(len(kept), 'open suggestion')}", "found": {"suggestions": kept}}

    async def _simulate(self, node: Node, now: Standing) -> Mapping[str, Any]:
        """Price what was found now; an index that brings too little is not gone on with."""
        wanted, least = now.found.get("suggestions", []), node.parameters["least_gain"]
        priced = await self._bench.advice.simulate(self._connection, wanted)
        left_out = []
        for one in priced:
            if not one.statements:
                said = "none of its statements could be planned"
                left_out.append(one.suggestion.id)
            else:
                said = f"cost {count(one.before)} before, {count(one.after)} with it, by {one.method}"
                if one.gain < least:
                    left_out.append(one.suggestion.id)
            await self._run.log("info", f"{one.suggestion.title}: {said}")
        good = f"{len(priced) - len(left_out)} of {number_of(len(priced), 'index')}"
        kept = [each for each in wanted if each not in left_out]
        return {"said": f"{good} would save {least:.0%} or more", "found": {"suggestions": kept}}

    async def _sandbox_apply(self, node: Node, now: Standing) -> Mapping[str, Any]:
        """Only what came back as it was is gone on with, and what nothing would take back is left out."""
        wanted = now.found.get("suggestions", [])[: node.parameters["most"]]
        kept = []
        for number, suggestion in enumerate(wanted, start=1):
            self._run.progress(node.id, number, len(wanted))
            done = await self._run.step(f"{now.step}:{suggestion}", functools.partial(self._try_out, suggestion))
            if done["verdict"] == "proven":
                kept.append(suggestion)
        said = f"{len(kept)} of {number_of(len(wanted), 'change')} made and taken back"
        return {"said": said, "found": {"suggestions": kept}}

    async def _try_out(self, suggestion: str) -> Mapping[str, Any]:
        try:
            made = await self._bench.hands.review_rehearsal(suggestion, structure=True)
            row = await self._bench.hands.rehearse(suggestion, made.hash)
        except MeshagError as error:
            await self._run.log("warning", f"{suggestion}: {error}")
            return {"verdict": "not tried"}
        await self._run.log("info", f"{made.title}: {row.verdict} in {row.document.get('sandbox')}")
        return {"verdict": row.verdict, "rehearsal": row.id}

    async def _ask(self, node: Node, now: Standing) -> Mapping[str, Any]:
        wanted = now.found.get("queries", [])[: node.parameters["most"]]
        made = []
        for number, query in enumerate(wanted, start=1):
            self._run.progress(node.id, number, len(wanted))
            done = await self._run.step(f"{now.step}:{query}", functools.partial(self._talk, node, query))
            made.append(done["thread"])
        return {"said": f"{number_of(len(made), 'thread')} begun", "found": {"threads": made}}

    async def _talk(self, node: Node, query: int) -> Mapping[str, Any]:
        talk = self._bench.threads
        draft = await talk.draft(query_uid(query), model=self._who.model, agent_id=self._run.input["agent"])
        thread_id = await talk.begin(draft)
        await talk.ask(thread_id, node.parameters["question"])
        return {"thread": thread_id}

    # --- deciding ---------------------------------------------------------------------------------------------------

    async def _branch(self, node: Node, now: Standing) -> Mapping[str, Any]:
        given = node.parameters
        number = len(now.found.get(given["on"], []))
        way = "yes" if number >= given["at_least"] else "no"
        return {"said": f"{number} {given['on']}: {way}", "way": way}

    async def _approve(self, node: Node, now: Standing) -> Mapping[str, Any]:
        """Show exactly what would run, and wait; the answer is made by `Agents.answer`, as the step itself."""
        asked = f"{now.step}:asked"
        if asked not in self._run.done:
            would = {"apply": self._would_apply, "rollback": self._would_undo, "benchmark": self._would_read}
            what = would.get(self._flow.agreed_for(node.id) or "")
            items = await what(now) if what is not None else []
            if not items:
                return {"said": "there is nothing to agree to: no", "way": "no"}
            await self._run.commit(asked, lambda: {"items": items})
            text = f"{self._name} waits for approval: {number_of(len(items), 'statement')}"
            await self._store(lambda: _noted(self._run, "agent.waits", text))
        items = self._run.done[asked]["items"]
        raise Waits(f"{node.id} waits for approval of {number_of(len(items), 'statement')}")

    async def _would_apply(self, now: Standing) -> list[dict[str, Any]]:
        items = []
        for suggestion_id in now.found.get("suggestions", []):
            found = await self._store.read(suggestions.get, suggestion_id)
            if not found.is_open or found.change is None:
                continue
            try:
                review = await self._bench.hands.review(suggestion_id)
            except MeshagError as error:
                await self._run.log("warning", f"{found.title}: {error}")
                continue
            if review.needs_name is not None or review.blocked_by:
                gates = ", ".join(gate.name for gate in review.blocked_by)
                why = f"not possible now: {gates}" if gates else "its name is to be typed: apply it by hand"
                await self._run.log("warning", f"{found.title}: {why}")
                continue
            items.append(_item(suggestion_id, found.title, review))
        return items

    async def _would_undo(self, now: Standing) -> list[dict[str, Any]]:
        items = []
        for change_id in now.found.get("worse", []):
            try:
                row, review = await self._bench.hands.review_undo(change_id)
            except MeshagError as error:
                await self._run.log("warning", f"{change_id}: {error}")
                continue
            if review.needs_name is None or row.undo_sql == review.sql:
                items.append(_item(change_id, f"undo {row.sql}", review))
        return items

    async def _would_read(self, now: Standing) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        most = max((node.parameters["most"] for node in self._flow.nodes if node.kind == "benchmark"), default=0)
        for suggestion_id in now.found.get("suggestions", []):
            if len(items) >= most:
                break
            try:
                made = await self._bench.hands.review_rehearsal(suggestion_id)
            except MeshagError as error:
                await self._run.log("warning", f"{suggestion_id}: {error}")
                continue
            sql = ";\n".join(made.plan.statements)
            items.append(
                {"id": suggestion_id, "title": f"read {made.plan.source} into {made.plan.place}: {made.title}"}
                | {"sql": sql, "hash": made.hash, "warned": list(made.plan.notes)}
            )
        return items

    async def _benchmark(self, node: Node, now: Standing) -> Mapping[str, Any]:
        """Measure what was agreed to; what was broken off is not begun again, as rows are read only when agreed to."""
        verdicts: dict[str, int] = {}
        for item in self._agreed(now):
            begun = f"{now.step}:{item['id']}:begun"
            if begun in self._run.done and f"{now.step}:{item['id']}" not in self._run.done:
                await self._run.log("warning", f"{item['title']}: it was broken off, and is not measured again")
                continue
            await self._run.commit(begun, dict)
            done = await self._run.step(f"{now.step}:{item['id']}", functools.partial(self._measure_one, item))
            verdicts[done["verdict"]] = verdicts.get(done["verdict"], 0) + 1
        said = ", ".join(f"{number} {verdict}" for verdict, number in sorted(verdicts.items()))
        return {"said": said or "nothing was measured"}

    async def _measure_one(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            made = await self._bench.hands.review_rehearsal(item["id"])
            if made.hash != item["hash"]:
                raise MeshagError("what would be read is not what was agreed to any more: it is left alone")
            row = await self._bench.hands.rehearse(item["id"], made.hash)
        except MeshagError as error:
            await self._run.log("error", f"{item['title']}: {error}")
            return {"verdict": "not measured"}
        return {"verdict": row.verdict, "rehearsal": row.id}

    # --- changing ---------------------------------------------------------------------------------------------------

    async def _apply(self, node: Node, now: Standing) -> Mapping[str, Any]:
        done = []
        for item in self._agreed(now):
            change = await self._run.step(f"{now.step}:{item['id']}", functools.partial(self._apply_one, item))
            if change.get("change"):
                done.append(change["change"])
        return {"said": f"{number_of(len(done), 'change')} applied", "found": {"changes": done, "suggestions": []}}

    async def _apply_one(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        for row in await self._store.read(changes.listing, suggestion_id=item["id"]):
            if row.state is ChangeState.DONE and row.undoes is None and row.created_at >= item["at"]:
                return {"change": row.id}  # before a crash
        try:
            review = await self._bench.hands.review(item["id"])
            if review.plan_hash != item["hash"]:
                raise MeshagError("what would run is not what was agreed to any more: it is left alone")
            row = await self._bench.hands.apply(item["id"], review.plan_hash, item["by"], _accepted(item))
        except MeshagError as error:
            await self._run.log("error", f"{item['title']}: {error}")
            return {}
        return {"change": row.id}

    async def _rollback(self, node: Node, now: Standing) -> Mapping[str, Any]:
        done = []
        for item in self._agreed(now):
            undone = await self._run.step(f"{now.step}:{item['id']}", functools.partial(self._undo_one, item))
            if undone.get("change"):
                done.append(undone["change"])
        return {"said": f"{number_of(len(done), 'change')} put back", "found": {"worse": []}}

    async def _undo_one(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        for row in await self._store.read(changes.listing, connection_id=self._connection):
            if row.state is ChangeState.DONE and row.undoes == item["id"]:
                return {"change": row.id}  # before a crash
        try:
            _, review = await self._bench.hands.review_undo(item["id"])
            if review.plan_hash != item["hash"]:
                raise MeshagError("what would run is not what was agreed to any more: it is left alone")
            row = await self._bench.hands.undo(item["id"], review.plan_hash, item["by"], _accepted(item))
        except MeshagError as error:
            await self._run.log("error", f"{item['title']}: {error}")
            return {}
        return {"change": row.id}

    def _agreed(self, now: Standing) -> list[dict[str, Any]]:
        """What was agreed to last, with who did and when."""
        answers = [visit for visit in now.visits if visit.output.get("agreed")]
        return [dict(item) for item in answers[-1].output["agreed"]] if answers else []

    async def _verify(self, node: Node, now: Standing) -> Mapping[str, Any]:
        given = node.parameters
        since = await self._store(now_ms) - round(given["since_h"] * _HOUR_MS)
        own = now.found.get("changes")
        rows = await self._store.read(changes.listing, connection_id=self._connection)
        done = [row for row in rows if row.state is ChangeState.DONE and row.undoes is None]
        wanted = [row for row in done if (row.id in own if own is not None else (row.finished_at or 0) >= since)]
        wait_ms = round(given["after_min"] * _MINUTE_MS)
        due = max(((row.finished_at or 0) + wait_ms for row in wanted), default=0)
        if wait_ms and due > await self._store(now_ms):
            raise Waits(f"{node.id} waits {given['after_min']:g} minutes for figures", due)
        states: dict[str, int] = {}
        worse = []
        for row in wanted[:_MOST_VERIFIED]:
            state: str
            try:
                state = (await self._bench.hands.verify(row.id)).state
            except MeshagError as error:
                known = await self._store.read(outcomes.get, row.id)
                state = known.state if known is not None else "not compared"
                await self._run.log("info", f"{row.id}: {error}")
            states[state] = states.get(state, 0) + 1
            if state == "worse":
                worse.append(row.id)
        said = ", ".join(f"{number} {state}" for state, number in sorted(states.items())) or "nothing was applied"
        return {"said": said, "found": {"worse": worse}}

    # --- saying -----------------------------------------------------------------------------------------------------

    async def _notify(self, node: Node, now: Standing) -> Mapping[str, Any]:
        counted = ", ".join(f"{len(ids)} {subject}" for subject, ids in now.found.items() if ids) or "nothing found"
        said = f"{node.parameters['text'] or self._name}: {counted}"
        await self._run.commit(f"{now.step}:told", lambda: _noted(self._run, "agent.says", said))
        return {"said": said}

    async def _end(self, node: Node, now: Standing) -> Mapping[str, Any]:
        return {}


def _item(subject: str, title: str, review: Review) -> dict[str, Any]:
    """A statement that is to be agreed to."""
    warned = [f"{gate.name}: {gate.value}" for gate in (*review.unknown, *review.warned_by)]
    unknown = [gate.name for gate in review.unknown]
    return {
        **{"id": subject, "title": title, "sql": review.sql, "hash": review.plan_hash},
        **{"warned": warned, "unknown": unknown},
    }


def _accepted(item: Mapping[str, Any]) -> Collection[str]:
    """What was unknown and shown as that to who agreed."""
    return tuple(item.get("unknown", ()))
