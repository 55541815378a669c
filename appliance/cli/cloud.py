"""Run the cloud role until a signal; or, while it does not run, `cloud edge create NAME`.

`cloud edge create` prints the routing key and the secret that the edge needs. While the cloud
runs, edges are made over its REST API, as on a ThingsBoard server: POST /api/edge.
"""

from __future__ import annotations

import argparse
import secrets
import uuid

import trio

from appliance.cli import exits
from appliance.cli.house import House
from appliance.cli.serve import serve
from appliance.cloud.assembly import TenantKeeper
from appliance.cloud.registry import Edges
from appliance.cloud.role import run_cloud
from appliance.config.loader import Settings
from appliance.extension.registry import Registry
from appliance.frame import make_frame
from appliance.kernel.core import Kernel
from appliance.model.errors import ConfigError
from appliance.state.store import State


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`edge create NAME` with an optional key and secret."""
    parser.add_argument("what", nargs="*", metavar="edge create NAME", help="make an edge")
    parser.add_argument("--routing-key", default="", help="instead of a random one")
    parser.add_argument("--secret", default="", help="instead of a random one")


def run(arguments: argparse.Namespace, house: House) -> int:
    """See the module."""
    if not arguments.what:
        return serve("cloud", run_cloud, arguments, house)
    if arguments.what[:2] != ["edge", "create"] or len(arguments.what) != 3:
        raise ConfigError(f"cloud {' '.join(arguments.what)}?", hint="cloud edge create NAME")
    key = arguments.routing_key or str(uuid.uuid4())
    secret = arguments.secret or secrets.token_urlsafe(15)

    async def create(settings: Settings, registry: Registry, kernel: Kernel) -> None:
        await create_edge(settings, registry, kernel, arguments.what[2], key, secret)

    code = serve("cloud", create, arguments, house)
    if code == exits.DONE:
        print(f"CLOUD_ROUTING_KEY={key}\nCLOUD_ROUTING_SECRET={secret}")
    return code


async def create_edge(
    settings: Settings, registry: Registry, kernel: Kernel, name: str, key: str, secret: str
) -> None:
    """Make an edge in the data folder of a cloud that does not run. Raises Permanent if taken."""
    frame = make_frame("cloud", settings, registry, kernel)
    state = State()
    async with trio.open_nursery() as nursery:
        await nursery.start(frame.storage.run)
        await nursery.start(TenantKeeper(state, frame.storage).run)
        await frame.storage.commit([Edges(state).create(name, key, secret)])
        nursery.cancel_scope.cancel()
