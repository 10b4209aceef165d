"""A source's schema and statistics, made in a database of a server of our own. Everything here blocks.

In: a `Source` and connections to the server. Out: the schema; what was left out is kept with the reason.

The texts come from a server that is not ours, so they are run by a role without privileges, one statement at a time,
each parsed first and found to be of the kind it should be. Only names and figures, as parameters, go to the superuser.
Functions, operators, triggers, defaults and policies are not made: nobody's code runs here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import psycopg
from psycopg import sql

from meshag_tui.engines.base import EngineError, Refused
from meshag_tui.engines.postgres import parse
from meshag_tui.engines.postgres.errors import quoted
from meshag_tui.engines.postgres.sandbox import schema
from meshag_tui.engines.postgres.sandbox.source import Name, Source
from meshag_tui.servers.place import ServerUnavailable

PLANNER = "planner"
"""The role without privileges that owns all that is made, and runs what is run."""
REACHING_OUT = frozenset({"dblink", "postgres_fdw", "file_fdw", "adminpack", "pg_cron", "pg_background", "lo"})
"""Extensions whose functions act outside their database."""
_ATTRIBUTE = (
    *("null_frac real", "avg_width integer", "n_distinct real", "most_common_vals text", "most_common_freqs real[]"),
    *("histogram_bounds text", "correlation real", "most_common_elems text", "most_common_elem_freqs real[]"),
    *("elem_count_histogram real[]", "range_length_histogram text", "range_empty_frac real"),
    "range_bounds_histogram text",
)

Connection = psycopg.Connection[tuple[Any, ...]]


class Maker:
    """See the module. `missing` says of each relation, index or type that is not there why; `notes` what differs."""

    def __init__(self) -> None:
        self.missing: dict[Name, str] = {}
        self.notes: list[str] = []
        self._stand_ins: set[tuple[str, str, str]] = set()

    def database(self, admin: Connection, source: Source, name: str) -> None:
        """Make the role and an empty database that sorts and plans as the source's does."""
        admin.execute(f"CREATE ROLE {PLANNER} LOGIN")
        plain = source.collate in ("C", "POSIX")
        for collate, ctype in ((source.collate, source.ctype), ("C", "C") if plain else ("C.UTF-8", "C.UTF-8")):
            text = sql.SQL(
                "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' STRATEGY file_copy "
                "LOCALE_PROVIDER libc LC_COLLATE {} LC_CTYPE {}"
            ).format(sql.Identifier(name), sql.Identifier(PLANNER), sql.Literal(collate), sql.Literal(ctype))
            try:
                admin.execute(text)
                break
            except psycopg.Error:
                continue
        else:
            raise ServerUnavailable("it cannot make a database")
        if collate != source.collate:
            self.notes.append(f"texts sort by {collate}, not by {source.collate}")
        self.settings(admin, source, name)

    def settings(self, admin: Connection, source: Source, name: str) -> None:
        """Give a database the source's settings; a copy of a database comes without them."""
        known = {name for (name,) in admin.execute("SELECT name FROM pg_settings").fetchall()}
        settings = {each: value for each, value in source.settings.items() if each in known}
        # What the source's planner cannot do yet, this one is told not to do.
        newer = [each for each in known if each.startswith("enable_") and each not in source.settings]
        settings |= dict.fromkeys(newer, "off")
        settings["search_path"] = ", ".join(quoted(each) for each in source.path)
        for each, value in settings.items():
            value_text = sql.SQL(value) if each == "search_path" else sql.Literal(value)  # quoted name by name
            try:
                admin.execute(
                    sql.SQL("ALTER DATABASE {} SET {} TO {}").format(
                        sql.Identifier(name), sql.Identifier(each), value_text
                    )
                )
            except psycopg.Error:
                said = f"{each} is not {value} here"
                if said not in self.notes:
                    self.notes.append(said)

    def tables(
        self,
        admin: Connection,
        maker: Connection,
        source: Source,
        *,
        without: Collection[str] = frozenset(),
        stand_in: str = schema.STAND_IN,
    ) -> None:
        """Make schemas, extensions but those of `without`, types and tables.

        Args:
            stand_in: the type of a column whose own is not to be had.
        """
        self.run(maker, schema.schemas(source))
        self._create_extensions(admin, source, without)
        self.run(maker, schema.types(source))
        asked = schema.all_types(source)
        known: dict[str, bool] = dict(
            maker.execute(
                "SELECT t, pg_catalog.to_regtype(t) IS NOT NULL FROM pg_catalog.unnest(%s::text[]) t", (asked,)
            ).fetchall()
        )
        collations = set(
            maker.execute(
                "SELECT n.nspname, c.collname FROM pg_catalog.pg_collation c "
                "JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace WHERE c.collprovider <> 'i'"
            ).fetchall()
        )
        strange = sorted(name for name, is_known in known.items() if not is_known)
        if strange:
            self.notes.append(f"without the types {', '.join(strange)}, whose extensions it has not")
        self._stand_ins = {
            (*one.home, column.name) for one in source.relations for column in one.columns if not known[column.type]
        }
        self.run(maker, schema.tables(source, known, collations, stand_in))
        for one in source.relations:
            if one.kind == "f":
                self.missing[one.home] = "it is a foreign table"

    def rest(self, maker: Connection, source: Source) -> None:
        """Make what stands on the tables: indexes, constraints, views, extended statistics."""
        self.run(maker, schema.indexes(source))
        self.run(maker, schema.constraints(source))
        self.run(maker, schema.views(source))
        self.run(maker, schema.extended(source))

    def remark(self, source: Source) -> None:
        """Note what a sandbox of this source never has."""
        if any(one.row_security for one in source.relations):
            self.notes.append("without the policies that hide rows from some roles")
        if any(one.priced_apart for one in source.relations):
            self.notes.append("without the page costs of its tablespaces")

    def _create_extensions(self, admin: Connection, source: Source, without: Collection[str]) -> None:
        had = {name for (name,) in admin.execute("SELECT name FROM pg_available_extensions").fetchall()}
        steps = [(name, where) for name, where in source.extensions.items() if name in had - {"plpgsql", *without}]
        while steps:
            left = []
            for name, where in steps:
                try:
                    admin.execute(
                        sql.SQL("CREATE EXTENSION {} SCHEMA {}").format(sql.Identifier(name), sql.Identifier(where))
                    )
                except psycopg.Error:  # perhaps it needs another one of them
                    left.append((name, where))
            if len(left) == len(steps):
                return
            steps = left

    def run(self, maker: Connection, steps: Iterable[schema.Step]) -> None:
        """Run what can be run; what waits for another one is tried again as long as any of them succeeds."""
        waiting = list(steps)
        while waiting:
            failed: list[tuple[schema.Step, str]] = []
            for step in waiting:
                try:
                    if parse.parse_one(step.sql).node != step.node:
                        raise Refused("its definition is not what it should be")
                    maker.execute(step.sql.encode("utf-8", "replace"))
                except (psycopg.Error, EngineError) as error:
                    failed.append((step, str(error).partition("\n")[0]))
            if len(failed) == len(waiting):
                for step, why in failed:
                    self.missing.setdefault(step.home, why)
                return
            waiting = [step for step, _ in failed]

    def lengths(self, admin: Connection, source: Source) -> None:
        """Rows and remembered lengths of relations, as the source knows them."""
        lengths = [(one.known_pages, one.rows, one.visible_pages, *one.home) for one in source.relations]
        lengths += [(one.known_pages, one.rows, 0, one.schema, one.name) for one in source.indexes]
        if source.version_number < 140000:  # a table never analysed has 0 rows there, and -1 here, where 0 means empty
            lengths = [(one[0], one[1] if one[0] else -1.0, *one[2:]) for one in lengths]
        with admin.cursor() as cursor:
            cursor.executemany(
                "UPDATE pg_catalog.pg_class c SET relpages = %s, reltuples = %s, relallvisible = %s "
                "FROM pg_catalog.pg_namespace n WHERE n.oid = c.relnamespace AND n.nspname = %s AND c.relname = %s",
                lengths,
            )

    def statistics(self, admin: Connection, source: Source) -> None:
        """Everything that the source knows of its columns."""
        columns = {
            (home, name, column): kind == "bytea" or (home, name, column) in self._stand_ins
            for home, name, column, kind in admin.execute(
                "SELECT n.nspname, c.relname, a.attname, t.typname FROM pg_catalog.pg_attribute a "
                "JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_type t ON t.oid = a.atttypid "
                "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE a.attnum > 0"
            ).fetchall()
        }
        names = ", ".join(f"'{one.split()[0]}', %s::{one.split()[1]}" for one in _ATTRIBUTE)
        text = (
            "SELECT pg_catalog.pg_restore_attribute_stats('schemaname', %s::text, 'relname', %s::text, "
            f"'attname', %s::text, 'inherited', %s::boolean, 'version', {source.version_number}, {names})"
        ).encode()
        for row in source.statistics:
            stands_in = columns.get(row[:3])
            if stands_in is not None:
                try:
                    admin.execute(text, schema.rows_of(row, readable_values=not stands_in))
                except psycopg.Error:
                    self.missing.setdefault((row[0], row[1]), f"the statistics of {row[2]} cannot be taken over")
