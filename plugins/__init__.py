"""The built-in plugins, imported directly: a module named by a string would vanish when frozen.

Each line below is one plugin folder; `appliance/__main__.py` is the only reader of this list.
"""

from __future__ import annotations

from typing import Any

BUILT_IN: tuple[Any, ...] = ()
