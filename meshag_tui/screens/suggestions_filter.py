"""Which suggestions are shown: by status, priority and type, each choice counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from meshag_tui.store.suggestions import StoredSuggestion
from meshag_tui.types import SuggestionPriority, SuggestionStatus, SuggestionType
from meshag_tui.widgets.chooser import Choice

_TYPES = {
    SuggestionType.INDEX_OPTIMIZATION: "indexes",
    SuggestionType.QUERY_OPTIMIZATION: "queries",
    SuggestionType.SCHEMA_OPTIMIZATION: "schema",
    SuggestionType.CONNECTION_OPTIMIZATION: "connections",
}
_STATUSES = {
    "open": "open: new or reviewed",
    **{status.value: status.lower() for status in SuggestionStatus},
    "gone": "gone: not found any more",
    "all": "all",
}


@dataclass(frozen=True)
class Wanted:
    """`status` is "open", a SuggestionStatus, "gone" or "all"; None of the others: any."""

    status: str = "open"
    priority: SuggestionPriority | None = None
    type: SuggestionType | None = None

    def lets_through(self, found: StoredSuggestion) -> bool:
        return (
            _in_status(found, self.status)
            and self.priority in (None, found.priority)
            and self.type in (None, found.type)
        )

    @property
    def key(self) -> str:
        """All of it in a text that `wanted_from` reads."""
        return " ".join((self.status, self.priority or "any", self.type or "any"))

    @property
    def said(self) -> str:
        """ "open, high, indexes"."""
        parts = [self.status.lower()]
        if self.priority is not None:
            parts.append(self.priority.lower())
        if self.type is not None:
            parts.append(_TYPES[self.type])
        return ", ".join(parts)

    def choices(self, found: Sequence[StoredSuggestion]) -> list[Choice]:
        """What can be chosen next, with how many it would show."""
        made = []
        for status, words in _STATUSES.items():
            made.append(self._choice(f"status {status}", f"Status {words}", replace(self, status=status), found))
        for priority in (None, *SuggestionPriority):
            words = "any" if priority is None else priority.lower()
            made.append(
                self._choice(f"priority {priority}", f"Priority {words}", replace(self, priority=priority), found)
            )
        for kind in (None, *SuggestionType):
            words = "any" if kind is None else _TYPES[kind]
            made.append(self._choice(f"type {kind}", f"About {words}", replace(self, type=kind), found))
        return made

    def _choice(self, choice_id: str, words: str, wanted: Wanted, found: Sequence[StoredSuggestion]) -> Choice:
        return Choice(choice_id, words, str(sum(map(wanted.lets_through, found))))

    def with_choice(self, choice_id: str) -> Wanted:
        """The filter after one of its choices was taken."""
        what, _, value = choice_id.partition(" ")
        if what == "status":
            return replace(self, status=value)
        if what == "priority":
            return replace(self, priority=None if value == "None" else SuggestionPriority(value))
        return replace(self, type=None if value == "None" else SuggestionType(value))


def _in_status(found: StoredSuggestion, status: str) -> bool:
    if status == "open":
        return found.is_open
    if status == "gone":
        return found.resolved_at is not None
    return status in ("all", found.status.value)


OPEN = Wanted()


def wanted_from(key: str) -> Wanted:
    """The filter a key was made from; what is open if it means nothing any more."""
    status, priority, kind = (*key.split(" "), "", "", "")[:3]
    try:
        return Wanted(
            status if status in _STATUSES else OPEN.status,
            None if priority in ("any", "") else SuggestionPriority(priority),
            None if kind in ("any", "") else SuggestionType(kind),
        )
    except ValueError:
        return OPEN
