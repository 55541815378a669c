"""Programs that once ended badly, as short as they became; each stays mended."""

from __future__ import annotations

import pytest

from appliance.model.telemetry import Scope
from tests.model.steps import Step
from tests.model.test_two_sides import run
from tests.model.world import CLOUD_SIDE, EDGE_SIDE

FOUND: dict[str, list[Step]] = {
    "an attribute that a full disk refused is here, so the cloud hears of it too": [
        ("full", EDGE_SIDE, 0.0),
        ("attribute", EDGE_SIDE, 0, Scope.SERVER, "a"),
    ],
    "a change made while away is not overwritten by the sync that comes before it is heard": [
        ("label", CLOUD_SIDE, 3),
        ("restart", CLOUD_SIDE, 4000.0),
        ("attribute", EDGE_SIDE, 0, Scope.SERVER, "a"),
        ("label", EDGE_SIDE, 1),
        ("alarm", EDGE_SIDE, 0),
    ],
    "credentials changed during a sync are the same on both sides": [
        ("sync", EDGE_SIDE),
        ("token", EDGE_SIDE, 1),
    ],
    "a full sync asked for while the link breaks comes with the next one": [
        ("cut", True),
        ("sync", EDGE_SIDE),
    ],
    "a change of what is being taken away does not bring it back": [
        ("unassign", 0),
        ("label", EDGE_SIDE, 0),
        ("label", EDGE_SIDE, 0),
    ],
    "a request that is said again after a cut is heard once": [
        ("kill", CLOUD_SIDE, 12, 30.0),
        ("stall", 0.05),
        ("rpc", 3, "kept"),
        ("wait", 2.0),
    ],
    "a request that is kept outlives the edge that has it": [
        ("rpc", 0, "kept"),
        ("kill", EDGE_SIDE, 6, 30.0),
        ("rpc", 0, "kept"),
        ("wait", 2.0),
        ("restart", EDGE_SIDE, 0.05),
    ],
    "a deletion is remembered through a restart, so that no older value undoes it": [
        ("attribute", CLOUD_SIDE, 0, Scope.SERVER, "a"),
        ("wait", 2.0),
        ("away", 30.0),
        ("attribute", EDGE_SIDE, 0, Scope.SERVER, "a"),
        ("wait", 0.05),
        ("forget", CLOUD_SIDE, 0, Scope.SERVER, "a"),
        ("restart", CLOUD_SIDE, 0.0),
    ],
    "a view made of a device that is being taken away goes with it": [
        ("unassign", 0),
        ("make", EDGE_SIDE, "ENTITY_VIEW", 2),
    ],
    "an alarm that is over before the other side hears of it ends no other one": [
        ("alarm", EDGE_SIDE, 1),
        ("alarm", CLOUD_SIDE, 1),
        ("clear", CLOUD_SIDE, 1),
    ],
    "comments find an alarm that both sides raised, and after it the next one": [
        step
        for number in (0, 1)
        for step in (
            ("away", 2.0),
            ("alarm", EDGE_SIDE, number),
            ("alarm", CLOUD_SIDE, number),
            ("comment", EDGE_SIDE, number),
            ("wait", 2.0),
            ("restart", EDGE_SIDE, 0.05),
            ("comment", CLOUD_SIDE, number),
            ("wait", 2.0),
            ("clear", CLOUD_SIDE, number),
            ("wait", 2.0),
            ("away", 2.0),
            ("alarm", CLOUD_SIDE, number),
            ("alarm", EDGE_SIDE, number),
            ("comment", CLOUD_SIDE, number),
            ("comment", EDGE_SIDE, number),
            ("kill", CLOUD_SIDE, 12, 0.05),
        )
    ],
    "an alarm that is deleted before it was said does not take the next one with it": [
        ("away", 2.0),
        ("alarm", EDGE_SIDE, 0),
        ("alarm", CLOUD_SIDE, 1),
        ("dismiss", EDGE_SIDE, 0),
        ("dismiss", CLOUD_SIDE, 1),
        ("alarm", EDGE_SIDE, 0),
        ("alarm", CLOUD_SIDE, 1),
    ],
    "a device with a view is not taken back before the view": [
        ("make", CLOUD_SIDE, "ENTITY_VIEW", 0),
        ("unassign", 0),
    ],
    "a relation made and taken back on both sides at once is the same on both": [
        ("relate", CLOUD_SIDE, 3, 3),
        ("relate", EDGE_SIDE, 3, 3),
        ("relate", EDGE_SIDE, 3, 3),
    ],
    "what is changed here and deleted there at once is on both sides or on neither": [
        ("label", EDGE_SIDE, 3),
        ("delete", CLOUD_SIDE, 3),
    ],
    "attributes that a device posts within one millisecond all arrive": [
        ("post", 0, True),
        ("post", 0, True),
        ("post", 0, True),
    ],
    "what was said before a deletion was heard does not come after its acknowledgement": [
        ("label", EDGE_SIDE, 1),
        ("wait", 0.001),
        ("restart", CLOUD_SIDE, 0.05),
        ("delete", CLOUD_SIDE, 1),
        ("label", EDGE_SIDE, 1),
    ],
    "a view is not assigned to an edge that gave up at the same moment what it shows": [
        ("attribute", EDGE_SIDE, 0, Scope.SERVER, "a"),
        ("delete", EDGE_SIDE, 0),
        ("attribute", EDGE_SIDE, 0, Scope.SERVER, "a"),
        ("make", CLOUD_SIDE, "ENTITY_VIEW", 0),
        ("delete", CLOUD_SIDE, 0),
    ],
    "an alarm raised after one like it was dismissed is not taken for that one": [
        ("cut", False),
        ("alarm", EDGE_SIDE, 0),
        ("attribute", EDGE_SIDE, 0, Scope.SERVER, "a"),
        ("dismiss", EDGE_SIDE, 0),
        ("alarm", EDGE_SIDE, 0),
    ],
    "what was deleted here and changed there meanwhile is gone on both sides": [
        ("cut", False),
        ("attribute", EDGE_SIDE, 0, Scope.SERVER, "a"),
        ("label", EDGE_SIDE, 1),
        ("attribute", CLOUD_SIDE, 1, Scope.SERVER, "a"),
        ("delete", CLOUD_SIDE, 1),
    ],
    "a change that is lost with the link is not overwritten by what came before it was heard": [
        ("sync", CLOUD_SIDE),
        ("unassign", 0),
        ("label", EDGE_SIDE, 1),
        ("restart", CLOUD_SIDE, 0.0),
    ],
    "a relation made again is not taken back by what was said of the first": [
        ("rpc", 0, "oneway"),
        ("relate", EDGE_SIDE, 0, 0),
        ("stall", 0.0),
        ("relate", EDGE_SIDE, 0, 0),
        ("relate", EDGE_SIDE, 0, 0),
    ],
    "an alarm that the edge has under another name is cleared by both": [
        ("alarm", CLOUD_SIDE, 1),
        ("alarm", EDGE_SIDE, 1),
        ("forget", EDGE_SIDE, 0, Scope.SERVER, "a"),
        ("clear", EDGE_SIDE, 1),
    ],
    "an alarm that the edge has under another name is deleted by both": [
        ("alarm", CLOUD_SIDE, 1),
        ("alarm", EDGE_SIDE, 1),
        ("wait", 0.001),
        ("dismiss", EDGE_SIDE, 1),
    ],
    "a device renamed for the sake of the cloud's is not taken for unassigned": [
        ("attribute", EDGE_SIDE, 0, Scope.SERVER, "a"),
        ("make", EDGE_SIDE, "DEVICE", 2),
        ("cut", False),
        ("sync", EDGE_SIDE),
        ("attribute", EDGE_SIDE, 0, Scope.SERVER, "a"),
        ("attribute", EDGE_SIDE, 0, Scope.SERVER, "a"),
        ("make", CLOUD_SIDE, "DEVICE", 2),
    ],
    "an alarm raised on both sides at the same moment is one": [
        ("alarm", EDGE_SIDE, 0),
        ("alarm", EDGE_SIDE, 0),
        ("alarm", CLOUD_SIDE, 0),
    ],
    "an alarm does not overtake the end of the one before it": [
        ("alarm", CLOUD_SIDE, 0),
        ("forget", EDGE_SIDE, 0, Scope.SERVER, "a"),
        ("dismiss", CLOUD_SIDE, 0),
        ("forget", EDGE_SIDE, 0, Scope.SERVER, "a"),
        ("cut", False),
        ("alarm", CLOUD_SIDE, 0),
    ],
    "a relation that was taken back while it was confirmed is gone": [
        ("relate", EDGE_SIDE, 0, 0),
        ("rpc", 0, "oneway"),
        ("make", EDGE_SIDE, "ASSET", 0),
        ("relate", EDGE_SIDE, 0, 0),
    ],
    "a name is given once, also where both sides give it at the same moment": [
        ("restart", EDGE_SIDE, 0.0),
        ("wait", 0.001),
        ("add", EDGE_SIDE, "DEVICE_PROFILE", 0),
        ("unassign", 0),
        ("add", CLOUD_SIDE, "DEVICE_PROFILE", 0),
    ],
    "what is given a profile that goes at the same moment has the default one on both sides": [
        ("add", CLOUD_SIDE, "DEVICE_PROFILE", 0),
        ("wait", 2.0),
        ("away", 30.0),
        ("profile", EDGE_SIDE, 0, 0),
        ("drop", CLOUD_SIDE, 0),
    ],
    "a profile that is the default one, or that something has, stays": [
        ("add", CLOUD_SIDE, "DEVICE_PROFILE", 0),
        ("add", CLOUD_SIDE, "DEVICE_PROFILE", 1),
        ("default", "DEVICE_PROFILE", 0),
        ("profile", CLOUD_SIDE, 0, 1),
        ("drop", CLOUD_SIDE, 0),
        ("drop", CLOUD_SIDE, 1),
    ],
    "nothing stays with a customer who is deleted": [
        ("add", CLOUD_SIDE, "CUSTOMER", 0),
        ("customer", 0),
        ("add", CLOUD_SIDE, "USER", 1),
        ("give", CLOUD_SIDE, 0, 0),
        ("wait", 2.0),
        ("give", EDGE_SIDE, 1, 0),
        ("label", EDGE_SIDE, 0),
        ("drop", CLOUD_SIDE, 0),
    ],
    "a calculated field of what no edge has goes to none": [
        ("unassign", 0),
        ("add", CLOUD_SIDE, "CALCULATED_FIELD", 0),
    ],
    "what an edge deleted is there again when its folder becomes another edge's": [
        ("attribute", CLOUD_SIDE, 0, Scope.SERVER, "a"),
        ("wait", 2.0),
        ("away", 30.0),
        ("forget", EDGE_SIDE, 0, Scope.SERVER, "a"),
        ("adopt",),
        ("assign", 0),
    ],
    "what a full disk refused is not forgotten with the link by which it came": [
        ("make", EDGE_SIDE, "DEVICE", 2),
        ("restart", EDGE_SIDE, 0.0),
        ("full", CLOUD_SIDE, 0.001),
        ("sync", CLOUD_SIDE),
        ("restart", CLOUD_SIDE, 4000.0),
    ],
    "a customer's user goes to the customer's edges only": [
        ("add", CLOUD_SIDE, "CUSTOMER", 0),
        ("wait", 2.0),
        ("add", CLOUD_SIDE, "USER", 1),
    ],
}


@pytest.mark.parametrize("program", FOUND.values(), ids=list(FOUND))
def test_mended(program: list[Step]) -> None:
    for seed in (*range(10), 30):
        run(seed, program)
