"""What is published to one device: packet ids, flow control, a bound.

At most 100 publishes to a device wait for its acknowledgement (of QoS 1) at any time, sent or
not; the number is what ThingsBoard announces as its own window. No more are on the wire than the
device's Receive Maximum (MQTT 5) allows. Packet ids count up from 1 and pass over those in use.
"""

from __future__ import annotations

from collections import deque

from appliance.extension.ports import DeviceSession
from plugins.ingest_mqtt.codec import encode
from plugins.ingest_mqtt.packets import Publish, Version

Request = tuple[DeviceSession, int]
"""(device, id) of a request that is delivered when its publish is acknowledged."""

WAITING_MAX = 100
PACKET_ID_MAX = 65535


class NoRoom(Exception):
    """The publish cannot go out: too many wait, or it is larger than the device takes."""


class Downlinks:
    """Publishes to one device. receive_maximum, packet_bytes_max: what its CONNECT said."""

    def __init__(self) -> None:
        self.receive_maximum = PACKET_ID_MAX
        self.packet_bytes_max = 0
        self._last_id = 0
        self._unacknowledged: dict[int, Request | None] = {}
        self._queued: deque[tuple[bytes, int, Request | None]] = deque()

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        version: Version,
        request: Request | None = None,
    ) -> bytes:
        """The bytes to send now, none if the device's window is full.

        request: remembered and given back by `acknowledged`. Raises NoRoom.
        """
        if len(self._unacknowledged) + len(self._queued) >= WAITING_MAX:
            raise NoRoom(f"{WAITING_MAX} messages wait for its acknowledgement")
        packet_id = self._next_id() if qos else 0
        data = encode(Publish(topic, payload, qos, packet_id), version)
        if self.packet_bytes_max and len(data) > self.packet_bytes_max:
            raise NoRoom(f"it takes no packet of {len(data)} bytes")
        if not qos:
            return data
        self._queued.append((data, packet_id, request))
        return self._release()

    def acknowledged(self, packet_id: int) -> tuple[Request | None, bytes]:
        """(the request that was published, bytes to send now). Unknown ids change nothing."""
        request = self._unacknowledged.pop(packet_id, None)
        return request, self._release()

    def _release(self) -> bytes:
        """Move what fits from the queue to the wire."""
        released = b""
        while self._queued and len(self._unacknowledged) < self.receive_maximum:
            data, packet_id, request = self._queued.popleft()
            self._unacknowledged[packet_id] = request
            released += data
        return released

    def _next_id(self) -> int:
        used = self._unacknowledged.keys() | {packet_id for _, packet_id, _ in self._queued}
        while True:
            self._last_id = self._last_id % PACKET_ID_MAX + 1
            if self._last_id not in used:
                return self._last_id
