"""Whatever happens on both sides, once it is quiet they agree, and nothing is said twice.

Random programs of changes on an edge and its cloud, of cut links, restarts, deaths, full disks and
wrong clocks, in virtual time. Then quiet, and: every entity that the edge has is the same here and
there, attributes by newest time, every value that a device was told to be kept is on the cloud,
each entity's events were taken in the order of their commits, and nothing goes to and fro.

A failure shows the shortest program that fails. MODEL_EXAMPLES says how many programs to run (100),
MODEL_STEPS how many steps each has at least (1; most have a few more, up to forty), APPLIANCE_SEED
which ones.
"""

from __future__ import annotations

import os
import random
from typing import Any

import hypothesis
import hypothesis.strategies as st
import trio
import trio.testing
from hypothesis import HealthCheck, Phase, given, settings

from appliance.model.telemetry import Scope
from tests.kit.seed import SEED
from tests.model.steps import Step, Steps
from tests.model.tenant_steps import ON_BOTH, ON_CLOUD
from tests.model.verdict import judge
from tests.model.world import CLOUD_SIDE, EDGE_SIDE, fresh_cloud

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "100"))
STEPS_MIN = int(os.environ.get("MODEL_STEPS", "1"))

SIDES = st.sampled_from([EDGE_SIDE, CLOUD_SIDE])
MADE = ["DEVICE", "ASSET", "ENTITY_VIEW", "DASHBOARD", "RULE_CHAIN"]
NUMBERS = st.integers(0, 3)
KEYS = st.sampled_from(["a", "b"])
SCOPES = st.sampled_from([Scope.SERVER, Scope.SHARED])
SECONDS = st.sampled_from([0.0, 0.001, 0.05, 2.0])
DOWN_S = st.sampled_from([0.0, 0.05, 30.0, 4000.0])


def step(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    """One kind of step."""
    return st.tuples(st.just(name), *arguments)


COMES_AND_GOES = [
    step("make", SIDES, st.sampled_from(MADE), NUMBERS),
    step("delete", SIDES, NUMBERS),
    step("unassign", NUMBERS),
    step("assign", NUMBERS),
]
CHANGES = [
    *COMES_AND_GOES,
    step("attribute", SIDES, NUMBERS, SCOPES, KEYS),
    step("forget", SIDES, NUMBERS, st.sampled_from(Scope), KEYS),
    step("post", NUMBERS, st.booleans()),
    step("label", SIDES, NUMBERS),
    step("rename", SIDES, NUMBERS, NUMBERS),
    step("token", SIDES, NUMBERS),
    step("relate", SIDES, NUMBERS, NUMBERS),
    step("alarm", SIDES, NUMBERS),
    step("ack", SIDES, NUMBERS),
    step("clear", SIDES, NUMBERS),
    step("dismiss", SIDES, NUMBERS),
    step("comment", SIDES, NUMBERS),
    step("rpc", NUMBERS, st.sampled_from(["oneway", "twoway", "kept"])),
]
KINDS = st.sampled_from([*ON_BOTH, *ON_CLOUD, "DEVICE_PROFILE", "CUSTOMER", "USER"])
TITLES = st.integers(0, 1)
"""Few, so that both sides often choose the same."""
OF_TENANT = [
    *COMES_AND_GOES,
    step("add", SIDES, KINDS, TITLES),
    step("add", SIDES, KINDS, TITLES),
    step("change", SIDES, NUMBERS),
    step("retitle", SIDES, NUMBERS, TITLES),
    step("drop", SIDES, NUMBERS),
    step("profile", SIDES, NUMBERS, TITLES),
    step("default", st.sampled_from(["DEVICE_PROFILE", "ASSET_PROFILE"]), TITLES),
    step("customer", st.none() | TITLES),
    step("give", SIDES, NUMBERS, st.none() | TITLES),
    step("password", SIDES, NUMBERS),
    step("repoint", SIDES, NUMBERS, NUMBERS),
    st.just(("adopt",)),
]
FAULTS = [
    step("cut", st.booleans()),
    step("away", DOWN_S),
    step("stall", SECONDS),
    step("restart", SIDES, DOWN_S),
    step("kill", SIDES, st.integers(0, 12), DOWN_S),
    step("full", SIDES, SECONDS),
    step("skew", SIDES, st.sampled_from([0, 1, -1, 5000, -5000])),
    step("sync", SIDES),
]
ALONE = ("alarm", "make", "add", "adopt")
"""What looks whether there is one already is not for many at the same moment."""


def programs(*changes: st.SearchStrategy[Step]) -> st.SearchStrategy[list[Step]]:
    """Programs of these changes, of faults and of pauses."""
    at_once = st.one_of(*changes).filter(lambda each: each[0] not in ALONE)
    pauses = [step("wait", SECONDS), step("meanwhile", at_once)] * 2
    return st.lists(st.one_of(*changes, *FAULTS, *pauses), min_size=STEPS_MIN, max_size=40)


PROGRAMS = programs(*CHANGES) | programs(*OF_TENANT)


async def life(seed: int, program: list[Step]) -> None:
    """Both sides start with a device and an asset; then the program, then the verdict."""
    async with trio.open_nursery() as nursery:
        world = Steps(nursery, random.Random(seed))
        await world.begin()
        await trio.sleep(5)
        for first in (("make", CLOUD_SIDE, "DEVICE", 0), ("make", EDGE_SIDE, "DEVICE", 1)):
            await world.play(first)
        await trio.sleep(5)
        for each in program:
            await world.play(each)
        await judge(world)
        nursery.cancel_scope.cancel()


def run(seed: int, program: list[Step]) -> None:
    """In virtual time, with a scheduler that is as random as the seed says, and no more."""
    trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[attr-defined] - as
    trio._core._run._r.seed(seed)  # type: ignore[attr-defined] - pytest-trio does
    random.seed(seed)
    fresh_cloud()
    trio.run(life, seed, program, clock=trio.testing.MockClock(autojump_threshold=0))


@hypothesis.seed(SEED)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
@given(st.integers(0, 2**16), PROGRAMS)
def test_both_sides_agree_when_it_is_quiet(seed: int, program: list[Step]) -> None:
    run(seed, program)
