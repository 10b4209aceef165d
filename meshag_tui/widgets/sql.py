"""A statement as it is read: highlighted, folded to the width, copied whole.

Pygments colours it (Textual's own highlighter wants tree-sitter, which crashes in some builds); it is imported with the
first text. What is copied is the statement as given, what is shown is sanitised and laid out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from meshag_tui.text import clip, count, fit, glyphs, sanitise, width_of
from meshag_tui.widgets.states import READY, Condition, State

if TYPE_CHECKING:
    from pygments.lexer import Lexer

Piece = tuple[str, str]
"""A part of the look ("keyword", "string", …, "" for plain) and its text."""

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
    from pygments.lexers.sql import MySqlLexer, PostgresLexer

    return MySqlLexer(stripnl=False) if dialect == "mysql" else PostgresLexer(stripnl=False)


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
        part = next((name for kind, name in kinds if token in kind), "")
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


def folded(parts: Iterable[Piece], width: int) -> list[list[Piece]]:
    """Lines of at most `width` cells, broken at blanks where there are some."""
    lines: list[list[Piece]] = [[]]
    room = width
    for part, text in parts:
        for number, piece in enumerate(text.split("\n")):
            if number:
                lines.append([])
                room = width
            while piece:
                if len(piece) <= room and width_of(piece) <= room:
                    lines[-1].append((part, piece))
                    room -= width_of(piece)
                    break
                cut = _cut(piece, room)
                if cut == 0 and room == width:
                    cut = 1
                if cut:
                    lines[-1].append((part, piece[:cut]))
                piece = piece[cut:]
                lines.append([])
                room = width
    return lines


def _cut(text: str, room: int) -> int:
    """How many characters go into `room` cells, preferably up to a blank or comma."""
    if room <= 0:
        return 0
    fitting = room if text.isascii() else len(clip(text[: room + 1], room).rstrip(glyphs().ellipsis))
    for end in range(min(fitting, len(text)), max(0, fitting - 24), -1):
        if text[end - 1] in " ,(":
            return end
    return min(fitting, len(text)) if fitting >= 24 or " " not in text[:fitting] else 0


class SqlView(ScrollView, can_focus=True):
    """A statement, highlighted and scrollable. `y` posts `Copied` with the statement exactly as it was given."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll_down", "Down", show=False, id="sql.down"),
        Binding("up,k", "scroll_up", "Up", show=False, id="sql.up"),
        Binding("pagedown,ctrl+f", "page_down", "Page down", show=False, id="sql.page-down"),
        Binding("pageup,ctrl+b", "page_up", "Page up", show=False, id="sql.page-up"),
        Binding("home,g", "scroll_home", "First", show=False, id="sql.first"),
        Binding("end,G", "scroll_end", "Last", show=False, id="sql.last"),
        Binding("y", "copy", "Copy", show=False, id="sql.copy"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"sql--{part}"
        for part in (
            "keyword", "string", "number", "comment", "type", "parameter", "operator", "dim", "warning", "critical",
            "accent",
        )
    }  # fmt: skip
    DEFAULT_CSS = """
    SqlView { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }
    SqlView > .sql--keyword { text-style: bold; }
    SqlView > .sql--string { color: $warning; }
    SqlView > .sql--number { color: $warning; }
    SqlView > .sql--comment { text-style: dim; }
    SqlView > .sql--type { color: $secondary; }
    SqlView > .sql--parameter { color: $accent; }
    SqlView > .sql--dim { text-style: dim; }
    SqlView > .sql--warning { color: $warning; }
    SqlView > .sql--critical { color: $error; }
    SqlView > .sql--accent { color: $accent; }
    """

    class Copied(Message):
        """The user wants the statement on the clipboard."""

        def __init__(self, view: SqlView, sql: str) -> None:
            super().__init__()
            self.view = view
            self.sql = sql

        @property
        def control(self) -> SqlView:
            return self.view

    def __init__(
        self,
        sql: str = "",
        dialect: str = "postgres",
        *,
        empty: State | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """`dialect` is "postgres" or "mysql"."""
        super().__init__(id=id, classes=classes)
        self.sql = sql
        self.state = READY
        self._dialect = dialect
        self._empty = empty or State(Condition.EMPTY, "no statement")
        self._parts: list[Piece] | None = None
        self._folded: tuple[int, list[list[Piece]]] = (-1, [])

    def set_sql(self, sql: str, dialect: str | None = None, state: State = READY) -> None:
        """Show another statement, from its first line."""
        if (sql, state) == (self.sql, self.state) and dialect in (None, self._dialect):
            return
        self.sql, self.state, self._dialect = sql, state, dialect or self._dialect
        self._parts = None
        self._folded = (-1, [])
        self._fold()
        self.scroll_to(y=0, animate=False, force=True, immediate=True)
        self.refresh()

    def action_copy(self) -> None:
        if self.sql:
            self.post_message(self.Copied(self, self.sql))

    def on_resize(self) -> None:
        self._fold()

    def _fold(self) -> None:
        width = self.size.width
        if width <= 0 or self._folded[0] == width:
            return
        if self._parts is None:
            self._parts = self._shown_parts()
        self._folded = (width, folded(self._parts, width))
        self.virtual_size = Size(1, len(self._folded[1]))

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if not self.sql.strip() or self.state.condition is not Condition.READY:
            state = self._empty if self.state.condition is Condition.READY else self.state
            lines = state.lines(width)
            text, part = lines[y] if y < len(lines) else ("", "")
            return Strip([Segment(fit(text, width), self._look(part))], width)
        self._fold()
        index = y + self.scroll_offset.y
        if index >= len(self._folded[1]):
            return Strip.blank(width, self.rich_style)
        segments = [Segment(text, self._look(part)) for part, text in self._folded[1][index]]
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    def _look(self, part: str) -> Any:
        return self.get_component_rich_style(f"sql--{part}") if part else self.rich_style

    def _shown_parts(self) -> list[Piece]:
        text = sanitise(self.sql[:SHOWN], SHOWN * 2).strip("\n")
        parts = pieces(text, self._dialect)
        if "\n" not in text:
            parts = laid_out(parts)
        if len(self.sql) > SHOWN:
            more = count(len(self.sql) - SHOWN)
            parts.append(("dim", f"\n{glyphs().ellipsis} {more} characters more; y copies all of it"))
        return parts
