"""What both roles are built on: storage, transport, the HTTP port with pages, the run itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
from starlette.applications import Starlette

from appliance.access.audit import AuditLog
from appliance.access.users import Access
from appliance.config.loader import Settings
from appliance.control import ControlSocket, Doing
from appliance.extension.hookspecs import Context
from appliance.extension.ports import Storage, Transport
from appliance.extension.registry import Registry
from appliance.fields.debug import FieldDebugEvent
from appliance.kernel.core import Kernel
from appliance.kernel.lifecycle import Levels, Stop
from appliance.kernel.restart import EDGE_OF_THE_HOUSE, FOUNDATION
from appliance.kernel.supervisor import Child
from appliance.model.errors import ConfigError
from appliance.rules.debug import DebugEvent
from appliance.state.view import StateView
from appliance.sync.outgoing import OutgoingLimits
from appliance.web.app import empty_app, fill
from appliance.web.commands import Commands
from appliance.web.door import Door
from appliance.web.rest.call import DebugEvents, Services
from appliance.web.rest.cloud_events import CloudEvents
from appliance.web.status import LinkStatus, LiveStatus, PluginStatus, RecentErrors


class Frame(msgspec.Struct, frozen=True):
    """The common parts of a role, built and not started.

    context: for plugins; its `http` is the door. app: where a role adds routes before the start.
    """

    settings: Settings
    registry: Registry
    kernel: Kernel
    context: Context
    storage: Storage
    transport: Transport
    door: Door
    app: Starlette
    errors: RecentErrors

    def show(
        self,
        view: StateView,
        commands: Commands,
        *,
        name: Callable[[], str],
        links: Callable[[], Sequence[LinkStatus]],
        debug: DebugEvents[DebugEvent] | None = None,
        field_debug: DebugEvents[FieldDebugEvent] | None = None,
    ) -> Child:
        """Add pages, REST API and plugins' routes; returns the component that logs users in."""
        source = LiveStatus(
            self.context.role,
            self.storage,
            self.kernel.clock,
            name=name,
            links=links,
            components=self.kernel.board.lines,
            errors=self.errors,
            plugins=plugin_statuses(self.registry),
            serving=lambda: self.kernel.serving,
        )
        access = Access(view, self.storage, self.kernel.clock)
        services = Services(
            role=self.context.role,
            view=view,
            storage=self.storage,
            commands=commands,
            access=access,
            events=CloudEvents(self.storage),
            clock=self.kernel.clock,
            debug=debug,
            audit=AuditLog(self.storage, self.kernel.emit, self.settings.web.audit_entries_max),
            edition=self.settings.cloud_role.type,
            field_debug=field_debug,
        )
        mounted = [
            (prefix, spec.build(self.context)) for prefix, spec in self.registry.routes.items()
        ]
        fill(self.app, services, source, self.kernel.metrics, mounted)
        return Child("access", access, FOUNDATION, True)

    def outgoing_limits(self) -> OutgoingLimits:
        """Section [uplink] in the sender's units."""
        config = self.settings.uplink
        return OutgoingLimits(
            batch_size=config.batch_size,
            batch_timeout_s=config.batch_timeout_ms / 1000,
            window_max=config.window,
            retry_interval_s=config.retry_interval_ms / 1000,
            retries_max=config.max_retries,
            answer_timeout_s=config.ack_timeout_ms / 1000,
        )

    async def live(
        self,
        levels: Levels,
        stop: Stop | None = None,
        doings: Mapping[str, Doing] = MappingProxyType({}),
    ) -> None:
        """Run the role: the door in N0, storage first in N1, the role's own parts as given.

        doings: what else the command line may ask for.
        """
        whole = Levels(
            appliance=[*levels.appliance, Child("web", self.door, EDGE_OF_THE_HOUSE)],
            foundation=[
                Child("storage", self.storage, FOUNDATION, True),
                Child(
                    "control",
                    ControlSocket(self.context.data_dir, self.storage, doings),
                    EDGE_OF_THE_HOUSE,
                ),
                *levels.foundation,
            ],
            uplink=levels.uplink,
            processing=levels.processing,
            ingest=levels.ingest,
        )
        await self.kernel.live(
            whole,
            stop or Stop(),
            on_ready=lambda: self.registry.tell_ready(self.context),
            on_stopping=lambda: self.registry.tell_stopping(self.context),
        )


def plugin_statuses(registry: Registry) -> list[PluginStatus]:
    """What is plugged in, and what was left out and why."""
    found = [PluginStatus(p.name, p.origin, p.version, p.offers) for p in registry.plugins]
    left_out = [PluginStatus(f.name, f.origin, error=f.reason) for f in registry.failures]
    return found + left_out


def make_frame(role: str, settings: Settings, registry: Registry, kernel: Kernel) -> Frame:
    """Build the common parts from settings and plugins.

    Raises:
        ConfigError: no storage or no transport is chosen.
    """
    errors = RecentErrors(kernel.clock)
    kernel.listen(errors.keep)
    app = empty_app()
    door = Door(settings.web, app, kernel.emit)
    context = Context(role, settings.data_dir, kernel.clock, kernel.emit, door)
    storage = _chosen("storage", settings.storage)
    transport = _chosen("transport", settings.transport)
    return Frame(
        settings,
        registry,
        kernel,
        context,
        registry.storages[storage.name].build(storage.config, context),
        registry.transports[transport.name].build(transport.config, context),
        door,
        app,
        errors,
    )


def _chosen(port: str, choice: Any) -> Any:
    if choice is None:
        raise ConfigError(f"[{port}] is not chosen", hint=f"set {port}.plugin")
    return choice
