"""The pages that need no login."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette

from appliance.kernel.metrics_model import Sample
from appliance.kernel.status import ComponentStatus, State
from appliance.model.unit import CLOUD
from appliance.web.pages import routes
from appliance.web.status import (
    LinkStatus,
    Status,
    StorageStatus,
    ledger_of,
    process_status,
)

NOW = 1_800_000_000_000


class Source:
    def __init__(self, **changes: Any) -> None:
        status = Status(
            role="edge",
            name="Hall <3>",
            now_ms=NOW,
            links=[LinkStatus(CLOUD, "connected", NOW, "cloud:7070", "", 0.2)],
            lanes=[],
            storage=StorageStatus(2**20, 2**30, None, False, [], {"segments": 3}),
            ledger=ledger_of([]),
            components=[ComponentStatus("ingest.http", State.RUNNING, NOW)],
            errors=[],
            process=process_status(NOW),
        )
        self.now = msgspec.structs.replace(status, **changes)

    def status(self) -> Status:
        return self.now


class Figures:
    def samples(self) -> list[Sample]:
        return [Sample("appliance_things_total", {}, 7, "counter", "Things.")]


async def ask(path: str, **changes: Any) -> tuple[int, dict[str, str], bytes]:
    app = Starlette(routes=routes(Source(**changes), Figures()))
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    await app(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, sent[1]["body"]


async def test_the_page_needs_nothing_from_elsewhere_and_may_run_only_itself() -> None:
    status, headers, body = await ask("/")
    page = body.decode()
    assert status == 200
    assert headers["content-type"].startswith("text/html")
    assert not re.search(r"""(src|href)="(?!data:)""", page)
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script.group(1).encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in headers["content-security-policy"]
    assert "innerHTML" not in page  # texts of devices and peers must stay texts


async def test_status_says_level_and_reasons() -> None:
    link = LinkStatus(CLOUD, "reconnecting", NOW, error="no route")
    _, headers, body = await ask("/status", links=[link])
    document = json.loads(body)
    assert document["level"] == "warning"
    assert document["checks"][0]["reason"] == "cloud: reconnecting: no route"
    assert document["name"] == "Hall <3>"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("full", [False, True])
async def test_ready_only_while_data_is_accepted(full: bool) -> None:
    storage = StorageStatus(1, 0, None, full, [], {})
    assert (await ask("/healthz", storage=storage))[0] == 200
    status, _, body = await ask("/readyz", storage=storage)
    assert status == (503 if full else 200)
    assert json.loads(body)["reasons"] == (["the storage is full"] if full else [])


async def test_metrics_hold_counted_and_read_figures() -> None:
    status, headers, body = await ask("/metrics")
    lines = body.decode().splitlines()
    assert status == 200
    assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert "appliance_things_total 7" in lines
    assert 'appliance_link_connected{outbox="cloud"} 1' in lines
    assert "appliance_storage_segments 3" in lines
    assert lines[-1] == "# EOF"
