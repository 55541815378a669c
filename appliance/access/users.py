"""Logging in, over users and credentials as they were synced (edge-protocol.md §8).

The key that signs tokens is the cloud's where it was sent (admin settings `jwt`), so that a token
of one side is good on the other; otherwise one of our own, made once and kept.
"""

from __future__ import annotations

import base64
import secrets
from typing import Any
from uuid import UUID

import msgspec
import trio

from appliance.access import passwords
from appliance.access.tokens import (
    REFRESH,
    Principal,
    TokenError,
    TokenSettings,
    token_pair,
    verify,
)
from appliance.extension.ports import Storage
from appliance.kernel.clock import Clock
from appliance.model.errors import Retryable
from appliance.model.unit import StateWrite, Unit
from appliance.state.view import StateView

SYS_ADMIN, TENANT_ADMIN, CUSTOMER_USER = "SYS_ADMIN", "TENANT_ADMIN", "CUSTOMER_USER"
_OWNER, _KEY = "access", "signing-key"
_KEY_BYTES = 64


class LoginFailed(Exception):
    """Wrong user, wrong password, or an account that is not active."""


async def load_signing_key(storage: Storage) -> bytes:
    """Our own key; made and kept at the first call."""
    states = await storage.load_states(_OWNER)
    key = states.get(_KEY)
    if key is None:
        key = secrets.token_bytes(_KEY_BYTES)
        await storage.commit([Unit(states=[StateWrite(_OWNER, _KEY, key)])])
    return key


class Access:
    """Passwords in, tokens out; tokens in, principals out.

    A Component: its run, which comes after the state's, loads our own signing key from storage.
    Until then nobody can log in (Retryable), unless own_key was given.
    """

    def __init__(
        self, view: StateView, storage: Storage, clock: Clock, own_key: bytes | None = None
    ) -> None:
        self._view = view
        self._storage = storage
        self._clock = clock
        self._own = None if own_key is None else TokenSettings(own_key)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load or make our own key, say started, wait to be cancelled."""
        self._own = TokenSettings(await load_signing_key(self._storage))
        task_status.started()
        await trio.sleep_forever()

    async def login(self, email: str, password: str) -> dict[str, str]:
        """`{"token", "refreshToken"}`. Raises LoginFailed, and Retryable before `run`."""
        settings = self.settings()
        user = self.user(email)
        credentials = self._credentials(user)
        if not await passwords.matches(password, credentials.get("password")) or user is None:
            raise LoginFailed("Invalid username or password")
        if not credentials.get("enabled"):
            raise LoginFailed("User account is not active")
        return token_pair(user, settings, self._clock())

    def user(self, email: str) -> dict[str, Any] | None:
        """The user who logs in with that address."""
        return self._view.by_name("USER", email) or self._view.by_name("USER", email.lower())

    def refresh(self, token: str) -> dict[str, str]:
        """A new pair for a refresh token. Raises TokenError."""
        claims = verify(token, self.settings(), self._clock())
        if claims.get("scopes") != [REFRESH]:
            raise TokenError("not a refresh token")
        user = self._active_user(claims)
        return token_pair(user, self.settings(), self._clock())

    def authenticate(self, token: str) -> Principal:
        """Who speaks. Raises TokenError, also for users who are gone or no longer active."""
        claims = verify(token, self.settings(), self._clock())
        if claims.get("scopes") == [REFRESH]:
            raise TokenError("not an access token")
        user = self._active_user(claims)
        return Principal(
            user_id=UUID(user["id"]["id"]),
            email=user["email"],
            authority=user["authority"],
            tenant_id=UUID(claims["tenantId"]),
            customer_id=UUID(claims["customerId"]),
            session_id=str(claims.get("sessionId", "")),
        )

    async def password_is(self, principal: Principal, password: str) -> bool:
        """Whether it is this user's present password."""
        credentials = self._view.entity("USER_CREDENTIALS", principal.user_id) or {}
        return await passwords.matches(password, credentials.get("password"))

    def settings(self) -> TokenSettings:
        """Key and lifetimes: the cloud's, else our own. Raises Retryable before `run`."""
        if self._own is None:
            raise Retryable("users and keys are not loaded yet")
        found = self._view.by_name("ADMIN_SETTINGS", "jwt")
        return _settings_of(found.get("jsonValue") if found else None) or self._own

    def _active_user(self, claims: dict[str, Any]) -> dict[str, Any]:
        try:
            user = self._view.entity("USER", UUID(claims["userId"]))
        except (KeyError, ValueError, TypeError) as error:
            raise TokenError("not our token") from error
        if user is None or not self._credentials(user).get("enabled"):
            raise TokenError("the user is not active")
        return user

    def _credentials(self, user: dict[str, Any] | None) -> dict[str, Any]:
        if user is None:
            return {}
        return self._view.entity("USER_CREDENTIALS", UUID(user["id"]["id"])) or {}


def _settings_of(value: Any) -> TokenSettings | None:
    """Settings of the admin settings' `jsonValue`; None where they hold no usable key."""
    if isinstance(value, str):
        value = msgspec.json.decode(value)
    if not isinstance(value, dict) or not value.get("tokenSigningKey"):
        return None
    try:
        key = base64.b64decode(value["tokenSigningKey"], validate=True)
    except ValueError:
        return None
    return TokenSettings(
        key,
        int(value.get("tokenExpirationTime") or 9_000),
        int(value.get("refreshTokenExpTime") or 604_800),
        str(value.get("tokenIssuer") or "thingsboard.io"),
    )
