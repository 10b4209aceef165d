"""People, access keys and projects by keys; the log is verified, lists are arranged and written to a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meshag_tui.settings import Settings
from meshag_tui.store import access_keys, activity, connections, models, people, projects
from meshag_tui.store.database import Store
from meshag_tui.types import Target
from meshag_tui.widgets import themes
from meshag_tui.workflows.workbench import Workbench
from tests.screens import picture
from tests.screens.conftest import Open
from tests.screens.test_pictures import SIZES, the_same_everywhere

__all__ = ["the_same_everywhere"]


async def test_a_team_is_made_by_keys(bench: Workbench, at_desk: Open, tmp_path: Path) -> None:
    async with at_desk(bench) as desk:
        await desk.press("A")
        await desk.press("b", "b", "b", "b")
        await desk.until("[People]")
        await desk.until(bench.actor)
        await desk.press("i")
        await desk.until("Add somebody")
        await desk.type("Bo")
        await desk.press("tab")
        await desk.type("bo@example.com")
        await desk.press("enter")
        await desk.until("bo@example.com")
        assert {who.role for who in bench.store.run(people.listing)} == {"admin", "operator"}

        await desk.press("f")
        await desk.until("no access key")
        await desk.press("i")
        await desk.until("Make an access key")
        await desk.type("cron")
        await desk.press("enter")
        await desk.until("never again")
        secret = next(word for word in desk.words.split() if word.startswith("mk_") and word.count("_") >= 2)
        assert bench.store.run(access_keys.authenticate, access_keys.Secret(secret))
        await desk.press("escape")
        await desk.until("read, collect")
        assert secret not in desk.words
        await desk.press("P")
        await desk.until("is revoked")
        assert not bench.store.run(access_keys.listing)[0].active

        await desk.press("b", "b")
        await desk.until("[Projects]")
        await desk.press("i")
        await desk.until("Make a project")
        await desk.type("Web")
        await desk.press("tab", "right", "shift+tab", "enter")
        await desk.until("only on this machine")
        assert bench.store.run(projects.find, "Web").settings == {"no_cloud": True}
        file = tmp_path / "projects.json"
        await desk.press("e")
        await desk.until("Export projects")
        await desk.press("ctrl+u")
        await desk.type(str(file))
        await desk.press("enter")
        await desk.until("Wrote")
        assert {row["name"] for row in json.loads(file.read_text())["rows"]} >= {"Web"}
        await desk.press("D")
        await desk.until("Forget a project")
        await desk.type("Web")
        await desk.press("enter")
        await desk.until("Forgot Web")

        await desk.press("7")
        await desk.until("project.removed")
        await desk.press("V")
        await desk.until("are as they were written")
        last = bench.store.run(activity.recent, 1)[0]
        bench.store.run(lambda: models.Activity.update(actor="eve").where(models.Activity.id == last.id).execute())
        await desk.press("V")
        await desk.until("The log was changed")
        assert f"entry {last.id} is not as it was written" in desk.words


async def test_a_project_has_a_look_of_its_own(bench: Workbench, at_desk: Open) -> None:
    assert projects.THEMES == themes.NAMES
    target = Target.from_url("postgresql://app@127.0.0.1:1/shop")
    added = await bench.connections.add("shop", target)
    project = (await bench.store.read(connections.get, added.id)).project_id
    async with at_desk(bench) as desk:
        await desk.until("shop")
        await bench.community.edit_project(project, theme="light")
        await desk.until(lambda _: desk.app.theme == "light")
        await bench.community.edit_project(project, theme=None)
        await desk.until(lambda _: desk.app.theme == "dark")


SCREENS = {"people": ("A", *"bbbb"), "keys": ("A", *"bbb"), "projects": ("A", *"bbbbb")}


def fill_people(settings: Settings) -> None:
    """Three people, two keys, and settings of the project there is."""
    store = Store.open(settings.store_url)
    try:
        store.run(_fill)
    finally:
        store.close()


def _fill() -> None:
    people.local("ada")
    people.add("ada", "bo@example.com", "Bo Example", "operator", "bo")
    people.add("ada", "cy@example.com", "Cy Example", "approver", "cy")
    for number, user in enumerate(models.User.select().order_by(models.User.name)):
        models.User.update(id=f"usr_{number:016d}").where(models.User.id == user.id).execute()
    access_keys.add("ada", "nightly advice", ("collect", "analyze"), per_minute=60)
    access_keys.add("ada", "dashboards", ("read",), user="bo")
    for number, row in enumerate(models.AccessKey.select().order_by(models.AccessKey.id)):
        later = None if number else picture.AT - picture.HOUR
        models.AccessKey.update(
            id=f"key_{number:016d}",
            prefix=f"mk_{number:08d}",
            last_used_at=later,
            expires_at=picture.AT + picture.DAY if number else None,
        ).where(models.AccessKey.id == row.id).execute()
    default = models.Project.select().order_by(models.Project.id).first()
    projects.edit("ada", default.id, colour="red", no_cloud=True, bell=False, quiet="22:00-07:00")
    models.database.execute_sql("PRAGMA foreign_keys = 0")  # an id that is the same in every picture
    models.Connection.update(project="prj_0000000000000001").where(models.Connection.project == default.id).execute()
    models.Project.update(id="prj_0000000000000001").where(models.Project.id == default.id).execute()
    models.database.execute_sql("PRAGMA foreign_keys = 1")
    for model in (models.User, models.AccessKey, models.Project):
        model.update(created_at=picture.AT - picture.DAY, updated_at=picture.AT - picture.HOUR).execute()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", SCREENS)
def test_screen(
    snap_compare: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, size: tuple[int, int]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    settings = picture.settings_in(tmp_path / "home")
    picture.fill(settings)
    fill_people(settings)
    app = picture.application(settings)
    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: picture.press(pilot, *SCREENS[name]))


async def test_a_project_is_gone_to_and_its_files_are_put_into_its_folder(
    bench: Workbench, at_desk: Open, tmp_path: Path
) -> None:
    """Several connections side by side, each with its state; the palette narrows them to one project."""
    folder = tmp_path / "web"
    folder.mkdir()
    await bench.community.add_project("Web", path=str(folder))
    for name, project in (("billing", "Money"), ("shop", "Web"), ("stock", "Web")):
        await bench.connections.add(name, Target.from_url("postgresql://a@192.0.2.1/x"), project=project)
    async with at_desk(bench) as desk:
        await desk.press("1")
        said = await desk.until(lambda screen: screen.count("testing") >= 3)
        assert "billing" in said and "shop" in said and "stock" in said
        await desk.press("ctrl+p", *"projectweb")
        await desk.until("2 connections")
        await desk.press("enter")
        await desk.until(lambda screen: "billing" not in "\n".join(screen.splitlines()[1:12]))
        assert desk.app.connection is not None and desk.app.connection.name == "shop"
        assert desk.app.connection.proposed("a.csv") == str(folder / "a.csv")
        await desk.press("7", "e")
        await desk.until(str(folder)[:30])
    folder.rmdir()
    (info,) = [each for each in await bench.store(connections.listing) if each.name == "shop"]
    assert info.proposed("a.csv") == "./a.csv", "the folder is not on this machine"
