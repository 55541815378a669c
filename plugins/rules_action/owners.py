"""assign to customer, unassign from customer."""

from __future__ import annotations

from typing import Any

from appliance.model.ids import NULL_UUID, EntityId
from appliance.model.message import Message
from appliance.model.unit import EntityWrite
from appliance.rules.context import Context
from appliance.rules.entities import customer_of, entity_named
from appliance.rules.node import PACKAGE, NodeConfig, NodeError, NodeFactory, NodeHandle
from appliance.rules.patterns import Pattern
from appliance.rules.values import encode_json

OWNED = ("DASHBOARD", "ASSET", "DEVICE", "ENTITY_VIEW", "EDGE")


class OwnerConfig(NodeConfig, frozen=True, kw_only=True):
    """customer_name_pattern: a title. An edge never makes customers, so create has no effect."""

    customer_name_pattern: str = ""
    create_customer_if_not_exists: bool = False


class Assign:
    """assign to customer."""

    def __init__(self, config: OwnerConfig, node: NodeHandle) -> None:
        self._title = Pattern(config.customer_name_pattern)

    def process(self, message: Message, ctx: Context) -> None:
        """Success; a customer that is not there fails."""
        body = _owned(message, ctx)
        title = self._title.fill(message)
        customer = entity_named(ctx.state, "CUSTOMER", title)
        if customer is None:
            raise NodeError(f"Customer with title '{title}' doesn't exist!")
        if customer_of(ctx.state, message.originator) != customer:
            _set_owner(message.originator, body, customer, ctx)
            ctx.announce(message.originator, "ASSIGNED_TO_CUSTOMER", b"")
        ctx.success(message)


class Unassign:
    """unassign from customer."""

    def __init__(self, config: OwnerConfig, node: NodeHandle) -> None:
        pass

    def process(self, message: Message, ctx: Context) -> None:
        """Success, also when there is none."""
        body = _owned(message, ctx)
        if customer_of(ctx.state, message.originator) is not None:
            _set_owner(message.originator, body, EntityId("CUSTOMER", NULL_UUID), ctx)
            ctx.announce(message.originator, "UNASSIGNED_FROM_CUSTOMER", b"")
        ctx.success(message)


def _owned(message: Message, ctx: Context) -> dict[str, Any]:
    originator = message.originator
    if originator.type not in OWNED:
        raise NodeError(f"Unsupported originator type '{originator.type}'!")
    body = ctx.state.entity(originator.type, originator.id)
    if body is None:
        raise NodeError(f"{originator} is not on this edge")
    return body


def _set_owner(entity: EntityId, body: dict[str, Any], customer: EntityId, ctx: Context) -> None:
    changed = {**body, "customerId": customer.to_json()}
    ctx.unit.entities.append(EntityWrite(entity.type, entity.id, encode_json(changed)))


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
