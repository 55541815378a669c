"""Build dist/appliance, or tell whether it is older than what it is made of.

python build/freeze.py            build
python build/freeze.py --if-old   build when a source is newer than the binary
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BINARY = ROOT / "dist" / "appliance"
WORK = ROOT / "build" / "work"
SIZE_MAX = 90_000_000
"""Bytes; what a site with a slow line is asked to load."""


def sources() -> list[Path]:
    """Everything that the binary is made of, libraries aside."""
    folders = (ROOT / "appliance", ROOT / "plugins")
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    found = [path for path in found if "__pycache__" not in path.parts]
    return [*found, ROOT / "appliance.spec", ROOT / "requirements.lock"]


def is_old() -> bool:
    """Whether the binary is missing or older than a source."""
    if not BINARY.is_file():
        return True
    built = BINARY.stat().st_mtime
    return any(path.stat().st_mtime > built for path in sources() if path.is_file())


def freeze() -> None:
    """Run PyInstaller and look at the result. Raises SystemExit when it is not fit to ship."""
    began = time.monotonic()
    command = [
        sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN",
        "--distpath", str(BINARY.parent), "--workpath", str(WORK), "appliance.spec",
    ]  # fmt: skip  # one option and its value a pair
    # The recipe imports ours to know which modules it must carry.
    subprocess.run(command, cwd=ROOT, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    size = BINARY.stat().st_size
    print(f"{BINARY}: {size / 1e6:.1f} MB, built in {time.monotonic() - began:.0f} s")
    if size > SIZE_MAX:
        raise SystemExit(f"larger than {SIZE_MAX / 1e6:.0f} MB")


def main() -> None:
    """The command line."""
    if "--if-old" in sys.argv[1:] and not is_old():
        print(f"{BINARY} is up to date")
        return
    freeze()


if __name__ == "__main__":
    main()
