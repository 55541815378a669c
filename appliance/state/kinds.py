"""The kinds of stored entities: one row each, the same for both roles and both directions.

A kind is the EntityType name where ThingsBoard has one, else a name of ours. `field` is the wire
field (`<field>Msg`, spec/edge-protocol.md §2.6) that carries it, `event` the CloudEventType.
Adding a kind is adding a row; a kind nobody uses yet is still kept by id as it came.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from sys import intern
from typing import Any
from uuid import UUID, uuid5

import msgspec

from appliance.model.ids import NULL_UUID, EntityId

_RELATION_NAMESPACE = UUID("6f1f3c1e-6f4e-11f0-9a51-7d0d3a7b2c11")


class Kind(msgspec.Struct, frozen=True):
    """One kind. key: finds the id to store under where the message carries none of its own."""

    name: str
    field: str
    key: Callable[[dict[str, Any]], UUID]
    title: str = "name"
    """JSON field that holds the human name; "" where there is none."""
    unique: str = ""
    """JSON field that is unique in a tenant, where that is not the name (§7.5)."""
    used: bool = False
    """Whether anything here reads it; others are counted as kept, not yet used."""
    has_msg_type: bool = True
    has_id: bool = True


NO_CUSTOMER = EntityId("CUSTOMER", NULL_UUID).to_json()
"""Whose something is that is nobody's."""

_parsed = lru_cache(maxsize=4096)(UUID)
"""The ids that references hold, parsed once: every message looks up its device's profile."""


def id_of(value: Any) -> UUID | None:
    """The UUID of a ThingsBoard id object (`{"id": …}`); None for null and the null UUID."""
    if not isinstance(value, dict) or not value.get("id"):
        return None
    uuid = _parsed(value["id"])
    return None if uuid == NULL_UUID else uuid


def entity_id_of(value: Any) -> EntityId | None:
    """The EntityId of `{"entityType", "id"}`, or None."""
    if not isinstance(value, dict) or "entityType" not in value or not value.get("id"):
        return None
    return EntityId(intern(value["entityType"]), _parsed(value["id"]))


def relation_key(body: dict[str, Any]) -> UUID:
    """A stable id for a relation, which has none of its own: derived from what makes it one."""
    parts = (
        body["from"]["entityType"],
        body["from"]["id"],
        body["to"]["entityType"],
        body["to"]["id"],
        body.get("typeGroup") or "COMMON",
        body["type"],
    )
    return uuid5(_RELATION_NAMESPACE, "\n".join(parts))


def check(kind: Kind, body: dict[str, Any]) -> None:
    """Refuse a body that the state could not index, before it gets into a unit.

    Raises:
        ValueError, LookupError, TypeError: what every entity of that kind has is missing or wrong.
    """
    for field in (kind.title, kind.unique):
        if field and not isinstance(body.get(field), str | None):
            raise ValueError(f"{field} is no text")
    if kind.name in OWNERS:
        id_of(body.get(OWNERS[kind.name]))
    match kind.name:
        case "DEVICE":
            _texts(body, "name")
        case "DEVICE_CREDENTIALS":
            _texts(body, "credentialsId", "credentialsType")
        case "ALARM":
            _texts(body, "type")
            id_of(body.get("originator"))
        case "RELATION":
            _texts(body, "type")
            if entity_id_of(body["from"]) is None or entity_id_of(body["to"]) is None:
                raise ValueError("a relation needs both its ends")


def _texts(body: dict[str, Any], *fields: str) -> None:
    for field in fields:
        if not isinstance(body[field], str):
            raise ValueError(f"{field} is no text")


def _own(body: dict[str, Any]) -> UUID:
    return _required(body, "id")


def _of(field: str) -> Callable[[dict[str, Any]], UUID]:
    return lambda body: _required(body, field)


def _required(body: dict[str, Any], field: str) -> UUID:
    value = id_of(body.get(field))
    if value is None:
        raise ValueError(f"the entity has no {field}")
    return value


