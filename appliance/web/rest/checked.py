"""Members of a posted object, checked before anything is kept.

What a member is follows from its name, as ThingsBoard's names are regular. A value that would not
fit the object of the reference is refused (400) there and here; kept, it would come back with
every list that holds it and on its way to the other side.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from appliance.web.errors import ApiError, uuid_of
from appliance.web.rest.entity_types import ENTITY_TYPES

REFERENCES = ("id", "originator", "from", "to")
"""Beside every name that ends in `Id`."""
_TEXTS = frozenset(
    [
        "name",
        "title",
        "type",
        "label",
        "description",
        "image",
        "email",
        "phone",
        "firstName",
        "lastName",
        "country",
        "state",
        "city",
        "address",
        "address2",
        "zip",
        "routingKey",
        "secret",
        "transportType",
        "provisionType",
        "provisionDeviceKey",
        "defaultQueueName",
        "credentialsType",
        "credentialsId",
        "credentialsValue",
        "severity",
        "typeGroup",
    ]
)
_FLAGS = frozenset(
    [
        "root",
        "debugMode",
        "default",
        "mobileHide",
        "propagate",
        "propagateToOwner",
        "propagateToTenant",
        "acknowledged",
        "cleared",
    ]
)
_NUMBERS = frozenset(
    [
        "startTimeMs",
        "endTimeMs",
        "mobileOrder",
        "startTs",
        "endTs",
        "ackTs",
        "clearTs",
        "assignTs",
        "version",
    ]
)
_OBJECTS = frozenset(["deviceData", "profileData", "keys"])
_LISTS = frozenset(["propagateRelationTypes", "assignedCustomers"])
GROUPS = (
    "COMMON",
    "DASHBOARD",
    "RULE_CHAIN",
    "RULE_NODE",
    "EDGE",
    "EDGE_AUTO_ASSIGN_RULE_CHAIN",
)
"""Of relations."""
_CHOICES = {
    "transportType": ("DEFAULT", "MQTT", "COAP", "LWM2M", "SNMP"),
    "provisionType": (
        "DISABLED",
        "ALLOW_CREATE_NEW_DEVICES",
        "CHECK_PRE_PROVISIONED_DEVICES",
        "X509_CERTIFICATE_CHAIN",
    ),
    "typeGroup": GROUPS,
    "severity": ("CRITICAL", "MAJOR", "MINOR", "WARNING", "INDETERMINATE"),
}


def checked(body: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The members of these names that the object has; a number becomes text where text belongs.

    Raises ApiError 400.
    """
    return {name: _member(name, body[name]) for name in names if name in body}


def _member(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in REFERENCES or (name.endswith("Id") and name != "credentialsId"):
        return _reference(name, value)
    if name in _TEXTS:
        value = _text(name, value)
        if value not in _CHOICES.get(name, (value,)):
            raise _refused(name, f"has no value {value[:80]}")
        return value
    for names, kind, word in _KINDS:
        if name in names and type(value) is not kind:
            raise _refused(name, f"must be {word}")
    return value


def _reference(name: str, value: Any) -> Any:
    if not isinstance(value, dict) or not isinstance(value.get("id"), str):
        raise _refused(name, "must be a reference with an id")
    uuid_of(value["id"])
    if value.get("entityType", "DEVICE") not in ENTITY_TYPES:
        raise _refused(name, f"has no entity type {str(value['entityType'])[:80]}")
    return value


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str):
        raise _refused(name, "must be a text")
    return value


def _refused(name: str, why: str) -> ApiError:
    return ApiError(400, f"JSON parse error: {name} {why}")


_KINDS: tuple[tuple[frozenset[str], type, str], ...] = (
    (_FLAGS, bool, "true or false"),
    (_NUMBERS, int, "a whole number"),
    (_OBJECTS, dict, "an object"),
    (_LISTS, list, "an array"),
)
