"""The entities that the recorded cases take for granted, and the recording's placeholders."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import UUID

from appliance.model.ids import NULL_UUID, EntityId, new_uuid
from appliance.model.telemetry import Scope
from appliance.rules.alarms import Propagation, changed, new_alarm
from appliance.testing.rules import RuleBench
from tests.conftest import FIXTURES

NOW_MS = 1_795_000_000_000
GAPS_MS = {("CalculateDeltaNode", "no ts metadata, period"): 962}
GAPS_BY_NODE_MS = {"TbGetTelemetryNode": 25_000}
"""Time between inputs where a recorded figure depends on it; else 5 ms."""

_PLACE = re.compile(r'"\$(?:now|past)(-\d+)?#"|\$(?:now|past)(-\d+)?#?|\$[a-zA-Z]+\d*')


class World:
    """Placeholders of one case. inputs: `$inN` -> message id."""

    def __init__(self, known: dict[str, str], start_ms: int) -> None:
        self._known = known
        self._start_ms = start_ms
        self._bound: dict[str, str] = {}
        self.inputs: dict[str, UUID] = {}

    def fill(self, text: str) -> str:
        """Recorded text with this run's values."""

        def value(match: re.Match[str]) -> str:
            place = match[0]
            if "$now" in place:
                return str(self._start_ms + int(match[1] or match[2] or 0))
            return self._known.get(place, place)

        return _PLACE.sub(value, text)

    def entity(self, text: str) -> EntityId:
        """`DEVICE:$device` as an EntityId."""
        type, _, id = text.partition(":")
        id = self._known.get(id) or self._bound.get(id) or id
        return EntityId(type, UUID(id) if not id.startswith("$") else NULL_UUID)

    def same(self, expected: Any, actual: Any) -> bool:
        """Whether the actual value is what was recorded; binds new ids when it is."""
        bound = dict(self._bound)
        fits = self._same(expected, actual, bound)
        if fits:
            self._bound = bound
        return fits

    def _same(self, expected: Any, actual: Any, bound: dict[str, str]) -> bool:
        if isinstance(expected, str) and "$" in expected:
            return self._same_text(expected, actual, bound)
        if type(expected) is not type(actual):
            return False
        if isinstance(expected, dict):
            return expected.keys() == actual.keys() and all(
                self._same(expected[key], actual[key], bound) for key in expected
            )
        if isinstance(expected, list):
            return len(expected) == len(actual) and all(
                self._same(one, other, bound) for one, other in zip(expected, actual, strict=True)
            )
        return bool(expected == actual)

    def _same_text(self, expected: str, actual: Any, bound: dict[str, str]) -> bool:
        whole = re.fullmatch(r"\$(now|past)(-\d+)?#", expected)
        if whole:
            exact = int(whole[2]) + self._start_ms if whole[2] else actual
            return isinstance(actual, int) and actual == exact
        if not isinstance(actual, str):
            return False
        names: list[str] = []
        pattern, at = "", 0
        for match in _PLACE.finditer(expected):
            pattern += re.escape(expected[at : match.start()])
            at = match.end()
            place = match[0]
            if "$now" in place or "$past" in place:
                offset = match[1] or match[2]
                pattern += str(self._start_ms + int(offset)) if offset else r"\d+"
            elif place in self._known or place in bound:
                pattern += re.escape(self._known.get(place) or bound[place])
            else:
                names.append(place)
                pattern += "([0-9a-f-]{36})"
        found = re.fullmatch(pattern + re.escape(expected[at:]), actual)
        if found is None:
            return False
        for name, value in zip(names, found.groups(), strict=True):
            if name != "$uuid" and bound.setdefault(name, value) != value:
                return False
        return True


def build_world(raw: dict[str, Any], bench: RuleBench, chain: str, node: str) -> World:
    """Everything that is there before the first message."""
    bench.now_ms = NOW_MS
    short, name = raw["node"].rpartition(".")[2], raw["name"]
    customer = bench.add(
        "CUSTOMER", {"title": "Node customer", "additionalInfo": None, **_contact(name)}
    )
    bench.add_device("other")
    profile = bench.add("DEVICE_PROFILE", {"name": "Node profile", **_rules(raw)})
    asset_profile = bench.add("ASSET_PROFILE", {"name": "default"})
    device = bench.add(
        "DEVICE",
        {
            "createdTime": NOW_MS,
            "tenantId": bench.tenant.to_json(),
            "customerId": _owner(short, name, customer).to_json(),
            "name": "Node device",
            "type": "Node profile",
            "label": "lbl",
            "deviceProfileId": profile.to_json(),
            "additionalInfo": {"gateway": False, "description": "descr"},
        },
    )
    asset = bench.add(
        "ASSET",
        {
            "name": "Node asset",
            "type": "default",
            "label": "al",
            "assetProfileId": asset_profile.to_json(),
        },
    )
    token = {"deviceId": device.to_json(), "credentialsType": "ACCESS_TOKEN"}
    bench.add("DEVICE_CREDENTIALS", {**token, "credentialsId": "token1"})
    known = {
        "$device": str(device.id),
        "$deviceName": "Node device",
        "$asset": str(asset.id),
        "$assetName": "Node asset",
        "$customer": str(customer.id),
        "$customerTitle": "Node customer",
        "$tenant": str(bench.tenant.id),
        "$profile": str(profile.id),
        "$profileName": "Node profile",
        "$token": "token1",
        "$user": str(new_uuid()),
        "$ev": str(new_uuid()),
        "$node": node,
        "$chain": chain,
        "$chainSub": str(new_uuid()),
        "$alarm": str(new_uuid()),
    }
    world = World(known, bench.now_ms)
    bench.put_attributes(bench.tenant, Scope.SERVER, {"nodeThreshold": 42})
    bench.put_attributes(customer, Scope.SERVER, {"alarmThreshold": 30, "js": {"a": 1}})
    _relate(short, name, bench, device, asset)
    _originator_state(raw, bench, world, device)
    _alarm(raw, bench, world, device)
    _view(raw, bench, world, device)
    return world


