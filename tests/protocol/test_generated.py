"""The generated package is what proto/ says, and proto/ is what a real server speaks."""

from __future__ import annotations

import base64
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from tests.kit import google_proto

ROOT = Path(__file__).resolve().parents[2]
TRACES = sorted((ROOT / "tests" / "fixtures" / "traces").glob("*.jsonl"))


def test_the_generated_package_is_what_the_compiler_makes_today() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "build" / "generate_proto.py")
    assert spec is not None and spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.main(["--check"]) == 0


@pytest.mark.parametrize("trace", TRACES, ids=lambda path: path.stem)
def test_every_recorded_message_reads_as_it_was_recorded(trace: Path) -> None:
    for line in trace.read_text("utf-8").splitlines():
        record = json.loads(line)
        if "raw" not in record:
            continue
        name = "edge.RequestMsg" if record["dir"] == "up" else "edge.ResponseMsg"
        message = google_proto.parse(name, base64.b64decode(record["raw"]))
        assert _names(json_format.MessageToDict(message)) == _names(record["msg"])


def _names(value: Any) -> Any:
    """Enum names out of numbers where the recorder knew fewer than we do."""
    if isinstance(value, dict):
        return {key: _names(inner) for key, inner in value.items() if key != "edgeVersion"}
    return [_names(inner) for inner in value] if isinstance(value, list) else value
