"""Plugins by port and name; our mistakes end the start, others' mistakes are told."""

import sys
import types
import zipfile

import msgspec
import pytest

from appliance.extension import hookspecs
from appliance.extension.external import load_external
from appliance.extension.hookspecs import (
    CommandSpec,
    Context,
    IngestSpec,
    ProcessorSpec,
    RoutesSpec,
    RuleNodesSpec,
    StorageSpec,
    TransportSpec,
    hookimpl,
)
from appliance.extension.registry import Registry
from appliance.kernel import events
from appliance.model.errors import Fatal


class EmptyConfig(msgspec.Struct, frozen=True):
    """Nothing to set."""


def build(*arguments):
    return arguments


def plugin(**hooks):
    """A plugin object with these hook implementations."""
    module = types.ModuleType("sample")
    for name, function in hooks.items():
        setattr(module, name, hookimpl(function))
    return module


def taken(**hooks):
    registry = Registry()
    registry.add_built_in([plugin(**hooks)])
    return registry


CONTEXT = Context("edge", None, int, events.ignore)


def test_register_storage_offers_a_storage():
    """By its name."""
    spec = StorageSpec("s", EmptyConfig, build)
    registry = taken(register_storage=lambda: spec)

    assert registry.storages == {"s": spec}
    assert registry.sections().storage == {"s": EmptyConfig}


def test_register_transport_offers_a_transport():
    """By its name."""
    spec = TransportSpec("t", EmptyConfig, build)

    assert taken(register_transport=lambda: spec).transports == {"t": spec}


def test_register_ingest_offers_one_listener_or_several():
    """A list or one."""
    specs = [IngestSpec("a", EmptyConfig, build), IngestSpec("b", EmptyConfig, build)]

    assert list(taken(register_ingest=lambda: specs).ingests) == ["a", "b"]
    assert list(taken(register_ingest=lambda: specs[0]).ingests) == ["a"]
    assert taken(register_ingest=lambda: None).ingests == {}


def test_register_processor_offers_selective_sync_by_name():
    """One or several."""
    spec = ProcessorSpec("p", EmptyConfig, build)

    assert taken(register_processor=lambda: spec).processors == {"p": spec}


def test_register_rule_nodes_offers_factories_by_class_name():
    """One family, many nodes."""
    spec = RuleNodesSpec("filter", {"org.x.A": build, "org.x.B": build})

    assert sorted(taken(register_rule_nodes=lambda: spec).rule_nodes) == ["org.x.A", "org.x.B"]


def test_register_routes_offers_an_application_under_a_prefix():
    """By its prefix."""
    spec = RoutesSpec("/x", build)

    assert taken(register_routes=lambda: [spec]).routes == {"/x": spec}


def test_register_commands_offers_a_verb():
    """By its name."""
    spec = CommandSpec("calibrate", "Calibrates.", build)

    assert taken(register_commands=lambda: spec).commands == {"calibrate": spec}


def test_appliance_ready_reaches_every_plugin_and_failures_are_collected():
    """One that raises does not silence the next; taking no argument is allowed."""
    told, events = [], []
    registry = Registry()

    def broken(context):
        raise ValueError("no")

    first, second, third = (
        plugin(appliance_ready=lambda context: told.append(context.role)),
        plugin(appliance_ready=broken),
        plugin(appliance_ready=lambda: told.append("plain")),
    )
    for number, each in enumerate((first, second, third)):
        registry.add_external(each, f"p{number}", "x.whl", "1")

    registry.tell_ready(Context("edge", None, int, events.append))

    assert sorted(told) == ["edge", "plain"]
    assert [(event.plugin, event.error) for event in events] == [("p1", "ValueError: no")]


def test_appliance_stopping_reaches_plugins():
    """Before anything is closed."""
    told = []
    registry = taken(appliance_stopping=lambda context: told.append(context.role))

    registry.tell_stopping(CONTEXT)

    assert told == ["edge"]


def test_every_hook_has_a_doc_and_a_test_here():
    """A hook without either is a promise nobody keeps."""
    hooks = [
        name for name in dir(hookspecs) if hasattr(getattr(hookspecs, name), "edge_appliance_spec")
    ]
    tests = [name for name in globals() if name.startswith("test_")]

    assert len(hooks) <= 9
    for hook in hooks:
        assert getattr(hookspecs, hook).__doc__, f"{hook} has no docstring"
        assert any(name.startswith(f"test_{hook}_") for name in tests), f"{hook} has no test"


async def _never():
    """What a hook must not be."""


