"""The edge's disk fills up under load: devices are told to wait, nothing accepted is lost.

A small file system is mounted where that is allowed; elsewhere the edge is told to keep free what
a large file then takes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.mqtt_load import Publisher
from tests.kit.process import House, history, wait_for

pytestmark = [pytest.mark.fault, pytest.mark.slow]

DISK_BYTES = 64 << 20
MARGIN_BYTES = 1 << 30


class SmallDisk:
    """Where the edge lives. settings: what makes it full in time."""

    def __init__(self, folder: Path, ballast_bytes: int, settings: list[str]) -> None:
        self.folder = folder
        self.settings = settings
        self._ballast = folder / "ballast"
        self._ballast_bytes = ballast_bytes

    def fill(self) -> None:
        """Leave nothing."""
        with self._ballast.open("wb") as ballast:
            try:
                os.posix_fallocate(ballast.fileno(), 0, self._ballast_bytes)
            except OSError:
                while True:
                    try:
                        os.write(ballast.fileno(), bytes(4096))
                    except OSError:
                        return

    def relieve(self) -> None:
        """Give all of it back."""
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "edge"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode == 0:
        yield SmallDisk(folder, DISK_BYTES, ["storage.free_bytes_min=0"])
        subprocess.run(["umount", "-l", str(folder)], check=True)
        return
    free = shutil.disk_usage(folder).free
    if free < 4 * MARGIN_BYTES:
        pytest.skip("not enough space to run out of it")
    yield SmallDisk(folder, 2 * MARGIN_BYTES, [f"storage.free_bytes_min={free - MARGIN_BYTES}"])


def post(house: House, number: int) -> tuple[int, str | None]:
    """(status, Retry-After) of one value over HTTP."""
    body = json.dumps({"ts": 1_700_000_000_000 + number, "values": {"n": number}}).encode()
    url = f"http://127.0.0.1:{house.http}/api/v1/{house.tokens[0]}/telemetry"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, None
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Retry-After"]


def test_devices_wait_while_the_disk_is_full_and_nothing_accepted_is_lost(
    tmp_path: Path, disk: SmallDisk
) -> None:
    house = House(tmp_path, edge_settings=disk.settings)
    house.cloud.start()
    house.edge.start()
    accepted: set[int] = set()
    try:
        house.wait_accepting()
        wait_for(lambda: post(house, 0)[0] == 200, 20, "the device to be known")
        accepted.add(0)

        disk.fill()
        refused = post_until(house, accepted, 503)
        status, retry_after = post(house, refused)
        assert status == 503
        assert retry_after is not None and int(retry_after) >= 1
        waiting = Publisher(house.mqtt, house.tokens[0], 1_000_000, burst=1, ts_of=lambda n: n)
        waiting.start()
        waiting.join(2)
        assert waiting.acked == set()
        assert house.edge.ended() is None

        disk.relieve()
        wait_for(lambda: post(house, 2_000_000)[0] == 200, 30, "the edge to take values again")
        accepted.add(2_000_000)
        later = Publisher(house.mqtt, house.tokens[0], 3_000_000, burst=5, ts_of=lambda n: n)
        later.start()
        wait_for(lambda: len(later.acked) >= 20, 30, "acknowledgements over MQTT")
        for publisher in (waiting, later):
            publisher.stop()
            publisher.join(10)
            accepted |= publisher.acked
        house.wait_drained()
        assert house.edge.stop() == 0
    finally:
        house.edge.kill()
        assert house.cloud.stop() == 0
    there = {number for _, _, number in history(tmp_path / "cloud")}
    assert accepted <= there


def post_until(house: House, accepted: set[int], wanted: int) -> int:
    """Post numbers until one gets that status; which one."""
    for number in range(1, 200_000):
        status, _ = post(house, number)
        if status == wanted:
            return number
        assert status == 200
        accepted.add(number)
    raise AssertionError(f"never {wanted}")
