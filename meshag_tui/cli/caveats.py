"""What must be said beside an answer, so that no error looks like an empty list and no loss like an idle server.

In: a connection and what was read of it from the store. Out: lines for people on stderr, and the words in the place of
rows that are not there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from meshag_tui.cli.output import Output
from meshag_tui.figures import ago, number_of, percent
from meshag_tui.types import Finding

if TYPE_CHECKING:
    from meshag_tui.store.connections import ConnectionInfo
    from meshag_tui.store.history import Loss, QueryPage

TABLES = ("section-tables", "relations-locked")
INDEXES = ("section-indexes", "relations-locked", "index-use")
_LOST = {
    "reset": "statistics were reset",
    "restart": "the server restarted",
    "failover": "another server answered",
    "eviction": "statements were evicted",
    "decrease": "counters fell",
    "visibility": "what we may see changed",
    "gap": "nobody collected",
    "clock": "a clock was set",
    "unread": "statistics could not be read",
}


def tell(info: ConnectionInfo, about: Sequence[str], output: Output, now: int, rows: bool) -> None:
    """Say on stderr what keeps an answer about `info` from being whole and new.

    Args:
        about: beginnings of the codes of findings that matter to it.
        now: the store's clock, epoch ms.
        rows: whether there was anything to show; if not, the findings stand in its place already.
    """
    if info.status == "ERROR" and info.last_error:
        since = f"this is from {ago(info.last_sync_at, now)}" if info.last_sync_at else "there was none before"
        output.note(f"meshag: the last sync of {info.name} failed, {since}: {info.last_error}")
    if rows or output.as_json:
        for finding in _bad(info, about):
            output.note(_line(finding))
        for finding in info.warnings:
            if finding.code.endswith("-narrowed") and finding.code.startswith(tuple(about)):
                output.note(f"meshag: {finding.title}")


def instead_of_rows(info: ConnectionInfo, about: Sequence[str], otherwise: str) -> list[str]:
    """The lines in the place of an empty list: why it could not be read, or that there is truly nothing."""
    found = _bad(info, about)
    if found:
        return [_line(finding).replace("\n", "\n    ") for finding in found]
    if info.last_sync_at is None:
        why = info.last_error or "it was never synced"
        return [f"Nothing is known of {info.name}: {why}. meshag sync {info.name} reads it"]
    return [otherwise]


def tell_losses(page: QueryPage, output: Output) -> None:
    """Say what a window's figures lack: losses by kind, what is hidden, what has no text."""
    if page.events:
        word = "complete, but" if page.complete else "a lower bound"
        output.note(f"meshag: the figures of this window are {word}: {losses(page.events)}")
    if page.covered_share is not None and page.covered_share < 0.9995:
        output.note(f"meshag: {percent(1 - page.covered_share)} of the time belongs to no statement we can name")
    if page.hidden:
        share = page.hidden_time_ms / page.total_time_ms if page.total_time_ms else None
        time = f" ({percent(share)} of the time)" if share is not None else ""
        output.note(
            f"{number_of(page.hidden, 'statement')}{time} set aside: --internal shows them, --internal=own some"
        )


def losses(events: Sequence[Loss]) -> str:
    """Events by kind: "statistics were reset 3×, the server restarted"."""
    kinds = Counter(event.kind for event in events)
    return ", ".join(_LOST.get(kind, kind) + (f" {times}×" if times > 1 else "") for kind, times in kinds.most_common())


def _bad(info: ConnectionInfo, about: Sequence[str]) -> list[Finding]:
    return [
        finding
        for finding in info.warnings
        if finding.severity in ("missing", "degraded") and finding.code.startswith(tuple(about))
    ]


def _line(finding: Finding) -> str:
    detail = f": {finding.detail}" if finding.detail else ""
    return f"meshag: {finding.title}{detail}" + (f" → {finding.fix}" if finding.fix else "")
