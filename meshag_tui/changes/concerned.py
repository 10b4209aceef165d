"""Which statements a change concerns: those it was made for, all others that use its table, and some that do not.

A statement uses a table when its text names it, its partitioned parent, or a view that reads it, directly or through
other views, as the schema that was read last defines them; or when the plan that was kept of it last reads it. What is
known of neither (the body of a function) is not found. Runs in a thread of the store and only reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from meshag_tui.changes.verdicts import Role, Watched
from meshag_tui.store import history_objects, history_plans, history_queries
from meshag_tui.types import Change, Window, table_of

_MOST_NAMING = 200
_MOST_CONTROLS = 20
_MOST_NAMES = 20
"""The table, its parents and views over it that are looked for; more are left out."""
_WRITES = frozenset({"insert", "update", "delete", "merge", "replace"})
_WRITTEN = (
    r"\b(?:into|update|delete\s+from|merge\s+into)\s+(?:only\s+)?(?:[`\"\w$]+\s*\.\s*)?[`\"]?(?:{})[`\"]?(?![\w$])"
)


def same_table(one: Change, other: Change) -> bool:
    """Whether what they do cannot be told apart."""
    return None in (table_of(one), table_of(other)) or table_of(one) == table_of(other)


def watched(connection_id: str, change: Change, targets: Sequence[int], window: Window) -> Watched:
    """The statements by what they are to the change, and controls: statements that have nothing to do with it.

    Args:
        targets: ids of the statements it was made for.
        window: in which they ran.
    """
    roles: dict[int, Role] = dict.fromkeys(targets, "target")
    about = table_of(change)
    if about is None:
        roles |= {query_id: "reader" for query_id, *_ in _statements(connection_id, window, _MOST_NAMING, None)}
        return Watched(roles | dict.fromkeys(targets, "target"), ())
    names = names_of(connection_id, *about)
    either = "|".join(map(re.escape, names))
    named = re.compile(rf"(?<![\w$])(?:{either})(?![\w$])", re.IGNORECASE)
    written = re.compile(_WRITTEN.format(either), re.IGNORECASE)
    shown = history_queries.shown_as(connection_id, targets)
    for name in names:
        for query_id, kind, text in _statements(connection_id, window, _MOST_NAMING, _plain(name)):
            if query_id not in shown and named.search(text):
                roles[query_id] = "writer" if kind in _WRITES and written.search(text) else "reader"
    others = [
        query_id
        for query_id, kind, text in _statements(connection_id, window, _MOST_CONTROLS * 3, None)
        if query_id not in roles and query_id not in shown and not named.search(text) and kind != "other"
    ]
    reads = history_plans.reads(others)
    through = [each for each in others if about in reads.get(each, ())]
    roles |= dict.fromkeys(through, "reader")
    return Watched(roles, [each for each in others if each not in through][:_MOST_CONTROLS])


def names_of(connection_id: str, schema: str, table: str) -> tuple[str, ...]:
    """The names by which statements may use a table, without schema: its own, then parents', then views'."""
    relations = history_objects.relations(connection_id)
    names = [table]
    at = relations.get((schema, table))
    while at is not None and at.parent is not None and _parted(at.parent)[1] not in names:
        names.append(_parted(at.parent)[1])
        at = relations.get(_parted(at.parent))
    # What a materialized view holds was read when it was refreshed: it is a table of its own, and among these.
    views = {
        view: definition
        for view, definition in history_objects.views(connection_id).items()
        if _parted(view) not in relations
    }
    seen = 0
    while seen < len(names):  # of those just found, the views over them
        used = re.compile(rf"(?<![\w$]){re.escape(names[seen])}(?![\w$])", re.IGNORECASE)
        seen += 1
        for view, definition in views.items():
            name = _parted(view)[1]
            if name not in names and used.search(definition):
                names.append(name)
    return tuple(names[:_MOST_NAMES])


def _parted(qualified: str) -> tuple[str, str]:
    schema, _, name = qualified.partition(".")
    return schema, name


def _plain(name: str) -> str:
    """The name as a text filter, in which some signs at the beginning mean something else."""
    return name.lstrip("~!") or name


def _statements(connection_id: str, window: Window, limit: int, text: str | None) -> Iterable[tuple[int, str, str]]:
    """Id, kind and text of the statements that took most time in the window."""
    page = history_queries.page(connection_id, window, limit=limit, text=text)
    kinds = history_queries.figures(connection_id, window, {each: each for each in page.ids})
    texts = history_queries.texts(page.ids)
    return [(each, kinds[each]["kind"], texts.get(each) or "") for each in page.ids if each in kinds]
