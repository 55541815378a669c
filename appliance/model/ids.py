"""Entity identity: UUIDs as ThingsBoard writes them.

Every id we make is a version-1 (time-based) UUID, because a server derives an entity's creation
time from its id and refuses some kinds otherwise (spec/edge-protocol.md §6.1, §3.5).
"""

from __future__ import annotations

import secrets
import threading
import time
from uuid import UUID

import msgspec

NULL_UUID = UUID("13814000-1dd2-11b2-8080-808080808080")
"""What ThingsBoard writes where it means "no id" (spec/edge-protocol.md §2.1)."""

_GREGORIAN_OFFSET_100NS = 0x01B21DD213814000
_MASK_64 = (1 << 64) - 1
_SIGN_64 = 1 << 63

_lock = threading.Lock()
# RFC variant bit and, since no real MAC is used, the multicast bit.
_clock_node = secrets.randbits(62) | (1 << 63) | (1 << 40)
_last_100ns = 0


class EntityId(msgspec.Struct, frozen=True, order=True, gc=False):
    """A typed id.

    type: upper-case EntityType name, e.g. "DEVICE" (spec/device-and-rest-api.md §7).
    id: the UUID; the same on edge and cloud.
    """

    type: str
    id: UUID

    def __str__(self) -> str:
        return f"{self.type}:{self.id}"

    def __hash__(self) -> int:
        return hash(self.id)

    def to_json(self) -> dict[str, str]:
        """The `{"entityType", "id"}` object of ThingsBoard's JSON."""
        return {"entityType": self.type, "id": str(self.id)}


def new_uuid() -> UUID:
    """A fresh version-1 UUID; strictly increasing in time within this process."""
    global _last_100ns
    with _lock:
        now = time.time_ns() // 100 + _GREGORIAN_OFFSET_100NS
        _last_100ns = now = max(now, _last_100ns + 1)
    time_high = ((now >> 48) & 0x0FFF) | 0x1000
    msb = ((now & 0xFFFFFFFF) << 32) | (((now >> 32) & 0xFFFF) << 16) | time_high
    return UUID(int=(msb << 64) | _clock_node)


def created_time_ms(uuid: UUID) -> int:
    """Epoch milliseconds inside a version-1 UUID; 0 for any other version."""
    if uuid.version != 1:
        return 0
    return (uuid.time - _GREGORIAN_OFFSET_100NS) // 10_000


def uuid_halves(uuid: UUID) -> tuple[int, int]:
    """(most, least) significant 64 bits as signed integers, as they travel (§2.1)."""
    most, least = uuid.int >> 64, uuid.int & _MASK_64
    return _signed(most), _signed(least)


def uuid_from_halves(most: int, least: int) -> UUID | None:
    """The UUID of two signed halves; None where either is 0, which means "not set" (§2.1)."""
    if most == 0 or least == 0:
        return None
    return UUID(int=((most & _MASK_64) << 64) | (least & _MASK_64))


def _signed(half: int) -> int:
    return half - (1 << 64) if half & _SIGN_64 else half