@pytest.mark.parametrize(
    ("hooks", "message"),
    [
        ({"register_ingest": _never}, "register_ingest is async"),
        ({"register_ingset": lambda: None}, "unknown hook 'register_ingset'"),
        ({"register_ingest": lambda config: None}, "Argument.*config.*declared in the hookimpl"),
        ({"register_ingest": lambda: "http"}, "register_ingest gave a str, not a IngestSpec"),
    ],
)
def test_a_wrong_hook_is_refused_in_words(hooks, message):
    """The plugin and the hook are named."""
    with pytest.raises(Fatal, match=f"(?s)plugin sample: .*{message}"):
        taken(**hooks)


def test_a_name_offered_twice_is_refused_and_the_first_stays():
    """Nothing of the second plugin is kept."""
    registry = taken(register_ingest=lambda: IngestSpec("http", EmptyConfig, build))
    first = registry.ingests["http"]
    second = plugin(
        register_ingest=lambda: IngestSpec("http", EmptyConfig, build),
        register_commands=lambda: CommandSpec("c", "C.", build),
    )

    registry.add_external(second, "copycat", "c.whl", "1")

    assert registry.ingests["http"] is first
    assert registry.commands == {}
    assert [failure.reason for failure in registry.failures] == [
        "plugin copycat: there is already a ingest http"
    ]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A plugin folder; the import path is put back afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


SOURCE = """
import msgspec
from appliance.extension.hookspecs import IngestSpec, hookimpl

class {name}Config(msgspec.Struct, frozen=True):
    "Nothing to set."

@hookimpl
def register_ingest():
    return IngestSpec("{name}", {name}Config, lambda *given: given)
"""


def wheel(folder, name, source, entry=None):
    with zipfile.ZipFile(folder / f"{name}-1.2-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", source)
        meta = f"{name}-1.2.dist-info"
        archive.writestr(f"{meta}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        if entry:
            archive.writestr(f"{meta}/entry_points.txt", f"[edge_appliance]\n{name} = {entry}\n")


def test_a_wheel_is_loaded_by_its_entry_point_and_listed_as_external(folder):
    """With the version of its metadata."""
    wheel(folder, "tailor", SOURCE.format(name="tailor"), "tailor")
    registry = Registry()
    load_external(folder, registry)

    (found,) = registry.plugins
    assert (found.name, found.origin, found.version) == (
        "tailor", "tailor-1.2-py3-none-any.whl", "1.2"
    )  # fmt: skip  # name, origin, version
    assert found.offers == ("ingest tailor",)
    assert registry.is_external("ingest", "tailor")
    assert registry.sections().external == frozenset({"ingest.tailor"})


def test_a_wheel_may_import_another_wheel_beside_it(folder):
    """A library is a wheel without our entry point."""
    wheel(folder, "zlibrary", "NAME = 'x'\n")
    wheel(folder, "alpha", "import zlibrary\n" + SOURCE.format(name="alpha"), "alpha")
    registry = Registry()
    load_external(folder, registry)

    assert [found.name for found in registry.plugins] == ["alpha"]
    assert registry.failures == []


def test_a_package_folder_is_a_plugin(folder):
    """For development: no packaging needed."""
    (folder / "bench_ingest").mkdir()
    (folder / "bench_ingest" / "__init__.py").write_text(SOURCE.format(name="bench"))
    registry = Registry()
    load_external(folder, registry)

    assert [found.origin for found in registry.plugins] == ["bench_ingest/"]


def test_an_unpacked_wheel_is_loaded_by_its_entry_point(folder):
    """The way for wheels with compiled parts."""
    wheel(folder, "unpacked", SOURCE.format(name="unpacked"), "unpacked")
    (archive,) = folder.glob("*.whl")
    zipfile.ZipFile(archive).extractall(folder / "unpacked-1.2")
    archive.unlink()
    registry = Registry()
    load_external(folder, registry)

    assert [found.name for found in registry.plugins] == ["unpacked"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_noted_and_the_next_is_loaded(folder, source, reason):
    """Never fatal."""
    wheel(folder, "bad", source, "bad")
    wheel(folder, "good", SOURCE.format(name="good"), "good")
    registry = Registry()
    load_external(folder, registry)

    assert [failure.name for failure in registry.failures] == ["bad"]
    assert registry.failures[0].reason.startswith(reason)
    assert [found.name for found in registry.plugins] == ["good"]
    assert registry.sections().broken


def test_a_file_that_is_no_wheel_is_noted_and_a_missing_folder_is_empty(folder):
    """Half a download is told, not skipped."""
    (folder / "broken-1.0-py3-none-any.whl").write_bytes(b"not a zip")
    registry = Registry()
    load_external(folder, registry)
    load_external(folder / "none", registry)

    assert [(failure.name, failure.reason) for failure in registry.failures] == [
        ("broken-1.0-py3-none-any", "not a wheel: the file is damaged or no zip archive")
    ]
