"""Clients that are not ours against a running edge and its cloud: paho, mosquitto, curl.

From the source tree, or with APPLIANCE_BINARY from a frozen one.
"""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as paho
import pytest

from appliance.cloud.tenant import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.kit.process import House, wait_for

pytestmark = pytest.mark.slow

TELEMETRY, ATTRIBUTES = "v1/devices/me/telemetry", "v1/devices/me/attributes"
REQUESTS = "v1/devices/me/rpc/request/"
PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """An edge with three devices that it knows already, and its cloud."""
    made = House(tmp_path_factory.mktemp("house"), devices=3)
    made.cloud.start()
    made.edge.start()
    try:
        made.wait_accepting()
        for token in made.tokens:
            wait_for(lambda token=token: known(made, token), PATIENCE_S, "the device")
        yield made
        made.wait_drained()
    finally:
        codes = made.edge.stop(), made.cloud.stop()
    assert codes == (0, 0)


def known(house: House, token: str) -> bool:
    url = f"http://127.0.0.1:{house.http}/api/v1/{token}/attributes"
    return curl_status("-s", url) == 200


# --- the clients --------------------------------------------------------------------------------


def curl(*arguments: str) -> str:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = ["curl", "--max-time", "15", "-sS", *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def curl_status(*arguments: str) -> int:
    return int(curl("-o", "/dev/null", "-w", "%{http_code}", *arguments))


def mosquitto_pub(house: House, token: str, topic: str, body: str, qos: int = 1) -> None:
    if shutil.which("mosquitto_pub") is None:
        pytest.skip("mosquitto_pub is not installed")
    subprocess.run(
        [
            "mosquitto_pub",
            "-h",
            "127.0.0.1",
            "-p",
            str(house.mqtt),
            "-u",
            token,
            "-t",
            topic,
            "-m",
            body,
            "-q",
            str(qos),
        ],
        check=True,
        timeout=15,
        capture_output=True,
    )  # fmt: skip - as one would type it


class PahoDevice:
    """A device on paho: what it heard, and a thread of its own."""

    def __init__(self, house: House, token: str) -> None:
        self.heard: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._subscribed = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(token)
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_arguments: self._subscribed.set()
        self._client.connect("127.0.0.1", house.mqtt)
        self._client.loop_start()

    def _on_message(self, _client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        self.heard.put((message.topic, json.loads(message.payload)))

    def publish(self, topic: str, body: Any) -> None:
        """QoS 1; returns when it is acknowledged."""
        self._client.publish(topic, json.dumps(body), qos=1).wait_for_publish(PATIENCE_S)

    def subscribe(self, topic: str) -> None:
        self._subscribed.clear()
        self._client.subscribe(topic, qos=1)
        assert self._subscribed.wait(PATIENCE_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def device(house: House) -> Iterator[PahoDevice]:
    made = PahoDevice(house, house.tokens[0])
    yield made
    made.close()


class CloudRest:
    """The cloud's REST API by curl."""

    def __init__(self, house: House) -> None:
        self._url = f"http://127.0.0.1:{house.cloud_http}"
        login = {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
        self._token = ""
        self._token = json.loads(self.post("/api/auth/login", login))["token"]

    def get(self, path: str) -> Any:
        return json.loads(curl(*self._headers(), self._url + path))

    def post(self, path: str, body: Any) -> str:
        data = json.dumps(body)
        kind = "Content-Type: application/json"
        return curl(*self._headers(), "-H", kind, "-d", data, self._url + path)

    def latest(self, house: House, index: int, key: str) -> Any:
        """The newest value of a key of a device, as text like a server gives it; None if none."""
        id = house.devices[index].id
        path = f"/api/plugins/telemetry/DEVICE/{id}/values/timeseries?keys={key}"
        points = self.get(path).get(key) or [{"value": None}]
        return points[0]["value"]

    def attribute(self, house: House, index: int, scope: str, key: str) -> Any:
        id = house.devices[index].id
        path = f"/api/plugins/telemetry/DEVICE/{id}/values/attributes/{scope}?keys={key}"
        return next((each["value"] for each in self.get(path)), None)

    def _headers(self) -> list[str]:
        return ["-H", f"X-Authorization: Bearer {self._token}"] if self._token else []


@pytest.fixture(scope="module")
def cloud(house: House) -> CloudRest:
    return CloudRest(house)


# --- up -----------------------------------------------------------------------------------------


def test_paho_telemetry_arrives_at_the_cloud(
    house: House, device: PahoDevice, cloud: CloudRest
) -> None:
    device.publish(TELEMETRY, {"paho": 21.5})
    wait_for(lambda: cloud.latest(house, 0, "paho") == "21.5", PATIENCE_S, "the value")


@pytest.mark.parametrize("qos", [0, 1])
def test_mosquitto_telemetry_arrives_at_the_cloud(house: House, cloud: CloudRest, qos: int) -> None:
    key = f"mosquitto{qos}"
    mosquitto_pub(house, house.tokens[1], TELEMETRY, f'{{"{key}": {qos + 7}}}', qos)
    wait_for(lambda: cloud.latest(house, 1, key) == str(qos + 7), PATIENCE_S, "the value")


def test_curl_telemetry_arrives_at_the_cloud(house: House, cloud: CloudRest) -> None:
    url = f"http://127.0.0.1:{house.http}/api/v1/{house.tokens[2]}/telemetry"
    body = '[{"ts": 1700000000000, "values": {"curl": true}}]'
    assert curl_status("-H", "Content-Type: application/json", "-d", body, url) == 200
    wait_for(lambda: cloud.latest(house, 2, "curl") == "true", PATIENCE_S, "the value")


def test_client_attributes_arrive_at_the_cloud_and_are_read_back(
    house: House, device: PahoDevice, cloud: CloudRest
) -> None:
    device.publish(ATTRIBUTES, {"firmware": "v1.2"})
    wait_for(
        lambda: cloud.attribute(house, 0, "CLIENT_SCOPE", "firmware") == "v1.2",
        PATIENCE_S,
        "the attribute",
    )
    device.subscribe(f"{ATTRIBUTES}/response/+")
    device.publish(f"{ATTRIBUTES}/request/1", {"clientKeys": "firmware"})
    topic, body = device.heard.get(timeout=PATIENCE_S)
    assert (topic, body) == (f"{ATTRIBUTES}/response/1", {"client": {"firmware": "v1.2"}})


def test_an_unknown_token_is_refused(house: House) -> None:
    url = f"http://127.0.0.1:{house.http}/api/v1/NOBODY/telemetry"
    assert curl_status("-d", '{"a": 1}', url) == 401
    with pytest.raises(subprocess.CalledProcessError):
        mosquitto_pub(house, "NOBODY", TELEMETRY, '{"a": 1}')


# --- down ---------------------------------------------------------------------------------------


def test_a_shared_attribute_set_at_the_cloud_is_pushed_to_the_device(
    house: House, device: PahoDevice, cloud: CloudRest
) -> None:
    device.subscribe(ATTRIBUTES)
    id = house.devices[0].id
    cloud.post(f"/api/plugins/telemetry/DEVICE/{id}/attributes/SHARED_SCOPE", {"setpoint": 40})
    assert device.heard.get(timeout=PATIENCE_S) == (ATTRIBUTES, {"setpoint": 40})


def test_a_request_from_the_cloud_is_answered_by_the_device(
    house: House, device: PahoDevice, cloud: CloudRest
) -> None:
    device.subscribe(f"{REQUESTS}+")

    def answer() -> None:
        topic, body = device.heard.get(timeout=PATIENCE_S)
        number = topic.removeprefix(REQUESTS)
        device.publish(f"v1/devices/me/rpc/response/{number}", {"did": body["method"]})

    thread = threading.Thread(target=answer)
    thread.start()
    id = house.devices[0].id
    text = cloud.post(f"/api/rpc/twoway/{id}", {"method": "blink", "params": {"times": 2}})
    thread.join(PATIENCE_S)
    assert json.loads(text) == {"did": "blink"}
