"""A load generator in a process of its own: open loop, raw sockets, one JSON object as a result.

    python -m tests.bench.load mqtt PORT --devices 50 --rate 5000 --seconds 60

Open loop: message k is due at start + k / rate, whatever the appliance does, and its latency counts
from then to its acknowledgement; a stall is charged to every message it delays. Only where more
than OUTSTANDING_MAX are unacknowledged does the generator wait, so that overload ends in memory
that is bounded; the latency goes on counting from the schedule.

Values wander (appliance/demo/plant.py): four doubles of two decimals and a whole number. Message
bodies come from a pool that is made beforehand; time and packet id are written in when sent. A
device never uses a millisecond twice: where the schedule says so, it takes the next one.
"""

from __future__ import annotations

import argparse
import json
import random
import select
import socket
import struct
import sys
import time
from array import array
from collections import deque

from appliance.demo.mqtt import TELEMETRY, connect_packet
from appliance.demo.plant import RANGES, Signal

OUTSTANDING_MAX = 20_000
POOL = 400
"""Different bodies of each device."""
LATE_S_MAX = 0.5
"""So much later than planned the last messages may be sent."""
PATIENCE_S = 60.0
"""Time for the last acknowledgements."""


def token(number: int) -> str:
    """Of the device with that number, counted from 0."""
    return f"bench-{number}"


def bodies(seed: int) -> list[bytes]:
    """What follows the time in a device's messages, `}` and all."""
    chance = random.Random(seed)
    signals = {key: Signal(*range, chance) for key, range in RANGES.items()}
    return [
        b',"values":' + json.dumps({k: s.read() for k, s in signals.items()}).encode() + b"}"
        for _ in range(POOL)
    ]


