"""What must not be loaded before the first paint, and what the toolkit must not know."""

from __future__ import annotations

import subprocess
import sys

LOADED = "import sys; {}; print(*sorted(m for m in {!r} if m in sys.modules))"


def loaded(imports: str, of: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(imports, of)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_words_and_figures_need_no_terminal_library() -> None:
    assert loaded("import meshag_tui.figures, meshag_tui.text as t; t.one_line('a', 3)", ["rich", "textual"]) == ""


def test_the_first_frame_needs_neither_charts_nor_highlighting_nor_databases() -> None:
    widgets = ("actions", "chart", "chooser", "dialog", "form", "guarded", "page", "plan", "sql", "status", "table")
    imports = "import " + ", ".join(f"meshag_tui.widgets.{name}" for name in widgets)
    slow = ["plotext", "pygments.lexers.sql", "peewee", "psycopg", "openai", "postgast", "pydantic", "asyncmy"]
    assert loaded(imports, [*slow, "meshag_tui.store", "meshag_tui.engines", "meshag_tui.workflows"]) == ""
