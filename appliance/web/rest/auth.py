"""Login, tokens, the present user (spec §4.1)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from appliance.access import passwords
from appliance.access.audit import Deed, principal_of
from appliance.access.tokens import TokenError
from appliance.access.users import LoginFailed
from appliance.model.ids import EntityId
from appliance.web.commands import Change
from appliance.web.errors import ApiError, Code
from appliance.web.rest.call import ALL, ANYONE, Call, Table

table = Table()
PASSWORD_LENGTH_MIN = 6


@table.on("POST", "/api/auth/login", roles=ANYONE)
async def login(call: Call) -> Any:
    """`{"username", "password"}` to a pair of tokens."""
    email, password = _texts(call, "username", "password")
    if not email.strip() or not password:
        raise ApiError(401, "Authentication failed")
    failure = ""
    try:
        return await call.services.access.login(email, password)
    except LoginFailed as error:
        failure = str(error)
        raise ApiError(401, str(error)) from error
    finally:
        await _tell(call, "LOGIN", call.services.access.user(email), failure)


async def _tell(call: Call, action: str, user: dict[str, Any] | None, failure: str = "") -> None:
    """An entry of the audit log, in which only users are that there are."""
    if call.services.audit is not None and user is not None:
        address, program = call.client
        data = {"clientAddress": address, "browser": program[:200], "os": "", "device": ""}
        deed = Deed(action, EntityId("USER", UUID(user["id"]["id"])), data, user, failure)
        await call.services.audit.record(principal_of(user), [deed])


@table.on("POST", "/api/auth/token", roles=ANYONE)
async def refresh(call: Call) -> Any:
    """`{"refreshToken"}` to a new pair."""
    (token,) = _texts(call, "refreshToken")
    try:
        return call.services.access.refresh(token)
    except TokenError as error:
        code = Code.TOKEN_EXPIRED if error.expired else None
        message = "Token has expired" if error.expired else "Invalid username or password"
        raise ApiError(401, message if token.strip() else "Authentication failed", code) from error


@table.on("POST", "/api/auth/logout", roles=ALL)
async def logout(call: Call) -> None:
    """Nothing is kept about a session, so there is nothing to end; the client drops its tokens."""
    await _tell(call, "LOGOUT", call.view.entity("USER", call.principal.user_id))


@table.on("GET", "/api/auth/user", roles=ALL)
async def current_user(call: Call) -> Any:
    """The caller as a User object."""
    return call.view.entity("USER", call.principal.user_id)


@table.on("POST", "/api/auth/changePassword", roles=ALL)
async def change_password(call: Call) -> Any:
    """`{"currentPassword", "newPassword"}`; a new pair of tokens."""
    current, new = _texts(call, "currentPassword", "newPassword", status=400)
    access, principal = call.services.access, call.principal
    if not await access.password_is(principal, current):
        raise ApiError(400, "Current password doesn't match!")
    if len(new) < PASSWORD_LENGTH_MIN:
        raise ApiError(400, f"Password must be {PASSWORD_LENGTH_MIN} or more characters in length.")
    if new == current:
        raise ApiError(400, "New password should be different from existing!")
    stored = call.view.entity("USER_CREDENTIALS", principal.user_id) or {}
    body = {**stored, "password": await passwords.hash_password(new)}
    change = Change("USER_CREDENTIALS", principal.user_id, body, "CREDENTIALS_UPDATED")
    await call.commands.change([change], principal)
    return await access.login(principal.email, new)


def _texts(call: Call, *names: str, status: int = 401) -> list[str]:
    """Text members of the body; what is not there is a failed authentication, as it always was."""
    try:
        body = msgspec.json.decode(call.body)
        texts = [body[name] for name in names]
    except (msgspec.DecodeError, UnicodeError, KeyError, TypeError) as error:
        raise ApiError(status, "Authentication failed") from error
    if not all(isinstance(text, str) for text in texts):
        raise ApiError(status, "Authentication failed")
    return texts
