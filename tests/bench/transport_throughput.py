"""How many frames a second pass through real sockets between two processes.

    python -m tests.bench.transport_throughput

The server counts and acknowledges every batch, as a cloud would; the client keeps ten sends in
flight. Prints one line per size of frame.
"""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection

import trio

from appliance.extension.ports import Link
from appliance.kernel.events import ignore
from appliance.sync.messages import Ack, Batch
from appliance.testing.transport import telemetry
from plugins.transport_grpc.config import GrpcConfig
from plugins.transport_grpc.transport import GrpcTransport


async def _acknowledge(link: Link) -> None:
    while True:
        frames = await link.receive()
        await link.send([Ack(frame.id, True) for frame in frames if isinstance(frame, Batch)])


def _serve(port: Connection) -> None:
    async def main() -> None:
        transport = GrpcTransport(GrpcConfig(listen="127.0.0.1", port=0), ignore)
        async with trio.open_nursery() as nursery:
            port.send(await nursery.start(transport.serve, _acknowledge))

    trio.run(main)


async def _measure(port: int, size: int, batch: int, count: int) -> float:
    """Acknowledged frames a second."""
    frames = [telemetry(number, size) for number in range(batch)]
    acknowledged = 0
    window = trio.Semaphore(10)
    started = time.perf_counter()

    async def listen(link: Link) -> None:
        nonlocal acknowledged
        while acknowledged < count:
            before = acknowledged // batch
            acknowledged += len(await link.receive())
            for _ in range(acknowledged // batch - before):
                window.release()

    transport = GrpcTransport(GrpcConfig(host="127.0.0.1", port=port), ignore)
    async with transport.connect() as link, trio.open_nursery() as nursery:
        nursery.start_soon(listen, link)
        for _ in range(count // batch):
            await window.acquire()
            await link.send(frames)
    return count / (time.perf_counter() - started)


def main() -> None:
    """Print the table."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(theirs,), daemon=True
    )
    server.start()
    port = ours.recv()
    for size, batch, count in ((14_000, 10, 20_000), (100, 50, 50_000), (100, 1, 10_000)):
        rate = trio.run(_measure, port, size, batch, count)
        print(f"{size:>6} bytes, {batch:>2} a send: {rate:>8,.0f} frames/s")
    server.terminate()


if __name__ == "__main__":
    main()