class Device:
    """One connection. due: when the unacknowledged messages were due, oldest first."""

    def __init__(self, port: int, number: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due: deque[float] = deque()
        self.unsent = bytearray()
        self._pool = bodies(number)
        self._count = 0
        self._last_ts = 0

    def body(self, ts: int) -> bytes:
        """The next message's JSON."""
        self._last_ts = max(self._last_ts + 1, ts)
        self._count += 1
        return b'{"ts":%d' % self._last_ts + self._pool[self._count % POOL]

    def flush(self) -> None:
        """Hand to the kernel what it takes."""
        if self.unsent:
            try:
                sent = self.socket.send(self.unsent)
            except BlockingIOError:
                return
            del self.unsent[:sent]


class MqttDevice(Device):
    """Publishes with QoS 1; may have many on the way, which are acknowledged in order."""

    def __init__(self, port: int, number: int) -> None:
        super().__init__(port, number)
        self.socket.sendall(connect_packet(token(number)))
        if self.socket.recv(4) != b"\x20\x02\x00\x00":
            raise SystemExit(f"{token(number)} was refused")
        self.socket.setblocking(False)
        topic = TELEMETRY.encode()
        self._head = struct.pack("!H", len(topic)) + topic
        self._packet_id = 0
        self._expected = 0
        self._received = b""

    def send(self, due: float, ts: int) -> None:
        """Queue one message."""
        self._packet_id = self._packet_id % 0xFFFF + 1
        body = self.body(ts)
        size = len(self._head) + 2 + len(body)
        length = bytes((size & 0x7F | 0x80, size >> 7)) if size > 0x7F else bytes((size,))
        self.unsent += b"\x32" + length + self._head + self._packet_id.to_bytes(2, "big") + body
        self.due.append(due)

    def receive(self) -> int:
        """How many acknowledgements came."""
        data = self._received + _read(self.socket)
        whole = len(data) // 4 * 4
        for at in range(0, whole, 4):
            self._expected = self._expected % 0xFFFF + 1
            if data[at : at + 4] != b"\x40\x02" + self._expected.to_bytes(2, "big"):
                raise SystemExit(f"not the expected PUBACK: {data[at : at + 4].hex()}")
        self._received = data[whole:]
        return whole // 4


class HttpDevice(Device):
    """Posts; the next request goes out when the one before is answered, as devices do."""

    def __init__(self, port: int, number: int) -> None:
        super().__init__(port, number)
        self.socket.setblocking(False)
        path = f"/api/v1/{token(number)}/telemetry"
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        self._head = head.encode()
        self._waiting: deque[bytes] = deque()
        self._busy = False
        self._received = b""

    def send(self, due: float, ts: int) -> None:
        """Queue one message."""
        body = self.body(ts)
        request = self._head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        self.due.append(due)
        if self._busy:
            self._waiting.append(request)
        else:
            self._busy = True
            self.unsent += request

    def receive(self) -> int:
        """1 when the answer is whole."""
        self._received += _read(self.socket)
        if b"\r\n\r\n" not in self._received:
            return 0
        head = self._received.lower()
        if not head.startswith(b"http/1.1 200") or b"content-length: 0\r\n" not in head:
            raise SystemExit(f"unexpected answer: {self._received!r}")
        self._received = b""
        self._busy = bool(self._waiting)
        if self._waiting:
            self.unsent += self._waiting.popleft()
            self.flush()
        return 1


def _read(one: socket.socket) -> bytes:
    data = one.recv(1 << 16)
    if not data:
        raise SystemExit("the appliance closed a connection")
    return data


KINDS = {"mqtt": MqttDevice, "http": HttpDevice}


class Generator:
    """Drives all devices. latencies: seconds from due to acknowledged, in order of arrival."""

    def __init__(self, devices: list[MqttDevice] | list[HttpDevice], rate: float) -> None:
        self._devices = devices
        self._rate = rate
        self._poll = select.epoll()
        self._by_fd = {device.socket.fileno(): device for device in devices}
        for number in self._by_fd:
            self._poll.register(number, select.EPOLLIN)
        self.sent = 0
        self.latencies = array("d")

    def run(self, seconds: float) -> None:
        """Send for so long, then wait for the last acknowledgements.

        What is not sent by then, because the appliance takes less, is not sent at all.
        """
        start = time.perf_counter()
        epoch_ms = time.time() * 1000
        total = int(self._rate * seconds)
        while self.sent < total and (now := time.perf_counter()) < start + seconds + LATE_S_MAX:
            self._send_due(start, epoch_ms, now, total)
            next_due = start + self.sent / self._rate
            self._receive(max(0.0, min(next_due - time.perf_counter(), 0.05)))
        deadline = time.perf_counter() + PATIENCE_S
        while len(self.latencies) < self.sent and time.perf_counter() < deadline:
            for device in self._devices:
                device.flush()
            self._receive(0.05)

    def _send_due(self, start: float, epoch_ms: float, now: float, total: int) -> None:
        room = OUTSTANDING_MAX - (self.sent - len(self.latencies))
        count = min(int((now - start) * self._rate) + 1 - self.sent, room, total - self.sent)
        touched = set()
        for number in range(self.sent, self.sent + max(0, count)):
            due = number / self._rate
            device = self._devices[number % len(self._devices)]
            device.send(start + due, int(epoch_ms + due * 1000))
            touched.add(device)
        self.sent += max(0, count)
        for device in touched if count < room else self._devices:
            device.flush()

    def _receive(self, timeout_s: float) -> None:
        for number, _ in self._poll.poll(timeout_s):
            device = self._by_fd[number]
            count = device.receive()
            now = time.perf_counter()
            for _ in range(count):
                self.latencies.append(now - device.due.popleft())
            device.flush()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("port", type=int)
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--first", type=int, default=0, help="number of the first device")
    parser.add_argument("--rate", type=float, default=5000, help="messages a second")
    parser.add_argument("--seconds", type=float, default=60)
    asked = parser.parse_args()
    numbers = range(asked.first, asked.first + asked.devices)
    generator = Generator([KINDS[asked.kind](asked.port, n) for n in numbers], asked.rate)
    began, cpu = time.perf_counter(), time.process_time()
    began_ms = time.time_ns() // 1_000_000
    generator.run(asked.seconds)
    took = time.perf_counter() - began
    latencies = sorted(generator.latencies)
    at = lambda part: latencies[int(part * (len(latencies) - 1))] * 1000  # noqa: E731
    result = {
        "sent": generator.sent,
        "acknowledged": len(latencies),
        "seconds": took,
        "began_ms": began_ms,
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
        "max_ms": at(1.0),
        "cpu_share": (time.process_time() - cpu) / took,
    }
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
