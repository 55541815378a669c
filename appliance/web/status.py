"""How the appliance is, as plain data: what `/status`, `/metrics`, health and the page show.

`StatusSource` is asked at every read and must not wait. `LiveStatus` answers from what the house
has; the arithmetic (ledger, rates, times to full and to drain) is pure and stands by itself.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from appliance import __version__
from appliance.extension.ports import LaneDepth, Storage
from appliance.kernel.clock import Clock
from appliance.kernel.events import Event
from appliance.kernel.logs import message
from appliance.kernel.status import ComponentStatus
from appliance.model.errors import Retryable
from appliance.model.unit import Lane

RATE_WINDOW_MS = 60_000
ERRORS_MAX = 20


class LinkStatus(msgspec.Struct, frozen=True):
    """One peer. state: "connected", "reconnecting" or "off" (no peer is configured).

    outbox: the outbox that goes over it. since_ms: epoch ms of the last change of state.
    sync_latency_s: from commit to acknowledgement of the newest acknowledged event; None before
    the first. error: why the last attempt or connection ended; empty when none has. syncing,
    last_sync_ms: an edge's sync with its server. kept: what came and is stored without being used
    yet, by field, with how often since the start; on a cloud of each edge.
    """

    outbox: str
    state: str
    since_ms: int
    peer: str = ""
    error: str = ""
    sync_latency_s: float | None = None
    syncing: bool = False
    last_sync_ms: int | None = None
    kept: dict[str, int] = {}


class LaneStatus(msgspec.Struct, frozen=True):
    """One lane of one outbox. Rates over the last minute.

    drain_s: time until it is empty at these rates; 0 when empty, None when it grows or stands.
    cursor: sequence up to which every event is dealt with.
    """

    outbox: str
    lane: str
    accepted: int
    acknowledged: int
    pending: int
    pending_bytes: int
    quarantined: int
    dropped: dict[str, int]
    oldest_age_s: float
    in_per_s: float
    out_per_s: float
    drain_s: float | None
    cursor: int = 0


class StorageStatus(msgspec.Struct, frozen=True):
    """The disk and what lives on it. full_s: time until it is full at this rate; None = never.

    missing: damage that cost data, in words. full: no more data is accepted.
    """

    bytes: int
    free_bytes: int
    full_s: float | None
    full: bool
    missing: list[str]
    figures: dict[str, Any]


class Ledger(msgspec.Struct, frozen=True):
    """Nothing is lost silently: accepted = delivered + pending + quarantined + dropped.

    missing: what the sum lacks; anything but 0 is a fault of ours.
    """

    accepted: int
    delivered: int
    pending: int
    quarantined: int
    dropped: dict[str, int]
    missing: int


class ErrorLine(msgspec.Struct, frozen=True):
    """A recent warning or error, as it reads in the log."""

    at_ms: int
    level: str
    text: str


class ProcessStatus(msgspec.Struct, frozen=True):
    """Ourselves. rss_bytes: 0 where the platform does not tell."""

    version: str
    started_ms: int
    rss_bytes: int
    cpu_s: float
    pid: int


class PluginStatus(msgspec.Struct, frozen=True):
    """One plugin. origin: "built-in", or where it came from. error: why it was left out."""

    name: str
    origin: str
    version: str = ""
    offers: tuple[str, ...] = ()
    error: str = ""


class Status(msgspec.Struct, frozen=True):
    """Everything, at one moment. name: of this edge; empty before the first connect.

    storage: None while it is not open. serving: everything is started and stop has not begun.
    """

    role: str
    name: str
    now_ms: int
    links: list[LinkStatus]
    lanes: list[LaneStatus]
    storage: StorageStatus | None
    ledger: Ledger
    components: list[ComponentStatus]
    errors: list[ErrorLine]
    process: ProcessStatus
    plugins: list[PluginStatus] = []
    serving: bool = True


class StatusSource(Protocol):
    """Where pages and metrics look."""

    def status(self) -> Status:
        """Now; must not wait."""
        ...


# --- arithmetic --------------------------------------------------------------------------------


def ledger_of(lanes: Iterable[LaneStatus]) -> Ledger:
    """The sum over all lanes."""
    accepted = delivered = pending = quarantined = 0
    dropped: dict[str, int] = {}
    for lane in lanes:
        accepted += lane.accepted
        delivered += lane.acknowledged
        pending += lane.pending
        quarantined += lane.quarantined
        for reason, count in lane.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
    missing = accepted - delivered - pending - quarantined - sum(dropped.values())
    return Ledger(accepted, delivered, pending, quarantined, dropped, missing)


def drain_s(pending: int, in_per_s: float, out_per_s: float) -> float | None:
    """Seconds until a lane is empty; None when it never will at these rates."""
    if not pending:
        return 0.0
    return pending / (out_per_s - in_per_s) if out_per_s > in_per_s else None


def full_s(free_bytes: int, bytes_per_s: float) -> float | None:
    """Seconds until the disk is full; None when it does not fill."""
    return free_bytes / bytes_per_s if bytes_per_s > 0 else None


class RateMeter:
    """The rate of growing counts over the last minute, from looks at them.

    At most one look a second is kept, so about 60 are. When looks are rarer than the window, the
    rate is the one since the look before.
    """

    def __init__(self) -> None:
        self._looks: deque[tuple[int, tuple[float, ...]]] = deque()

    def per_s(self, now_ms: int, *counts: float) -> tuple[float, ...]:
        """Look at the counts; rates since the oldest look of the last minute."""
        looks = self._looks
        while len(looks) > 1 and now_ms - looks[1][0] >= RATE_WINDOW_MS:
            looks.popleft()
        if not looks or now_ms - looks[-1][0] >= 1000:
            looks.append((now_ms, counts))
        then_ms, then = looks[0]
        if now_ms <= then_ms:
            return (0.0,) * len(counts)
        seconds = (now_ms - then_ms) / 1000
        return tuple((new - old) / seconds for new, old in zip(counts, then, strict=True))


def lane_status(
    outbox: str, lane: Lane, depth: LaneDepth, now_ms: int, rates: tuple[float, float]
) -> LaneStatus:
    """A lane's figures with what follows from them."""
    age_s = 0.0 if depth.oldest_ms is None else max(0, now_ms - depth.oldest_ms) / 1000
    in_per_s, out_per_s = rates
    return LaneStatus(
        outbox=outbox,
        lane=lane.name,
        accepted=depth.accepted,
        acknowledged=depth.acknowledged,
        pending=depth.pending,
        pending_bytes=depth.pending_bytes,
        quarantined=depth.quarantined,
        dropped=depth.dropped,
        oldest_age_s=age_s,
        in_per_s=in_per_s,
        out_per_s=out_per_s,
        drain_s=drain_s(depth.pending, in_per_s, out_per_s),
        cursor=depth.cursor,
    )


