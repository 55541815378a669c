"""Who is connected, who hears what, and whose session ends."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest

from appliance.access.device_credentials import basic_id
from appliance.edge.credentials import Credentials, revoked
from appliance.edge.devices import credentials_body
from appliance.edge.rpc import RpcDesk
from appliance.edge.sessions import Sessions
from appliance.model.unit import EntityWrite, Unit
from tests.unit.edge.world import Phone, add_device, session_of, small_state, store

DEVICE, OTHER = UUID(int=1), UUID(int=2)


def sessions() -> Sessions:
    return Sessions(RpcDesk(lambda: 0))


def test_the_first_session_and_the_last_are_told_apart() -> None:
    made = sessions()
    assert [made.opened(DEVICE), made.opened(DEVICE)] == [True, False]
    assert made.devices == 1
    assert [made.closed(DEVICE), made.closed(DEVICE)] == [False, True]
    assert made.devices == 0


def test_attributes_reach_the_devices_sessions_that_asked_for_them() -> None:
    made, asked, silent, other = sessions(), Phone(), Phone(), Phone()
    stop = made.subscribe(session_of(DEVICE), asked, attributes=True, rpc=False)
    made.subscribe(session_of(DEVICE), silent, attributes=False, rpc=True)
    made.subscribe(session_of(OTHER), other, attributes=True, rpc=False)
    made.notify_attributes(DEVICE, {"k": 1}, ["gone"])
    stop()
    made.notify_attributes(DEVICE, {"k": 2}, [])
    assert asked.attributes_seen == [({"k": 1}, ["gone"])]
    assert silent.attributes_seen == other.attributes_seen == []


def test_closing_a_device_ends_all_its_sessions_and_no_others() -> None:
    made, one, two, other = sessions(), Phone(), Phone(), Phone()
    for device, phone in ((DEVICE, one), (DEVICE, two), (OTHER, other)):
        made.subscribe(session_of(device), phone, attributes=False, rpc=False)
    made.close(DEVICE, "deleted")
    assert (one.ends, two.ends, other.ends) == (["deleted"], ["deleted"], [])


# --- credentials --------------------------------------------------------------------------------


def test_a_token_is_its_devices_until_it_changes() -> None:
    state = small_state()
    credentials = Credentials(state)
    device = add_device(state, "Pump", "T1")
    found = credentials.by_token("T1")
    assert found is not None
    assert (found.device.id, found.name, found.profile) == (device, "Pump", "default")
    assert credentials.by_token("T2") is None
    store_credentials = credentials_body(device, {"credentialsId": "T2"})
    store(state, "DEVICE_CREDENTIALS", device, **store_credentials)
    assert credentials.by_token("T1") is None
    assert credentials.by_token("T2") is not None


def test_a_renamed_device_has_its_new_name_in_the_next_session() -> None:
    state = small_state()
    credentials = Credentials(state)
    device = add_device(state, "Pump", "T1")
    assert credentials.by_token("T1") is not None
    store(state, "DEVICE", device, name="Fan", type="fans", additionalInfo={"gateway": True})
    found = credentials.by_token("T1")
    assert found is not None
    assert (found.name, found.profile, found.is_gateway) == ("Fan", "fans", True)


def test_a_deleted_device_has_no_session_even_if_its_credentials_linger() -> None:
    state = small_state()
    credentials = Credentials(state)
    device = add_device(state, "Pump", "T1")
    state.apply(Unit(entities=[EntityWrite("DEVICE", device, None)]))
    assert credentials.by_token("T1") is None


BASIC = [
    # stored (client, user, password), given, accepted
    (("c", "u", "p"), ("c", "u", "p"), True),
    (("c", "u", "p"), ("c", "u", "q"), False),
    (("c", "u", "p"), ("c", "u", None), False),
    (("c", "u", None), ("c", "u", "whatever"), True),
    ((None, "u", "p"), ("any", "u", "p"), True),
    ((None, "u", "p"), ("any", "u", "x"), False),
    (("c", None, None), ("c", None, None), True),
    (("c", None, None), ("d", None, None), False),
    (("c", None, "p"), ("c", None, "p"), True),
]


@pytest.mark.parametrize(("stored", "given", "accepted"), BASIC)
def test_mqtt_basic(
    stored: tuple[str | None, ...], given: tuple[str | None, ...], accepted: bool
) -> None:
    state = small_state()
    device = add_device(state, "Pump", "T1")
    value = dict(zip(("clientId", "userName", "password"), stored, strict=True))
    body = credentials_body(
        device,
        {
            "credentialsType": "MQTT_BASIC",
            "credentialsId": basic_id(stored[0], stored[1]),
            "credentialsValue": msgspec.json.encode(value).decode(),
        },
    )
    store(state, "DEVICE_CREDENTIALS", device, **body)
    credentials = Credentials(state)
    assert (credentials.by_basic(*given) is not None) is accepted
    assert credentials.by_token(body["credentialsId"]) is None


def test_a_token_works_as_user_name_whatever_the_client_id() -> None:
    state = small_state()
    add_device(state, "Pump", "T1")
    credentials = Credentials(state)
    assert credentials.by_basic("c", "T1", None) is not None
    assert credentials.by_basic(None, "T2", None) is None
    assert credentials.by_basic(None, None, None) is None


def test_sessions_end_with_the_device_or_its_credentials_and_with_nothing_else() -> None:
    state = small_state()
    device = add_device(state, "Pump", "T1")
    body = state.entity("DEVICE_CREDENTIALS", device)
    assert body is not None

    def ended(**change: str) -> list[tuple[UUID, str]]:
        changed = msgspec.json.encode({**body, **change})
        return list(
            revoked(Unit(entities=[EntityWrite("DEVICE_CREDENTIALS", device, changed)]), state)
        )

    assert ended() == ended(createdTime="5") == []
    assert ended(credentialsId="T2") == [(device, "credentials")]
    gone = Unit(entities=[EntityWrite("DEVICE", device, None)])
    assert list(revoked(gone, state)) == [(device, "deleted")]
    fresh = Unit(entities=[EntityWrite("DEVICE_CREDENTIALS", OTHER, msgspec.json.encode(body))])
    assert list(revoked(fresh, state)) == []
