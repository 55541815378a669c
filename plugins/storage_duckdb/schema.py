"""The tables. `store` is ours and may change; the views in `main` are for people and documented.

History is one narrow table with numbers for entity and key, in order of commit: neighbours are
alike, so it compresses to a few bytes a point, and a query by time finds few row groups. There is
no index: an index would cost more than the data. A point that is written again is a second row;
the newest sequence wins, in our queries and in the view `ts_kv`.

A telemetry event whose values are history has no row of its own: `idx` in history is its place in
the unit, and `cloud_event` builds its body from the rows. Status is not stored either; it derives
from the lane's cursor and the exceptions.
"""

from __future__ import annotations

VERSION = 1

TABLES = """
CREATE SCHEMA IF NOT EXISTS store;
CREATE TABLE IF NOT EXISTS store.meta (version INTEGER, applied_seq BIGINT);
CREATE TABLE IF NOT EXISTS store.entity_dictionary (
    number INTEGER, entity_type VARCHAR, entity_id UUID);
CREATE TABLE IF NOT EXISTS store.key_dictionary (number INTEGER, key VARCHAR);
CREATE TABLE IF NOT EXISTS store.history (
    entity INTEGER, key INTEGER, ts BIGINT, seq BIGINT, idx INTEGER, committed_ms BIGINT,
    bool_v BOOLEAN, long_v BIGINT, dbl_v DOUBLE, str_v VARCHAR, json_v VARCHAR, ttl_s INTEGER);
CREATE TABLE IF NOT EXISTS store.event (
    seq BIGINT, idx INTEGER, committed_ms BIGINT, outbox VARCHAR, lane TINYINT, type VARCHAR,
    action VARCHAR, entity_type VARCHAR, entity_id UUID, body VARCHAR, id UUID);
CREATE TABLE IF NOT EXISTS store.entity (kind VARCHAR, id UUID, body BLOB);
CREATE TABLE IF NOT EXISTS store.attribute (
    entity_type VARCHAR, entity_id UUID, scope VARCHAR, key VARCHAR, ts BIGINT, value VARCHAR);
CREATE TABLE IF NOT EXISTS store.state (owner VARCHAR, key VARCHAR, body BLOB);
CREATE TABLE IF NOT EXISTS store.quarantine (
    outbox VARCHAR, lane TINYINT, seq BIGINT, idx INTEGER, at_ms BIGINT, reason VARCHAR,
    size BIGINT, type VARCHAR, action VARCHAR, entity_type VARCHAR, entity_id UUID, note BLOB);
CREATE TABLE IF NOT EXISTS store.lane (
    outbox VARCHAR, lane TINYINT, cursor_seq BIGINT, cursor_idx INTEGER);
CREATE TABLE IF NOT EXISTS store.done (outbox VARCHAR, lane TINYINT, seq BIGINT, idx INTEGER);
CREATE TABLE IF NOT EXISTS store.gap (
    outbox VARCHAR, lane TINYINT, first_seq BIGINT, first_idx INTEGER, last_seq BIGINT,
    last_idx INTEGER, reason VARCHAR);
"""

_EVENT_ID = "printf('%08x-%04x-8000-8000-%012x', seq // 65536, seq % 65536, idx)::UUID"

_VALUE = """CASE
    WHEN long_v IS NOT NULL THEN to_json(long_v)
    WHEN dbl_v IS NOT NULL THEN to_json(dbl_v)
    WHEN bool_v IS NOT NULL THEN to_json(bool_v)
    WHEN str_v IS NOT NULL THEN to_json(str_v)
    ELSE json_v::JSON END"""

