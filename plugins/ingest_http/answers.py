"""Answers as Spring and the reference write them (spec §1.2)."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from appliance.extension.ports import HttpResponse
from appliance.kernel.clock import Clock

_JSON = "application/json"
_NOT_FOUND_CODE = 32
_BAD_REQUEST_CODE = 31

OK = HttpResponse(200)
TIMED_OUT = HttpResponse(408)
UNKNOWN_TOKEN = HttpResponse(401)
NOTHING_ASSIGNED = HttpResponse(404)
DELETED = HttpResponse(403, b"Device was deleted!", "text/plain;charset=UTF-8")


def json_answer(body: Any) -> HttpResponse:
    """200 with a JSON body."""
    return HttpResponse(200, msgspec.json.encode(body), _JSON)


def come_back(retry_after_s: float) -> HttpResponse:
    """503: nothing is wrong with the request; whole seconds, at least one."""
    return HttpResponse(503, headers=(("retry-after", str(max(1, math.ceil(retry_after_s)))),))


class Documents:
    """Error documents, which carry the time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def bad_request(self, message: str) -> HttpResponse:
        """400 with the reason."""
        return self._document(400, message, _BAD_REQUEST_CODE)

    def wrong_method(self, method: str, allowed: str) -> HttpResponse:
        """405; allowed: method names, separated by commas."""
        message = f"Request method '{method}' is not supported"
        answer = self._document(405, message, _BAD_REQUEST_CODE)
        return msgspec.structs.replace(answer, headers=(("allow", allowed),))

    def no_resource(self, path: str) -> HttpResponse:
        """404 for a path that is no route."""
        message = f"No static resource {path.strip('/')}."
        return self._document(404, message, _NOT_FOUND_CODE)

    def _document(self, status: int, message: str, code: int) -> HttpResponse:
        document = {
            "message": message,
            "errorCode": code,
            "status": status,
            "timestamp": self._clock(),
        }
        return HttpResponse(status, msgspec.json.encode(document), _JSON)
