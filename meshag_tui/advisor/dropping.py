"""What dropping a redundant index would change, asked of a planner that can leave an index out.

In: suggestions to drop an index that a longer one stands in for, and the statements with their plans. Out: the same
with what is known of it: that no plan uses the index; what the plans that use it cost without; or, where one would cost
much more, the advice with nothing to apply. Only a statistics sandbox can leave an index out; without one it is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from meshag_tui.advisor.budget import Budget, OutOfBudget
from meshag_tui.advisor.examined import Examined
from meshag_tui.engines.base import EngineError, Session, WhatIf
from meshag_tui.figures import count, percent
from meshag_tui.settings import Settings
from meshag_tui.types import DropIndex, HideIndex, Risk, Suggestion, SuggestionPriority

DEARER = 0.10
"""Part of a statement's cost from which it is named as dearer without the index."""
TOO_DEAR = 0.50
"""Part from which the index is not redundant to it, and stays."""


async def with_plans(
    made: Sequence[Suggestion],
    examined: Sequence[Examined],
    session: Session,
    settings: Settings,
    budget: Budget,
    notes: list[str],
) -> list[Suggestion]:
    """Each suggestion to drop a redundant index with what its drop would change; all others as they are."""
    planned = [one for one in examined if one.plan is not None]
    users = {one.identity: _users(one.change, planned) for one in made if _is_meant(one)}
    if not users or not planned:
        return list(made)
    asked = [one.plan for found in users.values() for one in found if one.plan is not None]
    may = settings.advice.what_if in ("auto", "sandbox")
    what_if = await session.what_if("sandbox", asked, notes) if asked and may else None
    whole = sum(one.share for one in planned)
    ready = []
    for one in made:
        if one.identity not in users:
            ready.append(one)
        elif not users[one.identity]:
            said = f"no plan of the {count(len(planned))} statements looked at uses it"
            ready.append(_with_facts(one, f"{said}, which take {percent(whole)} of all query time"))
        elif what_if is None:
            names = ", ".join(user.query.uid for user in users[one.identity][:3])
            ready.append(_with_facts(one, f"used by {names}; no planner here can say what they cost without it"))
        else:
            ready.append(await _planned(one, users[one.identity], what_if, budget))
    return ready


def _is_meant(one: Suggestion) -> bool:
    return one.rule == "redundant-index" and isinstance(one.change, DropIndex | HideIndex)


def _users(change: object, planned: Sequence[Examined]) -> list[Examined]:
    """Statements whose present plan uses the index."""
    if not isinstance(change, DropIndex | HideIndex):
        return []
    return [
        one
        for one in planned
        if one.plan is not None and any(node.index == change.name for node in one.plan.root.walk())
    ]


async def _planned(one: Suggestion, users: Sequence[Examined], what_if: WhatIf, budget: Budget) -> Suggestion:
    """What the statements that use the index cost without it."""
    drop = one.change
    if not isinstance(drop, DropIndex | HideIndex):
        return one
    worst, facts = 0.0, []
    for user in users:
        plan = user.plan
        if plan is None:
            continue
        try:
            budget.spend()
            budget.spend()
            before = (await what_if.plan(plan.statement, (), plan.mode, plan.parameters)).plan
            gone = [(drop.schema, drop.name)]
            after = (await what_if.plan(plan.statement, (), plan.mode, plan.parameters, gone)).plan
        except OutOfBudget:
            facts.append(f"{user.query.uid} was not planned without it: the planner was asked as often as we allow")
            break
        except EngineError as error:
            if error.transient:
                raise
            facts.append(f"{user.query.uid} could not be planned without it: {error}")
            continue
        more = after.cost / before.cost - 1 if before.cost > 0 else 0.0
        instead = sorted({str(node.index) for node in after.root.walk() if node.index is not None})
        by = f"uses {', '.join(instead)}" if instead else "reads the table"
        facts.append(f"{user.query.uid} then {by}: planner cost {before.cost:,.1f} → {after.cost:,.1f}")
        if more >= DEARER:
            facts[-1] += f" ({percent(more)} more)"
        worst = max(worst, more)
    made = _with_facts(one, *facts, f"planned by {what_if.label}")
    if worst < TOO_DEAR:
        return made
    return replace(
        made,
        title=f"Keep {drop.name}, though {one.evidence.get('kept', 'a longer index')} begins with the same columns",
        text=f"{one.text} But the planner says that a statement would cost {percent(worst)} more without it, so it is "
        "not proposed for dropping.",
        priority=SuggestionPriority.LOW,
        risk=Risk.HIGH,
        change=None,
    )


def _with_facts(one: Suggestion, *facts: str) -> Suggestion:
    return replace(one, evidence={**one.evidence, "facts": [*one.evidence["facts"], *facts]})
