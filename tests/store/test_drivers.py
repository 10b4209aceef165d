"""Importing Peewee without its drivers, beside a thread that imports something else."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

from meshag_tui.store import drivers


def test_the_finders_another_thread_goes_through_stay_as_they_are() -> None:
    """A list from which something is taken while it is gone through skips the entry that follows."""
    gone_through, before = sys.meta_path, list(sys.meta_path)
    seen: list[bool] = []

    def executed(module: ModuleType) -> None:
        seen.append(gone_through == before and sys.meta_path[1:] == before)

    drivers._without_drivers(executed, ModuleType("peewee"))
    assert seen == [True]
    assert gone_through == before == sys.meta_path


def test_whoever_imports_peewee_first_gets_it_without_drivers() -> None:
    program = (
        "import meshag_tui.store, sys; assert 'peewee' not in sys.modules; import peewee; "
        "print(peewee.Model.__module__, peewee.__loader__.get_source('peewee')[:3], 'psycopg' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.split()[0] == "peewee" and done.stdout.split()[-1] == "False", done.stderr
