"""The order in which a Java HashMap gives its keys: metadata comes out of one."""

from __future__ import annotations

from appliance.rules.tbel.lib_objects import java_hash


def hash_ordered(values: dict[str, str]) -> dict[str, str]:
    """The entries as a script sees metadata: from a map that grew, copied to one that fits."""
    grown, fitting = 16, 1
    while len(values) > grown * 3 // 4:
        grown *= 2
    while fitting < int(len(values) / 0.75 + 1):
        fitting *= 2
    keys = sorted(values, key=lambda key: _bucket(key, grown))
    keys.sort(key=lambda key: _bucket(key, fitting))
    return {key: values[key] for key in keys}


def _bucket(key: str, size: int) -> int:
    code = java_hash(key) & 0xFFFFFFFF
    return (code ^ (code >> 16)) & (size - 1)
