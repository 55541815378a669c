"""The arithmetic of the status, and the judgements over it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from appliance.extension.ports import LaneDepth
from appliance.kernel.status import ComponentStatus, State
from appliance.model.ids import EntityId, new_uuid
from appliance.model.unit import CLOUD, Lane, OutboxEvent, Unit
from appliance.testing.memory_storage import MemoryStorage
from appliance.web import health
from appliance.web.events import ConnectionRefused, RequestFailed, WebStarted
from appliance.web.health import Level
from appliance.web.pages import status_document
from appliance.web.status import (
    LaneStatus,
    LinkStatus,
    LiveStatus,
    RateMeter,
    RecentErrors,
    Status,
    StorageStatus,
    drain_s,
    full_s,
    lane_status,
    ledger_of,
    process_status,
)

NOW = 1_800_000_000_000


def lane(**figures: Any) -> LaneStatus:
    depth = {"pending": 0, "pending_bytes": 0, "oldest_ms": None, "acknowledged": 0}
    depth |= {"quarantined": 0, "dropped": {}, "accepted": 0}
    return lane_status(CLOUD, Lane.DATA, LaneDepth(**(depth | figures)), NOW, (0.0, 0.0))


def healthy(**changes: Any) -> Status:
    lanes = changes.pop("lanes", [lane()])
    status = Status(
        role="edge",
        name="Hall 3",
        now_ms=NOW,
        links=[LinkStatus(CLOUD, "connected", NOW, "cloud:7070", "", 0.2)],
        lanes=lanes,
        storage=StorageStatus(2**20, 2**30, None, False, [], {"segments": 1}),
        ledger=ledger_of(lanes),
        components=[ComponentStatus("ingest.http", State.RUNNING, NOW)],
        errors=[],
        process=process_status(NOW),
    )
    return msgspec.structs.replace(status, **changes)


def level_of(status: Status) -> Level:
    return health.overall(health.checks(status))


@pytest.mark.parametrize(
    ("pending", "into", "out", "expected"),
    [(0, 5, 0, 0.0), (100, 0, 10, 10.0), (100, 5, 10, 20.0), (100, 10, 10, None), (1, 2, 1, None)],
)
def test_time_to_drain(pending: int, into: float, out: float, expected: float | None) -> None:
    assert drain_s(pending, into, out) == expected


@pytest.mark.parametrize(
    ("free", "rate", "expected"), [(100, 10, 10.0), (100, 0, None), (9, -1, None)]
)
def test_time_to_full(free: int, rate: float, expected: float | None) -> None:
    assert full_s(free, rate) == expected


def test_a_rate_is_that_of_the_last_minute() -> None:
    meter = RateMeter()
    assert meter.per_s(0, 0, 100) == (0.0, 0.0)
    assert meter.per_s(10_000, 100, 100) == (10.0, 0.0)
    for second in range(11, 200):
        rates = meter.per_s(second * 1000, 100 + second * 3, 100)
    assert rates == pytest.approx((3.0, 0.0))


def test_looks_rarer_than_the_window_still_give_a_rate() -> None:
    meter = RateMeter()
    meter.per_s(0, 0)
    assert meter.per_s(300_000, 600) == (2.0,)
    assert meter.per_s(600_000, 900) == (1.0,)


def test_many_looks_in_one_second_keep_one() -> None:
    meter = RateMeter()
    for ms in range(0, 500, 10):
        meter.per_s(ms, ms)
    assert meter.per_s(500, 500) == pytest.approx((1000.0,))


def test_the_ledger_adds_up_over_all_lanes() -> None:
    lanes = [
        lane(accepted=10, acknowledged=4, pending=3, quarantined=1, dropped={"age": 2}),
        lane(accepted=5, acknowledged=1, pending=0, dropped={"age": 1, "size": 2}),
    ]
    ledger = ledger_of(lanes)
    assert (ledger.accepted, ledger.delivered, ledger.pending, ledger.quarantined) == (15, 5, 3, 1)
    assert ledger.dropped == {"age": 3, "size": 2}
    assert ledger.missing == 1


@pytest.mark.parametrize(
    ("pending", "level"),
    [
        (0, Level.HEALTHY),
        (999, Level.HEALTHY),
        (1_000, Level.ELEVATED),
        (5_000, Level.ELEVATED),
        (5_001, Level.WARNING),
    ],
)
def test_the_level_of_a_queue(pending: int, level: Level) -> None:
    lanes = [lane(accepted=pending, pending=pending)]
    assert level_of(healthy(lanes=lanes)) == level


@pytest.mark.parametrize(
    ("latency_s", "level"),
    [
        (4.9, Level.HEALTHY),
        (5.0, Level.ELEVATED),
        (30.0, Level.ELEVATED),
        (30.1, Level.WARNING),
    ],
)
def test_the_level_of_the_sync_latency(latency_s: float, level: Level) -> None:
    link = LinkStatus(CLOUD, "connected", NOW, "cloud:7070", "", latency_s)
    assert level_of(healthy(links=[link])) == level


@pytest.mark.parametrize(
    ("changes", "level", "word"),
    [
        ({}, Level.HEALTHY, "connected"),
        ({"links": [LinkStatus(CLOUD, "off", NOW)]}, Level.HEALTHY, "0 events"),
        (
            {"links": [LinkStatus(CLOUD, "reconnecting", NOW, error="no route")]},
            Level.WARNING,
            "no route",
        ),
        ({"storage": StorageStatus(1, 0, None, True, [], {})}, Level.CRITICAL, "full"),
        ({"storage": None}, Level.ELEVATED, "not open"),
        ({"storage": StorageStatus(1, 9, None, False, ["block 3"], {})}, Level.WARNING, "block 3"),
        ({"storage": StorageStatus(1, 9, 7200.0, False, [], {})}, Level.WARNING, "2.0 h"),
        ({"lanes": [lane(accepted=1, quarantined=1)]}, Level.WARNING, "refused"),
        ({"lanes": [lane(accepted=3, dropped={"age": 3})]}, Level.WARNING, "3 by age"),
        ({"lanes": [lane(accepted=3)]}, Level.CRITICAL, "3 of 3"),
        (
            {"components": [ComponentStatus("x", State.ISOLATED, NOW, 3, "broke")]},
            Level.WARNING,
            "broke",
        ),
        (
            {"components": [ComponentStatus("x", State.WAITING, NOW, 3, "broke")]},
            Level.WARNING,
            "again",
        ),
    ],
)
def test_the_worst_check_comes_first_and_says_why(
    changes: dict[str, Any], level: Level, word: str
) -> None:
    found = health.checks(healthy(**changes))
    assert found[0].level == level == health.overall(found)
    assert any(word in check.reason for check in found if check.level == level)


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 0),
        ({"links": [LinkStatus(CLOUD, "reconnecting", NOW)]}, 0),
        ({"storage": StorageStatus(1, 0, None, True, [], {})}, 1),
        ({"serving": False}, 1),
        ({"components": [ComponentStatus("x", State.STARTING, NOW)]}, 1),
        ({"components": [ComponentStatus("x", State.ISOLATED, NOW)]}, 0),
    ],
)
def test_ready_means_devices_can_be_served(changes: dict[str, Any], count: int) -> None:
    assert len(health.unready(healthy(**changes))) == count


def test_only_warnings_and_errors_are_kept_and_the_newest_come_first() -> None:
    errors = RecentErrors(lambda: NOW)
    errors.keep(WebStarted(address="x"))
    errors.keep(ConnectionRefused(peer="a", connections=1))
    errors.keep(RequestFailed(method="GET", path="/", error="broke"))
    assert [(line.level, line.at_ms) for line in errors.lines()] == [
        ("error", NOW),
        ("warning", NOW),
    ]
    assert "broke" in errors.lines()[0].text


async def test_the_live_source_tells_what_the_storage_holds() -> None:
    storage = MemoryStorage(clock=lambda: NOW)
    event = OutboxEvent(
        CLOUD, Lane.DATA, "DEVICE", "TIMESERIES_UPDATED", EntityId("DEVICE", new_uuid()), b"x"
    )
    await storage.commit([Unit(events=[event, event])])
    source = LiveStatus(
        "edge",
        storage,
        lambda: NOW + 5_000,
        name=lambda: "Hall 3",
        links=lambda: [LinkStatus(CLOUD, "connected", NOW)],
        components=list,
        errors=RecentErrors(lambda: NOW),
    )
    status = source.status()
    data = next(lane for lane in status.lanes if lane.lane == "DATA")
    assert (data.accepted, data.pending, data.oldest_age_s) == (2, 2, 5.0)
    assert status.ledger.missing == 0
    document = msgspec.json.decode(msgspec.json.encode(status_document(status)))
    assert document["name"] == "Hall 3"
    assert document["ledger"]["pending"] == 2
