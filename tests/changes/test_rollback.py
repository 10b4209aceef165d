"""A change is not put back when its object is another by now: refused in a line, nothing touched."""

from __future__ import annotations

import pytest

from meshag_tui.types import ChangeState, DropIndex, HideIndex, MeshagError
from tests.changes.conftest import BY_CUSTOMER, Desk, catalogue
from tests.changes.test_mysql import SHOP as MY_SHOP
from tests.changes.test_mysql import definitions
from tests.rig.mysql import Schema
from tests.rig.postgres import Database

CHANGED_SINCE = {
    "another definition": (
        BY_CUSTOMER,
        "DROP INDEX orders_by_customer; CREATE INDEX orders_by_customer ON public.orders (total)",
        r"not the one that chg_\w+ made any more but CREATE INDEX orders_by_customer .*\(total\)",
    ),
    "described": (
        BY_CUSTOMER,
        "COMMENT ON INDEX orders_by_customer IS 'the yearly report needs it'",
        r"not the one.*the yearly report needs it",
    ),
    "clustered": (BY_CUSTOMER, "ALTER TABLE public.orders CLUSTER ON orders_by_customer", r"not the one.*CLUSTER ON"),
    "gone": (BY_CUSTOMER, "DROP INDEX orders_by_customer", r"There is no index public\.orders_by_customer"),
    "name taken": (
        DropIndex("public", "orders", "orders_status"),
        "CREATE TABLE orders_status (id int)",
        r"The name public\.orders_status is taken",
    ),
    "column gone": (
        DropIndex("public", "orders", "orders_status"),
        "ALTER TABLE public.orders RENAME status TO state",
        r"There is no column status in public\.orders any more",
    ),
    "another table": (
        DropIndex("public", "orders", "orders_status"),
        "ALTER TABLE public.orders RENAME TO orders_old; CREATE TABLE public.orders (id int, status text)",
        r"another table than the one chg_\w+ dropped the index from",
    ),
}


async def test_what_has_changed_since_is_not_put_back(desk: Desk, shop18: Database) -> None:
    for meanwhile, (change, statements, said) in CHANGED_SINCE.items():
        shop18.execute(
            "DROP TABLE IF EXISTS public.orders, public.orders_old",
            "DROP TABLE IF EXISTS public.orders_status",
            "CREATE TABLE public.orders (id bigint PRIMARY KEY, customer_id int, status text, total numeric)",
            "CREATE INDEX orders_status ON public.orders (status)",
        )
        row = await desk.apply(shop18, change)
        shop18.execute(statements)
        before = catalogue(shop18)
        with pytest.raises(MeshagError, match=said):
            await desk.bench.hands.undo(row.id)
        assert catalogue(shop18) == before, meanwhile
        assert (await desk.journal())[0].state is ChangeState.DONE


async def test_a_hidden_index_that_is_another_by_now_is_not_shown(desk: Desk, my: Schema) -> None:
    my.execute(*MY_SHOP)
    row = await desk.apply(my, HideIndex(my.name, "orders", "status"))
    hidden = "IGNORED" if my.flavour == "MariaDB" else "INVISIBLE"
    my.execute(f"ALTER TABLE orders DROP KEY status, ADD KEY status (status, id) {hidden}")
    before = definitions(my)
    with pytest.raises(MeshagError, match="not the one"):
        await desk.bench.hands.undo(row.id)
    assert definitions(my) == before
