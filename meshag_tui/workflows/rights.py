"""Who acts here, and the decorator that asks whether they may: every door that changes something is marked with it.

What is asked is `store.people.check`, in the store, at each call: a role that was changed or a key that was revoked
holds at once. The screens and the command line ask nothing of their own. What MeshAG does by itself once it was begun
(a sync that is due, a change that was agreed to) is not asked again.
"""

from __future__ import annotations

import functools
import getpass
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from meshag_tui.store.database import Store
from meshag_tui.types import KEY_MARK

if TYPE_CHECKING:
    from meshag_tui.settings import Settings
    from meshag_tui.store.people import Permission


class Door(Protocol):
    """What has methods that are asked for; `_actor` acts."""

    @property
    def _store(self) -> Store: ...

    @property
    def _actor(self) -> str: ...


M = TypeVar("M", bound=Callable[..., Coroutine[Any, Any, Any]])


def needs(permission: Permission) -> Callable[[M], M]:
    """Mark a method of a `Door`: it raises `people.Forbidden` where who acts may not do it."""

    def mark(method: M) -> M:
        @functools.wraps(method)
        async def asked(self: Door, *args: Any, **kwargs: Any) -> Any:
            from meshag_tui.store import people

            await self._store(people.check, self._actor, permission)
            return await method(self, *args, **kwargs)

        return cast("M", asked)

    return mark


def acting(store: Store, settings: Settings) -> str:
    """Who acts: by the access key that is given, else the account's owner. Blocks.

    Raises:
        KeyRejected: the key does not work.
    """
    key = settings.access_key()
    if key is None:
        return account()
    from meshag_tui.store import access_keys

    return store.run(access_keys.authenticate, key)


def ask(store: Store, settings: Settings, permission: Permission) -> None:
    """Ask for a right where no workbench is opened, as before a copy of the store is made. Blocks.

    A store from before there were people and keys, which is still to be migrated, knows nobody to ask for.

    Raises:
        Forbidden: who acts may not do it.
        KeyRejected: the access key that is given does not work.
    """
    from meshag_tui.store import models, people

    if "access_key" in store.run(models.database.get_tables):
        store.run(people.check, acting(store, settings), permission)


def account() -> str:
    """The account of the operating system, by which people are known."""
    try:
        found = getpass.getuser()
    except (KeyError, OSError):  # no such user, as in a container
        return "unknown"
    return f"account {found}" if found.startswith(KEY_MARK) else found
