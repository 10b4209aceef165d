"""Talking with a model from the command line: what is sent is shown first, what is not checked is listed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from meshag_tui.settings import Settings
from tests.cli.conftest import Meshag
from tests.rig.llm import FakeLlm, Reply
from tests.screens import shop

ABOUT = "sug_0000000000000001"


@pytest.mark.slow
def test_a_suggestion_is_talked_about(meshag: Meshag, must: Callable[..., Any], fake_llm: FakeLlm) -> None:
    meshag.home.mkdir(mode=0o700)
    shop.fill(Settings(home=meshag.home, store_url=f"sqlite:///{meshag.home / 'meshag.db'}"))
    (meshag.home / "config.toml").write_text(f'[llm]\nbase_url = "{fake_llm.base_url}"\nmodel = "m"\n')
    shown = must("ask", ABOUT, "Why?", "--preview")
    assert shown["text"].endswith("Question: Why?") and must("threads", "list") == []
    refused = meshag("ask", ABOUT, "Why?", "--json")
    assert refused.code == 1 and "--consent" in refused.err and not fake_llm.requests
    fake_llm.script = [Reply("It took 987 h."), Reply("Because.")]
    said = must("ask", ABOUT, "Why?", "--consent")
    assert said["figures"] == {"all": 1, "unchecked": ["987 h"]} and said["content"] == "It took 987 h."
    sent = fake_llm.requests[0].body["messages"]
    assert "\n\n".join(each["content"] for each in sent) == shown["text"], "exactly what was shown"
    again = meshag("ask", said["thread"], "Really?")
    assert again.code == 0 and again.out.startswith("Because.\n\nIt rests on no figure"), again.err
    markdown = meshag("threads", "show", said["thread"]).out
    assert markdown.startswith("# Index orders") and "unchecked: 987 h" in markdown
    must("threads", "remove", said["thread"])
    assert must("threads", "list", "shop") == []
