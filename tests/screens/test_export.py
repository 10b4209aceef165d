"""Lists in files: the store's numbers, no escape sequence, no formula, no markup, nothing overwritten."""

from __future__ import annotations

import csv
import io
import json
import stat
from pathlib import Path

import pytest

from meshag_tui.screens import export
from meshag_tui.screens.export import Report
from meshag_tui.store import history
from meshag_tui.types import MeshagError
from meshag_tui.workflows.workbench import Workbench
from tests.screens import shop
from tests.screens.conftest import AT, Open
from tests.screens.test_queries import DAY

EVIL = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "  =1", "\t=1", "＝1", "\x1b[2J", "a|b\n# c <script>"]


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def write(bench: Workbench, at_desk: Open, place: str, name: str) -> None:
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        await desk.press(place)
        await desk.until(lambda screen: "shown" in screen or "statements" in screen)
        await desk.press("e")
        await desk.until("Export")
        await desk.press("ctrl+u")
        await desk.type(name)
        await desk.press("enter")
        await desk.until("Wrote")


async def test_queries_as_csv_have_the_store_s_numbers(bench: Workbench, at_desk: Open, in_tmp: Path) -> None:
    made = bench.store.run(shop.fill_open, bench.vault)
    await write(bench, at_desk, "2", "q.csv")
    file = in_tmp / "q.csv"
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
    page = bench.store.run(history.queries, made, DAY)
    assert [(row["id"], int(row["calls"]), float(row["total_time_ms"])) for row in rows] == [
        (row.uid, row.calls, row.total_time_ms) for row in page.rows
    ]
    assert "\x1b" not in file.read_text(encoding="utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_suggestions_as_json_and_indexes_as_markdown(bench: Workbench, at_desk: Open, in_tmp: Path) -> None:
    bench.store.run(shop.fill_open, bench.vault)
    await write(bench, at_desk, "4", "s.json")
    document = json.loads((in_tmp / "s.json").read_text(encoding="ascii"))
    assert document["connection"] == "shop" and len(document["rows"]) == 4
    assert document["rows"][0]["sql"].startswith("CREATE INDEX CONCURRENTLY orders_customer_id_idx")
    await write(bench, at_desk, "3", "i.md")
    text = (in_tmp / "i.md").read_text(encoding="utf-8")
    assert "# Indexes" in text and "| orders\\_pkey |" in text and "\\[bold\\]carts" in text and "\x1b" not in text


def report(values: list[str]) -> Report:
    return Report("Evil", {"connection": values[0]}, [{"name": value, "n": -1} for value in values])


def test_no_text_is_taken_for_a_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(export.as_csv(report(EVIL)))))
    assert all(row["name"].startswith("'") for row in rows[:7])
    assert all(row["n"] == "-1" for row in rows), "a number is one"
    assert rows[7]["name"] == "␛[2J"


def test_no_name_is_taken_for_markdown() -> None:
    text = export.as_markdown(report(EVIL))
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == len(EVIL) + 2, "a line end in a name begins no line"
    assert all(line.replace("\\|", "").count("|") == 3 for line in table)
    assert "<script" not in text.replace("\\<", "")


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("mine")
    assert export.check_path(str(file)) == "it exists already: take another name"
    assert export.check_path(str(tmp_path / "no" / "x.csv")) == "there is no such folder"
    assert export.check_path("x.xls") == "end it in .csv, .json, .md"
    with pytest.raises(MeshagError, match="cannot be written"):
        export.write(str(file), report(EVIL))
    assert file.read_text() == "mine"
