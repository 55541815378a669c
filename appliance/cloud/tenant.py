"""The one tenant of a cloud role, as a new installation has it (spec/rule-engine.md §4.1, §2.5).

Ids are version 1 and made once; a real edge wipes itself when its tenant or edge id changes
(edge-protocol §3.5), so they live as long as the data folder.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import bcrypt
import msgspec

from appliance.model.ids import NULL_UUID, EntityId, created_time_ms, new_uuid
from appliance.model.unit import EntityWrite, Unit
from appliance.rules.default_chain import default_root_chain
from appliance.state.kinds import NO_CUSTOMER

ADMIN_EMAIL = "tenant@thingsboard.org"
ADMIN_PASSWORD = "tenant"


CONTACT = ("country", "state", "city", "address", "address2", "zip", "phone", "email")


def new_tenant() -> Unit:
    """Everything that must exist before the first edge: one unit."""
    unit = Unit()
    tenant_profile, tenant = new_uuid(), new_uuid()
    owner = EntityId("TENANT", tenant).to_json()
    _add(
        unit,
        "TENANT_PROFILE",
        tenant_profile,
        name="Default",
        description="Default tenant profile",
        default=True,
        isolatedTbRuleEngine=False,
        profileData={"configuration": {"type": "DEFAULT"}, "queueConfiguration": None},
    )
    _add(
        unit,
        "TENANT",
        tenant,
        title="Tenant",
        name="Tenant",
        region="Global",
        tenantProfileId=EntityId("TENANT_PROFILE", tenant_profile).to_json(),
        additionalInfo=None,
        **dict.fromkeys(CONTACT),
    )
    for body in QUEUES:
        _add(unit, "QUEUE", new_uuid(), tenantId=EntityId("TENANT", NULL_UUID).to_json(), **body)
    _profiles(unit, owner)
    _root_chain(unit, owner)
    _administrator(unit, owner)
    return unit


def _profiles(unit: Unit, owner: dict[str, str]) -> None:
    common = {
        "tenantId": owner,
        "name": "default",
        "image": None,
        "default": True,
        "defaultRuleChainId": None,
        "defaultDashboardId": None,
        "defaultQueueName": None,
        "defaultEdgeRuleChainId": None,
        "externalId": None,
    }
    configuration = {"type": "DEFAULT"}
    _add(
        unit,
        "DEVICE_PROFILE",
        new_uuid(),
        **common,
        description="Default device profile",
        type="DEFAULT",
        transportType="DEFAULT",
        provisionType="DISABLED",
        provisionDeviceKey=None,
        firmwareId=None,
        softwareId=None,
        profileData={
            "configuration": configuration,
            "transportConfiguration": configuration,
            "provisionConfiguration": {"type": "DISABLED", "provisionDeviceSecret": None},
            "alarms": None,
        },
    )
    _add(unit, "ASSET_PROFILE", new_uuid(), **common, description="Default asset profile")


def _root_chain(unit: Unit, owner: dict[str, str]) -> None:
    """The template that every new edge gets as its root chain; ids of our own."""
    chain = new_uuid()
    body, metadata = default_root_chain()
    own = EntityId("RULE_CHAIN", chain).to_json()
    template = {
        **body,
        "id": own,
        "createdTime": created_time_ms(chain),
        "tenantId": owner,
        "firstRuleNodeId": None,
        "debugMode": False,
        "configuration": None,
        "externalId": None,
        "additionalInfo": None,
        "version": None,
    }
    unit.entities.append(EntityWrite("RULE_CHAIN", chain, msgspec.json.encode(template)))
    metadata = {**metadata, "ruleChainId": own}
    unit.entities.append(EntityWrite("RULE_CHAIN_METADATA", chain, msgspec.json.encode(metadata)))


def _administrator(unit: Unit, owner: dict[str, str]) -> None:
    user = new_uuid()
    _add(
        unit,
        "USER",
        user,
        tenantId=owner,
        customerId=NO_CUSTOMER,
        email=ADMIN_EMAIL,
        name=ADMIN_EMAIL,
        authority="TENANT_ADMIN",
        firstName=None,
        lastName=None,
        phone=None,
        additionalInfo=None,
    )
    password = bcrypt.hashpw(ADMIN_PASSWORD.encode(), bcrypt.gensalt(10, prefix=b"2a")).decode()
    credentials = {
        "id": {"id": str(new_uuid())},
        "createdTime": created_time_ms(user),
        "userId": EntityId("USER", user).to_json(),
        "enabled": True,
        "password": password,
        "activateToken": None,
        "resetToken": None,
        "additionalInfo": {},
    }
    encoded = msgspec.json.encode(credentials)
    unit.entities.append(EntityWrite("USER_CREDENTIALS", user, encoded))


def _add(unit: Unit, kind: str, id: UUID, **body: Any) -> None:
    whole = {
        "id": EntityId(kind, id).to_json(),
        "createdTime": created_time_ms(id),
        **body,
        "version": None,
    }
    unit.entities.append(EntityWrite(kind, id, msgspec.json.encode(whole)))


def _queue(name: str, topic: str, submit: str, batch: int, processing: str, retries: int,
           pause_s: int) -> dict[str, Any]:  # fmt: skip
    return {
        "name": name,
        "topic": topic,
        "pollInterval": 25,
        "partitions": 10,
        "consumerPerPartition": True,
        "packProcessingTimeout": 2000,
        "submitStrategy": {"type": submit, "batchSize": batch},
        "processingStrategy": {
            "type": processing,
            "retries": retries,
            "failurePercentage": 0.0,
            "pauseBetweenRetries": pause_s,
            "maxPauseBetweenRetries": pause_s,
        },
        "additionalInfo": None,
    }


_RETRY = "RETRY_FAILED_AND_TIMED_OUT"
QUEUES = (
    _queue("Main", "tb_rule_engine.main", "BURST", 1000, "SKIP_ALL_FAILURES", 3, 3),
    _queue("HighPriority", "tb_rule_engine.hp", "BURST", 100, _RETRY, 0, 5),
    _queue(
        "SequentialByOriginator",
        "tb_rule_engine.sq",
        "SEQUENTIAL_BY_ORIGINATOR",
        100,
        _RETRY,
        3,
        5,
    ),
)
"""The queues of a new server (rule-engine §2.5)."""
