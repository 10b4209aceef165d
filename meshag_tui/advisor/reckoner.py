"""Prices where there is no planner to ask: its formulas for the simple cases, one relation at a time.

In: column statistics, the present plan's figures, and what calls really found. Careful by design: what cannot be
reckoned is priced as before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from meshag_tui.advisor.costs import Weighed, weigh
from meshag_tui.advisor.indexes import prefix_length, same_expression, serves
from meshag_tui.advisor.pricing import Price, Statement
from meshag_tui.advisor.skewed import condition_of
from meshag_tui.advisor.statistics import Tables, TableView
from meshag_tui.advisor.wanted import SortOrder, extreme, sort_order
from meshag_tui.plan import Predicate
from meshag_tui.snapshot import ServerFacts
from meshag_tui.types import EvidenceKind, IndexColumn, IndexSpec

_MANY_VALUES = 1_000  # from which a column's correlation says something of one value's rows
_BRIN_RANGE = 128  # pages one entry speaks of


class Reckoner:
    """The planner's formulas for one relation at a time, from column statistics and the present plan's figures."""

    calls = 0

    def __init__(self, tables: Tables, facts: ServerFacts) -> None:
        self._tables = tables
        self._costs = facts.costs
        self._block_size = facts.block_size

    def size(self, spec: IndexSpec) -> int:
        view = self._tables.view(spec.schema, spec.table)
        return view.index_bytes(spec) if view is not None else 0

    async def price(self, statement: Statement, specs: frozenset[IndexSpec]) -> Price:
        """Cost with these indexes; equal to the present cost where they do not help or we cannot tell."""
        nodes = weigh(statement.plan)
        saved, used = 0.0, frozenset[IndexSpec]()
        for scan in nodes:
            node = scan.node
            if node.table is None or node.schema is None or node.kind == "ModifyTable":
                continue
            here, by = self._saving(statement, nodes, scan, specs)
            saved, used = saved + here, used | by
        return Price(max(0.0, statement.plan.cost - saved), EvidenceKind.STATED, used)

    def _saving(
        self, statement: Statement, nodes: Sequence[Weighed], scan: Weighed, specs: frozenset[IndexSpec]
    ) -> tuple[float, frozenset[IndexSpec]]:
        """Most that any of these indexes saves at one scan, and which do."""
        node = scan.node
        home = self._tables.home(node.schema or "", node.table or "")
        view = self._tables.view(*home)
        # What index-only scans save, nobody can reckon: included columns are ignored.
        mine = {
            replace(spec, include=()): spec for spec in sorted(specs, key=repr) if (spec.schema, spec.table) == home
        }
        if view is not None:
            mine = {
                bare: spec for bare, spec in mine.items() if not any(serves(index, bare, 0) for index in view.indexes)
            }
        if view is None or not mine:
            return 0.0, frozenset()
        here = _part(self._tables, node.schema or "", node.table or "", view)
        alias = node.alias or node.table or ""
        predicates = [
            one
            for one in statement.predicates
            if one.alias == alias and self._tables.home(one.schema, one.table) == home
        ]
        now = _cost_below(nodes, node.path)
        if any(child.extra.get("Parent Relationship") == "SubPlan" for child in node.children):
            # Run for each row, whatever index these are found by: at most reading the table itself can be saved.
            now = min(now, (here.pages * self._costs.sequential_page + here.rows * self._costs.row) * scan.loops)
        order = extreme(statement.plan, alias) or sort_order(statement.plan, home, alias, self._tables)
        seen, least = statement.observed_share(self._tables), statement.least_share(self._tables)
        best, by = 0.0, frozenset[IndexSpec]()
        for bare, spec in mine.items():
            saved = max(
                self._by_conditions(here, bare, predicates, scan, now, seen, least),
                self._by_order(statement, here, bare, predicates, order, nodes, scan, now),
                self._by_join(here, bare, predicates, nodes, scan, now),
            )
            if saved > best:
                best, by = saved, frozenset({spec})
        together = self._by_arms(here, list(mine), predicates, scan, now)
        return (together, frozenset(mine.values())) if together > best else (best, by)

    def _by_conditions(
        self,
        view: TableView,
        spec: IndexSpec,
        predicates: Sequence[Predicate],
        scan: Weighed,
        now: float,
        seen: float | None,
        least: float,
    ) -> float:
        share, used, whole = self._share(view, spec, predicates, scan)
        if not used:
            return 0.0
        if seen is not None:  # what calls really found goes above what an average value would
            seen = max(seen, 1.0 / view.rows)
            share = seen if whole else max(share, seen)
        return max(0.0, now - self._access(view, spec, max(share, least)) * scan.loops)

    def _by_arms(
        self, view: TableView, specs: Sequence[IndexSpec], predicates: Sequence[Predicate], scan: Weighed, now: float
    ) -> float:
        """An OR: every arm needs an index, existing ones included."""
        arms: dict[int, list[Predicate]] = {}
        for one in predicates:
            if one.alternatives:
                arms.setdefault(one.alternatives, []).append(one)
        if len(arms) < 2:
            return 0.0
        total = 0.0
        existing = [
            IndexSpec(
                *view.relation,
                tuple(IndexColumn(key.column) for key in index.keys if key.column is not None),
                index.method,
            )
            for index in view.indexes
            if index.valid and index.predicate is None and all(key.column is not None for key in index.keys)
        ]
        for arm in arms.values():
            level = [_level(one) for one in arm]
            costs = []
            for spec in (*specs, *existing):
                share, used, _ = self._share(view, spec, level, None)
                if used:
                    costs.append(self._access(view, spec, share))
            if not costs:
                return 0.0
            total += min(costs)
        return max(0.0, now - total * scan.loops)

    def _by_order(
        self,
        statement: Statement,
        view: TableView,
        spec: IndexSpec,
        predicates: Sequence[Predicate],
        order: SortOrder | None,
        nodes: Sequence[Weighed],
        scan: Weighed,
        now: float,
    ) -> float:
        """The index gives the order: no sort, and below a LIMIT only the first rows are read."""
        if order is None or not order.limited or spec.method != "btree" or self._tables.parents:
            return 0.0
        equal = {one.column for one in predicates if one.kind == "eq" and not one.alternatives}
        led = 0
        while led < len(spec.columns) and spec.columns[led].name in equal:
            led += 1
        wanted = [key for key in order.columns if key.name not in equal]
        given = spec.columns[led : led + len(wanted)]
        if [key.name for key in given] != [key.name for key in wanted]:
            return 0.0
        if any(prefix_length(key.opclass) for key in given):
            return 0.0
        if any(key.nulls_turned != other.nulls_turned for key, other in zip(given, wanted, strict=True)):
            return 0.0
        if len({key.descending != other.descending for key, other in zip(given, wanted, strict=True)}) > 1:
            return 0.0
        limit = next((one.node.rows for one in nodes if one.node.kind == "Limit"), None)
        if limit is None and any(one.column not in equal for one in predicates):
            return 0.0
        limit = 1.0 if limit is None else limit  # MIN or MAX
        if statement.plan.root.kind == "Limit" and statement.query.rows and statement.query.calls:
            limit = max(limit, statement.query.rows / statement.query.calls)  # a parameter: what calls really got
        share = math.prod((view.equal_share(key.name) for key in spec.columns[:led]), start=1.0)
        kept = max(scan.node.rows, 1.0)  # rows that pass all conditions
        part = min(1.0, limit / kept)
        cost = self._access(view, spec, share) * part + self._costs.random_page
        sorting = sum(one.cost for one in nodes if one.node.path == order.path and one.node.kind != scan.node.kind)
        return max(0.0, now + sorting - cost)

    def _by_join(
        self,
        view: TableView,
        spec: IndexSpec,
        predicates: Sequence[Predicate],
        nodes: Sequence[Weighed],
        scan: Weighed,
        now: float,
    ) -> float:
        """The other side of a hash or merge join has few rows: look each of them up instead of reading the table."""
        joined = {one.column for one in predicates if one.kind == "join"}
        first = spec.columns[0]
        if scan.node.kind != "Seq Scan" or first.name not in joined:
            return 0.0
        other = _other_side(nodes, scan.node.path)
        if other is None:
            return 0.0
        share = view.equal_share(first.name)
        each = self._access(view, spec, share, warm=True)
        return max(0.0, now - each * max(1.0, other.rows_out))

    def _share(
        self, view: TableView, spec: IndexSpec, predicates: Sequence[Predicate], scan: Weighed | None
    ) -> tuple[float, bool, bool]:
        """Share of the rows an index scan would fetch, whether it could be used at all, and for all conditions."""
        share, used = 1.0, False
        plain = [one for one in predicates if not one.alternatives]
        left = {one.column or one.expression for one in plain}
        if spec.where is not None:
            met = next((one for one in plain if condition_of(one) == spec.where), None)
            if met is None:
                return 1.0, False, False
            share, used = view.where_share(spec.where), True
            plain.remove(met)
            left.discard(met.column or met.expression)
        for key in spec.columns:
            fits = [one for one in plain if _on_key(one, key)]
            if any(one.kind == "eq" for one in fits):
                share *= self._equal(view, key, next(one for one in fits if one.kind == "eq"))
                used = True
                left.discard(key.name)
                continue
            kinds = ("contains", "like") if spec.method == "gin" else ("range", "like-prefix", "contains")
            bounded = [one for one in fits if one.kind in kinds]
            if bounded:
                share *= self._bounded(view, plain, bounded, scan)
                used = True
                left.discard(key.name)
            break
        if used and not left and scan is not None and scan.node.kind == "Seq Scan":
            share = max(scan.node.rows, 1.0) / view.rows  # every condition is met by the keys: the planner has counted
        return max(share, 1.0 / view.rows), used, used and not left

    def _equal(self, view: TableView, key: IndexColumn, predicate: Predicate) -> float:
        if predicate.operator.upper() == "IS NULL":
            return view.null_share(key.name)
        if not key.is_expression:
            return view.equal_share(key.name)
        inside = [name for name in view.types if name in predicate.expression]
        return view.equal_share(inside[0]) if len(inside) == 1 else 0.005

    def _bounded(
        self, view: TableView, all_of: Sequence[Predicate], bounded: Sequence[Predicate], scan: Weighed | None
    ) -> float:
        """A range's share is what the planner expects of all conditions less what the equalities explain."""
        if scan is not None and scan.node.kind in ("Seq Scan", "Bitmap Heap Scan", "Index Scan"):
            total = scan.node.rows / view.rows
            equal = math.prod(
                (view.equal_share(one.column) for one in all_of if one.kind == "eq" and one.column), start=1.0
            )
            return min(1.0, max(total / max(equal, 1e-12), 1.0 / view.rows))
        return 0.005 if len(bounded) > 1 or bounded[0].kind != "range" else 1 / 3

    def _access(self, view: TableView, spec: IndexSpec, share: float, warm: bool = False) -> float:
        """Cost of fetching this share of a table through an index. `warm`: one of many look-ups, upper pages cached."""
        costs = self._costs
        if spec.method == "brin":
            pages = min(view.pages, view.pages * share + 2 * _BRIN_RANGE)
            return costs.random_page + pages * costs.sequential_page + view.rows * pages / view.pages * costs.row
        rows = max(1.0, view.rows * share)
        scattered = view.pages * (1 - math.exp(-rows / view.pages))
        ordered = max(1.0, view.pages * share)
        first = spec.columns[0]
        spread = not first.is_expression and view.distinct(first.name) >= _MANY_VALUES
        correlation = view.correlation(first.name) if spread else 0.0
        along = correlation * correlation if len(spec.columns) == 1 else 0.0
        heap = costs.random_page * scattered * (1 - along) + costs.sequential_page * ordered * along
        leaf = costs.sequential_page if warm else costs.random_page
        leaves = math.ceil(view.index_bytes(spec) / self._block_size * share) * leaf
        descent = costs.operator * math.log2(max(2.0, view.rows)) + 150 * costs.operator
        checks = 3.0 if spec.method == "gin" else 1.0  # rows found by hash are compared again
        return descent + leaves + heap + rows * (costs.index_entry + costs.row + costs.operator * checks)