def _alarm(raw: dict[str, Any], bench: RuleBench, world: World, device: EntityId) -> None:
    """The alarm `$alarm`, where a case has one before."""
    name = raw["name"]
    if not re.search(r"\$alarm\b", json.dumps([raw["in"], raw["out"], raw.get("effects")])):
        return
    severity = "CRITICAL" if name.startswith("existing CRITICAL") else "MAJOR"
    if raw.get("deviceProfileAlarms"):
        severity = "CRITICAL"
    details: Any = {"n": 1, "o": {"q": [1]}} if "keeps old details" in name else {"old": 1}
    start = bench.now_ms - 60_000
    kind = "Temp" if raw.get("deviceProfileAlarms") else "General Alarm"
    alarm = new_alarm(bench.state, device, kind, severity, start, start, details, Propagation())
    is_cleared = "cleared" in name
    alarm = changed(
        alarm,
        id={"entityType": "ALARM", "id": world.fill("$alarm")},
        acknowledged=" ack" in name.replace("unack", ""),
        cleared=is_cleared,
        clearTs=start if is_cleared else 0,
    )
    bench.add("ALARM", alarm)


def _view(raw: dict[str, Any], bench: RuleBench, world: World, device: EntityId) -> None:
    over = raw["name"] == "view window over"
    bench.add(
        "ENTITY_VIEW",
        {
            "id": {"entityType": "ENTITY_VIEW", "id": world.fill("$ev")},
            "name": "Node view",
            "type": "default",
            "entityId": device.to_json(),
            "keys": {"attributes": {"cs": ["a"], "sh": ["a"], "ss": ["a"]}},
            "startTimeMs": 0,
            "endTimeMs": bench.now_ms - 1000 if over else 0,
        },
    )


def _contact(name: str) -> dict[str, Any]:
    if "only title set" in name:
        return {}
    return {
        "country": "Xland",
        "city": "Cy",
        "state": "St",
        "zip": "Z9",
        "address": "A1",
        "address2": "A2",
        "phone": "+123",
        "email": "c@x.org",
        "additionalInfo": {"description": "cdesc"},
    }


def _owner(short: str, name: str, customer: EntityId) -> EntityId:
    assigned = (
        (short.startswith("TbGetCustomer") and name != "no customer")
        or (short == "TbChangeOriginatorNode" and name.endswith(", assigned"))
        or (
            short.endswith("CustomerNode") and name in ("device assigned", "already assigned to it")
        )
    )
    return customer if assigned else EntityId("CUSTOMER", NULL_UUID)


def _rules(raw: dict[str, Any]) -> dict[str, Any]:
    if not raw.get("deviceProfileAlarms"):
        return {}
    alarms = json.loads((FIXTURES / "corpus" / "profile-alarms.json").read_text())
    return {"profileData": {"alarms": alarms}}


def _relate(short: str, name: str, bench: RuleBench, device: EntityId, asset: EntityId) -> None:
    if short == "TbCheckRelationNode":
        if "relation device->asset" in name or "other type" in name:
            bench.relate(device, asset)
        elif "relation asset->device" in name:
            bench.relate(asset, device)
    elif short == "TbChangeOriginatorNode" and name == "RELATED found":
        bench.relate(device, asset)
    elif short == "TbGetRelatedAttributeNode" and name != "no relation":
        bench.relate(device, asset)
        if "absent" not in name:
            bench.put_attributes(asset, Scope.SERVER, {"serialNumber": "SN1"})
        bench.put_series(asset, 1, {"serialNumber": 77})
    elif short == "TbCreateRelationNode" and name == "FROM, already there":
        bench.relate(device, asset)
    elif short == "TbCreateRelationNode" and name == "remove current relations":
        bench.relate(device, bench.add_device("related"))
    elif short == "TbDeleteRelationNode" and not name.endswith("no relation"):
        bench.relate(*((asset, device) if name.endswith("TO") else (device, asset)))
    elif short == "TbGetDeviceAttrNode" and name != "no related device":
        other = bench.add_device("related")
        bench.relate(device, other)
        bench.put_attributes(other, Scope.SERVER, {"ra": 11})
        bench.put_series(other, 1, {"rt": 3.5})


def _originator_state(
    raw: dict[str, Any], bench: RuleBench, world: World, device: EntityId
) -> None:
    state = json.loads(world.fill(json.dumps(raw["originatorState"])))
    for key, scope in (
        ("client", Scope.CLIENT),
        ("SHARED_SCOPE", Scope.SHARED),
        ("SERVER_SCOPE", Scope.SERVER),
    ):
        if key in state:
            bench.put_attributes(device, scope, state[key])
    for point in state.get("ts", ()):
        bench.put_series(device, point["ts"], point["values"])
