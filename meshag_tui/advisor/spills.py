"""Statements whose sorts, hashes and groups do not fit in the memory they may have, by what the server counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from meshag_tui.advisor.costs import memory_setting
from meshag_tui.advisor.examined import Examined
from meshag_tui.advisor.statement_advice import advice
from meshag_tui.figures import count, size
from meshag_tui.types import Risk, SetSetting, Suggestion

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog

LEAST_SHARE = 0.005
NOTABLE_SHARE = 0.02
SPILL_BLOCKS = 32.0
SPILLING_CALLS = 0.5
"""Share of the calls that must write a temporary table to disk, or sort in several passes."""
MOST_FOR_A_ROLE_MB = 64
"""More than this is for the one statement that needs it, not for every sort of every session of a role."""
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
    made = advice(
        "work-mem-spill",
        one,
        f"{one.query.uid} writes {size(each)} of temporary files a call",
        f"A sort or hash of {one.query.uid} does not fit in work_mem ({have}) and spills {size(each)} to temporary "
        f"files on each of {count(calls)} calls. {remedies['work-mem-spill'].format(wanted=f'{wanted}MB')}",
        [f"{count(written)} temporary blocks written in {count(calls)} calls", f"work_mem {have}"],
        0.85,
    )
    role, own = one.query.db_user, one.query.database == catalog.facts.database
    if role is not None and own and wanted <= MOST_FOR_A_ROLE_MB:
        said = remedies["work-mem-of-role"].format(wanted=f"{wanted}MB", role=role)
        change = SetSetting("work_mem", f"{wanted}MB", role=role, database=catalog.facts.database)
        made = replace(made, text=f"{made.text} {said}", change=change, risk=Risk.MEDIUM)
    yield made


def once_a_role(made: Sequence[Suggestion]) -> list[Suggestion]:
    """Of the statements of one role that spill, only the one that needs most sets its memory: for the others it serves.

    The rest stays as advice.
    """
    most: dict[tuple[str | None, str | None], int] = {}
    for one in made:
        if isinstance(one.change, SetSetting):
            place = (one.change.role, one.change.database)
            most[place] = max(most.get(place, 0), _megabytes(one.change))
    kept = []
    for one in made:
        change = one.change
        if isinstance(change, SetSetting) and most.get((change.role, change.database)) != _megabytes(change):
            one = replace(one, change=None)
        elif isinstance(change, SetSetting):
            del most[change.role, change.database]  # of equal ones the first
        kept.append(one)
    return kept


def _megabytes(change: SetSetting) -> int:
    return int((change.value or "0").removesuffix("MB"))


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
