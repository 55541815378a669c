"""The order in which a Java HashMap gives its keys: metadata comes out of one."""

from __future__ import annotations

from appliance.rules.tbel.lib_objects import java_hash


def hash_ordered(values: dict[str, str]) -> dict[str, str]:
    """The entries in the order of a HashMap that got them one by one."""
    size = 16
    while len(values) > size * 3 // 4:
        size *= 2

    def bucket(key: str) -> int:
        code = java_hash(key) & 0xFFFFFFFF
        return (code ^ (code >> 16)) & (size - 1)

    return {key: values[key] for key in sorted(values, key=bucket)}
