"""People and roles, access keys and projects, as the store keeps them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from meshag_tui.settings import RetentionSettings
from meshag_tui.store import (
    access_keys,
    activity,
    budgets,
    chain,
    connections,
    database,
    ledger,
    models,
    people,
    retention,
)
from meshag_tui.store import projects as stored
from meshag_tui.store.access_keys import KeyRejected
from meshag_tui.store.database import Store
from meshag_tui.store.people import PERMISSIONS, ROLES, Forbidden
from meshag_tui.types import Secret, UsageError


def _team(store: Store) -> None:
    store.run(people.local, "ada")
    for name, role in (("bo", "operator"), ("cy", "approver"), ("di", "viewer")):
        store.run(people.add, "ada", f"{name}@example.com", name.title(), role)


def _allowed(store: Store, check: Callable[..., None], who: str) -> set[str]:
    found = set()
    for permission in PERMISSIONS:
        try:
            store.run(check, who, permission)
        except Forbidden:
            continue
        found.add(permission)
    return found


def test_roles_count_on_a_shared_store_from_the_second_person_on(store: Store) -> None:
    everything = set(PERMISSIONS)
    ada = store.run(people.local, "ada")
    assert ada.id.startswith("usr_") and ada.role == "admin"
    assert store.run(people.local, "ada") == ada and len(store.run(people.listing)) == 1
    assert _allowed(store, people.check, "anybody") == everything
    assert store.run(people.approvers) == ()
    _team(store)
    if store.kind == "sqlite":  # a file: whoever opens it may do everything
        assert _allowed(store, people.check, "di") == everything and not store.run(people.enforced)
        return
    for who, role in (("ada", "admin"), ("bo", "operator"), ("cy", "approver"), ("di", "viewer")):
        assert _allowed(store, people.check, who) == set(ROLES[role]), who
    assert _allowed(store, people.check, "eve") == {"read"}
    for who, role in (("ada", "admin"), ("bo", "operator"), ("cy", "approver"), ("di", "viewer"), ("eve", "")):
        known = store.run(people.rights, who)
        assert known.role == role and set(PERMISSIONS) - set(known.refused) == _allowed(store, people.check, who)
    assert set(store.run(people.approvers)) == {"ada", "cy"}
    with pytest.raises(Forbidden, match="Di is viewer here, and this takes operator, approver or admin: apply"):
        store.run(people.check, "di", "apply")
    store.run(people.edit, "ada", "di", role="operator")
    store.run(people.check, "di", "apply")
    with pytest.raises(Forbidden, match="an admin adds them"):
        store.run(people.add, "eve", "fay@example.com", "Fay", "admin")


def test_people_are_told_apart_and_one_stays_admin(store: Store) -> None:
    _team(store)
    for fields, why in (
        (("bo@example.com", "Bo2", "viewer", "bo2"), "The email bo@example.com is Bo's already"),
        (("x@example.com", "X", "viewer", "bo"), "The account bo is Bo's already"),
        (("x@example.com", "X", "king", "x"), "no role 'king'"),
        (("nobody", "X", "viewer", "x"), "no e-mail"),
        (("x@example.com", "X", "viewer", "mk_x"), "access keys do"),
    ):
        with pytest.raises(UsageError, match=why):
            store.run(people.add, "ada", *fields)
    assert len(store.run(people.listing)) == 4
    for change in (lambda: people.edit("ada", "ada", role="viewer"), lambda: people.remove("ada", "ada")):
        with pytest.raises(UsageError, match="the last admin"):
            store.run(change)
    before = store.run(people.find, "bo")
    store.run(people.edit, "ada", "bo", role="viewer", name="Bob")
    assert store.run(people.find, "Bob").updated_at >= before.updated_at
    changed = store.run(activity.recent, 1, kind="user.changed")[0]
    assert changed.details == {"before": {"name": "Bo", "role": "operator"}, "after": {"name": "Bob", "role": "viewer"}}
    store.run(access_keys.add, "ada", "cron", ("collect",), user="bo")
    assert store.run(people.contents, before.id)["keys"] == 1
    store.run(people.remove, "ada", "bo")
    assert store.run(access_keys.listing) == () and len(store.run(people.listing)) == 3
    assert store.run(activity.recent, 1)[0].details == {"with": {"keys": 1, "subscriptions": 0}}
    assert store.run(chain.verify).whole


def test_a_key_may_what_it_was_given_and_nothing_of_it_is_in_the_store(store: Store) -> None:
    store.run(people.local, "ada")
    for permission in access_keys.GIVEN:
        made = store.run(access_keys.add, "ada", f"for {permission}", (permission,))
        prefix = store.run(access_keys.authenticate, made.secret)
        assert prefix == made.info.prefix and prefix.startswith("mk_") and made.secret.reveal().startswith(prefix)
        given = set(PERMISSIONS) if permission == "admin" else {"read", permission}
        assert _allowed(store, people.check, prefix) == given, permission
        dump = json.dumps([list(row) for row in store.run(lambda: list(models.AccessKey.select().tuples()))])
        assert made.secret.reveal().removeprefix(prefix) not in dump
    assert store.run(access_keys.listing)[0].last_used_at is not None
    for wrong in ("mk_00000000_x", f"{made.secret.reveal()}x", prefix, "", "é"):
        with pytest.raises(KeyRejected, match="no key of this store"):
            store.run(access_keys.authenticate, Secret(wrong))
    assert len(store.run(activity.recent, 10, kind="key.rejected")) == 1, "once a minute"
    with pytest.raises(UsageError, match="cannot be given 'approve'"):
        store.run(access_keys.add, "ada", "x", ("approve",))
    with pytest.raises(UsageError, match="already a key named"):
        store.run(access_keys.add, "ada", "for read", ("read",))
    if store.kind == "sqlite":
        plan = store.run(
            lambda: models.database.execute_sql(
                "EXPLAIN QUERY PLAN SELECT * FROM access_key WHERE user_id = 'u' AND active = 1"
            ).fetchall()
        )
        assert "USING INDEX" in str(plan)


def test_a_key_ends_is_revoked_rotated_and_not_used_too_often(store: Store) -> None:
    store.run(people.local, "ada")
    made = store.run(access_keys.add, "ada", "cron", ("collect",), per_minute=3)

    def calls(number: int) -> None:  # in one minute of the store's clock, whichever it is
        minute = database.now_ms() // 60_000
        models.AccessKey.update(minute=minute, calls=number).execute()

    store.run(calls, 2)
    assert store.run(access_keys.authenticate, made.secret)
    store.run(calls, 3)
    for _ in range(2):
        with pytest.raises(KeyRejected, match="more than 3 times"):
            store.run(access_keys.use, made.info.prefix, "collect")
    assert len(store.run(activity.recent, 10, kind="key.rejected")) == 1
    store.run(calls, 0)

    second = store.run(access_keys.rotate, "ada", "cron", 3_600_000)
    assert second.info.rotated_from == made.info.id and second.info.permissions == made.info.permissions
    assert store.run(access_keys.find, "cron").id == second.info.id
    for each in (made, second):
        store.run(access_keys.authenticate, each.secret)
    over = models.AccessKey.update(expires_at=1).where(models.AccessKey.id == made.info.id)
    store.run(over.execute)
    assert store.run(access_keys.find, made.info.id).state == "ended"
    with pytest.raises(KeyRejected, match="has ended"):
        store.run(access_keys.authenticate, made.secret)
    with pytest.raises(UsageError, match="has ended already"):
        store.run(access_keys.rotate, "ada", made.info.prefix, 1)

    prefix = store.run(access_keys.authenticate, second.secret)
    store.run(access_keys.set_active, "ada", prefix, False)
    with pytest.raises(KeyRejected, match="revoked"):
        store.run(people.check, prefix, "collect")
    store.run(access_keys.set_active, "ada", prefix, True)
    store.run(people.check, prefix, "collect")

    store.run(people.add, "ada", "bo@example.com", "Bo", "operator")
    of_bo = store.run(access_keys.add, "ada", "bo's", ("admin",), user="bo")
    prefix = store.run(access_keys.authenticate, of_bo.secret)
    with pytest.raises(Forbidden, match="no more than its owner: Bo is operator"):
        store.run(people.check, prefix, "admin")


def test_a_key_that_cannot_be_entered_in_the_log_is_not_made(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.run(people.local, "ada")

    def fail(*_: object, **__: object) -> None:
        raise KeyError

    monkeypatch.setattr(activity, "record", fail)
    for make in (
        lambda: access_keys.add("ada", "cron", ("read",)),
        lambda: stored.add("ada", "Shop"),
        lambda: people.add("ada", "bo@example.com", "Bo", "viewer"),
    ):
        with pytest.raises(KeyError):
            store.run(make)
    assert store.run(access_keys.listing) == () and store.run(stored.listing) == ()
    assert len(store.run(people.listing)) == 1


def test_a_project_has_settings_and_takes_its_connections_with_it(store: Store, connection: str) -> None:
    store.run(people.local, "ada")
    info = store.run(stored.add, "ada", "Shop", colour="red", bell=False, quiet="22:00-07:00")
    assert info.owner == "ada" and info.settings == {"colour": "red", "bell": False, "quiet": "22:00-07:00"}
    for wrong in ({"colour": "pink"}, {"bell": "no"}, {"volume": 3}, {"quiet": "always"}, {"theme": "x"}, {"rate": 0}):
        with pytest.raises(UsageError):
            store.run(lambda wrong=wrong: stored.edit("ada", "Shop", **wrong))
    with pytest.raises(UsageError, match="already a project"):
        store.run(stored.add, "ada", "Shop")
    store.run(lambda: connections.edit(connection, project="Shop"))
    info = store.run(lambda: stored.edit("ada", "Shop", name="Web", bell=None, no_cloud=True, colour="none"))
    assert info.settings == {"quiet": "22:00-07:00", "no_cloud": True} and info.connections == 1
    assert store.run(connections.get, connection).no_cloud
    assert store.run(stored.told)[connection]["quiet"] == "22:00-07:00"
    assert store.run(stored.contents, info.id)["connections"] == 1
    other = store.run(stored.add, "ada", "Other")
    gone = store.run(stored.remove, "ada", "Web")
    assert gone["connections"] == 1 and store.run(connections.listing) == ()
    assert [each.id for each in store.run(stored.listing) if each.id == other.id] == [other.id]
    assert store.run(chain.verify).whole


def test_a_budget_of_one_person_is_theirs_by_whichever_key(store: Store) -> None:
    store.run(people.local, "ada")
    store.run(people.add, "ada", "bo@example.com", "Bo", "operator")
    key = store.run(access_keys.add, "ada", "cron", ("llm",), user="bo").info.prefix
    store.run(budgets.add_plan, "small", "1", local_only=True)
    standing = store.run(lambda: budgets.subscribe("small", user="bo"))
    assert (standing.user, standing.project, standing.scope) == ("Bo", None, "Bo alone")
    with pytest.raises(UsageError, match="in force there already"):
        store.run(lambda: budgets.subscribe("small", user="Bo"))
    store.run(lambda: budgets.subscribe("small", user="ada"))

    def reserve(actor: str) -> str:
        return ledger.reserve(_call(actor))

    def _call(actor: str) -> ledger.Call:
        return ledger.Call(
            provider="cloud",
            model="m",
            purpose="test",
            local=False,
            actor=actor,
            prompt_hash="h",
            most_in=1,
            most_out=1,
        )

    for actor in ("bo", key):
        with pytest.raises(budgets.Blocked, match="only models on this machine"):
            store.run(reserve, actor)
    assert store.run(reserve, "eve")
    assert [one.scope for one in store.run(lambda: budgets.in_force(actor=key))] == ["Bo alone"]
    store.run(people.remove, "ada", "bo")
    assert [one.user for one in store.run(budgets.standings)] == ["ada"]
    assert store.run(retention.prune, RetentionSettings()).rows["ledger"] == 0
