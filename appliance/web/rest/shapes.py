"""New and changed ThingsBoard objects, composed and checked (spec §7).

Only what a caller may decide is taken from the body; identity, tenant and times are ours. On the
cloud `version` counts the saves and a save of an older one is refused (409); an edge stores none,
so there a save never conflicts (spec §7).
"""

from __future__ import annotations

import secrets
import string
from typing import Any
from uuid import UUID

from appliance.model.ids import EntityId, created_time_ms, new_uuid
from appliance.state.kinds import BY_NAME, NO_CUSTOMER, entity_id_of, id_of
from appliance.state.view import StateView, default_profile, fresh_profile
from appliance.web.errors import ApiError, not_found, uuid_of
from appliance.web.rest.checked import checked

NAME_LENGTH_MAX = 255
TOKEN_LENGTH = 20

DEFAULTS: dict[str, dict[str, Any]] = {
    "DEVICE": {
        "customerId": NO_CUSTOMER,
        "name": None,
        "type": "default",
        "label": None,
        "deviceProfileId": None,
        "firmwareId": None,
        "softwareId": None,
        "externalId": None,
        "version": None,
        "additionalInfo": None,
        "deviceData": {
            "configuration": {"type": "DEFAULT"},
            "transportConfiguration": {"type": "DEFAULT"},
        },
    },
    "ASSET": {
        "customerId": NO_CUSTOMER,
        "name": None,
        "type": "default",
        "label": None,
        "assetProfileId": None,
        "externalId": None,
        "version": None,
        "additionalInfo": None,
    },
    "ENTITY_VIEW": {
        "entityId": None,
        "customerId": NO_CUSTOMER,
        "name": None,
        "type": "default",
        "keys": None,
        "startTimeMs": 0,
        "endTimeMs": 0,
        "externalId": None,
        "version": None,
        "additionalInfo": None,
    },
    "EDGE": {
        "customerId": NO_CUSTOMER,
        "rootRuleChainId": None,
        "name": None,
        "type": "default",
        "label": None,
        "routingKey": None,
        "secret": None,
        "version": None,
        "additionalInfo": None,
    },
    "CUSTOMER": {
        "country": None,
        "state": None,
        "city": None,
        "address": None,
        "address2": None,
        "zip": None,
        "phone": None,
        "email": None,
        "title": None,
        "externalId": None,
        "version": None,
        "additionalInfo": None,
    },
    "RULE_CHAIN": {
        "name": None,
        "type": "CORE",
        "firstRuleNodeId": None,
        "root": False,
        "debugMode": False,
        "externalId": None,
        "version": None,
        "configuration": None,
        "additionalInfo": None,
    },
    "DASHBOARD": {
        "title": None,
        "image": None,
        "assignedCustomers": None,
        "mobileHide": False,
        "mobileOrder": None,
        "configuration": None,
        "resources": None,
        "externalId": None,
        "version": None,
    },
    "DEVICE_PROFILE": {
        "name": None,
        "description": None,
        "image": None,
        "type": "DEFAULT",
        "transportType": "DEFAULT",
        "provisionType": "DISABLED",
        "defaultRuleChainId": None,
        "defaultDashboardId": None,
        "defaultQueueName": None,
        "provisionDeviceKey": None,
        "firmwareId": None,
        "softwareId": None,
        "defaultEdgeRuleChainId": None,
        "default": False,
        "externalId": None,
        "version": None,
        "profileData": {
            "configuration": {"type": "DEFAULT"},
            "transportConfiguration": {"type": "DEFAULT"},
            "provisionConfiguration": {"type": "DISABLED", "provisionDeviceSecret": None},
            "alarms": None,
        },
    },
    "ASSET_PROFILE": {
        "name": None,
        "description": None,
        "image": None,
        "defaultRuleChainId": None,
        "defaultDashboardId": None,
        "defaultQueueName": None,
        "defaultEdgeRuleChainId": None,
        "default": False,
        "externalId": None,
        "version": None,
    },
}
"""Objects that can be made here: every member that a caller may set, with what it is otherwise."""


def compose(
    view: StateView, kind: str, given: dict[str, Any], *, versioned: bool
) -> tuple[UUID, dict[str, Any], bool]:
    """A whole object of what was posted: (id, body, whether it is new).

    Raises ApiError 404 for an id that is not there, 400 for a member of the wrong kind, a bad or
    taken name, a customer who is not there, 409 for an old version.
    """
    given, stored = checked(given, ("id", "version", *DEFAULTS[kind])), None
    if (own := given.get("id")) is not None:
        id = uuid_of(own.get("id") if isinstance(own, dict) else None)
        stored = view.entity(kind, id)
        if stored is None:
            raise not_found(kind, id)
    else:
        id = new_uuid()
    known = {**DEFAULTS[kind], **(stored or {})}
    body = {
        "id": EntityId(kind, id).to_json(),
        "createdTime": stored["createdTime"] if stored else created_time_ms(id),
        "tenantId": EntityId("TENANT", view.tenant_id).to_json(),
        **{name: given.get(name, value) for name, value in known.items() if name not in _OURS},
        "version": next_version(kind, stored, given) if versioned else None,
    }
    body |= {name: known[name] for name in _SET_ELSEWHERE if name in known}
    if kind not in _WITHOUT_CUSTOMER:
        body["customerId"] = body.get("customerId") or NO_CUSTOMER
    _check_name(view, kind, id, body)
    _check_links(view, kind, body, stored or {})
    return id, body, stored is None


