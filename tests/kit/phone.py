"""A device that is connected to an edge: notes what it is told, and answers requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from appliance.edge.assembly import Edge
from appliance.model.telemetry import Value
from tests.kit.pair import until


class Phone:
    """Implements Downlink for one device, subscribed to everything."""

    def __init__(self, edge: Edge, token: str, answer: Any = None) -> None:
        session = edge.gate.authenticate_token(token)
        assert session is not None
        self.session = session
        self.attributes_seen: list[tuple[dict[str, Value], list[str]]] = []
        self.requests: list[tuple[str, Any]] = []
        self._edge = edge
        self._answer = answer
        self._ids: list[int] = []
        self.leave = edge.gate.subscribe(session, self, attributes=True, rpc=True)

    def attributes(self, updated: dict[str, Value], deleted: Sequence[str]) -> None:
        """See Downlink."""
        self.attributes_seen.append((updated, list(deleted)))

    def rpc(self, request_id: int, method: str, params: Any, *, oneway: bool) -> bool:
        """See Downlink."""
        self.requests.append((method, params))
        self._ids.append(request_id)
        return True

    def closed(self, reason: str) -> None:
        """See Downlink."""

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        """Answer the next request meanwhile."""

        async def answer() -> None:
            await until(lambda: bool(self._ids))
            await self._edge.gate.rpc_reply(self.session, self._ids.pop(0), self._answer)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            yield
