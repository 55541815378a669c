"""The composition root: argv and environment in, exit code out. The only importer of `plugins`."""

from __future__ import annotations

import os
import sys
from typing import Any

from appliance.cli.entry import enter


def built_in() -> tuple[Any, ...]:
    """The built-in plugins; imported here and not above, because `version` needs none of them."""
    from plugins import BUILT_IN

    return BUILT_IN


def main() -> int:
    """The console script and the frozen binary start here."""
    if getattr(sys, "frozen", False):
        from appliance.kernel.frozen import settle

        settle(os.environ)
    return enter(sys.argv[1:], built_in, os.environ)


if __name__ == "__main__":
    sys.exit(main())
