"""originator attributes, related device attributes."""

from __future__ import annotations

from typing import Any, Literal

from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.model.telemetry import Scope
from appliance.rules.context import Context
from appliance.rules.entities import RelationFilter, RelationsQuery, related
from appliance.rules.node import PACKAGE, NodeConfig, NodeError, NodeFactory, NodeHandle, require
from appliance.rules.patterns import Pattern
from plugins.rules_enrich.target import FetchConfig, Target, fetch_to_of_v0


class AttributesConfig(FetchConfig, frozen=True, kw_only=True):
    """Key names may be patterns; get_latest_value_with_ts: `{"ts", "value"}` for series."""

    client_attribute_names: list[str] = []
    shared_attribute_names: list[str] = []
    server_attribute_names: list[str] = []
    latest_ts_key_names: list[str] = []
    tell_failure_if_absent: bool = False
    get_latest_value_with_ts: bool = False


class OriginatorAttributes:
    """originator attributes: prefixes cs_, shared_, ss_; none for the latest of series."""

    def __init__(self, config: AttributesConfig, node: NodeHandle) -> None:
        self._target = Target(config)
        self._with_ts = config.get_latest_value_with_ts
        self._must = config.tell_failure_if_absent
        self._scopes = (
            (Scope.CLIENT, "cs_", _patterns(config.client_attribute_names)),
            (Scope.SHARED, "shared_", _patterns(config.shared_attribute_names)),
            (Scope.SERVER, "ss_", _patterns(config.server_attribute_names)),
        )
        self._latest = _patterns(config.latest_ts_key_names)

    async def process(self, message: Message, ctx: Context) -> None:
        """Add what is there; what is missing fails if it must be there."""
        await self._enrich(message, self._source(message, ctx), ctx)

    def _source(self, message: Message, ctx: Context) -> EntityId:
        return message.originator

    async def _enrich(self, message: Message, source: EntityId, ctx: Context) -> None:
        self._target.check(message)
        found: dict[str, Any] = {}
        missing: list[str] = []
        for scope, prefix, patterns in self._scopes:
            stored = ctx.state.attributes(source, scope) if patterns else {}
            for key in _filled(patterns, message):
                if key in stored:
                    found[prefix + key] = stored[key].value
                else:
                    missing.append(prefix + key)
        keys = _filled(self._latest, message)
        points = await ctx.latest(source, keys) if keys else {}
        for key in keys:
            if key not in points:
                missing.append(key)
                continue
            ts, value = points[key]
            found[key] = {"ts": ts, "value": value} if self._with_ts else value
        enriched = self._target.put(message, found)
        if missing and self._must:
            ctx.failure(
                enriched,
                "The following attribute/telemetry keys is not present in the DB: "
                + ", ".join(missing),
            )
        else:
            ctx.success(enriched)


def _patterns(texts: list[str]) -> list[Pattern]:
    return [Pattern(text) for text in texts]


def _filled(patterns: list[Pattern], message: Message) -> list[str]:
    return list(dict.fromkeys(pattern.fill(message) for pattern in patterns))


class DeviceQuery(NodeConfig, frozen=True, kw_only=True):
    """Related devices of certain profiles; an empty relation_type is any."""

    direction: Literal["FROM", "TO"] | None = None
    max_level: int = 1
    relation_type: str | None = None
    device_types: list[str] = []
    fetch_last_level_only: bool = False


class DeviceAttributesConfig(AttributesConfig, frozen=True, kw_only=True):
    """device_relations_query: the first device that it finds is read."""

    device_relations_query: DeviceQuery | None = None


class DeviceAttributes(OriginatorAttributes):
    """related device attributes."""

    def __init__(self, config: DeviceAttributesConfig, node: NodeHandle) -> None:
        super().__init__(config, node)
        query = config.device_relations_query
        require(query and query.device_types, "Device relations query should be specified!")
        query = query or DeviceQuery()
        self._types = query.device_types
        self._query = RelationsQuery(
            direction=query.direction,
            max_level=query.max_level,
            filters=[RelationFilter(relation_type=query.relation_type, entity_types=["DEVICE"])],
            fetch_last_level_only=query.fetch_last_level_only,
        )

    def _source(self, message: Message, ctx: Context) -> EntityId:
        for entity in related(ctx.state, message.originator, self._query):
            device = ctx.state.entity("DEVICE", entity.id)
            if device is not None and device.get("type") in self._types:
                return entity
        raise NodeError("Failed to find related device to message originator using relation query")


ATTRIBUTE_NODES = (
    NodeFactory(
        PACKAGE + "metadata.TbGetAttributesNode",
        "originator attributes",
        AttributesConfig,
        OriginatorAttributes,
        version=1,
        upgrade=fetch_to_of_v0("fetchToData", True),
    ),
    NodeFactory(
        PACKAGE + "metadata.TbGetDeviceAttrNode",
        "related device attributes",
        DeviceAttributesConfig,
        DeviceAttributes,
        version=1,
        upgrade=fetch_to_of_v0("fetchToData", True),
    ),
)
