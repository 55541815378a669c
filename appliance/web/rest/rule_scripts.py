"""Trying a script: what the "Test" button of a script node asks."""

from __future__ import annotations

from typing import Any

import msgspec
import trio
from starlette.responses import Response

from appliance.rules.trial import answer_text, trial_of, try_script
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
    try:
        trial = trial_of({**call.json_object(), "scriptLang": language})
    except msgspec.ValidationError as error:
        raise ApiError(400, f"Bad script test: {error}") from None
    answer = await trio.to_thread.run_sync(try_script, trial, limiter=_AT_ONCE)
    return Response(answer_text(answer), media_type="application/json")
