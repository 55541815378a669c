"""Section `[process.select]`: what of the telemetry goes to the cloud."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class SelectConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of the telemetry goes to the cloud; everything stays in the history here.

    devices: names of devices whose values go up, with * and ?; empty means all.
    keys: keys that go up, with * and ?; empty means all.
    deadband: key pattern to smallest change; a number goes up if it differs from the last one that
    did by at least so much.
    heartbeat_s: a value that the deadband holds back goes up after so long all the same.
    """

    devices: list[str] = []
    keys: list[str] = []
    deadband: dict[str, Annotated[float, Meta(ge=0)]] = {}
    heartbeat_s: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
