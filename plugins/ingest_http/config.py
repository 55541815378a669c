"""Settings of the device HTTP API, section `[ingest.http]`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class HttpIngestConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults as ThingsBoard's (spec/device-and-rest-api.md §1.3).

    type_cast: numbers in quotes become numbers. poll_ms_default: how long a poll waits that
    names no timeout, or 0; poll_ms_max: the longest it may ask for. rpc_s_max: how long a
    device's own request waits for its reply. stop_s_max: time for requests in flight when the
    listener stops; polls are answered at once then.
    """

    type_cast: bool = True
    poll_ms_default: Annotated[int, Meta(ge=1, le=3_600_000)] = 60_000
    poll_ms_max: Annotated[int, Meta(ge=1, le=3_600_000)] = 300_000
    rpc_s_max: Annotated[float, Meta(gt=0, le=3_600)] = 60.0
    stop_s_max: Annotated[float, Meta(gt=0, le=60)] = 2.0
