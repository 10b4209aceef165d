"""A change tried out in a sandbox with data: what it does to the statements it is for, and to the others on its table.

In: a `Rehearsal`, the change, the statements with what they took on the watched server. Out: a `Rehearsed`: each
statement measured, or why not, and what follows for all of them together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from meshag_tui.changes.benchmark import Effort, Measured, measure
from meshag_tui.changes.interval import CONFIDENCE, Verdict
from meshag_tui.engines.base import EngineError, RenderedChange
from meshag_tui.engines.rehearsal import Copied, Execution, Proof, Rehearsal, Runnable, Side, Undone
from meshag_tui.plan import Plan, steps
from meshag_tui.types import Change

SETS = 5
"""Sets of values a statement is run with, if its columns hold so many."""
SEED = 20_17
VERDICTS: tuple[Verdict, ...] = ("faster", "slower", "no effect", "inconclusive")
_PLAIN = ("faster", "slower")
_FOR_OTHERS = 0.4
"""Part of the time that is for the other statements of the table."""

Tell = Callable[[str, int | None, int | None], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """A statement to run. `ms_per_day` is what it takes on the watched server; `main`: the change is for it."""

    id: str
    text: str
    main: bool
    calls: int
    ms_per_day: float | None


@dataclass(frozen=True, slots=True)
class Tried:
    """A statement with what was measured, or why it could not be run (`why`)."""

    asked: Asked
    measured: Measured | None
    why: str | None = None
    same_plan: bool | None = None  # whether the sandbox plans it as the source does now; None: not known

    @property
    def verdict(self) -> Verdict:
        return "inconclusive" if self.measured is None else self.measured.verdict


@dataclass(frozen=True, slots=True)
class Saving:
    """Time of the watched server saved a day, ms: if there it is as in the sandbox. `least` <= `about` <= `most`."""

    about: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """All of it."""

    sql: str
    label: str
    prepared_s: float
    copied: tuple[Copied, ...]
    notes: tuple[str, ...]
    tried: tuple[Tried, ...]
    proof: Proof | None = None  # of a statement written otherwise
    undone: Undone | None = None  # None: nothing would put it back, or it is a rewrite

    @property
    def share(self) -> float:
        """The smallest part that was copied of any table that was sampled; 1 when all were copied whole."""
        return min((one.share for one in self.copied), default=1.0)

    def counted(self, verdict: Verdict) -> int:
        return sum(one.measured is not None and one.verdict == verdict for one in self.tried)

    @property
    def failed(self) -> int:
        return sum(one.measured is None for one in self.tried)

    @property
    def saving(self) -> Saving | None:
        """Of the statements whose change is plain; None where what they take on the server is not known."""
        found = [
            (one.asked.ms_per_day, one.measured.change)
            for one in self.tried
            if one.measured is not None and one.measured.change is not None and one.verdict in _PLAIN
        ]
        if not found or any(spent is None for spent, _ in found):
            return None
        return Saving(
            about=sum(-change.estimate * (spent or 0.0) for spent, change in found),
            least=sum(-change.high * (spent or 0.0) for spent, change in found),
            most=sum(-change.low * (spent or 0.0) for spent, change in found),
        )

    @property
    def verdict(self) -> Verdict:
        """Faster only if a statement it is for is, none of those is slower, and what is certainly saved is more than
        what the others may lose. No effect if all those it is for are planned and read as before."""
        plain = [one for one in self.tried if one.verdict in _PLAIN]
        mains = {one.verdict for one in plain if one.asked.main} or {one.verdict for one in plain}
        saved = sum(_at_stake(one) * -_worst(one) for one in plain if one.verdict == "faster")
        lost = sum(_at_stake(one) * _worst(one) for one in plain if one.verdict == "slower")
        if "slower" in mains or lost > saved:
            return "slower"
        if "faster" in mains:
            return "faster"
        wanted = [one for one in self.tried if one.asked.main] or self.tried
        return "no effect" if wanted and all(one.verdict == "no effect" for one in wanted) else "inconclusive"

    @property
    def outcome(self) -> str:
        """The verdict in a word; where nothing was to be measured, whether taking it back is proven."""
        if self.tried or self.undone is None:
            return self.verdict
        return "proven" if self.undone.proven else "not proven"

    def document(self) -> dict[str, Any]:
        """All but the samples, as JSON."""
        saving = self.saving
        return {
            "verdict": self.outcome,
            "sql": self.sql,
            "proof": None if self.proof is None else {**asdict(self.proof), "proven": self.proof.proven},
            "undone": None if self.undone is None else {**asdict(self.undone), "proven": self.undone.proven},
            "sandbox": self.label,
            "prepared_s": round(self.prepared_s, 2),
            "copied": [{**asdict(one), "share": round(one.share, 4)} for one in self.copied],
            "share": round(self.share, 4),
            "notes": list(self.notes),
            "confidence": CONFIDENCE,
            "listed": len(self.tried),
            "failed": self.failed,
            **{name: self.counted(name) for name in VERDICTS},
            "saved_ms_per_day": None if saving is None else asdict(saving),
            "statements": [_document(one) for one in self.tried],
        }

    def samples(self) -> dict[str, list[list[Any]]]:
        """Every run, by statement: round, set, side, ms, blocks found, blocks read."""
        return {
            one.asked.id: [[s.round, s.set, s.side, s.ms, s.hit, s.read] for s in one.measured.samples]
            for one in self.tried
            if one.measured is not None
        }


def _worst(one: Tried) -> float:
    """The change at the end of its interval that is worst for us."""
    return one.measured.change.high if one.measured is not None and one.measured.change is not None else 0.0


def _at_stake(one: Tried) -> float:
    if one.asked.ms_per_day is not None:
        return one.asked.ms_per_day
    return one.measured.before.median_ms if one.measured is not None else 0.0


def _document(one: Tried) -> dict[str, Any]:
    said: dict[str, Any] = {
        "query_id": one.asked.id,
        "text": one.asked.text,
        "main": one.asked.main,
        "calls": one.asked.calls,
        "ms_per_day": one.asked.ms_per_day,
        "verdict": one.verdict if one.measured is not None else "failed",
        "why": one.why,
        "same_plan": one.same_plan,
    }
    found = one.measured
    if found is not None:
        said |= {
            "sets": found.sets,
            "rounds": found.rounds,
            "runs": len(found.samples),
            "seconds": round(found.seconds, 2),
            "before": asdict(found.before),
            "after": asdict(found.after),
            "change": None if found.change is None else asdict(found.change),
            "same_work": found.same_work,
            "rounds_ms": _rounds(found),
            "plan_before": _plan(found.plan_before),
            "plan_after": _plan(found.plan_after),
        }
    return said


def _rounds(found: Measured) -> list[list[float]]:
    """The sums of each round, ms: before, after."""
    sums = [[0.0, 0.0] for _ in range(found.rounds)]
    for sample in found.samples:
        sums[sample.round][sample.side == "after"] += sample.ms
    return [[round(before, 3), round(after, 3)] for before, after in sums]


def _plan(plan: Plan) -> dict[str, Any]:
    return {"hash": plan.hash, "nodes": steps(plan), "document": plan.document}


async def rehearse(
    stage: Rehearsal,
    change: Change,
    asked: Sequence[Asked],
    seconds: float,
    tell: Tell,
    effort: Effort | None = None,
    rendered: RenderedChange | None = None,
) -> Rehearsed:
    """Measure each statement before and after a change, then try out what puts it back; without statements only that.

    Args:
        rendered: what would run on the watched server; None: undoing it is not tried.
        seconds: for all measuring together; most of it for the statements that the change is for.

    Raises:
        Refused: the change cannot be made in the sandbox.
        EngineError: the sandbox is lost. A statement that cannot be run is only a `Tried` that says why.
    """
    effort = effort or Effort()
    ready: dict[str, Runnable | str] = {}
    for one in asked:
        tell("making statements ready", None, None)
        ready[one.id] = await _ready(stage, one)
    sql = rendered.sql if rendered is not None else ""
    if asked:
        tell("making the change", None, None)
        sql = await stage.change(change)
    tried = []
    for at, one in enumerate(asked):
        found = ready[one.id]
        if isinstance(found, str):
            tried.append(Tried(one, None, found))
            continue
        mains = sum(each.main for each in asked) or len(asked)
        part = (1 - _FOR_OTHERS) / mains if one.main else _FOR_OTHERS / max(1, len(asked) - mains)
        tell(f"measuring {one.id} ({at + 1} of {len(asked)})", 0, effort.most)
        tried.append(await _try(stage, one, found, replace(effort, seconds=seconds * part), tell))
    undone = None
    if rendered is not None and rendered.undo_sql is not None:
        tell("undoing the change", None, None)
        undone = await stage.undone(change, rendered.sql, rendered.undo_sql)
    copied, notes = tuple(stage.copied), tuple(stage.notes)
    return Rehearsed(sql, stage.label, stage.prepared_s, copied, notes, tuple(tried), undone=undone)


async def rehearse_rewrite(
    stage: Rehearsal, text: str, one: Asked, seconds: float, tell: Tell, effort: Effort | None = None
) -> Rehearsed:
    """Compare a statement with another that should mean the same: first what they return, then how long they take.

    Raises:
        Refused: one of them cannot be run in the sandbox.
        EngineError: the sandbox is lost.
    """
    tell("making statements ready", None, None)
    mine = await stage.ready(one.text, SETS, SEED)
    other = await stage.rewritten(mine, text)
    tell("comparing what they return", None, None)
    proof = await stage.compare(mine, other)

    async def run(side: Side, number: int) -> Execution:
        return await stage.run(side, mine if side == "before" else other, mine.sets[number])

    def told(done: int, of: int) -> None:
        tell(f"measuring {one.id}", done, of)

    wanted = replace(effort or Effort(), seconds=seconds)
    found = await measure(run, len(mine.sets), wanted, SEED, told, same_text=False)
    tried = Tried(one, found, same_plan=_as_there(stage.source_plans, one.text, found.plan_before))
    return Rehearsed(text, stage.label, stage.prepared_s, tuple(stage.copied), tuple(stage.notes), (tried,), proof)


async def _ready(stage: Rehearsal, one: Asked) -> Runnable | str:
    try:
        return await stage.ready(one.text, SETS, SEED)
    except EngineError as error:
        if error.transient:
            raise
        return str(error)


async def _try(stage: Rehearsal, one: Asked, runnable: Runnable, effort: Effort, tell: Tell) -> Tried:
    async def run(side: Side, number: int) -> Execution:
        return await stage.run(side, runnable, runnable.sets[number])

    def told(done: int, of: int) -> None:
        tell(f"measuring {one.id}", done, of)

    try:
        found = await measure(run, len(runnable.sets), effort, SEED, told)
    except EngineError as error:
        if error.transient:
            raise
        return Tried(one, None, str(error))
    return Tried(one, found, same_plan=_as_there(stage.source_plans, one.text, found.plan_before))


def _as_there(plans: Mapping[str, Plan], text: str, here: Plan) -> bool | None:
    there = plans.get(text)
    return None if there is None else here.hash in {there.hash, *(one.hash for one in there.variants)}
