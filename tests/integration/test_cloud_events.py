"""The log of outbox events, as the REST API shows it, over the built-in storage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.extension.hookspecs import Context
from appliance.extension.ports import Storage
from appliance.kernel.events import ignore
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Series
from appliance.model.unit import CLOUD, Lane, OutboxEvent, Unit
from appliance.sync import wire
from appliance.web.errors import ApiError
from appliance.web.rest.cloud_events import CloudEvents
from appliance.web.rest.paging import PageLink
from plugins.storage_duckdb import build
from plugins.storage_duckdb.config import DuckdbStorageConfig

NOW = 1_800_000_000_000
