"""A store that is the same every time: three connections, their runs and what was decided, at one moment."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from textual.pilot import Pilot

from meshag_tui.app import MeshagApp
from meshag_tui.settings import Settings, UiSettings
from meshag_tui.store import activity, connections, models
from meshag_tui.store.database import Store
from meshag_tui.store.vault import Vault
from meshag_tui.types import ConnectionStatus, DbType, ExecutionState, Finding, Secret, Target, TlsMode

AT = 1_790_000_000_000
"""The moment every picture is taken at: 21 September 2026, 14:13:20 UTC (epoch ms)."""
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000

Made = TypeVar("Made")
_FILLED: dict[str, tuple[tempfile.TemporaryDirectory[str], Any]] = {}

WARNING = Finding(
    "pg-monitor",
    "degraded",
    "watcher does not see the statements and sessions of other roles",
    "It is not a member of pg_monitor",
    'GRANT pg_monitor TO "watcher";',
)


def settings_in(home: Path, theme: str = "dark") -> Settings:
    """Settings with a store in `home`; nothing is refreshed while a picture is taken."""
    home.mkdir(mode=0o700, exist_ok=True)
    ui = UiSettings(theme=theme, refresh_s=3_600)
    return Settings(home=home, store_url=f"sqlite:///{home / 'meshag.db'}", ui=ui)


def filled(home: Path, work: Callable[..., Made], *arguments: Any) -> Made:
    """Make a store in `home` and fill it by `work(vault, *arguments)`; one that was filled so before is copied."""
    key = f"{work.__module__}.{work.__name__}{arguments}"
    if key not in _FILLED:
        folder = tempfile.TemporaryDirectory()
        settings = settings_in(Path(folder.name))
        vault = Vault.open(settings)
        store = Store.open(settings.store_url)
        try:
            _FILLED[key] = folder, store.run(work, vault, *arguments)
        finally:
            store.close()
    folder, made = _FILLED[key]
    shutil.copytree(folder.name, home, dirs_exist_ok=True)
    return made


def fill(settings: Settings) -> None:
    """Make the store and fill it."""
    filled(settings.home, _fill)


def _fill(vault: Vault) -> None:
    shop = _connection(vault, "shop", "db1.example.org", last=12 * SECOND, next_in=48 * SECOND, warnings=[WARNING])
    stock = _connection(
        vault,
        "stock",
        "db2.example.org",
        last=3 * HOUR,
        next_in=20 * SECOND,
        status=ConnectionStatus.ERROR,
        error="Nothing listens on db2.example.org:5432: connection refused",
        failures=7,
    )
    _connection(vault, "archive", "10.0.7.21", last=2 * DAY, status=ConnectionStatus.INACTIVE, read_only=True)
    _runs(shop, stock)
    _said(shop, stock)


def _connection(
    vault: Vault,
    name: str,
    host: str,
    *,
    last: int,
    next_in: int | None = None,
    status: ConnectionStatus = ConnectionStatus.ACTIVE,
    error: str | None = None,
    failures: int = 0,
    warnings: list[Finding] | None = None,
    read_only: bool = False,
) -> str:
    target = Target(DbType.POSTGRES, host, 5432, name, "watcher", Secret("unseen"), tls=TlsMode.VERIFY_FULL)
    info = connections.add(name, target, vault, read_only=read_only)
    models.Connection.update(
        status=status,
        last_sync_at=AT - last,
        next_sync_at=None if next_in is None else AT + next_in,
        last_error=error,
        failures=failures,
        engine="PostgreSQL",
        version="18.6",
        system_identifier=name,
        warnings=[finding._asdict() for finding in warnings or ()],
        created_at=AT - 9 * DAY,
        updated_at=AT - last,
    ).where(models.Connection.id == info.id).execute()
    return info.id


def _runs(shop: str, stock: str) -> None:
    phases = {"connect": 8.4, "collect": 41.0, "texts": 12.6, "store": 30.2}
    counts = {"statements": 4_812, "new_statements": 3, "tables": 212, "indexes": 540, "complete": True}
    done: dict[str, Any] = {"phases": phases, "warnings": [WARNING._asdict()], **counts}
    refused = "Nothing listens on db2.example.org:5432: connection refused"
    for number, (kind, connection, state, ago, took, result, error) in enumerate(
        (
            ("sync_database_stats", shop, ExecutionState.DONE, 3 * DAY, 104, done, None),
            ("sync_database_stats", stock, ExecutionState.INTERRUPTED, 5 * HOUR, 640, None, "its process ended"),
            (
                "generate_suggestions",
                shop,
                ExecutionState.DONE,
                4 * HOUR,
                2_700,
                {"new": 12, "planner_calls": 88},
                None,
            ),
            ("sync_database_stats", stock, ExecutionState.FAILED, 40 * SECOND, 12, None, refused),
            ("sync_database_stats", shop, ExecutionState.DONE, 12 * SECOND, 96, done, None),
        ),
        start=1,
    ):
        began = AT - ago
        run = f"exec_{number:016d}"
        models.Execution.create(
            id=run,
            kind=kind,
            key=connection,
            slot=began,
            connection=connection,
            state=state,
            attempts=1,
            input={},
            result=result,
            error=error,
            started_at=began,
            finished_at=began + took,
            created_at=began,
            updated_at=began + took,
        )
        if result is done:
            models.ExecutionLog.create(execution=run, at=began + 60, level="info", message="3 statements are new")


def _said(shop: str, stock: str) -> None:
    entries = (
        (8 * DAY, "connection.added", shop, "shop: watcher@db1.example.org:5432/shop"),
        (8 * DAY, "connection.added", stock, "stock: watcher@db2.example.org:5432/stock"),
        (3 * HOUR, "suggestion.dismissed", shop, "Drop orders_old_idx: NEW → DISMISSED (used by the year's end)"),
        (
            2 * HOUR,
            "change.applied",
            shop,
            "CREATE INDEX CONCURRENTLY orders_customer_id_idx ON shop.orders (customer_id)",
        ),
    )
    for ago, kind, connection, message in entries:
        activity.record("mira", kind, message, connection=connection)
        newest = models.Activity.select(models.Activity.id).order_by(models.Activity.id.desc()).limit(1).scalar()
        models.Activity.update(at=AT - ago).where(models.Activity.id == newest).execute()


def application(settings: Settings) -> MeshagApp:
    """The application at that moment; it syncs nothing."""
    return MeshagApp(settings, collect=False, clock=lambda: AT / 1000)


async def settled(pilot: Pilot[Any]) -> None:
    """Wait until the pane in front has loaded and everything is painted."""
    await _loaded(pilot)
    await pilot.pause(0.1)


async def _loaded(pilot: Pilot[Any]) -> None:
    app = pilot.app
    assert isinstance(app, MeshagApp)
    for _ in range(500):
        pane = app.front_pane()
        if pane is not None and not pane.stale and not pane.loading_now:
            break
        await asyncio.sleep(0.02)


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys one by one, each when what the one before led to is there."""
    await settled(pilot)
    for key in keys:
        await pilot.press(key)
        await _loaded(pilot)
    await settled(pilot)
