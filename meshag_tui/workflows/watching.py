"""Watches over what is synced and sampled: judges each connection, raises alerts and ends them, has them told.

Figures are judged when a sync brought new ones; who waits for whom with each sample; statements that became slower
every five minutes, and such a one is planned anew: else no server is asked, but the store and the sampler's last look.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from meshag_tui.advisor import score
from meshag_tui.advisor.score import Health
from meshag_tui.figures import duration, percent
from meshag_tui.settings import Settings
from meshag_tui.store import alerts, budgets, comparison, connections, database, happenings, health
from meshag_tui.store.alerts import AlertInfo
from meshag_tui.store.comparison import Course
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.store.database import Store, StoreUnavailable
from meshag_tui.store.execution_kinds import KINDS
from meshag_tui.store.vault import Vault
from meshag_tui.text import one_line
from meshag_tui.types import ExecutionState, Window
from meshag_tui.workflows.notices import Changed, Finished, Notice, Notices
from meshag_tui.workflows.planning import plan_what_can_be
from meshag_tui.workflows.sampling import Sampler
from meshag_tui.workflows.turns import Turns
from meshag_tui.workflows.webhooks import Teller

LOOK_EVERY_S = 5.0
SLOWER_EVERY_S = 300.0
BUDGET_EVERY_S = 60.0
_MINUTE_MS, _DAY_MS = 60_000, 86_400_000
NOW_MS = 15 * _MINUTE_MS
"""The window whose statements are compared with the day before it."""
FEW_CALLS = 20
LEAST_MS_PER_S = 5.0
"""Load that a slower statement must add before it is alerted of, ms in each second."""
_log = logging.getLogger("meshag.workflows")


class Watcher:
    """One instance a process; `run` until cancelled."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        settings: Settings,
        notices: Notices,
        sampler: Sampler | None,
        actor: str,
        clock: Callable[[], float] = time.monotonic,
        turns: Turns | None = None,
    ) -> None:
        self._turns = turns or Turns(settings.collect)
        self._store, self._settings, self._notices, self._sampler = store, settings, notices, sampler
        self._vault = vault
        self._clock = clock
        self._teller = Teller(store, vault, actor)
        self._due: set[str] = set()  # connections with new figures
        self._ended: list[Finished] = []  # runs that failed or came to an end since
        self._failing: set[tuple[str | None, str]] | None = None  # kinds of runs, by connection; None: not read yet
        self._flips: dict[str, int] = {}  # the last plan looked at, by connection
        self._waits: dict[tuple[str, tuple[int, str, str]], float] = {}  # who waits, and since when on our clock
        self._slower_at: dict[str, float] = {}
        self._budget_at = clock()

    async def run(self) -> None:
        """Work until cancelled."""
        with self.listening():
            while True:
                try:
                    await self.tick()
                except StoreUnavailable as error:
                    _log.warning("watching waits for the store: %s", error)
                await asyncio.sleep(LOOK_EVERY_S)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear meanwhile what runs end and what they bring, for the next `tick`."""
        unsubscribe = self._notices.subscribe(self._heard)
        try:
            yield
        finally:
            unsubscribe()

    def _heard(self, notice: Notice) -> None:
        if isinstance(notice, Changed) and notice.topic == "statistics" and notice.connection_id is not None:
            self._due.add(notice.connection_id)
        elif isinstance(notice, Finished) and notice.state in (ExecutionState.FAILED, ExecutionState.DONE):
            self._ended.append(notice)

    async def tick(self) -> None:
        """Look at everything that is due, and have told what waits to be told."""
        known = await self._store.read(connections.listing)
        for info in known:
            await self._look_at_waits(info)
            if info.id in self._due:
                self._due.discard(info.id)
                await self.look_at(info.id)
        ended, self._ended = self._ended, []
        await self._look_at_runs({(each.connection_id, each.kind): each for each in ended})
        if self._clock() >= self._budget_at:
            self._budget_at = self._clock() + BUDGET_EVERY_S
            await self._look_at_budgets()
        await self._teller.tell()

    # --- what is looked at ------------------------------------------------------------------------------------------

    async def look_at(self, connection_id: str) -> Health:
        """Judge a connection by its newest figures, keep the score, and raise or end what follows from it."""
        judged = await self._store.read(judge, connection_id, self._settings.advice.slow_ms)
        before = await self._store(_keep, connection_id, judged)
        critical = [item for item in judged.items if item.verdict == "critical"]
        for item in critical:
            limit = score.measure(item.name).says(item.critical)
            detail = f" ({item.detail})" if item.detail else ""
            words = f"{item.title}: {item.said}, critical from {limit}{detail}"
            figures = {"measure": item.name, "value": item.value, "limit": item.critical}
            await self._raise(connection_id, "critical", words, subject=item.name, details=figures, lasting=True)
        await self._end(connection_id, "critical", {item.name for item in critical})
        if before is not None and before - judged.score >= self._settings.alerts.drop:
            words = f"Health fell to {judged.score}, from {before:.0f} on average in the last day"
            figures = {"value": judged.score, "limit": before - self._settings.alerts.drop}
            await self._raise(connection_id, "health-drop", words, details=figures, lasting=True)
        else:
            await self._end(connection_id, "health-drop")
        if self._clock() >= self._slower_at.get(connection_id, float("-inf")):
            self._slower_at[connection_id] = self._clock() + SLOWER_EVERY_S
            await self._look_at_slower(connection_id)
        await self._look_at_plans(connection_id)
        return judged

    async def _look_at_runs(self, ended: Mapping[tuple[str | None, str], Finished]) -> None:
        """The last run of each kind that failed or was done: one that works again ends the alert of the one before."""
        if self._failing is None:
            known = await self._store.read(alerts.listing, open_only=True)
            self._failing = {(each.connection_id, each.subject) for each in known if each.rule == "run-failed"}
        for (connection_id, kind), notice in ended.items():
            if notice.state is ExecutionState.FAILED:
                self._failing.add((connection_id, kind))
                words = f"{KINDS.get(kind, kind)} failed: {notice.error or 'no further words'}"
                figures = {"execution": notice.execution_id}
                await self._raise(connection_id, "run-failed", words, subject=kind, details=figures, lasting=True)
            elif (connection_id, kind) in self._failing:
                self._failing.discard((connection_id, kind))
                still = {other for owner, other in self._failing if owner == connection_id}
                await self._end(connection_id, "run-failed", still)

    async def _look_at_plans(self, connection_id: str) -> None:
        def flips() -> list[happenings.Happening]:
            now = database.now_ms()
            return happenings.plans(connection_id, Window(now - alerts.TOLD_FOR_MS, now))

        for flip in await self._store.read(flips):
            assert flip.plans is not None  # noqa: S101
            if flip.plans[1] <= self._flips.get(connection_id, 0):
                continue
            self._flips[connection_id] = flip.plans[1]
            figures = {"query": flip.subject, "before": flip.plans[0], "now": flip.plans[1]}
            subject = f"plan {flip.plans[1]}"
            await self._raise(
                connection_id, "plan-flip", one_line(flip.what, 300, " "), subject=subject, severity="warning",
                details=figures,
            )  # fmt: skip

    async def _look_at_slower(self, connection_id: str) -> None:
        times = self._settings.alerts.regression

        def slower() -> list[comparison.Difference]:
            info = connections.get(connection_id)
            end = info.last_sync_at or database.now_ms()
            now = Window(end - NOW_MS, end)
            found = comparison.compare(connection_id, now, Window(now.start - _DAY_MS, now.start), limit=20)
            return [row for row in found.rows if _is_slower(row, times)]

        found, slowed = await self._store.read(slower), []
        for row in found:
            words = (
                f"{row.uid} takes {duration(row.now.mean_ms)} a call, {duration(row.then.mean_ms)} in the day before, "
                f"and adds {duration(row.by_mean_ms_per_s)} to each second: {one_line(row.text or '', 120, ' ')}"
            )
            figures = {"query": row.uid, "mean_ms": row.now.mean_ms, "before_ms": row.then.mean_ms}
            figures |= {"calls": row.now.calls, "before_calls": row.then.calls, "by_ms_per_s": row.by_mean_ms_per_s}
            if await self._raise(connection_id, "regression", words, subject=row.uid, details=figures, lasting=True):
                slowed.append(row.id)
        await self._end(connection_id, "regression", {row.uid for row in found})
        if slowed:  # another plan may be why: it is found, and alerted of, when it is kept
            async with self._turns.of(connection_id):
                await plan_what_can_be(self._store, self._vault, self._settings, slowed)

    async def _look_at_waits(self, info: ConnectionInfo) -> None:
        """Sessions that wait for another in one sample after the other, by the samples' own times."""
        latest = self._sampler.latest(info.id) if self._sampler is not None else None
        if latest is None or latest.reading is None or latest.error:
            return
        reading = latest.reading
        now = reading.taken_at / 1000
        waiting = {(info.id, each.same_as): each for each in reading.sessions if each.blocked_by}
        for gone in [key for key in self._waits if key[0] == info.id and key not in waiting]:
            del self._waits[gone]
        still = set()
        for key, session in waiting.items():
            seconds = now - self._waits.setdefault(key, now)
            if seconds < self._settings.alerts.blocked_s:
                continue
            by = ", ".join(map(str, session.blocked_by))
            words = f"Session {session.id} of {session.who} waits for {by}, seen so for {duration(seconds * 1000)}"
            figures = {"session": session.id, "blocked_by": list(session.blocked_by), "waited_s": round(seconds, 1)}
            still.add(f"{session.id} {session.began} {session.begun}")
            await self._raise(
                info.id, "blocked", words, subject=f"{session.id} {session.began} {session.begun}", details=figures,
                lasting=True,
            )  # fmt: skip
        await self._end(info.id, "blocked", still)

    async def _look_at_budgets(self) -> None:
        def standings() -> list[budgets.Standing]:
            projects = {None, *(info.project_id for info in connections.listing())}
            every = {one.id: one for project in projects for one in budgets.in_force(project)}
            return list(every.values())

        found = await self._store.read(standings)
        near = [one for one in found if one.share is not None and one.share >= budgets.WARN_AT]
        for one in near:
            about = f" for {one.project}" if one.project else ""
            words = f"{percent(one.share)} of the budget {one.plan}{about} is spent: {one.spent:.2f} of {one.cap:f}"
            figures = {"spent": str(one.spent), "held": str(one.held), "cap": str(one.cap), "currency": one.currency}
            over = (one.share or 0) >= 1
            await self._raise(
                None, "budget", f"{words} {one.currency}", subject=one.id, details=figures, lasting=True,
                severity="critical" if over else "warning",
            )  # fmt: skip
        await self._end(None, "budget", {one.id for one in near})

    # --- raising and ending -----------------------------------------------------------------------------------------

    async def _raise(
        self,
        connection_id: str | None,
        rule: str,
        message: str,
        *,
        subject: str = "",
        severity: alerts.Severity = "critical",
        details: Mapping[str, Any] | None = None,
        lasting: bool = False,
    ) -> AlertInfo | None:
        raised = await self._store(
            alerts.put, connection_id, rule, message, subject=subject, severity=severity, details=details,
            lasting=lasting,
        )  # fmt: skip
        if raised is not None:
            _log.info("alert %s: %s", raised.id, message)
            self._notices.publish(Changed("alerts", connection_id))
        return raised

    async def _end(self, connection_id: str | None, rule: str, still: set[str] | frozenset[str] = frozenset()) -> None:
        if await self._store(alerts.end, connection_id, rule, still):
            self._notices.publish(Changed("alerts", connection_id))


