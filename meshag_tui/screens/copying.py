"""Copying in a form: a statement as SQL, as Markdown or as a command of the server's own client; a list as Markdown."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from meshag_tui.screens.export import markdown
from meshag_tui.text import one_line
from meshag_tui.widgets.chooser import Choice, Chooser
from meshag_tui.widgets.table import Table

if TYPE_CHECKING:
    from meshag_tui.engines.words import Words
    from meshag_tui.screens.pane import Pane
    from meshag_tui.store.connections import ConnectionInfo

_SQL = frozenset({"query", "query text", "statement", "SQL", "definition"})
"""Names of what `y` copies that are statements."""


def ask(pane: Pane) -> None:
    """Ask in which form to copy what is under the cursor, or the list, and copy it."""
    forms = forms_of(pane)
    choices = [Choice(name, name, said) for name, (said, _) in forms.items()]

    def chosen(name: str | None) -> None:
        if name is not None:
            pane.shell.copy(forms[name][1], name)

    pane.shell.push_screen(Chooser("Copy as", choices), chosen)


def forms_of(pane: Pane) -> dict[str, tuple[str, str]]:
    """Each form there is now: its name, a word about it, and the text."""
    forms: dict[str, tuple[str, str]] = {}
    given = pane.copy_text()
    if given is not None and given[1] in _SQL:
        sql = given[0].strip().rstrip(";")
        forms["SQL"] = ("with a semicolon", f"{sql};\n")
        forms["Markdown"] = ("a block of code", f"```sql\n{sql};\n```\n")
        if pane.connection is not None:
            forms["command"] = (pane.words.client[0], command(sql, pane.connection, pane.words))
    elif given is not None:
        forms["text"] = (given[1], given[0])
    table = pane.table
    if table is not None and table.rows:
        rows = table.targets if table.marks else list(table.rows)
        which = f"{len(rows):,} marked" if table.marks else f"{len(rows):,} rows"
        forms["list as Markdown"] = (which, as_markdown(table, rows))
    return forms


def command(sql: str, info: ConnectionInfo, words: Words) -> str:
    """A statement as a command line of the server's own client, quoted for a shell; no password is in it."""
    given = {"host": info.host, "port": info.port, "user": info.username, "database": info.database, "sql": f"{sql};"}
    filled = [word.format(**given) for word in words.client]
    return shlex.join(word for word in filled if word) + "\n"


def as_markdown(table: Table, rows: Sequence[object]) -> str:
    """Rows as a Markdown table of the columns that are chosen, in words as they are shown."""
    columns = [
        column
        for column in table.columns
        if column.draw is None and (not column.optional if table.chosen is None else column.key in table.chosen)
    ]
    titles = [column.name or column.title or column.key for column in columns]
    lines = [f"| {' | '.join(map(markdown, titles))} |", f"|{' --- |' * len(columns)}"]
    for row in rows:
        cells = []
        for column in columns:
            value = column.of(row)
            cells.append(markdown("" if value is None else one_line(column.render(value), newline=" ")))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
