"""JSON Web Tokens, HS512, as ThingsBoard makes them (spec/device-and-rest-api.md §4.1).

Only what is made here is read here: one algorithm, one issuer, no header is trusted to choose.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any
from uuid import UUID, uuid4

import msgspec

from appliance.model.ids import NULL_UUID

REFRESH = "REFRESH_TOKEN"
_HEADER = {"alg": "HS512"}


class TokenError(Exception):
    """The token is not ours, or its time is over (expired)."""

    def __init__(self, message: str, *, expired: bool = False) -> None:
        super().__init__(message)
        self.expired = expired


class TokenSettings(msgspec.Struct, frozen=True):
    """What the admin settings `jwt` say. access_s, refresh_s: lifetimes in seconds."""

    key: bytes
    access_s: int = 9_000
    refresh_s: int = 604_800
    issuer: str = "thingsboard.io"


class Principal(msgspec.Struct, frozen=True):
    """Who a token speaks for. authority: SYS_ADMIN, TENANT_ADMIN, CUSTOMER_USER."""

    user_id: UUID
    email: str
    authority: str
    tenant_id: UUID
    customer_id: UUID
    session_id: str


def sign(claims: dict[str, Any], key: bytes) -> str:
    """The token of these claims."""
    text = ".".join(_encode(msgspec.json.encode(part)) for part in (_HEADER, claims))
    return f"{text}.{_encode(_signature(text, key))}"


def verify(token: str, settings: TokenSettings, now_ms: int) -> dict[str, Any]:
    """The claims of a token that is ours and still good. Raises TokenError."""
    text, _, signature = token.rpartition(".")
    try:
        # The header is what `sign` writes or another spelling of it; "alg" decides nothing.
        good = hmac.compare_digest(_decode(signature), _signature(text, settings.key))
        claims = msgspec.json.decode(_decode(text.rpartition(".")[2])) if good else None
    except (ValueError, msgspec.DecodeError) as error:
        raise TokenError("not a token") from error
    if not isinstance(claims, dict) or claims.get("iss") != settings.issuer:
        raise TokenError("not our token")
    if not isinstance(claims.get("exp"), int) or claims["exp"] * 1000 <= now_ms:
        raise TokenError("Token has expired", expired=True)
    return claims


def token_pair(user: dict[str, Any], settings: TokenSettings, now_ms: int) -> dict[str, str]:
    """The answer to a login of this user (their JSON)."""
    session_id = str(uuid4())
    common = {
        "sub": user["email"],
        "userId": user["id"]["id"],
        "sessionId": session_id,
        "iss": settings.issuer,
        "iat": now_ms // 1000,
        "isPublic": False,
    }
    access = common | {
        "scopes": [user["authority"]],
        "exp": now_ms // 1000 + settings.access_s,
        "enabled": True,
        "tenantId": _id(user, "tenantId"),
        "customerId": _id(user, "customerId"),
    }
    names = ("firstName", "lastName")
    access |= {name: user[name] for name in names if user.get(name)}
    refresh = common | {
        "scopes": [REFRESH],
        "exp": now_ms // 1000 + settings.refresh_s,
        "jti": str(uuid4()),
    }
    return {"token": sign(access, settings.key), "refreshToken": sign(refresh, settings.key)}


def _id(user: dict[str, Any], field: str) -> str:
    return str((user.get(field) or {}).get("id") or NULL_UUID)


def _signature(text: str, key: bytes) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha512).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
