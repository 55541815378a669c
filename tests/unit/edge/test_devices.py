"""Devices made on the edge: over REST, behind a gateway, by provisioning."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from appliance.edge.devices import behind_gateway, make_device, random_token
from appliance.edge.provision import FAILURE, NOT_FOUND, Outcome, provision
from appliance.model.errors import Permanent
from appliance.model.ids import EntityId, created_time_ms
from appliance.model.telemetry import Scope
from appliance.model.unit import Lane, Unit
from appliance.state.store import State
from tests.unit.edge.world import add_device, small_state, store


def actions(unit: Unit) -> list[tuple[str, str]]:
    assert all(event.lane is Lane.ENTITY for event in unit.events)
    return [(event.type, event.action) for event in unit.events]


def test_a_device_comes_with_a_token_and_is_sent_up_in_the_same_unit() -> None:
    state = small_state()
    device, unit = make_device(state, "Pump")
    assert actions(unit) == [("DEVICE", "ADDED")]
    state.apply(unit)
    body, credentials = state.entity("DEVICE", device), state.entity("DEVICE_CREDENTIALS", device)
    assert body is not None and credentials is not None
    assert (body["name"], body["type"], body["version"]) == ("Pump", "default", None)
    assert body["createdTime"] == created_time_ms(device) > 0
    assert len(credentials["credentialsId"]) == 20


def test_a_name_is_taken_once() -> None:
    state = small_state()
    add_device(state, "Pump", "T")
    with pytest.raises(Permanent, match="already exists"):
        make_device(state, "Pump")


def test_without_a_default_profile_there_is_a_hint() -> None:
    with pytest.raises(Permanent, match="connect to the cloud"):
        make_device(State(), "Pump")


def test_a_new_profile_has_nothing_of_the_default_one_that_a_server_takes_once_only() -> None:
    state = small_state()
    default = state.ids("DEVICE_PROFILE")[0]
    once = {"provisionDeviceKey": "key", "externalId": {"id": "x"}, "firmwareId": {"id": "y"}}
    body = state.entity("DEVICE_PROFILE", default) or {}
    store(state, "DEVICE_PROFILE", default, **{**body, **once, "profileData": {"alarms": [{}]}})
    _, unit = make_device(state, "P", "pumps")
    state.apply(unit)
    fresh = state.by_name("DEVICE_PROFILE", "pumps") or {}
    assert [fresh[field] for field in once] == [None] * len(once)
    assert fresh["profileData"]["alarms"] is None


def test_an_unknown_profile_is_made_and_goes_up_first() -> None:
    state = small_state()
    _, unit = make_device(state, "Pump", "pumps")
    assert actions(unit) == [("DEVICE_PROFILE", "ADDED"), ("DEVICE", "ADDED")]
    state.apply(unit)
    profile = state.by_name("DEVICE_PROFILE", "pumps")
    assert profile is not None and profile["default"] is False
    _, second = make_device(state, "Pump 2", "pumps")
    assert actions(second) == [("DEVICE", "ADDED")]


def test_tokens_are_letters_and_digits_and_differ() -> None:
    tokens = {random_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(token.isalnum() and len(token) == 20 for token in tokens)


# --- behind a gateway ---------------------------------------------------------------------------


def test_a_device_behind_a_gateway_is_made_with_its_relation() -> None:
    state = small_state()
    gateway = add_device(state, "Gateway", "G")
    device, unit = behind_gateway(state, gateway, "Sensor", None)
    assert actions(unit) == [("DEVICE", "ADDED"), ("RELATION", "RELATION_ADD_OR_UPDATE")]
    state.apply(unit)
    (relation,) = state.relations_from(EntityId("DEVICE", gateway))
    assert (relation.target.id, relation.type) == (device, "Created")
    body = state.entity("DEVICE", device)
    assert body is not None
    assert body["additionalInfo"] == {"lastConnectedGateway": str(gateway)}


def test_a_known_device_is_marked_once_per_gateway() -> None:
    state = small_state()
    first, second = add_device(state, "G1", "A"), add_device(state, "G2", "B")
    known = add_device(state, "Sensor", "S")
    for gateway, events in ((first, 1), (first, 0), (second, 1)):
        device, unit = behind_gateway(state, gateway, "Sensor", "default")
        assert device == known
        assert len(unit.events) == events
        state.apply(unit)


# --- provisioning -------------------------------------------------------------------------------

KEY = {"provisionDeviceKey": "key", "provisionDeviceSecret": "secret"}


def provisioning_state(kind: str) -> State:
    state = small_state()
    secret = {"provisionConfiguration": {"provisionDeviceSecret": "secret"}}
    store(
        state,
        "DEVICE_PROFILE",
        name="fresh",
        default=False,
        provisionDeviceKey="key",
        provisionType=kind,
        profileData=secret,
    )
    return state


@pytest.mark.parametrize(
    ("request_body", "answer"),
    [
        ({**KEY, "provisionDeviceKey": "other"}, NOT_FOUND),
        ({**KEY, "provisionDeviceSecret": "wrong"}, NOT_FOUND),
        ({**KEY, "deviceName": "taken"}, FAILURE),
        ({**KEY, "credentialsType": "X509_CERTIFICATE"}, FAILURE),
        ({**KEY, "credentialsType": "LWM2M"}, FAILURE),
        ({**KEY, "token": "T"}, FAILURE),
        ({**KEY, "credentialsType": "MQTT_BASIC", "password": "p"}, FAILURE),
        ({**KEY, "deviceName": "x" * 256}, FAILURE),
        ({**KEY, "deviceName": " "}, FAILURE),
    ],
)
def test_refusals_change_nothing(request_body: dict[str, Any], answer: dict[str, Any]) -> None:
    state = provisioning_state("ALLOW_CREATE_NEW_DEVICES")
    add_device(state, "taken", "T")
    outcome = provision(state, request_body, 5)
    assert outcome.answer == answer
    assert not outcome.unit


def test_a_number_is_as_good_a_name_and_an_object_is_none() -> None:
    state = provisioning_state("ALLOW_CREATE_NEW_DEVICES")
    asked = {**KEY, "deviceName": 42, "gateway": "true", "other": {}}
    state.apply(provision(state, asked, 5).unit)
    made = state.by_name("DEVICE", "42")
    assert made is not None and made["additionalInfo"] == {"gateway": True}
    with pytest.raises(Permanent):
        provision(state, {**KEY, "deviceName": {}}, 5)


@pytest.mark.parametrize("missing", KEY)
def test_a_request_without_its_key_or_secret_is_none(missing: str) -> None:
    with pytest.raises(Permanent):
        provision(small_state(), {key: value for key, value in KEY.items() if key != missing}, 5)


@pytest.mark.parametrize(
    ("asked", "kind", "value"),
    [
        ({"token": "mine"}, "ACCESS_TOKEN", "mine"),
        (
            {"credentialsType": "MQTT_BASIC", "clientId": "c", "username": "u", "password": "p"},
            "MQTT_BASIC",
            {"clientId": "c", "userName": "u", "password": "p"},
        ),
        ({"credentialsType": "X509_CERTIFICATE", "hash": "PEM"}, "X509_CERTIFICATE", "PEM"),
    ],
)
def test_a_new_device_gets_the_credentials_it_asked_for(
    asked: dict[str, Any], kind: str, value: Any
) -> None:
    state = provisioning_state("ALLOW_CREATE_NEW_DEVICES")
    outcome = provision(state, {**KEY, "deviceName": " New ", **asked}, 5)
    success = {"status": "SUCCESS", "credentialsType": kind, "credentialsValue": value}
    assert outcome.answer == success
    state.apply(outcome.unit)
    made = state.by_name("DEVICE", "New")
    assert made is not None and made["type"] == "fresh"


def test_a_pre_provisioned_device_is_told_its_credentials_once() -> None:
    state = provisioning_state("CHECK_PRE_PROVISIONED_DEVICES")
    device = add_device(state, "Known", "T", profile="fresh")
    asked = {**KEY, "deviceName": "Known", "token": "other"}
    outcome = provision(state, asked, 5)
    success = {"status": "SUCCESS", "credentialsType": "ACCESS_TOKEN", "credentialsValue": "T"}
    assert outcome.answer == success
    assert [event.action for event in outcome.unit.events] == ["ATTRIBUTES_UPDATED"]
    state.apply(outcome.unit)
    stored = state.attributes(EntityId("DEVICE", device), Scope.SERVER)
    assert stored["provisionState"].value == "provisioned"
    again = provision(state, asked, 6)
    assert (again.answer, again.unit) == (FAILURE, Unit())
    assert [message.type for message in again.messages] == ["PROVISION_FAILURE"]


@pytest.mark.parametrize("name", ["Unknown", "of another profile"])
def test_what_is_not_pre_provisioned_is_refused(name: str) -> None:
    state = provisioning_state("CHECK_PRE_PROVISIONED_DEVICES")
    add_device(state, "of another profile", "T")
    assert provision(state, {**KEY, "deviceName": name}, 5) == Outcome(FAILURE)


def test_a_profile_that_provisions_nobody_is_not_found() -> None:
    assert provision(provisioning_state("DISABLED"), KEY, 5) == Outcome(NOT_FOUND)


def test_rule_chains_hear_of_a_provisioned_device_as_on_a_server() -> None:
    state = provisioning_state("ALLOW_CREATE_NEW_DEVICES")
    outcome = provision(state, {**KEY, "deviceName": "New", "token": "mine"}, 5)
    made, told = outcome.messages
    assert (made.type, made.data["name"]) == ("ENTITY_CREATED", "New")
    assert (told.type, told.originator) == ("PROVISION_SUCCESS", made.originator)
    assert made.metadata == told.metadata == {"tenantId": str(state.tenant_id)}
    assert told.data == {
        "deviceName": "New",
        "credentialsType": "ACCESS_TOKEN",
        "credentialsData": {
            "token": "mine",
            "clientId": None,
            "username": None,
            "password": None,
            "x509CertHash": None,
        },
        "credentials": KEY,
        "gateway": False,
    }


def test_what_a_device_is_sent_up_as_is_json() -> None:
    _, unit = make_device(small_state(), "Pump", credentials={"credentialsId": "T"})
    for write in unit.entities:
        assert isinstance(write.id, UUID)
        assert msgspec.json.decode(write.body or b"")
