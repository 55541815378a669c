"""save time series, and the node that only feeds calculated fields."""

from __future__ import annotations

from typing import Any

import msgspec

from appliance.model.message import Message
from appliance.model.telemetry import Series, lifetime_s
from appliance.rules.attributes import scope_of
from appliance.rules.context import Context
from appliance.rules.node import PACKAGE, NodeConfig, NodeError, NodeFactory, NodeHandle
from appliance.rules.ports import CalculationInput
from appliance.rules.values import telemetry_of, typed_values, whole_number
from appliance.sync.wire import encode_entry
from plugins.rules_action.processing import ON_EVERY_MESSAGE, ProcessingSettings, always

TELEMETRY = "POST_TELEMETRY_REQUEST"
ATTRIBUTES = "POST_ATTRIBUTES_REQUEST"


class SaveSeriesConfig(NodeConfig, frozen=True, kw_only=True):
    """default_ttl: seconds, 0 = as long as retention says; metadata `TTL` overrides it."""

    default_ttl: int = msgspec.field(name="defaultTTL", default=0)
    use_server_ts: bool = False
    processing_settings: ProcessingSettings


class SaveSeries:
    """save time series.

    A latest value is the newest point of history here, so "timeseries" and "latest" of the
    advanced settings go together: either one saves.
    """

    def __init__(self, config: SaveSeriesConfig, node: NodeHandle) -> None:
        self._ttl_s = lifetime_s(config.default_ttl)
        self._server_ts = config.use_server_ts
        acts = config.processing_settings.compile(
            "timeseries", "latest", "web_sockets", "calculated_fields"
        )
        self._history, self._latest, self._sockets, self._calculates = acts
        self._plain = all(act is always for act in acts)

    def process(self, message: Message, ctx: Context) -> None:
        """Put the values into history."""
        if message.type != TELEMETRY:
            raise NodeError(f"Unsupported msg type: {message.type}")
        originator = message.originator
        ts = ctx.now() if self._server_ts else message.effective_ts
        saves = calculates = True
        if not self._plain:
            wanted = [
                act(originator.id, ts)
                for act in (self._history, self._latest, self._sockets, self._calculates)
            ]
            if not any(wanted):
                ctx.success(message)
                return
            saves, calculates = wanted[0] or wanted[1], wanted[3]
        ttl = message.metadata.get("TTL")
        ttl_s = lifetime_s(whole_number(ttl)) if ttl else self._ttl_s
        for at, values in telemetry_of(message, ts):
            if saves:
                entry = encode_entry(at, values)
                ctx.unit.series.append(Series(originator, at, values, ttl_s, entry))
            if calculates:
                ctx.services.calculate(
                    CalculationInput(originator, None, at, values, message), ctx.work
                )
        ctx.success(message)


class Calculate:
    """calculated fields: hand values over without saving them."""

    def __init__(self, config: NodeConfig, node: NodeHandle) -> None:
        pass

    def process(self, message: Message, ctx: Context) -> None:
        """Telemetry, or attributes with a scope in the metadata."""
        originator = message.originator
        if message.type == TELEMETRY:
            for ts, values in telemetry_of(message) if message.data else ():
                ctx.services.calculate(
                    CalculationInput(originator, None, ts, values, message), ctx.work
                )
        elif message.type == ATTRIBUTES:
            scope = scope_of(message.metadata.get("scope") or "")
            values = typed_values(message.data)
            ctx.services.calculate(
                CalculationInput(originator, scope, ctx.now(), values, message), ctx.work
            )
        else:
            raise NodeError(f"Unsupported msg type: {message.type}")
        ctx.success(message)


def _upgrade(config: dict[str, Any], version: int) -> dict[str, Any]:
    """Version 0 had `skipLatestPersistence` in place of processing settings."""
    config.pop("skipLatestPersistence", None)
    return {**config, "processingSettings": ON_EVERY_MESSAGE}


SERIES_NODES = (
    NodeFactory(
        PACKAGE + "telemetry.TbMsgTimeseriesNode",
        "save time series",
        SaveSeriesConfig,
        SaveSeries,
        version=1,
        upgrade=_upgrade,
        note="history and latest value are saved together; neither can be skipped alone",
    ),
    NodeFactory(
        PACKAGE + "telemetry.TbCalculatedFieldsNode",
        "calculated fields and alarm rules",
        NodeConfig,
        Calculate,
    ),
)
