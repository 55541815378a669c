"""The command line in one process: verbs, their output and their exit codes."""

import json
import os
import signal
import types
from pathlib import Path

import msgspec
import pytest
import trio

from appliance.cli import exits
from appliance.cli.entry import VERBS, enter
from appliance.extension.hookspecs import CommandSpec, StorageSpec, hookimpl
from appliance.kernel.data_dir import held
from appliance.model.errors import Fatal, Retryable
from appliance.model.ids import EntityId, new_uuid
from appliance.model.unit import CLOUD, Lane, OutboxEvent, Unit
from appliance.testing.memory_storage import MemoryDisk, MemoryStorage


class MemoryConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing to set."""


class Report(msgspec.Struct):
    """What fsck gives."""

    exit_code: int

    def to_text(self):
        return "damaged" if self.exit_code else "clean"

    def to_json(self):
        return json.dumps({"exit_code": self.exit_code})


class World:
    """A command line with a storage in memory; `run` gives the exit code."""

    def __init__(self, tmp_path):
        self.data_dir = tmp_path / "data"
        self.disk = MemoryDisk()
        self.damage = 0
        self.plugin = types.ModuleType("memory")
        self.environ = {"APPLIANCE_DATA_DIR": str(self.data_dir)}
        self.offer(register_storage=lambda: StorageSpec(
            "memory", MemoryConfig, lambda config, context: MemoryStorage(self.disk),
            fsck=lambda data_dir, repair: Report(0 if repair else self.damage),
            sql=lambda data_dir, statement: (["n", "said"], [(1, statement)]),
            write_parquet=lambda columns, rows, file: file.write_bytes(b"PAR1"),
        ))  # fmt: skip  # the spec reads better whole

    def offer(self, **hooks):
        for name, function in hooks.items():
            setattr(self.plugin, name, hookimpl(function))

    def run(self, *argv):
        return enter(argv, lambda: (self.plugin,), self.environ)


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return World(tmp_path)


def test_version_is_one_line_and_imports_no_plugin(capsys):
    """built_in is not even called."""
    assert enter(["version"], lambda: 1 / 0, {}) == exits.DONE
    assert capsys.readouterr().out.startswith("appliance 0.")


def test_help_lists_every_verb_and_every_exit_code(world, capsys):
    """The documented table is the printed one."""
    with pytest.raises(SystemExit) as left:
        world.run("--help")

    out = capsys.readouterr().out
    assert left.value.code == exits.DONE
    assert [verb for verb in VERBS if f"\n  {verb} " not in out] == []
    assert [code for code in exits.MEANING if f"{code}  " not in out] == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(world, verb, capsys):
    """And its module says what it does."""
    with pytest.raises(SystemExit) as left:
        world.run(verb, "--help")

    assert left.value.code == exits.DONE
    assert f"usage: appliance {verb}" in capsys.readouterr().out


def test_a_misspelt_verb_is_a_usage_error_with_a_hint(world, capsys):
    """Like a misspelt setting."""
    assert world.run("quarantin") == exits.USAGE
    assert "did you mean quarantine?" in capsys.readouterr().err


def test_no_verb_prints_the_help_as_a_usage_error(world, capsys):
    """On standard error: a script that expects output must not take it for one."""
    assert world.run() == exits.USAGE
    assert "usage: appliance VERB" in capsys.readouterr().err


def test_a_plugin_adds_a_verb(world, capsys):
    """Its arguments are its own; help lists it."""
    got = []
    world.offer(register_commands=lambda: CommandSpec(
        "calibrate", "sets the zero", lambda arguments: got.append(arguments) or 5
    ))  # fmt: skip  # the spec reads better whole

    assert world.run("calibrate", "--zero", "3") == 5
    assert got == [["--zero", "3"]]
    with pytest.raises(SystemExit):
        world.run("--help")
    assert "sets the zero" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (Fatal("broken", hint="replace it"), exits.FATAL, "fatal: broken (replace it)"),
        (Retryable("busy"), exits.TRY_AGAIN, "try again: busy"),
        (ZeroDivisionError("x"), exits.FATAL, "ZeroDivisionError: x"),
        (ExceptionGroup("g", [Retryable("a"), Fatal("b")]), exits.FATAL, "fatal: b"),
    ],
)
def test_what_a_verb_raises_becomes_words_and_a_code(world, capsys, error, code, line):
    """The operator sees a line, not a stack, unless it is a surprise."""

    def raise_error(arguments):
        raise error

    world.offer(register_commands=lambda: CommandSpec("fail", "fails", raise_error))

    assert world.run("fail") == code
    assert line in capsys.readouterr().err


def test_check_accepts_a_good_configuration_and_refuses_a_bad_one(world, capsys):
    """78, with place, origin and way out."""
    assert world.run("check") == exits.DONE
    assert world.run("check", "--set", "uplink.windw=3") == exits.CONFIGURATION

    out, err = capsys.readouterr()
    assert out == "the configuration is valid\n"
    assert (
        err
        == "configuration: uplink.windw: unknown; did you mean window? [flag --set uplink.windw]\n"
    )


def test_check_does_not_touch_the_world(world):
    """Not even the data folder is made."""
    world.run("check")

    assert not world.data_dir.exists()


def test_check_with_probe_looks_at_folder_and_port(world, capsys):
    """A port that is taken is worth another try later."""
    assert world.run("check", "--probe", "--set", "web.port=0") == exits.DONE
    assert "ours" in capsys.readouterr().out
    with held(world.data_dir):
        assert world.run("check", "--probe", "--set", "web.port=0") == exits.TRY_AGAIN


def test_check_refuses_when_a_plugin_from_outside_is_wrong(world, capsys):
    """`run` would go on without it; `check` is the moment to hear of it."""
    folder = world.data_dir / "plugins"
    folder.mkdir(parents=True)
    (folder / "bad-1.0-py3-none-any.whl").write_bytes(b"")

    assert world.run("check") == exits.CONFIGURATION
    assert "plugin bad-1.0" in capsys.readouterr().err


def test_plugins_lists_what_is_plugged_in(world, capsys):
    """JSON is one object a line."""
    assert world.run("plugins", "--format", "json") == exits.DONE
    assert json.loads(capsys.readouterr().out) == {
        "plugin": "memory", "state": "loaded", "origin": "built-in", "version": "",
        "offers": "storage memory",
    }  # fmt: skip  # the row in order


def test_schema_prints_json_toml_and_markdown(world, capsys):
    """All from the same structs."""
    assert world.run("schema") == exits.DONE
    assert "$defs" in json.loads(capsys.readouterr().out)
    assert world.run("schema", "--format", "toml") == exits.DONE
    assert "[uplink]" in capsys.readouterr().out
    assert world.run("schema", "--format", "markdown") == exits.DONE
    assert capsys.readouterr().out.startswith("# Configuration")


async def put_aside(disk, body):
    storage = MemoryStorage(disk)
    async with trio.open_nursery() as nursery:
        await nursery.start(storage.run)
        device = EntityId("DEVICE", new_uuid())
        await storage.commit(
            [Unit(events=[OutboxEvent(CLOUD, Lane.DATA, "DEVICE", "ADDED", device, body)])]
        )
        (event,) = await storage.pending(CLOUD, Lane.DATA, None, 10, 10_000)
        await storage.quarantine(CLOUD, Lane.DATA, event, "too big", 99)
        nursery.cancel_scope.cancel()


@pytest.fixture
def quarantined(world):
    world.data_dir.mkdir()
    trio.run(put_aside, world.disk, b'{"a":1}')
    return world


def test_quarantine_list_names_position_and_reason(quarantined, capsys):
    """What an operator needs to decide."""
    assert quarantined.run("quarantine", "list", "--format", "json") == exits.DONE

    line = json.loads(capsys.readouterr().out)
    assert (line["reason"], line["size"], line["lane"]) == ("too big", 99, "data")
    assert line["position"].endswith(".0")


def test_quarantine_export_has_the_body(quarantined, tmp_path):
    """One JSON object a line, to a file."""
    file = tmp_path / "out.jsonl"

    assert quarantined.run("quarantine", "export", "--output", str(file)) == exits.DONE
    assert json.loads(file.read_text())["body"] == '{"a":1}'


def test_quarantine_retry_puts_the_chosen_back(quarantined, capsys):
    """A position that is not there changes nothing."""
    assert quarantined.run("quarantine", "retry", "999.0") == exits.DONE
    assert quarantined.run("quarantine", "retry") == exits.DONE
    assert quarantined.run("quarantine", "list", "--format", "json") == exits.DONE

    assert capsys.readouterr().out == ("0 events will be sent again\n1 events will be sent again\n")


def test_fsck_prints_its_report_and_ends_with_70_when_damage_remains(world, capsys):
    """Repaired is fine."""
    world.data_dir.mkdir()
    world.damage = 1

    assert world.run("fsck") == exits.FATAL
    assert world.run("fsck", "--json") == exits.FATAL
    assert world.run("fsck", "--repair") == exits.DONE
    assert capsys.readouterr().out == 'damaged\n{"exit_code": 1}\nclean\n'


def test_sql_prints_rows_in_the_format_asked_for(world, tmp_path, capsys):
    """Or writes them to a file."""
    world.data_dir.mkdir()
    file = tmp_path / "rows.parquet"

    assert world.run("sql", "SELECT 1", "--format", "csv") == exits.DONE
    assert world.run("sql", "SELECT 1", "--format", "parquet", "--output", str(file)) == exits.DONE
    assert capsys.readouterr().out == "n,said\n1,SELECT 1\n"
    assert file.read_bytes() == b"PAR1"


def test_sql_needs_a_file_for_parquet(world, capsys):
    """A usage error before anything is opened."""
    assert world.run("sql", "SELECT 1", "--format", "parquet") == exits.USAGE


def test_asking_a_data_folder_that_is_in_use_is_worth_another_try(world, capsys):
    """The holder is named."""
    with held(world.data_dir):
        assert world.run("quarantine", "list") == exits.TRY_AGAIN

    assert f"in use by process {os.getpid()}" in capsys.readouterr().err


def test_asking_a_data_folder_that_does_not_exist_makes_none(world, capsys):
    """A misspelt path must not look like an empty outbox."""
    assert world.run("quarantine", "list") == exits.CONFIGURATION
    assert not world.data_dir.exists()


def test_selftest_tells_its_result_in_one_line(capsys):
    """What is not plugged in is skipped, and said to be."""
    plugin = types.ModuleType("nothing")
    plugin.register_ingest = hookimpl(lambda: None)

    assert enter(["selftest"], lambda: (plugin,), {}) == exits.DONE

    out = capsys.readouterr().out
    assert out.startswith("selftest passed: ")
    assert out.count("\n") == 1


def test_selftest_names_what_failed(capsys):
    """And ends with 70."""
    assert enter(["selftest"], lambda: (), {}) == exits.FATAL
    assert capsys.readouterr().out.endswith(": plugins\n")


def test_the_lock_goes_with_its_holder(tmp_path):
    """And the folder is private."""
    with held(tmp_path / "d"):
        pass
    with held(tmp_path / "d"):
        assert (tmp_path / "d").stat().st_mode & 0o777 == 0o700


def test_a_broken_configuration_file_is_named(world, capsys):
    """The file, not a stack."""
    Path("appliance.toml").write_text("[cloud")

    assert world.run("run") == exits.CONFIGURATION
    assert "appliance.toml: not TOML" in capsys.readouterr().err


def test_interrupting_a_verb_is_130(world):
    """As a shell expects."""

    def interrupt(arguments):
        # As from a terminal: a shell's background jobs, these tests too, may have it ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.raise_signal(signal.SIGINT)
        return 0

    world.offer(register_commands=lambda: CommandSpec("slow", "is slow", interrupt))

    assert world.run("slow") == 130
