"""Questions to a running appliance, over a Unix socket in its data folder.

`sql`, `quarantine` and `rules` work on a folder at rest and on one in use alike: the storage has
one owner, so a second process asks it here. Whoever may open the socket may read the folder (mode
0600 in a folder of mode 0700), so there is no login.

A message is four bytes of length and MessagePack; at most `REQUEST_BYTES_MAX` up, and one request
at a time per connection. Answers are whole, as the storage's own row limit bounds them.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import trio

from appliance.extension.ports import AttributeValue, Quarantined, SeriesQuery, Storage
from appliance.model.errors import ApplianceError, Permanent, Retryable
from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope, Value
from appliance.model.unit import EntityWrite

SOCKET_FILE = "control.sock"
REQUEST_BYTES_MAX = 1 << 20
_LENGTH = struct.Struct("!I")
_Points = dict[str, list[tuple[int, Any]]]


class Sql(msgspec.Struct, tag=True, frozen=True):
    """A reading statement; the answer is [columns, rows]."""

    statement: str


class ListQuarantine(msgspec.Struct, tag=True, frozen=True):
    """What is put aside; the answer is a list of Quarantined."""

    outbox: str | None = None


class RetryQuarantined(msgspec.Struct, tag=True, frozen=True):
    """Send events again; the answer is how many."""

    outbox: str
    positions: list[tuple[int, int]]


class LoadEntities(msgspec.Struct, tag=True, frozen=True):
    """All entities, a list of EntityWrite: some MB on an edge."""


class LoadAttributes(msgspec.Struct, tag=True, frozen=True):
    """All attributes, a list of StoredAttribute."""


class LoadStates(msgspec.Struct, tag=True, frozen=True):
    """The states of one owner, by key."""

    owner: str


class AskSeries(msgspec.Struct, tag=True, frozen=True):
    """History: the points by key."""

    query: SeriesQuery


class AskLatest(msgspec.Struct, tag=True, frozen=True):
    """The newest point by key."""

    entity: EntityId
    keys: list[str] | None


class Do(msgspec.Struct, tag=True, frozen=True):
    """Something that the role can do; the answer is what it says."""

    what: str
    arguments: dict[str, Any]


Reading = LoadEntities | LoadAttributes | LoadStates | AskSeries | AskLatest
Request = Sql | ListQuarantine | RetryQuarantined | Reading | Do
StoredAttribute = tuple[EntityId, Scope, str, AttributeValue]
Doing = Callable[[dict[str, Any]], Awaitable[Any]]


class Answer(msgspec.Struct, frozen=True):
    """result: MessagePack of what the request says. error: in words, instead of a result."""

    result: bytes = b""
    error: str = ""


class ControlSocket:
    """Answers questions while the appliance runs; a Component."""

    def __init__(
        self, data_dir: Path, storage: Storage, doings: Mapping[str, Doing] = MappingProxyType({})
    ) -> None:
        self._data_dir = data_dir
        self._storage = storage
        self._doings = doings

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled. The folder is ours alone, so an old socket is only litter."""
        with trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            (self._data_dir / SOCKET_FILE).unlink(missing_ok=True)
            with _short_name(self._data_dir) as name:
                await listener.bind(name)
            (self._data_dir / SOCKET_FILE).chmod(stat.S_IRUSR | stat.S_IWUSR)
            listener.listen(16)
            task_status.started()
            async with trio.open_nursery() as nursery:
                while True:
                    accepted, _ = await listener.accept()
                    nursery.start_soon(self._serve, trio.SocketStream(accepted))

    async def _serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            try:
                while (data := await _receive(stream, REQUEST_BYTES_MAX)) is not None:
                    await _send(stream, await self._answer(data))
            except trio.BrokenResourceError:
                return  # the asker has gone

    async def _answer(self, data: bytes) -> Answer:
        try:
            request = msgspec.msgpack.decode(data, type=Request)
            result = await self._do(request)
        except (ApplianceError, msgspec.DecodeError) as error:
            return Answer(error=str(error))
        return Answer(msgspec.msgpack.encode(result, enc_hook=str))

    async def _do(self, request: Request) -> Any:
        match request:
            case Sql(statement):
                return await self._storage.sql(statement)
            case ListQuarantine(outbox):
                return self._storage.quarantined(outbox)
            case RetryQuarantined(outbox, positions):
                return await self._storage.retry_quarantined(outbox, positions)
            case Do(what, arguments):
                if what not in self._doings:
                    raise Permanent(f"this role has no {what}")
                return await self._doings[what](arguments)
            case _:
                return await self._read(request)

    async def _read(self, request: Reading) -> Any:
        storage = self._storage
        match request:
            case LoadEntities():
                return [one async for chunk in storage.load_entities() for one in chunk]
            case LoadAttributes():
                return [one async for chunk in storage.load_attributes() for one in chunk]
            case LoadStates(owner):
                return await storage.load_states(owner)
            case AskSeries(query):
                return await storage.query_series(query)
            case AskLatest(entity, keys):
                return await storage.latest(entity, keys)


