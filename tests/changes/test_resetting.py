"""The server counts from nothing on request; what was collected stays, nothing since is lost or counted twice."""

from __future__ import annotations

import pytest

from meshag_tui.changes.resetting import ResetReview
from meshag_tui.engines.base import PermissionDenied
from meshag_tui.store import activity, history
from meshag_tui.types import MeshagError, Target, Window
from tests.changes.conftest import Desk
from tests.rig.mysql import Schema
from tests.rig.postgres import Database

FOREVER = Window(0, 2**53)


async def calls(desk: Desk, connection: str, text: str) -> int:
    """How often the statement ran, by what was collected."""
    page = await desk.bench.store(history.queries, connection, FOREVER, text=text)
    return sum(row.calls for row in page.rows)


async def test_history_stays_and_goes_on(desk: Desk, pg18: Database) -> None:
    pg18.execute("CREATE TABLE public.jars (id int)")
    info = await desk.bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    work = "SELECT id FROM public.jars WHERE id = 1"
    pg18.execute(work)
    await desk.bench.sync(info.id)
    pg18.execute(work, work)

    with pytest.raises(PermissionDenied) as refused:
        await desk.bench.hands.review_reset(info.id)
    assert await calls(desk, info.id, "jars") == 0, "looked at, nothing was read"
    for grant in str(refused.value.fix).splitlines():
        pg18.execute(grant.rstrip(";"))
    shown = await desk.bench.hands.review_reset(info.id)
    (oid,) = pg18.fetch("SELECT oid FROM pg_database WHERE datname = current_database()")[0]
    assert shown.sql == f'SELECT "public".pg_stat_statements_reset(0, {oid}, 0)', "of this database alone"
    await desk.bench.hands.reset_statistics(shown)
    assert await calls(desk, info.id, "jars") == 2
    assert not pg18.fetch("SELECT FROM pg_stat_statements WHERE query LIKE '%jars WHERE%' AND query NOT LIKE '%stat%'")
    pg18.execute(work, work, work)
    await desk.bench.sync(info.id)
    assert await calls(desk, info.id, "jars") == 5
    told = await desk.bench.store(activity.recent, kind="statistics.reset")
    assert [entry.message for entry in told] == [
        "statement counters were reset",
        "asked to reset the statement counters",
    ]
    assert all(entry.details["sql"] == shown.sql for entry in told)

    with pytest.raises(MeshagError, match="not what was shown"):
        await desk.bench.hands.reset_statistics(ResetReview(info.id, "SELECT 1"))
    await desk.bench.connections.edit(info.id, read_only=True)
    with pytest.raises(MeshagError, match="shop is read-only"):
        await desk.bench.hands.review_reset(info.id)


async def test_on_mysql_and_mariadb_too(desk: Desk, my: Schema) -> None:
    my.execute("CREATE TABLE jars (id int PRIMARY KEY)")
    info = await desk.bench.connections.add("shop", Target.from_url(my.monitor_url))
    my.execute("SELECT id FROM jars")
    await desk.bench.sync(info.id)
    my.execute("SELECT id FROM jars", "SELECT id FROM jars")
    with pytest.raises(PermissionDenied) as refused:
        await desk.bench.hands.review_reset(info.id)
    my.execute(str(refused.value.fix).rstrip(";"))
    shown = await desk.bench.hands.review_reset(info.id)
    assert shown.sql == "TRUNCATE TABLE performance_schema.events_statements_summary_by_digest"
    await desk.bench.hands.reset_statistics(shown)
    my.execute("SELECT id FROM jars", "SELECT id FROM jars", "SELECT id FROM jars")
    await desk.bench.sync(info.id)
    assert await calls(desk, info.id, "jars") == 5
