"""Devices that are connected now: who hears of shared attributes, who takes requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from appliance.edge.rpc import RpcDesk
from appliance.extension.ports import DeviceSession, Downlink
from appliance.model.telemetry import Value

Closer = Callable[[], None]


class Sessions:
    """The table of open sessions; plain calls on the Trio thread."""

    def __init__(self, desk: RpcDesk) -> None:
        self._desk = desk
        self._attribute_listeners: dict[UUID, list[Downlink]] = {}
        self._downlinks: dict[UUID, list[Downlink]] = {}
        self._open: dict[UUID, int] = {}

    @property
    def devices(self) -> int:
        """Devices with at least one open session."""
        return len(self._open)

    def opened(self, device: UUID) -> bool:
        """Count a session; True if it is the device's first."""
        self._open[device] = self._open.get(device, 0) + 1
        return self._open[device] == 1

    def closed(self, device: UUID) -> bool:
        """Uncount a session; True if it was the device's last."""
        left = self._open.get(device, 0) - 1
        if left > 0:
            self._open[device] = left
            return False
        self._open.pop(device, None)
        return True

    def subscribe(
        self, session: DeviceSession, downlink: Downlink, *, attributes: bool, rpc: bool
    ) -> Closer:
        """See Gate.subscribe."""
        device = session.device.id
        stops: list[Closer] = [_add(self._downlinks, device, downlink)]
        if attributes:
            stops.append(_add(self._attribute_listeners, device, downlink))
        if rpc:
            stops.append(self._desk.listen(device, downlink))

        def stop() -> None:
            for each in stops:
                each()

        return stop

    def notify_attributes(
        self, device: UUID, updated: Mapping[str, Value], deleted: Sequence[str]
    ) -> None:
        """Tell the device's sessions that shared attributes changed."""
        for downlink in list(self._attribute_listeners.get(device, ())):
            downlink.attributes(dict(updated), deleted)

    def close(self, device: UUID, reason: str) -> None:
        """End the device's sessions: "deleted" or "credentials"."""
        for downlink in list(self._downlinks.get(device, ())):
            downlink.closed(reason)


def _add(table: dict[UUID, list[Downlink]], device: UUID, downlink: Downlink) -> Closer:
    table.setdefault(device, []).append(downlink)

    def remove() -> None:
        listeners = table.get(device)
        if listeners and downlink in listeners:
            listeners.remove(downlink)
            if not listeners:
                del table[device]

    return remove
