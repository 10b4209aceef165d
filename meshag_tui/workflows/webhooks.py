"""Sends alerts to webhooks: one POST of a JSON document each, with a deadline, tried again, signed if there is a key.

What is sent is what the alert says: names and figures, never a statement's literal, a password or an address. A
redirection is not followed, and nothing of the answer is kept but its status.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import http.client
import json
import logging
import ssl
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from meshag_tui import __version__
from meshag_tui.maintenance import quiet_hours
from meshag_tui.store import activity, alerts, channels, projects
from meshag_tui.store.alerts import AlertInfo
from meshag_tui.store.channels import Address, ChannelInfo
from meshag_tui.store.database import Store
from meshag_tui.store.vault import Vault
from meshag_tui.types import MeshagError, UsageError

DEADLINE_S = 10.0
TRIES = 3
PAUSE_S = 2.0
"""Before the second try; twice as long before the third."""
_MOST_DELIVERIES = 5
"""Rounds of tries, a minute or more apart, after which an alert is given up for a webhook."""
_log = logging.getLogger("meshag.workflows")


class NotDelivered(MeshagError):
    """The other side did not take it; the text names its place and no more."""


def document(alert: AlertInfo) -> dict[str, Any]:
    """An alert as it is sent. Times are epoch ms; `text` is a line for people, as chat services show it."""
    about = f"{alert.connection_name}: " if alert.connection_name else ""
    return {
        "text": f"[{alert.severity}] {about}{alert.message}",
        "id": alert.id,
        "rule": alert.rule,
        "subject": alert.subject,
        "severity": alert.severity,
        "connection": alert.connection_name,
        "message": alert.message,
        "details": dict(alert.details),
        "began_at": alert.began_at,
        "ended_at": alert.ended_at,
        "sender": f"meshag/{__version__}",
    }


async def post(address: Address, body: Mapping[str, Any]) -> int:
    """Post a document and return the status, 2xx. Tried three times where the other side may yet recover.

    The signature of the body, HMAC-SHA256 in hex, is the header X-Meshag-Signature.

    Raises:
        NotDelivered: it answered otherwise, or not in time.
    """
    sent = json.dumps(body).encode()
    place = channels.place_of(address.url)
    for attempt in range(1, TRIES + 1):
        try:
            status = await asyncio.wait_for(asyncio.to_thread(_post, address, sent), DEADLINE_S)
        except TimeoutError:
            why = f"no answer within {DEADLINE_S:g} s"
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
        else:
            if 200 <= status < 300:
                return status
            why = f"it answered {status}"
            if status < 500 and status not in (408, 425, 429):
                break
        if attempt < TRIES:
            await asyncio.sleep(PAUSE_S * attempt)
    raise NotDelivered(f"{place} did not take it: {why}")


def _post(address: Address, sent: bytes) -> int:
    parts = urlsplit(address.url.reveal().strip())
    timeout = DEADLINE_S / 2  # of each wait for the other side
    connection = (
        http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=timeout, context=ssl.create_default_context()
        )
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    )
    headers = {"Content-Type": "application/json", "User-Agent": f"meshag/{__version__}"}
    if address.key is not None:
        signed = hmac.new(address.key.reveal().encode(), sent, hashlib.sha256).hexdigest()
        headers["X-Meshag-Signature"] = f"sha256={signed}"
    try:
        connection.request("POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), sent, headers)
        return connection.getresponse().status
    finally:
        connection.close()


class Teller:
    """Sends what is to be sent. One instance a process; `tell` is called again and again."""

    def __init__(self, store: Store, vault: Vault, actor: str) -> None:
        self._store, self._vault, self._actor = store, vault, actor
        self._rates = projects.Rates()

    async def tell(self) -> int:
        """Send the alerts that wait to the webhooks that want them and are not quiet; how many posts were taken."""
        if not await self._store.read(alerts.waiting):
            return 0
        claimed = await self._store(alerts.claim)
        known = await self._store.read(channels.listing)
        of_projects = await self._store.read(projects.told)
        return sum(
            [await self._tell(alert, known, of_projects.get(alert.connection_id or "", {})) for alert in claimed]
        )

    async def _tell(self, alert: AlertInfo, known: tuple[ChannelInfo, ...], project: Mapping[str, Any]) -> int:
        """`project`: the settings of its connection's project, which may have it told to no webhook, or not now."""
        allowed = self._rates.allows(project, time.time())
        done = {each["channel"]: dict(each) for each in alert.deliveries}
        taken, again = 0, False
        for channel in known:
            before = done.get(channel.id, {})
            tries = int(before.get("tries", 0))
            wanted = channel.wants(alert.rule, alert.connection_id, project.get("id"))
            if not wanted or before.get("taken") or tries >= _MOST_DELIVERIES:
                continue
            if project.get("webhook") is False:
                continue
            hours, now = quiet_hours(channel.quiet), datetime.now()
            quiet = (hours is not None and hours.is_open(now)) or not projects.tells(project, "webhook", now)
            if quiet or not allowed:
                again = True
                continue
            said = ""
            try:
                await self.send(channel, document(alert))
                taken += 1
            except MeshagError as error:
                said = str(error)
                _log.warning("alert %s was not delivered to %s: %s", alert.id, channel.name, said)
                again = again or tries + 1 < _MOST_DELIVERIES
            at = time.time_ns() // 1_000_000
            done[channel.id] = {"channel": channel.id, "name": channel.name, "at": at, "taken": not said}
            done[channel.id] |= {"tries": tries + 1, "error": said or None}
        if taken:
            self._rates.count(project, time.time())
        await self._store(alerts.told, alert.id, list(done.values()), again=again)
        return taken

    async def send(self, channel: ChannelInfo, body: Mapping[str, Any]) -> int:
        """Send a document to a webhook now, and say in the activity log what became of it.

        Raises:
            NotDelivered: it was not taken.
        """
        kind, said = "alert.sent", f"{body['rule']} to {channel.name}"
        try:
            address = await self._store(channels.address, channel.id, self._vault)
            status = await post(address, body)
        except UsageError:
            raise
        except MeshagError as error:
            kind, said = "alert.not-sent", f"{said}: {error}"
            raise
        finally:
            await self._store(activity.record, self._actor, kind, said, connection=channel.connection_id)
        return status
