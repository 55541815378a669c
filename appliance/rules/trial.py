"""One try of a script, in either language: what an author's "Test" button and `rules eval` ask.

`testscript` holds TBEL's half of the contract; JavaScript's is here. There the server stringifies
what the body returns, so nulls stay, `undefined` is nothing at all, and a wrong result is named by
its JSON kind. The answer's `warnings` are ours: where a script works here and would fail on a
server. Clients that know ThingsBoard's two fields do not see them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from appliance.model.errors import ConfigError
from appliance.rules.js import run_once
from appliance.rules.node import NodeError
from appliance.rules.scripts import MESSAGE_ARGUMENTS
from appliance.rules.tbel import TbelError, TbelSyntaxError, Warning_, compile_script
from appliance.rules.tbel.text import double_text
from appliance.rules.testscript import test_script
from appliance.rules.values import decode_json, java_text, json_text


class Trial(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A script and what it is to be run on, as clients post it.

    script_type: filter, switch, json, update, generate or string. msg: JSON text.
    """

    script: str
    script_type: str
    script_lang: str = "TBEL"
    msg: str = "{}"
    metadata: dict[str, Any] = {}
    msg_type: str = ""
    arg_names: tuple[str, ...] = MESSAGE_ARGUMENTS


class TrialAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """output: JSON text, or text as it is for "string"; "" beside an error."""

    output: str | None
    error: str
    warnings: tuple[Warning_, ...] = ()


def trial_of(given: Any) -> Trial:
    """A case of parsed JSON; null is as good as absent. Raises msgspec.ValidationError."""
    if isinstance(given, dict):
        given = {key: value for key, value in given.items() if value is not None}
    return msgspec.convert(given, Trial)


def read_trial(text: str) -> Trial:
    """A case of JSON text. Raises ValueError or msgspec.ValidationError."""
    return trial_of(json.loads(text))


def answer_text(answer: TrialAnswer) -> str:
    """The answer as JSON; a script may give half a character, so all but ASCII is escaped."""
    return json.dumps(msgspec.to_builtins(answer), separators=(",", ":"))


def try_script(trial: Trial) -> TrialAnswer:
    """Compile and run once; blocks for up to 8 s, so call it in a thread where others wait."""
    metadata = {key: java_text(value) for key, value in trial.metadata.items()}
    output, error = test_script(
        trial.script,
        trial.script_lang,
        trial.script_type,
        trial.msg,
        metadata,
        trial.msg_type,
        trial.arg_names,
        evaluate_js,
    )
    return TrialAnswer(output, error, warnings_of(trial))


def warnings_of(trial: Trial) -> tuple[Warning_, ...]:
    """Where a TBEL script would fail on a server only; nothing for one that does not compile."""
    if trial.script_lang == "JS":
        return ()
    try:
        return compile_script(trial.script, trial.arg_names).warnings
    except (TbelSyntaxError, TbelError, RecursionError):
        return ()


def evaluate_js(
    script: str,
    script_type: str,
    msg: str,
    metadata: dict[str, str],
    msg_type: str,
    arg_names: tuple[str, ...],
) -> tuple[str | None, str]:
    """`test_script` for a JavaScript body."""
    shape = _SHAPES.get(script_type)
    try:
        if shape is None:
            raise NodeError(f"Unsupported script type: {script_type}")
        data = decode_json(msg)
        result = run_once(script, arg_names, (data, metadata, msg_type)[: len(arg_names)])
        return shape(result, data, metadata, msg_type), ""
    except msgspec.DecodeError as error:
        return "", f"the message is not JSON: {error}"
    except RecursionError:
        return "", "the value is nested too deeply"
    except (NodeError, ConfigError) as error:
        return "", str(error)


def _filter(value: Any, data: Any, metadata: dict[str, str], msg_type: str) -> str:
    if not isinstance(value, bool):
        raise _wrong(value)
    return json_text(value)


def _switch(value: Any, data: Any, metadata: dict[str, str], msg_type: str) -> str:
    labels = value if isinstance(value, list) else [value]
    for label in labels:
        if not isinstance(label, str):
            raise _wrong(label)
    return json_text(list(dict.fromkeys(labels)))


def _json(value: Any, data: Any, metadata: dict[str, str], msg_type: str) -> str:
    return _java_json(value)


def _string(value: Any, data: Any, metadata: dict[str, str], msg_type: str) -> str:
    if not isinstance(value, str):
        raise _wrong(value)
    return value


def _update(value: Any, data: Any, metadata: dict[str, str], msg_type: str) -> str:
    if value == []:
        raise NodeError("Index 0 out of bounds for length 0")
    results = value if isinstance(value, list) else [value]
    made = [_message(result, data, metadata, msg_type) for result in results]
    return _java_json(made[0] if len(made) == 1 else made)


def _generate(value: Any, data: Any, metadata: dict[str, str], msg_type: str) -> str:
    return _java_json(_message(value, data, metadata, msg_type))


def _message(result: Any, data: Any, metadata: dict[str, str], msg_type: str) -> dict[str, Any]:
    if not isinstance(result, dict):
        raise _wrong(result)
    given = result.get("metadata")
    if given is not None:
        if not isinstance(given, dict):
            raise _wrong(given)
        if any(isinstance(value, dict | list) for value in given.values()):
            raise NodeError("metadata values must be texts")
        metadata = {key: java_text(value) for key, value in given.items() if value is not None}
    kind = result.get("msgType")
    return {
        "msg": result.get("msg", data),
        "metadata": metadata,
        "msgType": java_text(kind) if kind else msg_type,
    }


def _wrong(value: Any) -> NodeError:
    return NodeError(f"Wrong result type: {_kind(value)}")


def _kind(value: Any) -> str:
    """The name that the server's JSON library has for the kind of a value."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "BOOLEAN"
    for kinds, name in ((int | float, "NUMBER"), (str, "STRING"), (list, "ARRAY")):
        if isinstance(value, kinds):
            return name
    return "OBJECT"


def _java_json(value: Any) -> str:
    """JSON text with doubles as Java writes them; nulls stay."""
    if isinstance(value, dict):
        members = (f"{json_text(key)}:{_java_json(item)}" for key, item in value.items())
        return f"{{{','.join(members)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_java_json, value))}]"
    return double_text(value) if isinstance(value, float) else json_text(value)


_SHAPES: dict[str, Callable[[Any, Any, dict[str, str], str], str]] = {
    "filter": _filter,
    "switch": _switch,
    "json": _json,
    "string": _string,
    "update": _update,
    "generate": _generate,
}
