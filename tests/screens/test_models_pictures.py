"""The place of language models as it was agreed to look; `pytest --snapshot-update` agrees to a new look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshag_tui.settings import Settings
from meshag_tui.store import budgets, models, prices, providers
from meshag_tui.store.database import Store
from meshag_tui.store.vault import Vault
from meshag_tui.types import Secret
from tests.screens import picture
from tests.screens.test_pictures import SIZES, the_same_everywhere

__all__ = ["the_same_everywhere"]

SCREENS = {
    "providers": ("A",),
    "ledger": ("A", "f"),
    "sums": ("A", "f", "f"),
    "budget": ("A", "f", "f", "f"),
}


def fill_models(settings: Settings) -> None:
    """Two providers beside the one of the configuration, a month of calls, a plan in force."""
    vault = Vault.open(settings)
    store = Store.open(settings.store_url)
    try:
        store.run(_fill, vault)
    finally:
        store.close()


def _fill(vault: Vault) -> None:
    kept = Secret("sk-0000000000001234")
    providers.add("work", "gemini", "https://llm.example.org/v1", ["swift-2", "deep-2"], "json_schema", kept, vault)
    providers.add("own", "ollama", "http://127.0.0.1:11434/v1", ["small-8b"], "json_object", None, vault)
    prices.put("work", prices.ANY_MODEL, 0, "2", "8", source="contract of March")
    budgets.add_plan("Team", "0.5")
    budgets.subscribe("Team", start_at=picture.AT - 60 * picture.DAY)
    models.Subscription.update(id="sub_00000000000000a1", updated_at=picture.AT).execute()
    shop: Any = models.Connection.get(models.Connection.name == "shop")
    failed = "No answer from swift-2 at https://llm.example.org/v1 within 30 s"
    for number in range(24):
        outcome = "timeout" if number == 7 else "cached" if number % 5 == 4 else "success"
        at = picture.AT - number * 29 * picture.HOUR - 11 * picture.MINUTE
        answered = outcome == "success"
        own = number % 6 == 3
        models.Usage.create(
            id=f"use_{999 - number:016d}",
            at=at,
            provider="own" if own else "work",
            model="small-8b" if own else "swift-2",
            purpose="test" if number == 3 else "advice",
            outcome=outcome,
            local=own,
            connection=shop.id,
            project=shop.project_id,
            actor="ada",
            tokens_in=9_000 + 137 * number if answered else None,
            tokens_out=800 + 41 * number if answered else None,
            duration_ms=3_200.0 + 90 * number if answered else 30_000.0 if outcome == "timeout" else None,
            attempts=0 if outcome == "cached" else 1,
            cost_micros=0 if own or outcome == "cached" else 24_400 + 602 * number if answered else None,
            currency="USD" if answered and not own else None,
            prompt_hash="5f" * 32,
            query_ids=["qry_0000000001", "qry_0000000007"],
            error=failed if outcome == "timeout" else None,
            created_at=at,
            updated_at=at,
        )


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", SCREENS)
def test_models(
    snap_compare: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, size: tuple[int, int]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    settings = picture.settings_in(tmp_path / "home")
    picture.fill(settings)
    fill_models(settings)
    app = picture.application(settings)
    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: picture.press(pilot, *SCREENS[name]))
