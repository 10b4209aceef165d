"""What calls to models cost, what may be spent, what was invoiced: exact, on either store."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from meshag_tui.settings import Settings
from meshag_tui.store import (
    activity,
    amounts,
    answers,
    budgets,
    costs,
    database,
    ledger,
    models,
    prices,
    projects,
    providers,
)
from meshag_tui.store.database import Store
from meshag_tui.store.vault import NotForThisConnection, Vault, rotate
from meshag_tui.types import Secret, UsageError

CALL = ledger.Call(
    provider="cloud",
    model="m1",
    purpose="advice",
    local=False,
    actor="ada",
    prompt_hash="h",
    most_in=1000,
    most_out=500,
)
KEY = Secret("sk-canary-0123456789")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault.open(Settings(home=tmp_path, store_url=""), {})


@pytest.fixture
def priced(store: Store) -> Store:
    """A store where m1 of cloud costs 2 for a million tokens sent, 8 for a million got."""
    store.run(prices.put, "cloud", "m1", 0, "2", "8", "0.5")
    return store


def spend(store: Store, call: ledger.Call = CALL, sent: int = 1000, got: int = 500) -> Decimal | None:
    """Make a call that succeeds; its cost."""
    usage_id = store.run(ledger.reserve, call)
    return store.run(ledger.settle, usage_id, "success", tokens_in=sent, tokens_out=got).cost


# --- providers ------------------------------------------------------------------------------------------------------


def test_a_providers_key_opens_only_at_its_own_address(store: Store, vault: Vault) -> None:
    info = store.run(providers.add, "cloud", "openai", "https://api.example/v1/", ["m1"], "json_schema", KEY, vault)
    assert info.last4 == "6789" and info.base_url == "https://api.example/v1"
    assert store.run(providers.key, info.id, vault).reveal() == KEY.reveal()
    raw = store.run(lambda: repr(list(models.Provider.select().tuples())))
    assert "canary" not in raw and "canary" not in repr(info)
    store.run(lambda: models.Provider.update(base_url="http://elsewhere/v1").execute())
    with pytest.raises(NotForThisConnection, match="enter the key again"):
        store.run(providers.key, info.id, vault)


def test_another_address_needs_the_key_again(store: Store, vault: Vault) -> None:
    info = store.run(providers.add, "cloud", "openai", "https://api.example/v1", ["m1"], "json_schema", KEY, vault)
    with pytest.raises(UsageError, match="give the key again"):
        store.run(providers.edit, info.id, vault, base_url="https://other.example/v1")
    moved = store.run(providers.edit, info.id, vault, base_url="https://other.example/v1", key=KEY)
    assert store.run(providers.key, moved.id, vault).reveal() == KEY.reveal()
    without = store.run(providers.edit, info.id, vault, key=None)
    assert without.last4 is None and store.run(providers.key, info.id, vault) is None


def test_a_rotation_seals_the_keys_of_providers_anew(store: Store, vault: Vault) -> None:
    info = store.run(providers.add, "cloud", "openai", "https://api.example/v1", ["m1"], "text", KEY, vault)
    assert rotate(vault, store).secrets == 1
    assert store.run(providers.key, info.id, vault).reveal() == KEY.reveal()


def test_providers_are_tried_in_the_order_that_was_set(store: Store, vault: Vault) -> None:
    for name in ("a", "b", "c"):
        store.run(providers.add, name, "ollama", "http://localhost:11434/v1", ["m"], "text", None, vault)
    assert [info.name for info in store.run(providers.order, ["c"])] == ["c", "a", "b"]
    with pytest.raises(UsageError, match="named twice"):
        store.run(providers.order, ["a", "a"])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "config"}, "config.toml"),
        ({"name": "a/b"}, "without /"),
        ({"base_url": "https://user:pw@host/v1"}, "without a user"),
        ({"base_url": "ftp://host"}, "http"),
        ({"model_names": [" "]}, "at least one model"),
        ({"shape": "xml"}, "one of"),
    ],
)
def test_a_provider_that_cannot_be_is_refused(store: Store, vault: Vault, changes: dict[str, Any], says: str) -> None:
    given: dict[str, Any] = {
        "name": "cloud",
        "kind": "openai",
        "base_url": "https://api.example/v1",
        "model_names": ["m"],
        "shape": "text",
        "key": None,
        "vault": vault,
    }
    with pytest.raises(UsageError, match=says):
        store.run(providers.add, **{**given, **changes})


def test_a_provider_that_fails_again_and_again_is_left_alone_for_a_while(store: Store) -> None:
    for number in range(1, providers.REST_AFTER):
        assert store.run(providers.failed, "cloud", "503").failures == number
    assert store.run(providers.health, "cloud").rests_until is None
    rests = store.run(providers.failed, "cloud", "503").rests_until
    assert rests is not None and rests > store.run(database.now_ms)
    store.run(providers.answered, "cloud")
    assert store.run(providers.health, "cloud").failures == 0
    assert store.run(providers.failed, "cloud", "429", 60_000).rests_until is not None  # it asked for a minute


# --- prices and the ledger ------------------------------------------------------------------------------------------


def test_costs_are_exact_to_six_decimals(priced: Store) -> None:
    assert spend(priced, sent=1234, got=567) == Decimal("0.007004")
    usage_id = priced.run(ledger.reserve, CALL)
    cost = priced.run(ledger.settle, usage_id, "success", tokens_in=1000, tokens_out=1, tokens_cached=400).cost
    assert cost == Decimal("0.001408")
    for _ in range(100):
        spend(priced, sent=1, got=0)
    total = priced.run(ledger.pivot, "model")[0]
    assert total.cost == Decimal("0.007004") + Decimal("0.001408") + 100 * Decimal("0.000002")
    assert total.calls == 102 and total.unpriced == 0


def test_an_unknown_price_is_unpriced_and_a_model_of_ones_own_costs_nothing(store: Store) -> None:
    assert spend(store) is None
    assert spend(store, replace(CALL, provider="own", local=True)) == 0
    by = {one.group: one for one in store.run(ledger.pivot, "provider")}
    assert by["cloud"].unpriced == 1 and by["cloud"].cost == 0
    assert by["own"].unpriced == 0


def test_a_price_holds_from_its_day_on_and_old_calls_keep_theirs(priced: Store) -> None:
    assert spend(priced) == Decimal("0.006")
    now = priced.run(database.now_ms)
    priced.run(prices.put, "cloud", "m1", now - 1, "20", "80")
    priced.run(prices.put, "cloud", "m1", now + 3_600_000, "200", "800")
    assert spend(priced) == Decimal("0.06")
    assert sorted(row.cost for row in priced.run(ledger.page)) == [Decimal("0.006"), Decimal("0.06")]
    priced.run(prices.put, "cloud", prices.ANY_MODEL, 0, "1", "1")
    assert spend(priced, replace(CALL, model="m2")) == Decimal("0.0015")


def test_every_call_is_a_row_whatever_came_of_it(priced: Store, connection: str) -> None:
    call = replace(CALL, connection_id=connection, query_ids=("qry_0000000001",))
    outcomes: tuple[ledger.Outcome, ...] = ("success", "error", "timeout", "cancelled")
    for outcome in outcomes:
        tokens = {"tokens_in": 1000, "tokens_out": 500} if outcome == "success" else {}
        priced.run(ledger.settle, priced.run(ledger.reserve, call), outcome, error="why", **tokens)
    priced.run(ledger.from_cache, call)
    spend(priced, replace(call, purpose="test"))
    rows = priced.run(ledger.page)
    assert sorted(row.outcome for row in rows) == ["cached", "cancelled", "error", "success", "success", "timeout"]
    assert {row.connection for row in rows} == {"shop"} and rows[0].query_ids == ("qry_0000000001",)
    assert [row.purpose for row in rows].count("test") == 1
    found = priced.run(ledger.pivot, "connection")
    total = [sum(one[at] for one in found) for at in (2, 3, 4)]
    assert total == [6, 3, 1]
    assert sum(one.cost for one in found) == sum(row.cost or 0 for row in rows) == Decimal("0.012")


def test_sums_agree_with_the_rows_and_edges_are_exact(priced: Store) -> None:
    first = round(datetime(2026, 3, 1, tzinfo=UTC).timestamp() * 1000)
    moments = (first - 1, first, first + 86_399_999, first + 86_400_000)
    for at in moments:
        spend(priced)
        priced.run(lambda at=at: models.Usage.update(at=at).where(models.Usage.at > first + 10**10).execute())
    days = priced.run(ledger.pivot, "day", first, first + 86_400_000)
    assert [(one.group, one.calls) for one in days] == [("2026-03-01", 2)]
    assert [one.group for one in priced.run(ledger.pivot, "day")] == ["2026-02-28", "2026-03-01", "2026-03-02"]
    for by in ledger.PIVOTS:
        assert sum(one.cost for one in priced.run(ledger.pivot, by)) == Decimal("0.024")
    with pytest.raises(UsageError, match="one of"):
        priced.run(ledger.pivot, "colour")


def test_pages_of_the_ledger_follow_one_another(priced: Store) -> None:
    for _ in range(5):
        spend(priced)
    first = priced.run(ledger.page, 3)
    rest = priced.run(ledger.page, 3, first[-1].id)
    assert len(first) == 3 and len(rest) == 2
    assert [row.id for row in (*first, *rest)] == sorted((row.id for row in (*first, *rest)), reverse=True)


def _fill(calls: int) -> None:
    """So many more calls, made by the database."""
    start = models.Usage.select().count()
    numbers = (
        f"WITH RECURSIVE n(i) AS (SELECT {start} UNION ALL SELECT i + 1 FROM n WHERE i < {start + calls - 1})"
        if database.kind() == "sqlite"
        else f"WITH n AS (SELECT generate_series({start}, {start + calls - 1}) AS i)"
    )
    first: Any = models.Usage.select().dicts().first()
    columns = [field for field in models.Usage._meta.sorted_fields if first[field.name] is not None]
    names = ", ".join(f'"{field.column_name}"' for field in columns)
    made = {"id": "'use_9' || substr('0000000' || i, length('' || i), 8)", "at": "at + i"}
    picked = ", ".join(made.get(field.column_name, f'"{field.column_name}"') for field in columns)
    models.database.execute_sql(
        f"INSERT INTO usage ({names}) {numbers} SELECT {picked} FROM n, (SELECT * FROM usage ORDER BY id LIMIT 1) one"
        if database.kind() == "postgresql"
        else f"INSERT INTO usage ({names}) {numbers} SELECT {picked} FROM (SELECT * FROM usage ORDER BY id LIMIT 1), n"
    )


@pytest.mark.slow
def test_a_million_calls_take_no_more_memory_than_a_thousand(priced: Store) -> None:
    """To show a page, the sums and what is spent: the database adds up, and a page is a page."""
    spend(priced)

    def read() -> int:
        tracemalloc.start()
        assert len(ledger.page()) == 200 and len(ledger.page(500, before="use_90000700")) == 500
        for by in ("provider", "model", "day"):
            assert ledger.pivot(by)
        budgets.standings()
        projects.listing()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    priced.run(_fill, 1_000)
    priced.run(read)  # what is loaded at first
    small = priced.run(read)
    priced.run(_fill, 1_000_000)
    assert priced.run(models.Usage.select().count) == 1_001_001
    assert priced.run(read) < 2 * small + 200_000


def test_what_the_ledger_asks_most_is_read_through_its_indexes(store: Store) -> None:
    wanted = {
        "usage_at": "SELECT count(*) FROM usage WHERE at >= 5",
        "usage_provider_model_at": "SELECT count(*) FROM usage WHERE provider = 'a' AND model = 'b' AND at >= 5",
        "usage_project_id_at": "SELECT count(*) FROM usage WHERE project_id = 'p' AND at >= 5",
    }

    def plans() -> dict[str, str]:
        found = {}
        for name, sql in wanted.items():
            if store.kind == "postgresql":
                models.database.execute_sql("SET enable_seqscan = off")
            explain = "EXPLAIN QUERY PLAN" if store.kind == "sqlite" else "EXPLAIN"
            found[name] = str(models.database.execute_sql(f"{explain} {sql}").fetchall())
        return found

    for name, plan in store.run(plans).items():
        assert name in plan


def test_a_call_whose_process_died_is_given_up(priced: Store) -> None:
    priced.run(ledger.reserve, CALL)
    long_ago = priced.run(database.now_ms) - ledger.LOST_AFTER_MS - 1
    priced.run(lambda: models.Usage.update(at=long_ago).execute())
    spend(priced)
    assert [(row.outcome, row.cost) for row in priced.run(ledger.page)][1] == ("error", None)


def test_what_was_sent_can_be_read_for_as_long_as_its_call_is_recent(store: Store) -> None:
    call = replace(CALL, prompt_hash="one")
    usage_id = store.run(ledger.reserve, call)
    for name in ("one", "two", "one"):
        store.run(ledger.keep_sent, name, f"the text of {name}")
    assert store.run(ledger.sent, usage_id, CALL.actor) == "the text of one"
    store.run(lambda: models.Usage.update(at=1).execute())
    store.run(ledger.keep_sent, "three", "the text of three")
    with pytest.raises(UsageError, match="Nothing that was sent is kept"):
        store.run(ledger.sent, usage_id, CALL.actor)
    with pytest.raises(UsageError, match="sug_0"):
        store.run(ledger.sent, "sug_0", CALL.actor)


def test_what_costs_nothing_is_counted_with_the_only_currency(priced: Store) -> None:
    spend(priced)
    priced.run(ledger.from_cache, CALL)
    (one,) = priced.run(ledger.pivot, "model")
    assert (one.currency, one.calls, one.cached) == ("USD", 2, 1)
    priced.run(prices.put, "cloud", "m1", 1, "1", "1", currency="EUR")
    spend(priced)
    assert {each.currency for each in priced.run(ledger.pivot, "model")} == {"", "EUR", "USD"}


# --- budgets --------------------------------------------------------------------------------------------------------


def budget(store: Store, cap: str | None = "0.01", **more: Any) -> budgets.Standing:
    store.run(budgets.add_plan, "Team", cap, **more)
    return store.run(budgets.subscribe, "Team")


def test_a_budget_warns_at_four_fifths_and_blocks_when_it_is_used_up(priced: Store) -> None:
    budget(priced, "0.0075")
    spend(priced)  # 0.006: 80 %
    alerts = priced.run(activity.recent, kind="cost_alert")
    assert [entry.details["reached"] for entry in alerts] == [0.8]
    spend(priced)  # the one call that may pass the cap
    with pytest.raises(budgets.Blocked, match="used up"):
        priced.run(ledger.reserve, CALL)
    assert [entry.details["reached"] for entry in priced.run(activity.recent, kind="cost_alert")] == [1.0, 0.8]
    assert priced.run(ledger.page)[0].outcome == "blocked"
    assert spend(priced, replace(CALL, provider="own", local=True)) == 0  # a model on this machine is not held up


_ASKING = """
import sys
from meshag_tui.store import budgets, ledger
from meshag_tui.store.database import Store
store = Store.open(sys.argv[1])
call = ledger.Call("cloud", "m1", "advice", False, "ada", "h", most_in=1000, most_out=500)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(3):
    try:
        print(store.run(ledger.reserve, call), flush=True)
    except budgets.Blocked:
        print("blocked", flush=True)
