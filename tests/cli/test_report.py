"""`meshag report`: its figures are those of the store, in all forms the same, and nothing in it is taken for markup."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from meshag_tui.cli import report_pages
from meshag_tui.figures import duration, exact
from meshag_tui.store import models
from meshag_tui.store.database import Store
from meshag_tui.store.vault import Vault
from meshag_tui.workflows import report
from meshag_tui.workflows.report import Report
from tests.cli.conftest import Meshag
from tests.screens import shop

DAY = 86_400_000


@pytest.fixture
def store(meshag: Meshag) -> Iterator[Store]:
    from meshag_tui.settings import Settings

    meshag.home.mkdir(mode=0o700)
    store = Store.open(f"sqlite:///{meshag.home}/meshag.db")
    store.run(shop.fill_open, Vault.open(Settings(home=meshag.home, store_url=""), {}))
    yield store
    store.close()


class Page(HTMLParser):
    """The tables of a page as rows of cells by the heading before them, and every tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._heading = self._said = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("h1", "h2", "h3", "td", "th"):
            self._said = ""
        elif tag == "tr":
            self.tables.setdefault(self._heading, []).append([])

    def handle_data(self, data: str) -> None:
        self._said += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("h1", "h2", "h3"):
            self._heading = self._said
        elif tag in ("td", "th"):
            self.tables[self._heading][-1].append(self._said)


def read(store: Store) -> Report:
    found: Report = store.run(lambda: report.read(models.Connection.get().id, DAY, 100.0))
    return found


def test_the_figures_are_those_of_the_store_in_every_form(
    store: Store, meshag: Meshag, must: Callable[..., Any]
) -> None:
    found = read(store)
    start, end = found.window.start, found.window.end
    execute = store.run(
        lambda: models.database.execute_sql(
            'SELECT SUM(calls), SUM(time_ms) FROM "interval" WHERE end_at > ? AND end_at <= ?', (start, end)
        ).fetchone()
    )
    by_statement = store.run(
        lambda: models.database.execute_sql(
            "SELECT q.id, SUM(s.calls), SUM(s.time_ms) FROM query_statistics s JOIN query q ON q.id = s.query_id "
            "WHERE NOT q.internal GROUP BY q.id ORDER BY 3 DESC"
        ).fetchall()
    )
    page = Page(report_pages.as_html("x", list(report_pages.parts(found))))
    first = next(iter(page.tables))
    figures = dict(row for row in page.tables[first] if len(row) == 2)
    assert figures["Calls"] == exact(execute[0]) and figures["Time of all statements"] == duration(execute[1])
    rows = page.tables["Statements by time"][1:]
    assert [(row[0], row[3], row[2], row[4]) for row in rows] == [
        (f"qry_{number:010d}", exact(calls), duration(ms), duration(ms / calls)) for number, calls, ms in by_statement
    ]
    takes = [int(row[3]) for row in page.tables["Health"][1:]]
    assert sum(takes) == 100 - found.health.score
    document = must("report", "shop")
    assert (document["overview"]["calls"], document["overview"]["total_time_ms"]) == tuple(execute)
    assert [(each["calls"], each["total_time_ms"]) for each in document["statements"]] == [
        (calls, ms) for _, calls, ms in by_statement
    ]
    markdown = meshag("report", "shop").out
    assert f"| Calls | {exact(execute[0])} |" in markdown
    for number, calls, _ in by_statement:
        assert re.search(rf"\| qry\\_{number:010d} \|[^\n]*\| {exact(calls)} \|", markdown)


def test_what_lies_in_tables_beside_rows_is_what_the_server_counts(store: Store) -> None:
    found = read(store)
    rows = tuple(replace(row, stats=replace(row.stats, dead_rows=None, free_bytes=5 << 20)) for row in found.tables)
    for shown, head in ((found, "Dead"), (replace(found, tables=rows), "Free")):
        table = Page(report_pages.as_html("shop", list(report_pages.parts(shown)))).tables["Largest tables"]
        assert table[0][4] == head
    assert table[1][4] == "5.0 MB"


def test_nothing_in_a_text_is_markup_and_nothing_is_loaded(store: Store) -> None:
    evil = "SELECT '</code><script>alert(1)</script>' AS \"<img src=x onerror=y>\" -- | [a](javascript:x) `b` \x1b[2J"
    store.run(lambda: models.QueryText.update(text=evil).execute())
    store.run(lambda: models.Suggestion.update(title="<b>bold</b> | **x**").execute())
    parts = list(report_pages.parts(read(store)))
    text = report_pages.as_html("<title>", parts)
    page = Page(text)
    assert {tag for tag, _ in page.tags} <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "table", "thead", "tbody"),
        *("tr", "th", "td", "code", "figure", "figcaption", "svg", "rect"),
    }
    names = {name for _, attributes in page.tags for name in attributes}
    assert not any(name.startswith("on") or name in ("src", "href", "style") for name in names)
    assert "default-src 'none'" in text and "\x1b" not in text
    assert any(evil.split(" --")[0] in cell for row in page.tables["Statements by time"] for cell in row)
    markdown = report_pages.as_markdown(parts)
    assert "<" not in markdown and not re.search(r"(?<!\\)[\[\]`*]", markdown) and "\x1b" not in markdown
    lines = [line for line in markdown.splitlines() if line.startswith("| qry")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 8 for line in lines) and lines


def test_it_is_written_for_its_owner_and_over_nothing(store: Store, meshag: Meshag, tmp_path: Path) -> None:
    store.close()
    file = tmp_path / "shop.html"
    assert meshag("report", "shop", "--out", str(file)).code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and file.read_text().startswith("<!doctype html>")
    again = meshag("report", "shop", "--out", str(file), "--json")
    assert again.code == 1 and "exists" in json.loads(again.out)["error"]["message"].lower()
    assert meshag("report", "shop", "--out", str(tmp_path / "x.pdf")).code == 2
    quiet = meshag("report", "shop", "--end", "2020-01-01 00:00")
    assert "Nothing was observed in this window" in quiet.out
