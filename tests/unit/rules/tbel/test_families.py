"""What works here and fails on a server is told to the author."""

from __future__ import annotations

import pytest

from appliance.rules.tbel import FAMILIES, Family, compile_script

MSG = {"count": 7, "name": "Sensor A", "tags": ["a"]}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.id)
def test_the_example_of_a_family_runs_and_is_reported(family: Family) -> None:
    script = compile_script(family.example)
    assert script.run(MSG, {}, "T") is not None
    assert [warning.family for warning in script.warnings] == [family.id]
    assert script.warnings[0].line == 1


def test_an_ordinary_script_is_not_reported() -> None:
    text = "var a = [1, 2]; a[0] = a[1] + 1; msg.x += 1; msg.count = i++;"
    assert compile_script(text).warnings == ()


def test_a_switch_that_a_server_compiles_is_not_reported() -> None:
    text = (
        "var r = 0;\nswitch (msg.count) {\n  case 1:\n    r = 1;\n    break;\n"
        "  default:\n    r = 2;\n}\nreturn r;"
    )
    assert compile_script(text).warnings == ()
