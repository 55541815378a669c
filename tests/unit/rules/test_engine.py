"""The engine's promises: routing, isolation, order, time, state, retries."""

from __future__ import annotations

import pytest
import trio

from appliance.model.ids import EntityId, new_uuid
from appliance.model.unit import EntityWrite
from appliance.rules.engine import RuleLimits
from appliance.rules.events import (
    RuleMessageFailed,
    RuleMessageGivenUp,
    RuleNodeFaulted,
    RuleNodeRefused,
)
from appliance.rules.retry import OWNER
from appliance.rules.timers import Timers
from appliance.rules.work import Work
from appliance.testing.rules import RuleBench
from tests.unit.rules.nodes import NODES, Counter, End, Flaky, Moody, chain_id, load

STEP, SLOW, BROKEN, FLAKY, COUNTER, END = "Step", "Slow", "Broken", "Flaky", "Counter", "End"


def bench_with(*entities: str) -> tuple[RuleBench, list[EntityId]]:
    bench = RuleBench(NODES)
    return bench, [bench.add_device(name) for name in entities]


async def test_labels_match_in_any_case() -> None:
    bench, (device,) = bench_with("D")
    load(bench, [(STEP, "a", {"label": "SuCCess"}), (END, "end", {})], [(0, 1, "success")])
    await bench.send("X", device, [])
    assert End.seen[0].data == ["a"]


async def test_two_links_get_copies_and_one_failure_leaves_the_other_alone() -> None:
    bench, (device,) = bench_with("D")
    nodes = [(STEP, "a", {}), (BROKEN, "b", {}), (END, "end", {})]
    load(bench, nodes, [(0, 1, "Success"), (0, 2, "Success")])
    message = bench.message("X", device, [])
    work = await bench.run(message)
    assert work.failure == "chain / b: boom"
    assert End.seen[0].id != message.id and End.seen[0].data == ["a"]


async def test_a_single_link_passes_the_same_message_on() -> None:
    bench, (device,) = bench_with("D")
    load(bench, [(STEP, "a", {}), (END, "end", {})], [(0, 1, "Success")])
    message = bench.message("X", device, [])
    await bench.run(message)
    assert End.seen[0].id == message.id


async def test_an_exception_takes_the_failure_link() -> None:
    bench, (device,) = bench_with("D")
    load(bench, [(BROKEN, "a", {}), (END, "end", {})], [(0, 1, "Failure")])
    work = await bench.send("X", device, [])
    assert work.failure is None and len(End.seen) == 1


async def test_a_failure_without_a_link_fails_the_message_and_is_stated() -> None:
    bench, (device,) = bench_with("D")
    load(bench, [(BROKEN, "a", {})], [])
    work = await bench.send("X", device, [])
    assert work.failure == "chain / a: boom"
    (failed,) = [event for event in bench.events if isinstance(event, RuleMessageFailed)]
    assert (failed.chain, failed.node, failed.error) == ("chain", "a", "boom")


async def test_an_unknown_node_is_refused_visibly_and_the_rest_of_the_chain_works() -> None:
    bench, (device,) = bench_with("D")
    nodes = [(STEP, "a", {}), ("org.example.NewNode", "new", {}), (END, "end", {})]
    load(bench, nodes, [(0, 1, "Success"), (0, 2, "Success"), (1, 2, "Failure")])
    (refused,) = [event for event in bench.events if isinstance(event, RuleNodeRefused)]
    assert refused.reason == "not supported on this edge: org.example.NewNode"
    work = await bench.send("X", device, [])
    assert "not supported on this edge" in (work.failure or "")
    assert len(End.seen) == 1, "a refused node has no Failure link"


async def test_a_bad_configuration_refuses_the_node_with_the_reason() -> None:
    bench, (device,) = bench_with("D")
    load(bench, [(SLOW, "a", {"waitS": "soon"})], [])
    work = await bench.send("X", device, [])
    assert "waitS" in (work.failure or "")


async def test_without_a_root_chain_messages_fail() -> None:
    bench, (device,) = bench_with("D")
    assert (await bench.send("X", device, [])).failure == "there is no root rule chain"


