"""The `meshag` command: `python -m meshag_tui` and the console script both come in here."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line of this process; the answer is its exit code."""
    from meshag_tui.cli.command import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
