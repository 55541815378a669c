"""Device credentials: what each type needs, and the id they are found by (spec §2.2, §7).

The id of a token is the token; that of the others is derived, so that a device is found by what
it shows: a SHA3-256 of client id and user name, or of its certificate.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from appliance.model.errors import Permanent

TYPES = ("ACCESS_TOKEN", "X509_CERTIFICATE", "MQTT_BASIC", "LWM2M_CREDENTIALS")
_PEM_FRAME = re.compile(r"-----(?:BEGIN|END) CERTIFICATE-----|[\r\n]")
_BASIC = ("clientId", "userName", "password")


def complete(given: dict[str, Any]) -> dict[str, Any]:
    """The credentials with their derived id and the value as it is kept.

    given: credentialsType, credentialsId, credentialsValue, and whatever else; texts or None.
    Raises Permanent, in the reference's words, for what no device could show.
    """
    match given.get("credentialsType"):
        case None:
            raise Permanent("Device credentials type should be specified!")
        case "MQTT_BASIC":
            given = {**given, **_basic(given.get("credentialsValue"))}
        case "X509_CERTIFICATE":
            certificate = _PEM_FRAME.sub("", given.get("credentialsValue") or "")
            if not certificate:
                raise Permanent("Device credentials value should be specified!")
            given = {**given, "credentialsId": sha3(certificate), "credentialsValue": certificate}
        case unknown if unknown not in TYPES:
            raise Permanent(f"No credentials type {unknown}")
    if not (given.get("credentialsId") or "").strip():
        raise Permanent("Device credentials id should be specified!")
    return given


def basic_id(client_id: str | None, username: str | None) -> str:
    """The id of MQTT_BASIC: a hash of what identifies the client, but a user name as it is."""
    if client_id and username:
        return sha3(f"{client_id}|{username}")
    return username or sha3(client_id or "")


def sha3(text: str) -> str:
    """SHA3-256 in hexadecimal."""
    return hashlib.sha3_256(text.encode()).hexdigest()


def _basic(text: str | None) -> dict[str, str]:
    try:
        value = msgspec.json.decode(text or "")
        client_id, username, password = (_text(value.get(name)) for name in _BASIC)
    except (msgspec.DecodeError, AttributeError) as error:
        raise Permanent("Invalid credentials body for simple mqtt credentials!") from error
    if not client_id and not username:
        raise Permanent("Both mqtt client id and user name are empty!")
    if client_id and password and not username:
        raise Permanent("Password cannot be specified along with client id")
    kept = dict(zip(_BASIC, (client_id, username, password), strict=True))
    return {
        "credentialsId": basic_id(client_id, username),
        "credentialsValue": msgspec.json.encode(kept).decode(),
    }


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise Permanent("Invalid credentials body for simple mqtt credentials!")
