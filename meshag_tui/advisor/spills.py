"""Statements whose sorts, hashes and groups do not fit in the memory they may have, by what the server counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from meshag_tui.advisor.costs import memory_setting
from meshag_tui.advisor.examined import Examined
from meshag_tui.advisor.statement_advice import advice
from meshag_tui.text import count, size
from meshag_tui.types import Suggestion

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog

LEAST_SHARE = 0.005
NOTABLE_SHARE = 0.02
SPILL_BLOCKS = 32.0
SPILLING_CALLS = 0.5
"""Share of the calls that must write a temporary table to disk, or sort in several passes."""
SORTED_ROWS = 5_000.0
"""Rows read by a call from which several passes of a sort are worth a word."""


def spills(one: Examined, catalog: Catalog, remedies: Mapping[str, str]) -> Iterator[Suggestion]:
    """What one statement writes to disk beside its result."""
    yield from _temporary_files(one, catalog, remedies)
    yield from _on_disk(one, remedies)


def _temporary_files(one: Examined, catalog: Catalog, remedies: Mapping[str, str]) -> Iterator[Suggestion]:
    written, calls = one.query.temp_written, max(one.query.calls, 1)
    if not written or written / calls < SPILL_BLOCKS or one.share < LEAST_SHARE:
        return
    each = written / calls * catalog.facts.block_size
    memory = memory_setting(catalog.facts.settings, "work_mem")
    have = "unknown" if memory is None else size(memory)
    wanted = max(4, 2 ** (int(each * 2.5) // 1024**2).bit_length())
    yield advice(
        "work-mem-spill",
        one,
        f"{one.query.uid} writes {size(each)} of temporary files a call",
        f"A sort or hash of {one.query.uid} does not fit in work_mem ({have}) and spills {size(each)} to temporary "
        f"files on each of {count(calls)} calls. {remedies['work-mem-spill'].format(wanted=f'{wanted}MB')}",
        [f"{count(written)} temporary blocks written in {count(calls)} calls", f"work_mem {have}"],
        0.85,
    )


def _on_disk(one: Examined, remedies: Mapping[str, str]) -> Iterator[Suggestion]:
    """Temporary tables on disk and sorts in several passes, where the server counts these."""
    calls = max(one.query.calls, 1)
    if one.share < NOTABLE_SHARE:
        return
    tables, passes = one.query.tmp_disk_tables or 0, one.query.sort_merge_passes or 0
    if tables / calls >= SPILLING_CALLS:
        yield advice(
            "temp-table-spill",
            one,
            f"{one.query.uid} writes temporary tables to disk, {tables / calls:.1f} a call",
            f"Its groups, sorts or derived tables do not fit in memory or hold long columns, so {count(tables)} "
            f"temporary tables went to disk in {count(calls)} calls. {remedies['temp-table-spill']}",
            [f"{count(tables)} temporary tables on disk in {count(calls)} calls, {count(one.query.tmp_tables)} in all"],
            0.8,
        )
    elif passes / calls >= SPILLING_CALLS and (one.examined_per_call or 0) >= SORTED_ROWS:
        yield advice(
            "sort-spill",
            one,
            f"{one.query.uid} sorts in several passes through temporary files",
            f"What it sorts does not fit in the sort buffer: {count(passes)} merge passes in {count(calls)} calls, "
            f"each of which reads {count(one.examined_per_call)} rows. {remedies['sort-spill']}",
            [f"{count(passes)} merge passes in {count(calls)} calls"],
            0.75,
        )
