"""`async def` tests run under Trio; where the fixtures are; one seed for all that is random."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import trio
import trio.testing

from tests.kit.seed import SEED

hypothesis.settings.register_profile(
    "house", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("house")

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Hypothesis throws our dice, too, unless the command line has others."""
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(SEED)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test under Trio; with the marker `mock_clock`, in virtual time."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in names}
    clock = None
    if pyfuncitem.get_closest_marker("mock_clock"):
        clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(functools.partial(pyfuncitem.obj, **arguments), clock=clock)
    return True
