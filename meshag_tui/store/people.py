"""People: who shares a store, in which role, and the one answer to "may this one do that?".

Who somebody is, is what the operating system says (the account's name), or the access key a command acts by. On SQLite
the store is a file of one account, which may do everything. On PostgreSQL roles count from the second person on: until
an admin adds somebody, everybody who opens the store may do everything, as one DBA alone does.

Roles keep colleagues from doing by mistake what is not theirs to do. They stop nobody who holds the store's password:
that opens the store to any program, and an account's name can be pretended.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

import peewee

from meshag_tui.store import activity, database, ids, models
from meshag_tui.store.documents import clean
from meshag_tui.types import KEY_MARK, MeshagError, Taken, UsageError

Permission = Literal["read", "collect", "analyze", "llm", "sandbox", "apply", "approve", "admin"]
PERMISSIONS: tuple[Permission, ...] = get_args(Permission)
MEANING: Mapping[Permission, str] = {
    "read": "see what is remembered",
    "collect": "sync, test, pause and resume connections, cancel runs",
    "analyze": "look for advice, judge it, ask for plans, run agents",
    "llm": "ask language models",
    "sandbox": "rehearse in a sandbox",
    "apply": "apply and undo what is agreed to, end sessions",
    "approve": "agree to changes",
    "admin": "connections, providers, prices, budgets, agents, webhooks, people and keys, the store as it is",
}
_OPERATOR: tuple[Permission, ...] = ("read", "collect", "analyze", "llm", "sandbox", "apply")
ROLES: Mapping[str, frozenset[Permission]] = {
    "viewer": frozenset(("read",)),
    "operator": frozenset(_OPERATOR),
    "approver": frozenset((*_OPERATOR, "approve")),
    "admin": frozenset(PERMISSIONS),
}
_EMAIL = re.compile(r"[^@\s]{1,100}@[^@\s]{1,150}")


class Forbidden(MeshagError):
    """A role or an access key does not allow this."""

    code = "forbidden"


class UserInfo(NamedTuple):
    """A person. `keys` counts the access keys that are active."""

    id: str
    email: str
    name: str
    role: str
    account: str | None
    keys: int
    created_at: int
    updated_at: int


# --- who may what -----------------------------------------------------------------------------------------------------


class Rights(NamedTuple):
    """What somebody may here. `role` is "" where roles do not count or nobody gave them one; `refused` says why not, by
    what they may not do."""

    role: str
    refused: Mapping[str, str]


def check(actor: str, permission: Permission) -> None:
    """Whether who acts may do this; an access key's use is counted. Forbidden says why not."""
    if actor.startswith(KEY_MARK):
        from meshag_tui.store import access_keys

        access_keys.use(actor, permission)
    elif (why := may(actor, permission)) is not None:
        raise Forbidden(why)


def may(actor: str, permission: Permission) -> str | None:
    """Why the person of this account may not do this; None: they may."""
    return _refusal(actor, by_account(actor), permission) if enforced() else None


def rights(actor: str) -> Rights:
    """What who acts may and may not do now; it is no use of an access key."""
    if actor.startswith(KEY_MARK):
        from meshag_tui.store import access_keys

        return Rights("access key", access_keys.refused(actor))
    if not enforced():
        return Rights("", {})
    found = by_account(actor)
    refusals = {each: _refusal(actor, found, each) for each in PERMISSIONS}
    return Rights("" if found is None else found.role, {each: why for each, why in refusals.items() if why})


def _refusal(actor: str, found: UserInfo | None, permission: Permission) -> str | None:
    if found is not None:
        return role_refusal(found, permission)
    if permission == "read":
        return None
    return f"{actor} is not among the people of this store: an admin adds them (meshag user add)"


def role_refusal(who: UserInfo, permission: Permission) -> str | None:
    """Why the role of somebody does not allow this; None: it does."""
    if permission in ROLES[who.role]:
        return None
    *others, last = (role for role, allowed in ROLES.items() if permission in allowed)
    roles = f"{', '.join(others)} or {last}" if others else last
    return f"{who.name} is {who.role} here, and this takes {roles}: {MEANING[permission]}"


def enforced() -> bool:
    """Whether roles count: a shared store with two people or more."""
    return database.kind() == "postgresql" and models.User.select().count() > 1


def approvers() -> tuple[str, ...]:
    """The accounts whose agreement a change needs; none: roles do not count here."""
    if not enforced():
        return ()
    return tuple(who.account for who in listing() if who.account and "approve" in ROLES[who.role])


def sees_all(actor: str) -> bool:
    """Whether somebody sees what others said with models."""
    return may(actor, "admin") is None


# --- people -----------------------------------------------------------------------------------------------------------


def local(actor: str) -> UserInfo:
    """Whoever acts; made a user, and admin, while roles do not count.

    Raises:
        Forbidden: roles count, and this is none of the people.
    """
    found = by_account(actor)
    if found is not None:
        return found
    if enforced():
        raise Forbidden(f"{actor} is not among the people of this store: an admin adds them (meshag user add)")
    return _make(actor, f"{actor}@localhost", actor, "admin", actor)


