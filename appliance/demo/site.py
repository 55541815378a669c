"""A cloud and an edge as processes of this executable, in one folder, on free ports.

Both are configured by TOML files of their own in that folder and see nothing of the environment's
settings, so a configured installation on the same machine is neither read nor disturbed. Edge and
devices are made over the cloud's REST API, as on any ThingsBoard server.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import trio

from appliance.cloud.tenant import ADMIN_EMAIL, ADMIN_PASSWORD
from appliance.config.environment import KNOWN, PREFIX
from appliance.demo.http import HttpClient
from appliance.model.errors import Fatal

KEY, SECRET = "demo-edge", "demo-secret"
START_S_MAX = 60.0
STOP_S_MAX = 40.0
"""Above the sum of the appliance's own deadlines (kernel/lifecycle.py)."""
_LOCAL = "127.0.0.1"


class Device(msgspec.Struct, frozen=True):
    """A device as the cloud made it."""

    id: str
    name: str
    token: str


class Role:
    """One process of the site: `appliance cloud` or `appliance run`.

    http: asks its HTTP port. Started and stopped any number of times; its data stays.

    Args:
        verb: of the command line. config: its TOML file. port: of its HTTP.
        last: the component that starts last; only when it runs, everything does.
    """

    def __init__(self, verb: str, config: Path, port: int, last: str) -> None:
        self.http = HttpClient(port)
        self.port = port
        self._last = last
        self.log = config.with_suffix(".log")
        self._command = [*executable(), verb, "--config", str(config)]
        self._process: trio.Process | None = None
        self._ended = trio.Event()
        self._wanted = False

    @property
    def page(self) -> str:
        """Where a browser sees it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        assert self._process is not None
        return self._process.pid

    async def start(self, nursery: trio.Nursery) -> None:
        """Start it in the nursery, which fails with Fatal when it ends by itself."""
        self._ended, self._wanted = trio.Event(), True
        self._process = await nursery.start(self._run)

    async def wait_ready(self) -> None:
        """Return when all of it runs. Raises trio.TooSlowError."""
        await poll(self._ready, START_S_MAX, 0.02)

    async def _ready(self) -> bool:
        try:
            components = (await self.status())["components"]
        except OSError:
            return False
        return any(c["name"] == self._last and c["state"] == "running" for c in components)

    async def status(self) -> dict[str, Any]:
        """Its `/status`. Raises OSError."""
        return dict(await self.http.json("GET", "/status"))

    async def stop(self) -> None:
        """Stop it in order and wait for its end."""
        await self.end(signal.SIGTERM)

    async def end(self, how: signal.Signals) -> None:
        """Send a signal that ends it and wait for its end."""
        if self._process is not None and self._wanted:
            self._wanted = False
            self._process.send_signal(how)
            await self._ended.wait()

    async def _run(self, *, task_status: trio.TaskStatus[trio.Process]) -> None:
        try:
            with self.log.open("ab") as log:
                ended = await trio.run_process(
                    self._command,
                    stdout=log,
                    stderr=log,
                    check=False,
                    env=clean_environment(os.environ),
                    process_group=0,  # Ctrl-C at the terminal is for the one who started it
                    deliver_cancel=_end_in_order,
                    task_status=task_status,
                )
        finally:
            await self.http.aclose()
            self._ended.set()
        if self._wanted:
            last = self.log.read_text("utf-8", "replace").splitlines()[-12:]
            raise Fatal(f"{self.log.stem} ended with {ended.returncode}:\n" + "\n".join(last))


class Site:
    """Cloud and edge in one folder.

    cloud, edge: start the cloud first. mqtt_port: where devices connect. rpc_port: where the
    cloud waits for edges.

    Args:
        folder: an existing, empty folder.
        uplink_port: where the edge connects to instead of rpc_port, for a line in between.
        settings: more lines for both TOML files, by section.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Sequence[str]] = {}) -> None:
        self.folder = folder
        self.mqtt_port, self.rpc_port, edge_port, cloud_port = free_ports(4)
        self.cloud = Role("cloud", folder / "cloud.toml", cloud_port, "calls")
        self.edge = Role("run", folder / "edge.toml", edge_port, "mqtt")
        self._settings = settings

    def configure(self, uplink_port: int | None = None) -> None:
        """Write both configurations; again before a start, if something changes."""
        _write(
            self.folder / "cloud.toml",
            {
                "": [f"data_dir = {_quoted(self.folder / 'cloud')}"],
                "web": [f"host = '{_LOCAL}'", f"port = {self.cloud.port}"],
                "transport": [f"listen = '{_LOCAL}'", f"port = {self.rpc_port}"],
            },
        )
        edge = {
            "": [f"data_dir = {_quoted(self.folder / 'edge')}"],
            "cloud": [
                f"routing_key = '{KEY}'",
                f"secret = '{SECRET}'",
                "reconnect_interval_ms = 250",
                "reconnect_max_interval_ms = 500",
            ],
            "web": [f"host = '{_LOCAL}'", f"port = {self.edge.port}"],
            "transport": [f"host = '{_LOCAL}'", f"port = {uplink_port or self.rpc_port}"],
            "ingest.mqtt": [f"host = '{_LOCAL}'", f"port = {self.mqtt_port}"],
        }
        for section, lines in self._settings.items():
            edge[section] = [*edge.get(section, []), *lines]
        _write(self.folder / "edge.toml", edge)

    async def populate(self, names: Sequence[str]) -> list[Device]:
        """Make the edge and its devices in the running cloud; tokens are made from the names."""
        http = self.cloud.http
        login = {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
        pair = await http.json("POST", "/api/auth/login", login)
        http.headers["X-Authorization"] = f"Bearer {pair['token']}"
        body = {"name": "Plant", "type": "default", "routingKey": KEY, "secret": SECRET}
        edge = (await http.json("POST", "/api/edge", body))["id"]["id"]
        devices = []
        for name in names:
            token = name.replace(" ", "-").lower()
            path = f"/api/device?accessToken={token}"
            made = await http.json("POST", path, {"name": name, "type": "default"})
            device = Device(made["id"]["id"], name, token)
            await http.json("POST", f"/api/edge/{edge}/device/{device.id}")
            devices.append(device)
        return devices

    async def wait_connected(self) -> None:
        """Return when the edge is connected and has nothing left to ask or tell."""
        await poll(self._connected, START_S_MAX, 0.05)

    async def _connected(self) -> bool:
        try:
            edge, cloud = await self.edge.status(), await self.cloud.status()
        except OSError:
            return False
        quiet = not edge["ledger"]["pending"] and not cloud["ledger"]["pending"]
        return bool(quiet and edge["links"][0]["state"] == "connected")

    async def wait_drained(self, s_max: float) -> None:
        """Return when nothing waits on the edge. Raises trio.TooSlowError."""

        async def drained() -> bool:
            return not (await self.edge.status())["ledger"]["pending"]

        await poll(drained, s_max, 0.05)


# --- pieces ------------------------------------------------------------------------------------


def executable() -> list[str]:
    """How to start this same program again."""
    frozen = getattr(sys, "frozen", False)
    return [sys.executable] if frozen else [sys.executable, "-m", "appliance"]


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without anything that configures an appliance."""
    known = {variable.name for variable in KNOWN}
    kept = {
        name: value
        for name, value in environ.items()
        if name not in known and not name.startswith((PREFIX, "NOTIFY_SOCKET", "WATCHDOG_"))
    }
    # A frozen binary must unpack itself anew instead of using its starter's files.
    return kept | {"PYINSTALLER_RESET_ENVIRONMENT": "1"}


def free_ports(count: int) -> list[int]:
    """Ports that nobody has at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind((_LOCAL, 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


async def poll(condition: Callable[[], Any], s_max: float, interval_s: float) -> None:
    """Ask an async condition until it is so. Raises trio.TooSlowError."""
    with trio.fail_after(s_max):
        while not await condition():
            await trio.sleep(interval_s)


async def _end_in_order(process: trio.Process) -> None:
    """SIGTERM, and only after the appliance's own deadlines SIGKILL."""
    process.terminate()
    await trio.sleep(STOP_S_MAX)
    process.kill()


def _write(path: Path, sections: Mapping[str, Sequence[str]]) -> None:
    text = ""
    for section, lines in sections.items():
        text += f"\n[{section}]\n" if section else ""
        text += "".join(f"{line}\n" for line in lines)
    path.write_text(text.lstrip(), "utf-8")


def _quoted(path: Path) -> str:
    return msgspec.json.encode(str(path)).decode()
