"""Who shares the store: people with their roles, the keys commands act by, and projects with their settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from meshag_tui.figures import moment, number_of
from meshag_tui.glyphs import glyphs
from meshag_tui.screens.entities import Kind, Verb
from meshag_tui.store import access_keys, database, people, projects
from meshag_tui.store.access_keys import GIVEN, KeyInfo, Made
from meshag_tui.store.people import MEANING, ROLES
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.dialog import Confirmation, TextDialog
from meshag_tui.widgets.form import Field, whole_number
from meshag_tui.widgets.page import Piece
from meshag_tui.widgets.states import Condition, State

_ALONE = "This store is a file: whoever opens it may do everything. Roles count on a PostgreSQL store."
_UNTIL_TWO = "Whoever opens this store may do everything, until a second person is added."
_HONEST = "Roles keep colleagues from mistakes: whoever holds the store's password can do everything."


def _day(at_ms: int | None) -> str:
    return "never" if at_ms is None else moment(at_ms, "%Y-%m-%d")


class Users(Kind):
    """Who shares the store."""

    name, title = "users", "People"
    empty = State(Condition.EMPTY, "nobody yet", "One person needs no user here.", "i adds somebody to a shared store.")
    columns = (
        Column("name", "Name", 14, flex=2, keep=100),
        Column("email", "E-mail", 20, flex=3, keep=70),
        Column("role", "Role", 9, keep=95),
        Column("account", "Account", 10, flex=1, value=lambda who: who.account or "", keep=80),
        Column("keys", "Keys", 5, align="right", keep=60),
        Column("updated_at", "Changed", 10, render=_day, descending=True, keep=40),
    )
    verbs = (
        Verb("add", "Add", "Add somebody", of_row=False),
        Verb("edit", "Change", "Change name, e-mail, account or role"),
        Verb("remove", "Remove", "Remove somebody with their keys; what they did stays in the log"),
    )

    async def rows(self, limit: int) -> Sequence[Any]:
        return await self.bench.community.users(limit)

    async def heading(self) -> str:
        return "" if await self.bench.store.read(people.enforced) else "roles do not count yet"

    async def about(self, row: Any) -> list[Piece]:
        counts = await self.bench.store.read(people.enforced)
        shared = self.bench.store.kind == "postgresql"
        said: list[Piece] = [("bold", row.name), ("dim", f"  {row.email}, {row.id}\n")]
        said.append(("", f"{row.role} may {'; '.join(MEANING[each] for each in MEANING if each in ROLES[row.role])}\n"))
        said.append(("dim", _HONEST if counts else _UNTIL_TWO if shared else _ALONE))
        return [*said, ("dim", f"\nadded {moment(row.created_at)}, changed {moment(row.updated_at)}")]

    def _fields(self, row: Any = None) -> list[Field]:
        given = dict.fromkeys(("name", "email", "account"), "") if row is None else row._asdict()
        return [
            Field("name", "Name", given["name"], required=True),
            Field("email", "E-mail", given["email"], required=True),
            Field("account", "Account", given["account"] or "", hint="of the system; the e-mail's part before the @"),
            Field("role", "Role", "operator" if row is None else row.role, choices=tuple(ROLES)),
        ]

    async def do_add(self) -> None:
        async def save(values: dict[str, str]) -> str:
            who = await self.bench.community.add_user(
                values["email"], values["name"], values["role"], values["account"].strip() or None
            )
            return f"Added {who.name}, {who.role}"

        self.form("Add somebody", self._fields(), save, "Add")

    async def do_edit(self, row: Any) -> None:
        async def save(values: dict[str, str]) -> str:
            changed = {name: value for name, value in values.items() if value.strip() and value != getattr(row, name)}
            who = await self.bench.community.edit_user(row.id, **changed)
            return f"Saved {who.name}, {who.role}"

        self.form(f"Change {row.name}", self._fields(row), save)

    async def do_remove(self, row: Any) -> None:
        gone = await self.bench.store.read(people.contents, row.id)

        async def remove() -> str:
            await self.bench.community.remove_user(row.id)
            return f"Removed {row.name}"

        keys, plans = number_of(gone["keys"], "access key"), number_of(gone["subscriptions"], "subscription")
        said = f"{keys} and {plans} go with it. What {row.name} did stays in the log."
        self.confirm(Confirmation("Remove somebody", row.email, said, verb="Remove", typed_name=row.email), remove)


class AccessKeys(Kind):
    """What commands without a person act by."""

    name, title = "keys", "Keys"
    cut = "the newest"
    empty = State(
        Condition.EMPTY,
        "no access key",
        "Cron, a service or a script acts by a key, which may only what it was given.",
        "i makes one; it is shown once.",
    )
    columns = (
        Column("prefix", "Key", 11, keep=90),
        Column("name", "Name", 12, flex=2, keep=100),
        Column("user", "Of", 8, flex=1, keep=50),
        Column("may", "May", 18, flex=3, value=lambda key: ", ".join(key.permissions), prose=True, keep=80),
        Column("state", "State", 10, value=lambda key: _state(key), keep=95),
        Column("expires_at", "Ends", 10, render=_day, keep=60),
        Column("per_minute", "A minute", 8, align="right", render=lambda n: "" if n is None else str(n), keep=30),
        Column("last_used_at", "Used", 10, render=_day, keep=70),
    )
    verbs = (
        Verb("add", "Add", "Make a key; it is shown once", of_row=False),
        Verb("switch", "Revoke", "Revoke it, or let it work again"),
        Verb("rotate", "Rotate", "Make a key in its place; both work for a while"),
    )

    async def rows(self, limit: int) -> Sequence[Any]:
        return await self.bench.store.read(access_keys.listing, limit)

    async def about(self, row: Any) -> list[Piece]:
        said: list[Piece] = [("bold", f"{row.name} "), ("dim", f"{row.prefix}… of {row.user}, {row.id}\n")]
        said.append(("", f"may {'; '.join(MEANING[each] for each in GIVEN if each in row.permissions)}\n"))
        limit = "as often as it likes" if row.per_minute is None else f"at most {row.per_minute} times a minute"
        ends = "never" if row.expires_at is None else moment(row.expires_at)
        used = "never" if row.last_used_at is None else moment(row.last_used_at)
        said.append(("", f"{limit}, ends {ends}, used last {used}\n"))
        said.append(("dim", f"made {moment(row.created_at)}; a command finds it in MESHAG_ACCESS_KEY"))
        if row.rotated_from:
            said.append(("dim", f"; it takes the place of {row.rotated_from}"))
        return said

    async def do_add(self) -> None:
        async def save(values: dict[str, str]) -> str:
            made = await self.bench.community.add_key(
                values["name"],
                tuple(word.strip() for word in values["may"].split(",") if word.strip()),
                user=values["user"].strip() or None,
                days=float(values["days"]) if values["days"].strip() else None,
                per_minute=int(values["rate"]) if values["rate"].strip() else None,
            )
            return self._show(made)

        fields = (
            Field("name", "Name", required=True),
            Field("may", "May", "read, collect", hint=", ".join(GIVEN), required=True, check=_may_problem),
            Field("user", "Of", hint="empty: yours"),
            Field("days", "Days", "90", hint="empty: it does not end", check=whole_number(1, 3_650)),
            Field("rate", "Steps a minute", hint="empty: as many as it likes", check=whole_number(1, 1_000_000)),
        )
        self.form("Make an access key", fields, save, "Make it")

    async def do_switch(self, row: Any) -> None:
        info = await self.bench.community.allow_key(row.prefix, not row.active)
        self.done(f"{info.prefix} {'works again' if info.active else 'is revoked'}")

    async def do_rotate(self, row: Any) -> None:
        async def save(values: dict[str, str]) -> str:
            return self._show(await self.bench.community.rotate_key(row.prefix, float(values["hours"])))

        hours = Field("hours", "Both work for", "24", hint="hours", required=True, check=whole_number(0, 8_760))
        self.form(f"A key in the place of {row.prefix}", (hours,), save, "Make it")

    def _show(self, made: Made) -> str:
        """The secret, in a dialog that copies it: once."""
        said: list[Piece] = [
            ("bold", f"{made.secret.reveal()}\n"),
            ("warning", "\nThis is shown now and never again: y copies it."),
        ]
        self.shell.push_screen(TextDialog(f"The key {made.info.name}", said))
        return f"Made {made.info.prefix} {made.info.name}"


class Projects(Kind):
    """Connections that belong together."""

    name, title = "projects", "Projects"
    empty = State(Condition.EMPTY, "no project yet", "The first connection makes one.", "i makes another.")
    columns = (
        Column("name", "Name", 14, flex=2, keep=100),
        Column("connections", "Connections", 11, align="right", keep=80),
        Column("cloud", "Models", 18, value=lambda one: _cloud(one.settings), keep=90),
        Column("told", "Alerts told by", 22, flex=1, value=lambda one: _told(one.settings), keep=60),
        Column("colour", "Colour", 8, value=lambda one: one.settings.get("colour", ""), keep=40),
        Column("owner", "Of", 8, value=lambda one: one.owner or "", keep=30),
    )
    verbs = (
        Verb("add", "Add", "Make a project", of_row=False),
        Verb("edit", "Change", "Change its name and settings"),
        Verb("remove", "Remove", "Forget it with all its connections"),
    )

    async def rows(self, limit: int) -> Sequence[Any]:
        return await self.bench.store.read(projects.listing, limit)

    async def about(self, row: Any) -> list[Piece]:
        costs = await self.bench.store.read(lambda: projects.spent(row.id, database.now_ms()))
        said: list[Piece] = [("bold", row.name), ("dim", f"  {row.id}\n")]
        said.append(("", f"{number_of(row.connections, 'connection')}; models: {_cloud(row.settings)}\n"))
        quiet, rate = row.settings.get("quiet"), row.settings.get("rate")
        more = (f", not at {quiet}" if quiet else "") + (f", at most {rate} an hour" if rate else "")
        said.append(("", f"alerts: {_told(row.settings)}{more}\n"))
        for cost in costs:
            figures = f"{cost.total:f} {cost.currency} in all, {cost.month:f} this month"
            said.append(("", f"models cost {figures}, {cost.forecast:f} at this pace\n"))
        return [*said, ("dim", f"made {moment(row.created_at)}, changed {moment(row.updated_at)}")]

    def _fields(self, row: Any = None) -> list[Field]:
        settings = {} if row is None else row.settings
        ways = [
            Field(way, f"Alerts by {way}", _yes(settings.get(way) is not False), choices=("yes", "no"))
            for way in projects.WAYS
        ]
        return [
            Field("name", "Name", "" if row is None else row.name, required=True),
            Field("cloud", "Models elsewhere", _yes(not settings.get("no_cloud")), choices=("yes", "no")),
            Field("colour", "Colour", settings.get("colour", "none"), choices=projects.COLOURS),
            Field("theme", "Theme", settings.get("theme", "none"), choices=("none", *projects.THEMES)),
            Field("path", "Folder", settings.get("path", ""), hint="its reports and exports go there; empty: none"),
            *ways,
            Field("quiet", "Quiet hours", settings.get("quiet", ""), hint="22:00-07:00; empty: none"),
            Field(
                "rate",
                "Alerts an hour",
                str(settings.get("rate", "")),
                hint="told at most; empty: all",
                check=_rate_problem,
            ),
        ]

    async def do_add(self) -> None:
        async def save(values: dict[str, str]) -> str:
            info = await self.bench.community.add_project(values["name"], **_settings(values))
            return f"Added {info.name}"

        self.form("Make a project", self._fields(), save, "Make it")

    async def do_edit(self, row: Any) -> None:
        async def save(values: dict[str, str]) -> str:
            name = values["name"] if values["name"] != row.name else None
            info = await self.bench.community.edit_project(row.id, name=name, **_settings(values))
            return f"Saved {info.name}"

        self.form(f"Change {row.name}", self._fields(row), save)

    async def do_remove(self, row: Any) -> None:
        gone = await self.bench.store.read(projects.contents, row.id)

        async def remove() -> str:
            await self.bench.community.remove_project(row.id)
            return f"Forgot {row.name}"

        said = ", ".join(f"{count:,} {kind}" for kind, count in gone.items() if count) or "Nothing"
        effect = f"{said} go with it. Databases are not touched."
        self.confirm(Confirmation("Forget a project", row.name, effect, verb="Forget", typed_name=row.name), remove)


def _state(key: KeyInfo) -> str:
    drawn = glyphs()
    return f"{drawn.ok if key.state == 'on' else drawn.none} {key.state}"


def _cloud(settings: Any) -> str:
    return "only on this machine" if settings.get("no_cloud") else "any, once agreed to"


def _told(settings: Any) -> str:
    return ", ".join(way for way in projects.WAYS if settings.get(way) is not False) or "nothing"


def _yes(on: bool) -> str:
    return "yes" if on else "no"


def _settings(values: dict[str, str]) -> dict[str, Any]:
    """What a form says of a project's settings: what is as usual is not kept."""
    ways = {way: None if values[way] == "yes" else False for way in projects.WAYS}
    return {
        **ways,
        "no_cloud": True if values["cloud"] == "no" else None,
        "colour": None if values["colour"] == "none" else values["colour"],
        "theme": None if values["theme"] == "none" else values["theme"],
        "path": values["path"].strip() or None,
        "quiet": values["quiet"].strip() or None,
        "rate": int(values["rate"]) if values["rate"].strip() else None,
    }


def _rate_problem(text: str) -> str | None:
    return whole_number(1, 1000)(text) if text.strip() else None


def _may_problem(text: str) -> str | None:
    wrong = [word.strip() for word in text.split(",") if word.strip() and word.strip() not in GIVEN]
    return f"a key cannot be given {wrong[0]}" if wrong else None
