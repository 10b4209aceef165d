"""What people do about people: users and roles, access keys, projects. Each change is entered in the activity log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from meshag_tui.store import access_keys, database, people, projects
from meshag_tui.store.access_keys import KeyInfo, Made
from meshag_tui.store.database import Store
from meshag_tui.store.people import UserInfo
from meshag_tui.store.projects import ProjectInfo
from meshag_tui.types import KEY_MARK, UsageError
from meshag_tui.workflows.notices import Changed, Notices, Topic
from meshag_tui.workflows.rights import needs

T = TypeVar("T")


class Community:
    """Of one open workbench."""

    def __init__(self, store: Store, notices: Notices, actor: str) -> None:
        self._store, self._notices, self._actor = store, notices, actor

    # --- people -----------------------------------------------------------------------------------------------------

    async def users(self, limit: int | None = None) -> tuple[UserInfo, ...]:
        """The first people, or all; the first to ask is the first of them."""
        known = await self._store.read(people.listing, limit)
        if not known and not self._actor.startswith(KEY_MARK):
            await self._store(people.local, self._actor)
            known = await self._store.read(people.listing)
        return known

    @needs("admin")
    async def add_user(self, email: str, name: str, role: str, account: str | None = None) -> UserInfo:
        """Add somebody; see `store.people.add`."""
        return await self._did("people", people.add, self._actor, email, name, role, account)

    @needs("admin")
    async def edit_user(self, given: str, **changes: Any) -> UserInfo:
        """Change somebody; see `store.people.edit`."""
        return await self._did("people", people.edit, self._actor, given, **changes)

    @needs("admin")
    async def remove_user(self, given: str) -> UserInfo:
        """Remove somebody with their keys; see `store.people.remove`."""
        return await self._did("people", people.remove, self._actor, given)

    # --- access keys ------------------------------------------------------------------------------------------------

    @needs("admin")
    async def add_key(
        self,
        name: str,
        permissions: tuple[str, ...],
        *,
        user: str | None = None,
        days: float | None = None,
        per_minute: int | None = None,
    ) -> Made:
        """Make a key that ends after `days` (never); its secret is in the result, and nowhere else."""
        if self._actor.startswith(KEY_MARK) and user is None:
            raise UsageError("A key makes no key of its own: say whose it is to be")
        now = await self._store.read(database.now_ms)
        ends = None if days is None else now + round(days * 86_400_000)
        return await self._did(
            "people", access_keys.add, self._actor, name, permissions, user=user, expires_at=ends, per_minute=per_minute
        )

    @needs("admin")
    async def rotate_key(self, given: str, overlap_h: float) -> Made:
        """Make a key in the place of one; both work for `overlap_h` hours."""
        return await self._did("people", access_keys.rotate, self._actor, given, round(overlap_h * 3_600_000))

    @needs("admin")
    async def allow_key(self, given: str, active: bool) -> KeyInfo:
        """Revoke a key, or let it work again."""
        return await self._did("people", access_keys.set_active, self._actor, given, active)

    # --- projects ---------------------------------------------------------------------------------------------------

    @needs("admin")
    async def add_project(self, name: str, **settings: Any) -> ProjectInfo:
        """Make a project; see `store.projects.add`."""
        return await self._did("connections", projects.add, self._actor, name, **settings)

    @needs("admin")
    async def edit_project(self, given: str, **changes: Any) -> ProjectInfo:
        """Change a project; see `store.projects.edit`."""
        return await self._did("connections", projects.edit, self._actor, given, **changes)

    @needs("admin")
    async def remove_project(self, given: str) -> dict[str, int]:
        """Forget a project with its connections; see `store.projects.remove`."""
        return await self._did("connections", projects.remove, self._actor, given)

    async def _did(self, topic: Topic, do: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        done = await self._store(do, *args, **kwargs)
        for each in {topic, "people"}:
            self._notices.publish(Changed(each))
        return done
