"""TOML < environment < flags; every mistake names place, source and way out, all at once."""

from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from appliance.config.fields import Secret
from appliance.config.loader import Asked, PluginSections, load, load_first
from appliance.model.errors import ConfigError


class MqttConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A listener."""

    host: str = ""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 1883
    topics: tuple[str, ...] = ()


class FileConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A reader."""

    path: Path


class StoreConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A storage."""

    memory_bytes: int = 1


class WireConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A transport."""

    host: str = "localhost"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 7070
    connect_s_max: float = 5.0
    tls: bool = False
    tls_ca: str = ""
    proxy_host: str = ""


PLUGINS = PluginSections(
    transport={"grpc": WireConfig},
    storage={"duckdb": StoreConfig},
    ingest={"mqtt": MqttConfig, "file": FileConfig},
    external=frozenset({"ingest.file"}),
)


@pytest.fixture
def given(tmp_path):
    """settings(toml, environ, *flags)"""

    def settings(toml="", environ=None, *flags, plugins=PLUGINS):
        file = tmp_path / "a.toml"
        file.write_text(toml)
        return load(Asked(file=file, environ=environ or {}, flags=flags), plugins)

    return settings


def mistakes(call, *arguments, **named):
    with pytest.raises(ConfigError) as caught:
        call(*arguments, **named)
    return str(caught.value).splitlines()


def test_the_defaults_are_those_of_the_contract(given):
    """An empty file is a working configuration."""
    settings = given()

    assert settings.cloud.version == 13
    assert settings.cloud.reconnect_interval_ms == 3000
    assert settings.cloud.reconnect_max_interval_ms == 60_000
    assert settings.web.port == 8080
    assert settings.uplink.batch_size == 100
    assert settings.uplink.batch_timeout_ms == 1000
    assert settings.uplink.retry_interval_ms == 3000
    assert settings.uplink.max_retries == 10


def test_the_environment_beats_the_file_and_a_flag_beats_both(given):
    """And each value knows where it came from."""
    toml = "[uplink]\nbatch_size = 1\nwindow = 2\nmax_retries = 3\n"
    environ = {"APPLIANCE_UPLINK__BATCH_SIZE": "10", "APPLIANCE_UPLINK__WINDOW": "20"}

    settings = given(toml, environ, "uplink.batch_size=100")

    uplink = settings.uplink
    assert (uplink.batch_size, uplink.window, uplink.max_retries) == (100, 20, 3)
    assert settings.sources["uplink.batch_size"] == "flag --set uplink.batch_size"
    assert settings.sources["uplink.window"] == "environment APPLIANCE_UPLINK__WINDOW"
    assert settings.sources["uplink.max_retries"].endswith("a.toml line 4")


def test_the_environment_of_an_existing_installation_works_as_written(given):
    """The names of the original, with its values."""
    settings = given(
        "",
        {
            "CLOUD_ROUTING_KEY": "key",
            "CLOUD_ROUTING_SECRET": "sesame",
            "CLOUD_RPC_HOST": "tb.example.com",
            "CLOUD_RPC_PORT": "7071",
            "CLOUD_RPC_TIMEOUT": "5",
            "CLOUD_RPC_SSL_ENABLED": "true",
            "CLOUD_RPC_SSL_CERT": "/ca.pem",
            "MQTT_BIND_ADDRESS": "::1",
            "MQTT_BIND_PORT": "1884",
            "APPLIANCE_DATA_DIR": "/srv/data",
            "CLOUD_RPC_PROXY_PORT": "",
            "CLOUD_RPC_PROXY_HOST": "proxy",
            "CLOUD_RPC_PROXY_ENABLED": "false",
            "HTTP_BIND_PORT": "8081",
            "CLOUD_UPLINK_PACK_TIMEOUT_SEC": "30",
        },
    )

    assert settings.cloud.routing_key == "key"
    assert settings.cloud.secret.reveal() == "sesame"
    assert settings.transport.config == WireConfig(
        host="tb.example.com", port=7071, connect_s_max=5.0, tls=True, tls_ca="/ca.pem"
    )
    assert settings.web.port == 8081
    assert settings.ingest["mqtt"] == MqttConfig(host="::1", port=1884)
    assert settings.data_dir == Path("/srv/data")
    assert settings.uplink.ack_timeout_ms == 30_000
    assert settings.notes == ["CLOUD_RPC_TIMEOUT: read 5 as seconds"]


def test_a_timeout_in_milliseconds_is_taken_as_it_is(given):
    """Only what cannot be milliseconds is read as seconds."""
    settings = given("", {"CLOUD_RPC_TIMEOUT": "2500"})

    assert (settings.transport.config.connect_s_max, settings.notes) == (2.5, [])


def test_the_proxy_counts_where_it_is_enabled(given):
    """As in the original."""
    settings = given("", {"CLOUD_RPC_PROXY_HOST": "proxy", "CLOUD_RPC_PROXY_ENABLED": "TRUE"})

    assert settings.transport.config.proxy_host == "proxy"