async def test_a_profile_names_the_chain_of_its_devices() -> None:
    bench, (device,) = bench_with("D")
    load(bench, [(END, "root end", {})], [])
    load(bench, [(STEP, "own", {}), (END, "end", {})], [(0, 1, "Success")], name="own", root=False)
    reference = {"entityType": "RULE_CHAIN", "id": str(chain_id("own"))}
    profile = bench.state.profile_of(device) or {}
    bench.add("DEVICE_PROFILE", {**profile, "defaultEdgeRuleChainId": reference})
    await bench.send("X", device, [])
    assert End.seen[0].data == ["own"]
    bench.engine.remove_chain(chain_id("own"))
    await bench.send("X", device, ["root"])
    assert End.seen[-1].data == ["root"], "without its chain the root chain takes over"


async def test_a_loop_is_stopped_by_the_limit_of_executions() -> None:
    bench, (device,) = bench_with("D")
    load(bench, [(STEP, "a", {}), (STEP, "b", {})], [(0, 1, "Success"), (1, 0, "Success")])
    work = await bench.send("X", device, [])
    assert "too many rule node executions" in (work.failure or "")


async def test_the_tenant_profile_sets_the_limit_of_executions() -> None:
    bench, (device,) = bench_with("D")
    configuration = {"configuration": {"maxRuleNodeExecutionsPerMessage": 2}}
    bench.add("TENANT_PROFILE", {"name": "p", "profileData": configuration})
    nodes = [(STEP, "a", {}), (STEP, "b", {}), (END, "end", {})]
    load(bench, nodes, [(0, 1, "Success"), (1, 2, "Success")])
    assert "too many" in ((await bench.send("X", device, [])).failure or "")


async def test_messages_of_one_originator_keep_their_order_when_a_node_waits() -> None:
    bench, (one, other) = bench_with("D1", "D2")
    load(bench, [(SLOW, "slow", {"waitS": 1}), (END, "end", {})], [(0, 1, "Success")])
    works = [Work() for _ in range(4)]
    messages = [bench.message("X", device, [n]) for n, device in enumerate((one, one, other, one))]
    waiting = [bench.engine.process(m, w) for m, w in zip(messages, works, strict=True)]
    assert all(waiting)
    async with trio.open_nursery() as nursery:
        for rest in reversed(waiting):
            nursery.start_soon(_await, rest)
    assert [m.data[0] for m in End.seen if m.originator == one] == [0, 1, 3]


async def test_a_flight_that_nobody_awaits_lets_the_next_one_go() -> None:
    bench, (device,) = bench_with("D")
    load(bench, [(SLOW, "slow", {"waitS": 0}), (END, "end", {})], [(0, 1, "Success")])
    dropped = bench.engine.process(bench.message("X", device, [1]), Work())
    assert dropped is not None
    del dropped
    await bench.send("X", device, [2])
    assert [message.data for message in End.seen] == [[2, "slow"]]


async def _await(rest: object) -> None:
    await rest  # type: ignore[misc] # an awaitable


async def test_a_message_whose_nodes_take_too_long_is_given_up() -> None:
    bench, (device,) = bench_with("D")
    bench.engine.limits = RuleLimits(message_timeout_s=0.02)
    load(bench, [(SLOW, "slow", {"waitS": 60}), (END, "end", {})], [(0, 1, "Success")])
    work = await bench.send("X", device, [])
    assert work.failure == "chain / slow: took longer than 0.02 s"
    assert not End.seen


async def test_an_unchanged_node_keeps_its_state_when_the_chain_is_loaded_again() -> None:
    bench, (device,) = bench_with("D")
    chain = [(COUNTER, "count", {}), (END, "end", {})]
    load(bench, chain, [(0, 1, "Success")])
    await bench.send("X", device, [])
    load(bench, [*chain, (STEP, "new", {})], [(0, 1, "Success")])
    await bench.send("X", device, [])
    assert [message.data for message in End.seen] == [[1], [2]]


async def test_a_changed_node_takes_over_what_the_old_one_kept() -> None:
    bench, (device,) = bench_with("D")
    load(bench, [(COUNTER, "count", {}), (END, "end", {})], [(0, 1, "Success")])
    old = bench.engine.nodes()[0].impl
    await bench.send("X", device, [])
    load(bench, [(COUNTER, "count", {"label": "x"}), (END, "end", {})], [(0, 1, "Success")])
    new = bench.engine.nodes()[0].impl
    await bench.send("X", device, [])
    assert isinstance(old, Counter) and old.stopped and new is not old
    assert End.seen[-1].data == [2]