class DistantStorage:
    """The part of a running appliance's storage that can be asked for here; see Storage."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._aside: list[Quarantined] = []

    async def load(self) -> None:
        """Fetch what plain calls will want."""
        found = await self._ask(ListQuarantine())
        self._aside = msgspec.msgpack.decode(found, type=list[Quarantined])

    async def sql(self, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """See Storage.sql; values that MessagePack has no form for come as text."""
        columns, rows = msgspec.msgpack.decode(await self._ask(Sql(statement)))
        return columns, [tuple(row) for row in rows]

    def quarantined(self, outbox: str | None = None) -> Sequence[Quarantined]:
        """See Storage.quarantined."""
        return [each for each in self._aside if outbox in (None, each.event.event.outbox)]

    async def retry_quarantined(self, outbox: str, positions: Iterable[tuple[int, int]]) -> int:
        """See Storage.retry_quarantined."""
        answer = await self._ask(RetryQuarantined(outbox, list(positions)))
        return msgspec.msgpack.decode(answer, type=int)

    async def load_entities(self) -> AsyncIterator[Sequence[EntityWrite]]:
        """See Storage.load_entities; one chunk."""
        yield msgspec.msgpack.decode(await self._ask(LoadEntities()), type=list[EntityWrite])

    async def load_attributes(self) -> AsyncIterator[Sequence[StoredAttribute]]:
        """See Storage.load_attributes; one chunk."""
        found = await self._ask(LoadAttributes())
        yield msgspec.msgpack.decode(found, type=list[StoredAttribute])

    async def load_states(self, owner: str) -> dict[str, bytes]:
        """See Storage.load_states."""
        return msgspec.msgpack.decode(await self._ask(LoadStates(owner)), type=dict[str, bytes])

    async def query_series(self, query: SeriesQuery) -> dict[str, list[tuple[int, Value]]]:
        """See Storage.query_series."""
        return msgspec.msgpack.decode(await self._ask(AskSeries(query)), type=_Points)

    async def latest(
        self, entity: EntityId, keys: Sequence[str] | None = None
    ) -> dict[str, tuple[int, Value]]:
        """See Storage.latest."""
        wanted = AskLatest(entity, None if keys is None else list(keys))
        return msgspec.msgpack.decode(await self._ask(wanted), type=dict[str, tuple[int, Any]])

    async def do(self, what: str, arguments: dict[str, Any]) -> Any:
        """Ask the role for something that it can do. Raises Permanent with its reason."""
        return msgspec.msgpack.decode(await self._ask(Do(what, arguments)))

    async def _ask(self, request: Request) -> bytes:
        await _send(self._stream, request)
        data = await _receive(self._stream, (1 << 32) - 1)
        if data is None:
            raise Retryable("the appliance ended while it was asked")
        answer = msgspec.msgpack.decode(data, type=Answer)
        if answer.error:
            raise Permanent(answer.error)
        return answer.result


@asynccontextmanager
async def connect(data_dir: Path) -> AsyncIterator[DistantStorage]:
    """The storage of the appliance that uses the folder. Raises Retryable if none answers."""
    client = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short_name(data_dir) as name:
            await client.connect(name)
    except OSError as error:
        client.close()
        raise Retryable(
            f"the data folder {data_dir} is in use, and its owner does not answer",
            hint="it may be starting or stopping; try again",
        ) from error
    async with trio.SocketStream(client) as stream:
        storage = DistantStorage(stream)
        await storage.load()
        yield storage


@contextmanager
def _short_name(data_dir: Path) -> Iterator[str]:
    """A name of the socket that fits the 107 bytes of an address, however deep the folder is."""
    folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET_FILE}"
    finally:
        os.close(folder)


async def _send(stream: trio.SocketStream, message: msgspec.Struct) -> None:
    data = msgspec.msgpack.encode(message)
    await stream.send_all(_LENGTH.pack(len(data)) + data)


async def _receive(stream: trio.SocketStream, bytes_max: int) -> bytes | None:
    """The next message, or None at the end of the stream or for one that is too large."""
    head = await _exactly(stream, _LENGTH.size)
    if head is None or _LENGTH.unpack(head)[0] > bytes_max:
        return None
    return await _exactly(stream, _LENGTH.unpack(head)[0])


async def _exactly(stream: trio.SocketStream, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        part = await stream.receive_some(size - len(data))
        if not part:
            return None
        data += part
    return bytes(data)
