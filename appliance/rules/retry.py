"""Queues that retry (spec/rule-engine.md §2.5): what a failure does to a message.

Main drops failures: what the message caused until then stays, the failure is counted and shown.
HighPriority, SequentialByOriginator and whatever else the server defines with a RETRY strategy run
a failed branch again from where it began, after a pause that doubles up to its bound; 0 retries
means for ever. A waiting retry is durable: it is a state in the unit of the attempt that failed,
and leaves with the unit of the attempt that follows.

Unlike the reference, later messages of the originator do not wait for a retry.
At most `WAITING_MAX` retries wait (10 MB of 1 kB messages); beyond that a failure is final.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from appliance.model.errors import Retryable
from appliance.model.message import Message
from appliance.model.unit import StateWrite
from appliance.rules.events import RuleMessageGivenUp, RuleMessageRetried
from appliance.rules.work import Work

if TYPE_CHECKING:
    from appliance.rules.engine import RuleEngine
    from appliance.rules.run import Branch

OWNER = "rules.retry"
WAITING_MAX = 10_000
BUSY_PAUSE_MS = 1_000


class Waiting(msgspec.Struct, frozen=True):
    """A failed branch. node: key of the node that it began at, "" = at its originator's chain."""

    message: Message
    node: str
    attempt: int


class Strategy(msgspec.Struct, frozen=True, rename="camel"):
    """ProcessingStrategy of a queue. Pauses in seconds; retries 0 = for ever."""

    type: str = "SKIP_ALL_FAILURES"
    retries: int = 3
    pause_between_retries: float = 3
    max_pause_between_retries: float = 3

    @property
    def retries_failures(self) -> bool:
        """Whether a failed message runs again."""
        return self.type in ("RETRY_ALL", "RETRY_FAILED", "RETRY_FAILED_AND_TIMED_OUT")

    def pause_s(self, attempt: int) -> float:
        """Before attempt 1, 2, …: doubles up to the bound."""
        longest = max(self.max_pause_between_retries, self.pause_between_retries)
        return float(min(self.pause_between_retries * 2 ** min(attempt - 1, 30), longest))


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Waiting).decode


class Retries:
    """Decides about failures, and runs again what waits."""

    def __init__(self, engine: RuleEngine) -> None:
        self._engine = engine
        self._waiting = 0

    async def restore(self) -> None:
        """Take up what waited before a restart, each after its first pause."""
        for body in (await self._engine.storage.load_states(OWNER)).values():
            waiting = _decode(body)
            _, strategy = self._strategy(waiting.message)
            self._wait(waiting, int(strategy.pause_s(1) * 1000))

    def failed(self, branch: Branch, work: Work) -> None:
        """A branch has failed: drop it, or run it again later."""
        name, strategy = self._strategy(branch.message)
        if not strategy.retries_failures:
            return
        attempt = branch.attempt + 1
        kind = branch.message.type
        if self._waiting >= WAITING_MAX or (strategy.retries and attempt > strategy.retries):
            self._engine.emit(RuleMessageGivenUp(queue=name, type=kind, attempts=branch.attempt))
            return
        waiting = Waiting(branch.message, branch.node.key if branch.node else "", attempt)
        work.unit.states.append(StateWrite(OWNER, str(branch.message.id), _encode(waiting)))
        pause_s = strategy.pause_s(attempt)
        self._engine.emit(
            RuleMessageRetried(queue=name, type=kind, attempt=attempt, pause_s=pause_s)
        )
        work.after.append(partial(self._wait, waiting, int(pause_s * 1000)))

    def _wait(self, waiting: Waiting, pause_ms: int) -> None:
        self._waiting += 1
        self._engine.timers.later(pause_ms, partial(self._again, waiting))

    def _again(self, waiting: Waiting) -> None:
        self._waiting -= 1
        try:
            self._engine.services.submit(partial(self._run, waiting))
        except Retryable:
            self._wait(waiting, BUSY_PAUSE_MS)

    def _run(self, waiting: Waiting, work: Work) -> Any:
        work.unit.states.append(StateWrite(OWNER, str(waiting.message.id), None))
        return self._engine.process_again(waiting.message, waiting.node, waiting.attempt, work)

    def _strategy(self, message: Message) -> tuple[str, Strategy]:
        """The message's queue and its strategy: its own, else its profile's, else Main."""
        state = self._engine.state
        name = message.queue
        if not name and message.originator.type in ("DEVICE", "ASSET"):
            profile = state.profile_of(message.originator)
            name = (profile or {}).get("defaultQueueName")
        name = name or "Main"
        queue = state.by_name("QUEUE", name) or {}
        raw = {k: v for k, v in (queue.get("processingStrategy") or {}).items() if v is not None}
        return name, msgspec.convert(raw, Strategy, strict=False)