# --- the live source ---------------------------------------------------------------------------


class RecentErrors:
    """Keeps the newest warnings and errors; `keep` is an Emit."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: deque[ErrorLine] = deque(maxlen=ERRORS_MAX)

    def keep(self, event: Event) -> None:
        """Remember the event if it is a warning or an error."""
        if event.level in ("warning", "error"):
            self._lines.append(ErrorLine(self._clock(), event.level, message(event)))

    def lines(self) -> list[ErrorLine]:
        """Newest first."""
        return list(reversed(self._lines))


class LiveStatus:
    """A StatusSource over the running house.

    name: of this edge, read at every look. links: the peers now. components: the board's lines.
    """

    def __init__(
        self,
        role: str,
        storage: Storage,
        clock: Clock,
        *,
        name: Callable[[], str],
        links: Callable[[], Sequence[LinkStatus]],
        components: Callable[[], Sequence[ComponentStatus]],
        errors: RecentErrors,
        plugins: Sequence[PluginStatus] = (),
        serving: Callable[[], bool] = lambda: True,
    ) -> None:
        self._role = role
        self._storage = storage
        self._clock = clock
        self._name = name
        self._links = links
        self._components = components
        self._errors = errors
        self._plugins = list(plugins)
        self._serving = serving
        self._started_ms = clock()
        self._meters: dict[tuple[str, Lane], RateMeter] = {}
        self._disk_meter = RateMeter()

    def status(self) -> Status:
        """See StatusSource."""
        now_ms = self._clock()
        try:
            outboxes = self._storage.outboxes()
            lanes = [self._lane(outbox, lane, now_ms) for outbox in outboxes for lane in Lane]
            storage = self._disk(now_ms)
        except Retryable:  # a folder with much to mend opens slowly, and is watched meanwhile
            lanes, storage = [], None
        return Status(
            role=self._role,
            name=self._name(),
            now_ms=now_ms,
            links=list(self._links()),
            lanes=lanes,
            storage=storage,
            ledger=ledger_of(lanes),
            components=list(self._components()),
            errors=self._errors.lines(),
            process=process_status(self._started_ms),
            plugins=self._plugins,
            serving=self._serving(),
        )

    def _lane(self, outbox: str, lane: Lane, now_ms: int) -> LaneStatus:
        depth = self._storage.depth(outbox, lane)
        meter = self._meters.setdefault((outbox, lane), RateMeter())
        in_per_s, out_per_s = meter.per_s(now_ms, depth.accepted, depth.acknowledged)
        return lane_status(outbox, lane, depth, now_ms, (in_per_s, out_per_s))

    def _disk(self, now_ms: int) -> StorageStatus:
        figures = self._storage.statistics()
        used, free = int(figures.get("bytes", 0)), int(figures.get("free_bytes", 0))
        (growth,) = self._disk_meter.per_s(now_ms, used)
        shown = ("bytes", "free_bytes", "missing", "full")
        return StorageStatus(
            bytes=used,
            free_bytes=free,
            full_s=full_s(free, growth),
            full=bool(figures.get("full")),
            missing=[str(what) for what in figures.get("missing", ())],
            figures={name: value for name, value in figures.items() if name not in shown},
        )


def process_status(started_ms: int) -> ProcessStatus:
    """Ourselves, now."""
    return ProcessStatus(__version__, started_ms, _rss_bytes(), time.process_time(), os.getpid())


def _rss_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
