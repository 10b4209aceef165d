"""What people do about alerts: limits of a connection, webhooks, taking note of one.

Each change is one transaction with its line in the activity log, and tells the screens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from meshag_tui.advisor import score
from meshag_tui.store import activity, alerts, channels, database, health
from meshag_tui.store.alerts import AlertInfo
from meshag_tui.store.channels import ChannelInfo
from meshag_tui.store.database import Store
from meshag_tui.store.vault import Vault
from meshag_tui.types import Secret
from meshag_tui.workflows.notices import Changed, Notices
from meshag_tui.workflows.rights import needs
from meshag_tui.workflows.webhooks import Teller

T = TypeVar("T")


class Alerting:
    """Of one open workbench."""

    def __init__(self, store: Store, vault: Vault, notices: Notices, actor: str) -> None:
        self._store, self._vault, self._notices, self._actor = store, vault, notices, actor

    @needs("admin")
    async def set_limits(self, connection_id: str, own: health.Limits) -> None:
        """Give a connection limits of its own; none: the usual ones. UsageError: limits that cannot be."""
        checked = score.checked(own)
        said = ", ".join(
            f"{name} {score.measure(name).says(pair[0])} and {score.measure(name).says(pair[1])}"
            for name, pair in checked.items()
        )

        def write() -> None:
            health.set_limits(connection_id, checked)
            activity.record(self._actor, "limits.set", said or "the usual limits", connection=connection_id)

        await self._did(write, connection_id)

    @needs("analyze")
    async def note(self, alert_id: str) -> AlertInfo:
        """Take note of an alert. MeshagError: there is none of this id."""

        def write() -> AlertInfo:
            noted = alerts.acknowledge(alert_id, self._actor)
            activity.record(self._actor, "alert.noted", noted.message, connection=noted.connection_id, subject=alert_id)
            return noted

        return await self._did(write)

    @needs("admin")
    async def add_webhook(self, name: str, url: Secret, **more: Any) -> ChannelInfo:
        """Remember a webhook; see `store.channels.add`."""

        def write() -> ChannelInfo:
            info = channels.add(name, url, self._vault, **more)
            self._recorded("added", info)
            return info

        return await self._did(write)

    @needs("admin")
    async def edit_webhook(self, name: str, **changes: Any) -> ChannelInfo:
        """Change a webhook; see `store.channels.edit`."""

        def write() -> ChannelInfo:
            info = channels.edit(channels.find(name).id, **changes)
            self._recorded("changed", info)
            return info

        return await self._did(write)

    @needs("admin")
    async def remove_webhook(self, name: str) -> ChannelInfo:
        """Forget a webhook."""

        def write() -> ChannelInfo:
            info = channels.find(name)
            channels.remove(info.id)
            self._recorded("removed", info)
            return info

        return await self._did(write)

    @needs("admin")
    async def test_webhook(self, name: str) -> tuple[ChannelInfo, int]:
        """Send a test document now; the status it was answered with. MeshagError: it was not taken."""
        info = await self._store(channels.find, name)
        teller = Teller(self._store, self._vault, self._actor)
        now = await self._store(database.now_ms)
        body = {"text": "[test] meshag can send alerts here", "rule": "test", "severity": "test", "began_at": now}
        return info, await teller.send(info, body)

    def _recorded(self, what: str, info: ChannelInfo) -> None:
        said = f"{info.name}: {', '.join(info.rules) or 'all alerts'} to {info.place}"
        activity.record(self._actor, f"webhook.{what}", said, connection=info.connection_id, subject=info.id)

    async def _did(self, write: Callable[[], T], connection_id: str | None = None) -> T:
        done = await self._store.whole(write)
        self._notices.publish(Changed("alerts", connection_id))
        return done
