"""What a plan wants of one relation beside its conditions: an order, and the columns it really uses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from meshag_tui.advisor.rows_alike import without
from meshag_tui.advisor.statistics import Relation, Tables, TableView
from meshag_tui.plan import Plan, PlanNode
from meshag_tui.types import IndexColumn

_SORTS = frozenset({"Sort", "Incremental Sort"})
_PASSES_ORDER = frozenset(
    {
        "Limit",
        "Sort",
        "Incremental Sort",
        "Subquery Scan",
        "Result",
        "LockRows",
        "Append",
        "Merge Append",
        "Unique",
        "Gather",
        "Gather Merge",
    }
)
_NAME = r'"(?:[^"]|"")+"|`(?:[^`]|``)+`|\w+'
_KEY = re.compile(
    rf"^(?:(?P<alias>{_NAME})\.)?(?P<column>{_NAME})"
    r"(?P<descending> DESC)?(?: NULLS (?P<nulls>FIRST|LAST))?$"
)


@dataclass(frozen=True)
class SortOrder:
    """Keys a plan sorts one relation by; `limited` when only the first rows are asked for."""

    columns: tuple[IndexColumn, ...]
    limited: bool
    path: str  # of the sorting node, or of the index scan that walks in order


def sort_order(plan: Plan, relation: Relation, alias: str, tables: Tables) -> SortOrder | None:
    """The order in which a plan wants the rows of one relation, when nothing between could change it."""
    found: list[SortOrder] = []
    _follow(plan.root, (), False, relation, alias, tables, found)
    return found[0] if found else None


def _follow(
    node: PlanNode,
    keys: tuple[str, ...],
    limited: bool,
    relation: Relation,
    alias: str,
    tables: Tables,
    found: list[SortOrder],
    path: str = "",
) -> None:
    if node.kind == "Limit":
        limited = True
    if node.kind in _SORTS and node.sort_keys:
        keys, path = node.sort_keys, node.path
    if node.table is not None and node.schema is not None:
        here = tables.home(node.schema, node.table) == tables.home(*relation)
        if here and keys and (columns := _columns(keys, tables.view(*relation))):
            found.append(SortOrder(columns, limited, path))
        elif here and limited and not keys and node.index is not None and "Index Cond" not in node.conditions:
            walked = _walked(node, tables.view(*relation))
            if walked:
                found.append(SortOrder(walked, True, node.path))
        return
    if node.kind not in _PASSES_ORDER:
        keys, limited = (), False
    for child in node.children:
        _follow(child, keys, limited, relation, alias, tables, found, path)


def _columns(keys: Sequence[str], view: TableView | None) -> tuple[IndexColumn, ...]:
    """Sort keys as index columns; empty when one of them is not a plain column of the table."""
    columns = []
    for key in keys:
        match = _KEY.match(key)
        name = _unquoted(match["column"]) if match else None
        if match is None or name is None or view is None or (view.types and name not in view.types):
            return ()
        turned = bool(match["nulls"]) and (match["nulls"] == "FIRST") != bool(match["descending"])
        columns.append(IndexColumn(name, descending=bool(match["descending"]), nulls_turned=turned))
    return _ascending(columns)


def _ascending(columns: list[IndexColumn]) -> tuple[IndexColumn, ...]:
    """A B-tree is read both ways, so an order that is descending throughout needs no DESC.

    One with NULLs at its other end stays as people write it: DESC NULLS LAST, which NULLS FIRST read backwards is too.
    """
    if all(column.descending and not column.nulls_turned for column in columns):
        return tuple(IndexColumn(column.name) for column in columns)
    return tuple(columns)


def _walked(node: PlanNode, view: TableView | None) -> tuple[IndexColumn, ...]:
    """The order of an index that is walked only for its order."""
    for index in view.indexes if view else ():
        if index.name == node.index and index.method == "btree":
            return tuple(
                IndexColumn(key.column, descending=key.descending, nulls_turned=key.nulls_first != key.descending)
                for key in index.keys[:2]
                if key.column is not None
            )
    return ()


def _unquoted(name: str) -> str:
    quote = name[:1]
    return name[1:-1].replace(quote * 2, quote) if quote in ('"', "`") else name


_EXTREME = re.compile(rf"^(?:min|max)\((?:(?P<alias>{_NAME})\.)?(?P<column>{_NAME})\)$")


def extreme(plan: Plan, alias: str) -> SortOrder | None:
    """MIN or MAX of one column is the first row of an order."""
    root = plan.root
    match = _EXTREME.match(root.output[0]) if root.kind == "Aggregate" and len(root.output) == 1 else None
    if match is None or root.group_keys or _unquoted(match["alias"] or _quoted(alias)) != alias:
        return None
    return SortOrder((IndexColumn(_unquoted(match["column"])),), True, root.path)


def group_order(plan: Plan, alias: str, view: TableView | None) -> tuple[IndexColumn, ...]:
    """Columns of one relation that a plan groups by: read in their order, rows need neither sorting nor hashing."""
    for node in plan.root.walk():
        if node.kind not in ("Aggregate", "Group") or not node.group_keys:
            continue
        mine = [match for key in node.group_keys if (match := _KEY.match(key)) and _alias_of(match) == alias]
        names = [name for match in mine if (name := _unquoted(match["column"]))]
        if (
            mine
            and len(mine) == len(node.group_keys)
            and view is not None
            and all(name in view.types for name in names)
        ):
            return tuple(IndexColumn(name) for name in names)
    return ()


def _alias_of(match: re.Match[str]) -> str | None:
    return _unquoted(match["alias"]) if match["alias"] else None


def needed(plan: Plan, alias: str, where: str | None = None) -> frozenset[str]:
    """Columns of one relation that a plan really uses; a scan's own output is no guide, it may hand up all.

    Args:
        where: predicate of an index, which answers for what it says itself.
    """
    reference = re.compile(rf'(?<![\w".]){re.escape(_quoted(alias))}\.("(?:[^"]|"")+"|\w+)')
    bare = re.compile(r"""'(?:[^']|'')*'|(?<![\w".$])("(?:[^"]|"")+"|[A-Za-z_]\w*)(?![\w".(])""")
    conditions = [without(text, alias, where) for node in plan.root.walk() for text in node.conditions.values()]
    outputs = list(plan.root.output)
    for node in plan.root.walk():
        outputs += [*node.sort_keys, *node.group_keys]
        if node.table is None:
            outputs += node.output
    found = {name for text in (*conditions, *outputs) for name in reference.findall(text)}
    if len({node.alias for node in plan.root.walk() if node.alias is not None}) == 1:
        # With one relation the server names columns of an output without it.
        found |= {name for text in outputs for name in bare.findall(text) if name}
    return frozenset(_unquoted(name) for name in found)


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_$]*", name) else '"' + name.replace('"', '""') + '"'
