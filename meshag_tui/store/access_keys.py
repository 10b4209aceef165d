"""Access keys: what commands without a person act by, in cron, in a service, in a browser that `meshag serve` serves.

A key is `mk_`, eight characters that name it, and a secret of 256 bits that is shown once: the store has its SHA-256
only, which nobody can turn round (there is nothing to guess in random bits, so no slower hash is needed). It may what
it was given and its owner's role allows, at every single step: one that was revoked ends at the next.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from meshag_tui.store import activity, database, ids, models, people
from meshag_tui.store.documents import clean
from meshag_tui.store.people import PERMISSIONS, Forbidden, Permission
from meshag_tui.types import KEY_MARK, Secret, Taken, UsageError

GIVEN: tuple[Permission, ...] = tuple(each for each in PERMISSIONS if each != "approve")
"""What a key can be given: agreeing to a change is for people."""
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_MINUTE = 60_000


class KeyRejected(Forbidden):
    """An access key that is not, or no longer, one."""

    code = "key-rejected"
    exit_code = 77


class KeyInfo(NamedTuple):
    """A key as people see it; `prefix` stands for it everywhere, `state` is on, revoked or ended (its time is over)."""

    id: str
    name: str
    prefix: str
    user: str
    permissions: tuple[str, ...]
    active: bool
    state: str
    expires_at: int | None
    last_used_at: int | None
    rotated_from: str | None
    per_minute: int | None
    created_at: int
    updated_at: int


class Made(NamedTuple):
    """A new key with its secret, which is nowhere else."""

    info: KeyInfo
    secret: Secret


def add(
    actor: str,
    name: str,
    permissions: Sequence[str],
    *,
    user: str | None = None,
    expires_at: int | None = None,
    per_minute: int | None = None,
) -> Made:
    """Make a key of `user` (whoever acts). It may always read.

    Raises:
        UsageError: no name, a permission there is not, or one that is for people only.
    """
    name = clean(name).strip()
    if not 0 < len(name) <= 255 or not name.isprintable():
        raise UsageError("A key's name is 1 to 255 visible characters")
    if wrong := [each for each in permissions if each not in GIVEN]:
        raise UsageError(f"A key cannot be given {wrong[0]!r}; it can be given {', '.join(GIVEN)}")
    with database.durable():
        owner = people.local(actor) if user is None else people.find(user)
        if any(each.name == name and each.active for each in listing()):
            raise Taken(f"There is already a key named {name!r}: rotate it, or revoke it first")
        kept = [each for each in GIVEN if each in {"read", *permissions}]
        made = _make(name, owner.id, kept, expires_at, per_minute, None)
        said = f"{made.info.prefix} {name} of {owner.name}: {', '.join(kept)}"
        activity.record(actor, "key.added", said, subject=made.info.id)
    return made


def rotate(actor: str, given: str, overlap_ms: int) -> Made:
    """Make a key in the place of one, which ends after `overlap_ms`; until then both work. UsageError: it ended."""
    key = models.AccessKey
    with database.durable():
        old = find(given)
        now = database.now_ms()
        if old.state != "on":
            raise UsageError(f"{old.prefix} has ended already: make another")
        row: Any = key.get_by_id(old.id)
        made = _make(old.name, row.user_id, list(old.permissions), old.expires_at, old.per_minute, old.id)
        ends = now + overlap_ms if old.expires_at is None else min(now + overlap_ms, old.expires_at)
        key.update(expires_at=ends, updated_at=now).where(key.id == old.id).execute()
        said = f"{made.info.prefix} takes the place of {old.prefix} {old.name}"
        activity.record(actor, "key.rotated", said, subject=made.info.id, details={"old_ends": ends})
    return made


def set_active(actor: str, given: str, active: bool) -> KeyInfo:
    """Revoke a key, or let it work again; holds from its next step on."""
    key = models.AccessKey
    with database.durable():
        info = find(given)
        key.update(active=active, updated_at=database.now_ms()).where(key.id == info.id).execute()
        kind = "key.allowed" if active else "key.revoked"
        activity.record(actor, kind, f"{info.prefix} {info.name}", subject=info.id)
    return find(info.id)


def listing(limit: int | None = None) -> tuple[KeyInfo, ...]:
    """The newest keys, or all, the newest first."""
    key, user, now = models.AccessKey, models.User, database.now_ms()
    rows: Any = key.select(key, user.name.alias("owner")).join(user).order_by(key.id.desc()).limit(limit).dicts()
    return tuple(
        KeyInfo(
            row["id"],
            row["name"],
            row["prefix"],
            row["owner"],
            tuple(row["permissions"]),
            row["active"],
            _state(row, now),
            row["expires_at"],
            row["last_used_at"],
            row["rotated_from"],
            row["per_minute"],
            row["created_at"],
            row["updated_at"],
        )
        for row in rows
    )


def _state(row: dict[str, Any], now_ms: int) -> str:
    if not row["active"]:
        return "revoked"
    return "ended" if row["expires_at"] is not None and row["expires_at"] <= now_ms else "on"


def find(given: str) -> KeyInfo:
    """A key by id, prefix or name, of several of one name the newest. UsageError: there is none."""
    known = listing()
    for info in known:
        if given in (info.id, info.prefix, info.name):
            return info
    raise UsageError(f"There is no key {given!r}; there are {', '.join(info.name for info in known) or 'none yet'}")


def authenticate(secret: Secret) -> str:
    """The prefix of a key, for whoever acts by it from now on; its use is counted.

    Raises:
        KeyRejected: it is no key of this store, was revoked or has ended. What was given is not repeated.
    """
    row = _known(secret)
    if row is None:
        _rejected("no key of this store", None)
    use(row.prefix, "read")
    return str(row.prefix)


def look_up(secret: Secret) -> str:
    """The same without counting it as a use, and without a line in the log."""
    row = _known(secret)
    if row is None or not row.active or (row.expires_at is not None and row.expires_at <= database.now_ms()):
        raise KeyRejected("This is no access key, or not any more")
    return str(row.prefix)


def _known(secret: Secret) -> Any | None:
    """The row of a key that was given in full."""
    text = secret.reveal().strip()
    row: Any = models.AccessKey.get_or_none(models.AccessKey.prefix == text[: len(KEY_MARK) + 8])
    known = "" if row is None else row.hashed
    return row if hmac.compare_digest(known, _hash(text)) else None


def use(prefix: str, permission: Permission) -> None:
    """Count a step that is done by a key.

    Raises:
        KeyRejected: it is gone, revoked, has ended, or was used too often in this minute.
        Forbidden: it was not given this, or its owner's role does not allow it.
    """
    key = models.AccessKey
    why, forbidden = None, None
    with database.atomic():
        query = key.select().where(key.prefix == prefix)
        row: Any = (query.for_update() if database.kind() == "postgresql" else query).first()
        now = database.now_ms()
        minute = now // _MINUTE
        if row is None or not row.active:
            why = "it was revoked"
        elif row.expires_at is not None and row.expires_at <= now:
            why = "it has ended"
        else:
            calls = row.calls + 1 if row.minute == minute else 1
            if row.per_minute is not None and calls > row.per_minute:
                why = f"it was used more than {row.per_minute} times in this minute"
            else:
                key.update(last_used_at=now, minute=minute, calls=calls).where(key.id == row.id).execute()
                forbidden = _refusal(row, permission)
    if why is not None:
        _rejected(why, prefix)
    if forbidden is not None:
        raise Forbidden(f"The access key {prefix} {forbidden}")


def refused(prefix: str) -> dict[str, str]:
    """Why a key may not do something, by what; looking is not counted as a use."""
    row: Any = models.AccessKey.get_or_none(models.AccessKey.prefix == prefix)
    if row is None or _state(row.__data__, database.now_ms()) != "on":
        return dict.fromkeys(people.PERMISSIONS, f"The access key {prefix} does not work any more")
    refusals = {each: _refusal(row, each) for each in people.PERMISSIONS}
    return {each: f"The access key {prefix} {why}" for each, why in refusals.items() if why}


def _refusal(row: Any, permission: Permission) -> str | None:
    if permission not in row.permissions and "admin" not in row.permissions:
        return f"may not {people.MEANING[permission]}: it was given {', '.join(row.permissions)}"
    owner = people.find(row.user_id)
    refused = people.role_refusal(owner, permission)
    return None if refused is None else f"may no more than its owner: {refused}"


def _rejected(why: str, prefix: str | None) -> NoReturn:
    """Say it, and enter it in the activity log once a minute."""
    now = database.now_ms()
    known = activity.recent(1, kind="key.rejected", subject=prefix, since=now // _MINUTE * _MINUTE)
    if not known:
        activity.record(prefix or "unknown", "key.rejected", f"An access key was refused: {why}", subject=prefix)
    raise KeyRejected(f"The access key {prefix or ''} is refused: {why}".replace("key  is", "key is"))


def _make(
    name: str,
    user_id: str,
    permissions: Sequence[str],
    expires_at: int | None,
    per_minute: int | None,
    rotated_from: str | None,
) -> Made:
    prefix = KEY_MARK + "".join(secrets.choice(_DIGITS) for _ in range(8))
    text = f"{prefix}_{secrets.token_urlsafe(32)}"
    now = database.now_ms()
    key_id = ids.new("key")
    models.AccessKey.create(
        id=key_id,
        name=name,
        user=user_id,
        prefix=prefix,
        hashed=_hash(text),
        permissions=list(permissions),
        expires_at=expires_at,
        per_minute=per_minute,
        rotated_from=rotated_from,
        created_at=now,
        updated_at=now,
    )
    return Made(find(key_id), Secret(text))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
