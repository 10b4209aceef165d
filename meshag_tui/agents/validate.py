"""What of an answer is believed: every name is looked up, every index compared with what is there, nothing is run.

A proposal becomes a `Suggestion` made of catalogue names, or a reason why not. Model text survives only as words of
explanation, with links taken out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshag_tui.advisor.indexes import covered_by_spec, serves
from meshag_tui.advisor.key_lengths import with_prefixes
from meshag_tui.advisor.refusals import refusals
from meshag_tui.advisor.statistics import Relation, Tables, TableView
from meshag_tui.advisor.upkeep import ROW_UPKEEP_MS
from meshag_tui.agents.answer import Proposal, Where
from meshag_tui.figures import count
from meshag_tui.text import sanitise
from meshag_tui.types import Analyze, CreateIndex, DropIndex, HideIndex, IndexColumn, IndexSpec, Suggestion

if TYPE_CHECKING:
    from meshag_tui.advisor.examined import Examined
    from meshag_tui.store.history import Catalog

UNCHANGED_SHARE = 0.05
WORDS_LIMIT = 2_000
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)|<?\b[a-z][a-z0-9+.-]{1,20}://\S+|\bwww\.\S+", re.IGNORECASE)
_GIN_TYPES = ("jsonb", "tsvector")
_NUMERIC = ("smallint", "integer", "bigint", "numeric", "real", "double precision")
_TEXTUAL = ("text", "character varying", "character", "varchar", "date", "timestamp", "uuid")


class Rejected(Exception):
    """Why a proposal is not taken, in one line for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Context:
    """What a proposal is held against."""

    relations: frozenset[Relation]  # in the prompt
    queries: dict[str, int]  # in the prompt
    examined: Sequence[Examined]
    tables: Tables
    catalog: Catalog
    known: Sequence[Suggestion]


def statements_of(proposal: Proposal, context: Context) -> tuple[list[Examined], list[str]]:
    """The statements it names, and the ids it made up."""
    unknown = [one for one in proposal.query_ids if one not in context.queries]
    ids = {context.queries[one] for one in proposal.query_ids if one in context.queries}
    return [one for one in context.examined if one.query.id in ids], unknown


def index_spec(proposal: Proposal, context: Context) -> IndexSpec:
    """The index a proposal names, of catalogue names only.

    Raises:
        Rejected: a name is unknown, the index is there or served already, the table too small, or it cannot be built.
    """
    view = table_of(proposal, context)
    columns = proposal.columns
    if not columns:
        raise Rejected("it names no columns")
    _known(view, [*columns, *proposal.include])
    if len(set(columns) | set(proposal.include)) != len(columns) + len(proposal.include):
        raise Rejected("it names a column twice")
    if proposal.order and len(proposal.order) != len(columns):
        raise Rejected("it gives an order for some of the columns only")
    if view.small:
        raise Rejected(f"{view.stats.name} has {count(view.pages)} pages: reading it whole is as fast")
    method = proposal.method or "btree"
    _buildable(view, method, columns, proposal)
    down = [order == "desc" for order in proposal.order] or [False] * len(columns)
    if method != "btree" or all(down):
        down = [False] * len(columns)
    spec = IndexSpec(
        *view.relation,
        tuple(IndexColumn(name, descending=descending) for name, descending in zip(columns, down, strict=True)),
        method,
        tuple(proposal.include),
        None if proposal.where is None else _predicate(view, proposal.where),
    )
    keyed = with_prefixes(spec, view)
    if keyed is None:
        raise Rejected("its columns are too long for a key, or of a type that cannot be one")
    _new(view, keyed, context)
    return keyed


def table_of(proposal: Proposal, context: Context) -> TableView:
    """The table it names, which must be one of those shown."""
    name = (proposal.table or "").strip()
    found = [one for one in context.relations if name in (f"{one[0]}.{one[1]}", one[1])]
    found = [one for one in found if name == f"{one[0]}.{one[1]}"] or found
    view = context.tables.view(*found[0]) if len(found) == 1 else None
    if view is None:
        raise Rejected(
            f"{_shown(name)} is not one of the tables shown" if len(found) < 2 else f"{_shown(name)} is not one table"
        )
    return view


def _known(view: TableView, names: Sequence[str]) -> None:
    for name in names:
        if name not in view.types:
            raise Rejected(f"{view.stats.name} has no column {_shown(name)}")