def _level(predicate: Predicate) -> Predicate:
    """The same condition as if it stood alone."""
    return Predicate(
        predicate.schema,
        predicate.table,
        predicate.alias,
        predicate.column,
        predicate.expression,
        predicate.kind,
        predicate.operator,
        0,
    )


def _on_key(predicate: Predicate, key: IndexColumn) -> bool:
    if key.is_expression:
        return predicate.column is None and same_expression(predicate.expression, key.name)
    return predicate.column == key.name


def _part(tables: Tables, schema: str, table: str, home: TableView) -> TableView:
    """The partition itself where a scan is of one, with its parent's column statistics where it has none."""
    own = tables.views.get((schema, table))
    if own is None or own.relation == home.relation:
        return home
    return own if own.columns else replace(own, columns=home.columns, types=home.types)


def _cost_below(nodes: Sequence[Weighed], path: str) -> float:
    return sum(one.cost for one in nodes if one.node.path == path or one.node.path.startswith(path + "."))


def _other_side(nodes: Sequence[Weighed], path: str) -> Weighed | None:
    """The input a hash, merge or buffered join would be driven by if `path` were looked up instead."""
    by_path = {one.node.path: one for one in nodes}
    here = by_path[path]
    while here.parent is not None and here.parent.kind in ("Hash", "Sort", "Gather", "Materialize"):
        here = by_path[here.parent.path]
    join = here.parent
    if (
        join is None
        or join.kind not in ("Hash Join", "Merge Join", "Block Nested Loop")
        or join.join_type not in ("Inner", "Left", "Semi", "Right", None)
    ):
        return None
    side = next((child for child in join.children if child.path != here.node.path), None)
    return by_path[side.path] if side is not None else None
