"""Make screenshots/ anew from the demo: `python -m tests.screens.shots [--seconds N] [--to FOLDER] [NAME …]`.

A real PostgreSQL with the shop and its traffic is started, watched for a while and advised on (for one of them a real
MariaDB, which must be on this machine); then each screen is opened by its keys at 80×24 and at 120×40 and kept as SVG.
Takes about a minute more than N seconds for each server.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from meshag_tui import glyphs
from meshag_tui.app import MeshagApp
from meshag_tui.demo.run import Demo, host
from meshag_tui.settings import Settings, UiSettings
from meshag_tui.store import connections
from meshag_tui.types import Target
from meshag_tui.workflows.workbench import Workbench
from tests.screens import picture

SIZES = ((80, 24), (120, 40))
SHOTS: dict[str, tuple[str, ...]] = {
    "connections": ("1",),
    "wizard": ("1", "i", "enter"),
    "queries": ("2",),
    "query": ("2", "enter"),
    "indexes": ("3",),
    "suggestions": ("4",),
    "apply": ("4", "a"),
    "runs": ("5",),
    "doctor": ("6",),
    "activity": ("7",),
    "tables": ("9",),
    "sessions": ("0",),
    "table": ("9", "enter"),
    "help": ("2", "question_mark"),
    "palette": ("2", "ctrl+p"),
    "talk": ("2", "T"),
    "agents": ("A", "b", "b", "j"),
    "flow": ("A", "b", "b", "j", "m", "enter"),
    "mariadb-apply": ("4", "j", "j", "a"),
}
"""Each screenshot by its name, and the keys that lead there from the start; of PostgreSQL unless it says otherwise."""
OF_MARIADB = "mariadb-"
_PASSWORD = re.compile(r"//[^/\s:]+:[^@\s]+@")


async def watch(bench: Workbench, demo: Demo, seconds: float) -> None:
    """Add the shop twice (once only to watch), sync it for a while and look for improvements."""
    shop = await bench.connections.add("shop", Target.from_url(demo.url), interval_s=5)
    watched = await bench.connections.add("shop-watch", Target.from_url(demo.monitor_url), read_only=True)
    for _ in range(max(2, round(seconds / 5))):
        await bench.sync(shop.id)
        await asyncio.sleep(5)
    await bench.sync(watched.id)
    await bench.advice.suggest(shop.id)
    await bench.sync(shop.id)


async def take(bench: Workbench, name: str, size: tuple[int, int], folder: Path) -> Path:
    """Open one screen and keep it."""
    at = max(info.last_sync_at or 0 for info in await bench.store.read(connections.listing))
    app = MeshagApp(bench.settings, bench, collect=False, clock=lambda: at / 1000 + 2)
    async with app.run_test(size=size) as pilot:
        shop = next(info for info in await bench.store.read(connections.listing) if info.name == "shop")
        await picture.settled(pilot)
        app.look_at_connection(shop.id)
        await picture.press(pilot, *SHOTS[name])
        await pilot.pause(1.0)  # plans, reviews and the doctor ask the server
        svg = app.export_screenshot(title=f"MeshAG: {name}")
    assert not _PASSWORD.search(svg), f"{name} shows a password"
    path = folder / f"{name}-{size[0]}x{size[1]}.svg"
    await asyncio.to_thread(path.write_text, svg, encoding="utf-8")
    return path


async def make(engine: str, folder: Path, names: Sequence[str], seconds: float) -> None:
    """Make the screenshots called `names` in `folder`, from the demo on `engine`."""
    with tempfile.TemporaryDirectory(prefix="meshag-shots-") as home:
        settings = Settings(
            home=Path(home), store_url=f"sqlite:///{home}/meshag.db", ui=UiSettings(theme="dark", refresh_s=3_600)
        )
        async with Demo(host(engine), progress=lambda said: print(said, file=sys.stderr)) as demo:
            demo.start_workload()
            async with await Workbench.open(settings) as bench:
                await watch(bench, demo, seconds)
                demo.stop_workload()
                for name in names:
                    for size in SIZES:
                        path = await take(bench, name, size, folder)
                        print(path, file=sys.__stdout__)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", choices=[*SHOTS, []], help="which (all)")
    parser.add_argument("--seconds", type=float, default=60, help="how long the shop is watched before (60)")
    parser.add_argument("--to", type=Path, default=Path(__file__).parents[2] / "screenshots", help="folder")
    args = parser.parse_args()
    glyphs.use_ascii(False)
    args.to.mkdir(parents=True, exist_ok=True)
    names = args.names or list(SHOTS)
    for engine, prefixed in (("postgresql", False), ("mariadb", True)):
        chosen = [name for name in names if name.startswith(OF_MARIADB) is prefixed]
        if chosen:
            asyncio.run(make(engine, args.to, chosen, args.seconds))


if __name__ == "__main__":
    main()
