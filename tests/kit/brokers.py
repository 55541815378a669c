"""Real message brokers for the tests: Mosquitto, RabbitMQ, Kafka, each on free ports.

Mosquitto and RabbitMQ are Debian packages. Kafka's published artifacts are fetched by Maven:

    mvn -f tests/kit/kafka/pom.xml dependency:copy-dependencies

Where one is missing its tests are skipped, saying so; with APPLIANCE_BROKERS=required, as CI has
it, they fail instead.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.kit.process import ROOT, connects, free_port, wait_for

KAFKA_JARS = ROOT / "build" / "work" / "kafka"
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The program itself: the one on the path wants to run as a user of its own."""


def missing(what: str) -> None:
    """Skip the test, or fail it where the brokers are required."""
    reason = f"{what} is not installed; see tests/kit/brokers.py"
    if os.environ.get("APPLIANCE_BROKERS") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


class Broker:
    """A broker's process; it can be ended and started again on the same port and folder."""

    def __init__(
        self, command: list[str], port: int, folder: Path, environ: Mapping[str, str] = {}
    ) -> None:
        self.port = port
        self._command = command
        self._environ = {**os.environ, **environ}
        self._log = folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environ
            )
        wait_for(lambda: connects(self.port), 60.0, f"the broker, see {self._log}")

    def stop(self) -> None:
        """End it and wait for its end."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


@contextlib.contextmanager
def running(broker: Broker) -> Iterator[Broker]:
    """Start the broker, and end it in the end."""
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[Broker]:
    """Eclipse Mosquitto; anybody may do anything."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        missing("mosquitto")
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with running(Broker([str(program), "-c", str(config)], port, folder)) as broker:
        yield broker


@contextlib.contextmanager
def rabbitmq(folder: Path) -> Iterator[Broker]:
    """RabbitMQ with its default user guest/guest."""
    if not RABBITMQ.exists():
        missing("rabbitmq-server")
    port, epmd_port = free_port(), free_port()
    environ = {
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"tests{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
    }
    (folder / "plugins").write_text("[].\n")
    try:
        with running(Broker([str(RABBITMQ)], port, folder, environ)) as broker:
            yield broker
    finally:
        # Erlang's name server outlives the node that started it; on this port it is ours alone.
        subprocess.run(
            ["epmd", "-port", str(epmd_port), "-kill"],
            env={**os.environ, **environ},
            capture_output=True,
            check=False,
        )


@contextlib.contextmanager
def kafka(folder: Path) -> Iterator[Broker]:
    """One Kafka broker that is its own controller (KRaft)."""
    jars = Path(os.environ.get("APPLIANCE_KAFKA_JARS", KAFKA_JARS))
    java = shutil.which("java")
    if java is None or not jars.is_dir():
        missing("Kafka (or Java)")
    port, controller = free_port(), free_port()
    config = folder / "server.properties"
    config.write_text(
        f"""
        process.roles=broker,controller
        node.id=1
        controller.quorum.voters=1@127.0.0.1:{controller}
        listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
        advertised.listeners=PLAINTEXT://127.0.0.1:{port}
        controller.listener.names=CONTROLLER
        listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
        log.dirs={folder / "log"}
        offsets.topic.replication.factor=1
        """
    )
    # A small heap and the quick compiler: it starts in a third of the time, and does little.
    run = [str(java), "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
    cluster = "4L6g3nShT-eMCtK--X86sw"
    format = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config)]
    subprocess.run([*run, *format], check=True, capture_output=True, timeout=60)
    with running(Broker([*run, "kafka.Kafka", str(config)], port, folder)) as broker:
        yield broker
