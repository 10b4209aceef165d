"""Statements that search for a pattern: those that no B-tree can serve, and those whose pattern nobody shows us.

Whether a pattern begins with plain text or with a wildcard decides all, and statement statistics keep no constants. It
is known where the text has the pattern, where a session was seen running it, and where an index that would serve plain
text is there and calls read the whole table all the same. Calls that do not read the whole table are served already.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Set
from typing import TYPE_CHECKING

from meshag_tui.advisor.examined import Examined
from meshag_tui.advisor.skewed import bare
from meshag_tui.advisor.statement_advice import advice
from meshag_tui.advisor.statistics import Tables, TableView
from meshag_tui.figures import count
from meshag_tui.plan import Plan, Predicate
from meshag_tui.snapshot import IndexKey
from meshag_tui.types import Suggestion

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog

WHOLE = 0.5
"""Share of a table's pages or rows that a call reads, from which it reads the table."""
_ANYWHERE = ("~~*", "~*", "regexp", "rlike")
"""Comparisons that no B-tree serves, however the pattern begins."""
_PATTERNS = ("~~", "~", "like", *_ANYWHERE)


def pattern(
    one: Examined, catalog: Catalog, tables: Tables, helped: Collection[int], remedies: Mapping[str, str]
) -> Iterator[Suggestion]:
    """Advice on the first pattern of a statement that no index serves."""
    if one.query.id in helped or one.plan is None:
        return
    for predicate in one.predicates:
        view = tables.view(predicate.schema, predicate.table)
        operator = predicate.operator.lower()
        if predicate.kind != "like" or view is None or view.small or operator not in _PATTERNS:
            continue
        read = one.read_share(view)
        if read is not None and read < WHOLE:
            continue
        yield _about(one, predicate, view, _always_there(catalog), remedies)
        return


def _always_there(catalog: Catalog) -> Set[str]:
    """Keys of the indexes that were there at the first look, and so for every call that was counted."""
    first = min((row.first_seen_at for row in catalog.indexes), default=0)
    return {row.stats.key for row in catalog.indexes if row.first_seen_at == first}


def _about(
    one: Examined, predicate: Predicate, view: TableView, always: Set[str], remedies: Mapping[str, str]
) -> Suggestion:
    name = f"{view.stats.name}.{predicate.column or predicate.expression}"
    facts = [f"{count(view.rows)} rows in {view.stats.name}", f"{count(one.query.calls)} calls"]
    why = _known(one, predicate, view, always)
    if why is None:
        return advice(
            "like-pattern",
            one,
            f"{one.query.uid} searches {name} for a pattern, and reads the whole table",
            "Whether its patterns begin with plain text or with a wildcard is not known: statement statistics keep no "
            f"constants, and no session was seen running it. Beginning with plain text: {remedies['like-pattern']} "
            f"Beginning with a wildcard, they cannot use that. {remedies['leading-wildcard']}",
            facts,
            0.6,
            table=predicate,
        )
    return advice(
        "leading-wildcard",
        one,
        f"{one.query.uid} searches {name} for a pattern",
        f"A pattern that {why} cannot use a B-tree, so the whole table is read. {remedies['leading-wildcard']}",
        [*facts, *_seen(one.plan, predicate)],
        0.75,
        table=predicate,
    )


def _known(one: Examined, predicate: Predicate, view: TableView, always: Set[str]) -> str | None:
    """What is known of the pattern that keeps a B-tree from it; None: nothing is."""
    if predicate.operator.lower() in _ANYWHERE:
        return "is compared in this way"
    value = bare(predicate.value) if bare(predicate.value) is not None else predicate.value
    plan = one.plan
    sampled = plan is None or value is None or value in plan.parameters or predicate.value in plan.parameters
    if not sampled or _seen(plan, predicate):
        return "begins with a wildcard"
    for index in view.indexes:
        first = index.keys[0] if index.keys and index.key in always and index.method == "btree" else None
        if first is not None and first.column == predicate.column and _by_letters(first, view):
            return f"begins with a wildcard, as these do ({index.name} would serve others, and is not used for them),"
    return None


def _seen(plan: Plan | None, predicate: Predicate) -> list[str]:
    value = bare(predicate.value)
    if plan is None or value is None or value not in plan.seen_patterns:
        return []
    return ["a session was seen running it with a pattern that begins with a wildcard"]


def _by_letters(key: IndexKey, view: TableView) -> bool:
    """Whether values lie in the order of their letters, so that those with one beginning lie together."""
    return not view.traits.pattern_classes or "pattern_ops" in key.opclass or (key.collation or "") in ("C", "POSIX")
