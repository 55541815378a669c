"""Values by a mapping of names: originator fields, related entity data, customer and tenant
attributes. Source and target names may be patterns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.model.telemetry import Scope
from appliance.rules.conditions import as_boolean
from appliance.rules.context import Context
from appliance.rules.entities import RelationsQuery, fields_of, owner_of, related
from appliance.rules.node import PACKAGE, NodeError, NodeFactory, NodeHandle, require
from appliance.rules.patterns import Pattern
from plugins.rules_enrich.target import FetchConfig, Target

DataToFetch = Literal["ATTRIBUTES", "LATEST_TELEMETRY", "FIELDS"]


class Names:
    """A mapping of source to target names. Raises ConfigError when it is empty."""

    def __init__(self, mapping: Mapping[str, str]) -> None:
        require(mapping, "At least one mapping entry should be specified!")
        self._pairs = [(Pattern(source), Pattern(target)) for source, target in mapping.items()]

    def fill(self, message: Message) -> dict[str, str]:
        """Source to target names for this message."""
        return {source.fill(message): target.fill(message) for source, target in self._pairs}


class FieldsConfig(FetchConfig, frozen=True, kw_only=True):
    """data_mapping: field name to target name."""

    data_mapping: dict[str, str] = {}
    ignore_null_strings: bool = False


class OriginatorFields:
    """originator fields: all as text; unknown fields are left out, unset ones are "null"."""

    def __init__(self, config: FieldsConfig, node: NodeHandle) -> None:
        self._target = Target(config)
        self._names = Names(config.data_mapping)
        self._skip_unset = config.ignore_null_strings

    def process(self, message: Message, ctx: Context) -> None:
        """Success with the fields."""
        self._target.check(message)
        fields = fields_of(ctx.state, message.originator)
        found = {}
        for source, target in self._names.fill(message).items():
            if source in fields and not (self._skip_unset and fields[source] is None):
                text = fields[source]
                found[target] = "null" if text is None else text
        ctx.success(self._target.put(message, found))


class MappedConfig(FetchConfig, frozen=True, kw_only=True):
    """data_to_fetch: must be given; FIELDS: related entities only. Missing values are left out."""

    data_mapping: dict[str, str] = {}
    data_to_fetch: DataToFetch | None = None


class RelatedConfig(MappedConfig, frozen=True, kw_only=True):
    """relations_query: the first entity that it finds is read."""

    relations_query: RelationsQuery | None = None


class _Mapped:
    """Server attributes, latest values or fields of some entity."""

    def __init__(self, config: MappedConfig, node: NodeHandle) -> None:
        self._target = Target(config)
        self._names = Names(config.data_mapping)
        self._kind = config.data_to_fetch
        require(self._kind, "DataToFetch property can't be null!")

    async def process(self, message: Message, ctx: Context) -> None:
        """Success with the values that are there."""
        self._target.check(message)
        source = self._source(message, ctx)
        names = self._names.fill(message)
        values = await self._read(source, list(names), ctx)
        found = {target: values[name] for name, target in names.items() if name in values}
        ctx.success(self._target.put(message, found))

    def _source(self, message: Message, ctx: Context) -> EntityId:
        raise NodeError("this node reads nothing")

    async def _read(self, source: EntityId, names: list[str], ctx: Context) -> dict[str, Any]:
        if self._kind == "FIELDS":
            fields = fields_of(ctx.state, source)
            return {name: text for name, text in fields.items() if text is not None}
        if self._kind == "LATEST_TELEMETRY":
            return {key: point[1] for key, point in (await ctx.latest(source, names)).items()}
        stored = ctx.state.attributes(source, Scope.SERVER)
        return {key: stored[key].value for key in names if key in stored}


class RelatedData(_Mapped):
    """related entity data."""

    def __init__(self, config: RelatedConfig, node: NodeHandle) -> None:
        super().__init__(config, node)
        self._query = config.relations_query or RelationsQuery()

    def _source(self, message: Message, ctx: Context) -> EntityId:
        for entity in related(ctx.state, message.originator, self._query):
            return entity
        raise NodeError("Failed to find related entity to message originator using relation query")


class _OwnerData(_Mapped):
    def __init__(self, config: MappedConfig, node: NodeHandle) -> None:
        super().__init__(config, node)
        require(
            self._kind != "FIELDS",
            "DataToFetch property has invalid value: FIELDS. "
            "Only ATTRIBUTES and LATEST_TELEMETRY values supported!",
        )


class CustomerData(_OwnerData):
    """customer attributes."""

    def _source(self, message: Message, ctx: Context) -> EntityId:
        customer = owner_of(ctx.state, message.originator)
        if customer is None:
            raise NodeError(f"Failed to find customer for entity {message.originator}")
        return customer


class TenantData(_OwnerData):
    """tenant attributes."""

    def _source(self, message: Message, ctx: Context) -> EntityId:
        return EntityId("TENANT", ctx.state.tenant_id)


def _upgrade(config: dict[str, Any], version: int) -> dict[str, Any]:
    """Version 0: other names, metadata only, a flag for telemetry."""
    for old in ("attrMapping", "fieldsMapping"):
        if old in config:
            config.setdefault("dataMapping", config.pop(old))
    if "telemetry" in config:
        latest = as_boolean(config.pop("telemetry"))
        config.setdefault("dataToFetch", "LATEST_TELEMETRY" if latest else "ATTRIBUTES")
    config.setdefault("fetchTo", "METADATA")
    return config


MAPPED_NODES = (
    NodeFactory(
        PACKAGE + "metadata.TbGetOriginatorFieldsNode",
        "originator fields",
        FieldsConfig,
        OriginatorFields,
        version=1,
        upgrade=_upgrade,
    ),
    NodeFactory(
        PACKAGE + "metadata.TbGetRelatedAttributeNode",
        "related entity data",
        RelatedConfig,
        RelatedData,
        version=1,
        upgrade=_upgrade,
    ),
    NodeFactory(
        PACKAGE + "metadata.TbGetCustomerAttributeNode",
        "customer attributes",
        MappedConfig,
        CustomerData,
        version=1,
        upgrade=_upgrade,
    ),
    NodeFactory(
        PACKAGE + "metadata.TbGetTenantAttributeNode",
        "tenant attributes",
        MappedConfig,
        TenantData,
        version=1,
        upgrade=_upgrade,
    ),
)
