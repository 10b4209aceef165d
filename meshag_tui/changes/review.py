"""What the DBA sees before saying yes: the exact statement, where it would run, its gates and its undo.

A review is bound to what it showed. Its hash covers the server, the statement and the object as the catalogue had it;
`apply` renders everything again and goes on only if the hash is still the same and no gate blocks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from meshag_tui.changes.house_rules import NO_RULES, HouseRules
from meshag_tui.changes.record import ChangeRefused
from meshag_tui.engines.base import DdlSession, Engine, Gate, Limits, RenderedChange
from meshag_tui.types import Change, DropIndex, DropStatistics, Target

REVIEW_VALID_MS = 15 * 60 * 1000
"""A review left open longer than this must be made again: the server has moved on."""


@dataclass(frozen=True, slots=True)
class Review:
    """What would run, where, what speaks against it, and what would put it back.

    Saying yes to it, by its `plan_hash`, accepts the gates in `warned_by`; whoever asks the question shows them first.
    Those in `unknown` must be accepted by name. One that is not among them when the change is about to run stops it.
    """

    connection_id: str
    target_label: str
    change: Change
    sql: str
    undo_sql: str | None
    catalogue: Mapping[str, Any]
    gates: tuple[Gate, ...]
    plan_hash: str
    made_at: int  # epoch ms of the store's clock, when looking began
    needs_name: str | None  # the object name to type before something is dropped
    dialect: Literal["postgres", "mysql"] = "postgres"  # of the statements, for showing them
    estimated_bytes: int | None = None  # what the change will take, as the gates were told

    @property
    def blocked_by(self) -> tuple[Gate, ...]:
        return tuple(gate for gate in self.gates if gate.state == "block")

    @property
    def warned_by(self) -> tuple[Gate, ...]:
        return tuple(gate for gate in self.gates if gate.state == "warn")

    @property
    def unknown(self) -> tuple[Gate, ...]:
        return tuple(gate for gate in self.gates if gate.state == "unknown")


def check_unknown(gates: Collection[Gate], accept: Collection[str]) -> None:
    """Unknown is no, unless somebody goes on without knowing.

    Args:
        gates: whose values are unknown.
        accept: names of those that somebody goes on without.

    Raises:
        ChangeRefused: one of them is not accepted; its text says what to do.
    """
    for gate in gates:
        if gate.name not in accept:
            said = f"Not run: {gate.name} is {gate.value}, must be {gate.limit}. {gate.detail}".rstrip(". ")
            raise ChangeRefused(f'{said}. To go on without knowing it: --accept "{gate.name}", or k where it is shown')


def plan_hash(connection_id: str, system_identifier: str, rendered: RenderedChange) -> str:
    """A name for exactly this change to exactly this object on exactly this server."""
    document = json.dumps(
        [connection_id, system_identifier, rendered.sql, rendered.undo_sql, dict(rendered.target)],
        sort_keys=True,
        default=str,
    )
    return hashlib.sha256(document.encode()).hexdigest()[:32]


async def review(
    engine: Engine,
    target: Target,
    limits: Limits,
    connection_id: str,
    change: Change,
    *,
    made_at: int,
    estimated_bytes: int | None = None,
    rules: HouseRules = NO_RULES,
) -> Review:
    """Render `change` against the catalogue as it is now and ask every gate; nothing is run.

    Raises:
        EngineError: the server cannot be reached, or the object is not as the change says.
    """
    async with engine.connect_for_change(target, limits) as hands:
        reviewed, _ = await review_with(
            hands, engine, target, limits, connection_id, change, estimated_bytes, rules, made_at
        )
    return reviewed


async def review_with(
    hands: DdlSession,
    engine: Engine,
    target: Target,
    limits: Limits,
    connection_id: str,
    change: Change,
    estimated_bytes: int | None,
    rules: HouseRules,
    made_at: int = 0,
) -> tuple[Review, RenderedChange]:
    """The same over a session already open, so that `apply` can check and run over one conversation."""
    async with engine.connect(target, "review", limits) as session:
        rendered = await session.render(change)
        identifier = session.facts.epoch.system_identifier
    gates = await hands.gates(change, rendered, estimated_bytes)
    gates += rules.gates(rendered.target, datetime.now())
    reviewed = Review(
        connection_id=connection_id,
        target_label=target.label,
        change=change,
        sql=rendered.sql,
        undo_sql=rendered.undo_sql,
        catalogue=rendered.target,
        gates=gates,
        plan_hash=plan_hash(connection_id, identifier, rendered),
        made_at=made_at,
        needs_name=change.name if isinstance(change, DropIndex | DropStatistics) else None,
        dialect=engine.words.dialect,
        estimated_bytes=estimated_bytes,
    )
    return reviewed, rendered
