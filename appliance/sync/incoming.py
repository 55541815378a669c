"""What a received batch means for the local store: pure, the same for both roles.

`digest` turns the items of one batch into an `Applied`: a unit of work, messages for the rule
engine, RPC calls and notices for device sessions. The caller commits the unit, and only then
acknowledges, runs the messages and tells the sessions. Everything is an upsert by id and a repeat
changes nothing, because a server resends whole backlogs after an interrupted run (§7.2, §11.25).

Conflicts are decided here: attributes by strictly newer timestamp (§8.2), where a repeat of the
very same value counts as a repeat; entities by the role's `Policy`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol
from uuid import UUID

import msgspec

from appliance.extension.ports import AttributeValue
from appliance.model.errors import Permanent
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.telemetry import AttributeDelete, AttributeWrite, Scope, Value
from appliance.model.unit import EntityWrite, Unit
from appliance.state.deleted import delete_for_good
from appliance.state.kinds import BY_FIELD, Kind, check, entity_id_of, id_of
from appliance.state.store import State
from appliance.sync.conflicts import (
    COMPANIONS,
    alarm_here,
    is_deletion_mark,
    known_as,
    merged_alarm,
    of_its_customer,
    one_alarm,
)
from appliance.sync.messages import (
    Attributes,
    AttributesDeleted,
    ConfigurationItem,
    EdgeConfiguration,
    EntityUpdate,
    Item,
    Request,
    RpcCall,
    SyncCompleted,
    Telemetry,
    Unknown,
    UpdateKind,
)
from appliance.sync.wire import decode_attributes, decode_entry

_COMPANION_OF = {companion: owner for owner, companion in COMPANIONS.items()}

Points = list[tuple[int, dict[str, Value]]]
"""Values of one entity: (ts, values) in the order in which they came."""


class AttributeNotice(msgspec.Struct, frozen=True):
    """Shared attributes of a device changed: its session must hear of it."""

    device: EntityId
    updated: dict[str, Value]
    deleted: tuple[str, ...] = ()


class Applied(msgspec.Struct):
    """What one batch means. kept: names of fields stored but not used by anything here."""

    unit: Unit = msgspec.field(default_factory=Unit)
    messages: list[Message] = []
    telemetry: list[tuple[EntityId, Points]] = []
    calls: list[RpcCall] = []
    notices: list[AttributeNotice] = []
    requests: list[Request] = []
    merged: list[EntityId] = []
    """What the peer knows under another id than we do."""
    kept: list[str] = []
    ignored: list[str] = []
    """Data about entities that are not here, in words: acknowledged without effect."""
    passed_over: list[str] = []
    """What else was acknowledged without effect, in words: it belongs to something that is not
    here, or cannot be read and would come again for ever if it were refused."""
    configuration: EdgeConfiguration | None = None
    sync_completed: bool = False


class Policy(Protocol):
    """What differs between the roles when an entity arrives."""

    source: str
    """"cloud" on an edge, "edge" on a cloud: the loop mark in message metadata (§7.1, §8)."""
    peer_wins_ties: bool
    """Whether another value of the same millisecond is taken: one side must give way, and a server
    never does (§8.2)."""

    peer_keeps_order: bool
    """Whether what something refers to comes before it. A real edge sends a pack in any order
    (§5.5), so a relation or a comment that comes first is kept until what it is about is there."""

    peer_names_alarms: bool
    """Whether it has said an alarm's id before it deletes the alarm. A server merges an alarm of
    ours into its own and tells nobody (§6.2), so its deletion is of the one that it never named."""

    stores_posted: bool
    """Whether a device's own attributes are stored as they come, as a server's default chain does,
    or by the chains that get them."""

    def admit(
        self, kind: Kind, id: UUID, body: dict[str, Any], applied: Applied
    ) -> dict[str, Any] | None:
        """The body to store, None to store nothing.

        May add further writes, follow-up events or messages to `applied`.
        """
        ...

    def remove(self, kind: Kind, id: UUID, body: dict[str, Any] | None, applied: Applied) -> None:
        """Add the deletions that this deletion means here, its own included.

        body: the deleted entity's JSON if it came.
        """
        ...


def digest(
    items: Iterable[Item], state: State, policy: Policy, now_ms: int, order: dict[str, int]
) -> Applied:
    """Work out what a batch means.

    Args:
        order: rank of each wire field within one batch (§6.1 on a cloud, §7.5 on an edge).

    Raises:
        Permanent: an item cannot be applied and a repeat would not help; nothing was applied.
    """
    applied = Applied()
    for item in sorted(items, key=lambda item: order.get(_field(item), len(order))):
        try:
            _digest_one(item, applied, state, policy, now_ms)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            # Bodies are JSON of a peer: whatever is not as it should be shows as one of these.
            fault = f"{_field(item)}: not what it should be: {error!r}"
            if not isinstance(item, Telemetry | Attributes | AttributesDeleted):
                raise Permanent(fault) from error
            applied.passed_over.append(fault)  # data that is refused is repeated (§11.3, §11.28)
    return applied


def _field(item: Item) -> str:
    if isinstance(item, EntityUpdate | Request):
        return item.field
    if isinstance(item, Telemetry | Attributes | AttributesDeleted):
        return "entityData"
    return type(item).__name__


def _digest_one(item: Item, applied: Applied, state: State, policy: Policy, now_ms: int) -> None:
    match item:
        case Telemetry():
            if _known(item.entity, applied, state):
                applied.telemetry.append((item.entity, _points(item)))
        case Attributes():
            if _known(item.entity, applied, state):
                _attributes(item, applied, state, policy, now_ms)
        case AttributesDeleted():
            if _known(item.entity, applied, state):
                _attributes_deleted(item, applied, state)
        case EntityUpdate():
            _entity(item, applied, state, policy)
        case Request():
            applied.requests.append(item)
        case RpcCall():
            applied.calls.append(item)
        case ConfigurationItem():
            applied.configuration = item.configuration
        case SyncCompleted():
            applied.sync_completed = True
        case Unknown():
            applied.kept.append(f"field {item.number}")


# --- entities -------------------------------------------------------------------------------


def _entity(item: EntityUpdate, applied: Applied, state: State, policy: Policy) -> None:
    kind = BY_FIELD.get(item.field)
    if kind is None:
        applied.kept.append(item.field)
        return
    body = _parse(item)
    if item.kind == UpdateKind.DELETED and not is_deletion_mark(kind.name, body):
        id = item.id or (kind.key(body) if body else None)
        if id is not None:
            if kind.name == "ALARM":
                id = _deleted_alarm(id, body, applied, state, policy)
            policy.remove(kind, id, body, applied)
        return
    if body is None and item.kind is not None and item.kind not in set(UpdateKind):
        applied.kept.append(f"{item.field} of kind {item.kind}")
        return
    if body is None:
        raise Permanent(f"{item.field} came without an entity")
    if item.widgets is not None:
        body = {**body, "widgets": msgspec.json.decode(item.widgets)}
    id = _key(kind, item, body)
    check(kind, body)
    if kind.name == "ALARM_COMMENT":
        body = _about_ours(body, applied, state)
    needed = _needed(kind, id, body, referred=policy.peer_keeps_order)
    lacking = [entity for entity in needed if not _is_here(entity, applied, state)]
    if lacking:
        applied.passed_over.append(f"{item.field}: {lacking[0]} is not here")
        return
    theirs = id
    if kind.name == "ALARM":
        if entity_id_of(body.get("originator")) is None:
            applied.passed_over.append("an alarm of nothing")
            return
        over = item.kind == UpdateKind.CREATED and body.get("cleared")  # before it came
        id = known_as(state, id) if over else alarm_here(state, id, body)
        if theirs != id:
            applied.merged.append(EntityId("ALARM", id))
        body = of_its_customer(state, merged_alarm(state.entity("ALARM", id), body))
    body = policy.admit(kind, id, body, applied)
    if body is None:
        return
    if kind.name == "ALARM" and (theirs != id or not policy.peer_names_alarms):
        applied.unit.entities.extend(one_alarm(state, theirs, id))
    applied.unit.entities.append(EntityWrite(kind.name, id, msgspec.json.encode(body)))
    if not kind.used:
        applied.kept.append(item.field)


def _deleted_alarm(
    theirs: UUID, body: dict[str, Any] | None, applied: Applied, state: State, policy: Policy
) -> UUID:
    """The id here of an alarm that the peer deleted."""
    id = known_as(state, theirs)
    if not policy.peer_names_alarms:
        found = alarm_here(state, theirs, body)
        id = id if any(state.owned("ALARM_ALIAS", found)) else found
    if id != theirs:
        applied.merged.append(EntityId("ALARM", id))
    return id


def _about_ours(comment: dict[str, Any], applied: Applied, state: State) -> dict[str, Any]:
    """A comment under our id of its alarm, be the two found to be one in the same batch."""
    theirs = id_of(comment.get("alarmId"))
    if theirs is None:
        return comment
    aliases = (w for w in applied.unit.entities if (w.kind, w.id) == ("ALARM_ALIAS", theirs))
    alias = next(aliases, None)
    if alias is not None and alias.body is not None:
        return {**comment, **msgspec.json.decode(alias.body)}
    ours = known_as(state, theirs)
    return comment if ours == theirs else comment | {"alarmId": EntityId("ALARM", ours).to_json()}


def _parse(item: EntityUpdate) -> dict[str, Any] | None:
    if not item.body:
        return None
    body = msgspec.json.decode(item.body)
    if not isinstance(body, dict):
        raise Permanent(f"{item.field}: the entity is not a JSON object")
    return body


def _key(kind: Kind, item: EntityUpdate, body: dict[str, Any]) -> UUID:
    return item.id if kind.has_id and item.id is not None else kind.key(body)


def _needed(kind: Kind, id: UUID, body: dict[str, Any], *, referred: bool) -> Iterator[EntityId]:
    """What must be here for an entity to make sense; else it is taken without effect (§6.2).

    A server tells of every relation of an assigned entity, wherever the other end is.
    """
    if kind.name in _COMPANION_OF:
        yield EntityId(_COMPANION_OF[kind.name], id)
    if not referred:
        return
    ends = {"RELATION": ("from", "to"), "ALARM_COMMENT": ("alarmId",)}.get(kind.name, ())
    for end in ends:
        entity = entity_id_of(body.get(end))
        if entity is not None:
            yield entity


def _is_here(entity: EntityId, applied: Applied, state: State) -> bool:
    """Whether an entity is known, be it from the same batch."""
    if entity.type == "TENANT" and entity.id == state.tenant_id:
        return True
    if any(w.id == entity.id and w.body is not None for w in applied.unit.entities):
        return True
    return state.entity(entity.type, entity.id) is not None


# --- data -----------------------------------------------------------------------------------


def _points(item: Telemetry) -> Points:
    points = (decode_entry(entry) for entry in item.entries)
    return [(ts, values) for ts, values in points if values]


def _known(entity: EntityId, applied: Applied, state: State) -> bool:
    """Data about an entity that is not here is acknowledged without effect (§6.2, §7.5)."""
    if _is_here(entity, applied, state):
        return True
    applied.ignored.append(f"data about {entity}, which is not here")
    return False


def _attributes(
    item: Attributes, applied: Applied, state: State, policy: Policy, now_ms: int
) -> None:
    scope = _scope(item.scope)
    stored = _stored(item.entity, scope, applied, state)
    ts = item.ts or item.own_ts or _latest(item, scope, stored, state, now_ms)
    values = _newer(item, scope, ts, stored, state, ties=policy.peer_wins_ties)
    if not values:
        return
    metadata = source_metadata(item.entity, state, policy.source) | {"scope": scope.value}
    if item.posted:
        applied.messages.append(
            _message("POST_ATTRIBUTES_REQUEST", item.entity, values, metadata, ts)
        )
        if policy.stores_posted:
            applied.unit.attributes.append(AttributeWrite(item.entity, scope, ts, values))
        return
    applied.unit.attributes.append(AttributeWrite(item.entity, scope, ts, values))
    repeated = {key for key, old in stored.items() if (old.ts, old.value) == (ts, values.get(key))}
    news = {key: value for key, value in values.items() if key not in repeated}
    if not news:
        return  # written again, in case the first time was not durable, but told only once
    applied.messages.append(_message("ATTRIBUTES_UPDATED", item.entity, news, metadata, ts))
    if scope is Scope.SHARED and item.entity.type == "DEVICE":
        applied.notices.append(AttributeNotice(item.entity, news))


def _stored(
    entity: EntityId, scope: Scope, applied: Applied, state: State
) -> Mapping[str, AttributeValue]:
    """The attributes with what the same batch has made of them."""
    changes = [c for c in applied.unit.attributes if (c.entity, c.scope) == (entity, scope)]
    if not changes:
        return state.attributes(entity, scope)
    stored = dict(state.attributes(entity, scope))
    for change in changes:
        if isinstance(change, AttributeWrite):
            stored |= {key: AttributeValue(change.ts, v) for key, v in change.values.items()}
        else:
            stored = {key: value for key, value in stored.items() if key not in change.keys}
    return stored


def _latest(
    item: Attributes,
    scope: Scope,
    stored: Mapping[str, AttributeValue],
    state: State,
    now_ms: int,
) -> int:
    """A time for what comes without one: what is said last counts (§8.2)."""
    keys = decode_attributes(item.values)
    last = [stored[key].ts for key in keys if key in stored]
    last += [state.deleted_ms(item.entity, scope, key) or 0 for key in keys]
    return max([now_ms, *(ts + 1 for ts in last)])


def _newer(
    item: Attributes,
    scope: Scope,
    ts: int,
    stored: Mapping[str, AttributeValue],
    state: State,
    *,
    ties: bool,
) -> dict[str, Value]:
    out = {}
    for key, value in decode_attributes(item.values).items():
        old = stored.get(key)
        if old is None:
            deleted_ms = state.deleted_ms(item.entity, scope, key)
            newer = deleted_ms is None or ts > deleted_ms
        else:
            newer = ts > old.ts or (ts == old.ts and (ties or value == old.value))
        if newer:
            out[key] = value
    return out


def _attributes_deleted(item: AttributesDeleted, applied: Applied, state: State) -> None:
    """Delete what is not newer than the deletion; an older one than that known says nothing.

    The reference gives deletions no time. Such a one deletes whatever is here, since the peer's
    clock may be ahead of ours; and it is not remembered, because a server repeats what it said in
    order (§7.2), and a value set after the deletion must come back then.
    """
    scope, ts = _scope(item.scope), item.ts or 0
    stored = _stored(item.entity, scope, applied, state)

    def last_ms(key: str) -> int:
        if key in stored:
            return stored[key].ts
        return state.deleted_ms(item.entity, scope, key) or 0

    keys = tuple(key for key in item.keys if not ts or last_ms(key) <= ts)
    if not keys:
        return
    delete_for_good(applied.unit, AttributeDelete(item.entity, scope, keys, ts))
    if scope is Scope.SHARED and item.entity.type == "DEVICE":
        applied.notices.append(AttributeNotice(item.entity, {}, keys))


def _scope(name: str) -> Scope:
    """The scope by its wire name; the reference's default where none is given (§5.3)."""
    return Scope(name) if name else Scope.SERVER


def telemetry_messages(
    entity: EntityId, points: Points, state: State, source: str
) -> Iterable[Message]:
    """One POST_TELEMETRY_REQUEST per moment, marked with where it came from (§6.2)."""
    metadata = source_metadata(entity, state, source)
    for ts, values in points:
        yield _message("POST_TELEMETRY_REQUEST", entity, values, metadata | {"ts": str(ts)}, ts)


def _message(type: str, entity: EntityId, data: Any, metadata: dict[str, str], ts: int) -> Message:
    return Message(new_uuid(), ts, type, entity, data, metadata)


_METADATA_PREFIX = {"DEVICE": "device", "ASSET": "asset", "ENTITY_VIEW": "entityView"}


def source_metadata(entity: EntityId, state: State, source: str) -> dict[str, str]:
    """`source` plus `<kind>Name` and `<kind>Type` (rule-engine §2.3)."""
    metadata = {"source": source}
    prefix = _METADATA_PREFIX.get(entity.type)
    body = state.entity(entity.type, entity.id)
    if prefix and body:
        metadata[f"{prefix}Name"] = body.get("name") or ""
        metadata[f"{prefix}Type"] = body.get("type") or ""
    return metadata