def add(actor: str, email: str, name: str, role: str, account: str | None = None) -> UserInfo:
    """Add somebody; `account` is by default the part of the e-mail before the @.

    Raises:
        UsageError: no e-mail, one that is taken (the text names by whom), another role.
    """
    with database.durable():
        local(actor)
        return _make(actor, email, name, role, account or email.partition("@")[0])


def edit(actor: str, user_id: str, **changes: str | None) -> UserInfo:
    """Change email, name, role or account. UsageError: as for `add`, or nobody would be admin any more."""
    user = models.User
    with database.durable():
        before = find(user_id)
        columns = _columns({name: value for name, value in changes.items() if value is not None}, before.id)
        if columns.get("role", "admin") != "admin":
            _keep_an_admin(before)
        user.update(updated_at=database.now_ms(), **columns).where(user.id == before.id).execute()
        now = find(before.id)
        was = {name: getattr(before, name) for name in columns if getattr(before, name) != columns[name]}
        details = {"before": was, "after": {name: columns[name] for name in was}}
        said = f"{now.name}: {', '.join(was) or 'nothing'} changed"
        activity.record(actor, "user.changed", said, subject=now.id, details=details)
    return now


def contents(user_id: str) -> dict[str, int]:
    """How much would go with somebody: rows by kind."""
    key, subscription = models.AccessKey, models.Subscription
    return {
        "keys": key.select().where(key.user == user_id).count(),
        "subscriptions": subscription.select().where(subscription.user == user_id).count(),
    }


def remove(actor: str, user_id: str) -> UserInfo:
    """Remove somebody with their access keys and subscriptions; what they did stays in the activity log."""
    with database.durable():
        who = find(user_id)
        _keep_an_admin(who)
        gone = contents(who.id)
        models.User.delete().where(models.User.id == who.id).execute()
        said = f"{who.name} ({who.email}), {who.role}"
        activity.record(actor, "user.removed", said, subject=who.id, details={"with": gone})
    return who


def listing(limit: int | None = None) -> tuple[UserInfo, ...]:
    """The first people, or all, by name."""
    return _listed(models.User.select().order_by(models.User.name).limit(limit))


def by_account(account: str) -> UserInfo | None:
    """Somebody by their account."""
    return next(iter(_listed(models.User.select().where(models.User.account == account))), None)


def _listed(query: Any) -> tuple[UserInfo, ...]:
    key, rows = models.AccessKey, list(query)
    theirs = key.active & key.user.in_([row.id for row in rows])
    counted: Any = key.select(key.user, peewee.fn.COUNT(key.id)).where(theirs).group_by(key.user).tuples()
    counts = dict(counted)
    return tuple(
        UserInfo(
            row.id, row.email, row.name, row.role, row.account, counts.get(row.id, 0), row.created_at, row.updated_at
        )
        for row in rows
    )


def find(given: str) -> UserInfo:
    """Somebody by id, e-mail, account or name. UsageError: there is nobody; the text names those there are."""
    known = listing()
    for who in known:
        if given in (who.id, who.email, who.account, who.name):
            return who
    raise UsageError(f"There is no user {given!r}; there are {', '.join(who.email for who in known) or 'none yet'}")


# --- inside -----------------------------------------------------------------------------------------------------------


def _make(actor: str, email: str, name: str, role: str, account: str) -> UserInfo:
    columns = _columns({"email": email, "name": name, "role": role, "account": account}, None)
    with database.durable():
        now = database.now_ms()
        user_id = ids.new("usr")
        models.User.create(id=user_id, created_at=now, updated_at=now, **columns)
        said = f"{columns['name']} ({columns['email']}), {role}"
        activity.record(actor, "user.added", said, subject=user_id)
    return find(user_id)


def _columns(given: Mapping[str, str], own_id: str | None) -> dict[str, str]:
    unknown = set(given) - {"email", "name", "role", "account"}
    if unknown:
        raise UsageError(f"A user has no {sorted(unknown)[0]!r} to change")
    columns = {name: clean(value).strip() for name, value in given.items()}
    if "role" in columns and columns["role"] not in ROLES:
        raise UsageError(f"There is no role {columns['role']!r}; there are {', '.join(ROLES)}")
    if "email" in columns and not _EMAIL.fullmatch(columns["email"]):
        raise UsageError(f"{columns['email']!r} is no e-mail address")
    if "name" in columns and not (0 < len(columns["name"]) <= 100 and columns["name"].isprintable()):
        raise UsageError("A user's name is 1 to 100 visible characters")
    if columns.get("account", "").startswith(KEY_MARK):
        raise UsageError(f"An account's name does not begin with {KEY_MARK}: access keys do")
    for who in listing():
        for name in ("email", "account"):
            if who.id != own_id and columns.get(name) and columns[name] == getattr(who, name):
                raise Taken(f"The {name} {columns[name]} is {who.name}'s already ({who.id})")
    return columns


def _keep_an_admin(but: UserInfo) -> None:
    if but.role == "admin" and not any(who.role == "admin" and who.id != but.id for who in listing()):
        raise UsageError(f"{but.name} is the last admin: make somebody else admin first")
