"""The ASGI application behind the door: pages, REST API, and what plugins mount."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from appliance.extension.ports import RequestHandler
from appliance.kernel.metrics_model import Metrics
from appliance.model.errors import Retryable
from appliance.web import pages
from appliance.web.errors import ApiError
from appliance.web.rest import (
    alarms,
    audit_logs,
    auth,
    calculated_fields,
    claims,
    devices,
    edges,
    entities,
    entity_query,
    lookups,
    relations,
    rpc,
    rule_chains,
    rule_events,
    rule_scripts,
    telemetry,
)
from appliance.web.rest.call import ALL, Services, authenticated, error_answer, routes
from appliance.web.status import StatusSource

TABLES = (
    auth,
    devices,
    entities,
    telemetry,
    rpc,
    alarms,
    relations,
    edges,
    rule_chains,
    rule_events,
    rule_scripts,
    audit_logs,
    calculated_fields,
    lookups,
    entity_query,
    claims,
)

_OPEN = ("/api/auth/", "/api/noauth/", "/api/v1/", "/api/ws")
"""Paths of the API that need no login."""
_LOGINS = ("/api/auth/login", "/api/auth/token")


def build_app(
    services: Services,
    status: StatusSource,
    metrics: Metrics,
    mounted: Sequence[tuple[str, RequestHandler]] = (),
) -> Starlette:
    """The whole application; see `fill`."""
    app = empty_app()
    fill(app, services, status, metrics, mounted)
    return app


def empty_app() -> Starlette:
    """An application without routes that answers errors as ThingsBoard does."""
    return Starlette(exception_handlers={404: _no_resource, 405: _wrong_method})


def fill(
    app: Starlette,
    services: Services,
    status: StatusSource,
    metrics: Metrics,
    mounted: Sequence[tuple[str, RequestHandler]] = (),
) -> None:
    """Give an empty application its routes.

    Args:
        services: what the REST API works on.
        status, metrics: what the pages without a login show.
        mounted: prefixes and applications of plugins (`RoutesSpec`); they come last, so that none
            can take a path of ours.
    """
    app.state.access = services.access
    app.router.routes += pages.routes(status, metrics)
    app.router.routes += api_routes(services)
    app.router.routes += [Mount(prefix, app=application) for prefix, application in mounted]


def api_routes(services: Services) -> list[Route]:
    """The REST API."""
    entries = [entry for module in TABLES for entry in module.table.entries]
    return routes(entries, services)


async def _no_resource(request: Request, error: Exception) -> Response:
    path = request.url.path.strip("/")
    return _refused(request, ApiError(404, f"No static resource {path}."))


async def _wrong_method(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if request.url.path in _LOGINS:
        return error_answer(ApiError(401, "Authentication method not supported"))
    message = f"Request method '{request.method}' is not supported"
    return _refused(request, ApiError(405, message), dict(error.headers or {}))


def _refused(request: Request, error: ApiError, headers: dict[str, str] | None = None) -> Response:
    """The error; but who is not logged in learns nothing about the paths of the API."""
    path = request.url.path
    if path.startswith("/api/") and not path.startswith(_OPEN):
        try:
            authenticated(request, request.app.state.access, ALL)
        except ApiError as refusal:
            return error_answer(refusal)
        except Retryable as early:
            return error_answer(ApiError(503, str(early)), {"retry-after": "1"})
    return error_answer(error, headers)
