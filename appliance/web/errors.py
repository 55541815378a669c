"""ThingsBoard's error document (spec/device-and-rest-api.md §4.1)."""

from __future__ import annotations

from enum import IntEnum
from typing import Any
from uuid import UUID

import msgspec

from appliance.extension.ports import HttpResponse
from appliance.kernel.clock import wall_clock_ms


class Code(IntEnum):
    """ThingsboardErrorCode: what clients tell errors apart by."""

    GENERAL = 2
    AUTHENTICATION = 10
    TOKEN_EXPIRED = 11
    CREDENTIALS_EXPIRED = 15
    PERMISSION_DENIED = 20
    INVALID_ARGUMENTS = 30
    BAD_REQUEST = 31
    NOT_FOUND = 32
    TOO_MANY_REQUESTS = 33
    VERSION_CONFLICT = 35


_BY_STATUS = {
    400: Code.BAD_REQUEST,
    401: Code.AUTHENTICATION,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    405: Code.BAD_REQUEST,
    409: Code.VERSION_CONFLICT,
    429: Code.TOO_MANY_REQUESTS,
}


class ApiError(Exception):
    """An answer other than 200. code: by status where None. plain: only the text, no document."""

    def __init__(
        self, status: int, message: str, code: Code | None = None, *, plain: bool = False
    ) -> None:
        super().__init__(message)
        self.plain = plain
        self.status = status
        self.message = message
        self.code = code or _BY_STATUS.get(status, Code.GENERAL)

    def document(self) -> bytes:
        """The JSON body."""
        return msgspec.json.encode(
            {
                "status": self.status,
                "message": self.message,
                "errorCode": int(self.code),
                "timestamp": wall_clock_ms(),
            }
        )


def error_response(status: int, message: str) -> HttpResponse:
    """The error document as an answer of the door."""
    return HttpResponse(status, ApiError(status, message).document(), "application/json")


def not_found(kind: str, id: UUID) -> ApiError:
    """404 as ThingsBoard words it."""
    words = kind.replace("_", " ").capitalize()
    return ApiError(404, f"{words} with id [{id}] is not found")


def uuid_of(text: Any) -> UUID:
    """A UUID. Raises ApiError 400."""
    try:
        return UUID(text)
    except (ValueError, TypeError, AttributeError) as error:
        raise ApiError(400, f"Invalid UUID string: {text}") from error


def whole_number(name: str, text: str, bits: int = 64) -> int:
    """A signed number of so many bits. Raises ApiError 400."""
    try:
        value = int(text)
        inside = -(1 << bits - 1) <= value < 1 << bits - 1 and "_" not in text
    except ValueError:
        inside = False
    if not inside:
        raise ApiError(400, f"Parameter '{name}': {text[:80]!r} is not a whole number")
    return value
