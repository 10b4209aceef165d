"""Flows: what may run and what may not, that a document says where it is wrong, and where a run stands in one."""

from __future__ import annotations

from typing import Any

import pytest

from meshag_tui.agents.flow import FORMAT, KINDS, FlowError, check, configured, problems, read, schema
from meshag_tui.agents.profiles import SHIPPED, profile, templates
from meshag_tui.agents.walk import standing
from meshag_tui.types import UsageError


def document(*nodes: str, ways: str) -> dict[str, Any]:
    """`nodes`: "id:kind"; `ways`: "a>b b>c:yes b>a:no*3" (the number: retries)."""
    made = []
    for way in ways.split():
        ends, _, when = way.partition(":")
        source, _, target = ends.partition(">")
        when, _, retries = when.partition("*")
        one: dict[str, Any] = {"from": source, "to": target}
        if when:
            one["when"] = when
        if retries:
            one["retries"] = int(retries)
        made.append(one)
    parts = [dict(zip(("id", "kind"), node.split(":"), strict=True)) for node in nodes]
    return {"format": FORMAT, "nodes": parts, "connections": made}


LOOP = ("look:collect", "any:branch", "agree:approve", "do:apply", "see:verify", "end:end")
LOOP_WAYS = "look>any any>agree:yes any>end:no agree>do:yes agree>end:no do>see see>end"


def test_what_ships_may_run_with_the_tools_it_ships_with_and_is_the_same_after_a_trip_through_json() -> None:
    flows = templates()
    for one in SHIPPED:
        check(flows[one.flow], one.profile.tools)
        assert not {"apply", "rollback"} & set(one.profile.tools), "read-only"
    for flow in flows.values():
        assert problems(flow) == () and read(flow.document()) == flow
        assert read(flow.document()).checksum() == flow.checksum()
    assert {f"{kind}_parameters" for kind in KINDS} <= set(schema()["$defs"])


@pytest.mark.parametrize(
    ("nodes", "ways", "says"),
    [
        (("a:collect", "a:end"), "", "two nodes are called a"),
        (("a:collect", "e:end"), "a>x", "there is no x"),
        (("a:collect", "b:collect", "e:end"), "a>e b>e", "must begin at one node"),
        (("a:collect", "b:explain"), "a>b", "has no end"),
        (("a:collect", "e:end"), "a>e e>a", "nothing follows an end"),
        (("a:collect", "b:branch", "e:end"), "a>b b>e:yes", "one way for yes and one for no"),
        (("a:collect", "e:end", "f:end"), "a>e a>f", "one way must lead on"),
        (("a:collect", "b:branch", "e:end"), "a>b b>e:yes b>a:no", "circle without an approval or a retry"),
        (("a:apply", "v:verify", "e:end"), "a>v v>e", "apply must come after an approval"),
        (LOOP, LOOP_WAYS.replace("any>agree:yes", "any>do:yes"), "apply must come after an approval"),
        (LOOP, LOOP_WAYS.replace("do>see", "do>end"), "must be verified before the end"),
        (("a:collect", "r:rollback", "e:end"), "a>r r>e", "rollback must come after an approval"),
    ],
)
def test_a_flow_that_may_not_run_says_why(nodes: tuple[str, ...], ways: str, says: str) -> None:
    assert any(says in line for line in problems(read(document(*nodes, ways=ways)))), problems(
        read(document(*nodes, ways=ways))
    )


def test_ways_back_through_an_approval_or_a_bounded_retry_are_allowed_and_tools_are_not_all() -> None:
    check(read(document(*LOOP, ways=LOOP_WAYS.replace("agree>end:no", "agree>look:no"))))
    check(read(document("a:collect", "b:branch", "e:end", ways="a>b b>e:yes b>a:no*2")))
    with pytest.raises(FlowError, match="do: this agent is not allowed apply"):
        check(read(document(*LOOP, ways=LOOP_WAYS)), ["collect", "verify"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": FORMAT + 1}, f"format {FORMAT + 1}"),
        ({"format": 0}, "format"),
        ({"nodes": [{"id": "a", "kind": "dance"}]}, "a: there is no kind 'dance'"),
        ({"nodes": [{"id": "A b", "kind": "end"}]}, "nodes.0.id"),
        ({"nodes": [{"id": "a", "kind": "filter", "parameters": {"most": 0}}]}, "a: parameters: most"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_document_that_is_none_names_the_key(change: dict[str, Any], says: str) -> None:
    with pytest.raises(FlowError, match=says):
        read({**templates()["collect"].document(), **change})
    with pytest.raises(UsageError, match=r"tools: .*no tool dance"):
        profile({"tools": ["dance"]})


def test_figures_of_an_agent_stand_in_for_the_usual_ones_and_not_for_what_a_node_says() -> None:
    flow = configured(templates()["explain"], {"filter.most": 7, "filter.slow_ms": 50})
    assert {name: flow.node("pick").parameters[name] for name in ("most", "slow_ms")} == {"most": 3, "slow_ms": 50}
    for wrong in ({"filter.least": 1}, {"dance": 1}, {"filter.most": 0}):
        with pytest.raises(FlowError, match=f"configuration: {next(iter(wrong))}"):
            configured(flow, wrong)


def test_an_approval_is_for_what_comes_first_behind_it() -> None:
    flow = templates()["full-loop"]
    assert (flow.agreed_for("agree"), flow.agreed_for("agree-back")) == ("apply", "rollback")


def test_a_run_stands_where_its_steps_lead_and_goes_back_no_more_than_it_may() -> None:
    flow = read(document("a:collect", "b:branch", "e:end", ways="a>b b>e:yes b>a:no*1"))
    assert standing(flow, {}).step == "000:a"
    done: dict[str, Any] = {"000:a": {"found": {"queries": [1, 2]}}, "001:b": {"way": "no"}}
    now = standing(flow, done)
    assert (now.step, now.found) == ("002:a", {"queries": [1, 2]})
    assert standing(flow, {**done, "001:b": {"way": "yes"}}).at == "e"
    assert standing(flow, {**done, "001:b": {"way": "yes"}, "002:e": {}}).at is None
    with pytest.raises(FlowError, match="went back to a 1 times"):
        standing(flow, {**done, "002:a": {}, "003:b": {"way": "no"}})
    assert flow.order() == ["a", "b", "e"] and flow.start == "a"