def _buildable(view: TableView, method: str, columns: Sequence[str], proposal: Proposal) -> None:
    types, traits = [view.types[name] for name in columns], view.traits
    if method not in traits.index_methods:
        raise Rejected(f"this server has no {method} indexes")
    if proposal.include and not traits.index_includes:
        raise Rejected("an index here cannot include columns")
    if proposal.where is not None and not traits.index_conditions:
        raise Rejected("an index here is of all rows")
    inverted = [kind for kind in types if kind in _GIN_TYPES or kind.endswith("[]")]
    if method == "gin" and (len(columns) != 1 or not inverted):
        raise Rejected("a gin index here needs one jsonb, array or tsvector column")
    if method != "gin" and inverted:
        raise Rejected(f"a {method} index cannot search inside {inverted[0]}")
    if method in ("gin", "brin", "hash") and proposal.include:
        raise Rejected(f"a {method} index cannot include columns")
    if method == "hash" and len(columns) != 1:
        raise Rejected("a hash index has one column")
    if any(kind in ("json", "xml", "point", "polygon", "box") for kind in types):
        raise Rejected("one of its columns has a type that cannot be ordered")


def _predicate(view: TableView, where: Where) -> str:
    """A partial index's condition, written by us: column, operator and constant each of a known kind."""
    _known(view, [where.column])
    name = '"' + where.column.replace('"', '""') + '"'
    if where.operator in ("is null", "is not null"):
        return f"{name} {where.operator.upper()}"
    kind, value = view.types[where.column], where.value
    if isinstance(value, bool):
        if kind != "boolean" or where.operator not in ("=", "<>"):
            raise Rejected(f"{where.column} is {kind}: it cannot be compared with {value}")
        return f"{name} {where.operator} {str(value).lower()}"
    if isinstance(value, (int, float)) and kind.startswith(_NUMERIC):
        return f"{name} {where.operator} {int(value) if float(value).is_integer() else value}"
    if isinstance(value, str) and kind.startswith(_TEXTUAL) and len(value) <= 100 and value.isprintable():
        if "\\" in value:
            raise Rejected("the constant of its condition has a backslash")
        return f"{name} {where.operator} '" + value.replace("'", "''") + "'"
    raise Rejected(f"the condition on {where.column} ({kind}) has no fitting constant")


def _new(view: TableView, spec: IndexSpec, context: Context) -> None:
    free = sum(1 for key in spec.columns if not key.descending) if len(spec.columns) == 1 else 0
    for index in view.indexes:
        if serves(index, spec, free):
            raise Rejected(f"{index.name} does that already")
    for one in context.known:
        if isinstance(one.change, CreateIndex) and (
            one.change.spec == spec or covered_by_spec(spec, one.change.spec) or covered_by_spec(one.change.spec, spec)
        ):
            raise Rejected(f'a rule proposes that already: "{one.title}"')


def not_too_busy(spec: IndexSpec, served: Sequence[Examined], context: Context) -> None:
    """Refuse an index whose upkeep takes longer than all the statements it is for; raises Rejected."""
    view = context.tables.view(spec.schema, spec.table)
    upkeep = (view.writes if view is not None else 0.0) * ROW_UPKEEP_MS
    spent = sum(one.query.total_time_ms for one in served)
    if view is not None and upkeep > spent:
        raise Rejected(
            f"{count(view.writes)} rows were written to {view.stats.name} in the window: keeping the index would take "
            "longer than the statements do"
        )


def drop_reason(proposal: Proposal, context: Context) -> str:
    """Why an index a model wants dropped is not: rules propose every drop that is safe, so there is always a reason."""
    view = table_of(proposal, context)
    for row in context.catalog.indexes:
        if row.stats.name == proposal.index and (row.stats.schema, row.stats.table) == view.relation:
            drops = (one.change for one in context.known if isinstance(one.change, (DropIndex, HideIndex)))
            if any((drop.table, drop.name) == (row.stats.table, row.stats.name) for drop in drops):
                return f"a rule proposes to drop {row.stats.name} already"
            reasons = refusals(row, context.catalog)
            return f"{row.stats.name} stays: {'; '.join(reasons) or 'no rule found it superfluous'}"
    return f"{view.stats.name} has no index {_shown(proposal.index or '')}"


def analyze(proposal: Proposal, context: Context) -> Analyze:
    """An ANALYZE that would change something; raises Rejected."""
    view = table_of(proposal, context)
    stats = view.stats
    for one in context.known:
        if isinstance(one.change, Analyze) and (one.change.schema, one.change.table) == view.relation:
            raise Rejected(f"a rule proposes to analyze {stats.name} already")
    changed = (stats.modified_since_analyze or 0) / max(stats.live_rows or 0, 1)
    if changed < UNCHANGED_SHARE:
        raise Rejected(f"{stats.name} has hardly changed since it was analyzed")
    return Analyze(*view.relation)


def words(text: str, limit: int = WORDS_LIMIT) -> str:
    """Model text as plain words: no control characters, no links."""
    return sanitise(_LINK.sub(lambda match: match.group(1) or "(link removed)", text), limit=limit).strip()


def _shown(name: str) -> str:
    return repr(sanitise(name, limit=60))
