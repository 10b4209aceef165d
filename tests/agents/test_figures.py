"""Figures of an answer are held against the evidence: the same up to rounding, of the same kind, or marked."""

from __future__ import annotations

from unittest import mock

import pytest

from meshag_tui.agents.figures import Figure, figures, parts, unchecked

EVIDENCE = (
    "Statement qry_0000000042: 12,345 calls, mean 1.2 s, total 4.1 h (57 % of all time), 5.0 rows a call\n"
    "Table: about 1.23 M rows, 4,200 pages, 640 kB; planner cost 9,800"
)


@pytest.mark.parametrize(
    "said",
    [
        *("12,345 calls", "12 k calls", "12345 calls", "about 12,300 calls", "1.2 s", "1,200 ms", "1.2 seconds"),
        *("57 %", "57%", "57 percent", "1,230,000 rows", "1.2 million rows", "640 kB", "655,360 bytes", "246 min"),
        *("cost 9,800.", "(9800)"),
    ],
)
def test_the_same_figure_in_other_words_is_in_the_evidence(said: str) -> None:
    assert [part.checked for part in parts(said, EVIDENCE) if part.checked is not None] == [True], said


@pytest.mark.parametrize("said", ["1.3 s", "12 s", "57 ms", "43 %", "10x faster", "640 MB", "4,000 pages", "98"])
def test_another_figure_is_not(said: str) -> None:
    assert len(unchecked(parts(said, EVIDENCE))) == 1, said


def test_names_code_lists_and_small_counts_are_no_figures() -> None:
    said = "1. The 2 indexes of qry_0000000099\n2) `LIMIT 500` and $1 of table t2, since 2026-09-21, v15.3, a_17"
    said += "\n```\n77\n```"
    assert list(figures(said)) == []


def test_an_answer_is_whole_in_its_parts() -> None:
    said = "It takes 1.2 s, 93 % of it sorting: 7 s."
    found = parts(said, EVIDENCE)
    assert "".join(part.text for part in found) == said
    assert unchecked(found) == ("93 %", "7 s")


@pytest.mark.parametrize("line", ["{n}. takes {m} ms", "`a{n}` takes {m} ms", "takes {m} ms"])
def test_a_long_answer_is_looked_through_once(line: str) -> None:
    """Each figure is held against few others, however many numbers of lists, names of code and figures there are."""
    answer = "\n".join(line.format(n=number, m=number * 7) for number in range(1, 4_001))
    compared = 0
    said_by = Figure.is_said_by

    def counted(self: Figure, other: Figure) -> bool:
        nonlocal compared
        compared += 1
        return said_by(self, other)

    with mock.patch.object(Figure, "is_said_by", counted):
        found = parts(answer, "\n".join(f"{number * 14} ms" for number in range(1, 2_001)))
    figures_there = [part for part in found if part.checked is not None]
    assert len(figures_there) == 4_000 and all(part.checked for part in figures_there if part.text.endswith("00 ms"))
    assert compared <= 100 * 4_000, "not each with all 2,000"