VIEWS = f"""
CREATE OR REPLACE VIEW main.ts_kv AS
SELECT e.entity_type, e.entity_id, k.key, h.ts, h.bool_v, h.str_v, h.long_v, h.dbl_v, h.json_v,
    h.seq
FROM (SELECT * FROM store.history
      QUALIFY row_number() OVER (PARTITION BY entity, key, ts ORDER BY seq DESC) = 1) h
JOIN store.entity_dictionary e ON e.number = h.entity
JOIN store.key_dictionary k ON k.number = h.key;

CREATE OR REPLACE VIEW main.entity AS
SELECT kind, id, try(decode(body)) AS body
FROM store.entity;

CREATE OR REPLACE VIEW main.attribute_kv AS
SELECT entity_type, entity_id, scope AS attribute_type, key AS attribute_key, value,
    ts AS last_update_ts
FROM store.attribute;

CREATE OR REPLACE VIEW main.state AS SELECT owner, key, body FROM store.state;

CREATE OR REPLACE VIEW main.cursor AS SELECT outbox, lane, cursor_seq, cursor_idx FROM store.lane;

CREATE OR REPLACE VIEW main.quarantine AS
SELECT outbox, lane, seq, idx, at_ms, reason, size, type, action, entity_type, entity_id
FROM store.quarantine;

CREATE OR REPLACE VIEW store.telemetry_event AS
SELECT h.seq, h.idx, h.committed_ms, 'cloud' AS outbox, 2::TINYINT AS lane,
    e.entity_type AS type, 'TIMESERIES_UPDATED' AS action, e.entity_type, e.entity_id,
    '{{"data":' || h.data || ',"ts":' || h.ts || '}}' AS body, NULL::UUID AS id
FROM (SELECT seq, idx, any_value(committed_ms) AS committed_ms, any_value(entity) AS entity,
        any_value(ts) AS ts, json_group_object(k.key, {_VALUE}) AS data
      FROM store.history JOIN store.key_dictionary k ON k.number = history.key
      WHERE idx >= 0 GROUP BY seq, idx) h
JOIN store.entity_dictionary e ON e.number = h.entity;

CREATE OR REPLACE VIEW store.any_event AS
SELECT v.*, coalesce(v.id, {_EVENT_ID}) AS event_id,
    CASE
        WHEN EXISTS (FROM store.quarantine q WHERE q.outbox = v.outbox AND q.lane = v.lane
            AND q.seq = v.seq AND q.idx = v.idx) THEN 'QUARANTINED'
        WHEN EXISTS (FROM store.gap g WHERE g.outbox = v.outbox AND g.lane = v.lane
            AND (v.seq, v.idx) >= (g.first_seq, g.first_idx)
            AND (v.seq, v.idx) <= (g.last_seq, g.last_idx)) THEN 'DROPPED'
        WHEN (v.seq, v.idx) <= (coalesce(l.cursor_seq, 0), coalesce(l.cursor_idx, -1))
            OR EXISTS (FROM store.done d WHERE d.outbox = v.outbox AND d.lane = v.lane
                AND d.seq = v.seq AND d.idx = v.idx) THEN 'DEPLOYED'
        ELSE 'PENDING' END AS status
FROM (FROM store.event UNION ALL FROM store.telemetry_event) v
LEFT JOIN store.lane l ON l.outbox = v.outbox AND l.lane = v.lane;

CREATE OR REPLACE VIEW main.cloud_event AS
SELECT event_id AS id, committed_ms AS created_time,
    (SELECT any_value(id) FROM store.entity WHERE kind = 'TENANT') AS tenant_id,
    (SELECT any_value(id) FROM store.entity WHERE kind = 'EDGE') AS edge_id,
    type AS cloud_event_type, entity_type, entity_id, action AS cloud_event_action,
    body AS entity_body, committed_ms AS ts, seq, idx, lane, status
FROM store.any_event WHERE outbox = 'cloud';

CREATE OR REPLACE VIEW main.edge_event AS
SELECT event_id AS id, committed_ms AS created_time, outbox AS edge_id,
    type AS edge_event_type, entity_type, entity_id, action AS edge_event_action,
    body, committed_ms AS ts, seq, idx, lane, status
FROM store.any_event WHERE outbox <> 'cloud';
"""

KEYED_TABLES: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "entity_dictionary": (
        ("number",),
        {"number": "INTEGER", "entity_type": "VARCHAR", "entity_id": "UUID"},
    ),
    "key_dictionary": (("number",), {"number": "INTEGER", "key": "VARCHAR"}),
    "entity": (("kind", "id"), {"kind": "VARCHAR", "id": "UUID", "body": "BLOB"}),
    "attribute": (
        ("entity_type", "entity_id", "scope", "key"),
        {
            "entity_type": "VARCHAR", "entity_id": "UUID", "scope": "VARCHAR", "key": "VARCHAR",
            "ts": "BIGINT", "value": "VARCHAR",
        },
    ),
    "state": (("owner", "key"), {"owner": "VARCHAR", "key": "VARCHAR", "body": "BLOB"}),
    "quarantine": (
        ("outbox", "lane", "seq", "idx"),
        {
            "outbox": "VARCHAR", "lane": "TINYINT", "seq": "BIGINT", "idx": "INTEGER",
            "at_ms": "BIGINT", "reason": "VARCHAR", "size": "BIGINT", "type": "VARCHAR",
            "action": "VARCHAR", "entity_type": "VARCHAR", "entity_id": "UUID", "note": "BLOB",
        },
    ),
    "gap": (
        ("outbox", "lane", "first_seq", "first_idx"),
        {
            "outbox": "VARCHAR", "lane": "TINYINT", "first_seq": "BIGINT", "first_idx": "INTEGER",
            "last_seq": "BIGINT", "last_idx": "INTEGER", "reason": "VARCHAR",
        },
    ),
}  # fmt: skip
"""Tables that a snapshot keeps: name -> (key columns, column types). Everything that neither the
journal's living segments nor the segments' accounts could bring back."""

GROWING_TABLES = ("history", "event")
"""Tables that only a copy of the database could bring back whole."""
