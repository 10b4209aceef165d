"""One table of a plan: what it is, which conditions are met where, how many rows it gives and what that costs.

In: a `table` of an EXPLAIN document. Out: a `PlanNode` for one pass, which `plantree` puts into joins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from meshag_tui.engines.mysql import reckoned
from meshag_tui.engines.mysql.conjuncts import columns_of, conjuncts, number, size_of, together
from meshag_tui.engines.mysql.reckoned import Size
from meshag_tui.engines.mysql.resolved import NOTHING, Resolved, Select, names_of, quoted, simple
from meshag_tui.plan import PlanNode
from meshag_tui.snapshot import CostModel

Document = Mapping[str, Any]
_LOOKUPS = frozenset(
    ("ref", "eq_ref", "const", "system", "ref_or_null", "fulltext", "unique_subquery", "index_subquery")
)
_TOLD = ("using_index", "using_MRR", "mrr_type", "using_index_for_group_by", "first_match", "loosescan", "not_exists")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the tree is built with beside the document.

    `keeps` is the share of a relation's rows that meets a condition (schema, table, alias, condition), None where only
    the server can guess; `groups` the number of groups by these keys among so many rows. `memory` are the server's
    settings in bytes: sort_buffer_size, join_buffer_size, tmp_table_size. `unusable` is why an index could not be used,
    by table or index and column, as the server warned.
    """

    flavour: str
    costs: CostModel
    resolved: Resolved = NOTHING
    sizes: Mapping[tuple[str, str], Size] = field(default_factory=dict)
    keeps: Callable[[str, str, str, str], float | None] = lambda *_: None
    groups: Callable[[Sequence[str], Mapping[str, tuple[str, str]], float], float | None] = lambda *_: None
    memory: Mapping[str, int] = field(default_factory=dict)
    unusable: Mapping[tuple[str, str], str] = field(default_factory=dict)
    dependent: frozenset[int] = frozenset()  # numbers of sub-queries that look at an outer row
    default_schema: str | None = None
    aliases: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # as the statement has them


