"""One REST call: who asks, what they ask, and what answers are made of.

Handlers are plain functions of a `Call`; what they return becomes JSON, None an empty 200. They
are collected in a `Table` per topic, with the roles that may call them; `routes` binds the tables
to the services.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any, Protocol, TypeVar
from uuid import UUID

import msgspec
import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from appliance.access.audit import AuditLog
from appliance.access.tokens import Principal, TokenError
from appliance.access.users import CUSTOMER_USER, SYS_ADMIN, TENANT_ADMIN, Access
from appliance.extension.ports import Storage
from appliance.fields.debug import FieldDebugEvent
from appliance.kernel.clock import Clock
from appliance.model.errors import Permanent, Retryable
from appliance.model.ids import EntityId
from appliance.rules.debug import DebugEvent
from appliance.state.kinds import entity_id_of, id_of
from appliance.state.view import StateView
from appliance.web.audited import AuditedCommands
from appliance.web.commands import Commands
from appliance.web.errors import ApiError, Code, not_found, uuid_of, whole_number
from appliance.web.rest.cloud_events import CloudEvents
from appliance.web.rest.entity_types import ENTITY_TYPES
from appliance.web.rest.shapes import compose

ANYONE: tuple[str, ...] = ()
ADMIN = (TENANT_ADMIN,)
USERS = (TENANT_ADMIN, CUSTOMER_USER)
ALL = (SYS_ADMIN, TENANT_ADMIN, CUSTOMER_USER)

NO_PERMISSION = "You don't have permission to perform this operation!"


E = TypeVar("E", covariant=True)


class DebugEvents(Protocol[E]):
    """The part of the rule engine, or of the fields, that pages about debug events read."""

    def debug_events(self, id: UUID, /) -> Sequence[E]:
        """Events of a node or field, oldest first."""
        ...

    def clear_debug_events(self, id: UUID, start_ms: int, end_ms: int, /) -> None:
        """Forget events of an interval, both ends included."""
        ...


class Services(msgspec.Struct, frozen=True):
    """What handlers work on. role: "edge" or "cloud".

    debug, field_debug: of rule nodes and of calculated fields; None where neither runs.
    audit: None where nobody asks who did what. edition: "CE" or "PE", which a cloud plays; an edge
    knows its cloud's from its EDGE entity.
    """

    role: str
    view: StateView
    storage: Storage
    commands: Commands
    access: Access
    events: CloudEvents
    clock: Clock
    debug: DebugEvents[DebugEvent] | None = None
    field_debug: DebugEvents[FieldDebugEvent] | None = None
    audit: AuditLog | None = None
    edition: str = "CE"


class Call:
    """A request after authentication."""

    def __init__(
        self, request: Request, body: bytes, services: Services, principal: Principal | None
    ) -> None:
        self.body = body
        self.services = services
        self.view = services.view
        self.commands = _commands(services, principal)
        self._request = request
        self._principal = principal

    @property
    def principal(self) -> Principal:
        """Who asks; only where the route names roles."""
        assert self._principal is not None, "the route is open to anyone"
        return self._principal

    @property
    def client(self) -> tuple[str, str]:
        """Address of the client and how its program calls itself; "" where unknown."""
        address = self._request.client.host if self._request.client else ""
        return address, self._request.headers.get("user-agent", "")

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self._request.path_params[name])

    def path_or(self, name: str, otherwise: str) -> str:
        """A part that not every path of the handler has."""
        return str(self._request.path_params.get(name, otherwise))

    def path_id(self, name: str = "id") -> UUID:
        """A part of the path that is a UUID. Raises ApiError 400."""
        return uuid_of(self.path(name))

    def path_entity(self, type_name: str = "type", id_name: str = "id") -> EntityId:
        """`{type}/{id}` of the path. Raises ApiError 400."""
        return EntityId(entity_type_of(self.path(type_name)), self.path_id(id_name))

    def query(self, name: str) -> str | None:
        """A query parameter; None where absent or empty."""
        return self._request.query_params.get(name) or None

    def need(self, name: str) -> str:
        """A query parameter that must be there. Raises ApiError 400."""
        value = self.query(name)
        if value is None:
            raise ApiError(400, f"Required request parameter '{name}' is not present")
        return value

    def has(self, name: str) -> bool:
        """Whether a query parameter is there, be it empty."""
        return name in self._request.query_params

    def integer(self, name: str, *, bits: int = 64) -> int | None:
        """A whole number of so many bits, None where absent. Raises ApiError 400."""
        text = self.query(name)
        return None if text is None else whole_number(name, text, bits)

    def flag(self, name: str) -> bool:
        """A boolean parameter, false where absent. Raises ApiError 400."""
        word = (self.query(name) or "false").lower()
        if word not in _FLAGS:
            raise ApiError(400, f"Parameter '{name}': {word!r} is neither true nor false")
        return _FLAGS[word]

    def names(self, name: str) -> list[str] | None:
        """A list separated by commas, or said item by item; None where absent."""
        text = ",".join(self._request.query_params.getlist(name))
        return [part.strip() for part in text.split(",") if part.strip()] if text else None

    def keys(self) -> list[str] | None:
        """`keys`, and after them each `key` as it is, with its commas; None where absent."""
        single = [key for key in self._request.query_params.getlist("key") if key]
        return [*(self.names("keys") or ()), *single] if single else self.names("keys")

    def need_names(self, name: str) -> list[str]:
        """A list that must have something in it. Raises ApiError 400."""
        self.need(name)
        return self.names(name) or []

    def json(self) -> Any:
        """The body. Raises ApiError 400 for what is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise ApiError(400, f"JSON parse error: {error}") from error

    def json_object(self) -> dict[str, Any]:
        """The body, which must be an object. Raises ApiError 400."""
        body = self.json()
        if not isinstance(body, dict):
            raise ApiError(400, "The request body must be a JSON object")
        return body

    def entity(self, kind: str, id: UUID) -> dict[str, Any]:
        """A stored entity that the caller may see. Raises ApiError 404, 403."""
        body = self.view.entity(kind, id)
        if body is None and kind == "TENANT" and id == self.view.tenant_id:
            body = {"id": EntityId(kind, id).to_json()}  # an edge may not have been told more
        if body is None:
            raise not_found(kind, id)
        self.check_visible(kind, body)
        return body

    def check_visible(self, kind: str, body: dict[str, Any]) -> None:
        """Raises ApiError 403 for what the caller may not see."""
        if not self.sees(kind, body):
            raise ApiError(403, NO_PERMISSION)

    def sees(self, kind: str, body: dict[str, Any]) -> bool:
        """A customer's user sees what is the customer's, anybody else everything."""
        if self.principal.authority != CUSTOMER_USER:
            return True
        own = body if kind != "CUSTOMER" else {"customerId": body.get("id")}
        if kind == "ALARM":
            originator = entity_id_of(body.get("originator"))
            own = (originator and self.view.entity(originator.type, originator.id)) or {}
        return id_of(own.get("customerId")) == self.principal.customer_id

    def compose(self, kind: str, given: dict[str, Any]) -> tuple[UUID, dict[str, Any], bool]:
        """A whole object of what was posted: (id, body, whether it is new); see shapes.compose.

        What a customer's user saves is and stays the customer's. Raises ApiError.
        """
        versioned = self.services.role == "cloud"
        if self.principal.authority == CUSTOMER_USER:
            own = EntityId("CUSTOMER", self.principal.customer_id).to_json()
            given = {**given, "customerId": own}
        id, body, new = compose(self.view, kind, given, versioned=versioned)
        if not new:
            self.entity(kind, id)
        return id, body, new


