"""Which field number each item has in which direction (spec/edge-protocol.md §2.4, §2.5).

This is the whole difference between an UplinkMsg and a DownlinkMsg. 0: does not travel that way.
"""

from __future__ import annotations

from typing import NamedTuple

import betterproto2

from plugins.transport_grpc.generated import edge as p
from plugins.transport_grpc.items import (
    CONFIGURATION,
    ENTITY_DATA,
    RPC_CALL,
    SYNC_COMPLETED,
    Shape,
    entity_update,
    request,
)

ID_FIELD = 1
"""Number of the batch's id, the one field that is no item."""


class Row(NamedTuple):
    """One item's name (of the wire field, without "Msg"), its two numbers and its shape."""

    name: str
    up: int
    down: int
    shape: Shape


def _entity(name: str, up: int, down: int, message_type: type[betterproto2.Message]) -> Row:
    return Row(name, up, down, entity_update(name, message_type))


def _request(
    name: str, up: int, down: int, message_type: type[betterproto2.Message], entity_type: str = ""
) -> Row:
    return Row(name, up, down, request(name, message_type, entity_type))


ROWS = (
    Row("entityData", 2, 3, ENTITY_DATA),
    Row("deviceRpcCall", 12, 21, RPC_CALL),
    Row("syncCompleted", 0, 2, SYNC_COMPLETED),
    Row("edgeConfiguration", 0, 25, CONFIGURATION),
    _entity("deviceUpdate", 3, 5, p.DeviceUpdateMsg),
    _entity("deviceProfileUpdate", 20, 6, p.DeviceProfileUpdateMsg),
    _entity("deviceCredentialsUpdate", 4, 7, p.DeviceCredentialsUpdateMsg),
    _entity("assetUpdate", 16, 11, p.AssetUpdateMsg),
    _entity("assetProfileUpdate", 19, 24, p.AssetProfileUpdateMsg),
    _entity("entityViewUpdate", 18, 12, p.EntityViewUpdateMsg),
    _entity("relationUpdate", 6, 17, p.RelationUpdateMsg),
    _entity("alarmUpdate", 5, 13, p.AlarmUpdateMsg),
    _entity("alarmCommentUpdate", 22, 29, p.AlarmCommentUpdateMsg),
    _entity("customerUpdate", 0, 16, p.CustomerUpdateMsg),
    _entity("userUpdate", 28, 14, p.UserUpdateMsg),
    _entity("userCredentialsUpdate", 29, 15, p.UserCredentialsUpdateMsg),
    _entity("apiKeyUpdate", 30, 37, p.ApiKeyUpdateMsg),
    _entity("dashboardUpdate", 17, 10, p.DashboardUpdateMsg),
    _entity("widgetsBundleUpdate", 0, 18, p.WidgetsBundleUpdateMsg),
    _entity("widgetTypeUpdate", 0, 19, p.WidgetTypeUpdateMsg),
    _entity("ruleChainUpdate", 23, 8, p.RuleChainUpdateMsg),
    _entity("ruleChainMetadataUpdate", 24, 9, p.RuleChainMetadataUpdateMsg),
    _entity("calculatedFieldUpdate", 25, 35, p.CalculatedFieldUpdateMsg),
    _entity("aiModelUpdate", 27, 36, p.AiModelUpdateMsg),
    _entity("resourceUpdate", 21, 28, p.ResourceUpdateMsg),
    _entity("otaPackageUpdate", 0, 22, p.OtaPackageUpdateMsg),
    _entity("queueUpdate", 0, 23, p.QueueUpdateMsg),
    _entity("tenantUpdate", 0, 26, p.TenantUpdateMsg),
    _entity("tenantProfileUpdate", 0, 27, p.TenantProfileUpdateMsg),
    _entity("adminSettingsUpdate", 0, 20, p.AdminSettingsUpdateMsg),
    _entity("oAuth2ClientUpdate", 0, 30, p.OAuth2ClientUpdateMsg),
    _entity("oAuth2DomainUpdate", 0, 34, p.OAuth2DomainUpdateMsg),
    _entity("notificationRuleUpdate", 0, 31, p.NotificationRuleUpdateMsg),
    _entity("notificationTargetUpdate", 0, 32, p.NotificationTargetUpdateMsg),
    _entity("notificationTemplateUpdate", 0, 33, p.NotificationTemplateUpdateMsg),
    _request("attributesRequest", 8, 0, p.AttributesRequestMsg),
    _request("relationRequest", 9, 0, p.RelationRequestMsg),
    _request("calculatedFieldRequest", 26, 0, p.CalculatedFieldRequestMsg),
    # deprecated, still answered by servers
    _request("ruleChainMetadataRequest", 7, 0, p.RuleChainMetadataRequestMsg, "RULE_CHAIN"),
    _request("userCredentialsRequest", 10, 0, p.UserCredentialsRequestMsg, "USER"),
    _request("deviceCredentialsRequest", 11, 4, p.DeviceCredentialsRequestMsg, "DEVICE"),
    _request("widgetBundleTypesRequest", 14, 0, p.WidgetBundleTypesRequestMsg, "WIDGETS_BUNDLE"),
    _request("entityViewsRequest", 15, 0, p.EntityViewsRequestMsg),
)
