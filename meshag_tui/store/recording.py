"""A store to send away: what was seen, without what opens anything; and from when to when it has seen something."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from meshag_tui.store import database, models
from meshag_tui.store.database import Store
from meshag_tui.types import MeshagError

_KEPT: tuple[type[models.Record], ...] = (
    *(models.Project, models.Connection, models.Interval, models.Query, models.QueryText, models.QueryStatistics),
    *(models.Digest, models.QueryDigest, models.Plan, models.MonitoredTable, models.TableAccess),
    *(models.TableDigest, models.MonitoredIndex, models.IndexUsage, models.IndexDigest, models.SchemaVersion),
    *(models.Suggestion, models.Change),
    *(models.Outcome, models.Sampled, models.SampledText, models.Health, models.HealthLimits, models.Alert),
)
"""What a record holds; every other table is emptied in it, those of later versions too."""
_KEPT_SETTINGS = "sequences:"
_NO_KEY = "none.of.ours"


def recorded() -> tuple[int, int] | None:
    """From when to when (epoch ms) something was synced or sampled; None: nothing was."""
    spans = []
    for table in ("interval", "sampled"):
        found = models.database.execute_sql(
            f'SELECT MIN(COALESCE(start_at, end_at)), MAX(end_at) FROM "{table}"'  # noqa: S608
        ).fetchone()
        if found[0] is not None:
            spans.append((int(found[0]), int(found[1])))
    return (min(each[0] for each in spans), max(each[1] for each in spans)) if spans else None


def close_off() -> None:
    """Let no server be reached from this store: what a connection is reached by opens with no key there is."""
    models.Connection.update(secret=_NO_KEY, secret_key_id=None).execute()


def record(store: Store, to: Path, backup: Callable[..., Path], restore: Callable[..., Any]) -> dict[str, int]:
    """Write a store's record to a new SQLite file of mode 0600; rows left out by table. Blocks.

    Args:
        backup, restore: of `copies`.

    Raises:
        MeshagError: the file exists or cannot be written.
    """
    if to.exists():
        raise MeshagError(f"{to} exists: choose a name that is free")
    with tempfile.TemporaryDirectory(prefix="meshag-record-") as folder:
        whole = backup(store, Path(folder) / "whole")
        store.close()  # one store is open in a process at a time
        url = f"sqlite:///{Path(folder) / 'record.db'}"
        restore(url, whole)
        copy = Store.open(url, backup=False)
        try:
            gone = copy.run(_leave_out)
            copy.run(lambda: models.database.connection().executescript("VACUUM"))
            copy.backup(to)
        finally:
            copy.close()
    return gone


def _leave_out() -> dict[str, int]:
    gone = {}
    with database.durable():
        for model in reversed(models.MODELS):
            if model not in _KEPT:
                going = model.delete()
                if model is models.Setting:
                    going = going.where(~models.Setting.key.startswith(_KEPT_SETTINGS))
                gone[model._meta.table_name] = int(going.execute())
        sealed = {"secret": None, "secret_key_id": None, "proxy": None, "proxy_secret": None}
        models.Connection.update(**sealed).execute()
        models.Project.update(settings={}).execute()
        models.Alert.update(deliveries=[], undelivered=False).execute()
    return {name: rows for name, rows in gone.items() if rows}
