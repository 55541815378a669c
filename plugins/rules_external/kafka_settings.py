"""Settings of Kafka's Java client, said to librdkafka.

Users type the properties of the Java client, for that is what a server runs. Most have the same
name in librdkafka; the others are translated here. One that has no counterpart is refused when
the node starts, by name: a security setting that is dropped silently would be worse than a node
that does not start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from appliance.model.errors import ConfigError

MESSAGE_TIMEOUT_MS = "10000"
"""How long a message may wait for its acknowledgement: shorter than the engine's 20 s for all
waiting nodes of a message, so that the broker's error is what people see."""

IGNORED = frozenset({"key.serializer", "value.serializer", "max.block.ms", "receive.buffer.bytes"})
"""Of the Java client's own workings: without meaning for what arrives."""

_RENAMED = {
    "max.request.size": "message.max.bytes",
    "sasl.mechanism": "sasl.mechanisms",
    "delivery.timeout.ms": "message.timeout.ms",
    "ssl.truststore.certificates": "ssl.ca.pem",
    "ssl.keystore.certificate.chain": "ssl.certificate.pem",
    "ssl.keystore.key": "ssl.key.pem",
    "send.buffer.bytes": "socket.send.buffer.bytes",
}
_PEM = frozenset({"ssl.ca.pem", "ssl.certificate.pem", "ssl.key.pem"})
_JAAS = re.compile(r'\b(username|password)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|\'([^\']*)\'|([^\s;]+))')


def librdkafka_settings(java: Mapping[str, str]) -> dict[str, str]:
    """Translate; later names win. Raises ConfigError for a property that cannot be kept."""
    settings = {"message.timeout.ms": MESSAGE_TIMEOUT_MS}
    for name, text in java.items():
        if name in IGNORED:
            continue
        special = _SPECIAL.get(name)
        if special is not None:
            settings.update(special(text))
            continue
        target = _RENAMED.get(name, name)
        settings[target] = text.replace("\\n", "\n") if target in _PEM else text
    return settings


def _buffer_memory(text: str) -> dict[str, str]:
    return {"queue.buffering.max.kbytes": str(max(_whole("buffer.memory", text) // 1024, 1))}


def _linger(text: str) -> dict[str, str]:
    return {"linger.ms": str(_whole("linger.ms", text))}


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"{name}: {text!r} is no whole number") from None


def _jaas(text: str) -> dict[str, str]:
    """User name and password out of a login module's line."""
    found = {match[1]: _unquoted(match) for match in _JAAS.finditer(text)}
    if not {"username", "password"} <= found.keys():
        raise ConfigError(
            "not supported on this edge: sasl.jaas.config without username and password"
        )
    return {"sasl.username": found["username"], "sasl.password": found["password"]}


def _unquoted(match: re.Match[str]) -> str:
    if match[2] is not None:
        return re.sub(r"\\(.)", r"\1", match[2])
    return match[3] if match[3] is not None else match[4]


def _store_type(text: str) -> dict[str, str]:
    if text.upper() != "PEM":
        raise ConfigError(f"not supported on this edge: a key store of type {text} (PEM is)")
    return {}


def _endpoint_check(text: str) -> dict[str, str]:
    return {"ssl.endpoint.identification.algorithm": text or "none"}


_SPECIAL: dict[str, Callable[[str], dict[str, str]]] = {
    "buffer.memory": _buffer_memory,
    "linger.ms": _linger,
    "sasl.jaas.config": _jaas,
    "ssl.truststore.type": _store_type,
    "ssl.keystore.type": _store_type,
    "ssl.endpoint.identification.algorithm": _endpoint_check,
}
