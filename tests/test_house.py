"""The house stands: rooms import only downwards, the core runs without the screen, nothing knows a machine."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "meshag_tui"

# The floor of each room; a room not listed here is not part of the house.
FLOORS = {
    "cli": 5,
    "__main__": 5,
    "app": 5,
    "plain_app": 5,
    "replay_app": 5,
    "screens": 5,
    "widgets": 5,
    "workflows": 4,
    "advisor": 3,
    "agents": 3,
    "changes": 3,
    "engines": 2,
    "store": 2,
    "settings": 1,
    "maintenance": 1,
    "types": 1,
    "proposed": 1,
    "text": 1,
    "glyphs": 1,
    "figures": 1,
    "services": 1,
    "snapshot": 1,
    "upgrading": 1,
    "live": 1,
    "plan": 1,
    "logs": 1,
    "servers": 1,
}
# Beside the floors: the demo is a workload for people to look at, so only the command line may ask for it, and it asks
# for nothing but the servers and the words everything shares.
DEMO = "demo"
MAY_USE_DEMO = {"cli"}
# Rooms that can do the whole work without a screen.
GROUND = (
    "types",
    "proposed",
    "settings",
    "services",
    "snapshot",
    "upgrading",
    "live",
    "plan",
    "glyphs",
    "text",
    "figures",
    "servers",
)
HEADLESS = (*GROUND, "store", "engines", "advisor", "agents", "changes", "workflows")
SCREEN = {"textual", "rich"}
HEAVY = SCREEN | {"peewee", "playhouse", "psycopg", "asyncmy", "openai", "plotext", "postgast", "cryptography"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each import of our package, deferred ones and those for type checking included."""
    package = ".".join(("meshag_tui", *path.relative_to(PACKAGE).parent.parts))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                upwards = package.split(".")
                base = ".".join([*upwards[: len(upwards) - node.level + 1], *([base] if base else [])])
            if base == "meshag_tui":
                yield from ((node.lineno, f"meshag_tui.{name.name}") for name in node.names)
            else:
                yield node.lineno, base


def may_use(room: str, used: str) -> bool:
    if used in (room, "__version__", "__init__"):
        return True
    if used == DEMO:
        return room in MAY_USE_DEMO
    if room == DEMO:
        return FLOORS[used] == 1
    if {room, used} == {"engines", "store"}:
        return False
    if FLOORS[room] in (3, 5) or FLOORS[room] == 1:  # neighbours on these floors work together
        return FLOORS[used] <= FLOORS[room]
    return FLOORS[used] < FLOORS[room]


def test_every_room_has_its_floor() -> None:
    rooms = {room_of(path) for path in modules()} - {"__init__", DEMO}
    assert rooms <= set(FLOORS), f"rooms without a floor: {sorted(rooms - set(FLOORS))}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        room = "types"  # the package itself is as low as can be
    wrong = [
        f"line {line}: {room} uses {name}"
        for line, name in imports(path)
        if name.startswith("meshag_tui.") and not may_use(room, name.split(".")[1])
    ]
    assert not wrong, wrong


def test_the_rule_would_catch_what_it_forbids() -> None:
    assert not may_use("store", "engines")
    assert not may_use("engines", "store")
    assert not may_use("types", "store")
    assert not may_use("advisor", "workflows")
    assert not may_use("changes", "screens")
    assert not may_use("screens", DEMO)
    assert may_use("screens", "workflows")
    assert may_use("workflows", "store")


def loaded_after(code: str) -> set[str]:
    """Top-level packages in sys.modules of a fresh process after `code`."""
    report = "import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def submodules(room: str) -> list[str]:
    if (PACKAGE / f"{room}.py").exists():
        return [f"meshag_tui.{room}"]
    found = sorted((PACKAGE / room).rglob("*.py"))
    names = [".".join(("meshag_tui", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in found]
    return [name.removesuffix(".__init__") for name in names if "migrations.0" not in name]


@pytest.mark.parametrize("room", HEADLESS)
def test_the_core_needs_no_screen(room: str) -> None:
    names = submodules(room)
    assert names, f"there is no room {room}"
    loaded = loaded_after("\n".join(f"import {name}" for name in names))
    assert not loaded & SCREEN


@pytest.mark.parametrize("room", GROUND)
def test_the_ground_floor_is_light(room: str) -> None:
    assert not loaded_after(f"import meshag_tui.{room}") & HEAVY


def test_version_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, runpy; sys.argv = ['meshag', '--version']\n"
        "try: runpy.run_module('meshag_tui', run_name='__main__')\n"
        "except SystemExit as done: assert not done.code, done.code"
    )
    assert not loaded_after(code) & HEAVY
    done = subprocess.run(
        [sys.executable, "-m", "meshag_tui", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "MESHAG_HOME": str(tmp_path / "home")},
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d+\.\d+\.\d+", done.stdout)
    assert not (tmp_path / "home").exists(), "--version made a home"


def test_the_package_knows_no_machine() -> None:
    """No path of the machine it was written on, no host of a registry."""
    pattern = re.compile(r"(?<![\w.])/(work|root|Users|farm)/|://(deb|pypi|registry|files|snapshot)\.")
    wrong = [
        f"{path.relative_to(PACKAGE)}:{number}: {line.strip()}"
        for path in sorted(PACKAGE.rglob("*"))
        if path.suffix in {".py", ".sql", ".tcss"}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not wrong, wrong


def test_the_package_carries_its_data() -> None:
    """What is no Python is named in the package data, so that an installed copy has it too."""
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    kinds = {path.suffix or path.name for path in files}
    assert kinds <= {".py", ".sql", ".tcss", ".typed"}, kinds
    for folder in {path.parent for path in files if path.suffix != ".py"}:
        assert (folder / "__init__.py").exists(), folder
