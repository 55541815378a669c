"""The decision, pure: names by pattern, numbers by deadband with a heartbeat.

State: the last number that went up, per device and key that a deadband concerns. After a restart
it is empty, so the first value of each goes up again: one value too many, never one too few.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from appliance.model.telemetry import Value
from plugins.sync_select.config import SelectConfig


class ChangeSelector:
    """Implements extension.ports.Selector."""

    def __init__(self, config: SelectConfig) -> None:
        self._config = config
        self._wanted: dict[tuple[str, str], bool] = {}
        self._bands: dict[str, float | None] = {}
        self._sent: dict[tuple[str, str], tuple[int, float]] = {}

    def select(self, device: str, key: str, ts: int, value: Value) -> bool:
        """See Selector."""
        wanted = self._wanted.get((device, key))
        if wanted is None:
            wanted = _any(self._config.devices, device) and _any(self._config.keys, key)
            self._wanted[device, key] = wanted
        return wanted and self._changed(device, key, ts, value)

    def _changed(self, device: str, key: str, ts: int, value: Value) -> bool:
        band = self._band(key)
        if band is None or isinstance(value, bool) or not isinstance(value, int | float):
            return True
        last = self._sent.get((device, key))
        if last is not None:
            last_ts, last_value = last
            fresh = abs(ts - last_ts) < self._config.heartbeat_s * 1000
            if fresh and abs(value - last_value) < band:
                return False
        self._sent[device, key] = (ts, float(value))
        return True

    def _band(self, key: str) -> float | None:
        if key not in self._bands:
            matches = (band for p, band in self._config.deadband.items() if fnmatchcase(key, p))
            self._bands[key] = next(matches, None)
        return self._bands[key]


def _any(patterns: list[str], name: str) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
