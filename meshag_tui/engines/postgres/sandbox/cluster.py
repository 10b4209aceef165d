"""The server of a statistics sandbox: an embedded PostgreSQL that believes it has the source's tables.

In: a `Source`. Out: a server with its schema, its statistics and files as long as its own, empty. What was left out is
kept with the reason. Everything here blocks: it is run in a thread.

How texts that come from the source are run is told in `making`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from meshag_tui.engines.base import EngineError, Refused
from meshag_tui.engines.here import free_bytes, megabytes
from meshag_tui.engines.index_size import entry_bytes, index_bytes
from meshag_tui.engines.postgres.sandbox import files
from meshag_tui.engines.postgres.sandbox.making import PLANNER, Maker
from meshag_tui.engines.postgres.sandbox.source import Name, Source
from meshag_tui.servers.place import ServerUnavailable
from meshag_tui.servers.postgres import EmbeddedPostgres

DATABASE = "plan"
LEAST_ROOM = 256 * 1024 * 1024
"""Bytes that must be free: a new cluster takes 40 MB, its log of changes 64 MB at most."""
_FILL = 0.75
"""Share of a page of a B-tree in use that is filled: less than when it was made."""
_SETTINGS = {
    "autovacuum": "off",  # it would count the rows of the tables, which are none
    "wal_skip_threshold": "0",  # or it would read a stretched file back
    "shared_buffers": "16MB",
    "max_wal_size": "64MB",
    "min_wal_size": "32MB",
    "temp_file_limit": "64MB",
    "max_connections": "12",
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",  # statements are nobody's business, also in a log that goes away
}


@dataclass(frozen=True, slots=True)
class Entries:
    """What an index would hold, by the planner's estimates: rows, mean bytes of their columns, different keys."""

    rows: float
    width: float
    distinct: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """An index to be made on a table: its statement, rendered from a checked spec, with `name` in it."""

    definition: str
    table: Name
    name: str
    method: str
    entries: Entries


@dataclass(frozen=True, slots=True)
class Made:
    """An index that exists in the sandbox only. `size_bytes` is what it would have on the source."""

    oid: int
    name: str
    size_bytes: int


