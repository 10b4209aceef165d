"""Nothing but what was looked at is ever sent: hostile texts and names, on real servers, where a table is the victim.

Each text is handed to the session that may change things, for a change of every kind; the victim and what it holds are
there afterwards. What hypothesis makes of a good statement is refused likewise, unless it is that statement still.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshag_tui.engines.base import EngineError, Limits, Refused
from meshag_tui.engines.mysql import ddl as my_ddl
from meshag_tui.engines.mysql import permitted as my_permitted
from meshag_tui.engines.mysql import render as my_render
from meshag_tui.engines.postgres import ddl, permitted, render
from meshag_tui.types import (
    Analyze,
    Change,
    CreateIndex,
    CreateStatistics,
    DropIndex,
    DropStatistics,
    HideIndex,
    IndexColumn,
    IndexSpec,
    MeshagError,
    Rebuild,
    Reindex,
    RenameIndex,
    RestoreIndex,
    RestoreStatistics,
    SetSetting,
    SetStatisticsTarget,
    SetTableOptions,
    ShowIndex,
    Target,
    Vacuum,
    table_of,
)
from tests.rig.mysql import Schema
from tests.rig.postgres import Database

VICTIM = """
CREATE TABLE public.victim (a int PRIMARY KEY, b int, c text);
INSERT INTO victim SELECT i, i % 7, 'x' FROM generate_series(1, 100) i;
CREATE INDEX victim_b ON victim (b);
CREATE STATISTICS victim_stats (ndistinct) ON a, b FROM victim;
CREATE TABLE public.traces (what text);
CREATE FUNCTION public.evil(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
    'BEGIN INSERT INTO public.traces VALUES (''evil''); RETURN $1; END';
ANALYZE victim;
"""
CHANGES: dict[str, tuple[Change, str]] = {
    "create": (
        CreateIndex(IndexSpec("public", "victim", (IndexColumn("b"),), name="n")),
        "CREATE INDEX CONCURRENTLY n ON public.victim USING btree (b)",
    ),
    "drop": (DropIndex("public", "victim", "victim_b"), "DROP INDEX CONCURRENTLY public.victim_b"),
    "restore": (
        RestoreIndex("public", "victim", "v", ("CREATE INDEX CONCURRENTLY v ON public.victim USING btree (b)",)),
        "CREATE INDEX CONCURRENTLY v ON public.victim USING btree (b)",
    ),
    "rename": (RenameIndex("public", "victim", "victim_b", "w"), "ALTER INDEX public.victim_b RENAME TO w"),
    "reindex": (Reindex("public", "victim", "victim_b"), "REINDEX INDEX CONCURRENTLY public.victim_b"),
    "analyze": (Analyze("public", "victim"), "ANALYZE public.victim"),
    "vacuum": (Vacuum("public", "victim"), "VACUUM (ANALYZE) public.victim"),
    "options": (
        SetTableOptions("public", "victim", (("fillfactor", "90"),)),
        "ALTER TABLE public.victim SET (fillfactor = 90)",
    ),
    "target": (
        SetStatisticsTarget("public", "victim", "b", 500),
        "ALTER TABLE public.victim ALTER COLUMN b SET STATISTICS 500",
    ),
    "statistics": (
        CreateStatistics("public", "victim", ("b", "c"), ("mcv",), "s"),
        "CREATE STATISTICS public.s (mcv) ON b, c FROM public.victim;\nANALYZE public.victim",
    ),
    "drop statistics": (
        DropStatistics("public", "victim", "victim_stats"),
        "DROP STATISTICS public.victim_stats",
    ),
    "restore statistics": (
        RestoreStatistics("public", "victim", "t", ("CREATE STATISTICS public.t (mcv) ON b, c FROM public.victim",)),
        "CREATE STATISTICS public.t (mcv) ON b, c FROM public.victim",
    ),
    "setting": (
        SetSetting("work_mem", "8MB", role="meshag_monitor"),
        "ALTER ROLE meshag_monitor SET work_mem = '8MB'",
    ),
}
AROUND = (
    "{sql}; DROP TABLE public.victim",
    "DROP TABLE public.victim; {sql}",
    "{sql};\nDROP TABLE public.victim",
    "{sql};\nANALYZE public.victim;\nDROP TABLE public.victim",
    "{sql};\nSELECT pg_catalog.pg_reload_conf();\nTRUNCATE public.victim",
    "{sql} -- checked",
    "-- \n{sql}",
    "/* a /* b */ ; DROP TABLE public.victim; -- */ {sql}",
    "{sql} /*! ; DROP TABLE public.victim */",
    "{sql} /*M! ; DROP TABLE public.victim */",
    "{sql}\x00; DROP TABLE public.victim",
    "\x00{sql}",
    "{sql}；DROP TABLE public.victim",
    "{sql}\u037e DROP TABLE public.victim",
    "{sql}\u200b",
    "BEGIN; {sql}; DROP TABLE public.victim; COMMIT",
    "EXPLAIN ANALYZE {sql}",
    "PREPARE p AS {sql}",
    "DO $$ BEGIN EXECUTE '{sql}'; DROP TABLE public.victim; END $$",
    "DO $x$ BEGIN DROP TABLE public.victim; END $x$",
    "SELECT $a$; DROP TABLE public.victim; $a$, public.evil(1)",
    "WITH d AS (DELETE FROM public.victim RETURNING *) SELECT * FROM d",
    "WITH d AS (SELECT public.evil(a) FROM public.victim) SELECT * FROM d",
    "SELECT public.evil(1)",
    "SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())",
    "SELECT pg_catalog.lo_import('/etc/passwd')",
    "COPY public.victim TO PROGRAM 'touch /tmp/meshag-was-here'",
    "COPY public.victim FROM PROGRAM 'echo 1'",
    "CREATE INDEX CONCURRENTLY n ON public.victim USING btree (public.evil(b))",
    "CREATE UNIQUE INDEX CONCURRENTLY n ON public.victim USING btree (b)",
    "CREATE INDEX n ON public.victim USING btree (b)",
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS n ON public.victim USING btree (b)",
    "DROP INDEX public.victim_b",
    "DROP INDEX CONCURRENTLY IF EXISTS public.victim_b",
    "DROP INDEX CONCURRENTLY public.victim_b CASCADE",
    "DROP TABLE public.victim",
    "TRUNCATE public.victim",
    "DELETE FROM public.victim",
    "ALTER TABLE public.victim DROP COLUMN b",
    "ALTER TABLE public.victim SET (fillfactor = 90), DROP COLUMN b",
    "ALTER TABLE public.victim ALTER COLUMN b SET STATISTICS 500, DROP COLUMN c",
    "ALTER TABLE public.victim SET UNLOGGED",
    "ALTER TABLE public.victim RENAME TO gone",
    "ALTER INDEX public.victim_b RENAME TO w; DROP TABLE public.victim",
    "ALTER INDEX IF EXISTS public.victim_b RENAME TO w",
    "REINDEX TABLE public.victim",
    "REINDEX INDEX public.victim_b",
    "REINDEX (TABLESPACE pg_default, CONCURRENTLY) INDEX public.victim_b",
    "VACUUM (FULL) public.victim",
    "VACUUM FULL public.victim",
    "ANALYZE",
    "ANALYZE public.victim, public.traces",
    "ALTER SYSTEM SET archive_command = 'touch /tmp/meshag-was-here'",
    "ALTER SYSTEM RESET ALL",
    "ALTER ROLE meshag_monitor SUPERUSER",
    "ALTER ROLE meshag_monitor SET session_preload_libraries = 'evil'",
    "ALTER ROLE ALL SET work_mem = '8MB'",
    "ALTER ROLE meshag_monitor SET work_mem FROM CURRENT",
    "DROP STATISTICS public.victim_stats, public.s",
    "DROP OWNED BY CURRENT_USER",
    "GRANT ALL ON public.victim TO PUBLIC",
    "SET ROLE meshag_monitor",
    "LOCK TABLE public.victim",
    "COMMENT ON TABLE public.victim IS 'x'",
    "CREATE RULE r AS ON SELECT TO public.victim DO INSTEAD SELECT 1",
    "CREATE EXTENSION file_fdw",
    "ＤＲＯＰ TABLE public.victim",
    "DROP TABLE public.vіctim",
    "\\! touch /tmp/meshag-was-here",
    "",
    ";",
)


def survives(database: Database) -> None:
    """The victim is whole, nothing of it was touched, and no function ran."""
    seen = database.fetch(
        "SELECT (SELECT count(*) FROM victim), (SELECT count(*) FROM traces), "
        "(SELECT string_agg(attname::text, ',' ORDER BY attnum) FROM pg_attribute "
        " WHERE attrelid = 'victim'::regclass AND attnum > 0 AND NOT attisdropped), "
        "(SELECT count(*) FROM pg_index WHERE indrelid = 'victim'::regclass), "
        "(SELECT rolsuper FROM pg_roles WHERE rolname = 'meshag_monitor')"
    )
    assert seen == [(100, 0, "a,b,c", 2, False)]


async def all_refused(database: Database, change: Change, texts: list[str]) -> None:
    async with ddl.connect_for_change(Target.from_url(database.url), Limits()) as session:
        for text in texts:
            with pytest.raises(Refused):
                await session.run(change, text)


@pytest.mark.parametrize("kind", CHANGES)
async def test_no_other_text_is_sent_to_postgresql(pg: Database, kind: str) -> None:
    pg.execute(VICTIM)
    change, good = CHANGES[kind]
    permitted.check(change, good)
    await all_refused(pg, change, [text.replace("{sql}", good) for text in AROUND if text != good])
    await all_refused(pg, change, [other for name, (_, other) in CHANGES.items() if other != good])
    survives(pg)


async def test_not_even_without_the_guard_are_several_sent_at_once(pg: Database, my: Schema) -> None:
    """The last wall is the protocol's: a text that is several statements is refused by the server."""
    pg.execute(VICTIM)
    async with ddl.connect_for_change(Target.from_url(pg.url), Limits()) as session:
        with pytest.raises(EngineError):
            await session.fetch("SELECT 1; DROP TABLE public.victim")
    survives(pg)
    my.execute("CREATE TABLE victim (a int PRIMARY KEY)")
    async with my_ddl.connect_for_change(Target.from_url(my.url), Limits()) as hands:
        with pytest.raises(EngineError):
            await hands._wire.fetch("SELECT 1; DROP TABLE victim")
    assert my.fetch("SELECT COUNT(*) FROM victim") == [(0,)]


PIECES = st.sampled_from([
    *("; DROP TABLE public.victim", " -- ", "/*", "*/", "/*!", "$$", "'", '"', ";\n", "\x00", "；", "\u200b"),
    *("\\", ")", "("),
    *(" CASCADE", ", public.traces", "IF EXISTS ", " RETURNING *", "DROP TABLE public.victim;\n", " CONCURRENTLY", "é"),
])  # fmt: skip


@st.composite
def spoiled(draw: Any, good: str) -> str:
    """A good statement with pieces put in, cut out or repeated."""
    text = good
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        piece = draw(st.one_of(PIECES, st.text(max_size=4)))
        text = text[:at] + piece + text[at + draw(st.integers(0, 2)) :]
    return text


@settings(max_examples=150, deadline=None)
@given(data=st.data(), kind=st.sampled_from(sorted(CHANGES)))
def test_what_passes_is_still_about_the_victims_change_alone(data: Any, kind: str) -> None:
    """A spoiled text may pass only as one statement of the kind: blanks, or another name of what is made."""
    change, good = CHANGES[kind]
    text = data.draw(spoiled(good))
    try:
        permitted.check(change, text)
    except Refused:
        return
    assert "\x00" not in text and "--" not in text and "/*" not in text
    assert not any(word in text.upper() for word in ("DROP TABLE", "CASCADE", "TRACES", "RETURNING"))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(sorted(CHANGES)))