def test_every_mistake_is_told_at_once_with_place_source_and_way_out(given, tmp_path):
    """One run, all lines."""
    toml = "[web]\nhots = 'x'\nport = 99999\n\n[uplnk]\nx = 1\n[ingest.mqtt]\nport = 'a'\n"

    lines = mistakes(given, toml, {"APPLIANCE_UPLINK__WINDOW": "many"})

    file = tmp_path / "a.toml"
    assert sorted(lines) == sorted(
        [
            f"web.hots: unknown; did you mean host? [{file} line 2]",
            f"web.port: expected `int` <= 65535, got 99999 [{file} line 3]",
            "uplink.window: expected `int`, got 'many' [environment APPLIANCE_UPLINK__WINDOW]",
            f"ingest.mqtt.port: expected `int`, got 'a' [{file} line 8]",
            f"uplnk: unknown; did you mean uplink? [{file} line 5]",
        ]
    )


def test_a_misspelt_variable_with_our_double_underscore_is_refused(given):
    """Others, such as those of an orchestrator, are not ours."""
    given("", {"APPLIANCE_PORT": "tcp://10.0.0.1:80", "APPLIANCE_SERVICE_HOST": "10.0.0.1"})

    assert mistakes(given, "", {"APPLIANCE_WEB__HOTS": "x"}) == [
        "web.hots: unknown; did you mean host? [environment APPLIANCE_WEB__HOTS]"
    ]


def test_a_field_in_the_wrong_section_is_shown_its_place(given):
    """People look for the server's name under [cloud]."""
    (line,) = mistakes(given, "", {}, "cloud.tls_ca=x")

    assert line == "cloud.tls_ca: unknown; it belongs to [transport] [flag --set cloud.tls_ca]"


def test_relations_between_fields_are_checked(given):
    """A key without its secret is a mistake of the section."""
    (line,) = mistakes(given, "[cloud]\nrouting_key = 'k'\n")

    assert "cloud: routing_key and secret belong together" in line
    assert line.endswith("line 1]")


def test_a_secret_shows_neither_in_errors_nor_in_prints(given):
    """It prints as ***."""
    (line,) = mistakes(given, "[cloud]\nsecret = 12345\n")
    settings = given("[cloud]\nrouting_key='k'\nsecret = 'sesame'\n")

    assert "12345" not in line
    assert "sesame" not in repr(settings)
    assert repr(Secret("x")) == str(Secret("x")) == "***"


def test_lists_in_variables_and_flags_are_json(given):
    """Anything else keeps its characters, an IPv6 address too."""
    settings = given("", {}, 'ingest.mqtt.topics=["a","b"]', "ingest.mqtt.host=[::1]")

    assert settings.ingest["mqtt"] == MqttConfig(host="[::1]", topics=("a", "b"))


def test_a_listener_can_be_switched_off(given):
    """enabled is the loader's key, not the plugin's."""
    assert "mqtt" not in given("[ingest.mqtt]\nenabled = false\nport = 1\n").ingest
    assert "mqtt" in given("[ingest.mqtt]\nenabled = true\n").ingest


def test_a_plugin_from_outside_runs_when_its_section_is_there(given):
    """Its required fields would otherwise refuse the start."""
    assert "file" not in given().ingest
    assert given("[ingest.file]\npath = '/x'\n").ingest["file"] == FileConfig(path=Path("/x"))


def test_a_mistake_in_a_section_from_outside_leaves_that_plugin_out(given):
    """It is told, and the house stands."""
    settings = given("[ingest.file]\npaht = '/x'\n")

    assert "file" not in settings.ingest
    assert "did you mean path?" in settings.refused["ingest.file"]


def test_the_section_of_a_plugin_that_failed_to_load_is_a_remark(given):
    """Only then; otherwise it is a mistake."""
    toml = "[ingest.modbus]\nunit = 1\n"
    (first, *_) = mistakes(given, toml)
    broken = msgspec.structs.replace(PLUGINS, broken=True)

    assert "ingest.modbus" in first
    assert any("ingest.modbus" in note for note in given(toml, plugins=broken).notes)


def test_the_storage_can_be_named(given):
    """By default the first there is."""
    assert given().storage.name == "duckdb"
    assert (
        given("[storage]\nplugin = 'duckdb'\nmemory_bytes = 5\n").storage.config.memory_bytes == 5
    )
    (line,) = mistakes(given, "[storage]\nplugin = 'duckbd'\n")
    assert "did you mean duckdb?" in line


def test_what_is_needed_before_plugins_is_read_alone(tmp_path):
    """A mistake elsewhere does not matter yet."""
    file = tmp_path / "a.toml"
    file.write_text("data_dir = '/d'\n[plugins]\ndir = 'more'\n[cloud]\nport = 'x'\n")

    data_dir, plugins = load_first(Asked(file=file))

    assert (data_dir, plugins.dir) == (Path("/d"), Path("more"))


def test_a_missing_or_broken_file_is_a_config_error(tmp_path):
    """With its name."""
    broken = tmp_path / "b.toml"
    broken.write_text("[cloud\n")

    assert "No such file" in mistakes(load, Asked(file=tmp_path / "none.toml"), PLUGINS)[0]
    assert "not TOML" in mistakes(load, Asked(file=broken), PLUGINS)[0]
    assert "expected section.field=value" in mistakes(load, Asked(flags=("x",)), PLUGINS)[0]
