"""save attributes, delete attributes."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from appliance.model.message import Message
from appliance.model.telemetry import AttributeWrite, Scope, Value
from appliance.rules.attributes import changed_values, delete_attributes, scope_of
from appliance.rules.context import Context
from appliance.rules.messages import derived
from appliance.rules.node import PACKAGE, NodeConfig, NodeError, NodeFactory, NodeHandle
from appliance.rules.patterns import Pattern
from appliance.rules.ports import CalculationInput
from appliance.rules.values import typed_values
from plugins.rules_action.processing import ON_EVERY_MESSAGE, ProcessingSettings, always


class SaveAttributesConfig(NodeConfig, frozen=True, kw_only=True):
    """scope: where metadata has no `scope`."""

    processing_settings: ProcessingSettings
    scope: str = ""
    notify_device: bool = False
    send_attributes_updated_notification: bool = False
    update_attributes_only_on_value_change: bool = False


class SaveAttributes:
    """save attributes."""

    def __init__(self, config: SaveAttributesConfig, node: NodeHandle) -> None:
        self._config = config
        self._node = node
        acts = config.processing_settings.compile("attributes", "web_sockets", "calculated_fields")
        self._saves, self._sockets, self._calculates = acts
        self._plain = all(act is always for act in acts)

    def process(self, message: Message, ctx: Context) -> None:
        """Write what changed, tell who wants to know, go on."""
        if message.type != "POST_ATTRIBUTES_REQUEST":
            raise NodeError(f"Unsupported msg type: {message.type}")
        values = typed_values(message.data)
        saves = calculates = True
        if values and not self._plain:
            ts = message.effective_ts
            acts = (self._saves, self._sockets, self._calculates)
            wanted = [act(message.originator.id, ts) for act in acts]
            values = values if any(wanted) else {}
            saves, calculates = wanted[0], wanted[2]
        if not values:
            ctx.success(message)
            return
        scope = scope_of(message.metadata.get("scope") or self._config.scope)
        if self._config.update_attributes_only_on_value_change:
            values = changed_values(ctx.state.attributes(message.originator, scope), values)
        if values:
            self._apply(message, scope, values, saves, calculates, ctx)
        ctx.success(message)

    def _apply(
        self,
        message: Message,
        scope: Scope,
        values: dict[str, Value],
        saves: bool,
        calculates: bool,
        ctx: Context,
    ) -> None:
        # The message's time where that is later: the event that goes up has it, and a peer takes
        # only what is strictly newer, while two posts may share a millisecond.
        originator, now = message.originator, max(ctx.now(), message.ts)
        if saves:
            ctx.unit.attributes.append(AttributeWrite(originator, scope, now, values))
        if self._config.send_attributes_updated_notification and scope is not Scope.CLIENT:
            metadata = {"scope": str(scope), "ruleNodeId": str(self._node.id)}
            ctx.follow_up(derived(message, "ATTRIBUTES_UPDATED", values, metadata))
        if calculates:
            ctx.services.calculate(
                CalculationInput(originator, scope, now, values, message), ctx.work
            )
        if scope is Scope.SHARED and (
            self._config.notify_device or _wants_notice(message.metadata.get("notifyDevice"))
        ):
            notify = ctx.services.notify_attributes
            ctx.after_commit(partial(notify, originator, scope, values, ()))


def _wants_notice(text: str | None) -> bool:
    return not text or text.lower() == "true"


class DeleteAttributesConfig(NodeConfig, frozen=True, kw_only=True):
    """keys: may be patterns."""

    scope: str = ""
    keys: list[str] = []
    send_attributes_deleted_notification: bool = False
    notify_device: bool = False


class DeleteAttributes:
    """delete attributes; for messages of any type."""

    def __init__(self, config: DeleteAttributesConfig, node: NodeHandle) -> None:
        self._config = config
        self._node = node
        self._keys = [Pattern(key) for key in config.keys]

    def process(self, message: Message, ctx: Context) -> None:
        """Delete the keys, whether they are there or not."""
        keys = tuple(key for pattern in self._keys if (key := pattern.fill(message)))
        if not keys:
            ctx.success(message)
            return
        scope = scope_of(message.metadata.get("scope") or self._config.scope)
        originator = message.originator
        ts = delete_attributes(ctx, originator, scope, keys)
        ctx.services.calculate(CalculationInput(originator, scope, ts, {}, message, keys), ctx.work)
        if self._config.send_attributes_deleted_notification:
            metadata = {"scope": str(scope), "ruleNodeId": str(self._node.id)}
            body = {"attributes": list(keys)}
            told = derived(message, "ATTRIBUTES_DELETED", body, metadata)
            ctx.follow_up(msgspec.structs.replace(told, ts=ts))
        if scope is Scope.SHARED and (
            self._config.notify_device or _wants_notice(message.metadata.get("notifyDevice"))
        ):
            notify = ctx.services.notify_attributes
            ctx.after_commit(partial(notify, originator, scope, {}, keys))
        ctx.success(message)


def _upgrade(config: dict[str, Any], version: int) -> dict[str, Any]:
    """What was not asked for before a version had it: devices were always told, version 0 wrote
    every value and version 1 only changes, and there were no processing settings."""
    config = {key: value for key, value in config.items() if value is not None}
    if version == 0:
        config.setdefault("updateAttributesOnlyOnValueChange", False)
    if version <= 1:
        config.setdefault("updateAttributesOnlyOnValueChange", True)
        config.setdefault("notifyDevice", True)
    return {**config, "processingSettings": ON_EVERY_MESSAGE}


ATTRIBUTE_NODES = (
    NodeFactory(
        PACKAGE + "telemetry.TbMsgAttributesNode",
        "save attributes",
        SaveAttributesConfig,
        SaveAttributes,
        version=3,
        upgrade=_upgrade,
    ),
    NodeFactory(
        PACKAGE + "telemetry.TbMsgDeleteAttributesNode",
        "delete attributes",
        DeleteAttributesConfig,
        DeleteAttributes,
    ),
)
