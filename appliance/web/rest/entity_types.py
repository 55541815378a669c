"""Every EntityType name of ThingsBoard (spec §7); others are a caller's mistake."""

from __future__ import annotations

ENTITY_TYPES = frozenset(
    {
        "ADMIN_SETTINGS",
        "AI_MODEL",
        "ALARM",
        "API_KEY",
        "API_USAGE_STATE",
        "ASSET",
        "ASSET_PROFILE",
        "CALCULATED_FIELD",
        "CUSTOMER",
        "DASHBOARD",
        "DEVICE",
        "DEVICE_PROFILE",
        "DOMAIN",
        "EDGE",
        "ENTITY_VIEW",
        "JOB",
        "MOBILE_APP",
        "MOBILE_APP_BUNDLE",
        "NOTIFICATION",
        "NOTIFICATION_REQUEST",
        "NOTIFICATION_RULE",
        "NOTIFICATION_TARGET",
        "NOTIFICATION_TEMPLATE",
        "OAUTH2_CLIENT",
        "OTA_PACKAGE",
        "QUEUE",
        "QUEUE_STATS",
        "RPC",
        "RULE_CHAIN",
        "RULE_NODE",
        "TB_RESOURCE",
        "TENANT",
        "TENANT_PROFILE",
        "USER",
        "WIDGETS_BUNDLE",
        "WIDGET_TYPE",
    }
)