async def test_what_a_removed_node_kept_is_forgotten() -> None:
    bench, (device,) = bench_with("D")
    load(bench, [(COUNTER, "count", {}), (END, "end", {})], [(0, 1, "Success")])
    await bench.send("X", device, [])
    bench.engine.remove_chain(chain_id("chain"))
    await bench.settle()
    assert not bench.history.states["rules"]


async def test_a_node_that_cannot_start_is_refused_and_one_that_cannot_stop_is_stopped() -> None:
    bench, (device,) = bench_with("D")
    Moody.mood = "start"
    load(bench, [("Moody", "moody", {})], [])
    assert "no mood" in ((await bench.send("X", device, [])).failure or "")
    Moody.mood = "stop"
    load(bench, [("Moody", "moody", {"label": "x"})], [])
    bench.engine.remove_chain(chain_id("chain"))
    assert [event.reason for event in bench.events if isinstance(event, RuleNodeFaulted)] == [
        "RuntimeError: no mood"
    ]


async def test_a_timer_that_raises_does_not_stop_the_others() -> None:
    bench, _ = bench_with()
    Moody.mood = "timer"
    load(bench, [("Moody", "a", {}), ("Moody", "b", {})], [])
    await bench.advance(10)
    faults = [event.node for event in bench.events if isinstance(event, RuleNodeFaulted)]
    assert faults == ["a", "b"]


@pytest.mark.mock_clock
async def test_timers_fire_while_the_engine_runs() -> None:
    bench = RuleBench(NODES)
    start = trio.current_time()
    fired: list[float] = []
    timers = Timers(lambda: int((trio.current_time() - start) * 1000))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        await trio.sleep(1)
        timers.later(90_000, lambda: fired.append(trio.current_time() - start))
        cancel = timers.later(500, lambda: fired.append(-1))
        timers.later(1_500, lambda: fired.append(trio.current_time() - start))
        cancel()
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    assert fired == [pytest.approx(2.5), pytest.approx(91)]
    assert bench.engine.timers.next_due_ms() is None


async def test_state_that_a_node_saved_is_there_after_a_restart() -> None:
    bench, (device,) = bench_with("D")
    load(bench, [(COUNTER, "count", {}), (END, "end", {})], [(0, 1, "Success")])
    await bench.send("X", device, [])
    await bench.restart()
    load(bench, [(COUNTER, "count", {}), (END, "end", {})], [(0, 1, "Success")])
    await bench.send("X", device, [])
    assert End.seen[-1].data == [2]


async def test_metadata_without_nodes_leaves_a_loaded_chain_alone() -> None:
    bench, (device,) = bench_with("D")
    load(bench, [(END, "end", {})], [])
    load(bench, [], [])
    await bench.send("X", device, [])
    assert len(End.seen) == 1


async def test_debug_events_are_kept_when_asked_for_and_bounded() -> None:
    bench, (device,) = bench_with("D")
    settings = {"allEnabled": True, "failuresEnabled": True}
    load(bench, [(STEP, "a", {})], [], debugSettings=settings)
    for number in range(60):
        await bench.send("X", device, [number])
    events = bench.engine.debug_events(bench.engine.nodes()[0].id)
    assert len(events) == 50
    assert (events[-2].direction, events[-1].direction, events[-1].label) == (
        "IN",
        "OUT",
        "Success",
    )


async def test_failures_alone_can_be_asked_for() -> None:
    bench, (device,) = bench_with("D")
    load(bench, [(FLAKY, "a", {})], [], debugSettings={"failuresEnabled": True})
    Flaky.healed = True
    await bench.send("X", device, [])
    Flaky.healed = False
    await bench.send("X", device, [])
    (event,) = bench.engine.debug_events(bench.engine.nodes()[0].id)
    assert event.error == "not yet"


# --- queues that retry -------------------------------------------------------------------------


def queue(bench: RuleBench, name: str, retries: int) -> None:
    strategy = {
        "type": "RETRY_FAILED_AND_TIMED_OUT",
        "retries": retries,
        "pauseBetweenRetries": 5,
        "maxPauseBetweenRetries": 10,
    }
    bench.add("QUEUE", {"name": name, "processingStrategy": strategy})


