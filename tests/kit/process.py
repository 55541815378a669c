"""The appliance as a process: started, asked, killed. Works on the source tree and on a binary."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import trio

from appliance.cloud.assembly import TenantKeeper
from appliance.cloud.registry import Edges
from appliance.extension.hookspecs import Context
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import ignore
from appliance.model.ids import EntityId
from appliance.model.unit import Unit
from appliance.state.store import State
from plugins.storage_duckdb.config import DuckdbStorageConfig
from plugins.storage_duckdb.storage import DuckdbStorage
from tests.kit.devices import device_unit

ROOT = Path(__file__).parents[2]
KEY, SECRET = "test-key", "test-secret"


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command() -> list[str]:
    """How to start the appliance: APPLIANCE_BINARY if set, else this source tree."""
    binary = os.environ.get("APPLIANCE_BINARY")
    return [binary] if binary else [sys.executable, "-m", "appliance"]


class Process:
    """One running appliance. log: everything that it and its earlier lives said."""

    def __init__(self, arguments: list[str], log: Path, environ: Mapping[str, str] = {}) -> None:
        self._arguments = arguments
        self._environ = {**os.environ, **environ}
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; does not wait until it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command(), *self._arguments],
                stdout=log,
                stderr=log,
                env=self._environ,
                cwd=ROOT,
            )

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self, timeout_s: float = 40.0) -> int:
        """SIGTERM, wait; the exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout_s)

    def ended(self) -> int | None:
        """The exit code if it ended."""
        assert self._process is not None
        return self._process.poll()


class House:
    """A cloud and an edge as processes on free ports, in one folder.

    via: a port to reach the cloud by. edge_settings: `--set` arguments of the edge.
    """

    def __init__(
        self,
        folder: Path,
        devices: int = 1,
        *,
        via: int | None = None,
        edge_settings: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.http, self.cloud_http = free_port(), free_port()
        self.mqtt, self.rpc = free_port(), free_port()
        self.tokens = [f"TOKEN_{number}" for number in range(devices)]
        self.devices: list[EntityId] = []
        trio.run(self._seed)
        self.cloud = Process(
            [
                "cloud",
                "--data-dir",
                str(folder / "cloud"),
                "--set",
                f"web.port={self.cloud_http}",
                "--set",
                f"transport.port={self.rpc}",
            ],
            folder / "cloud.log",
        )  # fmt: skip - one flag a place
        self.edge = Process(
            [
                "run",
                "--data-dir",
                str(folder / "edge"),
                "--set",
                "cloud.reconnect_interval_ms=100",
                "--set",
                "cloud.reconnect_max_interval_ms=300",
                *(word for setting in edge_settings for word in ("--set", setting)),
            ],
            folder / "edge.log",
            {
                "CLOUD_ROUTING_KEY": KEY,
                "CLOUD_ROUTING_SECRET": SECRET,
                "CLOUD_RPC_PORT": str(via or self.rpc),
                "HTTP_BIND_PORT": str(self.http),
                "MQTT_BIND_PORT": str(self.mqtt),
                "MQTT_BIND_ADDRESS": "127.0.0.1",
            },
        )  # fmt: skip - one flag a place

    async def _seed(self) -> None:
        """A tenant, an edge and its devices in the cloud's folder, before it runs."""
        path = self.folder / "cloud"
        path.mkdir(parents=True)
        context = Context("cloud", path, wall_clock_ms, ignore)
        storage, state = DuckdbStorage(DuckdbStorageConfig(), context), State()
        async with trio.open_nursery() as nursery:
            await nursery.start(storage.run)
            await nursery.start(TenantKeeper(state, storage).run)
            edges = Edges(state)
            unit = edges.create("Edge 1", KEY, SECRET)
            state.apply(unit)
            units = [unit]
            for token in self.tokens:
                device, unit = device_unit(state, token, token)
                units += [unit, edges.assign(Unit(), state.ids("EDGE")[0], device)]
                self.devices.append(device)
            await storage.commit(units)
            nursery.cancel_scope.cancel()

    def status(self, port: int | None = None) -> dict[str, Any]:
        """`/status` of the edge, or of the cloud's port."""
        url = f"http://127.0.0.1:{port or self.http}/status"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return dict(json.load(answer))

    def pending(self) -> int:
        """Events that wait on the edge."""
        return int(self.status()["ledger"]["pending"])

    def wait_accepting(self, timeout_s: float = 30.0) -> None:
        """Wait until the MQTT listener takes connections."""
        wait_for(lambda: connects(self.mqtt), timeout_s, "the MQTT listener")

    def wait_drained(self, timeout_s: float = 60.0) -> None:
        """Wait until the edge is connected and nothing waits."""

        def drained() -> bool:
            try:
                status = self.status()
            except OSError:
                return False
            connected = status["links"][0]["state"] == "connected"
            return connected and status["ledger"]["pending"] == 0

        wait_for(drained, timeout_s, "the outbox to drain")


def connects(port: int) -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def wait_for(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Poll until it is so; TimeoutError names what was waited for."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s for {what}")
        time.sleep(0.02)


def history(data_dir: Path, key: str = "n") -> list[tuple[str, int, int]]:
    """Every point of a whole-number key as anybody who asks sees it: (entity id, ts, value)."""
    return _ask(
        data_dir, "SELECT CAST(entity_id AS VARCHAR), ts, long_v FROM ts_kv WHERE key = ?", key
    )


def arrivals(data_dir: Path, key: str = "n") -> list[tuple[str, int]]:
    """(entity id, value) of every row in the order of commits, repeats included."""
    statement = """
        SELECT CAST(e.entity_id AS VARCHAR), h.long_v FROM store.history h
        JOIN store.entity_dictionary e ON e.number = h.entity
        JOIN store.key_dictionary k ON k.number = h.key
        WHERE k.key = ? ORDER BY h.seq, h.rowid"""
    return _ask(data_dir, statement, key)


def _ask(data_dir: Path, statement: str, key: str) -> list[Any]:
    """The appliance must not run."""
    with duckdb.connect(str(data_dir / "appliance.duckdb")) as connection:
        return connection.execute(statement, [key]).fetchall()
