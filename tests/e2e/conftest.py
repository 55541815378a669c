"""The frozen binary: built once a session when it is older than its sources."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = Path(__file__).parent / "sample_plugin" / "edge_file_ingest"


def pytest_collection_modifyitems(items):
    """Everything here needs the binary, and building it is slow."""
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def binary():
    """Path of dist/appliance."""
    command = [sys.executable, str(ROOT / "build" / "freeze.py"), "--if-old"]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, env=environ, cwd=ROOT, timeout=900)
    return ROOT / "dist" / "appliance"


class Appliance:
    """The binary with a data folder of its own; nothing of this test's environment reaches it."""

    def __init__(self, binary, folder):
        self.binary = binary
        self.data_dir = folder / "data"
        self.folder = folder
        self.log = folder / "log"
        self.http_port = free_port()
        self.mqtt_port = free_port()
        self.environ = {
            "PATH": "/usr/bin:/bin",
            "TMPDIR": str(folder),
            "APPLIANCE_DATA_DIR": str(self.data_dir),
            "HTTP_BIND_ADDRESS": "127.0.0.1",
            "HTTP_BIND_PORT": str(self.http_port),
            "MQTT_BIND_ADDRESS": "127.0.0.1",
            "MQTT_BIND_PORT": str(self.mqtt_port),
            "APPLIANCE_LOG__FORMAT": "json",
        }
        self.processes = []

    def run(self, *arguments, timeout=60, **environ):
        """Run a verb to its end."""
        return subprocess.run(
            [str(self.binary), *arguments],
            env=self.environ | environ, cwd=self.folder, capture_output=True, text=True,
            timeout=timeout,
        )  # fmt: skip  # one call

    def start(self, *arguments, **environ):
        """Start a serving verb; its log goes to a file."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [str(self.binary), *arguments],
                env=self.environ | environ, cwd=self.folder, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip  # one call
        self.processes.append(process)
        return process

    def events(self):
        """The log so far, parsed."""
        lines = self.log.read_text("utf-8").splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]

    def wait_event(self, name, count=1, seconds=30, **fields):
        """The count-th event of this name and with these fields."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = [
                event
                for event in self.events()
                if event["event"] == name and fields.items() <= event.items()
            ]
            if len(found) >= count:
                return found[count - 1]
            time.sleep(0.05)
        raise AssertionError(f"no {name} {fields} in:\n{self.log.read_text('utf-8')}")

    def get(self, path):
        """(status, body) of a GET on the HTTP port."""
        url = f"http://127.0.0.1:{self.http_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def add_wheel(self):
        """Package the sample plugin and put it into the plugin folder."""
        folder = self.data_dir / "plugins"
        folder.mkdir(parents=True, exist_ok=True)
        meta = "edge_file_ingest-1.0.dist-info"
        with zipfile.ZipFile(folder / "edge_file_ingest-1.0-py3-none-any.whl", "w") as wheel:
            for source in SAMPLE.rglob("*.py"):
                wheel.write(source, source.relative_to(SAMPLE.parent))
            wheel.writestr(
                f"{meta}/METADATA", "Metadata-Version: 2.1\nName: edge-file-ingest\nVersion: 1.0\n"
            )
            entry = "[edge_appliance]\nedge_file_ingest = edge_file_ingest\n"
            wheel.writestr(f"{meta}/entry_points.txt", entry)

    def close(self):
        """Leave no process and no unpacked folder behind."""
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        for unpacked in self.folder.glob("_MEI*"):
            shutil.rmtree(unpacked, ignore_errors=True)


@pytest.fixture
def appliance(binary, tmp_path):
    """A fresh one."""
    made = Appliance(binary, tmp_path)
    yield made
    made.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
