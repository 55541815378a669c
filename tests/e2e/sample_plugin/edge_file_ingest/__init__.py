"""A device ingest that reads a file of JSON lines once: the smallest useful plugin."""

from __future__ import annotations

import xmlrpc.client  # noqa: F401 - proves that the binary carries all of the standard library
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec
import trio

from appliance.extension.hookspecs import Context, IngestSpec, hookimpl
from appliance.extension.ports import Component, Gate
from appliance.kernel.events import Event


class FileIngestConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Section `[ingest.file]`.

    path: the file to read. lines_max: lines that are read at most.
    """

    path: Path
    lines_max: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000


class FileRead(Event, frozen=True):
    """The file was read to its end."""

    text: ClassVar[str] = "{path}: {posted} lines posted, {unknown} of unknown devices"
    counters: ClassVar[dict[str, str]] = {"file_lines_posted": "posted"}
    path: str
    posted: int
    unknown: int


class FileIngest:
    """Reads the file once and finishes; posts one line after the other."""

    def __init__(self, config: FileIngestConfig, context: Context, gate: Gate) -> None:
        self._config = config
        self._context = context
        self._gate = gate

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read, post, end. Raises OSError when the file cannot be read; the supervisor retries."""
        text = await trio.Path(self._config.path).read_text("utf-8")
        task_status.started()
        posted = unknown = 0
        for line in text.splitlines()[: self._config.lines_max]:
            reading: dict[str, Any] = msgspec.json.decode(line)
            session = self._gate.authenticate_token(reading["token"])
            if session is None:
                unknown += 1
                continue
            await self._gate.post_telemetry([(session, [(None, reading["values"])])])
            posted += 1
        path = str(self._config.path)
        self._context.emit(FileRead(path=path, posted=posted, unknown=unknown))


def build(config: FileIngestConfig, context: Context, gate: Gate) -> Component:
    """The reader, not yet open."""
    return FileIngest(config, context, gate)


@hookimpl
def register_ingest() -> IngestSpec:
    """Offer `[ingest.file]`."""
    return IngestSpec("file", FileIngestConfig, build)
