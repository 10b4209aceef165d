"""Run the benchmarks: `python -m tests.benchmarks [sync|terminal|history|scale|advisor …] [--json]`."""

from __future__ import annotations

import argparse
import importlib
import json

NAMES = ("sync", "terminal", "history", "scale", "advisor")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help="which (default: all)")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    arguments = parser.parse_args()
    results = {name: importlib.import_module(f"tests.benchmarks.{name}").run() for name in arguments.names or NAMES}
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    for name, groups in results.items():
        for group, rows in groups.items():
            print(f"\n{name}: {group}")
            for row in rows:
                print("  " + "  ".join(f"{key}={value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
