"""Every transport keeps the promises of the port."""

from __future__ import annotations

import pytest

from appliance.extension.ports import Transport
from appliance.testing.fake_transport import FakeTransport
from appliance.testing.transport import CLAUSES, Clause


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
