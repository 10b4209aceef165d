"""Run the benchmarks: `python -m tests.benchmarks [sync|terminal|history|scale|advisor …] [--json]`.

Those that last as long as is asked for (`one --seconds 86400`) are run by their names only.
"""

from __future__ import annotations

import argparse
import importlib
import json
from typing import Any

NAMES = ("sync", "terminal", "history", "scale", "advisor")
LASTING = ("one", "twenty", "databases", "overhead", "holes")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, *LASTING, []], help="which (default: all)")
    parser.add_argument("--seconds", type=float, default=600, help=f"how long each of {', '.join(LASTING)} is measured")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    arguments = parser.parse_args()
    results = {name: _run(name, arguments.seconds) for name in arguments.names or NAMES}
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    for name, groups in results.items():
        for group, rows in groups.items():
            print(f"\n{name}: {group}")
            for row in rows:
                print("  " + "  ".join(f"{key}={value}" for key, value in row.items()))


def _run(name: str, seconds: float) -> dict[str, Any]:
    if name in LASTING:
        return dict(getattr(importlib.import_module("tests.benchmarks.collecting"), name)(seconds))
    return dict(importlib.import_module(f"tests.benchmarks.{name}").run())


if __name__ == "__main__":
    main()
