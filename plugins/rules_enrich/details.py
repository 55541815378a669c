"""customer details, tenant details, fetch device credentials."""

from __future__ import annotations

from typing import Any

from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.entities import customer_of
from appliance.rules.node import PACKAGE, NodeError, NodeFactory, NodeHandle, require
from appliance.rules.values import decode_json
from plugins.rules_enrich.target import FetchConfig, Target, fetch_to_of_v0

DETAILS = {
    "ID": "id",
    "TITLE": "title",
    "COUNTRY": "country",
    "CITY": "city",
    "STATE": "state",
    "ZIP": "zip",
    "ADDRESS": "address",
    "ADDRESS2": "address2",
    "PHONE": "phone",
    "EMAIL": "email",
    "ADDITIONAL_INFO": "additionalInfo",
}

OWNED = ("DEVICE", "ASSET", "ENTITY_VIEW", "USER", "EDGE")
"""Whose customer is asked for; no other type has one for this node."""


class DetailsConfig(FetchConfig, frozen=True, kw_only=True):
    """details_list: names of DETAILS."""

    details_list: list[str] = []


class CustomerDetails:
    """customer details: keys customer_…; unset details are left out."""

    prefix = "customer_"

    def __init__(self, config: DetailsConfig, node: NodeHandle) -> None:
        self._target = Target(config)
        require(config.details_list, "At least one entity detail should be selected!")
        unknown = [name for name in config.details_list if name not in DETAILS]
        require(not unknown, f"unknown details: {unknown}")
        self._fields = [DETAILS[name] for name in config.details_list]

    def process(self, message: Message, ctx: Context) -> None:
        """Success with the details."""
        self._target.check(message)
        body = ctx.state.entity(*self._owner(message, ctx))
        if body is None:
            raise NodeError("the owner is not on this edge")
        found = {
            self.prefix + field: value
            for field in self._fields
            if (value := _detail(field, body.get(field))) is not None
        }
        ctx.success(self._target.put(message, found))

    def _owner(self, message: Message, ctx: Context) -> tuple[str, Any]:
        type = message.originator.type
        if type not in OWNED:
            raise NodeError(f"Entity with entityType '{type}' is not supported.")
        customer = customer_of(ctx.state, message.originator)
        if customer is None:
            raise NodeError(f"{message.originator} is not assigned to Customer!")
        return customer.type, customer.id


class TenantDetails(CustomerDetails):
    """tenant details: keys tenant_…."""

    prefix = "tenant_"

    def _owner(self, message: Message, ctx: Context) -> tuple[str, Any]:
        return "TENANT", ctx.state.tenant_id


def _detail(field: str, value: Any) -> Any:
    if field == "id":
        return value["id"]
    if field == "additionalInfo":
        return value.get("description") if isinstance(value, dict) else None
    return value


class DeviceCredentials:
    """fetch device credentials."""

    def __init__(self, config: FetchConfig, node: NodeHandle) -> None:
        self._target = Target(config)

    def process(self, message: Message, ctx: Context) -> None:
        """Adds credentialsType and credentials."""
        originator = message.originator
        if originator.type != "DEVICE":
            raise NodeError(f"Unsupported originator type: {originator.type}!")
        self._target.check(message)
        body = ctx.state.entity("DEVICE_CREDENTIALS", originator.id)
        if body is None:
            raise NodeError("Failed to get Device Credentials for device!")
        found = {"credentialsType": body["credentialsType"], "credentials": _secret(body)}
        ctx.success(self._target.put(message, found))


def _secret(body: dict[str, Any]) -> Any:
    """The token, the certificate, or what the credentials of another type are made of."""
    value = body.get("credentialsValue")
    match body["credentialsType"]:
        case "ACCESS_TOKEN":
            return body["credentialsId"]
        case "X509_CERTIFICATE":
            return value
    return decode_json(value) if isinstance(value, str) else value


DETAIL_NODES = (
    NodeFactory(
        PACKAGE + "metadata.TbGetCustomerDetailsNode",
        "customer details",
        DetailsConfig,
        CustomerDetails,
        version=1,
        upgrade=fetch_to_of_v0("addToMetadata", False),
    ),
    NodeFactory(
        PACKAGE + "metadata.TbGetTenantDetailsNode",
        "tenant details",
        DetailsConfig,
        TenantDetails,
        version=1,
        upgrade=fetch_to_of_v0("addToMetadata", False),
    ),
    NodeFactory(
        PACKAGE + "metadata.TbFetchDeviceCredentialsNode",
        "fetch device credentials",
        FetchConfig,
        DeviceCredentials,
        version=1,
        upgrade=fetch_to_of_v0("fetchToMetadata", False),
    ),
)