def next_version(kind: str, stored: dict[str, Any] | None, given: dict[str, Any]) -> int:
    """The version that a saved object gets. Raises ApiError 409 where the caller saw an old one."""
    if stored is None:
        return 1
    present, seen = stored.get("version") or 1, given.get("version")
    if seen is not None and seen != present:
        words = kind.replace("_", " ").capitalize()
        raise ApiError(409, f"{words} was already changed by someone else")
    return int(present) + 1


# Which profile is the default, which chain is root and where it begins has calls of its own.
_SET_ELSEWHERE = ("default", "root", "firstRuleNodeId")
_OURS = ("id", "createdTime", "tenantId", "version", *_SET_ELSEWHERE)
_WITHOUT_CUSTOMER = ("CUSTOMER", "RULE_CHAIN", "DASHBOARD", "DEVICE_PROFILE", "ASSET_PROFILE")


def _check_name(view: StateView, kind: str, id: UUID, body: dict[str, Any]) -> None:
    field = BY_NAME[kind].title
    name = body.get(field)
    words = kind.replace("_", " ").capitalize()
    if not isinstance(name, str) or not name.strip():
        raise ApiError(400, f"{words} {field} should be specified!")
    check_length(field, name)
    for other in ("type", "label"):
        check_length(other, body.get(other))
    if kind in ("RULE_CHAIN", "DASHBOARD"):
        body.setdefault("name", name)
        return  # these may share a name
    same = view.by_name(kind, name)
    if same is not None and id_of(same["id"]) != id:
        raise ApiError(400, f"{words} with such {field} already exists!")
    if kind == "CUSTOMER":
        body["name"] = name


RULE_CHAIN_TYPES = ("CORE", "EDGE")
_TYPES = {"RULE_CHAIN": RULE_CHAIN_TYPES, "DEVICE_PROFILE": ("DEFAULT",)}


def _check_links(view: StateView, kind: str, body: dict[str, Any], stored: dict[str, Any]) -> None:
    """Raises ApiError for a new customer, or for what a view shows, that is not there."""
    words = kind.replace("_", " ")
    if kind in _TYPES and body["type"] not in _TYPES[kind]:
        raise ApiError(400, f"JSON parse error: type has no value {body['type']}")
    customer = None if kind in _WITHOUT_CUSTOMER else id_of(body["customerId"])
    if customer in (None, id_of(stored.get("customerId"))):
        pass
    elif view.entity("CUSTOMER", customer) is None:
        raise ApiError(400, f"Can't assign {words.lower()} to non-existent customer!")
    if kind == "ENTITY_VIEW":
        shown = entity_id_of(body["entityId"])
        if shown is None:
            raise ApiError(400, "Entity view entity id should be specified!")
        if view.entity(shown.type, shown.id) is None:
            raise not_found(shown.type, shown.id)


def check_length(field: str, text: Any) -> None:
    """Raises ApiError 400 for a text that ThingsBoard's columns do not hold."""
    if isinstance(text, str) and len(text) > NAME_LENGTH_MAX:
        limit = f"length must be equal or less than {NAME_LENGTH_MAX}"
        raise ApiError(400, f"Validation error: {field} {limit}")
    if isinstance(text, str) and "\0" in text:
        raise ApiError(400, f"Validation error: {field} should not contain 0x00 symbol")


def profile_for(view: StateView, kind: str, body: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """The profile of a device or asset by its id or type name: (profile, whether it is new).

    An unknown type makes a fresh profile of that name, as the reference does.
    Raises ApiError 400 for an unknown id, and while there is no default profile yet.
    """
    profile_kind, field = f"{kind}_PROFILE", f"{kind.lower()}ProfileId"
    if (id := id_of(body.get(field))) is not None:
        found = view.entity(profile_kind, id)
        if found is None:
            words = kind.capitalize(), kind.lower()
            raise ApiError(400, "{} is referencing non existing {} profile!".format(*words))
        return found, False
    name = body.get("type") or "default"
    found = view.by_name(profile_kind, name)
    if found is not None:
        return found, False
    default = default_profile(view, profile_kind)
    if default is None:
        raise ApiError(400, "There is no default profile yet: nothing was synchronised")
    return fresh_profile(profile_kind, new_uuid(), name, default), True


def device_credentials(device: UUID, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """Credentials of a device; a random token unless given."""
    id = new_uuid()
    given = given or {}
    return {
        "id": {"id": str(id)},
        "createdTime": created_time_ms(id),
        "deviceId": EntityId("DEVICE", device).to_json(),
        "credentialsType": given.get("credentialsType") or "ACCESS_TOKEN",
        "credentialsId": given.get("credentialsId") or random_token(),
        "credentialsValue": given.get("credentialsValue"),
        "version": None,
    }


def random_token(length: int = TOKEN_LENGTH) -> str:
    """Letters and digits, as ThingsBoard's tokens."""
    letters = string.ascii_letters + string.digits
    return "".join(secrets.choice(letters) for _ in range(length))
