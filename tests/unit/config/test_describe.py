"""The configuration in words comes from the structs that validate it."""

import tomllib

import msgspec

from appliance.config import describe
from appliance.config.environment import KNOWN
from appliance.config.loader import Asked, PluginSections, load
from appliance.config.sections import SECTIONS


class TailConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Reads a file.

    path, mirror: where it is.
    every_s: how often to look.
    """

    path: str
    mirror: str = ""
    every_s: float = 1.0


PLUGINS = PluginSections(ingest={"tail": TailConfig})


def test_every_core_field_is_described():
    """A field without words is a field nobody can set."""
    bare = [
        ".".join(row.place)
        for name, kind in SECTIONS.items()
        for row in describe.rows((name,), kind)
        if not row.description
    ]

    assert bare == []


def test_descriptions_come_from_the_docstring_shared_labels_included():
    """`path, mirror: …` describes both."""
    assert describe.field_descriptions(TailConfig) == {
        "path": "where it is.",
        "mirror": "where it is.",
        "every_s": "how often to look.",
    }


def test_the_example_is_toml_and_with_its_comments_removed_means_the_defaults(tmp_path):
    """What we tell people to uncomment works."""
    text = describe.example(PluginSections())
    tomllib.loads(text)
    file = tmp_path / "a.toml"
    file.write_text("\n".join(
        line[1:] if line.startswith("#") and not line.startswith("# ") else line
        for line in text.splitlines()
    ))  # fmt: skip  # the comprehension reads better whole

    loaded = load(Asked(file=file), PluginSections())

    plain = load(Asked(), PluginSections())
    assert loaded.sources
    assert (loaded.cloud, loaded.uplink, loaded.log) == (plain.cloud, plain.uplink, plain.log)


def test_the_reference_names_every_field_and_its_variable():
    """One row each."""
    page = describe.reference(PLUGINS)

    assert "| `port` | int ≥ 0, ≤ 65535 | `8080` | `HTTP_BIND_PORT` |" in page
    assert "| `every_s` | float | `1.0` | `APPLIANCE_INGEST__TAIL__EVERY_S` |" in page


def test_the_schema_covers_core_and_plugins_with_the_loaders_keys():
    """Editors complete `enabled` too."""
    schema = describe.schema(PLUGINS)

    assert "batch_size" in schema["$defs"]["UplinkConfig"]["properties"]
    assert {"path", "every_s", "enabled"} <= set(schema["$defs"]["TailConfig"]["properties"])
    msgspec.json.encode(schema, enc_hook=str)


def test_known_variables_of_core_sections_lead_to_fields_that_exist():
    """A renamed field takes its variable along."""
    fields = {
        (name, field.name) for name, kind in SECTIONS.items()
        for field in msgspec.structs.fields(kind)
    }  # fmt: skip  # one thought

    lost = [v.name for v in KNOWN if v.path[0] in SECTIONS and v.path not in fields]

    assert lost == []
