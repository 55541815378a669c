"""The cloud role: accepts edges, keeps their data, answers over REST."""

from __future__ import annotations

from appliance.cloud.assembly import Cloud, assemble_cloud
from appliance.config.loader import Settings
from appliance.extension.registry import Registry
from appliance.frame import make_frame
from appliance.kernel.core import Kernel
from appliance.kernel.lifecycle import Levels, Stop
from appliance.kernel.restart import FOUNDATION, UPLINK
from appliance.kernel.supervisor import Child
from appliance.web.status import LinkStatus


async def run_cloud(
    settings: Settings, registry: Registry, kernel: Kernel, stop: Stop | None = None
) -> None:
    """Run the cloud until asked to stop."""
    frame = make_frame("cloud", settings, registry, kernel)
    cloud = assemble_cloud(
        frame.storage,
        frame.transport,
        frame.outgoing_limits(),
        kernel.clock,
        kernel.emit,
        settings.cloud_role.type,
    )
    access = frame.show(
        cloud.state, cloud.commands, name=lambda: "cloud", links=lambda: link_statuses(cloud)
    )
    await frame.live(
        Levels(
            foundation=[Child("tenant", cloud.keeper, FOUNDATION, True), access],
            uplink=[Child("edges", cloud.service, UPLINK), Child("calls", cloud.calls, UPLINK)],
        ),
        stop,
    )


def link_statuses(cloud: Cloud) -> list[LinkStatus]:
    """One line per edge."""
    out = []
    for edge in cloud.state.ids("EDGE"):
        session = cloud.service.sessions.get(edge)
        out.append(
            LinkStatus(
                outbox=str(edge),
                state="connected" if session else "reconnecting",
                since_ms=session.since_ms if session else 0,
                peer=session.peer if session else "",
                sync_latency_s=session.latency_s if session else None,
                kept=dict(cloud.service.kept.get(edge, {})),
            )
        )
    return out
