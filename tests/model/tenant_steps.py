"""What a program can do to what a tenant has besides what is assigned to an edge.

Customers and users, profiles, calculated fields, and kinds that are only kept. Each side does what
its REST API lets it do, or that of the reference where ours has no call for a kind.
"""

from __future__ import annotations

from typing import Any

from appliance.model.ids import NULL_UUID, EntityId, new_uuid
from appliance.state.kinds import BY_NAME, id_of
from appliance.web.commands import Change
from tests.kit import sync_common as common
from tests.kit.sync_rows import body_of
from tests.model.order import Order
from tests.model.world import CLOUD_SIDE, EDGE_SIDE, Side, World

OWNERS = ("DEVICE", "ASSET", "DEVICE_PROFILE", "ASSET_PROFILE")
"""What may have calculated fields."""
PROFILES = {"DEVICE": "deviceProfileId", "ASSET": "assetProfileId"}
ON_CLOUD = ("CUSTOMER", "OTA_PACKAGE", "WIDGET_TYPE")
"""What only a server has made and changed."""
ON_BOTH = (
    "DEVICE_PROFILE",
    "ASSET_PROFILE",
    "USER",
    "CALCULATED_FIELD",
    "AI_MODEL",
    "TB_RESOURCE",
)
GIVE_WAY = ("DEVICE_PROFILE", "ASSET_PROFILE", "TB_RESOURCE")
"""Kinds of which the edge's one goes where the cloud's has the same name (§7.5); what the cloud has
under another name comes back from there with the next sync."""
_STAYS = ("TB_RESOURCE",)
"""What an edge cannot delete."""


