"""Sample people, projects, runs and activity for an empty store: something to look at before the first connection."""

from __future__ import annotations

from meshag_tui.store import activity, database, ids, models
from meshag_tui.types import ExecutionState, UsageError

_PEOPLE = (("ada@example.com", "Ada", "admin"), ("bob@example.com", "Bob", "viewer"))
_PROJECTS = ("Web shop", "Warehouse", "Reporting")
_RUNS = (
    (ExecutionState.DONE, None, {"statements": 120}),
    (ExecutionState.INTERRUPTED, "Its process ended before it was done", None),
    (ExecutionState.FAILED, "Nothing listens on 10.0.0.5:5432: connection refused", None),
)
_HAPPENED = (
    ("project.created", "Project Web shop"),
    ("project.created", "Project Warehouse"),
    ("project.created", "Project Reporting"),
    ("run.completed", "Statistics read"),
    ("run.interrupted", "A run was interrupted"),
    ("run.failed", "A server could not be reached"),
)


def seed() -> dict[str, int]:
    """Make the sample in one transaction; rows made by kind.

    Raises:
        UsageError: the store is not empty.
    """
    with database.atomic():
        for model in (models.User, models.Connection, models.Execution, models.Activity):
            if model.select().exists():
                raise UsageError("The store is not empty: a sample goes into a new store only (--store FILE)")
        now = database.now_ms()
        people = [
            models.User.create(id=ids.new("usr"), email=email, name=name, role=role, created_at=now, updated_at=now)
            for email, name, role in _PEOPLE
        ]
        for name in _PROJECTS:
            models.Project.create(id=ids.new("prj"), owner=people[0], name=name, created_at=now, updated_at=now)
        for slot, (state, error, result) in enumerate(_RUNS):
            models.Execution.create(
                id=ids.new("exec"),
                kind="sync_database_stats",
                key="sample",
                slot=slot,
                state=state,
                error=error,
                result=result,
                attempts=1,
                started_at=now,
                finished_at=now,
                created_at=now,
                updated_at=now,
            )
        for kind, message in _HAPPENED:
            activity.record(_PEOPLE[0][1], kind, message)
    return {"people": len(_PEOPLE), "projects": len(_PROJECTS), "runs": len(_RUNS), "activities": len(_HAPPENED)}
