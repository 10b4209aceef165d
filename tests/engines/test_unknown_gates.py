"""Unknown is no: what each pre-flight gate says when its value cannot be had, and that it then never lets through."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, cast

import pytest

from meshag_tui.changes.house_rules import HouseRules
from meshag_tui.engines.base import Gate, PermissionDenied, RenderedChange
from meshag_tui.engines.mysql import gates as my
from meshag_tui.engines.mysql.catalogue import Asked
from meshag_tui.engines.mysql.grants import Grants
from meshag_tui.engines.mysql.server_settings import rights
from meshag_tui.engines.postgres import gates as pg
from meshag_tui.engines.postgres import server_settings
from meshag_tui.engines.postgres.ddl import PostgresDdlSession
from meshag_tui.types import CreateIndex, IndexColumn, IndexSpec, SetSetting, Target

AWAY = Target.from_url("postgresql://app@db.example.com/shop")
CREATE = CreateIndex(IndexSpec("shop", "orders", (IndexColumn("customer_id"),)))
US = "'app'@'%'"


class Server:
    """A conversation in which words that a query has give its answer, or its error; else there are no rows."""

    def __init__(self, flavour: str = "MariaDB", **answers: Any) -> None:
        self.flavour, self.version, self.answers = flavour, (11, 4, 2), answers
        self.target = AWAY

    async def fetch(self, query: str, *_: Any, **__: Any) -> Any:
        for words, found in self.answers.items():
            if words in query:
                if isinstance(found, Exception):
                    raise found
                return found
        return []


def postgres(**answers: Any) -> PostgresDdlSession:
    return cast("PostgresDdlSession", Server(**answers))


def mysql(**answers: Any) -> Asked:
    return cast("Asked", Server(**answers))


DENIED = PermissionDenied("app lacks a right")
DUMP = (7, "repl", "db2:40000", "Binlog Dump", 9, "sent all", None)
LOCKED = {"PROCESSLIST": [], "OPEN TABLES": [("shop", "orders", 1, 0)]}
HIDDEN_VIEW = {"VIEWS": [("the view late", "")]}

# What each gate is asked without its value, whether somebody may go on without knowing, and what it says to do.
CASES: dict[str, tuple[Callable[[], Gate | Awaitable[Gate]], bool, str]] = {
    "postgres: the table": (
        lambda: _first(pg._object(postgres(), CREATE, _rendered(), 180000)),
        False,
        "dropped since",
    ),
    "postgres: transactions": (lambda: pg._transactions(postgres(), False), False, "GRANT pg_monitor TO"),
    "postgres: replicas": (
        lambda: pg._replicas(postgres(replication=[("r1", None, None, None)]), False),
        False,
        "GRANT pg_monitor TO",
    ),
    "postgres: a replica's lag": (
        lambda: pg._replicas(postgres(replication=[("r1", "backup", None, None)]), True),
        False,
        "r1 (backup) is an unknown time behind",
    ),
    "postgres: who locks": (
        lambda: pg._locks(postgres(pg_locks=[(7, "ShareLock", True, "", "", "", False)]), {"table_oid": 1}),
        False,
        "pid 7 (unknown)",
    ),
    "postgres: load": (lambda: pg._load(postgres(), 0, 8, False), False, "GRANT pg_monitor TO"),
    "postgres: connections": (lambda: pg._connections(postgres(), 100, 1, False), False, "GRANT pg_monitor TO"),
    "postgres: disk": (lambda: pg._disk(AWAY, "/data", 1_000, None), True, "make sure that the index fits"),
    "postgres: size": (lambda: pg._disk(AWAY, "/data", None, None), True, "make sure that the index fits"),
    "mysql: role": (lambda: my._role(mysql(), {}, None), False, "read_only cannot be read"),
    "mysql: privileges": (
        lambda: my._rights(Grants(()), CREATE, "shop", "orders", US),
        False,
        "GRANT ALTER ON `shop`.`orders` TO",
    ),
    "mysql: privileges for settings": (
        lambda: rights(mysql(), Grants(()), US),
        False,
        "ON *.* TO",
    ),
    "mysql: transactions": (
        lambda: my._users(mysql(), CREATE, "shop", "orders", False, True, US),
        False,
        "GRANT PROCESS",
    ),
    "mysql: locks of others": (
        lambda: my._locks(mysql(), "shop", "orders", False, False, US),
        False,
        "GRANT PROCESS",
    ),
    "mysql: locks without metadata locks": (
        lambda: my._locks(mysql(**LOCKED), "shop", "orders", True, False, US),
        True,
        "metadata/sql/mdl=ON",
    ),
    "mysql: a view's text": (
        lambda: my._hints(mysql(**HIDDEN_VIEW), "shop", "orders", "i", True, US),
        False,
        "GRANT SHOW VIEW ON `shop`.* TO",
    ),
    "mysql: statements": (
        lambda: my._hints(mysql(digest=DENIED), "shop", "orders", "i", True, US),
        False,
        "GRANT SELECT ON performance_schema.* TO",
    ),
    "mysql: statements with performance_schema off": (
        lambda: my._hints(mysql(), "shop", "orders", "i", False, US),
        True,
        "make sure that none names it",
    ),
    "mysql: whether there are replicas": (lambda: my._replicas(mysql(), {}, True, US), False, "log_bin cannot"),
    "mysql: replicas": (lambda: my._replicas(mysql(), {"log_bin": "ON"}, False, US), False, "GRANT PROCESS"),
    "mysql: a replica's lag": (
        lambda: my._replicas(mysql(PROCESSLIST=[DUMP]), {"log_bin": "ON"}, True, US),
        True,
        "only themselves",
    ),
    "mysql: load": (lambda: my._load(mysql(), AWAY, {}), False, "Threads_running cannot"),
    "mysql: connections": (
        lambda: my._connections(mysql(), {"max_connections": "100"}),
        False,
        "Threads_connected cannot",
    ),
    "mysql: disk": (lambda: my._disk(mysql(), AWAY, CREATE, {}, 1_000), True, "make sure that the index fits"),
    "ours: the object": (
        lambda: HouseRules(advised="not kept").gates({}, datetime(2026, 11, 30))[0],
        False,
        "look for advice anew",
    ),
}


async def _first(found: Awaitable[list[Gate]]) -> Gate:
    return (await found)[0]


def _rendered() -> RenderedChange:
    return RenderedChange("", None, {"table_oid": 1, "schema": "shop", "table": "orders"})


@pytest.mark.parametrize("case", CASES)
async def test_unknown_is_no(case: str) -> None:
    ask, may_go_on, words = CASES[case]
    found = ask()
    gate = await found if inspect.isawaitable(found) else found
    assert gate.state == ("unknown" if may_go_on else "block"), gate
    assert words in gate.detail and "\n" not in gate.detail


async def test_what_may_set_a_parameter_is_refused_with_what_to_grant() -> None:
    session = postgres(rolsuper=[(False, False, False, 180000, "app")], has_parameter=[(False,)])
    gate = await server_settings.rights(session, SetSetting("work_mem", "64MB"))
    assert gate.state == "block" and gate.detail.startswith("GRANT ALTER SYSTEM ON PARAMETER work_mem TO")
