"""Every transport keeps the promises of the port."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.extension.ports import Transport
from appliance.kernel.events import ignore
from appliance.testing.fake_transport import FakeTransport
from appliance.testing.transport import CLAUSES, Clause
from plugins.transport_grpc.config import GrpcConfig
from plugins.transport_grpc.transport import GrpcTransport


class FakeMaker:
    def __init__(self) -> None:
        self._wire = FakeTransport()

    def server(self) -> Transport:
        return self._wire

    def client(self, port: int) -> Transport:
        return self._wire


@pytest.mark.mock_clock
@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.__name__)
async def test_the_fake(clause: Clause) -> None:
    await clause(FakeMaker())


class GrpcMaker:
    """Both roles of the real one, through sockets of this machine."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    def server(self) -> Transport:
        return GrpcTransport(GrpcConfig(listen="127.0.0.1", port=0, **self._settings), ignore)

    def client(self, port: int) -> Transport:
        return GrpcTransport(GrpcConfig(host="127.0.0.1", port=port, **self._settings), ignore)


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.__name__)
async def test_grpc(clause: Clause, compress: bool) -> None:
    await clause(GrpcMaker(compress=compress))