def device_on(bench: RuleBench, name: str) -> EntityId:
    profile = {"name": name, "defaultQueueName": name}
    bench.add("DEVICE_PROFILE", profile)
    return bench.add_device("D", name)


async def test_a_retrying_queue_runs_a_failed_message_again_until_it_succeeds() -> None:
    bench = RuleBench(NODES)
    queue(bench, "HighPriority", 0)
    device = device_on(bench, "HighPriority")
    load(bench, [(FLAKY, "a", {}), (END, "end", {})], [(0, 1, "Success")])
    Flaky.healed = False
    await bench.send("X", device, [])
    await bench.advance(5_000)
    assert not End.seen and bench.history.states[OWNER]
    Flaky.healed = True
    await bench.advance(9_999)
    assert not End.seen, "the pause has doubled"
    await bench.advance(1)
    assert len(End.seen) == 1 and not bench.history.states[OWNER]


async def test_a_retry_survives_a_restart() -> None:
    bench = RuleBench(NODES)
    queue(bench, "HighPriority", 0)
    device = device_on(bench, "HighPriority")
    chain = ([(FLAKY, "a", {}), (END, "end", {})], [(0, 1, "Success")])
    load(bench, *chain)
    Flaky.healed = False
    await bench.send("X", device, [1])
    await bench.restart()
    load(bench, *chain)
    Flaky.healed = True
    await bench.advance(5_000)
    assert [message.data for message in End.seen] == [[1, "a"]]


async def test_retries_end_after_their_number() -> None:
    bench = RuleBench(NODES)
    queue(bench, "Sequential", 2)
    device = device_on(bench, "Sequential")
    load(bench, [(BROKEN, "a", {})], [])
    await bench.send("X", device, [])
    await bench.advance(60_000)
    (given_up,) = [event for event in bench.events if isinstance(event, RuleMessageGivenUp)]
    assert (given_up.queue, given_up.attempts) == ("Sequential", 2)
    assert not bench.history.states[OWNER]


async def test_main_drops_failures() -> None:
    bench, (device,) = bench_with("D")
    load(bench, [(BROKEN, "a", {})], [])
    await bench.send("X", device, [])
    assert OWNER not in bench.history.states


async def test_a_branch_copy_is_retried_from_where_it_began() -> None:
    bench = RuleBench(NODES)
    queue(bench, "HighPriority", 0)
    device = device_on(bench, "HighPriority")
    nodes = [(STEP, "a", {}), (FLAKY, "b", {}), (END, "end", {})]
    load(bench, nodes, [(0, 1, "Success"), (0, 2, "Success"), (1, 2, "Success")])
    Flaky.healed = False
    await bench.send("X", device, [])
    Flaky.healed = True
    await bench.advance(5_000)
    assert [message.data for message in End.seen] == [["a"], ["a", "b"]]


async def test_a_node_sees_what_an_earlier_node_of_the_message_did() -> None:
    bench, (device,) = bench_with("D")
    alarm = new_uuid()
    body = b'{"type":"T","cleared":false,"originator":{"id":"%s"}}' % str(device.id).encode()
    seen = []

    class Writer:
        def process(self, message: object, ctx: object) -> None:
            ctx.unit.entities.append(EntityWrite("ALARM", alarm, body))  # type: ignore[attr-defined]
            seen.append(ctx.state.active_alarm(device, "T"))  # type: ignore[attr-defined]

    load(bench, [(STEP, "a", {})], [])
    bench.engine.nodes()[0].process = Writer().process  # type: ignore[assignment]
    await bench.send("X", device, [])
    assert seen[0]["type"] == "T"


def test_a_timer_that_is_put_off_again_and_again_costs_no_memory() -> None:
    timers, fired = Timers(lambda: 0), []
    timers.later(1, lambda: fired.append("kept"))
    cancel = timers.later(50, lambda: fired.append("first"))
    for _ in range(10_000):
        cancel()
        cancel = timers.later(60_000, lambda: fired.append("last"))
    assert len(timers._heap) < 100
    timers._clock = lambda: 60_000
    timers.fire_due()
    assert fired == ["kept", "last"]
