"""Questions about history, as SQL over `store.history`. Blocking.

Newest points are asked for again and again, so those of up to 4,096 entities are remembered
(about 200 bytes a key) and kept current while batches are applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from appliance.extension.ports import SeriesQuery
from appliance.model.ids import EntityId
from appliance.model.telemetry import Value
from plugins.storage_duckdb.database import Database
from plugins.storage_duckdb.staging import Staging

_ENTITIES_MAX = 4096
Points = list[tuple[int, Value]]

_POINTS = """
FROM (SELECT ts, bool_v, long_v, dbl_v, str_v, json_v FROM store.history
      WHERE entity = $1 AND key = $2 AND ts >= $3 AND ts < $4
      QUALIFY row_number() OVER (PARTITION BY ts ORDER BY seq DESC, rowid DESC) = 1)
"""
_RAW = "SELECT * {points} ORDER BY ts {order} LIMIT $5"
_AGGREGATED = """
SELECT (ts - $3) // $5 AS bucket, count(*),
    min(long_v), max(long_v), sum(long_v), count(long_v),
    min(dbl_v), max(dbl_v), sum(dbl_v), count(dbl_v),
    min(bool_v), max(bool_v), min(str_v), max(str_v)
{points} GROUP BY bucket ORDER BY bucket {order}
"""
_LATEST = """
SELECT key, ts, bool_v, long_v, dbl_v, str_v, json_v FROM store.history WHERE entity = $1
QUALIFY row_number() OVER (PARTITION BY key ORDER BY ts DESC, seq DESC, rowid DESC) = 1
"""


class History:
    """Queries over one database; call from the thread that owns it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._latest: dict[int, dict[str, tuple[int, Value]]] = {}

    def query(self, query: SeriesQuery) -> dict[str, Points]:
        """See Storage.query_series."""
        entity = self._database.entities.find((query.entity.type, query.entity.id))
        answer: dict[str, Points] = {}
        for key in query.keys:
            number = self._database.keys.find(key)
            if entity is not None and number is not None and query.start_ms < query.end_ms:
                points = self._points(query, entity, number)
                if points:
                    answer[key] = points
        return answer

    def _points(self, query: SeriesQuery, entity: int, key: int) -> Points:
        order = "ASC" if query.ascending else "DESC"
        place = [entity, key, query.start_ms, query.end_ms]
        if query.agg == "NONE":
            statement = _RAW.format(points=_POINTS, order=order)
            rows = self._database.rows(statement, [*place, query.limit])
            return [(row[0], _value(*row[1:])) for row in rows]
        interval = query.interval_ms or query.end_ms - query.start_ms
        statement = _AGGREGATED.format(points=_POINTS, order=order)
        found = []
        for bucket, *figures in self._database.rows(statement, [*place, interval]):
            start = query.start_ms + bucket * interval
            value = _aggregate(query.agg, figures)
            if value is not None:
                found.append((start + (min(start + interval, query.end_ms) - start) // 2, value))
        return found

    def latest(self, entity: EntityId) -> dict[str, tuple[int, Value]]:
        """Newest point of every key of an entity."""
        number = self._database.entities.find((entity.type, entity.id))
        if number is None:
            return {}
        known = self._latest.get(number)
        if known is None:
            if len(self._latest) >= _ENTITIES_MAX:
                self.forget()
            known = self._latest[number] = self._read_latest(number)
            self._database.watched.add(number)
        return known

    def _read_latest(self, number: int) -> dict[str, tuple[int, Value]]:
        statement = (
            "SELECT k.key, h.* EXCLUDE (key) FROM (" + _LATEST + ") h"
            " JOIN store.key_dictionary k ON k.number = h.key"
        )
        rows = self._database.rows(statement, [number])
        return {key: (ts, _value(*values)) for key, ts, *values in rows}

    def applied(self, staging: Staging) -> None:
        """A batch was stored: bring what is remembered up to date."""
        for number, ts, values in staging.touched:
            known = self._latest.get(number)
            if known is not None:
                for key, value in values.items():
                    if key not in known or known[key][0] <= ts:
                        known[key] = (ts, value)
        for _, note in staging.deletes:
            deleted = self._database.entities.find((note.type, note.id))
            if deleted is not None:
                self._latest.pop(deleted, None)
                self._database.watched.discard(deleted)

    def forget(self) -> None:
        """Points were removed: remember nothing."""
        self._latest.clear()
        self._database.watched.clear()


def _value(
    bool_v: bool | None, long_v: int | None, dbl_v: float | None, str_v: str | None,
    json_v: str | None,
) -> Value:  # fmt: skip
    for value in (bool_v, long_v, dbl_v, str_v):
        if value is not None:
            return value
    parsed: Value = msgspec.json.decode(json_v or "null")
    return parsed


def _aggregate(agg: str, figures: Sequence[Any]) -> Value | None:
    """One bucket's value from its figures; what each means is in testing/aggregation.py."""
    count, least, most, total, longs = figures[:5]
    least_f, most_f, total_f, doubles, least_b, most_b, least_s, most_s = figures[5:]
    if agg == "COUNT":
        return int(count)
    if agg in ("SUM", "AVG"):
        if not longs + doubles:
            return None
        whole: int | float = int(total or 0) + float(total_f) if doubles else int(total)
        return float(whole) / (longs + doubles) if agg == "AVG" else whole
    numbers = (least, least_f) if agg == "MIN" else (most, most_f)
    present = [n for n in numbers if n is not None]
    if present:
        value = min(present) if agg == "MIN" else max(present)
        return float(value) if doubles else int(value)
    flag, text = (least_b, least_s) if agg == "MIN" else (most_b, most_s)
    return bool(flag) if flag is not None else text
