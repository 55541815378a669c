"""Filters and switches over the kinds of things: message types, entity types, profiles."""

from __future__ import annotations

from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.entities import EntityType
from appliance.rules.node import (
    FALSE,
    OTHER,
    PACKAGE,
    TRUE,
    NodeConfig,
    NodeError,
    NodeFactory,
    NodeHandle,
)

LABELS = {
    "POST_ATTRIBUTES_REQUEST": "Post attributes",
    "POST_TELEMETRY_REQUEST": "Post telemetry",
    "TO_SERVER_RPC_REQUEST": "RPC Request from Device",
    "RPC_CALL_FROM_SERVER_TO_DEVICE": "RPC Request to Device",
    "ACTIVITY_EVENT": "Activity Event",
    "INACTIVITY_EVENT": "Inactivity Event",
    "CONNECT_EVENT": "Connect Event",
    "DISCONNECT_EVENT": "Disconnect Event",
    "ENTITY_CREATED": "Entity Created",
    "ENTITY_UPDATED": "Entity Updated",
    "ENTITY_DELETED": "Entity Deleted",
    "ENTITY_ASSIGNED": "Entity Assigned",
    "ENTITY_UNASSIGNED": "Entity Unassigned",
    "ATTRIBUTES_UPDATED": "Attributes Updated",
    "ATTRIBUTES_DELETED": "Attributes Deleted",
    "ALARM": "Alarm",
    "ALARM_CREATED": "Alarm Created",
    "ALARM_UPDATED": "Alarm Updated",
    "ALARM_SEVERITY_UPDATED": "Alarm Severity Updated",
    "ALARM_ACK": "Alarm Acknowledged",
    "ALARM_CLEAR": "Alarm Cleared",
    "ALARM_ASSIGNED": "Alarm Assigned",
    "ALARM_UNASSIGNED": "Alarm Unassigned",
    "COMMENT_CREATED": "Comment Created",
    "COMMENT_UPDATED": "Comment Updated",
    "ENTITY_ASSIGNED_FROM_TENANT": "Entity Assigned From Tenant",
    "ENTITY_ASSIGNED_TO_TENANT": "Entity Assigned To Tenant",
    "TIMESERIES_UPDATED": "Timeseries Updated",
    "TIMESERIES_DELETED": "Timeseries Deleted",
    "RPC_QUEUED": "RPC Queued",
    "RPC_SENT": "RPC Sent",
    "RPC_DELIVERED": "RPC Delivered",
    "RPC_SUCCESSFUL": "RPC Successful",
    "RPC_TIMEOUT": "RPC Timeout",
    "RPC_EXPIRED": "RPC Expired",
    "RPC_FAILED": "RPC Failed",
    "RPC_DELETED": "RPC Deleted",
    "RELATION_ADD_OR_UPDATE": "Relation Added or Updated",
    "RELATION_DELETED": "Relation Deleted",
    "RELATIONS_DELETED": "All Relations Deleted",
    "REST_API_REQUEST": "REST API request",
}
"""Label of each message type (§2.2); what is not here is "Other"."""

_SPECIAL_NAMES = {"ENTITY_VIEW": "Entity View", "AI_MODEL": "AI model", "TB_RESOURCE": "Resource"}


class MessageTypeSwitch:
    """message type switch."""

    def __init__(self, config: NodeConfig, node: NodeHandle) -> None:
        pass

    def process(self, message: Message, ctx: Context) -> None:
        """Tell the type's label."""
        ctx.tell(LABELS.get(message.type, OTHER), message)


class MessageTypesConfig(NodeConfig, frozen=True, kw_only=True):
    """message_types: exact names, custom ones too."""

    message_types: list[str] | None = None


class _TypeFilter:
    def __init__(self, types: list[str] | None) -> None:
        self._types = None if types is None else frozenset(types)

    def _tell(self, type: str, message: Message, ctx: Context) -> None:
        if self._types is None:
            raise NodeError("the types are missing")
        ctx.tell(TRUE if type in self._types else FALSE, message)


class MessageTypeFilter(_TypeFilter):
    """message type filter."""

    def __init__(self, config: MessageTypesConfig, node: NodeHandle) -> None:
        super().__init__(config.message_types)

    def process(self, message: Message, ctx: Context) -> None:
        """True when the type is listed."""
        self._tell(message.type, message, ctx)


class OriginatorTypesConfig(NodeConfig, frozen=True, kw_only=True):
    """originator_types: any edition's."""

    originator_types: list[EntityType] | None = None


class OriginatorTypeFilter(_TypeFilter):
    """entity type filter."""

    def __init__(self, config: OriginatorTypesConfig, node: NodeHandle) -> None:
        super().__init__(config.originator_types)

    def process(self, message: Message, ctx: Context) -> None:
        """True when the originator's type is listed."""
        self._tell(message.originator.type, message, ctx)


class SwitchConfig(NodeConfig, frozen=True, kw_only=True):
    """Nothing to set."""

    version: int = 0


class OriginatorTypeSwitch:
    """entity type switch."""

    def __init__(self, config: SwitchConfig, node: NodeHandle) -> None:
        pass

    def process(self, message: Message, ctx: Context) -> None:
        """Tell the display name of the originator's type."""
        name = message.originator.type
        ctx.tell(_SPECIAL_NAMES.get(name) or name.replace("_", " ").capitalize(), message)


class DeviceTypeSwitch:
    """device profile switch."""

    kind = "DEVICE"

    def __init__(self, config: SwitchConfig, node: NodeHandle) -> None:
        pass

    def process(self, message: Message, ctx: Context) -> None:
        """Tell the profile's name."""
        if message.originator.type != self.kind:
            raise NodeError(f"Unsupported originator type: {message.originator.type}!")
        profile = ctx.state.profile_of(message.originator)
        if profile is None:
            raise NodeError("the originator's profile is not on this edge")
        ctx.tell(profile["name"], message)


class AssetTypeSwitch(DeviceTypeSwitch):
    """asset profile switch."""

    kind = "ASSET"


TYPE_NODES = (
    NodeFactory(
        PACKAGE + "filter.TbMsgTypeSwitchNode", "message type switch", NodeConfig, MessageTypeSwitch
    ),
    NodeFactory(
        PACKAGE + "filter.TbMsgTypeFilterNode",
        "message type filter",
        MessageTypesConfig,
        MessageTypeFilter,
    ),
    NodeFactory(
        PACKAGE + "filter.TbOriginatorTypeFilterNode",
        "entity type filter",
        OriginatorTypesConfig,
        OriginatorTypeFilter,
    ),
    NodeFactory(
        PACKAGE + "filter.TbOriginatorTypeSwitchNode",
        "entity type switch",
        SwitchConfig,
        OriginatorTypeSwitch,
    ),
    NodeFactory(
        PACKAGE + "filter.TbDeviceTypeSwitchNode",
        "device profile switch",
        SwitchConfig,
        DeviceTypeSwitch,
    ),
    NodeFactory(
        PACKAGE + "filter.TbAssetTypeSwitchNode",
        "asset profile switch",
        SwitchConfig,
        AssetTypeSwitch,
    ),
)
