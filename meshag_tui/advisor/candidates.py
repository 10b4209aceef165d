"""Indexes worth pricing for one statement, from what its plan compares, joins and sorts by.

Key order follows one rule for the whole workload (columns that most statements compare by equality first, then the
more selective ones), so that statements that share columns ask for indexes with a common prefix and one can serve all.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from meshag_tui.advisor import rows_alike
from meshag_tui.advisor.covering import covering
from meshag_tui.advisor.indexes import plain, prefix_length, serves, shown
from meshag_tui.advisor.key_lengths import with_prefixes
from meshag_tui.advisor.partial import on_few_rows, on_rows_alike
from meshag_tui.advisor.skewed import known
from meshag_tui.advisor.statistics import Relation, Tables, TableView
from meshag_tui.advisor.wanted import SortOrder, extreme, group_order, needed, sort_order
from meshag_tui.plan import Plan, Predicate
from meshag_tui.snapshot import IndexStats, Traits
from meshag_tui.types import IndexColumn, IndexSpec

MOST_KEYS = 4
MOST_JOINS = 3
MOST_CANDIDATES = 100
"""Of one statement."""
MOST_OF_RELATION = 48
_IMMUTABLE = re.compile(r"^\(*(lower|upper|btrim|md5|abs)\(|->>|^to_tsvector\('\w+'::regconfig,", re.IGNORECASE)
"""Expressions known to be immutable: only these may be indexed without asking the server."""
_PARAMETER = re.compile(r"\$\d")
IN_ORDER = 0.95
BRIN_PAGES = 1_000


@dataclass(frozen=True)
class Candidate:
    """Indexes to be made together: one, or one for each arm of an OR. `free` leading columns may come in any order."""

    specs: tuple[IndexSpec, ...]
    free: int = 0
    purpose: str = "conditions"


@dataclass(frozen=True)
class Usage:
    """How often columns are compared by equality in the workload, in statements, weighted by time."""

    weight: Mapping[tuple[str, str, str], float] = field(default_factory=dict)

    def order(self, view: TableView, columns: Iterable[str]) -> list[str]:
        """Columns in key order: most shared first, then most selective, then by name."""
        schema, table = view.relation
        return sorted(
            set(columns),
            key=lambda name: (-self.weight.get((schema, table, name), 0), -view.distinct(name), name),
        )


def count_usage(statements: Iterable[tuple[Sequence[Predicate], float]], tables: Tables) -> Usage:
    """Weigh each column by the number of statements that compare it, statements by their share of time.

    Args:
        statements: predicates of each statement and its share of all time, 0..1.
    """
    weight: dict[tuple[str, str, str], float] = {}
    for predicates, _share in statements:
        seen = set()
        for one in predicates:
            if one.column is not None and one.kind == "eq" and one.alternatives == 0:
                seen.add((*tables.home(one.schema, one.table), one.column))
        for key in seen:
            weight[key] = weight.get(key, 0.0) + 1.0
    return Usage(weight)


def candidates(
    plan: Plan, predicates: Sequence[Predicate], tables: Tables, usage: Usage, seen: float | None = None
) -> tuple[Candidate, ...]:
    """Indexes that could serve this plan and that no existing index stands in for, simplest first.

    Args:
        seen: share of its one table's rows that a call returned; None where it is not known.
    """
    found: dict[Candidate, None] = {}
    for candidate, view in _considered(plan, predicates, tables, usage, seen):
        specs = tuple(spec for spec in candidate.specs if standing_in(spec, candidate.free, view) is None)
        if specs:
            found[Candidate(specs, candidate.free, candidate.purpose)] = None
    return tuple(found)[:MOST_CANDIDATES]


def there_already(
    plan: Plan, predicates: Sequence[Predicate], tables: Tables, usage: Usage
) -> tuple[tuple[IndexSpec, IndexStats], ...]:
    """Indexes that could serve this plan, each with the existing one that does what it would."""
    found: dict[IndexSpec, IndexStats] = {}
    for candidate, view in _considered(plan, predicates, tables, usage):
        for spec in candidate.specs:
            index = standing_in(spec, candidate.free, view)
            if index is not None:
                found.setdefault(spec, index)
    return tuple(found.items())


def standing_in(spec: IndexSpec, free: int, view: TableView) -> IndexStats | None:
    """The existing index that does what `spec` would; one on all rows is larger and asks for the condition again."""
    indexes = view.indexes
    if rows_alike.conditions(spec.where):
        indexes = tuple(index for index in indexes if index.predicate is not None)
    return next((index for index in indexes if serves(index, spec, free)), None)


def _considered(
    plan: Plan, predicates: Sequence[Predicate], tables: Tables, usage: Usage, seen: float | None = None
) -> Iterator[tuple[Candidate, TableView]]:
    """All that could serve this plan on this kind of server, and the tables it would be on."""
    for relation, alias in relations_of(plan, predicates):
        view = tables.view(*relation)
        if view is None or view.small or view.stats.kind == "foreign":
            continue
        mine = [one for one in predicates if _same(one, relation, alias, tables)]
        order = extreme(plan, alias) or sort_order(plan, relation, alias, tables)
        grouped = group_order(plan, alias, view)
        wanted = dict.fromkeys(_for_relation(view, mine, order, grouped, usage))
        certain = [one for one in mine if not one.alternatives and known(one, plan, mine, seen, view)]
        equal, ranges = compared(view, mine, usage)
        few = on_few_rows(view, equal, ranges, certain, order, MOST_KEYS)
        wanted |= dict.fromkeys(Candidate((spec,), free, "few rows") for spec, free in few)
        simple = [one for one in wanted if len(one.specs) == 1]
        alike = on_rows_alike(view, mine, [one.specs[0] for one in simple])
        free = {one.specs[0].columns: one.free for one in simple}
        wanted |= dict.fromkeys(Candidate((spec,), free[spec.columns], "rows alike") for spec in alike)
        made = [one for one in wanted if _possible(one, view.traits)]
        alone = [candidate for candidate in made if len(candidate.specs) == 1]
        for where in dict.fromkeys(candidate.specs[0].where for candidate in alone):
            here = [candidate for candidate in alone if candidate.specs[0].where == where]
            wider = covering(view, [candidate.specs[0] for candidate in here], needed(plan, alias, where))
            made += [Candidate((spec,), here[place].free, "index only") for place, spec in wider]
        for candidate in made[:MOST_OF_RELATION]:
            specs = tuple(spec for spec in (with_prefixes(one, view) for one in candidate.specs) if spec is not None)
            yield replace(candidate, specs=specs), view


def _possible(candidate: Candidate, traits: Traits) -> bool:
    """Whether a server of this kind has such indexes."""
    return all(
        spec.method in traits.index_methods
        and (traits.index_conditions or spec.where is None)
        and (traits.index_expressions or not any(key.is_expression for key in spec.columns))
        for spec in candidate.specs
    )


def relations_of(plan: Plan, predicates: Sequence[Predicate]) -> list[tuple[Relation, str]]:
    """The tables a plan reads, each with its alias there."""
    seen = {((one.schema, one.table), one.alias): None for one in predicates}
    for node in plan.root.walk():
        if node.table and node.schema:
            seen.setdefault(((node.schema, node.table), node.alias or node.table), None)
    return list(seen)


def _same(predicate: Predicate, relation: Relation, alias: str, tables: Tables) -> bool:
    here = (predicate.schema, predicate.table)
    return predicate.alias == alias and tables.home(*here) == tables.home(*relation)


def _for_relation(
    view: TableView,
    predicates: Sequence[Predicate],
    order: SortOrder | None,
    grouped: Sequence[IndexColumn],
    usage: Usage,
) -> Iterable[Candidate]:
    plain_ones = [one for one in predicates if one.alternatives == 0]
    equal, ranges = compared(view, predicates, usage)
    joins = [name for name in _unique(one.column for one in plain_ones if one.kind == "join") if name not in equal]
    prefix = [IndexColumn(name) for name in equal]
    computed = [
        IndexColumn(one.expression, is_expression=True)
        for one in plain_ones
        if one.column is None and one.kind == "eq" and _indexable(one.expression)
    ]

    for number in range(1, len(equal) + 1):
        yield _candidate(view, prefix[:number], free=number)
    if len(equal) > 1:
        best = max(equal, key=lambda name: (view.distinct(name), name))
        if best != equal[0]:
            yield _candidate(view, [IndexColumn(best)], free=1)
    for key in computed:
        yield _candidate(view, [key], free=1)
        if prefix:
            yield _candidate(view, [*prefix[: MOST_KEYS - 1], key], free=len(prefix) + 1)
    if order is not None:
        keys = [key for key in order.columns if key.name not in equal]
        if keys and (prefix or order.limited):
            yield _candidate(view, [*prefix, *keys], free=len(prefix), purpose="order")
        # PostgreSQL knows no order behind a key that IS NULL: it walks an index without it, and looks at each row.
        unordered = {one.column for one in plain_ones if one.operator.upper() == "IS NULL"}
        before = [key for key in prefix if key.name not in unordered]
        if keys and len(before) < len(prefix) and order.limited:
            yield _candidate(view, [*before, *keys], free=len(before), purpose="order")
    for name in ranges[:3]:
        yield _candidate(view, [*prefix, IndexColumn(name)], free=len(prefix))
        ordered = view.pages >= BRIN_PAGES and abs(view.correlation(name)) >= IN_ORDER
        if not prefix and ordered and not any(index.keys[0].column == name for index in view.indexes if index.keys):
            yield _candidate(view, [IndexColumn(name)], 0, "in order of time", "brin")
    yield from _joined(view, joins, equal, ranges, order)
    if grouped:
        yield _candidate(view, grouped, free=0, purpose="order")
    for one in plain_ones:
        yield from _pattern(view, one, prefix)
    yield from _arms(view, predicates, usage)


def compared(view: TableView, predicates: Sequence[Predicate], usage: Usage) -> tuple[list[str], list[str]]:
    """Columns that a statement compares by equality, in key order, and those it bounds; not under an OR."""
    plain_ones = [one for one in predicates if one.alternatives == 0]
    equal = usage.order(view, (one.column for one in plain_ones if one.kind == "eq" and one.column))[:MOST_KEYS]
    return equal, [
        name for name in _unique(one.column for one in plain_ones if one.kind == "range") if name not in equal
    ]


def _joined(
    view: TableView, joins: Sequence[str], equal: Sequence[str], ranges: Sequence[str], order: SortOrder | None
) -> Iterable[Candidate]:
    """Look-ups for the rows of another relation: by one join column, by two, with the conditions before or after."""
    prefix = [IndexColumn(name) for name in equal[: MOST_KEYS - 1]]
    for name in joins[:MOST_JOINS]:
        key = IndexColumn(name)
        yield _candidate(view, [key], free=1, purpose="join")
        if prefix:
            yield _candidate(view, [*prefix, key], free=len(prefix) + 1, purpose="join")
            if len(prefix) > 1:
                yield _candidate(view, [key, prefix[0]], free=2, purpose="join")
        for bounded in ranges[:2]:
            yield _candidate(view, [key, IndexColumn(bounded)], free=1, purpose="join")
            yield _candidate(view, [IndexColumn(bounded), key], free=0, purpose="join")
        if order is not None and len(order.columns) < MOST_KEYS and all(one.name != name for one in order.columns):
            yield _candidate(view, [key, *order.columns], free=1, purpose="join")
    for one, other in itertools.permutations(joins[:MOST_JOINS], 2):
        yield _candidate(view, [IndexColumn(one), IndexColumn(other)], free=2, purpose="join")


def _indexable(expression: str) -> bool:
    """Known to be immutable, and whole: a parameter inside it would be another index for each value."""
    return _IMMUTABLE.search(expression) is not None and _PARAMETER.search(expression) is None


def _unique(names: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(name for name in names if name is not None))


def _candidate(
    view: TableView, columns: Sequence[IndexColumn], free: int, purpose: str = "conditions", method: str = "btree"
) -> Candidate:
    schema, table = view.relation
    return Candidate((IndexSpec(schema, table, tuple(columns), method),), free, purpose)


def _pattern(view: TableView, one: Predicate, prefix: Sequence[IndexColumn]) -> Iterable[Candidate]:
    """Containment and LIKE: what a plain B-tree cannot answer."""
    if one.kind == "contains" and one.column is not None:
        kind = view.types.get(one.column, "")
        if kind == "jsonb":
            opclass = "jsonb_path_ops" if one.operator == "@>" else None
            yield _candidate(view, [IndexColumn(one.column, opclass=opclass)], 0, "containment", "gin")
        elif kind.endswith("[]") or kind == "tsvector":
            yield _candidate(view, [IndexColumn(one.column)], 0, "containment", "gin")
        elif kind.endswith("range"):
            yield _candidate(view, [IndexColumn(one.column)], 0, "overlap", "gist")
    elif one.kind == "contains" and _indexable(one.expression) and one.operator == "@@":
        yield _candidate(view, [IndexColumn(one.expression, is_expression=True)], 0, "words", "gin")
    elif one.kind == "like" and one.column is not None and view.trigrams and one.operator in ("~~", "~~*"):
        yield _candidate(view, [IndexColumn(one.column, opclass="gin_trgm_ops")], 0, "pattern", "gin")
    elif one.kind == "like-prefix" and (one.column is not None or _indexable(one.expression)):
        kind = view.types.get(one.column or "", "text")
        opclass = "varchar_pattern_ops" if kind.startswith(("character varying", "varchar")) else "text_pattern_ops"
        opclass = opclass if view.traits.pattern_classes else None
        key = IndexColumn(one.column or one.expression, is_expression=one.column is None, opclass=opclass)
        yield _candidate(view, [key], 0, "prefix")
        if prefix:
            yield _candidate(view, [*prefix, key], len(prefix), "prefix")


def _arms(view: TableView, predicates: Sequence[Predicate], usage: Usage) -> Iterable[Candidate]:
    """One index for each arm of an OR, together: the planner joins their bitmaps; an arm without one spoils all."""
    arms: dict[int, list[Predicate]] = {}
    for one in predicates:
        if one.alternatives:
            arms.setdefault(one.alternatives, []).append(one)
    specs: dict[IndexSpec, None] = {}
    schema, table = view.relation
    for arm in arms.values():
        equal = usage.order(view, (one.column for one in arm if one.kind == "eq" and one.column))
        ranges = _unique(one.column for one in arm if one.kind == "range")
        names = [*equal, *(name for name in ranges[:1] if name not in equal)]
        if not names:
            return
        specs[IndexSpec(schema, table, tuple(IndexColumn(name) for name in names[:MOST_KEYS]))] = None
    if specs:
        yield Candidate(tuple(specs), 1, "alternatives")


def describe(spec: IndexSpec) -> str:
    """The keys of a spec for people: "tenant_id, created_at DESC"."""
    return _spelled(spec, shown)


def identity(spec: IndexSpec) -> str:
    """The same, alike for expressions that only differ in how a server or a text writes them."""
    return _spelled(spec, plain)


def _spelled(spec: IndexSpec, expression: Callable[[str], str]) -> str:
    keys = [
        (expression(key.name) if key.is_expression else key.name)
        + (key.opclass if key.opclass is not None and prefix_length(key.opclass) else "")
        + key.order
        for key in spec.columns
    ]
    method = "" if spec.method == "btree" else f"{spec.method}: "
    include = f" include {', '.join(spec.include)}" if spec.include else ""
    where = f" where {spec.where}" if spec.where else ""
    return f"{method}{', '.join(keys)}{include}{where}"
