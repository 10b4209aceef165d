"""A statement as it is read: highlighted, folded to the width, copied whole.

Pygments colours it (Textual's own highlighter wants tree-sitter, which crashes in some builds); it is imported with the
first text. What is copied is the statement as given, what is shown is sanitised and laid out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style

from meshag_tui.figures import count
from meshag_tui.glyphs import glyphs
from meshag_tui.text import sanitise
from meshag_tui.widgets.page import Page, Piece
from meshag_tui.widgets.states import READY, Condition, State

if TYPE_CHECKING:
    from pygments.lexer import Lexer

HIGHLIGHTED = 10_000
"""Characters that are coloured; the rest of a longer statement is shown plain, so that opening it never waits."""
SHOWN = 100_000

_CLAUSES = {
    "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "UNION", "INTERSECT", "EXCEPT", "WINDOW", "VALUES",
    "SET", "RETURNING", "JOIN", "LEFT", "RIGHT", "FULL", "INNER", "CROSS", "FETCH", "FOR", "ON CONFLICT", "SELECT",
}  # fmt: skip
_JOINED = {"LEFT", "RIGHT", "FULL", "INNER", "CROSS", "OUTER", "NATURAL", "LATERAL"}
_CONDITIONS = {"AND", "OR"}


@lru_cache(maxsize=4)
def _lexer(dialect: str) -> Lexer:
    from pygments.lexers import get_lexer_by_name

    return get_lexer_by_name(dialect, stripnl=False)


_loaded: set[str] = set()


def load_highlighter(dialect: str) -> None:
    """Import Pygments and compile its rules, in a thread, so that the first statement does not wait for it."""
    _lexer(dialect)
    _loaded.add(dialect)


def highlighter_is_loaded(dialect: str) -> bool:
    return dialect in _loaded


def pieces(sql: str, dialect: str = "postgres") -> list[Piece]:
    """A sanitised statement in coloured pieces whose texts, joined, are the statement."""
    from pygments.token import Comment, Keyword, Literal, Name, Number, Operator, Punctuation, String

    kinds = (
        (Comment, "comment"), (Keyword, "keyword"), (String, "string"), (Number, "number"), (Literal, "string"),
        (Name.Builtin, "type"), (Name.Variable, "parameter"), (Operator.Word, "keyword"), (Operator, "operator"),
        (Punctuation, ""),
    )  # fmt: skip
    head, tail = sql[:HIGHLIGHTED], sql[HIGHLIGHTED:]
    found: list[Piece] = []
    for token, text in _lexer(dialect).get_tokens(head):
        # Pygments 2.19 takes the dot of schema.table for a number.
        part = "" if text == "." else next((name for kind, name in kinds if token in kind), "")
        if found and found[-1][0] == part:
            found[-1] = (part, found[-1][1] + text)
        else:
            found.append((part, text))
    joined = "".join(text for _, text in found)
    if not joined.startswith(head):  # a lexer that lost text must not lose the user's
        found = [("", head)]
    elif len(joined) > len(head):  # it adds a line end
        part, text = found[-1]
        found[-1] = (part, text[: len(text) - (len(joined) - len(head))])
    return [*found, ("", tail)] if tail else found


def laid_out(parts: Iterable[Piece]) -> list[Piece]:
    """A statement written on one line, with its clauses on lines of their own; only white space is changed."""
    out: list[Piece] = []
    depth = 0
    subqueries = [0]  # the depth of parentheses each begins at
    before, between = "", False
    for part, text in parts:
        if part != "keyword":
            depth += (text.count("(") - text.count(")")) if part == "" else 0
            while len(subqueries) > 1 and depth < subqueries[-1]:
                subqueries.pop()
            out.append((part, text))
            if text.strip():
                before = "(" if text.rstrip().endswith("(") else ""
            continue
        for chunk in _words(text):
            word = chunk.upper()
            if word in {"SELECT", "WITH"} and before == "(":
                subqueries.append(depth)
            if out and depth == subqueries[-1] and _breaks_line(word, before) and not (word == "AND" and between):
                _end_line(out)
                out.append(("", "\n" + "  " * (len(subqueries) - 1 + (word in _CONDITIONS))))
            out.append((part, chunk))
            if chunk.strip():
                between = word == "BETWEEN" or (between and word != "AND")
                before = word
    return out


def _breaks_line(word: str, before: str) -> bool:
    if before == "(":
        return False
    return word in _CONDITIONS or (
        word in _CLAUSES and before not in _JOINED and (word, before) != ("FROM", "DISTINCT")
    )


def _words(text: str) -> Iterator[str]:
    """Words and the blanks between them."""
    start = 0
    for i in range(1, len(text) + 1):
        if i == len(text) or text[i].isspace() != text[i - 1].isspace():
            yield text[start:i]
            start = i


def _end_line(out: list[Piece]) -> None:
    """Drop the blanks a line would end with."""
    while out:
        part, text = out[-1]
        stripped = text.rstrip(" ")
        if stripped:
            out[-1] = (part, stripped)
            return
        out.pop()


class SqlView(Page):
    """A statement, highlighted and scrollable; `y` copies it exactly as it was given."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"sql--{part}" for part in ("keyword", "string", "number", "comment", "type", "parameter", "operator")
    }
    DEFAULT_CSS = """
    SqlView > .sql--keyword { text-style: bold; }
    SqlView > .sql--string { color: $warning; }
    SqlView > .sql--number { color: $warning; }
    SqlView > .sql--comment { text-style: dim; }
    SqlView > .sql--type { color: $secondary; }
    SqlView > .sql--parameter { color: $accent; }
    """

    def __init__(
        self,
        sql: str = "",
        dialect: str = "postgres",
        *,
        empty: State | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """`dialect` is the name of the statement's language in Pygments: "postgres", "mysql"."""
        super().__init__((("", sql),), empty=empty or State(Condition.EMPTY, "no statement"), id=id, classes=classes)
        self._dialect = dialect

    @property
    def sql(self) -> str:
        return self.copy_text

    def set_sql(self, sql: str, dialect: str | None = None, state: State = READY) -> None:
        """Show another statement, from its first line."""
        self._dialect = dialect or self._dialect
        self.set_parts((("", sql),), state)

    def _to_show(self) -> list[Piece]:
        text = sanitise(self.sql[:SHOWN], SHOWN * 2).strip("\n")
        parts = pieces(text, self._dialect)
        if "\n" not in text:
            parts = laid_out(parts)
        if len(self.sql) > SHOWN:
            more = count(len(self.sql) - SHOWN)
            parts.append(("dim", f"\n{glyphs().ellipsis} {more} characters more; y copies all of it"))
        return parts

    def _look(self, part: str) -> Style:
        own = f"sql--{part}"
        return self.get_component_rich_style(own) if own in SqlView.COMPONENT_CLASSES else super()._look(part)