def test_what_is_not_just_what_was_rendered_is_not_sent(pg18: Database, data: Any, kind: str) -> None:
    if not pg18.fetch("SELECT 1 FROM pg_class WHERE relname = 'victim'"):
        pg18.execute(VICTIM)
    change, good = CHANGES[kind]
    text = data.draw(spoiled(good).filter(lambda made: made != good))
    asyncio.run(all_refused(pg18, change, [text]))
    survives(pg18)


NASTY = st.text(st.sampled_from(list("ab\"'`;-/*!$\\\n\t éｄ\u200b\u202e(){}%")), min_size=1, max_size=20)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(NASTY, min_size=4, max_size=4, unique=True))
def test_names_however_nasty_are_only_names(pg18: Database, names: list[str]) -> None:
    """A table, column and index of such names are changed, and only they."""
    if not pg18.fetch("SELECT 1 FROM pg_class WHERE relname = 'victim'"):
        pg18.execute(VICTIM)
    table, column, index, new = names

    def quoted(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    pg18.execute(
        f"CREATE TABLE public.{quoted(table)} ({quoted(column)} int, other int)",
        f"CREATE INDEX {quoted(index)} ON public.{quoted(table)} ({quoted(column)})",
    )
    changes: tuple[Change, ...] = (
        RenameIndex("public", table, index, new),
        SetTableOptions("public", table, (("fillfactor", "80"),)),
        SetStatisticsTarget("public", table, column, 9),
        CreateStatistics("public", table, (column, "other"), ("mcv",)),
        Reindex("public", table, new),
        DropIndex("public", table, new),
    )

    async def run() -> None:
        async with ddl.connect_for_change(Target.from_url(pg18.url), Limits()) as session:
            for change in changes:
                rendered = await render.render(session, change)
                await session.run(change, rendered.sql)
                assert await session.verify(change, rendered) == "done"

    asyncio.run(run())
    survives(pg18)
    pg18.execute(f"DROP TABLE public.{quoted(table)}")


# ---------------------------------------------------------------------------------------------- MySQL, MariaDB


MY_CHANGES: dict[str, Callable[[str], tuple[Change, str]]] = {
    "create": lambda s: (
        CreateIndex(IndexSpec(s, "victim", (IndexColumn("b"),), name="n")),
        f"ALTER TABLE `{s}`.`victim` ADD INDEX `n` (`b`), ALGORITHM=INPLACE, LOCK=NONE",
    ),
    "drop": lambda s: (
        DropIndex(s, "victim", "victim_b"),
        f"ALTER TABLE `{s}`.`victim` DROP INDEX `victim_b`, ALGORITHM=INPLACE, LOCK=NONE",
    ),
    "hide": lambda s: (
        HideIndex(s, "victim", "victim_b"),
        f"ALTER TABLE `{s}`.`victim` ALTER INDEX `victim_b` INVISIBLE, ALGORITHM=INPLACE, LOCK=NONE",
    ),
    "show": lambda s: (
        ShowIndex(s, "victim", "victim_b"),
        f"ALTER TABLE `{s}`.`victim` ALTER INDEX `victim_b` VISIBLE, ALGORITHM=INPLACE, LOCK=NONE",
    ),
    "rename": lambda s: (
        RenameIndex(s, "victim", "victim_b", "w"),
        f"ALTER TABLE `{s}`.`victim` RENAME INDEX `victim_b` TO `w`, ALGORITHM=INPLACE, LOCK=NONE",
    ),
    "rebuild": lambda s: (Rebuild(s, "victim"), f"ALTER TABLE `{s}`.`victim` FORCE, ALGORITHM=INPLACE, LOCK=NONE"),
    "analyze": lambda s: (Analyze(s, "victim"), f"ANALYZE NO_WRITE_TO_BINLOG TABLE `{s}`.`victim`"),
    "options": lambda s: (
        SetTableOptions(s, "victim", (("STATS_SAMPLE_PAGES", "64"),)),
        f"ALTER TABLE `{s}`.`victim` STATS_SAMPLE_PAGES=64, ALGORITHM=INPLACE, LOCK=NONE",
    ),
    "histogram": lambda s: (
        CreateStatistics(s, "victim", ("b",), ("histogram",)),
        f"ANALYZE NO_WRITE_TO_BINLOG TABLE `{s}`.`victim` UPDATE HISTOGRAM ON `b` WITH 100 BUCKETS",
    ),
    "setting": lambda s: (SetSetting("long_query_time", "0.5"), "SET PERSIST long_query_time = 0.5"),
}
MY_AROUND = (
    "{sql}; DROP TABLE victim",
    "DROP TABLE victim; {sql}",
    "{sql};\nDROP TABLE victim",
    "{sql} /*! DROP TABLE victim */",
    "{sql} /*!50000 , DROP COLUMN b */",
    "{sql} /*M! , DROP COLUMN b */",
    "{sql} /*M!100000 , DROP COLUMN b */",
    "/*!80000 DROP TABLE victim */",
    "{sql} -- x",
    "{sql} --\tx",
    "{sql} # x",
    "# x\n{sql}",
    "{sql} /* x */",
    "{sql}\x00",
    "{sql}；DROP TABLE victim",
    "{sql}\\g",
    "{sql}\\G",
    "delimiter //\n{sql}//",
    "{sql}, DROP COLUMN b",
    "{sql}, ADD COLUMN d INT",
    "{sql}, RENAME TO gone",
    "{sql}, ENGINE=MEMORY",
    "EXPLAIN ANALYZE DELETE FROM victim",
    "PREPARE p FROM 'DROP TABLE victim'",
    "EXECUTE IMMEDIATE 'DROP TABLE victim'",
    "BEGIN NOT ATOMIC DROP TABLE victim; END",
    "CALL evil()",
    "DO evil(1)",
    "SELECT evil(1)",
    "SELECT * FROM victim INTO OUTFILE '/tmp/meshag-was-here'",
    "LOAD DATA INFILE '/etc/passwd' INTO TABLE victim",
    "HANDLER victim OPEN",
    "ALTER TABLE victim DROP COLUMN b, ALGORITHM=INPLACE, LOCK=NONE",
    "ALTER TABLE `victim` DISCARD TABLESPACE",
    "ALTER TABLE other.victim FORCE, ALGORITHM=INPLACE, LOCK=NONE",
    "DROP INDEX victim_b ON victim",
    "DROP TABLE victim",
    "TRUNCATE victim",
    "ANALYZE TABLE victim",
    "ANALYZE NO_WRITE_TO_BINLOG TABLE `victim`, `other`",
    "OPTIMIZE TABLE victim",
    "SET GLOBAL general_log_file = '/tmp/meshag-was-here'",
    "SET PERSIST long_query_time = 0.5, GLOBAL read_only = 1",
    "SET GLOBAL long_query_time = (SELECT SLEEP(1))",
    "SET GLOBAL long_query_time = @@global.max_connections",
    "RESET PERSIST",
    "RESET MASTER",
    "FLUSH TABLES WITH READ LOCK",
    "INSTALL PLUGIN evil SONAME 'evil.so'",
    "GRANT ALL ON *.* TO ''@'%'",
    "ＤＲＯＰ TABLE victim",
    "",
    ";",
)


def prepare(schema: Schema) -> None:
    schema.execute(
        "CREATE TABLE victim (a INT PRIMARY KEY, b INT, KEY victim_b (b))",
        "INSERT INTO victim VALUES (1, 1), (2, 2), (3, 3)",
    )


def my_survives(schema: Schema, before: list[tuple[Any, ...]]) -> None:
    assert schema.fetch("SHOW CREATE TABLE victim") == before
    assert schema.fetch("SELECT COUNT(*), SUM(b) FROM victim") == [(3, 6)]


async def all_refused_by(schema: Schema, change: Change, texts: list[str]) -> None:
    async with my_ddl.connect_for_change(Target.from_url(schema.url), Limits()) as session:
        for text in texts:
            with pytest.raises(Refused):
                await session.run(change, text)


@pytest.mark.parametrize("kind", MY_CHANGES)
async def test_no_other_text_is_sent_to_mysql_or_mariadb(my: Schema, kind: str) -> None:
    prepare(my)
    before = my.fetch("SHOW CREATE TABLE victim")
    change, good = MY_CHANGES[kind](my.name)
    my_permitted.check(change, good)
    here = [text.replace("{sql}", good).replace("victim;", f"`{my.name}`.`victim`;") for text in MY_AROUND]
    await all_refused_by(my, change, here)
    await all_refused_by(my, change, [made(my.name)[1] for name, made in MY_CHANGES.items() if name != kind])
    my_survives(my, before)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), kind=st.sampled_from(sorted(MY_CHANGES)))
