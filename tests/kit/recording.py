"""Recorded conversations (tests/fixtures/traces) as frames, and one side of them played back."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio

from appliance.extension.ports import Link
from appliance.sync.messages import (
    Ack,
    Batch,
    Connect,
    Connected,
    EntityUpdate,
    Frame,
    SyncCompleted,
    SyncRequest,
)
from plugins.transport_grpc.mapping import CloudCodec, EdgeCodec

TRACES = Path(__file__).parent.parent / "fixtures" / "traces"
_EDGE, _CLOUD = EdgeCodec(), CloudCodec()


class Line(msgspec.Struct, frozen=True):
    """One recorded message. direction: "up" or "down"."""

    direction: str
    frames: tuple[Frame, ...]


def names() -> list[str]:
    """All traces, in the order in which they were recorded."""
    return sorted(path.name.removesuffix(".jsonl") for path in TRACES.glob("*.jsonl"))


def lines(*traces: str) -> list[Line]:
    """The messages of these traces, one after another; life-of-stream lines are left out."""
    out = []
    for trace in traces:
        for text in (TRACES / f"{trace}.jsonl").read_text().splitlines():
            record = json.loads(text)
            if "raw" in record:
                codec = _CLOUD if record["dir"] == "up" else _EDGE
                raw = base64.b64decode(record["raw"])
                out.append(Line(record["dir"], tuple(codec.decode(raw))))
    return out


def expected(trace: str) -> Any:
    """What the REST API of either side answered afterwards."""
    return json.loads((TRACES / f"{trace}.expect.json").read_text())


def frames(recorded: Iterable[Line], direction: str) -> list[Frame]:
    """All frames of one direction."""
    return [frame for line in recorded if line.direction == direction for frame in line.frames]


def accepting(recorded: Iterable[Line]) -> Connected:
    """The server's answer to the CONNECT."""
    return next(f for f in frames(recorded, "down") if isinstance(f, Connected) and f.code == 0)


class PlayedLink:
    """The edge's end of a link whose other end speaks from a list and acknowledges everything."""

    def __init__(self, server: PlayedServer) -> None:
        self.peer = "recording"
        self.inbound_bytes_max = 4_194_304
        self._server = server
        self._send, self._receive = trio.open_memory_channel[Frame](100_000)

    async def send(self, frames: Sequence[Frame]) -> None:
        await trio.lowlevel.checkpoint()
        for frame in frames:
            self._server.heard(frame, self._send.send_nowait)

    async def receive(self) -> Sequence[Frame]:
        out = [await self._receive.receive()]
        while True:
            try:
                out.append(self._receive.receive_nowait())
            except trio.WouldBlock:
                return out

    def size(self, frame: Frame) -> int:
        return 1


class PlayedServer:
    """A Transport that plays the server's side of traces to one edge.

    heard_frames: everything the edge said. refused: acknowledgements without success.
    """

    def __init__(self, connected: Connected, downlinks: Sequence[Frame]) -> None:
        self._connected = connected
        self._downlinks = list(downlinks)
        self.heard_frames: list[Frame] = []
        self._say: Callable[[Frame], None] | None = None
        self.acked: set[int] = set()
        self.refused: list[Ack] = []

    @property
    def all_ids(self) -> set[int]:
        """Ids of every message that the edge has to acknowledge."""
        return {frame.id for frame in self._downlinks if isinstance(frame, Batch)}

    @property
    def all_batches(self) -> list[Frame]:
        """Everything that the server has to say."""
        return self._downlinks

    @property
    def answered(self) -> bool:
        """Whether every message was acknowledged."""
        return self.all_ids <= self.acked

    def heard(self, frame: Frame, say: Callable[[Frame], None]) -> None:
        """React as the recorded server did: accept, sync, acknowledge."""
        self.heard_frames.append(frame)
        self._say = say
        match frame:
            case Connect():
                say(self._connected)
            case SyncRequest():
                for downlink in self._downlinks:
                    say(downlink)
            case Batch():
                say(Ack(frame.id, True))
            case Ack():
                self.acked.add(frame.id)
                if not frame.success:
                    self.refused.append(frame)

    def say_more(self, downlinks: Sequence[Frame]) -> None:
        """Go on speaking on the open link."""
        assert self._say is not None
        self._downlinks.extend(downlinks)
        for downlink in downlinks:
            self._say(downlink)

    def connect(self) -> AbstractAsyncContextManager[Link]:
        """See Transport."""
        return self._connect()

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Link]:
        yield PlayedLink(self)

    async def serve(self, handle: Any, *, task_status: Any = None) -> None:
        """See Transport; a played server does not listen."""
        raise AssertionError("a played server is only connected to")


class PlayedEdge:
    """The cloud's end of a link on which a recorded edge speaks; it acknowledges everything."""

    def __init__(self, uplinks: Sequence[Frame]) -> None:
        self.peer = "recording"
        self.inbound_bytes_max = 4_194_304
        self._uplinks = list(uplinks)
        self.answers: dict[int, Ack] = {}
        self.downlinks: list[Batch] = []
        self._acks: list[Frame] = []
        self._more = trio.Event()

    async def receive(self) -> Sequence[Frame]:
        await trio.lowlevel.checkpoint()
        if self._uplinks:
            out, self._uplinks = self._uplinks[:10], self._uplinks[10:]
            return out
        while not self._acks:
            await self._more.wait()
            self._more = trio.Event()
        acks, self._acks = self._acks, []
        return acks

    async def send(self, frames: Sequence[Frame]) -> None:
        await trio.lowlevel.checkpoint()
        for frame in frames:
            if isinstance(frame, Ack):
                self.answers[frame.id] = frame
            elif isinstance(frame, Batch):
                self.downlinks.append(frame)
                self._acks.append(Ack(frame.id, True))
                self._more.set()

    def size(self, frame: Frame) -> int:
        return 1

    def said_completed(self) -> bool:
        """Whether the cloud said that the sync is complete."""
        return any(isinstance(i, SyncCompleted) for b in self.downlinks for i in b.items)


def entity_updates(recorded: Iterable[Frame]) -> list[EntityUpdate]:
    """All entity messages inside the batches."""
    return [
        item
        for frame in recorded
        if isinstance(frame, Batch)
        for item in frame.items
        if isinstance(item, EntityUpdate)
    ]
