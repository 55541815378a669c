"""Trying a script: what the "Test" button of a script node asks."""

from __future__ import annotations

from typing import Any

import msgspec
import trio
from starlette.responses import Response

from appliance.rules.trial import Trial, answer_text, try_script
from appliance.web.errors import ApiError
from appliance.web.rest.call import Call, Table

table = Table()
_LANGUAGES = ("JS", "TBEL")
_AT_ONCE = trio.CapacityLimiter(2)
"""A script may use a core for 8 s; more at once would only take the cores from the devices."""


@table.on("POST", "/api/ruleChain/testScript")
async def test_script(call: Call) -> Any:
    """Run a script once: `{output, error}`, and `warnings` where a server would refuse it."""
    language = call.query("scriptLang") or "JS"
    if language not in _LANGUAGES:
        raise ApiError(400, f"No script language {language}")
    given = {key: value for key, value in call.json_object().items() if value is not None}
    try:
        trial = msgspec.convert({**given, "scriptLang": language}, Trial)
    except msgspec.ValidationError as error:
        raise ApiError(400, f"Bad script test: {error}") from None
    answer = await trio.to_thread.run_sync(try_script, trial, limiter=_AT_ONCE)
    return Response(answer_text(answer), media_type="application/json")
