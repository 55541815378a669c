"""What happens in the rule engine, as events."""

from __future__ import annotations

from typing import ClassVar

from appliance.kernel.events import Event


class RuleChainLoaded(Event, frozen=True, kw_only=True):
    """A chain was compiled; kept: nodes that went on with their state."""

    text: ClassVar[str] = "rule chain {name} loaded: {nodes} nodes, {kept} kept, {refused} refused"

    name: str
    nodes: int
    kept: int
    refused: int


class RuleNodeRefused(Event, frozen=True, kw_only=True):
    """A node did not start; messages that reach it fail (§2.4)."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "rule chain {chain}: node {node} did not start: {reason}"
    counters: ClassVar[dict[str, str]] = {"rule_nodes_refused": ""}

    chain: str
    node: str
    reason: str


class RuleNodeFaulted(Event, frozen=True, kw_only=True):
    """What a node did by itself (timer, end) went wrong; it goes on as far as it can."""

    level: ClassVar[str] = "error"
    text: ClassVar[str] = "rule chain {chain}: node {node}: {reason}"
    counters: ClassVar[dict[str, str]] = {"rule_nodes_faulted": ""}

    chain: str
    node: str
    reason: str


class RuleMessageFailed(Event, frozen=True, kw_only=True):
    """A message failed at a node that has no Failure link; whoever runs it says so once more."""

    level: ClassVar[str] = "debug"
    text: ClassVar[str] = "rule chain {chain}: message {type} failed at {node}: {error}"
    counters: ClassVar[dict[str, str]] = {"rule_messages_failed": ""}

    chain: str
    node: str
    type: str
    error: str


class RuleMessageRetried(Event, frozen=True, kw_only=True):
    """A failed message of a retrying queue runs again after a pause (§2.5)."""

    text: ClassVar[str] = "queue {queue}: message {type} failed, attempt {attempt} in {pause_s} s"
    counters: ClassVar[dict[str, str]] = {"rule_messages_retried": ""}

    queue: str
    type: str
    attempt: int
    pause_s: float


class RuleMessageGivenUp(Event, frozen=True, kw_only=True):
    """A message used up the retries of its queue."""

    level: ClassVar[str] = "error"
    text: ClassVar[str] = "queue {queue}: message {type} given up after {attempts} attempts"
    counters: ClassVar[dict[str, str]] = {"rule_messages_given_up": ""}

    queue: str
    type: str
    attempts: int


class RuleNodeLogged(Event, frozen=True, kw_only=True):
    """A log node's text."""

    text: ClassVar[str] = "{node}: {message}"

    node: str
    message: str
