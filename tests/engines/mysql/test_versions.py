"""What an older MySQL 8.0 would refuse is not sent to it: what is sent then runs here, too, but for what 8.4 dropped.

No server of 8.0 is at hand. The differences are of its manual: STATISTICS.EXPRESSION since 8.0.13, CHECK_CONSTRAINTS
since 8.0.16, performance_schema.processlist and SHOW REPLICA STATUS since 8.0.22.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from meshag_tui.engines.mysql import sources
from meshag_tui.engines.mysql.facts import _traits
from tests.engines.mysql.conftest import Open
from tests.rig.mysql import Schema

NEWER = {"s.EXPRESSION": (8, 0, 13), "CHECK_CONSTRAINTS": (8, 0, 16)}


@pytest.mark.parametrize("version", [(8, 0, 11), (8, 0, 13), (8, 0, 16), (8, 0, 22)])
async def test_each_version_is_asked_what_it_knows(
    mysql: Schema, open_session: Open, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int]
) -> None:
    mysql.execute("CREATE TABLE t (id int PRIMARY KEY, a int CHECK (a > 0), KEY (a))")
    session = await open_session(mysql.monitor_url)
    session.server = replace(session.server, version=version)
    session.collected = False
    sent: list[str] = []
    fetch = session.wire.fetch

    async def noted(query: str, *values: Any, **how: Any) -> list[Any]:
        sent.append(query)
        return await fetch(query, *values, **how)

    async def as_it_is(*_: Any) -> Any:
        return session.server

    monkeypatch.setattr(session.wire, "fetch", noted)
    monkeypatch.setattr("meshag_tui.engines.mysql.facts.read", as_it_is)
    snapshot = await session.collect()
    assert [table.name for table in snapshot.tables or ()] == ["t"] and len(snapshot.indexes or ()) == 2
    assert snapshot.sessions is not None
    words = " ".join(sent)
    assert {word for word in NEWER if word in words} == {word for word, since in NEWER.items() if version >= since}
    assert session.server.processes.startswith("performance_schema") == (version >= (8, 0, 22))
    assert _traits("MySQL", version).index_expressions == (version >= (8, 0, 13))


@pytest.mark.parametrize(
    ("flavour", "version", "statement"),
    [
        ("MySQL", (8, 0, 21), "SHOW SLAVE STATUS"),
        ("MySQL", (8, 0, 22), "SHOW REPLICA STATUS"),
        ("MySQL", (9, 7, 0), "SHOW REPLICA STATUS"),
        ("MariaDB", (10, 11, 0), "SHOW ALL SLAVES STATUS"),
    ],
)
async def test_how_a_replica_is_asked(flavour: str, version: tuple[int, int, int], statement: str) -> None:
    class Told:
        def __init__(self) -> None:
            self.flavour, self.version = flavour, version

        async def fetch(self, query: str, *_: Any, **__: Any) -> list[Any]:
            assert query == statement
            blank = [None] * 60
            group, mine = [*blank], [*blank]
            group[55], mine[3 if flavour == "MariaDB" else 1] = "group_replication_applier", "source"
            mine[34 if flavour == "MariaDB" else 32] = 7
            return [tuple(group), tuple(mine)]

    rows = await sources.status(Told())  # type: ignore[arg-type]
    assert len(rows) == 1 and sources.behind_ms(flavour, rows) == 7_000.0  # type: ignore[arg-type]
