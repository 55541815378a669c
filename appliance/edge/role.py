"""The edge role: everything between devices and the cloud, level by level."""

from __future__ import annotations

from typing import Any

import msgspec

from appliance.config.loader import Settings
from appliance.config.sections import CloudConfig
from appliance.control import Doing
from appliance.edge.assembly import Edge, assemble_edge
from appliance.edge.link import LinkSettings
from appliance.edge.resend import Part, Resend, Sent
from appliance.edge.selection import Selection
from appliance.extension.ports import Storage
from appliance.extension.registry import Registry
from appliance.frame import Frame, make_frame
from appliance.kernel.core import Kernel
from appliance.kernel.lifecycle import Levels, Stop
from appliance.kernel.restart import EDGE_OF_THE_HOUSE, FOUNDATION, PROCESSING, UPLINK
from appliance.kernel.supervisor import Child
from appliance.model.unit import CLOUD
from appliance.web.status import LinkStatus


async def run_edge(
    settings: Settings, registry: Registry, kernel: Kernel, stop: Stop | None = None
) -> None:
    """Run the edge until asked to stop."""
    frame = make_frame("edge", settings, registry, kernel)
    edge = assemble_edge(
        frame.storage,
        frame.transport,
        link_settings(settings.cloud),
        frame.outgoing_limits(),
        registry.rule_nodes,
        kernel.clock,
        kernel.emit,
    )
    edge.fields.leave(settings.fields.off)
    selectors = [
        selector
        for name, config in settings.process.items()
        if (selector := registry.processors[name].build(config, frame.context)) is not None
    ]
    if selectors:
        edge.processor.selection = Selection(selectors, edge.state, kernel.emit)
    access = frame.show(
        edge.state,
        edge.commands,
        name=lambda: edge.link.identity.name,
        links=lambda: [link_status(edge, settings.cloud)],
        debug=edge.engine,
        field_debug=edge.fields,
    )
    await frame.live(levels(frame, edge, access), stop, doings(edge, frame.storage))


def doings(edge: Edge, storage: Storage) -> dict[str, Doing]:
    """What the command line may ask of a running edge."""
    resend = Resend(storage, edge.state)

    async def send_again(arguments: dict[str, Any]) -> Sent:
        return await resend.part(msgspec.convert(arguments, Part))

    async def sync(_arguments: dict[str, Any]) -> str:
        await edge.link.request_full_sync()
        connected = edge.link.status.state == "connected"
        return "a full sync is asked for" + ("" if connected else " when the cloud is back")

    return {"resend": send_again, "sync": sync}


def levels(frame: Frame, edge: Edge, access: Child) -> Levels:
    """The supervision tree of an edge, without what the frame adds."""
    configured = bool(frame.settings.cloud.routing_key)
    uplink = [Child("link", edge.link, UPLINK)] if configured else []
    ingest = [
        Child(
            name,
            frame.registry.ingests[name].build(config, frame.context, edge.gate),
            EDGE_OF_THE_HOUSE,
        )
        for name, config in frame.settings.ingest.items()
    ]  # fmt: skip - one listener a line
    return Levels(
        foundation=[
            Child("state", edge.loader, FOUNDATION, True),
            Child("fields", edge.fields, PROCESSING, True),
            access,
        ],
        uplink=uplink,
        processing=[
            Child("processor", edge.processor, PROCESSING, True),
            Child("rules", edge.engine, PROCESSING, True),
            Child("chains", edge.chains, PROCESSING, True),
            Child("services", edge.services, PROCESSING, True),
            Child("presence", edge.presence, EDGE_OF_THE_HOUSE),
        ],
        ingest=ingest,
    )


def link_settings(config: CloudConfig) -> LinkSettings:
    """Section [cloud] in the link's units."""
    return LinkSettings(
        routing_key=config.routing_key,
        secret=config.secret.reveal(),
        version=config.version,
        reconnect_interval_s=config.reconnect_interval_ms / 1000,
        reconnect_interval_s_max=config.reconnect_max_interval_ms / 1000,
        adopt=config.adopt,
        unassigned=config.unassigned,
        full_sync_after_outage_s=config.full_sync_after_outage_s,
    )


def link_status(edge: Edge, config: CloudConfig) -> LinkStatus:
    """The connection as pages show it."""
    status = edge.link.status
    state = "connected" if status.state == "connected" else "reconnecting"
    return LinkStatus(
        outbox=CLOUD,
        state=state if config.routing_key else "off",
        since_ms=status.since_ms,
        peer=status.peer,
        error=status.last_error,
        sync_latency_s=edge.sender.latency_s or None,
        syncing=status.syncing,
        last_sync_ms=status.last_sync_ms,
        kept=dict(status.kept),
    )
