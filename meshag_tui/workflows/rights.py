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


def account() -> str:
    """The account of the operating system, by which people are known."""
    try:
        found = getpass.getuser()
    except (KeyError, OSError):  # no such user, as in a container
        return "unknown"
    return f"account {found}" if found.startswith(KEY_MARK) else found
