"""How tables are kept up: what autovacuum, fillfactor, the visibility map and key types will bring them.

Each rule rests on counters of the window or the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from meshag_tui.advisor.bottlenecks import bottlenecks
from meshag_tui.advisor.costs import number_setting
from meshag_tui.advisor.examined import Examined
from meshag_tui.advisor.running_out import LIMITS
from meshag_tui.advisor.statistics import Relation, Tables
from meshag_tui.figures import count, exact, percent
from meshag_tui.snapshot import ForeignKey
from meshag_tui.types import (
    Change,
    EvidenceKind,
    Risk,
    SetTableOptions,
    Suggestion,
    SuggestionPriority,
    SuggestionType,
    Vacuum,
)

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog, TableRow

XID_LIMIT = 2**31
FROZEN_LATE = 2.0
"""Times autovacuum_freeze_max_age from which it is plain that no vacuum gets through."""
LARGE_ROWS = 1_000_000
DEAD_SHARE = 0.08
WANTED_SCALE = 0.02
MANY_UPDATES = 1_000
FEW_HOT = 0.5
KNOWN_UPDATES = 0.8
"""Share of the counted updates that statements we can read must make up, so that no other sets an indexed column."""
LOOKED_UP_SHARE = 0.05
LOOKED_UP_BLOCKS = 50.0
KEY_SHARE = 0.75
_SET = re.compile(r"^\s*UPDATE\s+(?:ONLY\s+)?(?:\"?\w+\"?\.)?\"?(\w+)\"?.*?\bSET\b(.*)$", re.IGNORECASE | re.DOTALL)
_ENDS = re.compile(r"\b(?:WHERE|FROM|RETURNING)\b", re.IGNORECASE)


def table_care(catalog: Catalog, examined: Sequence[Examined], tables: Tables) -> Iterator[Suggestion]:
    """Settings of tables, and maintenance that is due; nothing where the server has no such things."""
    if not catalog.facts.traits.vacuums:
        return
    for table in catalog.tables:
        if table.stats.kind in ("table", "partition", "materialized view"):
            yield from _wraparound(table, catalog)
            yield from _autovacuum_late(table, catalog)
            yield from _fillfactor(table, catalog, examined)
    yield from _looked_up(catalog, examined, tables)
    yield from _key_types(catalog)


def _wraparound(table: TableRow, catalog: Catalog) -> Iterator[Suggestion]:
    stats, age = table.stats, table.stats.frozen_age
    due = number_setting(catalog.facts.settings, "autovacuum_freeze_max_age", 200e6)
    if age is None or age < min(FROZEN_LATE * due, XID_LIMIT / 2):
        return
    left = max(0, XID_LIMIT - 3_000_000 - age)
    yield _about(
        table,
        "transaction-wraparound",
        SuggestionPriority.HIGH,
        f"Vacuum {stats.name}: {percent(age / XID_LIMIT)} of the transaction numbers are used since it was frozen",
        f"The oldest rows of {stats.name} are {exact(age)} transactions old, and autovacuum should have frozen them at "
        f"{exact(int(due))}: something keeps it from getting through (a transaction, replication slot or prepared "
        f"transaction left open, or it is cancelled each time). After {exact(left)} more the server takes no writes. "
        "Look for what is in the way first.",
        [f"age of relfrozenxid: {exact(age)}", f"autovacuum_freeze_max_age: {exact(int(due))}"],
        confidence=0.95,
        change=Vacuum(stats.schema, stats.name),
    )


def _autovacuum_late(table: TableRow, catalog: Catalog) -> Iterator[Suggestion]:
    """Dead rows of a large table that autovacuum waits with, because it waits for a share of all rows."""
    stats, settings = table.stats, catalog.facts.settings
    live, dead = stats.live_rows or 0, stats.dead_rows or 0
    own = stats.options
    scale = number_setting(own, "autovacuum_vacuum_scale_factor", -1)
    if scale < 0:
        scale = number_setting(settings, "autovacuum_vacuum_scale_factor", 0.2)
    base = number_setting(settings, "autovacuum_vacuum_threshold", 50)
    most = number_setting(settings, "autovacuum_vacuum_max_threshold", 0)
    due = base + scale * live if most <= 0 else min(most, base + scale * live)
    off = own.get("autovacuum_enabled", "").lower() in ("false", "off", "no", "0")
    if off or live < LARGE_ROWS or dead < DEAD_SHARE * live or dead > due or scale <= WANTED_SCALE:
        return
    yield _about(
        table,
        "autovacuum-late",
        SuggestionPriority.MEDIUM,
        f"Let autovacuum clean {stats.name} sooner: {count(dead)} rows are dead and none is due",
        f"Autovacuum waits until {count(due)} rows of {stats.name} are dead ({percent(scale)} of {count(live)}); "
        f"{count(dead)} are. On a table of this size that means rare and long vacuums, and scans over dead rows until "
        f"then. At {percent(WANTED_SCALE)} it comes at {count(base + WANTED_SCALE * live)}. The setting takes a lock "
        "that no reader or writer waits for.",
        [f"dead rows: {count(dead)}", f"live rows: {count(live)}", f"autovacuum comes at {count(due)}"],
        confidence=0.8,
        change=SetTableOptions(stats.schema, stats.name, (("autovacuum_vacuum_scale_factor", str(WANTED_SCALE)),)),
    )


def _fillfactor(table: TableRow, catalog: Catalog, examined: Sequence[Examined]) -> Iterator[Suggestion]:
    """Updates that could stay on their page (HOT) and do not, because pages are full."""
    stats = table.stats
    updates, hot = table.updates or 0, table.hot_updates or 0
    if updates < MANY_UPDATES or hot / updates >= FEW_HOT or "fillfactor" in stats.options:
        return
    mine = [index.stats for index in catalog.indexes if (index.stats.schema, index.stats.table) == _place(table)]
    found = [(one, columns) for one in examined if (columns := _set_columns(one, stats.name)) is not None]
    rows = sum(one.query.rows or 0 for one, _ in found)
    if not mine or rows < KNOWN_UPDATES * updates:
        return
    indexed = {
        name
        for index in mine
        for name in (*(key.column or "" for key in index.keys), *index.include, *_words(index.predicate))
    } | {word for index in mine for key in index.keys for word in _words(key.expression)}
    if any(columns & indexed for _, columns in found):
        return
    set_ = sorted(set().union(*(columns for _, columns in found)))
    yield _about(
        table,
        "fillfactor",
        SuggestionPriority.LOW,
        f"Leave room on the pages of {stats.name}: {percent(1 - hot / updates)} of its updates write every index",
        f"Updates of {stats.name} set {', '.join(set_)}, which no index has, so a new row version could stay on its "
        f"page without touching the {len(mine)} indexes (HOT). Only {count(hot)} of {count(updates)} found room there. "
        "With a fillfactor of 90 pages that are written from now on keep a tenth free; what is there stays as it is "
        "until it is rewritten.",
        [f"{count(updates)} updates in the window, {count(hot)} of them HOT", f"{len(mine)} indexes"],
        confidence=0.7,
        change=SetTableOptions(stats.schema, stats.name, (("fillfactor", "90"),)),
        queries=tuple(one.query.id for one, _ in found),
    )


def _set_columns(one: Examined, table: str) -> frozenset[str] | None:
    """Columns that an UPDATE of the table sets; None for other statements and what cannot be read."""
    match = _SET.match(one.words) if one.query.kind == "update" else None
    if match is None or match[1] != table:
        return None
    parts, depth = [""], 0
    for letter in match[2]:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
        if depth == 0 and _ENDS.search(parts[-1]):
            break
    names = [re.findall(r"\w+", part.partition("=")[0]) for part in parts]
    return frozenset(name for part in names for name in part) if all(names) else None


def _looked_up(catalog: Catalog, examined: Sequence[Examined], tables: Tables) -> Iterator[Suggestion]:
    """Index-only scans that are none, where they take a notable share of the time."""
    by_table: dict[Relation, list[tuple[Examined, str]]] = {}
    for one in examined:
        if one.plan is None or (one.blocks_per_call or 0) < LOOKED_UP_BLOCKS:
            continue
        nodes = {node.path: node for node in one.plan.root.walk()}
        for trouble in bottlenecks(one.plan, catalog.for_plans):
            node = nodes[trouble.node_path]
            if trouble.rule == "heap-fetches":
                by_table.setdefault((node.schema or "", node.table or ""), []).append((one, trouble.text))
    rows = {_place(table): table for table in catalog.tables}
    for place, found in by_table.items():
        share = sum(one.share for one, _ in found)
        table = rows.get(place)
        if share < LOOKED_UP_SHARE or table is None:
            continue
        yield _about(
            table,
            "heap-fetches",
            SuggestionPriority.MEDIUM if share >= 0.2 else SuggestionPriority.LOW,
            f"Vacuum {place[1]}: its index-only scans look their rows up in the table",
            f"{found[0][1]}. {len(found)} statements with {percent(share)} of all query time do so.",
            [
                f"{one.query.uid}: {count(one.blocks_per_call)} blocks and {count(one.rows_per_call)} rows a call"
                for one, _ in found
            ],
            confidence=0.75,
            change=Vacuum(*place),
            queries=tuple(one.query.id for one, _ in found),
        )


def _key_types(catalog: Catalog) -> Iterator[Suggestion]:
    """Columns too small for the key they refer to."""
    columns = catalog.schema.columns if catalog.schema is not None else {}
    rows = {_place(table): table for table in catalog.tables}

    def kind(schema: str, table: str, name: str) -> str:
        return next((each.type for each in columns.get(f"{schema}.{table}", ()) if each.name == name), "")

    for key in catalog.foreign_keys or ():
        table = rows.get((key.schema, key.table))
        for name, ref in zip(key.columns, key.ref_columns, strict=False):
            small, large = kind(key.schema, key.table, name), kind(key.ref_schema, key.ref_table, ref)
            if table is None or LIMITS.get(small, 0) >= LIMITS.get(large, 0) or small not in LIMITS:
                continue
            reached = _reached(catalog, key, ref) / LIMITS[small]
            yield _about(
                table,
                "foreign-key-type",
                SuggestionPriority.HIGH
                if reached >= KEY_SHARE
                else SuggestionPriority.MEDIUM
                if reached >= 0.3
                else SuggestionPriority.LOW,
                f"{key.table}.{name} is {small} and refers to a {large}",
                f"{key.name} ties {key.table}.{name} ({small}, at most {exact(LIMITS[small])}) to {key.ref_table}."
                f"{ref} ({large}). When that key passes what {small} can hold, rows that refer to it cannot be "
                "inserted. Plan the move to the larger type: a new column filled in the background and swapped in, as "
                "changing the type rewrites the table under a lock.",
                [f"{key.ref_table}.{ref} has used {percent(reached)} of what {small} can hold"],
                confidence=0.9,
                identity=f"{key.name}:{name}",
            )


def _reached(catalog: Catalog, key: ForeignKey, column: str) -> int:
    """The last number given to a key by its sequence; 0 where there is none."""
    return max(
        (
            sequence.last_value or 0
            for sequence in catalog.sequences or ()
            if (sequence.table_schema, sequence.table, sequence.column) == (key.ref_schema, key.ref_table, column)
        ),
        default=0,
    )


def _place(table: TableRow) -> Relation:
    return table.stats.schema, table.stats.name


def _words(expression: str | None) -> list[str]:
    return re.findall(r"[A-Za-z_]\w*", expression or "")


def _about(
    table: TableRow,
    rule: str,
    priority: SuggestionPriority,
    title: str,
    text: str,
    facts: list[str],
    *,
    confidence: float,
    change: Change | None = None,
    queries: tuple[int, ...] = (),
    identity: str = "",
) -> Suggestion:
    stats = table.stats
    about = f"{stats.schema}.{stats.name}" + (f":{identity}" if identity else "")
    return Suggestion(
        rule=rule,
        identity=f"{rule}:{about}",
        type=SuggestionType.SCHEMA_OPTIMIZATION,
        priority=priority,
        title=title,
        text=text,
        evidence_kind=EvidenceKind.COUNTED,
        evidence={"kind": EvidenceKind.COUNTED.value, "facts": facts},
        confidence=confidence,
        risk=Risk.LOW,
        schema=stats.schema,
        table=stats.name,
        change=change,
        query_ids=queries,
    )