store.close()
"""


def test_processes_that_ask_at_the_same_time_pass_the_cap_by_at_most_one_call(priced: Store, store_url: str) -> None:
    budget(priced, "0.02")  # a call costs at most 0.006: three are below the cap, the fourth passes it
    command = [sys.executable, "-c", _ASKING, store_url]
    asking = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for each in asking:
        assert each.stdout is not None and each.stdout.readline() == "ready\n"
    for each in asking:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    said = [line for each in asking for line in each.communicate(timeout=60)[0].split()]
    through = [line for line in said if line != "blocked"]
    assert len(said) == 12 and len(through) == 4
    for usage_id in through:
        priced.run(ledger.settle, usage_id, "success", tokens_in=1000, tokens_out=500)
    standing = priced.run(budgets.in_force)[0]
    assert standing.cap is not None and standing.spent - standing.cap <= Decimal("0.006")
    assert standing.held == 0


def test_a_smaller_cap_holds_from_the_next_call_on(priced: Store) -> None:
    standing = budget(priced, "1")
    spend(priced)
    priced.run(budgets.edit_plan, priced.run(budgets.plan, standing.plan).id, cap="0.001")
    with pytest.raises(budgets.Blocked):
        priced.run(ledger.reserve, CALL)


def test_an_override_lets_calls_through_and_is_recorded(priced: Store) -> None:
    standing = budget(priced, "0.001")
    spend(priced)
    with pytest.raises(UsageError, match="reason"):
        priced.run(budgets.override, standing.id, 10**15, "ada", " ")
    priced.run(budgets.override, standing.id, priced.run(database.now_ms) + 60_000, "ada", "the shop is down")
    assert spend(priced) == Decimal("0.006")
    entry = priced.run(activity.recent, kind="budget.override")[0]
    assert (entry.actor, entry.message) == ("ada", "Budget overridden: the shop is down")
    priced.run(budgets.override, standing.id, priced.run(database.now_ms) - 1, "ada", "over again")
    with pytest.raises(budgets.Blocked):
        priced.run(ledger.reserve, CALL)


def test_a_cap_cannot_be_held_for_a_model_without_a_price(store: Store) -> None:
    budget(store)
    with pytest.raises(budgets.Blocked, match="No price in USD is known"):
        store.run(ledger.reserve, CALL)


def test_a_plan_may_allow_only_some_providers_or_only_ones_own(priced: Store) -> None:
    budget(priced, None, providers=["cloud"])
    assert spend(priced) is not None
    with pytest.raises(budgets.Blocked, match="does not allow other"):
        priced.run(ledger.reserve, replace(CALL, provider="other"))
    priced.run(budgets.add_plan, "Home", None, local_only=True)
    priced.run(budgets.subscribe, "Home", replace=True)
    with pytest.raises(budgets.Blocked, match="only models on this machine"):
        priced.run(ledger.reserve, CALL)


def test_one_plan_at_a_time_is_in_force_and_a_retired_one_never_again(store: Store) -> None:
    first = budget(store)
    store.run(budgets.add_plan, "More", "5")
    with pytest.raises(UsageError, match="in force there already"):
        store.run(budgets.subscribe, "More")
    second = store.run(budgets.subscribe, "More", replace=True)
    assert store.run(budgets.standing, first.id).status == "cancelled"
    assert [one.id for one in store.run(budgets.in_force)] == [second.id]
    store.run(budgets.edit_plan, store.run(budgets.plan, "Team").id, active=False)
    with pytest.raises(UsageError, match="retired"):
        store.run(budgets.subscribe, "Team", replace=True)
    with pytest.raises(UsageError, match="already a plan"):
        store.run(budgets.add_plan, "More")
    with pytest.raises(UsageError, match="retire it"):
        store.run(budgets.remove_plan, store.run(budgets.plan, "Team").id)


def test_after_its_end_only_models_on_this_machine_are_asked(priced: Store) -> None:
    standing = budget(priced)
    now = priced.run(database.now_ms)
    priced.run(lambda: models.Subscription.update(end_at=now - 1).execute())
    assert priced.run(budgets.standing, standing.id).status == "expired"
    with pytest.raises(budgets.Blocked, match="ended on"):
        priced.run(ledger.reserve, CALL)
    assert spend(priced, replace(CALL, local=True)) == 0
    priced.run(budgets.subscribe, "Team")
    assert spend(priced) is not None


def test_a_budget_of_a_project_is_about_its_calls_alone(priced: Store, connection: str) -> None:
    project: str = priced.run(lambda: models.Connection.get_by_id(connection).project_id)
    priced.run(budgets.add_plan, "Team", "0.001")
    priced.run(budgets.subscribe, "Team", project="Default")
    mine = replace(CALL, connection_id=connection, project_id=project)
    spend(priced, mine)
    with pytest.raises(budgets.Blocked):
        priced.run(ledger.reserve, mine)
    assert spend(priced) is not None  # of no project


def test_periods_are_calendar_months_and_years(store: Store) -> None:
    at = round(datetime(2026, 3, 15, 12, tzinfo=UTC).timestamp() * 1000)
    starts = [datetime.fromtimestamp(budgets.period_start(one, at) / 1000, UTC) for one in budgets.PERIODS]
    assert starts == [datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)]


def test_plans_are_seeded_only_when_asked_for(store: Store) -> None:
    assert store.run(budgets.plans) == ()
    assert [plan.name for plan in store.run(budgets.seed_plans)] == ["Local only", "Team", "Unlimited"]
    assert len(store.run(budgets.seed_plans)) == 3


# --- invoices -------------------------------------------------------------------------------------------------------


def invoice(lines: int, amount: Callable[[int], str] = lambda number: "0.01") -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["external_id", "date", "model", "amount", "currency", "description"])
    for number in range(lines):
        writer.writerow([f"inv-{number}", "2026-03-01", "m1", amount(number), "USD", "=cmd"])
    return out.getvalue()


def test_an_invoice_of_ten_thousand_lines_is_read_once(store: Store) -> None:
    lines = costs.read(invoice(10_000))
    assert store.run(costs.preview, "cloud", lines).new == 10_000
    assert store.run(costs.page) == ()  # a preview writes nothing
    said = store.run(costs.take_in, "cloud", lines, "ada")
    assert (said.new, said.known, said.totals) == (10_000, 0, {"USD": Decimal("100.000000")})
    again = store.run(costs.take_in, "cloud", costs.read(invoice(10_001)), "ada")
    assert (again.new, again.known) == (1, 10_000)
    assert len(store.run(activity.recent, kind="invoice.imported")) == 2
    assert len(store.run(costs.page, 50)) == 50


def test_an_invoice_is_taken_in_whole_or_not_at_all(store: Store) -> None:
    store.run(costs.take_in, "cloud", costs.read(invoice(5)), "ada")
    with pytest.raises(UsageError, match=r"inv-4 was imported with 0\.01"):
        store.run(costs.take_in, "cloud", costs.read(invoice(10, lambda n: "0.02" if n == 4 else "0.01")), "ada")
    assert len(store.run(costs.page)) == 5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column 'external_id'"),
        ("external_id,date,amount\n", "holds no line"),
        ("external_id,date,amount\na,2026-03-01,much", "Line 1 .*no amount"),
        ("external_id,date,amount\na,yesterday,1", "Line 1 .*no date"),
        ("external_id,date,amount\na,2026-03-01,1\na,2026-03-01,1", "there twice"),
        ("external_id,date,amount\n,2026-03-01,1", "external_id is missing"),
        ("external_id,date,amount\na,2026-03-01,0.0000001", "six decimals"),
        ("external_id,date,amount\na,2026-03-01,NaN", "no amount"),
        ("[1]", "list of objects"),
        ("[{", "no JSON"),
    ],
)
def test_an_invoice_that_cannot_be_read_says_which_line(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        costs.read(text)


def test_json_is_read_without_losing_a_digit() -> None:
    lines = costs.read(
        '[{"external_id": 7, "date": "2026-03-01T10:00:00+02:00", "amount": 0.123456, "currency": "eur"}]'
    )
    assert (lines[0].external_id, lines[0].amount_micros, lines[0].currency) == ("7", 123_456, "EUR")
    assert lines[0].at == round(datetime(2026, 3, 1, 8, tzinfo=UTC).timestamp() * 1000)


def test_a_gap_between_ledger_and_invoice_is_found(priced: Store) -> None:
    for _ in range(19):
        spend(priced)  # 0.114 of an invoice of 0.12: 5 % are missing
    spend(priced, replace(CALL, model="m2"))
    now = datetime.now(UTC)
    text = f"external_id,date,model,amount\na,{now.isoformat()},m1,0.12\n"
    priced.run(costs.take_in, "cloud", costs.read(text), "ada")
    at = priced.run(database.now_ms)
    found = priced.run(costs.reconcile, "cloud", at - 3_600_000, at + 3_600_000)
    assert [(one.model, one.gap, one.unpriced) for one in found] == [
        ("m1", Decimal("0.006"), 0),
        ("m2", Decimal(0), 1),
    ]
    assert found[0].share == pytest.approx(0.05)


def test_an_entry_by_hand_can_be_taken_back_but_an_invoice_not(store: Store) -> None:
    entry = store.run(costs.enter, "cloud", "12.5", "eur", "ada", description="minimum fee")
    assert (entry.amount, entry.currency, entry.source) == (Decimal("12.5"), "EUR", "manual")
    store.run(costs.remove, entry.id)
    store.run(costs.take_in, "cloud", costs.read(invoice(1)), "ada")
    with pytest.raises(UsageError, match="by hand"):
        store.run(costs.remove, store.run(costs.page)[0].id)


@pytest.mark.parametrize("text", ["", "1e400", "inf", "1.2345678", "zwölf", "1" * 30])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no amount"):
        amounts.micros(text)


# --- the cache ------------------------------------------------------------------------------------------------------


def test_answers_are_kept_for_their_time_and_counted(store: Store, connection: str) -> None:
    def keep(key: str, text: str, **more: Any) -> None:
        given: dict[str, Any] = {"days": 1.0, "limit_bytes": 100, **more}
        store.run(answers.keep, key, connection, "cloud", "m1", "1", ["f1"], text, {"tokens_in": 1}, **given)

    assert store.run(answers.take, "k1") is None
    keep("k1", "x" * 40)
    found = store.run(answers.take, "k1")
    assert found is not None and (found.text, found.hits, found.connection) == ("x" * 40, 1, "shop")
    keep("k2", "y" * 40)
    store.run(lambda: models.CachedAnswer.update(created_at=1).where(models.CachedAnswer.key == "k2").execute())
    keep("k3", "z" * 40)  # 120 bytes: the one least lately used goes
    assert {each.key for each in store.run(answers.page, "ada")} == {"k1", "k3"}
    keep("k4", "w" * 101)  # larger than all there may be
    keep("k5", "v", days=0.0)
    assert store.run(answers.size) == (2, 80, 1)
    store.run(lambda: models.CachedAnswer.update(expires_at=1).execute())
    assert store.run(answers.take, "k1") is None
    assert store.run(answers.clear) == 2
