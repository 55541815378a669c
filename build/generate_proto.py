"""Compile proto/*.proto into plugins/transport_grpc/generated, or check that it is up to date.

    python build/generate_proto.py            write the generated package
    python build/generate_proto.py --check    exit 1 if it differs from what is checked in

The result is checked in, so that neither building nor running needs a compiler, and it is never
edited by hand. Only messages are generated: the one stream is driven by hand (session.py).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "proto"
GENERATED = ROOT / "plugins" / "transport_grpc" / "generated"
OPTIONS = "client_generation=none,server_generation=none"


def generate(target: Path) -> None:
    """Run the compiler; target must exist. Raises CalledProcessError with the compiler's words."""
    tools = Path(sys.executable).parent
    # The plugin calls ruff by name.
    environment = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [
        *(sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={SOURCES}"),
        f"--plugin=protoc-gen-python_betterproto2={tools / 'protoc-gen-python_betterproto2'}",
        f"--python_betterproto2_out={target}",
        f"--python_betterproto2_opt={OPTIONS}",
        *(str(source) for source in sorted(SOURCES.glob("*.proto"))),
    ]
    subprocess.run(command, check=True, env=environment, cwd=ROOT, stderr=subprocess.PIPE)


def contents(folder: Path) -> dict[str, str]:
    """Every Python file below the folder: relative name -> text."""
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in sorted(folder.rglob("*.py"))
    }


def main(arguments: list[str] | None = None) -> int:
    """Write or check; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare only")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        if contents(fresh) == contents(GENERATED):
            return 0
        if options.check:
            print("generated code is stale: run python build/generate_proto.py", file=sys.stderr)
            return 1
        shutil.rmtree(GENERATED, ignore_errors=True)
        shutil.copytree(fresh, GENERATED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
