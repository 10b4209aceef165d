"""Through a pooler that does not take our settings: still read-only and bounded, statement by statement."""

from __future__ import annotations

from typing import Literal

import pytest

from meshag_tui.engines.base import DeadlinePassed, Limits, ServerFault
from tests.engines.postgres.conftest import Open
from tests.engines.postgres.pooler import pooler
from tests.rig.postgres import MONITOR, Database


@pytest.mark.parametrize("options", ["refuse", "drop"])
async def test_every_statement_gets_our_settings(
    pg: Database, open_session: Open, options: Literal["refuse", "drop"]
) -> None:
    pg.execute("CREATE TABLE victim (a int)", f"GRANT ALL ON victim TO {MONITOR}")
    async with pooler(pg.server.port, options) as port:
        session = await open_session(pg.monitor_url, limits=Limits(call_s=3), port=port)
        settings = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"
        assert await session.fetch(settings) == [("2700ms", "500ms")]
        with pytest.raises(ServerFault, match="read-only"):
            await session.fetch("INSERT INTO public.victim VALUES (1)")
        with pytest.raises(DeadlinePassed, match="statement timeout"):
            await session.fetch("SELECT pg_sleep(10)", deadline_s=5)
        snapshot = await session.collect()
        assert snapshot.warnings == ()
        assert snapshot.statements is not None
        assert len(await session.texts(None)) > 0
        async with session.wire.transaction():
            assert await session.fetch(settings) == [("2700ms", "500ms")]
            with pytest.raises(ServerFault, match="read-only"):
                await session.fetch("INSERT INTO public.victim VALUES (1)")
        assert await session.fetch("SELECT current_setting('transaction_read_only')") == [("on",)]
        assert "pooler" in {finding.code for finding in await session.findings()}
    assert pg.fetch("SELECT count(*) FROM victim") == [(0,)]
