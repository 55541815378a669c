"""One message's work: the unit that will be committed and what follows the commit."""

from __future__ import annotations

from collections.abc import Callable

from appliance.model.message import Message
from appliance.model.unit import Unit


class Work:
    """Collects effects while a message runs through its chain.

    unit: what must be durable before the message's sender is answered.
    after: plain calls made once the unit is durable (push to a session, wake a timer), in order.
    follow_ups: messages that the effects cause (ATTRIBUTES_UPDATED, ENTITY_CREATED, …); the
    caller runs them through their own chains into the same unit, after the message itself.
    failure: the error that ended the message, or None; the caller counts and shows it. Effects
    collected before a failure stay: what a node saved is saved (rule-engine spec §2.4).
    """

    __slots__ = ("after", "failure", "follow_ups", "unit")

    def __init__(self) -> None:
        self.unit = Unit()
        self.after: list[Callable[[], None]] = []
        self.follow_ups: list[Message] = []
        self.failure: str | None = None
