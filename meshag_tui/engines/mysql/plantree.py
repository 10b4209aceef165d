"""MySQL's and MariaDB's EXPLAIN FORMAT=JSON as a `plan.Plan`, in the words that the advisor's rules know.

In: the document, the server's resolved text of the statement (for what the document leaves out: tables of aliases, keys
of sorts, limits), sizes of tables, and an estimate of how many rows a condition keeps. Out: the tree of `PlanNode`s.
MySQL's costs are its own; of MariaDB, which says none that compare, every node is reckoned in the cost model of the
server, and says so in `extra`. A join is a left-deep tree of its tables in the order in which they are read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from meshag_tui.engines.mysql import reckoned
from meshag_tui.engines.mysql.conjuncts import number, size_of, sort_key, sort_keys
from meshag_tui.engines.mysql.planscan import Document, Scans, Surroundings
from meshag_tui.engines.mysql.resolved import Select, simple
from meshag_tui.plan import PlanNode

_SUBQUERIES = {
    "attached_subqueries": "SubPlan",
    "select_list_subqueries": "SubPlan",
    "having_subqueries": "SubPlan",
    "order_by_subqueries": "SubPlan",
    "group_by_subqueries": "SubPlan",
    "update_value_subqueries": "SubPlan",
    "optimized_away_subqueries": "InitPlan",
    "subqueries": "SubPlan",
}


def read_tree(document: Document, around: Surroundings) -> PlanNode:
    """The tree of an EXPLAIN document."""
    block = document.get("query_block", document)
    return numbered(_Tree(around).block(block), "0")


def is_nothing(root: PlanNode) -> str | None:
    """Why there is nothing to read, where the server found that out while planning: "Impossible WHERE" and the like."""
    if any(node.table for node in root.walk()):
        return None
    said = [str(node.extra["Message"]) for node in root.walk() if "Message" in node.extra]
    return next((one for one in said if one.startswith(("Impossible", "no matching row", "Zero limit"))), None)


class _Tree(Scans):
    # ------------------------------------------------------------------ blocks

    def block(self, block: Document) -> PlanNode:
        """A query block: one SELECT, or a union of several."""
        before, prefix, produced = self._select, self._prefix, self._produced
        self._prefix, self._produced = 0.0, 1.0
        number = int(block.get("select_id", 0)) or before.number
        self._select = self._around.resolved.selects.get(number, Select(number))
        self._renamed.append({})
        try:
            node = self._union(block["union_result"]) if "union_result" in block else self._whole(block)
        finally:
            self._select, self._prefix, self._produced = before, prefix, produced
            self._renamed.pop()
        return node

    def _whole(self, block: Document) -> PlanNode:
        select = self._select
        steps: set[str] = set()
        node = self._steps(block, steps)
        node = self._with_subqueries(node, block)
        if node.kind == "Result":
            return node
        if (select.group_keys or select.aggregates) and "aggregate" not in steps and not self._settled(block):
            node = self._aggregate(node, None)
        if select.distinct and "unique" not in steps and not select.group_keys and not self._settled(block):
            node = self._unique(node, None)
        if not node.output:
            node = replace(node, output=select.output)
        return self._limit(node, select)

    def _settled(self, block: Document) -> bool:
        """Whether an index alone gave the groups."""
        return "using_index_for_group_by" in repr(block.get("table") or block.get("nested_loop") or block)

    def _steps(self, inner: Document, steps: set[str]) -> PlanNode:
        """What stands around the join: MySQL nests sort, duplicates, windows, groups; MariaDB filesorts and tables."""
        if "ordering_operation" in inner:
            return self._ordering(inner["ordering_operation"], steps)
        if "duplicates_removal" in inner and isinstance(inner["duplicates_removal"], dict):
            operation = inner["duplicates_removal"]
            node = self._steps(operation, steps)
            steps.add("unique")
            return self._unique(node, operation.get("using_temporary_table"))
        if "windowing" in inner:
            return self._windows(inner["windowing"], steps)
        if "grouping_operation" in inner:
            return self._grouping(inner["grouping_operation"], steps)
        if "buffer_result" in inner:
            return self._above("Materialize", self._steps(inner["buffer_result"], steps))
        if "window_functions_computation" in inner:
            return self._computed_windows(inner["window_functions_computation"], steps)
        if "filesort" in inner:
            return self._filesort(inner["filesort"], steps)
        if "temporary_table" in inner:
            return self._temporary(inner["temporary_table"], steps)
        if "nested_loop" in inner:
            return self._join(inner["nested_loop"], steps)
        if "table" in inner:
            return self._join([inner], steps)
        return PlanNode("", "Result", 0.0, 0.0, 1.0, 0, extra={"Message": str(inner.get("message", "No tables used"))})

    def _ordering(self, operation: Document, steps: set[str]) -> PlanNode:
        node = self._steps(operation, steps)
        if not operation.get("using_filesort"):
            return node
        cost = (operation.get("cost_info") or {}).get("sort_cost")
        return self._sort(node, self._select.sort_keys, cost, bool(operation.get("using_temporary_table")))

    def _grouping(self, operation: Document, steps: set[str]) -> PlanNode:
        node = self._steps(operation, steps)
        if operation.get("using_filesort"):
            cost = (operation.get("cost_info") or {}).get("sort_cost")
            node = self._sort(node, self._select.group_keys, cost, False)
        steps.add("aggregate")
        node = self._aggregate(node, bool(operation.get("using_temporary_table")))
        return self._with_subqueries(node, operation)

    def _windows(self, operation: Document, steps: set[str]) -> PlanNode:
        node = self._steps(operation, steps)
        cost = (operation.get("cost_info") or {}).get("sort_cost")
        for window in operation.get("windows", ()):
            if window.get("using_filesort"):
                keys = tuple(sort_key(simple(key, self._names())) for key in window.get("filesort_key", ()))
                node = self._sort(node, keys, cost, bool(window.get("using_temporary_table")))
                cost = None
            node = self._above("WindowAgg", node, node.rows * self._costs.row)
        return node

    def _computed_windows(self, operation: Document, steps: set[str]) -> PlanNode:
        node = self._temporary(operation["temporary_table"], steps) if "temporary_table" in operation else None
        node = node or self._steps(operation, steps)
        for sort in operation.get("sorts", ()):
            keys = sort_keys(simple(sort.get("filesort", {}).get("sort_key", ""), self._names()))
            node = self._above("WindowAgg", self._sort(node, keys, None, True), node.rows * self._costs.row)
        return node

    def _filesort(self, operation: Document, steps: set[str]) -> PlanNode:
        inner = {name: value for name, value in operation.items() if name not in ("sort_key", "r_loops")}
        node = self._steps(inner, steps)
        keys = sort_keys(simple(operation.get("sort_key", ""), self._names()))
        return self._sort(node, keys, None, "temporary_table" in inner)

    def _temporary(self, operation: Document, steps: set[str]) -> PlanNode:
        """MariaDB's temporary table: of groups or of different rows, else of rows to be sorted."""
        node = self._steps(operation, steps)
        select = self._select
        if (select.group_keys or select.aggregates) and "aggregate" not in steps:
            steps.add("aggregate")
            return self._aggregate(node, True)
        if select.distinct and "unique" not in steps:
            steps.add("unique")
            return self._unique(node, True)
        return node

    def _union(self, union: Document) -> PlanNode:
        parts = []
        for one in union.get("query_specifications", ()):
            parts.append(self.block(one.get("query_block", one)))
        rows = sum(part.rows for part in parts)
        total = sum(part.total_cost for part in parts)
        node = PlanNode("", "Append", 0.0, total, rows, max((part.width for part in parts), default=0), tuple(parts))
        temporary = union.get("using_temporary_table", union.get("access_type") == "ALL")
        if temporary:
            node = self._unique(node, True)
        whole = self._around.resolved.union
        if union.get("using_filesort") or (whole is not None and whole.sort_keys):
            node = self._sort(node, whole.sort_keys if whole is not None else (), None, bool(temporary))
        return self._limit(node, whole) if whole is not None else node

    # ------------------------------------------------------------------ nodes above

    def _above(self, kind: str, node: PlanNode, cost: float = 0.0, **values: Any) -> PlanNode:
        total = node.total_cost + cost
        return PlanNode("", kind, node.startup_cost, total, node.rows, node.width, (node,), **values)

    def _sort(self, node: PlanNode, keys: tuple[str, ...], cost: Any, temporary: bool) -> PlanNode:
        own = float(cost) if cost is not None else reckoned.sorting(node.rows, self._costs)
        extra: dict[str, Any] = {"Server Words": "Using filesort"}
        if cost is None:
            extra["Cost"] = "reckoned"
        if temporary:
            extra["Server Words"] = "Using temporary; Using filesort"
        extra |= self._limits_of("sort_buffer_size")
        total = node.total_cost + own
        # The rows are sorted before the first is given.
        startup = max(0.0, total - node.rows * self._costs.operator)
        return PlanNode(
            "", "Sort", min(startup, total), total, node.rows, node.width, (node,), sort_keys=keys, extra=extra
        )

    def _aggregate(self, node: PlanNode, temporary: bool | None) -> PlanNode:
        keys = self._select.group_keys
        rows = 1.0
        if keys:
            told = self._around.groups(keys, self._tables(), node.rows)
            rows = max(1.0, min(node.rows, told if told is not None else node.rows / 10))
        extra: dict[str, Any] = {"Strategy": "Temporary Table" if temporary else "Sorted" if keys else "Plain"}
        if temporary:
            extra |= {"Server Words": "Using temporary"} | self._limits_of("tmp_table_size")
        cost = node.rows * self._costs.row if temporary else 0.0
        total = node.total_cost + cost
        return PlanNode(
            "",
            "Aggregate",
            total,
            total,
            rows,
            node.width,
            (node,),
            group_keys=keys,
            extra=extra,
            output=self._select.output,
        )

    def _unique(self, node: PlanNode, temporary: Any) -> PlanNode:
        extra: dict[str, Any] = (
            {"Server Words": "Using temporary"} | self._limits_of("tmp_table_size") if temporary else {}
        )
        return self._above("Unique", node, node.rows * self._costs.row if temporary else 0.0, extra=extra)

    def _limit(self, node: PlanNode, select: Select) -> PlanNode:
        if select.limit is None:
            return node
        rows = min(float(select.limit), max(0.0, node.rows - select.offset))
        run = node.total_cost - node.startup_cost
        each = run / node.rows if node.rows > 0 else 0.0
        first = node.startup_cost + each * min(node.rows, float(select.offset))
        total = min(node.total_cost, first + each * rows)
        return PlanNode("", "Limit", first, total, max(rows, 0.0), node.width, (node,), output=node.output)

    def _limits_of(self, setting: str) -> dict[str, Any]:
        memory = self._around.memory.get(setting)
        return {} if memory is None else {"Memory Setting": setting, "Memory Bytes": memory}

    # ------------------------------------------------------------------ joins

    def _join(self, tables: Sequence[Document], steps: set[str]) -> PlanNode:
        node: PlanNode | None = None
        for element in tables:
            node = self._joined(node, element, steps)
        return node or PlanNode("", "Result", 0.0, 0.0, 1.0, 0, extra={"Message": "No tables used"})

    def _joined(self, outer: PlanNode | None, element: Document, steps: set[str]) -> PlanNode:
        for name in ("read_sorted_file", "range-checked-for-each-record", "duplicates_removal", "nested_loop"):
            inside = element.get(name)
            if isinstance(inside, dict) and outer is None:
                return self._steps(inside, steps)
            if isinstance(inside, (dict, list)):
                for each in inside if isinstance(inside, list) else [inside]:
                    outer = self._joined(outer, each, steps)
                return outer or self._join((), steps)
        buffered = next((element[name] for name in element if name.startswith("block-nl-join")), None)
        table = (buffered or element).get("table")
        if not isinstance(table, dict):
            return self._steps(element, steps)
        inner, told = self._table(table, outer, buffered)
        if outer is None:
            return inner
        return self._with(outer, inner, table, buffered, told)

    def _with(
        self, outer: PlanNode, inner: PlanNode, table: Document, buffered: Document | None, told: str
    ) -> PlanNode:
        """The join of what was read so far with one more table; `told` is the condition over both."""
        how = str(table.get("using_join_buffer") or (buffered or {}).get("join_type") or "")
        hashed = "hash" in how.lower() or how.startswith(("BNLH", "BKAH"))
        kind = "Nested Loop" if not how or "BKA" in how else "Hash Join" if hashed else "Block Nested Loop"
        extra: dict[str, Any] = {}
        if how:
            extra["Join Buffer"] = how
            extra |= self._limits_of("join_buffer_size")
        rows = outer.rows * float(inner.extra.get("Rows Per Loop", inner.rows))
        if kind != "Nested Loop" and told:
            kept = self._kept(inner, told)
            rows *= kept if kept is not None else 0.1
        if kind == "Nested Loop":
            once = inner.startup_cost if inner.kind == "Materialize" else 0.0  # filled once, read again and again
            total = outer.total_cost + once + max(1.0, outer.rows) * (inner.total_cost - once)
        elif self._mysql:
            compared = outer.rows * float(inner.extra.get("Rows Examined", inner.rows)) * self._costs.row
            costs = table.get("cost_info") or {}
            own = number(costs.get("read_cost")) + number(costs.get("eval_cost"))
            total = outer.total_cost + max(min(own, inner.total_cost + compared), inner.total_cost)
        else:
            passes = self._passes(outer, buffered)
            compared = outer.rows * inner.rows * self._costs.operator if kind == "Block Nested Loop" else outer.rows
            total = outer.total_cost + passes * inner.total_cost + compared
            extra["Passes"] = passes
        conditions = {"Hash Cond" if kind == "Hash Join" else "Join Filter": told} if told else {}
        outside = any(word in str(table) + str(buffered or "") for word in ("found_match", "trigcond"))
        join = (
            "Semi"
            if table.get("first_match")
            else "Anti"
            if table.get("not_exists")
            else "Left"
            if outside
            else "Inner"
        )
        return PlanNode(
            "",
            kind,
            outer.startup_cost,
            total,
            max(rows, 1.0) if join != "Left" else max(rows, outer.rows),
            outer.width + inner.width,
            (outer, inner),
            join_type=join,
            conditions=conditions,
            extra=extra,
        )

    def _passes(self, outer: PlanNode, buffered: Document | None) -> float:
        """How often a join buffer is filled, and so the inner table read."""
        memory = (
            size_of(str((buffered or {}).get("buffer_size", ""))) or self._around.memory.get("join_buffer_size") or 0
        )
        return max(1.0, math.ceil(outer.rows * max(8, outer.width) / memory)) if memory else 1.0

    # ------------------------------------------------------------------ tables

    def _table(self, table: Document, outer: PlanNode | None, buffered: Document | None) -> tuple[PlanNode, str]:
        """One table as it is read, for one pass, and the condition that also needs what was read before it."""
        if "message" in table:
            return PlanNode("", "Result", 0.0, 0.0, 1.0, 0, extra={"Message": str(table["message"])}), ""
        named = str(table.get("table_name", "?"))
        below = table.get("materialized_from_subquery") or table.get("materialized")
        schema, name = self._real(named) if below is None else (None, None)
        alias = self._alias(named, real=name is not None)
        filters, shared = self._conditions(table, buffered, alias)
        node = self._scan(table, outer, schema, name, alias, filters, compared=bool(shared))
        if isinstance(below, dict):
            node = self._materialized(node, below)
        return self._with_subqueries(node, table, buffered or {}), shared

    def _materialized(self, node: PlanNode, below: Document) -> PlanNode:
        """A derived table: what fills it, and the scan of it as the node above."""
        block = below.get("query_block")
        if not isinstance(block, dict):  # shares a table that is filled elsewhere
            return replace(node, kind="CTE Scan")
        inner = self.block(block)
        if node.kind == "Seq Scan":
            rows = inner.rows if self._mysql is False or node.rows <= 1 else node.rows
            node = replace(node, rows=min(node.rows, max(1.0, rows)))
        total = inner.total_cost + node.total_cost
        extra = dict(node.extra) | {"Server Words": "materialized"}
        return replace(
            node, kind="Materialize", startup_cost=inner.total_cost, total_cost=total, children=(inner,), extra=extra
        )

    def _kept(self, inner: PlanNode, condition: str) -> float | None:
        if inner.schema is None or inner.table is None:
            return None
        return self._around.keeps(inner.schema, inner.table, inner.alias or inner.table, condition)

    # ------------------------------------------------------------------ sub-queries

    def _with_subqueries(self, node: PlanNode, *documents: Document) -> PlanNode:
        for document in documents:
            for name, relationship in _SUBQUERIES.items():
                for one in document.get(name) or ():
                    node = self._with_subquery(node, one, relationship)
        return node

    def _with_subquery(self, node: PlanNode, document: Document, relationship: str) -> PlanNode:
        inside = document.get("expression_cache") or document.get("materialization") or document
        block = inside.get("query_block", inside)
        if not isinstance(block, dict):
            return node
        number = int(block.get("select_id", 0))
        again = bool(document.get("dependent", number in self._around.dependent or "expression_cache" in document))
        again = again and "materialization" not in document
        child = self.block(block)
        kind = relationship if again else "InitPlan"
        child = replace(
            child,
            extra=dict(child.extra)
            | {"Parent Relationship": kind, "Subplan Name": f"{kind} {number}", "Runs Again": again},
        )
        runs = max(1.0, _rows_below(node)) if again else 1.0
        return replace(node, total_cost=node.total_cost + child.total_cost * runs, children=(*node.children, child))


def _rows_below(node: PlanNode) -> float:
    """Rows a condition or an output is computed for."""
    if not node.children:
        return float(node.extra.get("Rows Examined", node.rows))
    return node.rows


def numbered(node: PlanNode, path: str) -> PlanNode:
    children = tuple(numbered(child, f"{path}.{at}") for at, child in enumerate(node.children))
    return replace(node, path=path, children=children)
