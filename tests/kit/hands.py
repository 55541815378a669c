"""People at both ends of a site: they change things over REST as long as it answers.

A `Hand` works in a thread of its own on one side. It remembers what was acknowledged with 200, and
of what else it cannot know whether it was done.
"""

from __future__ import annotations

import json
import random
import threading
import urllib.error
import urllib.request
from collections import defaultdict
from typing import Any

from appliance.cloud.tenant import ADMIN_EMAIL, ADMIN_PASSWORD

BASE_MS = 1_700_000_000_000
SCOPES = ("SERVER_SCOPE", "SHARED_SCOPE")


class Refused(Exception):
    """No 200, for whatever reason."""


class Rest:
    """A tenant administrator of one side; logs in when it must."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._token = ""

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON. Raises Refused."""
        try:
            return self._call(method, path, body)
        except Refused as refused:
            if refused.args[0] != 401:
                raise
        login = {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
        self._token = self._call("POST", "/api/auth/login", login)["token"]
        return self._call(method, path, body)

    def _call(self, method: str, path: str, body: Any) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["X-Authorization"] = f"Bearer {self._token}"
        url = f"http://127.0.0.1:{self._port}{path}"
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 401:
                    self._token = ""
                raise Refused(error.code, error.read()[:200]) from None
        except (OSError, ValueError) as error:
            raise Refused(0, str(error)) from None
        return json.loads(text) if text else None


class Numbers:
    """1, 2, 3, … for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        """The next one."""
        with self._lock:
            self._last += 1
            return self._last


class Hand(threading.Thread):
    """Changes the devices of one side until `stop`; posts as the devices, if that side takes it.

    acked, unsure: labels by device id. made: names of devices that exist for certain.
    posted: values that a device was told to be kept, by device id.
    """

    def __init__(
        self, side: str, port: int, devices: dict[str, str], numbers: Numbers, seed: int
    ) -> None:
        super().__init__(daemon=True)
        self.rest = Rest(port)
        self.side = side
        self.acked: dict[str, list[str]] = defaultdict(list)
        self.unsure: dict[str, list[str]] = defaultdict(list)
        self.made: list[str] = []
        self.posted: dict[str, list[int]] = defaultdict(list)
        self.done = 0
        self._port = port
        self._devices = devices
        self._numbers = numbers
        self._chance = random.Random(seed)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End after what is being done."""
        self._stopped.set()
        self.join()

    def run(self) -> None:
        """One thing after another; what is refused is not tried again."""
        deeds = [self._label, self._attribute, self._forget, self._alarm, self._settle]
        if self.side == "edge":
            deeds += [self._post, self._post, self._make]
        while not self._stopped.is_set():
            try:
                self._chance.choice(deeds)(self._chance.choice(list(self._devices)))
                self.done += 1
            except Refused:
                self._stopped.wait(0.05)

    def _text(self) -> str:
        return f"{self.side} {self._numbers.next()}"

    def _label(self, device: str) -> None:
        body = self.rest.call("GET", f"/api/device/{device}")
        label = self._text()
        self.unsure[device].append(label)
        self.rest.call("POST", "/api/device", {**body, "label": label})
        self.acked[device].append(label)

    def _make(self, _device: str) -> None:
        if len(self.made) < 20:
            name = f"Made {self._numbers.next()}"
            self.rest.call("POST", "/api/device", {"name": name, "type": "default"})
            self.made.append(name)

    def _attribute(self, device: str) -> None:
        path = f"/api/plugins/telemetry/DEVICE/{device}/{self._chance.choice(SCOPES)}"
        self.rest.call("POST", path, {self._chance.choice("ab"): self._text()})

    def _forget(self, device: str) -> None:
        scope, key = self._chance.choice(SCOPES), self._chance.choice("ab")
        self.rest.call("DELETE", f"/api/plugins/telemetry/DEVICE/{device}/{scope}?keys={key}")

    def _alarm(self, device: str) -> None:
        entity = {"entityType": "DEVICE", "id": device}
        body = {"originator": entity, "type": "Hot", "severity": "MAJOR", "name": "Hot"}
        active = self._active(device)
        if active is None and self.side == "cloud":
            return  # two that are raised at once are one with two names, which REST shows
        known = {"id": active["id"]} if active else {}
        details = {"by": self._text()}
        self.rest.call("POST", "/api/alarm", {**(active or body), **known, "details": details})

    def _settle(self, device: str) -> None:
        active = self._active(device)
        if active is not None:
            step = self._chance.choice(("ack", "ack", "clear"))
            self.rest.call("POST", f"/api/alarm/{active['id']['id']}/{step}")

    def _active(self, device: str) -> dict[str, Any] | None:
        found = self.alarms(device)
        return next((alarm for alarm in found if not alarm["cleared"]), None)

    def alarms(self, device: str) -> list[dict[str, Any]]:
        """All alarms of a device."""
        path = f"/api/alarm/DEVICE/{device}?pageSize=1000&page=0"
        return list(self.rest.call("GET", path)["data"])

    def _post(self, device: str) -> None:
        number = self._numbers.next()
        body = {"ts": BASE_MS + number, "values": {"n": number}}
        self.rest.call("POST", f"/api/v1/{self._devices[device]}/telemetry", body)
        self.posted[device].append(number)

    def view(self) -> dict[str, Any]:
        """What this side shows of everything that both must agree about."""
        out: dict[str, Any] = {}
        for device in self._devices:
            body = self.rest.call("GET", f"/api/device/{device}")
            path = f"/api/plugins/telemetry/DEVICE/{device}/values/attributes"
            scopes = {scope: self.rest.call("GET", f"{path}/{scope}") for scope in SCOPES}
            kept = {
                (scope, row["key"]): (row["lastUpdateTs"], row["value"])
                for scope, rows in scopes.items()
                for row in rows
                if row["key"] in ("a", "b")
            }
            alarms = sorted(
                (str(a["details"]), a["acknowledged"], a["cleared"]) for a in self.alarms(device)
            )
            out[device] = (body["label"], kept, alarms)
        devices = self.rest.call("GET", "/api/tenant/devices?pageSize=1000&page=0")["data"]
        out["names"] = sorted(device["name"] for device in devices)
        return out
