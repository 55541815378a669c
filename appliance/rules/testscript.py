"""Try a script the way a node would run it: what `POST /api/ruleChain/testScript` answers.

Also the contract of script nodes in one place: which results each kind of node accepts and what it
makes of them (rule-engine specification §5.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.rules.tbel import TbelError, TbelSyntaxError, compile_script
from appliance.rules.tbel.java_order import hash_ordered
from appliance.rules.tbel.json_text import parse_json
from appliance.rules.tbel.kinds import from_json, type_of
from appliance.rules.tbel.text import to_json, to_text
from appliance.rules.tbel.values import JavaArray, TbMap, TbSet

JsEvaluator = Callable[[str, str, str, dict[str, str], str, tuple[str, ...]], Any]


def test_script(
    script: str,
    script_lang: str,
    script_type: str,
    msg: str,
    metadata: dict[str, str],
    msg_type: str,
    arg_names: tuple[str, ...] = ("msg", "metadata", "msgType"),
    evaluate_js: JsEvaluator | None = None,
) -> tuple[str | None, str]:
    """Compile and run a script once.

    Args:
        script_lang: "TBEL" or "JS".
        script_type: filter, switch, json, update, generate or string.
        msg: the message's data as JSON text.
        evaluate_js: runs a JavaScript body; gets the arguments of this function without the
            language and this one, and returns what this function returns.

    Returns:
        The output (JSON text, or text as it is for "string") and the error, "" where there is none.
    """
    if script_lang == "JS":
        if evaluate_js is None:
            return "", "JavaScript cannot be run here"
        answer: tuple[str | None, str] = evaluate_js(
            script, script_type, msg, metadata, msg_type, arg_names
        )
        return answer
    try:
        return _evaluate(script, script_type, msg, metadata, msg_type, arg_names), ""
    except RecursionError:
        return "", "the value is nested too deeply"
    except (TbelError, TbelSyntaxError) as error:
        return "", str(error)


test_script.__test__ = False  # type: ignore[attr-defined]  # keeps pytest from collecting it


def _evaluate(
    script: str,
    script_type: str,
    msg: str,
    metadata: dict[str, str],
    msg_type: str,
    arg_names: tuple[str, ...],
) -> str | None:
    data = parse_json(msg)
    compiled = compile_script(script, arg_names)
    result = compiled.run_raw(from_json(data), TbMap(hash_ordered(metadata)), msg_type)
    shape = _SHAPES.get(script_type)
    if shape is None:
        raise TbelError(f"unknown script type {script_type!r}")
    return shape(result, data, metadata, msg_type)


def wrong_result(value: Any) -> TbelError:
    """The error for a result that a node cannot use, to be raised."""
    names = {"TbList": "ArrayList", "TbMap": "HashMap", "TbSet": "LinkedHashSet", "null": "null"}
    kind = type_of(value)
    return TbelError(f"Wrong result type: {names.get(kind, kind)}")


def filter_result(value: Any) -> bool:
    """What a filter node decides.

    Raises:
        TbelError: the result is not true or false.
    """
    if value is True or value is False:
        return bool(value)
    raise wrong_result(value)


def switch_result(value: Any) -> list[str]:
    """The labels that a switch node sends to, each once.

    Raises:
        TbelError: the result is neither text nor a collection of texts.
    """
    if isinstance(value, str) and type_of(value) == "String":
        return [value]
    if not isinstance(value, list | TbSet | JavaArray):
        raise wrong_result(value)
    labels: dict[str, None] = {}
    for label in value:
        if type(label) is not str:
            raise wrong_result(label)
        labels[label] = None
    return list(labels)


def envelopes(
    value: Any, data: Any, metadata: dict[str, str], msg_type: str
) -> list[tuple[Any, dict[str, str], str]]:
    """The messages that a transform or generator node makes: data, metadata and type of each.

    Raises:
        TbelError: the result, or an element of it, is no map.
    """
    values = value if isinstance(value, list) else [value]
    if isinstance(value, list) and not value:
        raise TbelError("Index 0 out of bounds for length 0")
    return [_envelope(v, data, metadata, msg_type) for v in values]


def _envelope(
    value: Any, data: Any, metadata: dict[str, str], msg_type: str
) -> tuple[Any, dict[str, str], str]:
    if not isinstance(value, dict):
        raise wrong_result(value)
    new_data, new_metadata, new_type = (value.get(k) for k in ("msg", "metadata", "msgType"))
    if new_metadata is not None and not isinstance(new_metadata, dict):
        raise TbelError(f"Cannot deserialize metadata from {type_of(new_metadata)}")
    return (
        data if new_data is None else new_data,
        metadata if new_metadata is None else _texts(new_metadata),
        msg_type if new_type is None or new_type == "" else to_text(new_type),
    )


def _texts(metadata: dict[Any, Any]) -> dict[str, str]:
    return {to_text(k): to_text(v) for k, v in metadata.items() if v is not None}


def string_result(value: Any) -> str | None:
    """The text of a to-string or log node."""
    if value is None or type(value) is str:
        return None if value is None else str(value)
    return to_json(value)


def _filter(value: Any, data: Any, metadata: dict[str, str], msg_type: str) -> str:
    return to_json(filter_result(value))


def _switch(value: Any, data: Any, metadata: dict[str, str], msg_type: str) -> str:
    return to_json(switch_result(value))


def _json(value: Any, data: Any, metadata: dict[str, str], msg_type: str) -> str:
    return to_json(value)


def _string(value: Any, data: Any, metadata: dict[str, str], msg_type: str) -> str | None:
    return string_result(value)


def _update(value: Any, data: Any, metadata: dict[str, str], msg_type: str) -> str:
    made = [
        TbMap([("msg", d), ("metadata", dict(m)), ("msgType", t)])
        for d, m, t in envelopes(value, data, metadata, msg_type)
    ]
    return to_json(made[0] if len(made) == 1 else made)


def _generate(value: Any, data: Any, metadata: dict[str, str], msg_type: str) -> str:
    if not isinstance(value, dict):
        raise wrong_result(value)
    return _update(value, data, metadata, msg_type)


_SHAPES: dict[str, Callable[[Any, Any, dict[str, str], str], str | None]] = {
    "filter": _filter,
    "switch": _switch,
    "json": _json,
    "string": _string,
    "update": _update,
    "generate": _generate,
}
