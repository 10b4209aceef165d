"""Commands that print what is remembered of a database: `meshag queries | indexes | tables | explain`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from meshag_tui.cli import caveats
from meshag_tui.cli.output import Column, Output, table
from meshag_tui.engines import words_for
from meshag_tui.engines.words import COUNTED_BY_SOME
from meshag_tui.figures import bar, count, duration, percent, size
from meshag_tui.text import one_line
from meshag_tui.types import UsageError

if TYPE_CHECKING:
    from meshag_tui.plan import PlanNode
    from meshag_tui.store.history import IndexRow, QueryRow, StoredPlan, TableRow


async def queries(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import connections, database, history
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        info = await bench.store(connections.find, args.name)
        words = words_for(info.engine or info.db_type)
        if args.sort in COUNTED_BY_SOME and args.sort not in words.figures:
            raise UsageError(f"{words.name} does not count {args.sort}: its own are {', '.join(words.figures)}")
        window = await bench.store(history.latest_window, info.id, args.window)
        page = await bench.store(
            history.queries,
            info.id,
            window,
            sort=args.sort,
            descending=not args.reverse,
            limit=args.limit,
            offset=args.offset,
            text=args.text,
            internal=args.internal,
            by_longest=True,
        )
        now = await bench.store(database.now_ms)
    examined = (Column("READ", lambda row: count(row.rows_examined), "right"),)
    columns = (
        Column("ID", lambda row: row.uid),
        Column("SHARE", lambda row: f"{bar(row.share, 8)} {percent(row.share):>6}"),
        Column("TOTAL", lambda row: duration(row.total_time_ms), "right"),
        Column("MEAN", lambda row: duration(row.mean_time_ms), "right"),
        Column("CALLS", lambda row: count(row.calls), "right"),
        Column("ROWS", lambda row: count(row.rows), "right"),
        *(examined if "examined_per_call" in words.figures else ()),
        Column("QUERY", lambda row: row.text if row.text is not None else f"<{row.text_state}>"),
    )
    none = f"No statement ran on {info.name} in this window; meshag sync {info.name} reads anew"
    if args.text and page.calls:
        none = f"No statement of {info.name} in this window contains {args.text!r}"
    nothing = caveats.instead_of_rows(info, words.statement_findings, none)
    documents = [describe_query(row) for row in page.rows]
    output.answer(documents, lambda: table(columns, page.rows) if page.rows else nothing)
    caveats.tell(info, words.statement_findings, output, now, bool(page.rows))
    caveats.tell_losses(page, output)
    if page.rows and page.total_rows > args.offset + len(page.rows):
        output.note(f"{len(page.rows)} of {page.total_rows} statements: --limit and --offset show more")


def describe_query(row: QueryRow) -> dict[str, Any]:
    """A statement as the contract has it."""
    return {
        "id": row.uid,
        "fingerprint": row.fingerprint,
        "text": row.text,
        "text_state": row.text_state,
        "kind": row.kind,
        "user": row.db_user,
        "calls": row.calls,
        "total_time_ms": row.total_time_ms,
        "mean_time_ms": row.mean_time_ms,
        "stddev_time_ms": row.stddev_ms,
        "min_time_ms": row.min_time_ms,
        "max_time_ms": row.max_time_ms,
        "longest_time_ms": row.longest_ms,
        "rows": row.rows,
        "share": row.share,
        "shared_hit": row.shared_hit,
        "shared_read": row.shared_read,
        "temp_read": row.temp_read,
        "temp_written": row.temp_written,
        "io_time_ms": row.io_time_ms,
        "wal_bytes": row.wal_bytes,
        "rows_examined": row.rows_examined,
        "no_index_calls": row.no_index_calls,
        "tmp_tables": row.tmp_tables,
        "tmp_disk_tables": row.tmp_disk_tables,
        "sort_merge_passes": row.sort_merge_passes,
        "lock_time_ms": row.lock_time_ms,
        "first_seen_at": row.first_seen_at,
        "last_seen_at": row.last_seen_at,
    }


async def indexes(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.advisor import twins
    from meshag_tui.store import connections, database, history
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        info = await bench.store(connections.find, args.name)
        window = await bench.store(history.latest_window, info.id, args.window)
        rows = await bench.store(history.indexes, info.id, window)
        now = await bench.store(database.now_ms)
    duplicate_of, redundant_with = twins.duplicates(rows), twins.redundant(rows)
    documents = [describe_index(row, duplicate_of, redundant_with) for row in rows]
    if args.unused:
        documents = [document for document in documents if document["unused"]]
    uses = words_for(info.engine or info.db_type).index_uses
    columns = (
        Column("SCHEMA", lambda row: row["schema"]),
        Column("TABLE", lambda row: row["table"]),
        Column("INDEX", lambda row: row["index"]),
        Column("SIZE", lambda row: "table" if row["in_table"] else size(row["size_bytes"]), "right"),
        Column(uses.upper(), lambda row: count(row["scans"]), "right"),
        Column("NOTES", _index_notes),
        Column("DEFINITION", lambda row: row["definition"]),
    )
    none = f"No index of {info.name} is unused" if args.unused else f"{info.name} has no index"
    nothing = caveats.instead_of_rows(info, caveats.INDEXES, none)
    output.answer(documents, lambda: table(columns, documents) if documents else nothing)
    caveats.tell(info, caveats.INDEXES, output, now, bool(documents))


def describe_index(row: IndexRow, duplicate_of: Mapping[str, str], redundant_with: Mapping[str, str]) -> dict[str, Any]:
    """An index as the contract has it; the mappings are those of `advisor.twins`."""
    from meshag_tui.advisor import twins

    stats = row.stats
    return {
        "schema": stats.schema,
        "table": stats.table,
        "index": stats.name,
        "definition": stats.definition,
        "method": stats.method,
        "scans": row.scans,
        "scans_total": stats.scans,
        "size_bytes": stats.size_bytes,
        "in_table": stats.in_table,
        "unique": stats.unique,
        "primary": stats.primary,
        "valid": stats.valid,
        "hidden": stats.hidden,
        "hidden_since": stats.hidden_since,
        "constraint": stats.constraint,
        "unused": twins.unused(row),
        "observed_since": row.observed_since,
        "last_used_at": row.last_used_at,
        "duplicate_of": duplicate_of.get(stats.key),
        "redundant_with": redundant_with.get(stats.key),
    }


def _index_notes(row: dict[str, Any]) -> str:
    notes = []
    if not row["valid"]:
        notes.append("invalid")
    if row["hidden"]:
        notes.append("hidden")
    notes += [name for name in ("primary", "unique") if row[name]][:1]
    if row["unused"]:
        notes.append("unused")
    if row["duplicate_of"]:
        notes.append(f"duplicate of {row['duplicate_of']}")
    elif row["redundant_with"]:
        notes.append(f"redundant with {row['redundant_with']}")
    return ", ".join(notes)


async def tables(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.store import connections, database, history
    from meshag_tui.workflows.workbench import Workbench

    async with await Workbench.open(args.settings) as bench:
        info = await bench.store(connections.find, args.name)
        window = await bench.store(history.latest_window, info.id, args.window)
        rows = await bench.store(history.tables, info.id, window)
        now = await bench.store(database.now_ms)
    columns = (
        Column("SCHEMA", lambda row: row.stats.schema),
        Column("TABLE", lambda row: row.stats.name),
        Column("ROWS", lambda row: count(row.stats.live_rows), "right"),
        Column("SIZE", lambda row: size(row.stats.size_bytes), "right"),
        Column("INDEXES", lambda row: size(row.stats.index_bytes), "right"),
        *(_SCANS if words_for(info.engine or info.db_type).index_uses == "scans" else _ROWS_READ),
    )
    nothing = caveats.instead_of_rows(info, caveats.TABLES, f"{info.name} has no table")
    output.answer([describe_table(row) for row in rows], lambda: table(columns, rows) if rows else nothing)
    caveats.tell(info, caveats.TABLES, output, now, bool(rows))


_SCANS = (
    Column("SEQ SCANS", lambda row: count(row.seq_scan), "right"),
    Column("INDEX SCANS", lambda row: count(row.index_scan), "right"),
    Column("DEAD", lambda row: count(row.stats.dead_rows), "right"),
)
_ROWS_READ = (
    Column("READ WHOLE", lambda row: count(row.seq_rows), "right"),
    Column("BY INDEX", lambda row: count(row.index_rows), "right"),
    Column("FREE", lambda row: size(row.stats.free_bytes), "right"),
)
"""What is shown of the reads of a table: scans, or where the server counts these not, rows."""


def describe_table(row: TableRow) -> dict[str, Any]:
    """A table as the contract has it."""
    stats = row.stats
    return {
        "schema": stats.schema,
        "table": stats.name,
        "kind": stats.kind,
        "rows_estimate": stats.rows_estimate,
        "live_rows": stats.live_rows,
        "dead_rows": stats.dead_rows,
        "free_bytes": stats.free_bytes,
        "size_bytes": stats.size_bytes,
        "index_bytes": stats.index_bytes,
        "seq_scan": row.seq_scan,
        "seq_rows": row.seq_rows,
        "index_scan": row.index_scan,
        "index_rows": row.index_rows,
        "inserts": row.inserts,
        "updates": row.updates,
        "deletes": row.deletes,
        "last_vacuum": stats.last_vacuum,
        "last_analyze": stats.last_analyze,
    }


async def explain(args: argparse.Namespace, output: Output) -> None:
    from meshag_tui.cli.naming import expect
    from meshag_tui.store.ids import query_id
    from meshag_tui.workflows.workbench import Workbench

    expect(args.id, "qry", "explain")
    async with await Workbench.open(args.settings) as bench:
        stored = await bench.explain(query_id(args.id))
    output.answer(stored, lambda: _plan_lines(stored))


def _plan_lines(stored: StoredPlan) -> Iterator[str]:
    plan = stored.plan
    yield f"{plan.mode} plan, cost {plan.cost:,.0f}"
    yield from _node_lines(plan.root, 0)


def _node_lines(node: PlanNode, depth: int) -> Iterator[str]:
    where = f" on {node.schema}.{node.table}" if node.table else ""
    by = f" by {node.index}" if node.index else ""
    yield f"{'  ' * depth}{one_line(node.kind + where + by)}  cost {node.total_cost:,.0f}, {count(node.rows)} rows"
    for name, condition in node.conditions.items():
        yield f"{'  ' * depth}  {one_line(f'{name}: {condition}')}"
    for child in node.children:
        yield from _node_lines(child, depth + 1)
