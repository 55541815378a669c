"""assign to customer, unassign from customer."""

from __future__ import annotations

from typing import Any

from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.model.unit import EntityWrite
from appliance.rules.context import Context
from appliance.rules.entities import customer_of, entity_named
from appliance.rules.node import PACKAGE, NodeConfig, NodeError, NodeFactory, NodeHandle
from appliance.rules.patterns import Pattern
from appliance.rules.values import encode_json
from appliance.state.kinds import NO_CUSTOMER

OWNED = ("DASHBOARD", "ASSET", "DEVICE", "ENTITY_VIEW", "EDGE")


class OwnerConfig(NodeConfig, frozen=True, kw_only=True):
    """customer_name_pattern: a title. An edge never makes customers, so create has no effect."""

    customer_name_pattern: str | None = None
    create_customer_if_not_exists: bool = False


class Assign:
    """assign to customer. A dashboard may be assigned to several."""

    def __init__(self, config: OwnerConfig, node: NodeHandle) -> None:
        self._title = Pattern(config.customer_name_pattern)

    def process(self, message: Message, ctx: Context) -> None:
        """Success; a customer that is not there fails."""
        body = _owned(message, ctx)
        customer = _customer(self._title.fill(message), ctx)
        if message.originator.type == "DASHBOARD":
            others = _others(body, customer)
            if len(others) == len(body.get("assignedCustomers") or ()):
                shown = {"assignedCustomers": [*others, _shown_to(customer, ctx)]}
                _change(message.originator, body, shown, "ASSIGNED_TO_CUSTOMER", ctx)
        elif customer_of(ctx.state, message.originator) != customer:
            owner = {"customerId": customer.to_json()}
            _change(message.originator, body, owner, "ASSIGNED_TO_CUSTOMER", ctx)
        ctx.success(message)


class Unassign:
    """unassign from customer; only a dashboard needs to be told from which."""

    def __init__(self, config: OwnerConfig, node: NodeHandle) -> None:
        self._title = Pattern(config.customer_name_pattern)

    def process(self, message: Message, ctx: Context) -> None:
        """Success, also when there is none."""
        body = _owned(message, ctx)
        change: dict[str, Any] = {}
        if message.originator.type == "DASHBOARD":
            others = _others(body, _customer(self._title.fill(message), ctx))
            if len(others) < len(body.get("assignedCustomers") or ()):
                change = {"assignedCustomers": others}
        elif customer_of(ctx.state, message.originator) is not None:
            change = {"customerId": NO_CUSTOMER}
        if change:
            _change(message.originator, body, change, "UNASSIGNED_FROM_CUSTOMER", ctx)
        ctx.success(message)


def _owned(message: Message, ctx: Context) -> dict[str, Any]:
    originator = message.originator
    if originator.type not in OWNED:
        raise NodeError(f"Unsupported originator type '{originator.type}'!")
    body = ctx.state.entity(originator.type, originator.id)
    if body is None:
        raise NodeError(f"{originator} is not on this edge")
    return body


def _customer(title: str, ctx: Context) -> EntityId:
    customer = entity_named(ctx.state, "CUSTOMER", title)
    if customer is None:
        raise NodeError(f"Customer with title '{title}' doesn't exist!")
    return customer


def _others(dashboard: dict[str, Any], customer: EntityId) -> list[Any]:
    """To whom it is assigned besides this customer."""
    assigned = dashboard.get("assignedCustomers") or ()
    return [one for one in assigned if one["customerId"]["id"] != str(customer.id)]


def _shown_to(customer: EntityId, ctx: Context) -> dict[str, Any]:
    body = ctx.state.entity("CUSTOMER", customer.id) or {}
    is_public = (body.get("additionalInfo") or {}).get("isPublic") is True
    return {"customerId": customer.to_json(), "title": body.get("title"), "public": is_public}


def _change(
    entity: EntityId, body: dict[str, Any], change: dict[str, Any], action: str, ctx: Context
) -> None:
    changed = encode_json({**body, **change})
    ctx.unit.entities.append(EntityWrite(entity.type, entity.id, changed))
    ctx.announce(entity, action, b"")


OWNER_NODES = (
    NodeFactory(
        PACKAGE + "action.TbAssignToCustomerNode",
        "assign to customer",
        OwnerConfig,
        Assign,
        version=1,
        note="never makes a customer",
    ),
    NodeFactory(
        PACKAGE + "action.TbUnassignFromCustomerNode",
        "unassign from customer",
        OwnerConfig,
        Unassign,
        version=1,
    ),
)