def test_what_passes_there_is_still_one_statement_of_the_kind(data: Any, kind: str) -> None:
    change, good = MY_CHANGES[kind]("shop")
    text = data.draw(spoiled(good))
    try:
        my_permitted.check(change, text)
    except Refused:
        return
    bare = text
    for name in (*(table_of(change) or ()),):
        bare = bare.replace(f"`{name}`", "")
    assert "\x00" not in text and "DROP TABLE" not in bare.partition("`")[0].upper()


async def test_names_of_nothing_are_refused_and_nothing_runs(pg18: Database, my: Schema) -> None:
    pg18.execute(VICTIM)
    prepare(my)
    before = my.fetch("SHOW CREATE TABLE victim")
    evil = 'victim"; DROP TABLE public.victim; --'
    async with ddl.connect_for_change(Target.from_url(pg18.url), Limits()) as session:
        for change in (
            Analyze("public", evil),
            Reindex("public", "victim", evil),
            SetTableOptions("public", evil, (("fillfactor", "90"),)),
            SetTableOptions("public", "victim", ((evil, "90"),)),
            SetStatisticsTarget("public", "victim", evil, 9),
            SetSetting(evil, "1"),
            SetSetting("work_mem", "8MB", role=evil),
            CreateStatistics("public", "victim", ("a", evil), ("mcv",)),
        ):
            with pytest.raises(MeshagError):
                await render.render(session, change)
    async with my_ddl.connect_for_change(Target.from_url(my.url), Limits()) as hands:
        evil = "victim`; DROP TABLE victim; -- "
        for change in (
            Analyze(my.name, evil),
            Rebuild(my.name, evil),
            RenameIndex(my.name, "victim", evil, "x"),
            SetTableOptions(my.name, "victim", (("STATS_PERSISTENT", "1; DROP TABLE victim"),)),
            SetSetting("long_query_time", "1; DROP TABLE victim"),
        ):
            with pytest.raises(MeshagError):
                await my_render.render(hands._wire, change)
    survives(pg18)
    my_survives(my, before)