class TenantSteps(World):
    """Each `do_…` is one kind of step."""

    # --- all kinds ----------------------------------------------------------------------------

    async def do_add(self, name: str, kind: str, title: int) -> None:
        """A new one, where that side makes some of that kind."""
        side = self.sides[name]
        if side.role is None or (name == EDGE_SIDE and kind in ON_CLOUD):
            return
        text = f"{kind} {title}"
        fields = {**common.FIELDS.get(kind, {}), BY_NAME[kind].title: text}
        if unique := BY_NAME[kind].unique:
            fields[unique] = text
        if side.state.by_unique(kind, text) is not None:
            return
        entity, more = EntityId(kind, new_uuid()), []
        if kind == "CALCULATED_FIELD":
            owner = self.owner_of_fields(side, title)
            if owner is None or self._has_field(side, owner, text):
                return
            self.owners[entity] = owner
            fields |= {"type": "SIMPLE", "entityId": owner.to_json()}
        elif kind == "USER":
            fields |= {"email": f"{title}@example.com", **self._membership(side, title)}
            if side.state.by_name(kind, fields["email"]) is not None:
                return
            more = [Change("USER_CREDENTIALS", entity.id, _password(entity, text), "ADDED")]
        self.things.append(entity)
        body = body_of(side.state, kind, entity.id, **fields)
        await self.save(side, entity, "ADDED", *more, **body)

    def owner_of_fields(self, side: Side, number: int) -> EntityId | None:
        """A device, an asset or a profile."""
        return self.entity(side, number, *OWNERS, among=[*self.entities, *self.things])

    def _has_field(self, side: Side, owner: EntityId, name: str) -> bool:
        fields = side.state.owned("CALCULATED_FIELD", owner.id)
        return any((side.state.entity("CALCULATED_FIELD", f) or {})["name"] == name for f in fields)

    def _membership(self, side: Side, number: int) -> dict[str, Any]:
        """Every other user is a customer's."""
        customer = self.thing(side, number, "CUSTOMER") if number % 2 else None
        reference = customer or EntityId("CUSTOMER", NULL_UUID)
        authority = "CUSTOMER_USER" if customer else "TENANT_ADMIN"
        return {"customerId": reference.to_json(), "authority": authority}

    async def do_change(self, name: str, number: int) -> None:
        """One changes."""
        side = self.sides[name]
        thing = self._mine(side, number)
        if thing is not None:
            await self.save(side, thing, "UPDATED")

    async def do_retitle(self, name: str, number: int, title: int) -> None:
        """One gets another name, if nobody has it on that side."""
        side = self.sides[name]
        thing = self._mine(side, number)
        if thing is None or thing.type == "CALCULATED_FIELD":
            return
        kind = BY_NAME[thing.type]
        field = kind.unique or kind.title
        text = f"{title}@example.com" if thing.type == "USER" else f"{thing.type} {title}"
        if side.state.by_unique(thing.type, text) is None:
            if name == EDGE_SIDE and thing.type in GIVE_WAY:
                self.removed.add(thing)
            await self.save(side, thing, "UPDATED", **{field: text})

    async def do_drop(self, name: str, number: int) -> None:
        """One goes."""
        side = self.sides[name]
        thing = self._mine(side, number)
        if thing is None or (name == EDGE_SIDE and thing.type in _STAYS):
            return
        self.removed.add(thing)
        await self.change(side, Change(thing.type, thing.id, None, "DELETED"))

    def thing(self, side: Side, number: int, *kinds: str) -> EntityId | None:
        """One of the things made so far, if that side has it."""
        return self.entity(side, number, *kinds, among=self.things)

    def _mine(self, side: Side, number: int) -> EntityId | None:
        """One that this side may change."""
        return self.thing(side, number, *(ON_BOTH if side.name == EDGE_SIDE else ()))

    # --- profiles -----------------------------------------------------------------------------

    async def do_profile(self, name: str, number: int, profile: int) -> None:
        """A device or an asset gets another profile."""
        side = self.sides[name]
        entity = self.entity(side, number, *PROFILES)
        if entity is None:
            return
        kind = f"{entity.type}_PROFILE"
        chosen = self.thing(side, profile, kind)
        body = side.state.entity(kind, chosen.id) if chosen else side.state.by_name(kind, "default")
        if body is not None:
            field = PROFILES[entity.type]
            await self.save(side, entity, "UPDATED", **{field: body["id"], "type": body["name"]})

    async def do_default(self, kind: str, number: int) -> None:
        """Another profile is the default one."""
        cloud = self.sides[CLOUD_SIDE]
        chosen = self.thing(cloud, number, kind)
        if chosen is None:
            return
        marks = [(body, body["id"]["id"] == str(chosen.id)) for body in cloud.state.entities(kind)]
        changes = []
        for body, mark in marks:
            if bool(body.get("default")) is not mark and (id := id_of(body["id"])) is not None:
                changes.append(Change(kind, id, {**body, "default": mark}, "UPDATED"))
        await self.change(cloud, *changes)

    # --- customers and users ------------------------------------------------------------------

    async def do_customer(self, number: int | None) -> None:
        """The edge is given to a customer, or taken back."""
        cloud = self.sides[CLOUD_SIDE]
        customer = None if number is None else self.thing(cloud, number, "CUSTOMER")
        edge = cloud.role and cloud.state.entity("EDGE", self.edge_id)
        if edge and (customer is not None or number is None):
            action = "ASSIGNED_TO_CUSTOMER" if customer else "UNASSIGNED_FROM_CUSTOMER"
            reference = customer or EntityId("CUSTOMER", NULL_UUID)
            body = {**edge, "customerId": reference.to_json()}
            await self.change(cloud, Change("EDGE", self.edge_id, body, action))

    async def do_give(self, name: str, number: int, customer: int | None) -> None:
        """An entity is given to a customer, or taken back."""
        side = self.sides[name]
        entity = self.entity(side, number, "DEVICE", "ASSET", "ENTITY_VIEW", "DASHBOARD")
        to = None if customer is None else self.thing(side, customer, "CUSTOMER")
        if entity is None or (to is None and customer is not None):
            return
        action = "ASSIGNED_TO_CUSTOMER" if to else "UNASSIGNED_FROM_CUSTOMER"
        if entity.type == "DASHBOARD":
            held = [{"customerId": to.to_json()}] if to else []
            await self.save(side, entity, action, assignedCustomers=held)
        else:
            reference = to or EntityId("CUSTOMER", NULL_UUID)
            await self.save(side, entity, action, customerId=reference.to_json())

    async def do_password(self, name: str, number: int) -> None:
        """A user gets another password."""
        side = self.sides[name]
        user = self.thing(side, number, "USER")
        stored = user and side.state.entity("USER_CREDENTIALS", user.id)
        if user is not None and stored:
            body = {**stored, "password": f"{name} {next(self.numbers)}"}
            await self.change(
                side, Change("USER_CREDENTIALS", user.id, body, "CREDENTIALS_UPDATED")
            )

    async def do_adopt(self) -> None:
        """The edge is deleted on the cloud, and another one made that its folder becomes."""
        cloud = self.sides[CLOUD_SIDE]
        if cloud.role is None:
            return
        self._trouble(0)
        old, new = self.edge_id, new_uuid()
        own = {"id": EntityId("EDGE", new).to_json(), "name": f"Edge {next(self.numbers)}"}
        body = {**(cloud.state.entity("EDGE", old) or {}), **own}
        self.removed.update(self.entities, self.things)
        self.posted.clear()
        cloud.order = Order()
        gone = Change("EDGE", old, None, "DELETED")
        await self.change(cloud, gone, Change("EDGE", new, body, "ADDED"))
        if cloud.role is not None:
            cloud.order.listen_to(cloud.role.service._sender(self.edge_id))

    # --- views --------------------------------------------------------------------------------

    async def do_repoint(self, name: str, number: int, device: int) -> None:
        """A view shows another device."""
        side = self.sides[name]
        view, shown = self.entity(side, number, "ENTITY_VIEW"), self.entity(side, device, "DEVICE")
        if view is not None and shown is not None:
            self.shown[view].add(shown)
            await self.save(side, view, "UPDATED", entityId=shown.to_json())


def _password(user: EntityId, text: str) -> dict[str, Any]:
    """Credentials of a user."""
    return {
        "id": {"id": str(new_uuid())},
        "userId": user.to_json(),
        "enabled": True,
        "password": text,
    }
