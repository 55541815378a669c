"""The bench: `make bench`, or python -m tests.bench.run.

Each scenario starts a cloud and an edge of its own as processes (APPLIANCE_BINARY names an
executable to use instead of this source tree), and the load generator as a third. Run several
times, the table shows medians. docs/benchmarks.md says what each figure means.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from tests.bench import full_sync, idle, ingest, many_edges, outage, rules_figures
from tests.bench.catalogue import CATALOGUE, medians, table
from tests.bench.ground import QUICK, Figures, Size

ROOT = Path(__file__).parents[2]


async def binary(size: Size) -> Figures:
    """Bytes of dist/appliance; nothing where it is not built."""
    path = Path(os.environ.get("APPLIANCE_BINARY", ROOT / "dist" / "appliance"))
    return {"binary_mb": path.stat().st_size / 1e6} if path.is_file() else {}


SCENARIOS: dict[str, Callable[[Size], Awaitable[Figures]]] = {
    "steady": ingest.steady,
    "full": ingest.full,
    "http": ingest.http,
    "latency": idle.latency,
    "rpc": idle.rpc,
    "outage": outage.outage,
    "sync": full_sync.sync,
    "edges": many_edges.edges,
    "rules": rules_figures.rules,
    "binary": binary,
}


def machine() -> dict[str, Any]:
    """Where the figures were taken."""
    cpu = Path("/proc/cpuinfo").read_text().partition("model name\t: ")[2].partition("\n")[0]
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": cpu,
        "memory_gib": round(memory_kib / (1 << 20), 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 2),
        "commit": commit,
    }


def run(names: list[str], size: Size, times: int) -> list[Figures]:
    """All scenarios, `times` over; figures of each round. Tells on standard error how it goes."""
    rounds = []
    for number in range(times):
        figures: Figures = {}
        for name in names:
            print(f"[{number + 1}/{times}] {name} ", end="", file=sys.stderr, flush=True)
            began = time.monotonic()
            found = trio.run(SCENARIOS[name], size)
            print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
            found = {key: value for key, value in found.items() if key in CATALOGUE}
            print("  " + ", ".join(f"{k} {v:.4g}" for k, v in found.items()), file=sys.stderr)
            figures |= found
        rounds.append(figures)
    return rounds


def main() -> None:
    """The command line; the exit code is 1 when a figure is on the wrong side of its bound."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="short runs, 100,000 waiting events")
    parser.add_argument("--only", default=",".join(SCENARIOS), help=f"of {','.join(SCENARIOS)}")
    parser.add_argument("--runs", type=int, help="rounds; 3, or 1 with --quick")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, too")
    asked = parser.parse_args()
    names = asked.only.split(",")
    if unknown := [name for name in names if name not in SCENARIOS]:
        parser.error(f"unknown: {', '.join(unknown)}")
    where = machine()
    runs = run(names, QUICK if asked.quick else Size(), asked.runs or (1 if asked.quick else 3))
    print(", ".join(f"{key} {value}" for key, value in where.items()) + "\n")
    print("\n".join(table(runs)))
    if asked.json:
        found = {"machine": where, "medians": medians(runs), "runs": runs}
        asked.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    missed = [n for n, value in medians(runs).items() if CATALOGUE[n].reached(value) is False]
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
