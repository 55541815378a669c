"""`appliance rules`: scripts from standard input, chains from files and from a data folder."""

from __future__ import annotations

import io
import json
import types
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
import trio

from appliance.cli import exits
from appliance.cli.entry import enter
from appliance.extension.hookspecs import StorageSpec, hookimpl
from appliance.kernel.clock import wall_clock_ms
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Series
from appliance.model.unit import EntityWrite, Unit
from appliance.rules.default_chain import default_root_chain
from appliance.rules.node import PACKAGE
from appliance.testing.memory_storage import MemoryDisk, MemoryStorage
from plugins import (
    rules_action,
    rules_enrich,
    rules_external,
    rules_filter,
    rules_flow,
    rules_transform,
    sync_select,
)
from tests.unit.fields.bench import argument, simple

NODES = (rules_filter, rules_enrich, rules_transform, rules_action, rules_flow, rules_external)
CHAIN = "0e5d5a10-0000-11f0-8000-00000000000a"


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing to set."""


class World:
    """A command line over a storage in memory, with every rule node."""

    def __init__(self, folder: Path, capsys: Any) -> None:
        self.folder = folder
        self.disk = MemoryDisk()
        self._capsys = capsys
        self._plugin = types.ModuleType("memory")
        self._plugin.register_storage = hookimpl(  # type: ignore[attr-defined]  # a fresh module
            name_of_hook(lambda: StorageSpec("memory", Config, self._storage))
        )

    def _storage(self, config: Any, context: Any) -> MemoryStorage:
        return MemoryStorage(self.disk)

    def run(self, *argv: str) -> tuple[int, str, str]:
        """(exit code, standard output, standard error)."""
        plugins = (self._plugin, *NODES, sync_select)
        code = enter(["rules", *argv], lambda: plugins, {})
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def in_folder(self, *argv: str) -> tuple[int, str, str]:
        """As run, with the data folder."""
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        return self.run(*argv, "--data-dir", str(data))

    def file(self, name: str, body: Any) -> str:
        path = self.folder / name
        path.write_text(json.dumps(body), "utf-8")
        return str(path)

    def store(self, *units: Unit) -> None:
        trio.run(MemoryStorage(self.disk).commit, units)

    def put(self, kind: str, id: UUID, body: dict[str, Any]) -> EntityId:
        entity = EntityId(kind, id)
        body = {"id": entity.to_json(), **body}
        self.store(Unit(entities=[EntityWrite(kind, id, msgspec.json.encode(body))]))
        return entity

    def device(self, name: str) -> EntityId:
        return self.put("DEVICE", new_uuid(), {"name": name, "type": "default"})


def name_of_hook(function: Any) -> Any:
    function.__name__ = "register_storage"
    return function


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> World:
    monkeypatch.chdir(tmp_path)
    return World(tmp_path, capsys)


def node(type: str, name: str, configuration: dict[str, Any]) -> dict[str, Any]:
    return {"type": PACKAGE + type, "name": name, "configuration": configuration}


def tbel_filter(script: str) -> dict[str, Any]:
    configuration = {"scriptLang": "TBEL", "tbelScript": script}
    return node("filter.TbJsFilterNode", "warm?", configuration)


SAVE = node("telemetry.TbMsgTimeseriesNode", "save", {})
PUSH = node("edge.TbMsgPushToCloudNode", "push", {"scope": "SERVER_SCOPE"})
WARM = {
    "firstNodeIndex": 0,
    "nodes": [tbel_filter("return msg.t > 20;"), SAVE, PUSH],
    "connections": [
        {"fromIndex": 0, "toIndex": 1, "type": "True"},
        {"fromIndex": 1, "toIndex": 2, "type": "Success"},
    ],
}
"""Only warm values are saved and go up."""


# --- eval --------------------------------------------------------------------------------------


def test_eval_answers_each_line_with_a_line(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    case = {"msg": '{"t":21}', "metadata": None, "msgType": "T"}
    lines = [
        {**case, "script": "return msg.t > 20;", "scriptLang": "TBEL", "scriptType": "filter"},
        {**case, "script": "return msg;", "scriptLang": "JS", "scriptType": "json"},
        {**case, "script": "return a;", "scriptType": "json", "argNames": ["a", "b", "c"]},
        {**case, "script": "msg.t++; return msg.t;", "scriptType": "json"},
        {**case, "script": 'return "😀"[0];', "scriptType": "json"},
    ]
    text = "\n".join(json.dumps(line) for line in lines) + '\n\n{"script":1}\nno\n'
    monkeypatch.setattr("sys.stdin", io.StringIO(text))

    code, out, _ = world.run("eval")

    answers = [json.loads(line) for line in out.splitlines()]
    assert code == exits.DONE
    assert answers[:3] == [
        {"output": "true", "error": ""},
        {"output": '{"t":21}', "error": ""},
        {"output": '{"t":21}', "error": ""},
    ]
    assert [warning["family"] for warning in answers[3]["warnings"]] == ["property-increment"]
    assert answers[4]["output"] == '"\ud83d"'
    assert all("not a script test" in answer["error"] for answer in answers[5:])
    assert len(answers) == 7


# --- chains in files ---------------------------------------------------------------------------


def test_show_draws_an_exported_chain(world: World) -> None:
    chain, metadata = default_root_chain()
    del chain["id"]
    file = world.file("chain.json", {"ruleChain": chain, "metadata": metadata})

    code, out, _ = world.run("show", file)

    assert code == exits.DONE
    assert out.splitlines()[:5] == [
        "Edge Root Rule Chain · root · 8 nodes",
        "3 Message Type Switch · TbMsgTypeSwitchNode",
        "├─ Post telemetry ─► 1 Save Timeseries · TbMsgTimeseriesNode",
        "│  └─ Success ─► 7 Push to cloud · TbMsgPushToCloudNode",
        "├─ Post attributes ─► 2 Save Client Attributes · TbMsgAttributesNode",
    ]
    assert "│  └─ Success ─► ↑ 7 Push to cloud" in out
    assert "└─ Attributes Deleted, Attributes Updated ─► 8 Push to cloud" in out


def test_show_names_what_does_not_start_and_what_is_alone(world: World) -> None:
    metadata = {"firstNodeIndex": 0, "nodes": [node("no.SuchNode", "x", {}), SAVE]}

    _, out, _ = world.run("show", world.file("chain.json", metadata))

    assert "✗ not supported on this edge" in out
    assert out.endswith("no message comes to:\n2 save · TbMsgTimeseriesNode\n")


def test_a_loop_is_drawn_once(world: World) -> None:
    links = [
        {"fromIndex": 0, "toIndex": 1, "type": "Success"},
        {"fromIndex": 1, "toIndex": 0, "type": "Success"},
    ]
    metadata = {"firstNodeIndex": 0, "nodes": [SAVE, PUSH], "connections": links}

    _, out, _ = world.run("show", world.file("chain.json", metadata))

    assert "   └─ Success ─► ↑ 1 save" in out


def test_trace_shows_the_way_and_test_what_comes_of_it(world: World) -> None:
    chain = world.file("warm.json", WARM)
    message = world.file("m.json", {"msg": {"t": 21}, "metadata": {"a": 1}})

    code, out, _ = world.run("trace", chain, "--message", message)
    assert code == exits.DONE
    assert [line.split("µs")[1].strip() for line in out.splitlines()[2:]] == [
        "─ True ─►",
        "─ Success ─►",
        "─ Success ─■",
    ]
    code, out, _ = world.run("test", chain, "--message", message)
    assert code == exits.DONE
    assert '{"t":21}\nevent: to cloud: DEVICE TIMESERIES_UPDATED' in out
    assert "telemetry: DEVICE:" in out


def test_test_gives_everything_as_json(world: World) -> None:
    chain = world.file("warm.json", WARM)
    message = world.file(
        "m.json", {"msg": '{"t":21}', "ts": 5, "msgType": "POST_TELEMETRY_REQUEST"}
    )

    _, out, _ = world.run("test", chain, "--message", message, "--json")

    told = json.loads(out)
    assert told["message"]["metadata"] == {
        "deviceName": "device", "deviceType": "default", "ts": "5",
    }  # fmt: skip  # one thought
    assert [step["node"] for step in told["steps"]] == ["warm?", "save", "push"]
    assert told["steps"][0]["out"][0]["relation"] == "True"
    assert told["steps"][0]["in"]["msg"] == {"t": 21}
    assert [effect["kind"] for effect in told["effects"]] == ["telemetry", "event"]
    assert told["failure"] is None


def test_a_message_that_fails_makes_test_fail(world: World) -> None:
    chain = {"firstNodeIndex": 0, "nodes": [tbel_filter("return 5;")]}
    message = world.file("m.json", {"msg": {"t": 21}})

    code, out, _ = world.run("test", world.file("c.json", chain), "--message", message)

    assert code == 1
    assert "─ Failure ─■" in out and "✗ the script must return a boolean" in out
    assert "failed: c.json / warm?: the script must return a boolean" in out


def test_what_speaks_with_others_is_passed_over(world: World) -> None:
    call = node("rest.TbRestApiCallNode", "call", {"restEndpointUrlPattern": "http://localhost:9/"})
    chain = world.file("c.json", {"firstNodeIndex": 0, "nodes": [call]})
    message = world.file("m.json", {"msg": {"t": 21}})

    code, out, _ = world.run("test", chain, "--message", message)
    assert code == exits.DONE and "passed over" in out
    code, out, _ = world.run("test", chain, "--message", message, "--outside")
    assert code == 1 and "passed over" not in out


def test_time_passes_only_when_asked(world: World) -> None:
    delay = node("delay.TbMsgDelayNode", "later", {"periodInSeconds": 60, "maxPendingMsgs": 10})
    metadata = {
        "firstNodeIndex": 0,
        "nodes": [delay, PUSH],
        "connections": [{"fromIndex": 0, "toIndex": 1, "type": "Success"}],
    }
    chain, message = world.file("c.json", metadata), world.file("m.json", {"msg": {"t": 21}})

    _, out, _ = world.run("test", chain, "--message", message)
    assert "event: to cloud" not in out
    _, out, _ = world.run("test", chain, "--message", message, "--wait", "61s")
    assert "event: to cloud" in out


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["test", "warm.json"], exits.USAGE, "--message"),
        (["dry-run"], exits.USAGE, "needs a chain"),
        (["show", "nowhere.json"], exits.CONFIGURATION, "No such file"),
        (["show", "m.json"], exits.CONFIGURATION, "holds no rule chain"),
        (["show", "text.json"], exits.CONFIGURATION, "holds no JSON object"),
        (["test", "warm.json", "--message", "warm.json"], exits.CONFIGURATION, "no message"),
        (["test", "warm.json", "--message", "stranger.json"], exits.CONFIGURATION, "originator"),
        (["test", "warm.json", "--message", "m.json", "--wait", "x"], 78, "is no time"),
    ],
)
def test_a_slip_is_told_in_words(world: World, argv: list[str], code: int, words: str) -> None:
    world.file("warm.json", WARM)
    world.file("m.json", {"msg": {}})
    world.file("text.json", "text")
    world.file("stranger.json", {"msg": {}, "originator": "nobody"})

    got, _, err = world.run(*argv)

    assert got == code and words in err


# --- chains in a data folder -------------------------------------------------------------------


def test_list_and_show_find_the_chains_of_the_folder(world: World) -> None:
    world.put("RULE_CHAIN", UUID(CHAIN), {"name": "Warm", "root": True})
    reference = {"ruleChainId": {"entityType": "RULE_CHAIN", "id": CHAIN}}
    metadata = msgspec.json.encode({**reference, **WARM})
    world.store(Unit(entities=[EntityWrite("RULE_CHAIN_METADATA", UUID(CHAIN), metadata)]))

    code, out, _ = world.in_folder("list", "--json")
    assert code == exits.DONE
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["name"], row["root"], row["nodes"]) for row in rows] == [
        ("Warm", "root", 3),
    ]
    for asked in ([], ["Warm"], [CHAIN]):
        _, out, _ = world.in_folder("show", *asked)
        assert out.startswith("Warm · root · 3 nodes\n1 warm? · TbJsFilterNode\n")
    code, _, err = world.in_folder("show", "Cold")
    assert code == exits.CONFIGURATION and "no rule chain 'Cold'" in err


def test_a_chain_from_a_file_meets_the_devices_of_the_folder(world: World) -> None:
    device = world.device("pump")
    message = world.file("m.json", {"msg": {"t": 21}, "originator": "pump"})

    _, out, _ = world.in_folder("test", world.file("c.json", WARM), "--message", message)

    assert f"telemetry: {device}" in out
    assert world.disk.points == {}, "a rehearsal writes nothing"


def test_dry_run_compares_what_would_go_up(world: World) -> None:
    pump, fan = world.device("pump"), world.device("fan")
    now = wall_clock_ms()
    series = [Series(pump, now - 60_000 * n, {"t": 15 + n, "s": "x"}) for n in range(1, 11)]
    series += [Series(fan, now - 1000, {"t": 30}), Series(fan, now - 90_000_000, {"t": 31})]
    world.store(Unit(series=series))

    code, out, _ = world.in_folder(
        "dry-run", world.file("c.json", WARM), "--since", "24h", "--json"
    )

    assert code == exits.DONE
    rows = {row["device"]: row for row in map(json.loads, out.splitlines())}
    assert list(rows) == ["pump", "fan", "all"]
    counts = ("messages", "events_before", "events_after")
    assert [rows["pump"][name] for name in counts] == [10, 10, 5]
    assert [rows["fan"][name] for name in counts] == [1, 1, 1]
    assert rows["pump"]["bytes_before"] == 2 * rows["pump"]["bytes_after"] > 0
    assert rows["all"]["events_after"] == 6
    assert world.disk.units[-1].series == series, "a rehearsal writes nothing"


def test_a_chain_takes_the_place_of_the_one_with_its_id_else_of_the_root(world: World) -> None:
    """A chain that is not the root one in the folder does not become it."""
    other = {"entityType": "RULE_CHAIN", "id": "0e5d5a10-0000-11f0-8000-00000000000b"}
    world.put("RULE_CHAIN", UUID(CHAIN), {"name": "Warm", "root": True})
    world.put("RULE_CHAIN", UUID(other["id"]), {"name": "Other", "root": False})
    for id in (CHAIN, other["id"]):
        body = msgspec.json.encode({"ruleChainId": {**other, "id": id}, **WARM})
        world.store(Unit(entities=[EntityWrite("RULE_CHAIN_METADATA", UUID(id), body)]))
    pump = world.device("pump")
    world.store(Unit(series=[Series(pump, wall_clock_ms() - 1000, {"t": 21})]))
    nothing = {"nodes": [SAVE], "firstNodeIndex": 0}

    for id, events_after in ((other["id"], 1), (str(new_uuid()), 0)):
        file = world.file("c.json", {"ruleChainId": {**other, "id": id}, **nothing})
        _, out, _ = world.in_folder("dry-run", file, "--json")
        row = json.loads(out.splitlines()[0])
        assert (row["events_before"], row["events_after"]) == (1, events_after)


def test_dry_run_sees_history_as_it_was(world: World) -> None:
    """A node that looks up the latest value must not see the future."""
    pump = world.device("pump")
    now = wall_clock_ms()
    world.store(Unit(series=[Series(pump, now - 3000 + 1000 * n, {"t": 20 + n}) for n in range(3)]))
    fetch = node(
        "metadata.TbGetAttributesNode",
        "latest",
        {"latestTsKeyNames": ["t"], "fetchTo": "METADATA", "getLatestValueWithTs": False},
    )
    past = tbel_filter("return metadata.t == null || metadata.t <= msg.t;")
    metadata = {
        "firstNodeIndex": 0,
        "nodes": [fetch, past, PUSH],
        "connections": [
            {"fromIndex": 0, "toIndex": 1, "type": "Success"},
            {"fromIndex": 1, "toIndex": 2, "type": "True"},
        ],
    }

    _, out, _ = world.in_folder("dry-run", world.file("c.json", metadata), "--json")

    assert json.loads(out.splitlines()[0])["events_after"] == 3


def test_dry_run_counts_what_selective_sync_holds_back(world: World) -> None:
    """The events counted are those that would really go up."""
    pump = world.device("pump")
    now = wall_clock_ms()
    points = [Series(pump, now - 1000 * n, {"t": 21}) for n in range(1, 6)]
    world.store(Unit(series=points))
    settings = world.folder / "appliance.toml"
    settings.write_text("[process.select]\ndeadband = {t = 1}\n")

    _, out, _ = world.in_folder(
        "dry-run", world.file("c.json", WARM), "--json", "--config", str(settings)
    )

    assert json.loads(out.splitlines()[0])["events_after"] == 1


def test_dry_run_lets_calculated_fields_take_part(world: World) -> None:
    """A field hears what the chain saves, and its results go through the chain, too."""
    pump = world.device("pump")
    now = wall_clock_ms()
    points = [Series(pump, now - 60_000 * n, {"t": 15 + n}) for n in range(1, 11)]
    world.store(Unit(series=points))
    double = {"type": "SIMPLE", **simple("t*2", "double", "t")}
    body = {"name": "double", "type": "SIMPLE", "entityId": pump.to_json(), "configuration": double}
    world.put("CALCULATED_FIELD", new_uuid(), body)
    settings = world.folder / "appliance.toml"

    for off, events_before in (("[]", 20), ('["SIMPLE"]', 10)):
        settings.write_text(f"[fields]\noff = {off}\n")
        _, out, _ = world.in_folder(
            "dry-run", world.file("c.json", WARM), "--json", "--config", str(settings)
        )
        row = json.loads(out.splitlines()[0])
        assert (row["events_before"], row["events_after"]) == (events_before, 5)


def field_of(device: EntityId, name: str, type: str, **configuration: Any) -> dict[str, Any]:
    """A calculated field of a device."""
    whole = {"type": type, **configuration}
    return {"name": name, "type": type, "entityId": device.to_json(), "configuration": whole}


@pytest.mark.parametrize(("later_ms", "latest"), [(7, False), (0, True)])
def test_dry_run_calculates_again_what_fields_had_calculated_and_does_not_play_it(
    world: World, later_ms: int, latest: bool
) -> None:
    """Results in history come again from their fields; a key that leads to itself is played."""
    pump = world.device("pump")
    now = wall_clock_ms()
    points = []
    for n in range(1, 11):
        ts = now - 60_000 * n
        results = {"double": 30, "script": 1, "SUM": 5}
        points += [Series(pump, ts, {"t": 15, "p": 1}), Series(pump, ts + later_ms, results)]
    world.store(Unit(series=points))
    metric = {"function": "SUM", "input": {"type": "key", "key": "t"}}
    series = {"output": {"type": "TIME_SERIES"}, "arguments": {"t": argument("t")}}
    yearly = {"interval": {"type": "YEAR", "tz": "UTC"}, "metrics": {"SUM": metric}}
    for body in (
        field_of(pump, "double", "SIMPLE", **simple("t*2", "double", "t", useLatestTs=latest)),
        field_of(pump, "there", "SIMPLE", **simple("p+1", "q", "p")),
        field_of(pump, "back", "SIMPLE", **simple("q-1", "p", "q")),
        field_of(pump, "script", "SCRIPT", expression="return {'script': t};", **series),
        field_of(pump, "sum", "ENTITY_AGGREGATION", **yearly, **series),
    ):
        world.put("CALCULATED_FIELD", new_uuid(), body)

    _, out, _ = world.in_folder("dry-run", world.file("c.json", WARM), "--json")

    row = json.loads(out.splitlines()[0])
    assert (row["messages"], row["events_before"]) == (10, 50)
