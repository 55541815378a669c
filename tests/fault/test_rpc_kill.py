"""kill −9 of an edge that has a persistent request for a device that is not there yet."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.kit.hands import Refused, Rest
from tests.kit.process import House, connects, wait_for


@pytest.mark.fault
@pytest.mark.slow
def test_a_persistent_request_survives_the_edge_and_ends_on_the_cloud(tmp_path: Path) -> None:
    house = House(tmp_path)
    cloud, edge = Rest(house.cloud_http), Rest(house.http)
    house.cloud.start()
    house.edge.start()
    try:
        house.wait_drained()
        wait_for(lambda: status(edge, "/api/tenant/devices?pageSize=1&page=0"), 30, "the sync")
        asked = {"method": "open", "params": {"valve": 2}, "persistent": True}
        asked["expirationTime"] = int(time.time() * 1000) + 120_000
        answer = cloud.call("POST", f"/api/rpc/twoway/{house.devices[0].id}", asked)
        one = f"/api/rpc/persistent/{answer['rpcId']}"
        wait_for(lambda: status(edge, one) == "QUEUED", 30, "the edge to have it")
        restart(house)
        request = device(house, "GET", "?timeout=20000")
        assert (request["method"], request["params"]) == ("open", {"valve": 2})
        device(house, "POST", f"/{request['id']}", {"open": True})
        wait_for(lambda: status(cloud, one) == "SUCCESSFUL", 30, "the end on the cloud")
        assert cloud.call("GET", one)["response"] == {"open": True}
        restart(house)
        wait_for(lambda: status(edge, one) == "SUCCESSFUL", 30, "the edge to know it, too")
        with pytest.raises(urllib.error.HTTPError, match="408"):
            device(house, "GET", "?timeout=2000")
        assert house.edge.stop() == 0
    finally:
        house.edge.kill()
        assert house.cloud.stop() == 0


def restart(house: House) -> None:
    """The edge dies and is back."""
    house.edge.kill()
    house.edge.start()
    wait_for(lambda: connects(house.http), 30, "the edge to be back")
    house.wait_drained()


def status(side: Rest, path: str) -> Any:
    """The status of a request as that side tells it; None while it cannot."""
    try:
        answer = side.call("GET", path)
    except Refused:
        return None
    return answer.get("status", answer.get("totalElements"))


def device(house: House, method: str, path: str, body: Any = None) -> Any:
    """What the device does with requests, over HTTP."""
    url = f"http://127.0.0.1:{house.http}/api/v1/{house.tokens[0]}/rpc{path}"
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"null")
