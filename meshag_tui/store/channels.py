"""Webhooks: where alerts are sent, which, and when not.

The address is sealed as a whole, and only its place (scheme, host, port) is shown: with many services the address is
the secret. A signing key, where there is one, is sealed with it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from meshag_tui.maintenance import quiet_hours
from meshag_tui.store import alerts, connections, database, ids, models, projects
from meshag_tui.store.documents import clean
from meshag_tui.store.vault import Vault
from meshag_tui.types import Secret, Taken, UsageError

_RENAMED = ("connection_id", "project_id", "project", "rules")


class ChannelInfo(NamedTuple):
    """A webhook as shown. `rules` empty: all; `connection_id` None: of all connections, or of those of `project`."""

    id: str
    name: str
    place: str
    connection_id: str | None
    connection_name: str | None
    rules: tuple[str, ...]
    quiet: str
    enabled: bool
    created_at: int
    updated_at: int
    project_id: str | None = None
    project: str | None = None

    @property
    def encrypted(self) -> bool:
        """Whether what is sent cannot be read on its way."""
        return self.place.startswith("https://")

    @property
    def of(self) -> str:
        """Whose alerts go there, in words."""
        return self.connection_name or (f"project {self.project}" if self.project else "all")

    def wants(self, rule: str, connection_id: str | None, project_id: str | None = None) -> bool:
        """Whether an alert of a connection in a project goes there."""
        mine = self.connection_id in (None, connection_id) and self.project_id in (None, project_id)
        return self.enabled and mine and (not self.rules or rule in self.rules)


class Address(NamedTuple):
    """Where to post, and what to sign with."""

    url: Secret
    key: Secret | None


def add(
    name: str,
    url: Secret,
    vault: Vault,
    *,
    key: Secret | None = None,
    connection: str | None = None,
    project: str | None = None,
    rules: Sequence[str] = (),
    quiet: str = "",
) -> ChannelInfo:
    """Remember a webhook, its address and signing `key` sealed; `connection` and `project` are names or ids.

    Raises:
        UsageError: a name that is taken, an address or a rule that is none, quiet hours that cannot be read.
    """
    name = clean(name).strip()
    if not name or len(name) > 60 or not name.isprintable():
        raise UsageError("A webhook's name is 1 to 60 visible characters")
    place, wanted, hours = place_of(url), _rules(rules), checked_quiet(quiet)
    channel = models.Channel
    with database.durable():
        if channel.select().where(channel.name == name).exists():
            raise Taken(f"There is already a webhook named {name!r}")
        now = database.now_ms()
        channel_id = ids.new("chn")
        document = {"url": url.reveal(), "key": None if key is None else key.reveal()}
        token, key_id = vault.seal_channel(Secret(json.dumps(document)), channel_id, place)
        channel.create(
            id=channel_id,
            name=name,
            place=place,
            secret=token,
            secret_key_id=key_id,
            connection=None if connection is None else connections.find(connection).id,
            project=None if project is None else projects.find(project).id,
            rules=wanted,
            quiet=hours,
            created_at=now,
            updated_at=now,
        )
    return find(channel_id)


def listing(limit: int | None = None) -> tuple[ChannelInfo, ...]:
    """The first webhooks, or all, by name."""
    channel = models.Channel
    query = channel.select(
        channel, models.Connection.name.alias("connection_name"), models.Project.name.alias("project_name")
    )
    joined = query.left_outer_join(models.Connection).switch(channel)
    joined = joined.left_outer_join(models.Project, on=channel.project == models.Project.id)
    rows: Any = joined.order_by(channel.name).limit(limit).dicts()
    return tuple(
        ChannelInfo(
            connection_id=row["connection"],
            project_id=row["project"],
            project=row["project_name"],
            rules=tuple(row["rules"]),
            **{name: row[name] for name in ChannelInfo._fields if name not in _RENAMED},
        )
        for row in rows
    )


def find(name_or_id: str) -> ChannelInfo:
    """A webhook by name or id. UsageError: there is none; the text names those there are."""
    known = listing()
    for each in known:
        if name_or_id in (each.id, each.name):
            return each
    names = ", ".join(each.name for each in known) or "none yet: meshag webhooks add NAME --url-stdin"
    raise UsageError(f"There is no webhook {name_or_id!r}; there are {names}")


def edit(
    channel_id: str,
    *,
    rules: Sequence[str] | None = None,
    quiet: str | None = None,
    enabled: bool | None = None,
) -> ChannelInfo:
    """Change which alerts go there, when none do, or whether any does; None leaves it as it is."""
    columns: dict[str, Any] = {}
    if rules is not None:
        columns["rules"] = _rules(rules)
    if quiet is not None:
        columns["quiet"] = checked_quiet(quiet)
    if enabled is not None:
        columns["enabled"] = enabled
    channel = models.Channel
    channel.update(updated_at=database.now_ms(), **columns).where(channel.id == channel_id).execute()
    return find(channel_id)


def remove(channel_id: str) -> None:
    """Forget a webhook and its address."""
    models.Channel.delete().where(models.Channel.id == channel_id).execute()


def address(channel_id: str, vault: Vault) -> Address:
    """Where it leads, for posting there.

    Raises:
        vault.OtherKey, vault.NotForThisConnection: it cannot be opened, or is not for this place.
    """
    row: Any = models.Channel.get_or_none(models.Channel.id == channel_id)
    if row is None:
        raise UsageError(f"The webhook {channel_id} is gone")
    opened = vault.reveal_channel(row.secret, row.id, row.place, row.secret_key_id, row.name)
    document = json.loads(opened.reveal())
    return Address(Secret(document["url"]), None if document["key"] is None else Secret(document["key"]))


def place_of(url: Secret) -> str:
    """Scheme, host and port of an address. UsageError: it is none; the text never repeats it."""
    try:
        parts = urlsplit(url.reveal().strip())
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        good, port = False, ""
    if not good or not url.reveal().isascii() or not url.reveal().isprintable():
        raise UsageError("A webhook's address is http(s)://host[:port]/path, without a user in it")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{port}"


def checked_quiet(text: str) -> str:
    """Quiet hours as they are kept. UsageError: they cannot be read."""
    found = quiet_hours(text)
    return "" if found is None else found.text


def _rules(rules: Sequence[str]) -> list[str]:
    for rule in rules:
        if rule not in alerts.RULES:
            raise UsageError(f"There is no kind of alert {rule!r}; there are {', '.join(alerts.RULES)}")
    return list(dict.fromkeys(rules))