def judge(connection_id: str, slow_ms: float, at: int | None = None) -> Health:
    """The health of a connection by what the store knows now; in the store's thread. Nothing is kept."""
    found = health.found(connection_id, slow_ms, at)
    return score.score(score.readings(found), health.limits(connection_id))


def _keep(connection_id: str, judged: Health) -> float | None:
    """Keep a score; the mean of the scores of the day before it, None where there were none."""
    now = database.now_ms()
    day = health.history(connection_id, window=Window(now - _DAY_MS, now))
    health.keep(connection_id, now, judged.score, judged.judged, [asdict(item) for item in judged.items])
    return _mean(day, now)


def _mean(kept: tuple[health.Kept, ...], now: int) -> float | None:
    """The mean score over time: each counts until the next."""
    if not kept:
        return None
    ends = [now, *(each.at for each in kept[:-1])]
    spans = [max(1, end - each.at) for each, end in zip(kept, ends, strict=True)]
    return sum(each.score * span for each, span in zip(kept, spans, strict=True)) / sum(spans)


def _is_slower(row: comparison.Difference, times: float) -> bool:
    """Whether a statement became so much slower that somebody should know."""
    enough = min(row.now.calls, row.then.calls) >= FEW_CALLS and row.by_mean_ms_per_s >= LEAST_MS_PER_S
    return row.course is Course.SLOWER and enough and (row.now.mean_ms or 0.0) >= times * (row.then.mean_ms or 0.0)
