"""Who can be asked: endpoints of language models, their sealed keys, the order in which they are tried, their health.

Providers live here, in the store. The endpoint of `[llm]` in config.toml is one more, named `config`, always the first:
it is changed there and nowhere else, and its key stays in the environment. A `ProviderInfo` never holds a key; `key`
opens one for its own address only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import peewee

from meshag_tui.store import database, ids, models
from meshag_tui.store.documents import clean
from meshag_tui.store.remembered import recall, remember
from meshag_tui.store.vault import Vault
from meshag_tui.types import Secret, Taken, UsageError

CONFIG = "config"
"""The name of the endpoint of config.toml."""
SHAPES = ("json_schema", "json_object", "text")
REST_AFTER = 5
"""Failures in a row after which a provider is left alone for a while."""
REST_MS = 5 * 60_000


class ProviderInfo(NamedTuple):
    """A provider as shown. `models`: the first is asked unless another is named; `last4`: of its key, None without."""

    id: str
    name: str
    kind: str
    base_url: str
    models: tuple[str, ...]
    shape: str
    last4: str | None
    enabled: bool
    position: int
    created_at: int
    updated_at: int

    @property
    def model(self) -> str:
        return self.models[0]


class Health(NamedTuple):
    """How a provider did last. `rests_until` (epoch ms): it is not asked before."""

    failures: int = 0  # in a row
    rests_until: int | None = None
    last_error: str | None = None
    last_at: int | None = None


def add(
    name: str,
    kind: str,
    base_url: str,
    model_names: Sequence[str],
    shape: str,
    key: Secret | None,
    vault: Vault,
) -> ProviderInfo:
    """Remember a provider, its key sealed; it is tried after those that are there.

    Raises:
        UsageError: a name that is taken or cannot be, no model, an address that is none.
    """
    provider = models.Provider
    with database.durable():
        now = database.now_ms()
        columns = _checked(name=name, base_url=base_url, models=model_names, shape=shape)
        _free(columns["name"], None)
        provider_id = ids.new("prv")
        last: Any = provider.select(peewee.fn.MAX(provider.position)).scalar()
        provider.create(
            id=provider_id,
            kind=kind,
            position=(last or 0) + 1,
            created_at=now,
            updated_at=now,
            **columns,
            **_sealed(provider_id, columns["base_url"], key, vault),
        )
    return get(provider_id)


def listing(limit: int | None = None) -> tuple[ProviderInfo, ...]:
    """The first providers of the store, or all, in the order they are tried, those switched off too."""
    provider = models.Provider
    rows: Any = provider.select().order_by(provider.position, provider.id).limit(limit)
    return tuple(_info(row) for row in rows)


def get(provider_id: str) -> ProviderInfo:
    """The provider with this id. UsageError if it is gone."""
    row = models.Provider.get_or_none(models.Provider.id == provider_id)
    if row is None:
        raise UsageError(f"The provider {provider_id} is gone")
    return _info(row)


def find(name_or_id: str) -> ProviderInfo:
    """A provider of the store by name or id. UsageError if there is none; the text names those there are."""
    known = listing()
    for info in known:
        if name_or_id in (info.id, info.name):
            return info
    if name_or_id == CONFIG:
        raise UsageError(f"The provider {CONFIG!r} is [llm] of config.toml: change it there")
    names = ", ".join(info.name for info in known) or "none yet: meshag providers add NAME KIND"
    raise UsageError(f"There is no provider {name_or_id!r}; there are {names}")


def edit(provider_id: str, vault: Vault, **changes: Any) -> ProviderInfo:
    """Change any of name, base_url, models, shape, enabled, key (None takes it away).

    A key is sealed for its address: another address needs the key given again, or loses it.

    Raises:
        UsageError: as `add`, or a new address without its key while there is one.
    """
    provider = models.Provider
    with database.durable():
        row: Any = provider.get_or_none(provider.id == provider_id)
        if row is None:
            raise UsageError(f"The provider {provider_id} is gone")
        columns = _checked(**{name: value for name, value in changes.items() if name not in ("key", "enabled")})
        if "name" in columns:
            _free(columns["name"], provider_id)
        if "enabled" in changes:
            columns["enabled"] = bool(changes["enabled"])
        url = columns.get("base_url", row.base_url)
        if "key" in changes:
            columns |= _sealed(provider_id, url, changes["key"], vault)
        elif url != row.base_url and row.secret is not None:
            raise UsageError("Its key was given for another address: give the key again with the new one")
        provider.update(updated_at=database.now_ms(), **columns).where(provider.id == provider_id).execute()
        known = recall(_health_key(row.name))
        if known is not None and columns.get("name", row.name) != row.name:  # one that was never asked has no health
            remember(_health_key(columns["name"]), known)
    return get(provider_id)


def remove(provider_id: str) -> None:
    """Forget a provider and its key; what it cost stays in the ledger."""
    models.Provider.delete().where(models.Provider.id == provider_id).execute()


def order(names: Sequence[str]) -> tuple[ProviderInfo, ...]:
    """Try these first, in this order, then the others as before. UsageError: one is not there, or named twice."""
    if len(set(names)) != len(names):
        raise UsageError("A provider is named twice")
    wanted = [find(name) for name in names]
    rest = [info for info in listing() if info not in wanted]
    provider = models.Provider
    with database.atomic():
        for position, info in enumerate((*wanted, *rest), start=1):
            provider.update(position=position).where(provider.id == info.id).execute()
    return listing()


def key(provider_id: str, vault: Vault) -> Secret | None:
    """The key, for sending to this provider's own address.

    Raises:
        vault.OtherKey, vault.NotForThisConnection: it cannot be opened, or is not for this address.
    """
    row: Any = models.Provider.get_or_none(models.Provider.id == provider_id)
    if row is None or row.secret is None:
        return None
    return vault.reveal_provider(row.secret, row.id, row.base_url, row.secret_key_id, row.name)


def health(name: str) -> Health:
    """How a provider did last; of one never asked, nothing."""
    return Health(**(recall(_health_key(name)) or {}))


def answered(name: str) -> None:
    """It answered: what failed before counts no more."""
    remember(_health_key(name), Health(last_at=database.now_ms())._asdict())


def failed(name: str, error: str, wait_ms: int | None = None) -> Health:
    """It failed. After some failures in a row, or for as long as it asks to wait (`wait_ms`), it is left alone."""
    with database.atomic():
        now = database.now_ms()
        failures = health(name).failures + 1
        until = now + max(wait_ms or 0, REST_MS if failures >= REST_AFTER else 0)
        found = Health(failures, until if until > now else None, clean(error), now)
        remember(_health_key(name), found._asdict())
    return found


def last4(key: Secret) -> str:
    """What is shown of a key: its last four characters, of a short one none."""
    text = key.reveal()
    return text[-4:] if len(text) >= 12 else ""


def _health_key(name: str) -> str:
    return f"provider-health:{name}"


def _info(row: Any) -> ProviderInfo:
    return ProviderInfo(
        row.id,
        row.name,
        row.kind,
        row.base_url,
        tuple(row.models),
        row.shape,
        row.secret_last4 if row.secret is not None else None,
        row.enabled,
        row.position,
        row.created_at,
        row.updated_at,
    )


def _sealed(provider_id: str, base_url: str, key: Secret | None, vault: Vault) -> dict[str, Any]:
    if key is None:
        return {"secret": None, "secret_key_id": None, "secret_last4": None}
    token, key_id = vault.seal_provider(key, provider_id, base_url)
    return {"secret": token, "secret_key_id": key_id, "secret_last4": last4(key)}


def _free(name: str, own_id: str | None) -> None:
    provider = models.Provider
    if provider.select().where((provider.name == name) & (provider.id != (own_id or ""))).exists():
        raise Taken(f"There is already a provider named {name!r}")


def _checked(**given: Any) -> dict[str, Any]:
    columns = dict(given)
    if "name" in columns:
        name = columns["name"] = clean(columns["name"]).strip()
        if not name or len(name) > 60 or not name.isprintable() or set(name) & set("/,"):
            raise UsageError("A provider's name is 1 to 60 visible characters without / and ,")
        if name == CONFIG:
            raise UsageError(f"{CONFIG!r} is the name of the endpoint of config.toml")
    if "base_url" in columns:
        url = columns["base_url"] = clean(columns["base_url"]).strip().rstrip("/")
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and parts.hostname and not parts.username and not parts.password
        except ValueError:
            good = False
        if not good or parts.query:
            raise UsageError("The address is http(s)://host[:port]/path, without a user, password or query in it")
    if "models" in columns:
        names = [clean(name).strip() for name in columns["models"]]
        columns["models"] = list(dict.fromkeys(name for name in names if name))
        if not columns["models"]:
            raise UsageError("A provider needs the name of at least one model")
    if "shape" in columns and columns["shape"] not in SHAPES:
        raise UsageError(f"What it supports is one of {', '.join(SHAPES)}")
    return columns
