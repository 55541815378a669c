"""The kernel put together: what a role gets, and what systemd and the log hear of it."""

import io
import json
import socket
import ssl

import pytest
import trio

from appliance.kernel import core, frozen
from appliance.kernel.core import Kernel
from appliance.kernel.data_dir import held
from appliance.kernel.lifecycle import Levels, Stop
from appliance.kernel.logs import LogWriter
from appliance.kernel.restart import EDGE_OF_THE_HOUSE
from appliance.kernel.supervisor import Child
from appliance.model.errors import ConfigError


class Quiet:
    """A component that only lives."""

    async def run(self, *, task_status=trio.TASK_STATUS_IGNORED):
        task_status.started()
        await trio.sleep_forever()


def make(environ):
    stream = io.StringIO()
    return Kernel(LogWriter(stream, "json", "debug", lambda: 0), environ, clock=lambda: 0), stream


async def test_one_life_is_ready_then_stopping_then_stopped(tmp_path):
    """The log, the board, systemd and the role's own calls agree."""
    path, heard = str(tmp_path / "notify"), []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.setblocking(False)
        kernel, stream = make({"NOTIFY_SOCKET": path})
        stop = Stop()

        def ready():
            heard.append([line.name for line in kernel.board.lines()])
            stop.ask("test")

        await kernel.live(
            Levels(ingest=[Child("quiet", Quiet(), EDGE_OF_THE_HOUSE)]),
            stop,
            on_ready=ready,
            on_stopping=lambda: heard.append("stopping"),
        )
        told = [systemd.recv(100) for _ in range(2)]

    assert heard == [["signals", "watchdog", "quiet"], "stopping"]
    assert told == [b"READY=1", b"STOPPING=1"]
    names = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    lives = [name for name in names if name.startswith("Appliance")]
    assert lives == ["ApplianceReady", "ApplianceStopping", "ApplianceStopped"]


async def test_components_and_channels_are_in_the_figures():
    """Nobody has to register them."""
    kernel, _ = make({})
    kernel.channels.open("work", int, 3)
    kernel.board.running("x")

    samples = {sample.name: sample.value for sample in kernel.metrics.samples()}

    assert samples["appliance_component_up"] == 1.0
    assert samples["appliance_channel_capacity_items"] == 3.0


async def test_a_clean_up_that_hangs_beyond_every_deadline_ends_the_process(monkeypatch):
    """By a thread, since the event loop is what hangs."""
    left = trio.Event()
    token = trio.lowlevel.current_trio_token()
    monkeypatch.setattr(core, "STOP_S_MAX", 0.01)
    monkeypatch.setattr(core, "leave_at_once", lambda: token.run_sync_soon(left.set))

    class Hanging(Quiet):
        async def run(self, *, task_status=trio.TASK_STATUS_IGNORED):
            try:
                await super().run(task_status=task_status)
            finally:
                with trio.CancelScope(shield=True), trio.fail_after(5):
                    await left.wait()

    kernel, _ = make({})
    stop = Stop()

    await kernel.live(
        Levels(ingest=[Child("hanging", Hanging(), EDGE_OF_THE_HOUSE)]),
        stop,
        on_ready=lambda: stop.ask("test"),
    )

    assert left.is_set()


def test_a_data_folder_that_cannot_be_made_is_a_config_error(tmp_path):
    """With the way out."""
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="--data-dir"), held(tmp_path / "file" / "data"):
        pass


def test_authorities_are_found_where_the_distribution_keeps_them(tmp_path, monkeypatch):
    """Only where OpenSSL's own place is empty, and never against the operator's word."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("")
    monkeypatch.setattr(frozen, "AUTHORITIES", (str(tmp_path / "none"), str(bundle)))
    nowhere = ssl.DefaultVerifyPaths(None, None, "", "", "", "")
    somewhere = ssl.DefaultVerifyPaths("/its/own", None, "", "", "", "")
    untouched, environ, chosen = {}, {}, {"SSL_CERT_FILE": "/mine"}

    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: somewhere)
    frozen.trust_system(untouched)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nowhere)
    frozen.trust_system(environ)
    frozen.trust_system(chosen)

    assert untouched == {}
    assert environ == {"SSL_CERT_FILE": str(bundle)}
    assert chosen == {"SSL_CERT_FILE": "/mine"}
