"""A flow changed step by step keeps its form; drawn, each node is a row and the lines lead where the ways do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from meshag_tui import glyphs
from meshag_tui.agents import flow_edit
from meshag_tui.agents.flow import FlowError, problems
from meshag_tui.agents.graph import NodeState, drawn, states
from meshag_tui.agents.profiles import templates
from meshag_tui.agents.walk import standing
from meshag_tui.types import ExecutionState


@pytest.fixture(autouse=True)
def unicode_signs() -> Iterator[None]:
    glyphs.use_ascii(False)
    yield
    glyphs.use_ascii(None)


def test_a_flow_is_drawn_up_from_the_smallest_to_one_that_changes_something() -> None:
    flow = templates()["collect"]
    flow, rules = flow_edit.insert(flow, "collect", "advise_rules")
    flow, any_ = flow_edit.insert(flow, rules, "branch")
    flow, agree = flow_edit.insert(flow, any_, "approve")
    flow, apply = flow_edit.insert(flow, agree, "apply")
    assert "must be verified before the end" in problems(flow)[0]
    flow, verify = flow_edit.insert(flow, apply, "verify")
    assert problems(flow) == () and flow.order() == ["collect", rules, any_, agree, apply, verify, "end"]
    again = flow_edit.connect(flow, any_, "collect", "no")
    assert problems(again) == () and next(each for each in again.out_of(any_) if each.when == "no").retries == 3
    assert [row.text for row in drawn(again) if "back (↑) to collect, 3 times at most" in row.text]
    moved = flow_edit.move_down(flow, "collect")
    assert moved.order()[:2] == [rules, "collect"] and flow_edit.move_up(moved, "collect").order() == flow.order()
    named = flow_edit.rename(flow, agree, "ask-the-boss")
    assert problems(named) == () and named.order()[3] == "ask-the-boss"
    assert flow_edit.remove(flow, verify).order() == ["collect", rules, any_, agree, apply, "end"]
    changed = flow_edit.with_parameters(flow, any_, {"on": "suggestions", "at_least": "3"})
    assert changed.node(any_).parameters["at_least"] == 3
    assert flow_edit.titled(flow, "Mine", "").metadata.title == "Mine"
    for wrong in (
        lambda: flow_edit.with_parameters(flow, any_, {"at_least": "x"}),
        lambda: flow_edit.rename(flow, agree, apply),
        lambda: flow_edit.rename(flow, agree, "The Boss"),
        lambda: flow_edit.move_down(flow, rules),
        lambda: flow_edit.move_up(flow, "end"),
    ):
        with pytest.raises(FlowError):
            wrong()


def test_the_graph_has_a_row_a_node_and_lights_up_where_a_run_is() -> None:
    flow = templates()["review"]
    assert [row.text[:5].rstrip() for row in drawn(flow)] == ["●  co", "●  ve", "●  wo", "├─╮", "● │", "├─╯", "●"]
    done = {"000:collect": {"said": "9 statements read"}, "001:verify": {"found": {"worse": []}}}
    of_run = states(standing(flow, done), ExecutionState.RUNNING)
    assert of_run["collect"] == NodeState("done", "good", "9 statements read") and of_run["worse"].word == "running"
    said = [row.text for row in drawn(flow, of_run)]
    assert said[0].startswith("✓  collect  done: 9 statements read") and said[2].startswith("▸  worse  running")
    assert said[-1].startswith("·"), "not come to"
    assert all(len("".join(piece for _, piece in row.within(30))) <= 30 for row in drawn(flow, of_run))
    assert max(len(list(drawn(each))) for each in templates().values()) <= 30, "the largest fits a screen"
    glyphs.use_ascii(True)
    assert "".join(row.text for row in drawn(flow)).isascii()
    glyphs.use_plain()
    plain = [row.text.split() for row in drawn(flow)]
    assert len(plain) == len(flow.nodes) and "yes to say, no to end" in " ".join(plain[2])
