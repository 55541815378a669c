"""A device that publishes numbered values over MQTT 3.1.1 and knows what was acknowledged."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable


class Publisher(threading.Thread):
    """Publishes `{"ts": n, "values": {"n": n}}` for n = first, first + 1, … until `stop`.

    acked: numbers whose PUBACK came. A broken connection ends the thread quietly; what was sent
    without a PUBACK counts as not accepted. pause_s: between bursts.
    """

    def __init__(
        self,
        port: int,
        token: str,
        first: int,
        *,
        burst: int = 20,
        pause_s: float = 0.0,
        ts_of: Callable[[int], int],
    ) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._token = token
        self._burst = burst
        self._pause_s = pause_s
        self._ts_of = ts_of
        self.next = first
        self.acked: set[int] = set()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End after the burst that is on its way."""
        self._stopped.set()

    def run(self) -> None:
        """Connect, then publish in bursts and wait for their acknowledgements."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), 5) as stream:
                stream.settimeout(20)
                stream.sendall(connect(self._token))
                if _exactly(stream, 4)[3] != 0:
                    return
                while not self._stopped.is_set():
                    self._publish_burst(stream)
                    self._stopped.wait(self._pause_s)
        except OSError:
            return

    def _publish_burst(self, stream: socket.socket) -> None:
        numbers = range(self.next, self.next + self._burst)
        self.next += self._burst
        packets = [self._packet(number, index + 1) for index, number in enumerate(numbers)]
        stream.sendall(b"".join(packets))
        for _ in numbers:
            ack = _exactly(stream, 4)
            if ack[0] != 0x40:
                raise OSError(f"expected a PUBACK, got {ack.hex()}")
            self.acked.add(numbers[int.from_bytes(ack[2:4], "big") - 1])

    def _packet(self, number: int, packet_id: int) -> bytes:
        body = json.dumps({"ts": self._ts_of(number), "values": {"n": number}}).encode()
        return publish("v1/devices/me/telemetry", body, packet_id)


def connect(token: str) -> bytes:
    """CONNECT with a token as user name, no keep-alive."""
    name = token.encode()
    body = b"\x00\x04MQTT\x04\x82\x00\x00" + struct.pack("!H", 0) + struct.pack("!H", len(name))
    return b"\x10" + _length(len(body) + len(name)) + body + name


def publish(topic: str, body: bytes, packet_id: int) -> bytes:
    """PUBLISH with QoS 1."""
    name = topic.encode()
    head = struct.pack("!H", len(name)) + name + struct.pack("!H", packet_id)
    return b"\x32" + _length(len(head) + len(body)) + head + body


def _length(size: int) -> bytes:
    out = bytearray()
    while True:
        size, digit = divmod(size, 128)
        out.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(out)


def _exactly(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = stream.recv(size - len(data))
        if not part:
            raise OSError("the listener closed the connection")
        data += part
    return data
