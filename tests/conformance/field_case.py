"""One recorded case of a real server's calculated fields, run by ours.

The case's entities, values and fields go into a real engine over memory; sends are half a second
apart unless `GAPS_MS` knows better (requests to the recorded server were slower at times, which
matters where results are bundled in time). What must agree: series, attributes, alarms, relations.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import msgspec

from appliance.fields.check import check_field
from appliance.fields.engine import Fields
from appliance.model.errors import ConfigError
from appliance.model.ids import NULL_UUID, EntityId, new_uuid
from appliance.model.telemetry import AttributeDelete, AttributeWrite, Scope, Series
from appliance.model.unit import EntityWrite, Unit
from appliance.rules.alarms import changed, cleared
from appliance.rules.default_chain import default_root_chain
from appliance.rules.ports import CalculationInput, Task
from appliance.rules.values import typed_values
from appliance.rules.work import Work
from appliance.state.kinds import relation_key
from appliance.testing.rules import RuleBench
from plugins.rules_action import register_rule_nodes as action_nodes
from plugins.rules_filter import register_rule_nodes as filter_nodes

MINUTE_MS = 60_000
NOW_MS = 1_795_000_000_000 // MINUTE_MS * MINUTE_MS + 15_000
T0_MS = NOW_MS // 10_000 * 10_000 - 600_000
GAP_MS = 500
GAPS_MS: dict[tuple[str, str], int] = {
    ("ALARM", "duration 5 s, true again during the wait"): 1_400,
    **{
        ("RELATED_ENTITIES_AGGREGATION", name): ms
        for name, ms in (
            ("six functions", 4_000),
            ("one child without data", 3_000),
            ("decimals 2", 4_000),
            ("useLatestTs off", 4_000),
            ("function input", 4_000),
            ("filter matches nothing, metric default", 4_000),
            ("output attribute", 4_000),
            ("three updates of one child in one interval (deduplication)", 4_000),
        )
    },
}


class FieldBench(RuleBench):
    """A rule bench with calculated fields."""

    def __init__(self) -> None:
        super().__init__({**action_nodes().nodes, **filter_nodes().nodes})
        self.now_ms = NOW_MS
        self.load(*default_root_chain())
        self.new_fields()

    async def restart_fields(self) -> None:
        """Fields of another process over the same storage; timers of the first are gone."""
        for slot in self.fields._index.slots.values():
            if slot.cancel is not None:
                slot.cancel()
        self.state._watchers.clear()
        self.new_fields()
        await self.fields.load()
        await self.calm()

    def new_fields(self) -> None:
        """Fields that know nothing yet."""
        self.fields: Fields = Fields(
            self.state,
            self.history,
            lambda: self.now_ms,
            self.events.append,
            self.services,
            self.engine.process,
            self.engine.timers,
        )
        self.services.calculate = self.fields.calculate

    async def calm(self) -> None:
        """Let everything that is to happen now happen."""
        await self.settle()

    async def carry_out(self, task: Task) -> None:
        """Run a task of our own, and what follows."""
        await self.do(task)
        await self.calm()

    async def write(self, kind: str, id: UUID, body: dict[str, Any] | None) -> None:
        """Store or delete an entity."""
        text = None if body is None else msgspec.json.encode(body)
        self.state.apply(Unit(entities=[EntityWrite(kind, id, text)]))
        await self.calm()

    async def later(self, ms: int) -> None:
        """Let time pass."""
        await self.advance(ms)
        await self.calm()


class Case:
    """A case under way. restarts: whether the process is another one after each send."""

    def __init__(self, raw: dict[str, Any], *, restarts: bool = False) -> None:
        self.raw = raw
        self.restarts = restarts
        self.bench = FieldBench()
        self.known: dict[str, EntityId] = {}
        self.fields: list[dict[str, Any]] = []
        self.sent: dict[str, set[str]] = {}
        self.problems: list[str] = []
        self.gap_ms = GAPS_MS.get((raw["type"], raw["name"]), GAP_MS)

    async def run(self) -> list[str]:
        """What differs from the recording; empty is good."""
        await self.bench.fields.load()
        for step in self.raw["setup"]:
            await self.set_up(step)
        fields = self.raw["calculatedField"]
        for number, field in enumerate(fields if isinstance(fields, list) else [fields], 1):
            await self.create_field(field, "$cf" if number == 1 else f"$cf{number}")
        await self.look(0)
        for number, send in enumerate(self.raw["sends"], 1):
            await self.bench.later(self.gap_ms)
            await self.send(send)
            if self.restarts:
                await self.bench.restart_fields()
            await self.look(number)
        await self.bench.later(self.gap_ms)
        self.compare("end", self.raw["results"])
        return self.problems

    async def look(self, sends: int) -> None:
        """Compare with the snapshot after so many sends, if there is one."""
        for snapshot in self.raw.get("snapshots", ()):
            if snapshot["afterSend"] == sends:
                if sends < len(self.raw["sends"]):
                    await self.bench.later(self.gap_ms // 2)
                self.compare(f"after send {sends}", snapshot["results"])

    # what is there -------------------------------------------------------------------------------
    async def set_up(self, step: dict[str, Any]) -> None:
        if "entity" in step:
            self.add_entity(step)
        elif "relation" in step:
            await self.relate(step["relation"])
        else:
            await self.bench.later(100)
            await self.send(step)

    def add_entity(self, step: dict[str, Any]) -> None:
        kind, place = step["entityType"], step["entity"]
        customer = self.known.get(f"${step.get('customer')}")
        owner = customer or EntityId("CUSTOMER", NULL_UUID)
        profile = self.known.get(f"${step.get('profile')}")
        if place in self.known:
            body = {**self.bench.state.entity(kind, self.known[place].id)}
            body["customerId"] = owner.to_json()
            self.bench.add(kind, body)
        elif kind == "DEVICE" and profile is None:
            self.known[place] = self.bench.add_device(place, customerId=owner.to_json())
        else:
            more = {"deviceProfileId": profile.to_json()} if profile else {}
            body = {"name": place, "title": place, "customerId": owner.to_json(), **more}
            self.known[place] = self.bench.add(kind, body)

    async def relate(self, relation: dict[str, Any], *, present: bool = True) -> None:
        body = {
            "from": self.known[relation["from"]].to_json(),
            "to": self.known[relation["to"]].to_json(),
            "type": relation["type"],
            "typeGroup": "COMMON",
        }
        await self.bench.write("RELATION", relation_key(body), body if present else None)

    def filled(self, value: Any) -> Any:
        """Placeholders replaced by ids and times."""
        if isinstance(value, dict):
            return {key: self.filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        if isinstance(value, str) and value in self.known:
            return self.known[value].to_json()
        if isinstance(value, str) and value.startswith("$t0+"):
            return T0_MS + int(value[4:])
        return value

    async def create_field(self, field: dict[str, Any], place: str) -> None:
        id = EntityId("CALCULATED_FIELD", new_uuid())
        body = {**self.filled(field), "id": id.to_json(), "name": field["name"]}
        self.known[place] = id
        self.fields.append(body)
        await self.bench.write("CALCULATED_FIELD", id.id, body)

    def refusal(self) -> str | None:
        """Why the case's field cannot be saved, or None."""
        field = self.filled(self.raw["calculatedField"])
        if "sixth" in self.raw["name"] or "same name" in self.raw["name"]:
            same = "same name" in self.raw["name"]
            for number in range(1 if same else 5):
                id = EntityId("CALCULATED_FIELD", new_uuid())
                name = field["name"] if same else f"field {number}"
                self.bench.add("CALCULATED_FIELD", {**field, "id": id.to_json(), "name": name})
        if field.get("entityId") and field["entityId"]["id"] == "$uuid":
            field["entityId"]["id"] = str(new_uuid())
        id = EntityId("CALCULATED_FIELD", new_uuid())
        try:
            check_field({**field, "id": id.to_json()}, self.bench.state)
        except ConfigError as error:
            return str(error)
        return None

    def said(self, text: str) -> str:
        """A recorded text with this run's ids."""
        for place, id in self.known.items():
            text = text.replace(place, str(id.id))
        return text

    # what is sent --------------------------------------------------------------------------------
    async def send(self, send: dict[str, Any]) -> None:
        if "wait_s" in send:
            await self.bench.later(send["wait_s"] * 1000)
            return
        kind, body = send["kind"], send.get("body")
        handle = getattr(self, "_" + kind.partition("/")[0].replace(" ", "_").replace("-", "_"))
        await handle(send, self.filled(body))
        await self.bench.calm()

    async def _timeseries(self, send: dict[str, Any], body: Any) -> None:
        entity = self.known[send["to"]]
        items = body if isinstance(body, list) else [body]
        keys = self.sent.setdefault(send["to"], set())
        for item in items:
            keys.update(item.get("values", item))
        if len(items) > 1:
            await self._save_together(entity, items)
            return
        for item in items:
            metadata = {"ts": str(item["ts"])} if "ts" in item else {}
            data = item.get("values", item)
            await self.bench.send("POST_TELEMETRY_REQUEST", entity, data, metadata)

    async def _save_together(self, entity: EntityId, items: list[dict[str, Any]]) -> None:
        """Points of one request are one change."""
        now = self.bench.now_ms
        points = [(item.get("ts", now), typed_values(item.get("values", item))) for item in items]

        async def task(work: Work) -> None:
            work.unit.series += [Series(entity, ts, values) for ts, values in points]
            inputs = [CalculationInput(entity, None, ts, values) for ts, values in points]
            await self.bench.fields.take(inputs, work)

        await self.bench.carry_out(task)

    async def _attributes(self, send: dict[str, Any], body: Any) -> None:
        entity, scope = self.known[send["to"]], Scope(send["kind"].partition("/")[2])
        self.sent.setdefault(send["to"], set()).update(body)
        values, now = typed_values(body), self.bench.now_ms

        async def task(work: Work) -> None:
            work.unit.attributes.append(AttributeWrite(entity, scope, now, values))
            await self.bench.fields.take([CalculationInput(entity, scope, now, values)], work)

        await self.bench.carry_out(task)

    async def _delete_timeseries_keys(self, send: dict[str, Any], body: str) -> None:
        entity = self.known[send["to"]]
        self.bench.history.points[entity].pop(body, None)
        gone = CalculationInput(entity, None, self.bench.now_ms, {}, deleted=(body,))
        await self.bench.carry_out(lambda work: self.bench.fields.take([gone], work))

    async def _delete_attributes(self, send: dict[str, Any], body: str) -> None:
        entity, scope = self.known[send["to"]], Scope(send["kind"].partition("/")[2])
        now = self.bench.now_ms

        async def task(work: Work) -> None:
            work.unit.attributes.append(AttributeDelete(entity, scope, (body,), now))
            gone = CalculationInput(entity, scope, now, {}, deleted=(body,))
            await self.bench.fields.take([gone], work)

        await self.bench.carry_out(task)

    async def _delete_calculated_field(self, send: dict[str, Any], body: Any) -> None:
        await self.bench.write("CALCULATED_FIELD", self.known[send["to"]].id, None)

    async def _update_configuration(self, send: dict[str, Any], body: Any) -> None:
        field = self.fields[0]
        field = {**field, "configuration": {**field["configuration"], **body}}
        await self.bench.write("CALCULATED_FIELD", self.known[send["to"]].id, field)

    async def _create_device(self, send: dict[str, Any], body: Any) -> None:
        self.add_entity({"entityType": "DEVICE", **send["body"]})

    async def _relation(self, send: dict[str, Any], body: Any) -> None:
        await self.relate({**send["body"], "from": send["to"]})

    async def _delete_relation(self, send: dict[str, Any], body: Any) -> None:
        await self.relate({**send["body"], "from": send["to"]}, present=False)

    async def _clear(self, send: dict[str, Any], body: Any) -> None:
        alarm = self._active()
        alarm = cleared(alarm, self.bench.now_ms, alarm["details"])
        await self.bench.write("ALARM", UUID(alarm["id"]["id"]), alarm)

    async def _ack(self, send: dict[str, Any], body: Any) -> None:
        alarm = changed(self._active(), acknowledged=True, ackTs=self.bench.now_ms)
        await self.bench.write("ALARM", UUID(alarm["id"]["id"]), alarm)

    async def _delete(self, send: dict[str, Any], body: Any) -> None:
        await self.bench.write("ALARM", UUID(self._active()["id"]["id"]), None)

    def _active(self) -> dict[str, Any]:
        return next(a for a in self.bench.state.entities("ALARM") if not a["cleared"])

    # what came of it -----------------------------------------------------------------------------
    def compare(self, when: str, results: dict[str, Any]) -> None:
        for place, expected in results.items():
            entity = self.known[place]
            for part, value in expected.items():
                if part == "timeseries" and "history" in expected:
                    continue
                actual = getattr(self, f"_{part}_of")(place, entity, value)
                if not self.same(value, actual):
                    self.problems.append(
                        f"{when}, {part} of {place}:\n  expected {json.dumps(value)}"
                        f"\n  got      {json.dumps(actual)}"
                    )

    def _history_of(self, place: str, entity: EntityId, expected: Any) -> Any:
        points = self.bench.history.points.get(entity, {})
        return {
            key: [{"ts": ts, "value": value} for ts, value in sorted(points[key].items())]
            for key in points
            if key in expected or key not in self.sent.get(place, ())
        }

    def _timeseries_of(self, place: str, entity: EntityId, expected: Any) -> Any:
        history = self._history_of(place, entity, expected)
        return {key: points[-1:] for key, points in history.items()}

    def _attributes_of(self, place: str, entity: EntityId, expected: Any) -> Any:
        return {
            scope: {
                key: stored.value
                for key, stored in self.bench.state.attributes(entity, Scope(scope)).items()
                if key in expected[scope] or key not in self.sent.get(place, ())
            }
            for scope in expected
        }

    def _alarms_of(self, place: str, entity: EntityId, expected: Any) -> Any:
        alarms = [
            alarm
            for alarm in self.bench.state.entities("ALARM")
            if alarm["originator"]["id"] == str(entity.id)
        ]
        keys = [sorted(alarm) for alarm in expected] + [["type", "status"]] * len(alarms)
        alarms.sort(key=lambda alarm: alarm["createdTime"])
        return [
            {key: alarm[key] for key in wanted} for alarm, wanted in zip(alarms, keys, strict=False)
        ]

    def _relations_of(self, place: str, entity: EntityId, expected: Any) -> Any:
        names = {str(id.id): name for name, id in self.known.items()}
        found = [
            {
                "from": {"entityType": r.source.type, "id": names[str(r.source.id)]},
                "to": {"entityType": r.target.type, "id": names[str(r.target.id)]},
                "type": r.type,
            }
            for r in self.bench.state.relations_from(entity)
        ]
        return sorted(found, key=lambda each: (each["type"], each["to"]["id"]))

    def same(self, expected: Any, actual: Any) -> bool:
        """Whether it is what was recorded; `$now` is any time of the case."""
        if expected == "$now":
            return isinstance(actual, int) and actual >= NOW_MS - MINUTE_MS
        if isinstance(expected, str) and expected.startswith("$t0+"):
            return bool(actual == T0_MS + int(expected[4:]))
        if type(expected) is not type(actual):
            return False
        if isinstance(expected, dict):
            return expected.keys() == actual.keys() and all(
                self.same(expected[key], actual[key]) for key in expected
            )
        if isinstance(expected, list):
            return len(expected) == len(actual) and all(
                self.same(one, other) for one, other in zip(expected, actual, strict=True)
            )
        return bool(expected == actual)
