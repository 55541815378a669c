"""Selective sync by name and by change: less traffic over a thin or paid line."""

from __future__ import annotations

from typing import Any

from appliance.extension.hookspecs import Context, ProcessorSpec, hookimpl
from plugins.sync_select.config import SelectConfig
from plugins.sync_select.selector import ChangeSelector


def build(config: Any, context: Context) -> ChangeSelector | None:
    """The selector, or None where nothing is configured."""
    return ChangeSelector(config) if config != SelectConfig() else None


@hookimpl
def register_processor() -> ProcessorSpec:
    """Offer `[process.select]`."""
    return ProcessorSpec("select", SelectConfig, build)
