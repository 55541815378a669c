"""Logging in with what was synced."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

import bcrypt
import msgspec
import pytest
import trio

from appliance.access import passwords
from appliance.access.tokens import TokenError, TokenSettings, sign, token_pair, verify
from appliance.access.users import Access, LoginFailed, load_signing_key
from appliance.model.errors import Retryable
from appliance.model.ids import new_uuid
from appliance.model.unit import EntityWrite, Unit
from appliance.state.store import State
from appliance.testing.memory_storage import MemoryStorage

NOW = 1_800_000_000_000
KEY = b"k" * 64
USER_ID = UUID("268d68a0-e597-11f1-aa1f-f1f52a346aed")
EMAIL = "tenant@thingsboard.org"
# Made with the cheapest strength, so that the tests are quick; the strength is part of the hash.
HASH = bcrypt.hashpw(b"tenant", bcrypt.gensalt(4, prefix=b"2a")).decode()


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


def state(*, enabled: bool = True, password: str | None = HASH) -> State:
    made = State()
    user = {
        "id": {"entityType": "USER", "id": str(USER_ID)},
        "tenantId": {"entityType": "TENANT", "id": str(new_uuid())},
        "customerId": None,
        "email": EMAIL,
        "authority": "TENANT_ADMIN",
        "firstName": "Ada",
        "lastName": None,
    }
    credentials = {"userId": user["id"], "enabled": enabled, "password": password}
    put(made, "USER", USER_ID, user)
    put(made, "USER_CREDENTIALS", USER_ID, credentials)
    return made


def put(made: State, kind: str, id: UUID, body: Any) -> None:
    encoded = None if body is None else msgspec.json.encode(body)
    made.apply(Unit(entities=[EntityWrite(kind, id, encoded)]))


def pair_of(made: State, access: Access) -> dict[str, str]:
    user = made.entity("USER", USER_ID)
    assert user is not None
    return token_pair(user, access.settings(), NOW)


async def test_a_synced_user_logs_in_and_the_token_says_who() -> None:
    access = Access(state(), MemoryStorage(), lambda: NOW, KEY)
    pair = await access.login(EMAIL, "tenant")
    principal = access.authenticate(pair["token"])
    assert (principal.user_id, principal.authority) == (USER_ID, "TENANT_ADMIN")
    claims = verify(pair["token"], TokenSettings(KEY), NOW)
    assert claims["sub"] == EMAIL
    assert claims["scopes"] == ["TENANT_ADMIN"]
    assert (claims["exp"] - claims["iat"], claims["iss"]) == (9_000, "thingsboard.io")
    assert claims["firstName"] == "Ada"
    assert "lastName" not in claims
    assert claims["customerId"] == "13814000-1dd2-11b2-8080-808080808080"


@pytest.mark.parametrize(
    ("email", "password"), [(EMAIL, "Tenant"), (EMAIL, ""), ("nobody@x", "tenant"), ("", "")]
)
async def test_wrong_users_and_passwords_are_refused_alike(email: str, password: str) -> None:
    with pytest.raises(LoginFailed, match="Invalid username or password"):
        await Access(state(), MemoryStorage(), lambda: NOW, KEY).login(email, password)


@pytest.mark.parametrize("hashed", [None, "", "plain", "$2a$10$short"])
async def test_an_account_without_a_usable_hash_cannot_log_in(hashed: str | None) -> None:
    with pytest.raises(LoginFailed):
        await Access(state(password=hashed), MemoryStorage(), lambda: NOW, KEY).login(EMAIL, "")


async def test_an_inactive_account_cannot_log_in() -> None:
    with pytest.raises(LoginFailed, match="not active"):
        await Access(state(enabled=False), MemoryStorage(), lambda: NOW, KEY).login(EMAIL, "tenant")


async def test_what_is_hashed_here_is_taken_there() -> None:
    hashed = await passwords.hash_password("ö" * 100)
    assert hashed.startswith("$2a$10$")
    assert await passwords.matches("ö" * 100, hashed)
    assert not await passwords.matches("o", hashed)
    assert not await passwords.matches("x", None)


def test_the_hash_compared_for_unknown_users_is_a_real_one() -> None:
    assert bcrypt.checkpw(b"anything", passwords._NOBODY) is False


def test_a_token_ends_when_its_time_is_over() -> None:
    clock = Clock()
    access = Access(made := state(), MemoryStorage(), clock, KEY)
    pair = pair_of(made, access)
    clock.now = NOW + 8_999_000
    access.authenticate(pair["token"])
    clock.now = NOW + 9_000_000
    with pytest.raises(TokenError) as failure:
        access.authenticate(pair["token"])
    assert failure.value.expired
    access.authenticate(access.refresh(pair["refreshToken"])["token"])


def test_each_token_serves_its_own_purpose_only() -> None:
    access = Access(made := state(), MemoryStorage(), lambda: NOW, KEY)
    pair = pair_of(made, access)
    with pytest.raises(TokenError):
        access.authenticate(pair["refreshToken"])
    with pytest.raises(TokenError):
        access.refresh(pair["token"])


def test_a_user_who_is_gone_or_inactive_loses_their_tokens() -> None:
    access = Access(made := state(), MemoryStorage(), lambda: NOW, KEY)
    pair = pair_of(made, access)
    put(made, "USER", USER_ID, None)
    with pytest.raises(TokenError):
        access.authenticate(pair["token"])
    with pytest.raises(TokenError):
        Access(state(enabled=False), MemoryStorage(), lambda: NOW, KEY).refresh(
            pair["refreshToken"]
        )


def forged() -> list[str]:
    good = sign({"iss": "thingsboard.io", "exp": 2**40, "scopes": ["TENANT_ADMIN"]}, KEY)
    head, body, signature = good.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    return [
        "",
        "x",
        "a.b",
        "a.b.c",
        "ä.ö.ü",
        f"{none}.{body}.",
        f"{none}.{body}.{signature}",
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body[:-2]}AA.{signature}",
        sign({"iss": "thingsboard.io", "exp": 2**40}, b"another key"),
        sign({"iss": "elsewhere", "exp": 2**40}, KEY),
        sign({"iss": "thingsboard.io"}, KEY),
        sign([1], KEY),  # type: ignore[arg-type]  # on purpose: claims that are no object
        good,  # well signed, but it names no user
    ]


@pytest.mark.parametrize("token", forged())
def test_what_was_not_made_here_is_refused(token: str) -> None:
    with pytest.raises(TokenError):
        Access(state(), MemoryStorage(), lambda: NOW, KEY).authenticate(token)


@pytest.mark.parametrize("as_text", [False, True])
def test_the_clouds_key_is_used_once_it_is_synced(as_text: bool) -> None:
    access = Access(made := state(), MemoryStorage(), lambda: NOW, KEY)
    cloud, id = b"c" * 64, new_uuid()
    value: Any = {
        "tokenSigningKey": base64.b64encode(cloud).decode(),
        "tokenExpirationTime": 60,
        "tokenIssuer": "cloud",
    }
    shown = msgspec.json.encode(value).decode() if as_text else value
    put(made, "ADMIN_SETTINGS", id, {"id": {"id": str(id)}, "key": "jwt", "jsonValue": shown})
    assert access.settings() == TokenSettings(cloud, 60, 604_800, "cloud")


@pytest.mark.parametrize("value", [None, {}, {"tokenSigningKey": ""}, {"tokenSigningKey": "?"}])
def test_settings_without_a_usable_key_leave_our_own(value: Any) -> None:
    access = Access(made := state(), MemoryStorage(), lambda: NOW, KEY)
    id = new_uuid()
    put(made, "ADMIN_SETTINGS", id, {"id": {"id": str(id)}, "key": "jwt", "jsonValue": value})
    assert access.settings().key == KEY


async def test_our_own_key_is_made_once_and_kept() -> None:
    storage = MemoryStorage()
    key = await load_signing_key(storage)
    assert len(key) == 64
    assert await load_signing_key(storage) == key


async def test_nobody_is_told_that_a_password_is_wrong_before_the_users_are_loaded() -> None:
    access = Access(State(), MemoryStorage(), lambda: NOW)
    with pytest.raises(Retryable):
        await access.login(EMAIL, "tenant")


async def test_nobody_logs_in_before_the_key_is_loaded() -> None:
    access = Access(state(), MemoryStorage(), lambda: NOW)
    with pytest.raises(Retryable):
        await access.login(EMAIL, "tenant")
    async with trio.open_nursery() as nursery:
        await nursery.start(access.run)
        assert access.authenticate((await access.login(EMAIL, "tenant"))["token"])
        nursery.cancel_scope.cancel()
