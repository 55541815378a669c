"""rpc call request, rpc call reply, rest call reply."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from appliance.model.errors import Retryable
from appliance.model.ids import new_uuid
from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.messages import derived
from appliance.rules.node import FAILURE, PACKAGE, NodeConfig, NodeError, NodeFactory, NodeHandle
from appliance.rules.ports import RpcOutcome, RpcToDevice
from appliance.rules.values import decode_json, json_text, whole_number

BUSY_MS = 1_000
"""Until the next try when the engine has too much to do."""


class RpcRequestConfig(NodeConfig, frozen=True, kw_only=True):
    """timeout_in_seconds: where metadata has no `expirationTime`."""

    timeout_in_seconds: int = 0


class Asked(msgspec.Struct, frozen=True):
    """A request on its way, and the message that asked."""

    request: RpcToDevice
    message: Message


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Asked).decode


class RpcRequest:
    """rpc call request: the message ends here, the device's answer is a new one.

    The message is acknowledged before the answer comes, so the request is kept until then: after a
    crash the device is asked again, at least once in all, and never after the request has expired.
    Not so for a request that somebody made over an API (it has a `requestUUID`): he hears of a
    timeout and may ask again, and a command must not come as a surprise.
    """

    def __init__(self, config: RpcRequestConfig, node: NodeHandle) -> None:
        self._timeout_ms = config.timeout_in_seconds * 1000
        self._node = node

    def start(self) -> None:
        """Ask again what was on its way before a restart."""
        for body in self._node.restored.values():
            asked = _decode(body)
            if asked.request.expires_ms <= self._node.clock():
                self._done(asked, RpcOutcome(error="TIMEOUT"))
            else:
                self._ask(asked)

    def process(self, message: Message, ctx: Context) -> None:
        """Ask the device once this message is durable."""
        if message.originator.type != "DEVICE":
            raise NodeError("Message originator is not a device entity!")
        data = message.data
        if not isinstance(data, dict):
            raise NodeError(f"Not a JSON Object: {json_text(data)}")
        for key in ("method", "params"):
            if key not in data:
                raise NodeError(f"{key.capitalize()} is not present in the message!")
        if data["method"] is None or isinstance(data["method"], dict | list):
            raise NodeError(f"Not a text: {json_text(data['method'])}")
        asked = Asked(self._request(message, data, ctx.now()), message)
        ctx.ack(message)
        if _is_kept(message):
            ctx.save_state(_name(asked), _encode(asked))
        ctx.after_commit(partial(self._ask, asked))

    def _ask(self, asked: Asked) -> None:
        try:
            self._node.services.rpc_to_device(asked.request, partial(self._done, asked))
        except Retryable:
            self._node.later(BUSY_MS, partial(self._ask, asked))

    def _request(self, message: Message, data: dict[str, Any], now: int) -> RpcToDevice:
        metadata = message.metadata
        expires = metadata.get("expirationTime")
        uuid = metadata.get("requestUUID")
        retries = metadata.get("retries")
        method = data["method"]
        request_id = data.get("requestId")
        return RpcToDevice(
            device=message.originator,
            method=method if isinstance(method, str) else json_text(method),
            params=_params(message),
            expires_ms=whole_number(expires) if expires else now + self._timeout_ms,
            oneway=metadata.get("oneway", "").lower() == "true",
            persistent=metadata.get("persistent", "").lower() == "true",
            request_uuid=UUID(uuid) if uuid else new_uuid(),
            request_id=request_id if isinstance(request_id, int) else None,
            retries=whole_number(retries) if retries else None,
            additional_info=data.get("additionalInfo"),
            metadata=metadata,
        )

    def _done(self, asked: Asked, outcome: RpcOutcome) -> None:
        message = asked.message

        def tell(ctx: Context) -> None:
            if _is_kept(message):
                ctx.save_state(_name(asked), None)
            if outcome.error is None:
                answer = derived(message, message.type, outcome.reply, message.metadata)
                ctx.success(answer)
            else:
                body = {"error": outcome.error}
                answer = derived(message, message.type, body, message.metadata)
                ctx.tell(FAILURE, answer, outcome.error)

        try:
            self._node.resume(tell)
        except Retryable:
            self._node.later(BUSY_MS, partial(self._done, asked, outcome))


def _is_kept(message: Message) -> bool:
    return "requestUUID" not in message.metadata


def _name(asked: Asked) -> str:
    return str(asked.request.request_uuid)


def _params(message: Message) -> Any:
    """Params as JSON; a request from the server carries them as JSON text (§2.3)."""
    params = message.data["params"]
    if message.type == "RPC_CALL_FROM_SERVER_TO_DEVICE" and isinstance(params, str):
        return _parsed_or_text(params)
    return params


def _parsed_or_text(text: str) -> Any:
    try:
        return decode_json(text)
    except ValueError:
        return text


class RpcReplyConfig(NodeConfig, frozen=True, kw_only=True):
    """Names of the metadata keys that say whom to answer."""

    service_id_meta_data_attribute: str = "serviceId"
    session_id_meta_data_attribute: str = "sessionId"
    request_id_meta_data_attribute: str = "requestId"


class RpcReply:
    """rpc call reply: the message's data answers a device's own request."""

    def __init__(self, config: RpcReplyConfig, node: NodeHandle) -> None:
        self._service = config.service_id_meta_data_attribute or "serviceId"
        self._session = config.session_id_meta_data_attribute or "sessionId"
        self._request = config.request_id_meta_data_attribute or "requestId"

    def process(self, message: Message, ctx: Context) -> None:
        """Answer after the commit; a session that is gone is no failure."""
        if message.originator.type != "DEVICE":
            raise NodeError("Message originator is not a device entity!")
        request = _required(message, self._request, "Request id")
        service = _required(message, self._service, "Service id")
        session = str(_uuid(_required(message, self._session, "Session id")))
        if message.data is None or message.data == "":
            raise NodeError("Request body is empty!")
        reply = ctx.services.reply_to_device
        ctx.after_commit(
            partial(
                reply,
                message.originator,
                service,
                session,
                whole_number(request),
                json_text(message.data),
            )
        )
        ctx.success(message)


class RestReplyConfig(NodeConfig, frozen=True, kw_only=True):
    """Names of the metadata keys that say whom to answer."""

    service_id_meta_data_attribute: str = "serviceId"
    request_id_meta_data_attribute: str = "requestUUID"


class RestReply:
    """rest call reply: the message answers a REST_API_REQUEST."""

    def __init__(self, config: RestReplyConfig, node: NodeHandle) -> None:
        self._service = config.service_id_meta_data_attribute or "serviceId"
        self._request = config.request_id_meta_data_attribute or "requestUUID"

    def process(self, message: Message, ctx: Context) -> None:
        """Answer after the commit; a request that is gone is no failure."""
        request = _required(message, self._request, "Request id")
        service = _required(message, self._service, "Service id")
        if message.data is None or message.data == "":
            raise NodeError("Request body is empty!")
        reply = ctx.services.reply_to_rest
        ctx.after_commit(partial(reply, service, _uuid(request), message))
        ctx.success(message)


def _required(message: Message, key: str, what: str) -> str:
    text = message.metadata.get(key)
    if not text:
        raise NodeError(f"{what} is not present in the metadata!")
    return text


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NodeError(f"Invalid UUID string: {text}") from None


RPC_NODES = (
    NodeFactory(
        PACKAGE + "rpc.TbSendRPCRequestNode",
        "rpc call request",
        RpcRequestConfig,
        RpcRequest,
        note="after a crash the device is asked again, unless the request came over an API",
    ),
    NodeFactory(PACKAGE + "rpc.TbSendRPCReplyNode", "rpc call reply", RpcReplyConfig, RpcReply),
    NodeFactory(
        PACKAGE + "rest.TbSendRestApiCallReplyNode", "rest call reply", RestReplyConfig, RestReply
    ),
)
