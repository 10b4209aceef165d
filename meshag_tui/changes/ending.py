"""Stopping a session of somebody else: what exactly would run and what it means; then that, journalled.

The engine looks again at the moment it acts: a session that is no more at what was seen is left alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshag_tui.engines import engine_for
from meshag_tui.figures import duration
from meshag_tui.live import Ended, Ending
from meshag_tui.store import activity, connections
from meshag_tui.text import one_line
from meshag_tui.types import MeshagError

if TYPE_CHECKING:
    from meshag_tui.engines.base import Limits
    from meshag_tui.store.connections import ConnectionInfo
    from meshag_tui.store.database import Store
    from meshag_tui.store.vault import Vault

_OURS = "meshag/"


@dataclass(frozen=True, slots=True)
class EndReview:
    """What would be run: `who` it meets, the exact `sql`, its `effect`, what to know before (`notes`)."""

    ending: Ending
    who: str
    sql: str
    effect: str
    notes: tuple[str, ...]
    hash: str


def review(info: ConnectionInfo, ending: Ending, *, read_only: bool) -> EndReview:
    """What stopping a session would run. MeshagError: this connection must not be changed, or the session is ours."""
    session = ending.session
    if read_only or info.read_only:
        raise MeshagError(f"{info.name} is read-only: no session of it is stopped from here")
    if session.application.startswith(_OURS):
        raise MeshagError(f"Session {session.id} is MeshAG's own")
    sql = engine_for(info.db_type).end_sql(ending)
    who = f"session {session.id} of {session.who}"
    if session.application:
        who += f" ({session.application})"
    if ending.way == "cancel":
        effect = "Its statement ends with an error; the session and its transaction stay."
    else:
        effect = "The session ends, what its transaction did is rolled back; its client sees a lost connection."
    made = f"{info.id}\0{sql}\0{session.same_as}"
    return EndReview(ending, who, sql, effect, _notes(ending), hashlib.sha256(made.encode()).hexdigest())


async def end(store: Store, vault: Vault, limits: Limits, info: ConnectionInfo, shown: EndReview, actor: str) -> Ended:
    """Run what `review` showed. The journal has it before it is sent, and again with what came of it.

    Raises:
        EngineError: the server refused; for a right that is missing the grant is its `fix`.
    """
    target = await store(connections.target, info.id, vault)
    verb = "cancel the statement of" if shown.ending.way == "cancel" else "end"
    details = {"sql": one_line(shown.sql), "text": shown.ending.session.text or ""}
    kind = f"session.{shown.ending.way}"

    def note(message: str) -> None:
        activity.record(actor, kind, message, connection=info.id, details=details)

    await store(note, f"asked to {verb} {shown.who}")
    try:
        ended = await engine_for(target.db_type).end(target, limits, shown.ending)
    except MeshagError as error:
        await store(note, f"{shown.who}: not stopped, {error}")
        raise
    await store(note, f"{shown.who}: {in_words(ended)}")
    return ended


def in_words(ended: Ended) -> str:
    """What came of it."""
    said = {
        "done": "it has stopped",
        "sent": "the server was told to stop it",
        "changed": "nothing was sent, it is no more at what was seen",
        "gone": "nothing was sent, it had ended already",
    }[ended.outcome]
    return f"{said} ({ended.detail})" if ended.detail else said


def _notes(ending: Ending) -> tuple[str, ...]:
    session, found = ending.session, list[str]()
    if session.kind == "replication":
        found.append("It feeds a replica, which falls behind until it connects again")
    elif session.kind == "autovacuum":
        found.append("It is autovacuum: the work begins anew later, and one against wraparound must get done")
    elif session.kind != "client":
        found.append(f"It is no client but the server's own: {session.kind}")
    if ending.way == "cancel" and session.state != "active":
        found.append("It runs no statement: there is nothing to cancel. Only ending the session frees its locks")
    if ending.way == "terminate" and (session.transaction_ms or 0) > 60_000:
        found.append(
            f"Its transaction is {duration(session.transaction_ms)} old: rolling it back may take long as well"
        )
    return tuple(found)
