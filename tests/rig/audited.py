"""What pip-audit found, in a few lines: reads its JSON from standard input; exits 1 where a flaw is known."""

from __future__ import annotations

import json
import sys
from typing import Any


def told(document: dict[str, Any]) -> tuple[list[str], bool]:
    """Lines for people, and whether a flaw is known."""
    packages = [each for each in document.get("dependencies", ()) if "editable" not in each.get("skip_reason", "")]
    audited = [each for each in packages if "skip_reason" not in each]
    if not audited:
        return ["not audited: no service that knows of flaws can be reached from here"], False
    lines = [
        f"{package['name']} {package['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'none'}"
        for package in audited
        for flaw in package["vulns"]
    ]
    count = f"{len(audited)} of {len(packages)} packages audited"
    return [*lines, f"{count}, {len(lines)} flaws known"], bool(lines)


def main() -> int:
    said = sys.stdin.read().strip()
    lines, flawed = told(json.loads(said) if said.startswith("{") else {})
    print(*lines, sep="\n")
    return int(flawed)


if __name__ == "__main__":
    sys.exit(main())