class Scans:
    """What reads the tables of one plan. It remembers the SELECT we are in, the aliases given and the join so far."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._mysql = around.flavour == "MySQL"
        self._costs = around.costs
        self._aliases: set[str] = set()
        self._select = Select(1)
        self._renamed: list[dict[str, str]] = [{}]  # of each SELECT we are in, outermost first
        self._prefix = 0.0  # MySQL's cost of the join so far
        self._produced = 1.0  # and its rows, as the server counts them

    def _real(self, alias: str) -> tuple[str | None, str | None]:
        """The table an alias stands for: of this SELECT, or of one that was merged into it."""
        for select in (self._select, *self._around.resolved.selects.values()):
            if alias in select.tables:
                return select.tables[alias]
        if alias in self._around.aliases:  # the server's text ends where a row that it has read holds a NUL
            return self._around.aliases[alias]
        default = self._around.default_schema
        if default is not None and (default, alias) in self._around.sizes:
            return default, alias
        return None, None

    def _tables(self) -> dict[str, tuple[str, str]]:
        """What the aliases of this SELECT stand for, as conditions now name them."""
        names = self._renamed[-1]
        return {names.get(alias, alias): found for alias, found in self._select.tables.items()}

    def _alias(self, alias: str, *, real: bool) -> str:
        """The alias, made different from those of other SELECTs: `orders`, `orders_1`."""
        chosen, number = alias, 0
        while chosen in self._aliases:
            number += 1
            chosen = f"{alias}_{number}"
        self._aliases.add(chosen)
        if chosen != alias:
            self._renamed[-1][alias] = chosen
        return chosen

    def _names(self) -> dict[str, str]:
        """How aliases are renamed here: inner SELECTs hide those of outer ones."""
        names: dict[str, str] = {}
        for each in self._renamed:
            names |= each
        return names

    def _conditions(self, table: Document, buffered: Document | None, alias: str) -> tuple[dict[str, str], str]:
        """The conditions at a table by their part in reading it, and apart what a join buffer compares."""
        names = self._names()
        access = str(table.get("access_type", ""))
        attached = [table.get("attached_condition"), (buffered or {}).get("attached_condition")]
        attached += [table.get("index_condition_bka")]
        kept = [part for text in attached if text for part in conjuncts(simple(str(text), names))]
        cond: list[str] = []
        pushed = [
            part for text in [table.get("index_condition")] if text for part in conjuncts(simple(str(text), names))
        ]
        if access in _LOOKUPS:
            said = [part for part in kept if self._says_lookup(part, table, alias)]
            cond += [part.replace(" <=> ", " = ") for part in said]
            kept = [part for part in kept if part not in said]
            cond += self._looked_up(table, alias, names, pushed + cond)
        elif access == "range" and not pushed:
            keys = {quoted(str(part)) for part in table.get("used_key_parts", ())}
            mine = [part for part in kept if columns_of(part, alias) and columns_of(part, alias) <= keys]
            cond += mine
            kept = [part for part in kept if part not in mine]
        cond += [part for part in pushed if part not in cond]
        shared: list[str] = []
        if buffered is not None or table.get("using_join_buffer"):
            shared = [part for part in kept if names_of(part) - {alias}]
            kept = [part for part in kept if part not in shared]
        found = {}
        if cond:
            found["Index Cond"] = together(cond)
        if kept:
            found["Filter"] = together(kept)
        return found, together(shared)

    def _says_lookup(self, part: str, table: Document, alias: str) -> bool:
        """Whether a condition is the lookup's own comparison with a constant, which the server repeats at times."""
        consts = zip(table.get("used_key_parts", ()), table.get("ref", ()), strict=False)
        sides = [f"{quoted(alias)}.{quoted(str(key))}" for key, value in consts if value == "const"]
        return any(part.startswith((f"{side} = ", f"{side} <=> ")) for side in sides)

    def _looked_up(self, table: Document, alias: str, names: Mapping[str, str], told: Sequence[str]) -> list[str]:
        """The equalities of a lookup: the server drops them from the condition and names key parts and values."""
        found = []
        known = {part.split(" = ")[0] for part in told if " = " in part}
        for part, value in zip(table.get("used_key_parts", ()), table.get("ref", ()), strict=False):
            side = f"{quoted(alias)}.{quoted(str(part))}"
            words = str(value).split(".")
            other = ".".join(quoted(names.get(word, word) if at == 0 else word) for at, word in enumerate(words[-2:]))
            if side in known and value in ("const", "func"):
                continue
            found.append(f"{side} = {other}")
        return found

    def _scan(
        self,
        table: Document,
        outer: PlanNode | None,
        schema: str | None,
        name: str | None,
        alias: str,
        conditions: dict[str, str],
        *,
        compared: bool,
    ) -> PlanNode:
        access = str(table.get("access_type", "?"))
        scanned = number(table.get("rows_examined_per_scan", table.get("rows", 1)))
        filtered = number(table.get("filtered", 100.0)) / 100
        extra: dict[str, Any] = {"Strategy": access, "Rows Examined": scanned, "Filtered": filtered * 100}
        size = self._around.sizes.get((schema or "", name or ""), Size(max(1.0, scanned)))
        rows = scanned if compared else scanned * filtered  # what a join buffer compares is the join's to count
        if name is not None and schema is not None and "Filter" in conditions:
            kept = self._around.keeps(schema, name, alias, conditions["Filter"])
            if kept is not None:
                if (
                    access == "index" and scanned < size.rows
                ):  # a walk that a LIMIT ends: with what it finds, not before
                    scanned = min(size.rows, scanned / max(kept, 1 / size.rows))
                    extra["Rows Examined"] = scanned
                rows, extra["Rows"] = scanned * kept, "from column statistics"
        if rows < 1:
            extra["Rows Per Loop"] = rows
        index = table.get("key")
        if str(index).startswith("#hash#"):  # MariaDB's own, for a join
            index = str(index).removeprefix("#hash#").partition(":")[2] or None
        merge = table.get("index_merge")
        if isinstance(merge, dict):
            index = ", ".join(_merged(merge))
        total = self._mysql_cost(table, outer) if self._mysql else self._reckoned(table, access, scanned, size)
        if access == "index" and outer is None and scanned < size.rows:  # MySQL's own is of the whole walk all the same
            total = min(total, reckoned.whole_index(size, scanned, bool(table.get("using_index")), self._costs))
            extra["Cost"] = "reckoned"
        elif not self._mysql:
            extra["Cost"] = "reckoned"
        if "cost" in table:
            extra["Server Cost"] = table["cost"]
        extra |= {told: table[told] for told in _TOLD if table.get(told)}
        if table.get("possible_keys"):
            extra["Possible Keys"] = list(table["possible_keys"])
        candidates = {name, alias, *table.get("possible_keys", ())}
        why = {column: text for (at, column), text in self._around.unusable.items() if at in candidates}
        if why:
            extra["Index Not Usable"] = why
        return PlanNode(
            "",
            _kind(access, table, index),
            0.0,
            total,
            max(1.0, rows) if scanned else 0.0,
            self._width(table, size),
            schema=schema,
            table=name,
            alias=alias,
            index=None if index is None else str(index),
            conditions=conditions,
            extra=extra,
        )

    def _mysql_cost(self, table: Document, outer: PlanNode | None) -> float:
        costs = table.get("cost_info") or {}
        scanned = number(table.get("rows_examined_per_scan", 1)) * self._costs.row
        read, evaluated = number(costs.get("read_cost")), number(costs.get("eval_cost"))
        # In some sub-queries read_cost is only a part of what prefix_cost says.
        whole = max(number(costs["prefix_cost"]) - self._prefix, read + evaluated) if costs else scanned
        before = self._produced
        if costs:
            self._prefix = max(self._prefix, number(costs["prefix_cost"]))
            self._produced = max(1.0, number(table.get("rows_produced_per_join", before)))
        if outer is None:
            return whole
        if table.get("using_join_buffer"):  # one pass; comparing is the join's
            return min(whole, scanned + read)
        return whole / before

    def _reckoned(self, table: Document, access: str, rows: float, size: Size) -> float:
        covering = bool(table.get("using_index"))
        if access in ("ALL", "hash_ALL"):
            return reckoned.whole_table(replace(size, rows=max(size.rows, rows)), self._costs)
        if access in ("system", "const"):
            return self._costs.row  # read while planning; MySQL says the same
        if access == "index":
            return reckoned.whole_index(size, rows, covering, self._costs)
        return reckoned.lookup(size, rows, covering, table.get("key") == "PRIMARY", self._costs)

    def _width(self, table: Document, size: Size) -> int:
        if size.bytes:  # MySQL's own figure is of its row buffer, with room for the longest of each text
            return min(size.row_bytes, 65_535)
        data = size_of(str((table.get("cost_info") or {}).get("data_read_per_join", "")))
        rows = number(table.get("rows_produced_per_join"))
        return min(round(data / rows), 65_535) if data and rows else 0


def _kind(access: str, table: Document, index: Any) -> str:
    if access in ("ALL", "hash_ALL"):
        return "Seq Scan"
    if access == "index_merge":
        return "Index Merge"
    if index is None and access not in _LOOKUPS:
        return "Seq Scan"
    return "Index Only Scan" if table.get("using_index") else "Index Scan"


def _merged(merge: Document) -> list[str]:
    """Names of the indexes of MariaDB's index_merge."""
    found = []
    for value in merge.values():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                inside = each.get("range", each)
                found += [str(inside["key"])] if "key" in inside else _merged(each)
    return found