def _commands(services: Services, principal: Principal | None) -> Commands:
    """The role's commands, with a trace in the audit log where there is one."""
    if services.audit is None or principal is None:
        return services.commands
    return AuditedCommands(services.commands, services.view, services.audit, principal)


Handler = Callable[[Call], Awaitable[Any]]


class Entry(msgspec.Struct, frozen=True):
    """One method of one path. roles: empty = open to anyone. in_turn: see Table."""

    method: str
    path: str
    roles: tuple[str, ...]
    handler: Handler
    in_turn: bool = False


class Table:
    """The entries of one topic.

    in_turn: one change after the other, for handlers that look what there is before they change it;
    else two would take the same name, or undo each other's change. None of them waits for what a
    device or an edge answers.
    """

    def __init__(self, *, in_turn: bool = False) -> None:
        self.entries: list[Entry] = []
        self._in_turn = in_turn

    def on(
        self, method: str, *paths: str, roles: tuple[str, ...] = ADMIN
    ) -> Callable[[Handler], Handler]:
        """Enter the decorated handler for the method of each path."""

        def enter(handler: Handler) -> Handler:
            in_turn = self._in_turn and method != "GET"
            self.entries.extend(Entry(method, path, roles, handler, in_turn) for path in paths)
            return handler

        return enter


def routes(entries: Iterable[Entry], services: Services) -> list[Route]:
    """Starlette's routes; a fixed part of a path goes before a variable one."""
    ordered = sorted(entries, key=lambda e: [part.startswith("{") for part in e.path.split("/")])
    turn = trio.Lock()
    return [
        Route(entry.path, _endpoint(entry, services, turn), methods=[entry.method])
        for entry in ordered
    ]


def _endpoint(
    entry: Entry, services: Services, turn: trio.Lock
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            principal = authenticated(request, services.access, entry.roles)
            call = Call(request, await request.body(), services, principal)
            async with turn if entry.in_turn else nullcontext():
                result = await entry.handler(call)
        except ApiError as error:
            return error_answer(error)
        except Permanent as error:
            return error_answer(ApiError(400, str(error)))
        except Retryable as error:
            seconds = max(1, round(error.retry_after_s))
            return error_answer(ApiError(503, str(error)), {"retry-after": str(seconds)})
        return _answer(result)

    return answer


def authenticated(request: Request, access: Access, roles: tuple[str, ...]) -> Principal | None:
    """Who asks; None where anyone may. Raises ApiError 401, 403."""
    if not roles:
        return None
    header = request.headers.get("x-authorization") or request.headers.get("authorization") or ""
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise ApiError(401, "Authentication failed")
    try:
        principal = access.authenticate(token.strip())
    except TokenError as error:
        if error.expired:
            raise ApiError(401, "Token has expired", Code.TOKEN_EXPIRED) from error
        raise ApiError(401, "Invalid username or password") from error
    if principal.authority not in roles:
        raise ApiError(403, NO_PERMISSION)
    return principal


def _answer(result: Any) -> Response:
    if isinstance(result, Response):
        return result
    if result is None:
        return Response(None)
    return Response(msgspec.json.encode(result), media_type="application/json")


def error_answer(error: ApiError, headers: dict[str, str] | None = None) -> Response:
    """The error as ThingsBoard's document, or as plain text where the reference does so."""
    if error.plain:
        media_type = "text/plain;charset=UTF-8"
        return Response(error.message, error.status, headers, media_type)
    return Response(error.document(), error.status, headers, "application/json")


_FLAGS = {
    **dict.fromkeys(("true", "on", "yes", "1"), True),
    **dict.fromkeys(("false", "off", "no", "0"), False),
}
"""The words that Spring takes for a boolean."""


def entity_type_of(text: str) -> str:
    """An EntityType name. Raises ApiError 400."""
    if text not in ENTITY_TYPES:
        raise ApiError(400, f"No entity type {text}")
    return text
