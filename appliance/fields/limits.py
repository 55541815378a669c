"""Limits of calculated fields as the tenant profile sets them (spec/rule-engine.md §7).

Where there is no profile, or it does not say, the reference's defaults hold; 0 is no limit, except
where only a bound keeps an edge alive (points of a window, related entities).
"""

from __future__ import annotations

from typing import Any

import msgspec

from appliance.state.view import StateView

POINTS_MAX = 10_000
"""Points of one rolling argument whatever the profile says: 160 kB, and a script walks them all."""
RELATED_MAX = 1_000
"""Entities that one path leads to whatever the profile says."""


class FieldLimits(msgspec.Struct, frozen=True):
    """By their names in the profile, said shorter. value_bytes_max, state_bytes_max, related_max,
    points_max, reevaluation_s, intermediate_s hold while a field runs, the others where one is
    saved."""

    fields_max: int = 5
    levels_max: int = 2
    refresh_s_min: int = 10
    deduplication_s_min: int = 10
    interval_s_min: int = 60
    points_max: int = 1000
    value_bytes_max: int = 2_048
    state_bytes_max: int = 32_768
    related_max: int = 100
    reevaluation_s: int = 60
    intermediate_s: int = 300


DEFAULTS = FieldLimits()


def limits_of(view: StateView) -> FieldLimits:
    """What the tenant's profile says."""
    for profile in view.entities("TENANT_PROFILE"):
        configuration = (profile.get("profileData") or {}).get("configuration")
        if isinstance(configuration, dict):
            return _read(configuration)
    return DEFAULTS


def _read(given: dict[str, Any]) -> FieldLimits:
    def limit(name: str, default: int) -> int:
        value = given.get(name)
        return value if type(value) is int and value >= 0 else default

    points = limit("maxDataPointsPerRollingArg", DEFAULTS.points_max) or POINTS_MAX
    related = limit("maxRelatedEntitiesToReturnPerCfArgument", DEFAULTS.related_max)
    return FieldLimits(
        fields_max=limit("maxCalculatedFieldsPerEntity", DEFAULTS.fields_max),
        levels_max=limit("maxRelationLevelPerCfArgument", DEFAULTS.levels_max),
        refresh_s_min=limit("minAllowedScheduledUpdateIntervalInSecForCF", DEFAULTS.refresh_s_min),
        deduplication_s_min=limit(
            "minAllowedDeduplicationIntervalInSecForCF", DEFAULTS.deduplication_s_min
        ),
        interval_s_min=limit("minAllowedAggregationIntervalInSecForCF", DEFAULTS.interval_s_min),
        points_max=min(points, POINTS_MAX),
        value_bytes_max=limit("maxSingleValueArgumentSizeInKBytes", 2) * 1024,
        state_bytes_max=limit("maxStateSizeInKBytes", 32) * 1024,
        related_max=min(related or RELATED_MAX, RELATED_MAX),
        reevaluation_s=limit("alarmsReevaluationInterval", DEFAULTS.reevaluation_s) or 1,
        intermediate_s=limit("intermediateAggregationIntervalInSecForCF", DEFAULTS.intermediate_s)
        or 1,
    )
