"""What an operator and a monitoring system may read without a login.

Like ThingsBoard's actuator these are open on the network the port is bound to: they tell figures
and states, never a value, a name of a device's data or a credential. Whatever reads data or
changes it is in the REST API and needs a login.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from appliance.kernel.metrics_model import Metrics
from appliance.web import health, openmetrics
from appliance.web.status import Status, StatusSource

_NO_STORE = {"cache-control": "no-store"}


def status_document(status: Status) -> dict[str, Any]:
    """The body of `/status`: the level, why, and every figure."""
    found = health.checks(status)
    return {
        "level": health.overall(found).name.lower(),
        "checks": [check.to_json() for check in found],
        **msgspec.to_builtins(status),
    }


def routes(source: StatusSource, metrics: Metrics) -> list[Route]:
    """`/`, `/status`, `/healthz`, `/readyz`, `/metrics`."""
    page, policy = _page()

    async def show_page(request: Request) -> Response:
        headers = {"content-security-policy": policy, "x-content-type-options": "nosniff"}
        return Response(page, media_type="text/html", headers=headers)

    async def show_status(request: Request) -> Response:
        return _json(status_document(source.status()))

    async def show_health(request: Request) -> Response:
        return _json({"status": "alive"})

    async def show_ready(request: Request) -> Response:
        reasons = health.unready(source.status())
        body = {"status": "not ready" if reasons else "ready", "reasons": reasons}
        return _json(body, 503 if reasons else 200)

    async def show_metrics(request: Request) -> Response:
        samples = [*metrics.samples(), *openmetrics.status_samples(source.status())]
        headers = {"content-type": openmetrics.CONTENT_TYPE}
        return Response(openmetrics.render(samples), headers=headers)

    return [
        Route("/", show_page),
        Route("/status", show_status),
        Route("/healthz", show_health),
        Route("/readyz", show_ready),
        Route("/metrics", show_metrics),
    ]


def _json(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, _NO_STORE, "application/json")


def _page() -> tuple[str, str]:
    """The page and a policy that lets exactly its own script and style run."""
    page = resources.files("appliance.web").joinpath("page.html").read_text("utf-8")
    scripts, styles = (_hash(page, tag) for tag in ("script", "style"))
    policy = (
        f"default-src 'none'; connect-src 'self'; img-src data:; script-src {scripts}; "
        f"style-src {styles}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy


def _hash(page: str, tag: str) -> str:
    found = re.search(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    assert found is not None, f"the page has no <{tag}>"
    digest = hashlib.sha256(found.group(1).encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
