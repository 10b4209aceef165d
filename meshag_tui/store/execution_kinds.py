"""What a run is called where people read of it, by the name of its workflow."""

from __future__ import annotations

from collections.abc import Mapping

KINDS: Mapping[str, str] = {
    "sync_database_stats": "sync",
    "generate_suggestions": "advice",
    "change_database": "change",
    "rehearse_suggestion": "rehearsal",
    "verify_change": "verify",
    "keep_store": "upkeep",
    "run_agent": "agent",
}
