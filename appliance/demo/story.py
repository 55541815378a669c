"""The demo's plot: live, cut, backlog, drain, audit; once or again and again until asked to end.

Devices send all the time; only the line is touched. Nothing here knows more than a user could see:
`/status` and `/metrics` of both roles, and the cloud's REST API for the audit.
"""

from __future__ import annotations

import math
import signal
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio

from appliance.demo.audit import Verdict, audit
from appliance.demo.plant import NAMES, Plant
from appliance.demo.scene import Figures, Report, Scene
from appliance.demo.screen import Screen
from appliance.demo.site import Site, poll
from appliance.demo.wire import Wire
from appliance.kernel.clock import wall_clock_ms

INTERVAL_S = 0.1
"""Each device sends so often: 200 messages and 1,000 values a second together."""
LOOK_S = 0.25
DRAIN_S_MAX = 60.0
_RATE_LOOKS = 9
"""Rates are over two seconds: calm enough to read."""


class Tempo(msgspec.Struct, frozen=True):
    """Lengths of the chapters in seconds."""

    live_s: float
    cut_s: float
    after_s: float


ONCE = Tempo(6.0, 8.0, 4.0)
AGAIN = Tempo(15.0, 10.0, 5.0)


class Story:
    """One demo from the first process to the summary."""

    def __init__(self, folder: Path, screen: Screen) -> None:
        self._site = Site(folder)
        self._wire = Wire(self._site.rpc_port)
        self._screen = screen
        self._plant: Plant | None = None
        self._began_s = trio.current_time()
        self._scene = Scene("", "")
        self._chapter_ends_s = math.inf
        self._looks: deque[Figures] = deque(maxlen=_RATE_LOOKS)
        self._waiting: deque[int] = deque(maxlen=200)
        self._verdict = Verdict()
        self._eyes = trio.CancelScope()
        self._cuts, self._cut_s, self._drained_s, self._late_s_max = 0, 0.0, 0.0, 0.0
        self._backlog_max = 0

    async def play(self, *, once: bool) -> Report:
        """Play it; when not `once`, until SIGINT or SIGTERM. Raises Fatal when a role ends."""
        async with trio.open_nursery() as nursery:
            async with self._set(nursery) as plant:
                await self._rounds(ONCE if once else AGAIN, once)
                self._tell("Last messages", "The devices stop; what waits goes to the cloud.")
                plant.stop.set()
            await self._check()
            self._eyes.cancel()  # what stops answers no more
            await self._look()
            report = self._report(plant)
            for role in (self._site.edge, self._site.cloud):
                await role.stop()
            nursery.cancel_scope.cancel()
        return report

    @asynccontextmanager
    async def _set(self, nursery: trio.Nursery) -> AsyncIterator[Plant]:
        """Start everything; leaving waits until every device has its last acknowledgement."""
        site = self._site
        nursery.start_soon(self._draw)
        self._tell("Setting up", "A cloud, an edge and twenty devices start on this machine.")
        await nursery.start(self._wire.run)
        site.configure(self._wire.port)
        await site.cloud.start(nursery)
        await site.cloud.wait_ready()
        devices = await site.populate(NAMES)
        await site.edge.start(nursery)
        await site.edge.wait_ready()
        await site.wait_connected()
        plant = self._plant = Plant(devices, site.mqtt_port, site.edge.port, wall_clock_ms)
        nursery.start_soon(self._watch)
        async with trio.open_nursery() as machines:
            machines.start_soon(plant.run, INTERVAL_S)
            yield plant

    # --- chapters -----------------------------------------------------------------------------

    async def _rounds(self, tempo: Tempo, once: bool) -> None:
        """Play rounds until asked to end; a line that is cut then is mended."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._listen, nursery.cancel_scope)
            await self._round(tempo)
            while not once:
                await self._check()
                await self._round(tempo)
            nursery.cancel_scope.cancel()
        if not self._wire.whole:
            await self._mend()

    async def _listen(
        self, rounds: trio.CancelScope, *, task_status: trio.TaskStatus[None]
    ) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            await anext(aiter(signals))
            rounds.cancel()

    async def _round(self, tempo: Tempo) -> None:
        await self._chapter(
            tempo.live_s,
            "Live",
            "Each value is on the edge's disk before its device is told so.\n"
            f"Pages: {self._site.edge.page} (edge), {self._site.cloud.page} (cloud)",
        )
        await self._cut(tempo.cut_s)
        await self._mend()
        await self._chapter(tempo.after_s, "Live again", "As if nothing had been.")

    async def _cut(self, seconds: float) -> None:
        self._cuts += 1
        began = trio.current_time()
        await self._wire.cut()
        try:
            await self._chapter(
                seconds,
                "The line to the cloud is cut",
                "The devices do not notice: the edge goes on acknowledging and keeps\n"
                "everything on its disk.",
            )
        finally:
            self._cut_s += trio.current_time() - began

    async def _mend(self) -> None:
        """Mend the line and wait until what was kept is delivered."""
        self._tell("The line is back", "What was kept goes to the cloud, in order.")
        began = trio.current_time()
        self._wire.mend()
        await self._wait_delivered()
        self._drained_s = max(self._drained_s, trio.current_time() - began)

    async def _wait_delivered(self) -> None:
        """Return when the cloud has all that the edge took before this call; more keeps coming."""
        asked_ms = wall_clock_ms()

        async def delivered() -> bool:
            status = await self._site.edge.status()
            age_s = max(
                (lane["oldest_age_s"] for lane in status["lanes"] if lane["pending"]), default=0
            )
            return bool(status["now_ms"] - age_s * 1000 > asked_ms)

        await poll(delivered, DRAIN_S_MAX, 0.05)

    async def _check(self) -> None:
        """Compare all that was acknowledged so far with what the cloud has."""
        assert self._plant is not None
        self._tell("Counting", "Every acknowledged value is looked up in the cloud.")
        with trio.CancelScope(shield=True):  # what is taken out of the books must be counted
            books = self._plant.settle()
            await self._wait_delivered()
            self._verdict += await audit(self._site.cloud.http, books)

    async def _chapter(self, seconds: float, title: str, text: str) -> None:
        self._chapter_ends_s = trio.current_time() + seconds
        self._tell(title, text)
        try:
            await trio.sleep_until(self._chapter_ends_s)
        finally:
            self._chapter_ends_s = math.inf

    def _tell(self, title: str, text: str) -> None:
        self._scene = Scene(title, text)
        self._show()

    # --- watching -----------------------------------------------------------------------------

    async def _draw(self) -> None:
        while True:
            self._show()
            await trio.sleep(LOOK_S)

    async def _watch(self) -> None:
        with self._eyes:
            while True:
                await self._look()
                await trio.sleep(LOOK_S)

    def _show(self) -> None:
        now = self._looks[-1] if self._looks else Figures()
        link = "none" if self._plant is None else "up" if self._wire.whole else "cut"
        left_s = self._chapter_ends_s - trio.current_time()
        self._screen.show(
            msgspec.structs.replace(
                self._scene,
                link=link,
                left_s=left_s if math.isfinite(left_s) else None,
                figures=msgspec.structs.replace(now, elapsed_s=trio.current_time() - self._began_s),
                waiting=tuple(self._waiting),
                verdict=self._verdict,
            )
        )

    async def _look(self) -> None:
        """Take one look at both roles."""
        assert self._plant is not None
        edge, cloud = await self._site.edge.status(), await self._site.cloud.status()
        lanes = [lane for lane in edge["lanes"] if lane["lane"] == "DATA"]
        now = Figures(
            elapsed_s=trio.current_time() - self._began_s,
            sent=self._plant.sent,
            acknowledged=self._plant.acknowledged,
            at_cloud=await self._arrived(),
            waiting=sum(lane["pending"] for lane in lanes),
            oldest_s=max((lane["oldest_age_s"] for lane in lanes), default=0.0),
            edge_rss_bytes=edge["process"]["rss_bytes"],
            cloud_rss_bytes=cloud["process"]["rss_bytes"],
            edge_disk_bytes=edge["storage"]["bytes"],
            cloud_disk_bytes=cloud["storage"]["bytes"],
        )
        self._looks.append(_with_rates(self._looks[0], now) if self._looks else now)
        self._waiting.append(now.waiting)
        self._late_s_max = max(self._late_s_max, now.oldest_s)
        self._backlog_max = max(self._backlog_max, now.waiting)

    async def _arrived(self) -> int:
        """Messages that the cloud has made durable, as its metrics count them."""
        _, body = await self._site.cloud.http.ask("GET", "/metrics")
        for row in body.decode().splitlines():
            name, _, number = row.partition(" ")
            if name == "appliance_uplink_entries_total":
                return int(float(number))
        return 0

    def _report(self, plant: Plant) -> Report:
        return Report(
            verdict=self._verdict,
            figures=self._looks[-1],
            waited_s_max=plant.longest_wait_s,
            late_s_max=self._late_s_max,
            cuts=self._cuts,
            cut_s=self._cut_s,
            drained_s=self._drained_s,
            backlog_max=self._backlog_max,
            folder=str(self._site.folder),
        )


def _with_rates(then: Figures, now: Figures) -> Figures:
    seconds = max(now.elapsed_s - then.elapsed_s, 1e-3)
    return msgspec.structs.replace(
        now,
        in_per_s=(now.acknowledged - then.acknowledged) / seconds,
        out_per_s=(now.at_cloud - then.at_cloud) / seconds,
    )
