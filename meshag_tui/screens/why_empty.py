"""Why a pane has little or nothing to show: never read, not allowed, not set up, cannot be reached, or truly nothing.

What the last sync could not read it left as findings of the connection; here they become the state a table shows, so
that "no permission" never looks like "no data".
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from meshag_tui.types import ConnectionStatus, Finding
from meshag_tui.widgets.states import READY, Condition, State

if TYPE_CHECKING:
    from meshag_tui.store.connections import ConnectionInfo

TABLES = ("section-tables",)
INDEXES = ("section-indexes", "index-use")
_REFUSED = ("privilege", "denied")


def unread(info: ConnectionInfo, codes: Collection[str]) -> Finding | None:
    """The worst finding about what a pane shows; `codes` are beginnings of finding codes."""
    about = [finding for finding in info.warnings if finding.code.startswith(tuple(codes))]
    bad = [finding for finding in about if finding.severity in ("missing", "degraded")]
    return min(bad, key=lambda finding: finding.severity != "missing", default=None)


def state_of(info: ConnectionInfo, codes: Collection[str], *, any_rows: bool, sync_key: str = "r") -> State:
    """What to say in the place of rows, or above those of an earlier sync; READY when there is nothing to say."""
    finding = unread(info, codes)
    if finding is not None and finding.severity == "missing":
        return missing_state(finding, any_rows)
    if info.status is ConnectionStatus.ERROR and info.last_error:
        condition = Condition.STALE if any_rows else Condition.ERROR
        return State(condition, info.last_error, remedy=f"{sync_key} tries again; the doctor says what is missing.")
    if any_rows:
        return READY
    if info.last_sync_at is None:
        return State(Condition.EMPTY, "not read yet", f"{info.name} was never synced.", f"{sync_key} reads it now.")
    return READY if finding is None else missing_state(finding, any_rows)


def missing_state(finding: Finding, any_rows: bool) -> State:
    """What is said of a finding in the place of rows, or above those of an earlier sync."""
    refused = any(word in finding.code for word in _REFUSED) or finding.facts.get("error") == "permission"
    condition = Condition.FORBIDDEN if refused else Condition.STALE if any_rows else Condition.ERROR
    return State(condition, finding.title, finding.detail, finding.fix or "")
