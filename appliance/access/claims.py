"""What a device says when it may be claimed: the SERVER attribute `claimingData` (spec §1.6)."""

from __future__ import annotations

import msgspec

from appliance.extension.ports import AttributeValue

CLAIMING_DATA = "claimingData"


class ClaimingData(msgspec.Struct, frozen=True, rename="camel"):
    """secret_key: what its future owner must know. expiration_time: epoch milliseconds."""

    expiration_time: int
    secret_key: str | None = None


def claiming_data(stored: AttributeValue | None, now_ms: int) -> ClaimingData | None:
    """What is valid now of what a device has said; None for nothing."""
    if stored is None or not isinstance(stored.value, str):
        return None
    try:
        said = msgspec.json.decode(stored.value, type=ClaimingData)
    except msgspec.DecodeError:
        return None
    return said if now_ms <= said.expiration_time else None
