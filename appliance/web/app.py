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
from appliance.web import pages
from appliance.web.errors import ApiError
from appliance.web.rest import (
    alarms,
    audit_logs,
    auth,
    calculated_fields,
    devices,
    edges,
    entities,
    relations,
    rpc,
    rule_chains,
    rule_events,
    rule_scripts,
    telemetry,
)
from appliance.web.rest.call import Services, error_answer, routes
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
)


def build_app(
    services: Services,
    status: StatusSource,
    metrics: Metrics,
    mounted: Sequence[tuple[str, RequestHandler]] = (),
) -> Starlette:
    """The application.

    Args:
        services: what the REST API works on.
        status, metrics: what the pages without a login show.
        mounted: prefixes and applications of plugins (`RoutesSpec`); they come last, so that none
            can take a path of ours.
    """
    app = empty_app()
    app.router.routes += pages.routes(status, metrics)
    app.router.routes += api_routes(services)
    app.router.routes += [Mount(prefix, app=application) for prefix, application in mounted]
    return app


def empty_app() -> Starlette:
    """An application without routes that answers errors as ThingsBoard does."""
    return Starlette(exception_handlers={404: _no_resource, 405: _wrong_method})


def api_routes(services: Services) -> list[Route]:
    """The REST API."""
    entries = [entry for module in TABLES for entry in module.table.entries]
    return routes(entries, services)


async def _no_resource(request: Request, error: Exception) -> Response:
    path = request.url.path.strip("/")
    return error_answer(ApiError(404, f"No static resource {path}."))


async def _wrong_method(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"Request method '{request.method}' is not supported"
    return error_answer(ApiError(405, message), dict(error.headers or {}))
