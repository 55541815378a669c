"""Which cells there are, and which of them listen to an entity.

A field of a profile has a cell at each entity of the profile; every other field has one, at its
owner. Cells are found by their entity, by the field, and by the entities whose values they want.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import UUID

from appliance.fields.cell import Cell, Cells, Change, Reason
from appliance.fields.config import Field
from appliance.fields.debug import FieldLog
from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.state.kinds import id_of
from appliance.state.view import StateView

PROFILE_OF = {
    "DEVICE": ("DEVICE_PROFILE", "deviceProfileId"),
    "ASSET": ("ASSET_PROFILE", "assetProfileId"),
}
ENTITY_OF = {"DEVICE_PROFILE": "DEVICE", "ASSET_PROFILE": "ASSET"}
Key = tuple[UUID, EntityId]


class Loaded:
    """A field ready to make cells. debug: where its debug settings ask for one."""

    __slots__ = ("cells", "debug", "field")

    def __init__(self, field: Field, cells: Cells, debug: FieldLog | None) -> None:
        self.field = field
        self.cells = cells
        self.debug = debug


class Slot:
    """A cell with its place.

    waiting: changes, and their causes, that came before it began; None once it has. because: why
    it waits to begin. name, written: the key and the text of its state in storage. due_ms, cancel:
    its timer. told: the error that people know of.
    """

    __slots__ = (
        "because", "cancel", "cell", "due_ms", "field", "key", "name", "sources", "told", "waiting",
        "written",
    )  # fmt: skip

    def __init__(self, key: Key, field: Field, cell: Cell) -> None:
        self.key = key
        self.name = f"{key[0]}/{key[1].type}/{key[1].id}"
        self.field = field
        self.cell = cell
        self.sources: set[EntityId] = set()
        self.waiting: list[tuple[Change, Message | None]] | None = None
        self.because = Reason.BEGIN
        self.written: bytes | None = None
        self.told = ""
        self.due_ms: int | None = None
        self.cancel: Callable[[], None] | None = None

    @property
    def entity(self) -> EntityId:
        """Where the cell is."""
        return self.key[1]


class Index:
    """All fields and cells."""

    def __init__(self) -> None:
        self.fields: dict[UUID, Loaded] = {}
        self.slots: dict[Key, Slot] = {}
        self._of_owner: dict[EntityId, set[UUID]] = {}
        self._of_entity: dict[EntityId, dict[UUID, Slot]] = {}
        self._of_source: dict[EntityId, dict[Key, Slot]] = {}

    # fields --------------------------------------------------------------------------------------
    def put_field(self, loaded: Loaded) -> None:
        """Add a field or take its new form."""
        self.drop_field(loaded.field.id)
        self.fields[loaded.field.id] = loaded
        self._of_owner.setdefault(loaded.field.owner, set()).add(loaded.field.id)

    def drop_field(self, id: UUID) -> None:
        """Forget a field; its cells are dropped one by one."""
        loaded = self.fields.pop(id, None)
        if loaded is not None:
            self._of_owner[loaded.field.owner].discard(id)

    def fields_at(self, entity: EntityId, view: StateView) -> set[UUID]:
        """The fields that an entity has now, its profile's included."""
        found = set(self._of_owner.get(entity, ()))
        profile = profile_of(entity, view)
        if profile is not None:
            found |= self._of_owner.get(profile, set())
        return found

    # cells ---------------------------------------------------------------------------------------
    def put(self, slot: Slot, view: StateView) -> None:
        """Add a cell in place of an earlier form of it."""
        self.drop(slot.key)
        self.slots[slot.key] = slot
        self._of_entity.setdefault(slot.entity, {})[slot.field.id] = slot
        self.follow(slot, view)

    def drop(self, key: Key) -> Slot | None:
        """Forget a cell."""
        slot = self.slots.pop(key, None)
        if slot is not None:
            self._of_entity[slot.entity].pop(slot.field.id, None)
            self._listen(slot, set())
        return slot

    def follow(self, slot: Slot, view: StateView) -> bool:
        """Look again whom the cell listens to; whether that changed."""
        sources = slot.cell.sources(view)
        if sources == slot.sources:
            return False
        self._listen(slot, sources)
        return True

    def _listen(self, slot: Slot, sources: set[EntityId]) -> None:
        for source in slot.sources - sources:
            self._of_source[source].pop(slot.key, None)
        for source in sources - slot.sources:
            self._of_source.setdefault(source, {})[slot.key] = slot
        slot.sources = sources

    def at(self, entity: EntityId) -> list[Slot]:
        """The cells of an entity."""
        return list(self._of_entity.get(entity, {}).values())

    def of_field(self, id: UUID) -> list[Slot]:
        """The cells of a field."""
        return [slot for (field, _), slot in self.slots.items() if field == id]

    def listening(self, entity: EntityId) -> Iterable[Slot]:
        """The cells that want an entity's values: an entity's own fields before its profile's."""
        found = self._of_source.get(entity)
        if not found:
            return ()
        return sorted(found.values(), key=lambda slot: slot.field.owner != slot.entity)


def profile_of(entity: EntityId, view: StateView) -> EntityId | None:
    """The profile of a device or asset."""
    kind, reference = PROFILE_OF.get(entity.type, (None, ""))
    body = view.entity(entity.type, entity.id)
    profile = id_of(body.get(reference)) if body is not None else None
    return None if kind is None or profile is None else EntityId(kind, profile)


def entities_of_owner(owner: EntityId, view: StateView) -> list[EntityId]:
    """The entities that a field of this owner runs at."""
    kind = ENTITY_OF.get(owner.type)
    if kind is None:
        return [owner] if view.entity(owner.type, owner.id) is not None else []
    reference = PROFILE_OF[kind][1]
    return [
        EntityId(kind, UUID(body["id"]["id"]))
        for body in view.entities(kind)
        if id_of(body.get(reference)) == owner.id
    ]
