"""Is it well? Pure judgements over a Status, with the reason for each.

Limits: fewer than 1000 events waiting in an outbox is healthy, more than 5000 a warning; a sync
latency below 5 s is healthy, above 30 s a warning; between the two it is elevated. A lost
connection is a warning, not a failure: working without it is what the appliance is for.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

import msgspec

from appliance.kernel.status import State
from appliance.web.status import Status

DEPTH_HEALTHY, DEPTH_WARNING = 1_000, 5_000
LATENCY_S_HEALTHY, LATENCY_S_WARNING = 5.0, 30.0


class Level(IntEnum):
    """From well to broken; the whole is as bad as its worst part."""

    HEALTHY = 0
    ELEVATED = 1
    WARNING = 2
    CRITICAL = 3


class Check(msgspec.Struct, frozen=True):
    """One judgement. reason: what was looked at and why it is at this level."""

    name: str
    level: Level
    reason: str

    def to_json(self) -> dict[str, str]:
        """As it appears in `/status`."""
        return {"name": self.name, "level": self.level.name.lower(), "reason": self.reason}


def depth_level(pending: int) -> Level:
    """How bad so many waiting events are."""
    if pending > DEPTH_WARNING:
        return Level.WARNING
    return Level.HEALTHY if pending < DEPTH_HEALTHY else Level.ELEVATED


def latency_level(seconds: float) -> Level:
    """How bad so much delay between commit and acknowledgement is."""
    if seconds > LATENCY_S_WARNING:
        return Level.WARNING
    return Level.HEALTHY if seconds < LATENCY_S_HEALTHY else Level.ELEVATED


def checks(status: Status) -> list[Check]:
    """Every judgement, worst first; equally bad ones in the order of the house."""
    found = [
        *_links(status),
        *_queues(status),
        *_storage(status),
        *_ledger(status),
        *_components(status),
    ]
    return sorted(found, key=lambda check: -check.level)


def overall(found: list[Check]) -> Level:
    """The worst of them."""
    return max((check.level for check in found), default=Level.HEALTHY)


def unready(status: Status) -> list[str]:
    """Why devices cannot be served now; empty when they can."""
    reasons = [] if status.serving else ["not everything is started, or it is stopping"]
    if status.storage is not None and status.storage.full:
        reasons.append("the storage is full")
    for component in status.components:
        if component.state in (State.STARTING, State.WAITING):
            reasons.append(f"{component.name} is {component.state}")
    return reasons


def _links(status: Status) -> Iterator[Check]:
    for link in status.links:
        if link.state == "off":
            continue
        if link.state != "connected":
            why = f": {link.error}" if link.error else ""
            reason = f"{link.outbox}: {link.state}{why}"
            yield Check("connection", Level.WARNING, reason)
            continue
        yield Check("connection", Level.HEALTHY, f"{link.outbox}: connected to {link.peer}")
        if link.sync_latency_s is not None:
            latency = latency_level(link.sync_latency_s)
            reason = f"{link.outbox}: {link.sync_latency_s:.1f} s from commit to acknowledgement"
            yield Check("sync latency", latency, reason)


def _queues(status: Status) -> Iterator[Check]:
    depths: dict[str, int] = {}
    for lane in status.lanes:
        depths[lane.outbox] = depths.get(lane.outbox, 0) + lane.pending
        if lane.quarantined:
            reason = f"{lane.outbox}: {lane.quarantined} events of lane {lane.lane} were refused"
            yield Check("quarantine", Level.WARNING, reason)
    for outbox, pending in depths.items():
        yield Check("queue depth", depth_level(pending), f"{outbox}: {pending} events wait")


def _storage(status: Status) -> Iterator[Check]:
    storage = status.storage
    if storage is None:
        yield Check("storage", Level.ELEVATED, "not open")
    elif storage.full:
        yield Check("storage", Level.CRITICAL, "full: no data is accepted until space is free")
    elif storage.missing:
        yield Check("storage", Level.WARNING, "damage found: " + "; ".join(storage.missing))
    elif storage.full_s is not None and storage.full_s < 86_400:
        hours = storage.full_s / 3600
        yield Check("storage", Level.WARNING, f"full in {hours:.1f} h at the present rate")
    else:
        yield Check("storage", Level.HEALTHY, f"{storage.free_bytes / 2**30:.1f} GiB free")


def _ledger(status: Status) -> Iterator[Check]:
    ledger = status.ledger
    if ledger.missing:
        reason = f"{ledger.missing} of {ledger.accepted} accepted events are unaccounted for"
        yield Check("ledger", Level.CRITICAL, reason)
    elif ledger.dropped:
        reasons = ", ".join(f"{count} by {why}" for why, count in ledger.dropped.items())
        yield Check("ledger", Level.WARNING, f"events given up: {reasons}")


def _components(status: Status) -> Iterator[Check]:
    for component in status.components:
        if component.state is State.ISOLATED:
            yield Check("component", Level.WARNING, f"{component.name}: {component.error}")
        elif component.state is State.WAITING:
            reason = f"{component.name} failed and will be tried again: {component.error}"
            yield Check("component", Level.WARNING, reason)