KINDS: tuple[Kind, ...] = (
    Kind("TENANT_PROFILE", "tenantProfileUpdate", _own, has_id=False),
    Kind("TENANT", "tenantUpdate", _own, "title", used=True, has_id=False),
    Kind("CUSTOMER", "customerUpdate", _own, "title", used=True),
    Kind("DEVICE_PROFILE", "deviceProfileUpdate", _own, used=True),
    Kind("DEVICE", "deviceUpdate", _own, used=True),
    Kind(
        "DEVICE_CREDENTIALS",
        "deviceCredentialsUpdate",
        _of("deviceId"),
        "",
        used=True,
        has_msg_type=False,
        has_id=False,
    ),
    Kind("ASSET_PROFILE", "assetProfileUpdate", _own, used=True),
    Kind("ASSET", "assetUpdate", _own, used=True),
    Kind("ENTITY_VIEW", "entityViewUpdate", _own, used=True),
    Kind("RULE_CHAIN", "ruleChainUpdate", _own, used=True),
    Kind(
        "RULE_CHAIN_METADATA",
        "ruleChainMetadataUpdate",
        _of("ruleChainId"),
        "",
        used=True,
        has_id=False,
    ),
    Kind("DASHBOARD", "dashboardUpdate", _own, "title"),
    Kind("ALARM", "alarmUpdate", _own, "", used=True),
    Kind("ALARM_COMMENT", "alarmCommentUpdate", _own, "", has_id=False),
    Kind("RELATION", "relationUpdate", relation_key, "", used=True, has_id=False),
    Kind("USER", "userUpdate", _own, "email", used=True),
    Kind(
        "USER_CREDENTIALS",
        "userCredentialsUpdate",
        _of("userId"),
        "",
        used=True,
        has_msg_type=False,
        has_id=False,
    ),
    Kind("WIDGETS_BUNDLE", "widgetsBundleUpdate", _own, "title", "alias"),
    Kind("WIDGET_TYPE", "widgetTypeUpdate", _own, unique="fqn"),
    Kind("ADMIN_SETTINGS", "adminSettingsUpdate", _own, "key", has_msg_type=False, has_id=False),
    Kind("OTA_PACKAGE", "otaPackageUpdate", _own, "title"),
    Kind("QUEUE", "queueUpdate", _own, used=True),
    Kind("TB_RESOURCE", "resourceUpdate", _own, "title", "resourceKey"),
    Kind("NOTIFICATION_TEMPLATE", "notificationTemplateUpdate", _own),
    Kind("NOTIFICATION_TARGET", "notificationTargetUpdate", _own),
    Kind("NOTIFICATION_RULE", "notificationRuleUpdate", _own),
    Kind("OAUTH2_CLIENT", "oAuth2ClientUpdate", _own, "title"),
    Kind("DOMAIN", "oAuth2DomainUpdate", _own),
    Kind("CALCULATED_FIELD", "calculatedFieldUpdate", _own, used=True),
    Kind("AI_MODEL", "aiModelUpdate", _own),
    Kind("API_KEY", "apiKeyUpdate", _own, ""),
    Kind("EDGE", "", _own, used=True),
    Kind("ENTITY_GROUP", "", _own, used=True),
)

OWNERS = {
    "ALARM": "originator",
    "ALARM_COMMENT": "alarmId",
    "ALARM_ALIAS": "alarmId",
    "ENTITY_VIEW": "entityId",
    "CALCULATED_FIELD": "entityId",
    "API_KEY": "userId",
}
"""Kinds that belong to one other entity, and the field that says to which. An ALARM_ALIAS, stored
under the id that a peer gave an alarm of ours (§6.2), never leaves this side."""

BY_NAME: dict[str, Kind] = {kind.name: kind for kind in KINDS}
BY_FIELD: dict[str, Kind] = {kind.field: kind for kind in KINDS if kind.field}
