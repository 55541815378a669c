"""JavaScript bodies in QuickJS, with limits.

Limits: 100 MB of memory per context, 8 s of CPU per call (spec/rule-engine.md §5.1), 256 kB of
stack. The engine looks at its clock in loops, in calls and inside regular expressions; where it
does not, in methods that go through an array place by place, the array is bounded. A call that
takes longer than `INLINE_S` is a long one: it is stopped, the script is marked slow, and from then
on its calls run in a worker thread with the full limit, so that one heavy script cannot hold up
every device. Scripts are pure by contract, so running one again is safe.

Arguments and results cross as JSON text: scripts cannot reach Python, and cannot change the
message. Contexts are shared by `SCRIPTS_PER_CONTEXT` scripts (100 kB a context, 1 kB a script): a
script may spoil globals for its neighbours just as it may on the server.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import msgspec
import quickjs

from appliance.model.errors import ConfigError
from appliance.rules.node import NodeError

MEMORY_BYTES_MAX = 100 * 1024 * 1024
CPU_S_MAX = 8.0
INLINE_S = 0.05
STACK_BYTES_MAX = 256 * 1024
SCRIPTS_PER_CONTEXT = 64
PLACES_MAX = 8_000_000
"""Of an array: a place takes 16 bytes, so a longer one can only be empty for the most part."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_WRAP = """(function () {
  var body = function (%s) {
%s
};
  return function (%s) { return JSON.stringify(body(%s)); };
})()"""

_BOUND_ARRAYS = f"""(function () {{
  function check(value) {{
    if (value && value.length > {PLACES_MAX})
      throw new RangeError("an array of " + value.length + " places");
  }}
  for (const name of ["concat", "copyWithin", "flat", "join", "reverse", "shift", "slice", "sort",
                      "splice", "toLocaleString", "unshift"]) {{
    const native = Array.prototype[name];
    const value = function () {{
      check(this);
      for (let i = 0; i < arguments.length; i++) check(arguments[i]);
      return native.apply(this, arguments);
    }};
    Object.defineProperty(Array.prototype, name, {{ value, writable: true, configurable: true }});
  }}
}})()"""


class ScriptTooLong(NodeError):
    """An inline call used up its time."""


class JsScript:
    """A compiled body. `run` is for the Trio thread, `run_long` for a worker thread.

    Made by `compile_js`; parameters are all JSON values.
    """

    def __init__(self, text: str, parameters: tuple[str, ...]) -> None:
        self._source = _source(text, parameters)
        self._context, self._function = _shared.compile(self._source)
        self._long: tuple[quickjs.Context, Callable[..., Any]] | None = None
        self._long_lock = threading.Lock()
        self.slow = False

    def run(self, *arguments: Any) -> Any:
        """Call with parsed JSON, return parsed JSON; `undefined` and null are None.

        Raises NodeError with the script's own error, ScriptTooLong after INLINE_S (and sets
        `slow`: use `run_long` for this and all later calls).
        """
        self._context.set_time_limit(INLINE_S)
        try:
            return _call(self._function, arguments)
        except ScriptTooLong:
            self.slow = True
            raise

    def run_long(self, *arguments: Any) -> Any:
        """As `run`, in a context of its own with the full CPU limit; blocks its thread."""
        with self._long_lock:
            # QuickJS measures its stack from the thread that made the context, so each call to a
            # worker thread gets a fresh one; next to a call of 50 ms that is nothing.
            context, function = _compile_in(_context(), self._source)
            context.set_time_limit(CPU_S_MAX)
            return _call(function, arguments)


def run_once(text: str, parameters: tuple[str, ...], arguments: tuple[Any, ...]) -> Any:
    """Compile a body, call it once with the full limits, forget it; blocks, on any one thread.

    Raises ConfigError with what does not parse, NodeError with the script's own error.
    """
    context = _context()
    try:
        _, function = _compile_in(context, _source(text, parameters))
    except quickjs.JSException as error:
        raise ConfigError(f"JavaScript does not compile: {_first_line(error)}") from None
    context.set_time_limit(CPU_S_MAX)
    return _call(function, arguments)


class _SharedContexts:
    """Hands out places in shared contexts; for one thread."""

    def __init__(self) -> None:
        self._current: quickjs.Context | None = None
        self._places = 0

    def compile(self, source: str) -> tuple[quickjs.Context, Callable[..., Any]]:
        if self._current is None or self._places == 0:
            self._current, self._places = _context(), SCRIPTS_PER_CONTEXT
        self._places -= 1
        return _compile_in(self._current, source)


_shared = _SharedContexts()


def compile_js(text: str, parameters: tuple[str, ...]) -> JsScript:
    """Compile a function body. Raises ConfigError with what does not parse."""
    try:
        return JsScript(text, parameters)
    except quickjs.JSException as error:
        raise ConfigError(f"JavaScript does not compile: {_first_line(error)}") from None


def _source(text: str, parameters: tuple[str, ...]) -> str:
    parsed = ", ".join(f"JSON.parse({name})" for name in parameters)
    names = ", ".join(parameters)
    return _WRAP % (names, text, names, parsed)


def _context() -> quickjs.Context:
    context = quickjs.Context()
    context.set_memory_limit(MEMORY_BYTES_MAX)
    context.set_max_stack_size(STACK_BYTES_MAX)
    context.eval(_BOUND_ARRAYS)
    return context


def _compile_in(context: quickjs.Context, source: str) -> tuple[Any, Callable[..., Any]]:
    function: Callable[..., Any] = context.eval(source)
    return context, function


def _call(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    try:
        result = function(*[_encode(argument).decode() for argument in arguments])
    except quickjs.JSException as error:
        text = _first_line(error)
        if "interrupted" in text:
            raise ScriptTooLong("the script took too long") from None
        raise NodeError(f"JavaScript: {text}") from None
    return None if result is None else _decode(result)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
