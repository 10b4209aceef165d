"""Sample content for an empty store: something to look at before the first database is connected."""

from __future__ import annotations

from meshag_tui.store import activity, connections, database, ids, models
from meshag_tui.store.vault import Vault
from meshag_tui.types import ConnectionStatus, ExecutionState, MeshagError, Target

_HOUR = 3_600_000


def seed(vault: Vault, account: str | None = None) -> dict[str, int]:
    """Two people, three projects, a paused connection, three runs (done, running, failed) and six activities.

    The runs are of a kind no worker takes. Returns the counts. `account` is that of the first of them, an admin: where
    roles count, nobody else may do anything.

    Raises:
        MeshagError: the store is not empty.
    """
    with database.atomic():
        for model in (models.User, models.Project, models.Connection, models.Execution, models.Activity):
            if model.select().exists():
                raise MeshagError("The store is not empty: `meshag store reset` sets it aside first")
        now = database.now_ms()
        people = [
            models.User.create(
                id=ids.new("usr"), email=email, name=name, role=role, account=known, created_at=now, updated_at=now
            )
            for email, name, role, known in (
                ("ada@example.com", "Ada Example", "admin", account),
                ("bo@example.com", "Bo Example", "viewer", None),
            )
        ]
        for name in ("Web shop", "Billing", "Reports"):
            models.Project.create(id=ids.new("prj"), owner=people[0], name=name, created_at=now, updated_at=now)
        target = Target.from_url("postgresql://meshag@localhost:5432/shop")
        sample = connections.add("sample", target, vault, project="Web shop")
        connections.set_status(sample.id, ConnectionStatus.INACTIVE)
        for slot, (state, hours, error) in enumerate(
            (
                (ExecutionState.DONE, 3, None),
                (ExecutionState.RUNNING, 2, None),
                (ExecutionState.FAILED, 1, "connection refused"),
            )
        ):
            started = now - hours * _HOUR
            ended = None if state is ExecutionState.RUNNING else started + 1_500
            models.Execution.create(
                id=ids.new("exec"),
                kind="sample",
                key=sample.id,
                slot=slot,
                connection=sample.id,
                state=state,
                attempts=1,
                error=error,
                created_at=started,
                updated_at=ended or started,
                started_at=started,
                finished_at=ended,
            )
        for kind, message in (
            ("store.seeded", "Filled the store with a sample"),
            ("project.added", "Added the project Web shop"),
            ("project.added", "Added the project Billing"),
            ("project.added", "Added the project Reports"),
            ("connection.added", "Added the connection sample"),
            ("connection.paused", "Paused the connection sample"),
        ):
            activity.record("meshag", kind, message)
    return {"users": 2, "projects": 3, "connections": 1, "executions": 3, "activities": 6}
