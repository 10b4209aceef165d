"""Names of one list that are cut look different whenever they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from meshag_tui import glyphs, text
from meshag_tui.widgets.told_apart import told_apart


@pytest.fixture(params=[False, True], ids=["unicode", "ascii"], autouse=True)
def drawing(request: pytest.FixtureRequest) -> Iterator[None]:
    glyphs.use_ascii(request.param)
    yield
    glyphs.use_ascii(None)


INDEXES = ("orders_customer_id_created_at_idx", "orders_customer_id_created_on_idx", "orders_customer_id_status_idx")
WIDE = tuple(f"表の名前のとても長い索引{n}" for n in range(12))
MIDDLES = ("a" * 30 + "x" + "b" * 30, "a" * 30 + "y" + "b" * 30, "a" * 30 + "z" + "b" * 30 + "c")


@pytest.mark.parametrize("width", [10, 14, 22, 26])
@pytest.mark.parametrize("names", [INDEXES, MIDDLES, INDEXES + MIDDLES, WIDE])
def test_names_that_differ_look_different_when_they_are_cut(names: tuple[str, ...], width: int) -> None:
    cuts = told_apart(names, width)
    shown = {cuts.get(name, text.clip(name, width)) for name in names}
    assert len(shown) == len(names)
    assert all(text.width_of(each) <= width for each in shown)


def test_a_name_that_looks_like_no_other_is_cut_as_ever() -> None:
    mark = glyphs.glyphs().ellipsis
    assert told_apart((*INDEXES, "orders_pkey", "shipments_by_warehouse_and_day"), 22) == {
        "orders_customer_id_created_at_idx": f"{mark}mer_id_created_at_idx",
        "orders_customer_id_created_on_idx": f"{mark}mer_id_created_on_idx",
    }
    assert told_apart(INDEXES, 40) == {}
