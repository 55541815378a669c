"""Alarms, comments and relations: the rows whose two directions differ in the side only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from appliance.model.ids import EntityId, new_uuid
from appliance.state.store import State
from tests.kit import sync_common as common
from tests.kit.sync_common import Life
from tests.kit.sync_rows import Rows, Scene, gone, has


class Alarms:
    """The rows of one direction; those of an alarm's plain life are a `Life`.

    from_edge: whether everything happens on the edge and is looked for on the cloud.
    """

    def __init__(self, *, from_edge: bool) -> None:
        self._from_edge = from_edge
        self.life = Life("ALARM", common.alarm, self._write, from_edge=from_edge)

    def enter(self, rows: Rows, made: Mapping[str, str], effect: Mapping[str, str]) -> None:
        """Enter the rows; `made` and `effect` by the steps of an alarm's life."""
        self.life.enter(rows, dict(made), dict(effect))
        side = "edge" if self._from_edge else "cloud"
        for field, what, did, seen, play in (
            ("alarmUpdate", "acknowledged", "acknowledged", "is acknowledged", self.acknowledged),
            ("alarmUpdate", "cleared", "cleared", "is cleared", self.cleared),
            ("alarmCommentUpdate", "created", "written", "is there", self.comment),
            ("alarmCommentUpdate", "updated", "changed", "is changed", self.comment_updated),
            ("alarmCommentUpdate", "deleted", "deleted", "is gone", self.comment_deleted),
            ("relationUpdate", "created", "saved", "is there", self.relation),
            ("relationUpdate", "deleted", "deleted", "is gone", self.relation_deleted),
        ):
            rows.on(field, what, f"{did} on the {side}", seen)(play)

    async def acknowledged(self, scene: Scene) -> None:
        """An alarm is acknowledged."""
        await self._step(scene, "ALARM_ACK", acknowledged=True, ackTs=1_700_000_000_001)

    async def cleared(self, scene: Scene) -> None:
        """An alarm is cleared."""
        await self._step(scene, "ALARM_CLEAR", cleared=True, clearTs=1_700_000_000_001)

    async def comment(self, scene: Scene) -> None:
        """Somebody comments an alarm."""
        await self._commented(scene)

    async def comment_updated(self, scene: Scene) -> None:
        """The comment is changed."""
        id, body = await self._commented(scene)
        body = {**body, "comment": {"text": "mended", "edited": True}}
        await self._write(scene, "ALARM_COMMENT", id, body, "UPDATED_COMMENT")
        await has(self._there(scene), "ALARM_COMMENT", id, {"comment": body["comment"]})

    async def comment_deleted(self, scene: Scene) -> None:
        """The comment is deleted."""
        id, _ = await self._commented(scene)
        await self._write(scene, "ALARM_COMMENT", id, None, "DELETED_COMMENT")
        await gone(self._there(scene), "ALARM_COMMENT", id)

    async def relation(self, scene: Scene) -> None:
        """Two devices are related."""
        await self._related(scene)

    async def relation_deleted(self, scene: Scene) -> None:
        """The relation is deleted."""
        id = await self._related(scene)
        await self._write(scene, "RELATION", id, None, "RELATION_DELETED")
        await gone(self._there(scene), "RELATION", id)

    async def _write(self, scene: Scene, kind: str, id: UUID, body: Any, action: str) -> None:
        save = scene.on_edge if self._from_edge else scene.on_cloud
        await save(kind, id, body, action)

    def _there(self, scene: Scene) -> State:
        return scene.cloud.state if self._from_edge else scene.edge.state

    async def _step(self, scene: Scene, action: str, **fields: Any) -> None:
        id, body = await self.life.create(scene)
        await self._write(scene, "ALARM", id, {**body, **fields}, action)
        await has(self._there(scene), "ALARM", id, fields)

    async def _commented(self, scene: Scene) -> tuple[UUID, dict[str, Any]]:
        alarm, _ = await self.life.create(scene)
        id = new_uuid()
        body = {
            "id": {"id": str(id)},
            "alarmId": {"entityType": "ALARM", "id": str(alarm)},
            "type": "OTHER",
            "comment": {"text": "looked at it"},
        }
        await self._write(scene, "ALARM_COMMENT", id, body, "ADDED_COMMENT")
        await has(self._there(scene), "ALARM_COMMENT", id, {"comment": body["comment"]})
        return id, body

    async def _related(self, scene: Scene) -> UUID:
        other = EntityId("DEVICE", await scene.pair.add_device("Fan", "FAN"))
        id, body = common.relation(scene, other)
        await self._write(scene, "RELATION", id, body, "RELATION_ADD_OR_UPDATE")
        await has(self._there(scene), "RELATION", id)
        return id
