"""What becomes of a customer's things when the customer is deleted: they are nobody's (§7.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from appliance.state.kinds import NO_CUSTOMER, id_of
from appliance.state.store import State
from appliance.web.commands import Change

_GIVEN = ("DEVICE", "ASSET", "ENTITY_VIEW", "EDGE")
"""Kinds of which one belongs to at most one customer."""


def taken_back(state: State, customer: UUID) -> Iterator[Change]:
    """The changes that take from a customer whatever was given."""
    for kind in _GIVEN:
        for body in state.entities(kind):
            if id_of(body.get("customerId")) == customer:
                yield _taken(kind, {**body, "customerId": NO_CUSTOMER})
    for body in state.entities("DASHBOARD"):
        shown = body.get("assignedCustomers") or []
        left = [each for each in shown if id_of(each.get("customerId")) != customer]
        if len(left) < len(shown):
            yield _taken("DASHBOARD", {**body, "assignedCustomers": left})


def _taken(kind: str, body: dict[str, Any]) -> Change:
    return Change(kind, UUID(body["id"]["id"]), body, "UNASSIGNED_FROM_CUSTOMER")
