"""device profile (deprecated since 4.3): alarm rules of device profiles (§6.1)."""

from __future__ import annotations

from appliance.model.message import Message
from appliance.rules.context import Context
from appliance.rules.node import PACKAGE, NodeConfig, NodeFactory, NodeHandle


class DeviceProfileConfig(NodeConfig, frozen=True, kw_only=True):
    """persist_alarm_rules_state: keep the rules' progress over a restart."""

    persist_alarm_rules_state: bool = False
    fetch_alarm_rules_state_on_start: bool = False


class DeviceProfile:
    """device profile."""

    def __init__(self, config: DeviceProfileConfig, node: NodeHandle) -> None:
        pass

    def process(self, message: Message, ctx: Context) -> None:
        """Every message goes on."""
        ctx.success(message)


PROFILE_NODES = (
    NodeFactory(
        PACKAGE + "profile.TbDeviceProfileNode",
        "device profile",
        DeviceProfileConfig,
        DeviceProfile,
        version=1,
    ),
)
