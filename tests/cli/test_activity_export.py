"""A log is written to a file page by page: all of it, in its order, or nothing."""

from __future__ import annotations

import csv
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from meshag_tui.cli import activity as command
from meshag_tui.cli.output import Output
from meshag_tui.settings import Settings
from meshag_tui.store import activity, chain
from meshag_tui.types import MeshagError
from meshag_tui.workflows.workbench import Workbench
from tests.rig.stores import put_store

PAGE, ENTRIES = 3, 8


@pytest.fixture
async def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(command, "_PAGE", PAGE)
    (tmp_path / "home").mkdir(mode=0o700)
    made = Settings(home=tmp_path / "home", store_url=put_store(tmp_path / "home" / "meshag.db"))
    async with await Workbench.open(made) as bench:
        for number in range(ENTRIES):
            await bench.note(f"=note {number}" if number % 2 else f"word {number}")
    return made


async def _export(settings: Settings, file: Path, **wanted: Any) -> None:
    nothing = dict.fromkeys(("kind", "actor", "project", "text", "since", "until", "connection"))
    await command.export(Namespace(settings=settings, file=str(file), **{**nothing, **wanted}), Output(True))


async def test_a_log_longer_than_a_page_is_written_whole(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    following = activity.following

    def counted(after: int, n: int, **which: Any) -> tuple[activity.Entry, ...]:
        found = following(after, n, **which)
        asked.append(len(found))
        return found

    monkeypatch.setattr(activity, "following", counted)
    await _export(settings, tmp_path / "log.json")
    assert asked == [3, 3, 2, 0], "never more than a page"
    entries = json.loads((tmp_path / "log.json").read_text())["entries"]
    assert [each["message"].split()[1] for each in entries] == [str(n) for n in range(ENTRIES)]
    assert chain.verify_entries(entries) == ()
    await _export(settings, tmp_path / "log.csv")
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [str(each["id"]) for each in entries], "one header"
    assert rows[1]["message"] == "'=note 1", "and no formula"
    await _export(settings, tmp_path / "some.json", text="word")
    assert len(json.loads((tmp_path / "some.json").read_text())["entries"]) == ENTRIES / 2
    await _export(settings, tmp_path / "none.json", actor="nobody")
    assert json.loads((tmp_path / "none.json").read_text())["entries"] == []


async def test_a_log_that_cannot_be_read_to_its_end_leaves_no_file(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    following = activity.following

    def fails(after: int, n: int, **which: Any) -> tuple[activity.Entry, ...]:
        if after:
            raise MeshagError("the store went away")
        return following(after, n, **which)

    monkeypatch.setattr(activity, "following", fails)
    with pytest.raises(MeshagError, match="went away"):
        await _export(settings, tmp_path / "log.json")
    assert not (tmp_path / "log.json").exists()