class Cluster:
    """See the module. `start`, then `fill`, then the rest; `close` at any time.

    Attributes: `missing` says of each relation, index or type that is not there why; `notes` what differs in general;
    `version` is that of its planner.
    """

    def __init__(self) -> None:
        """Raises ServerUnavailable when there are no server programs, or too little room on the disk."""
        self.server = EmbeddedPostgres(settings=_SETTINGS, preload=(), checksums=False, superuser="meshag")
        self.version = self.server.version
        self._schema = Maker()
        self.missing, self.notes = self._schema.missing, self._schema.notes
        self._admin: psycopg.Connection[tuple[Any, ...]] | None = None
        self._maker: psycopg.Connection[tuple[Any, ...]] | None = None
        self._lengths: dict[Name, int] = {}
        self._hidden: frozenset[int] = frozenset()

    # ------------------------------------------------------------------ life

    def start(self) -> None:
        """Start the empty server."""
        self.server.start()
        room = free_bytes(str(self.server.root))
        if room is not None and room < LEAST_ROOM:
            self.close()
            raise ServerUnavailable(f"{megabytes(room)} are free where it would be, {megabytes(LEAST_ROOM)} are needed")

    def fill(self, source: Source) -> None:
        """Make the schema, take over the statistics, stretch the files, and start the server anew on them."""
        with self._connect("meshag", "postgres") as admin:
            self._schema.database(admin, source, DATABASE)
        with self._connect("meshag") as admin, self._connect(PLANNER) as maker:
            self._schema.tables(admin, maker, source)
            self._schema.rest(maker, source)
            self._schema.remark(source)
            if source.extended:
                self.notes.append("without what extended statistics hold")
            self._schema.lengths(admin, source)
            self._schema.statistics(admin, source)
            places = self._places(admin)
        self.server.stop()
        try:
            self._stretch(source, places)
        except OSError as error:
            raise ServerUnavailable(f"its files cannot be made as long as the source's: {error.strerror}") from None
        self.server.start()
        self._admin, self._maker = self._connect("meshag"), self._connect(PLANNER)

    def close(self) -> None:
        """End the server and remove all it had; safe to call twice."""
        for connection in (self._admin, self._maker):
            if connection is not None:
                connection.close()
        self._admin = self._maker = None
        self.server.close()

    def _connect(self, user: str, database: str = DATABASE) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(
            host=str(self.server.socket_dir),
            port=5432,
            user=user,
            dbname=database,
            autocommit=True,
            prepare_threshold=None,
            options="-c search_path=pg_catalog,pg_temp -c statement_timeout=15s",
        )

    @property
    def admin(self) -> psycopg.Connection[tuple[Any, ...]]:
        """The superuser's connection."""
        if self._admin is None:
            raise EngineError("The statistics sandbox is closed")
        return self._admin

    # ------------------------------------------------------------------ lengths

    def _places(self, admin: psycopg.Connection[tuple[Any, ...]]) -> dict[Name, Path]:
        rows = admin.execute(
            "SELECT n.nspname, c.relname, pg_catalog.pg_relation_filepath(c.oid) FROM pg_catalog.pg_class c "
            "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_roles r ON r.oid = c.relowner "
            "WHERE r.rolname = %s AND c.relkind IN ('r', 'i') AND n.nspname NOT LIKE 'pg\\_%%'",
            (PLANNER,),
        ).fetchall()
        return {(home, name): self.server.data / path for home, name, path in rows}

    def _stretch(self, source: Source, places: dict[Name, Path]) -> None:
        for one in source.relations:
            path = places.get(one.home)
            if path is not None:
                files.stretch(path, one.pages, self.server.give_to_server)
                self._lengths[one.home] = one.pages
        for index in source.indexes:
            path = places.get((index.schema, index.name))
            if path is None:
                continue
            if index.method == "btree" and index.pages > 1:
                each = index.known_pages * files.PAGE * _FILL / index.rows - 4 if index.rows > 0 else 16.0
                files.deepen(path, files.depth(index.pages, each))
            files.stretch(path, index.pages, self.server.give_to_server)

    # ------------------------------------------------------------------ indexes that are only here

    def make(self, wanted: Sequence[Wanted]) -> list[Made]:
        """Make indexes as large as they would be on the source, not yet seen by plans; all of them or none.

        Raises:
            EngineError: the server does not take one of them.
        """
        if self._maker is None:
            raise EngineError("The statistics sandbox is closed")
        homes = self._files({one.table for one in wanted})
        for _, home in homes.values():
            files.shrink(home)  # nothing to read for the server: an index of no rows is made at once
        try:
            self._maker.execute(b";".join(one.definition.encode() for one in wanted))
        except psycopg.Error as error:
            raise Refused(str(error).partition("\n")[0]) from None
        finally:
            for table, (_, home) in homes.items():
                files.stretch(home, self._lengths[table], self.server.give_to_server)
        places = self._files({(one.table[0], one.name) for one in wanted})
        made, lengths = [], []
        for one in wanted:
            (oid, path), entries = places[one.table[0], one.name], one.entries
            shares = files.shares_repeats(path)
            bytes_ = index_bytes(
                entries.rows, entries.width, entries.distinct, method=one.method, shares_repeats=shares
            )
            pages = max(2, bytes_ // files.PAGE)
            if one.method == "btree":  # of the others nothing but the length is looked at
                files.deepen(path, files.depth(pages, entry_bytes(entries.width)))
            files.stretch(path, pages, self.server.give_to_server)
            made.append(Made(oid, one.name, bytes_))
            lengths.append(pages)
        oids = [one.oid for one in made]
        self.admin.execute(
            "UPDATE pg_catalog.pg_class c SET relpages = n.pages, reltuples = n.rows FROM ROWS FROM "
            "(pg_catalog.unnest(%s::oid[]), pg_catalog.unnest(%s::int[]), pg_catalog.unnest(%s::float4[])) "
            "n (oid, pages, rows) WHERE c.oid = n.oid",
            (oids, lengths, [one.entries.rows for one in wanted]),
        )
        self.admin.execute(
            "UPDATE pg_catalog.pg_index SET indisvalid = false WHERE indexrelid = ANY(%s::oid[])", (oids,)
        )
        self._hidden |= set(oids)
        return made

    def hide(self, oids: Collection[int]) -> None:
        """Have plans see every index but these."""
        wanted = frozenset(oids)
        changed = [*(wanted - self._hidden), *(self._hidden - wanted)]
        if changed:
            self.admin.execute(
                "UPDATE pg_catalog.pg_index SET indisvalid = NOT (indexrelid = ANY(%s::oid[])) "
                "WHERE indexrelid = ANY(%s::oid[])",
                (list(wanted), changed),
            )
            self._hidden = wanted

    def oids(self, names: Sequence[Name]) -> list[int]:
        """The indexes of these schemas and names; Refused when one is not here."""
        rows = self.admin.execute(
            "SELECT n.nspname, c.relname, c.oid::bigint FROM pg_catalog.pg_class c "
            "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'i' AND (n.nspname, c.relname) "
            "IN (SELECT * FROM ROWS FROM (pg_catalog.unnest(%s::name[]), pg_catalog.unnest(%s::name[])))",
            ([home for home, _ in names], [name for _, name in names]),
        ).fetchall()
        found = {(home, name): oid for home, name, oid in rows}
        for one in names:
            if one not in found:
                raise Refused(f"The sandbox has no index {one[0]}.{one[1]}: {self.missing.get(one, 'nor the source')}")
        return [found[one] for one in names]

    def _files(self, names: Collection[Name]) -> dict[Name, tuple[int, Path]]:
        """The oid and first file of each table or index; Refused when one is not here."""
        rows = self.admin.execute(
            "SELECT n.nspname, c.relname, c.oid::bigint, pg_catalog.pg_relation_filepath(c.oid) "
            "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relkind IN ('r', 'i') AND (n.nspname, c.relname) IN "
            "(SELECT * FROM ROWS FROM (pg_catalog.unnest(%s::name[]), pg_catalog.unnest(%s::name[])))",
            ([home for home, _ in names], [name for _, name in names]),
        ).fetchall()
        found = {(home, name): (oid, self.server.data / str(path)) for home, name, oid, path in rows}
        for one in names:
            if one not in found:
                why = self.missing.get(one, "it is not a table with rows of its own")
                raise Refused(f"The sandbox has no table {one[0]}.{one[1]}: {why}")
        return found
