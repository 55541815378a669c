"""Twenty machines that report five values each, and a book of what was sent and acknowledged.

Values wander as measured ones do: each is the one before plus a little, kept within its range and
rounded as a sensor rounds. Every message carries its own time, so a value can be found again in
the cloud by device, key and time; times of one device strictly increase.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
import trio

from appliance.demo.http import HttpClient
from appliance.demo.mqtt import TELEMETRY, MqttDevice
from appliance.demo.site import Device
from appliance.kernel.clock import Clock

NAMES = tuple(
    f"{kind} {number}"
    for kind in ("Pump", "Fan", "Boiler", "Mixer", "Conveyor")
    for number in range(1, 5)
)
OVER_MQTT = 12
"""So many of the devices speak MQTT, the others HTTP."""
_AGAIN_S = 0.5


class Signal:
    """One measured value. digits: after the point; 0 makes whole numbers."""

    def __init__(self, low: float, high: float, digits: int, chance: random.Random) -> None:
        self._low = low
        self._high = high
        self._digits = digits
        self._chance = chance
        self._value = chance.uniform(low, high)

    def read(self) -> float | int:
        """The next value."""
        step = (self._high - self._low) / 100
        moved = self._value + self._chance.uniform(-step, step)
        self._value = min(self._high, max(self._low, moved))
        return round(self._value, self._digits) if self._digits else round(self._value)


RANGES = {
    "temperature": (18.0, 85.0, 2),
    "pressure": (1.0, 6.0, 2),
    "flow": (0.0, 40.0, 2),
    "vibration": (0.1, 4.5, 2),
    "speed": (900.0, 1500.0, 0),
}
"""Key -> lowest, highest, digits: degrees Celsius, bar, cubic metres an hour, mm/s, 1/min."""


class Book:
    """What one device sent and what the edge acknowledged, in messages.

    unsettled: acknowledged values by time in epoch ms, until taken by `settle`.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.acknowledged = 0
        self.unsettled: dict[int, dict[str, float]] = {}
        self.longest_wait_s = 0.0

    def note(self, ts: int, values: dict[str, float], waited_s: float) -> None:
        """The edge acknowledged a message."""
        self.acknowledged += 1
        self.unsettled[ts] = values
        self.longest_wait_s = max(self.longest_wait_s, waited_s)

    def settle(self) -> dict[int, dict[str, float]]:
        """Take out all that was acknowledged since the last time."""
        taken, self.unsettled = self.unsettled, {}
        return taken


class Line(Protocol):
    """A device's connection."""

    async def send(self, body: bytes) -> None:
        """Return when the edge acknowledged the message. Raises OSError when it broke."""
        ...

    async def aclose(self) -> None:
        """Hang up."""
        ...


Connect = Callable[[Device], Awaitable[Line]]
"""Open a device's connection. Raises OSError."""


class Machine:
    """One simulated device; it sends until `stop` is set and its last message acknowledged.

    A message without an acknowledgement is sent again over a new connection, for ever.
    """

    def __init__(self, device: Device, connect: Connect, clock: Clock, seed: int) -> None:
        self.device = device
        self.book = Book()
        self._connect = connect
        self._clock = clock
        chance = random.Random(seed)
        self._signals = {key: Signal(*range, chance) for key, range in RANGES.items()}
        self._line: Line | None = None
        self._last_ts = 0

    async def run(self, interval_s: float, delay_s: float, stop: trio.Event) -> None:
        """Send a message every interval_s, the first after delay_s."""
        try:
            await trio.sleep(delay_s)
            await self._send_all(interval_s, stop)
        finally:
            await self._hang_up()

    async def _send_all(self, interval_s: float, stop: trio.Event) -> None:
        due = trio.current_time()
        while not stop.is_set():
            ts, values = self._measure()
            body = msgspec.json.encode({"ts": ts, "values": values})
            self.book.sent += 1
            began = trio.current_time()
            await self._deliver(body)
            self.book.note(ts, values, trio.current_time() - began)
            due = max(due + interval_s, trio.current_time() - interval_s)
            await trio.sleep_until(due)

    async def _deliver(self, body: bytes) -> None:
        while True:
            try:
                if self._line is None:
                    self._line = await self._connect(self.device)
                await self._line.send(body)
                return
            except OSError:
                await self._hang_up()
                await trio.sleep(_AGAIN_S)

    async def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            await line.aclose()

    def _measure(self) -> tuple[int, dict[str, float]]:
        self._last_ts = max(self._last_ts + 1, self._clock())
        return self._last_ts, {key: signal.read() for key, signal in self._signals.items()}


class MqttLine:
    """Publishes with QoS 1."""

    def __init__(self, client: MqttDevice) -> None:
        self._client = client

    async def send(self, body: bytes) -> None:
        """See Line."""
        await self._client.publish(TELEMETRY, body)

    async def aclose(self) -> None:
        """See Line."""
        await self._client.aclose()


class HttpLine:
    """Posts."""

    def __init__(self, client: HttpClient, token: str) -> None:
        self._client = client
        self._path = f"/api/v1/{token}/telemetry"

    async def send(self, body: bytes) -> None:
        """See Line."""
        await self._client.json("POST", self._path, msgspec.Raw(body))

    async def aclose(self) -> None:
        """See Line."""
        await self._client.aclose()


def over_mqtt(port: int) -> Connect:
    """Devices that publish."""

    async def connect(device: Device) -> Line:
        return MqttLine(await MqttDevice.connect(port, device.token))

    return connect


def over_http(port: int) -> Connect:
    """Devices that post."""

    async def connect(device: Device) -> Line:
        return HttpLine(HttpClient(port), device.token)

    return connect


class Plant:
    """All machines together. stop: set to let them finish."""

    def __init__(self, devices: list[Device], mqtt_port: int, http_port: int, clock: Clock) -> None:
        self.stop = trio.Event()
        mqtt, http = over_mqtt(mqtt_port), over_http(http_port)
        self.machines = [
            Machine(device, mqtt if number < OVER_MQTT else http, clock, seed=number)
            for number, device in enumerate(devices)
        ]

    @property
    def sent(self) -> int:
        """Messages sent."""
        return sum(machine.book.sent for machine in self.machines)

    @property
    def acknowledged(self) -> int:
        """Messages that the edge acknowledged."""
        return sum(machine.book.acknowledged for machine in self.machines)

    @property
    def longest_wait_s(self) -> float:
        """The longest that a device waited for its acknowledgement."""
        return max(machine.book.longest_wait_s for machine in self.machines)

    def settle(self) -> dict[str, dict[int, dict[str, float]]]:
        """Take out what was acknowledged since the last time: device id -> time -> values."""
        return {machine.device.id: machine.book.settle() for machine in self.machines}

    async def run(self, interval_s: float) -> None:
        """Let all machines send, evenly spread over the interval, until `stop` is set."""
        async with trio.open_nursery() as nursery:
            for number, machine in enumerate(self.machines):
                delay_s = interval_s * number / len(self.machines)
                nursery.start_soon(machine.run, interval_s, delay_s, self.stop)
