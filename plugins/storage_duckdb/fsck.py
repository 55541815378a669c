"""Looking at a data folder without changing it, and on request putting it right. Blocking.

A report's exit code is 0 when nothing is wrong and 1 for damage, which a start or `--repair` puts
right as far as it can be (the report says what is missing).
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import duckdb
import msgspec

from appliance.kernel.clock import wall_clock_ms
from appliance.model.errors import ConfigError
from appliance.model.unit import Lane
from plugins.storage_duckdb import snapshot
from plugins.storage_duckdb.config import DuckdbStorageConfig
from plugins.storage_duckdb.damage import Damage, DamageReport, read_report
from plugins.storage_duckdb.database import FILE, Database
from plugins.storage_duckdb.folders import FolderLock, Folders
from plugins.storage_duckdb.ledger import depth_of
from plugins.storage_duckdb.rebuild import DatabaseOpener
from plugins.storage_duckdb.recovery import (
    RECORDS_GONE,
    Survey,
    drop_notes,
    recover,
    survey,
    told_wounds,
)
from plugins.storage_duckdb.schema import GROWING_TABLES, KEYED_TABLES
from plugins.storage_duckdb.segments import told

OK, DAMAGED = 0, 1


class LaneLine(msgspec.Struct, frozen=True):
    """The account of one lane."""

    outbox: str
    lane: str
    accepted: int
    acknowledged: int
    pending: int
    quarantined: int
    dropped: dict[str, int]


class FsckReport(msgspec.Struct, frozen=True):
    """What was found. problems: now; history: findings of former starts and repairs."""

    data_dir: str
    segments: int
    journal_bytes: int
    first_seq: int
    last_seq: int
    applied_seq: int | None
    lanes: list[LaneLine]
    problems: list[str]
    history: list[str]
    repaired: list[str] = []

    @property
    def exit_code(self) -> int:
        """0 or 1; see the module."""
        return DAMAGED if self.problems and not self.repaired else OK

    def to_json(self) -> str:
        """For programs."""
        return msgspec.json.format(msgspec.json.encode(self)).decode()

    def to_text(self) -> str:
        """For people."""
        lines = [
            f"data folder    {self.data_dir}",
            f"journal        {self.segments} segments, {self.journal_bytes:,} bytes,"
            f" records {self.first_seq}..{self.last_seq}",
            f"database       applied to {self.applied_seq}",
            "",
            f"{'outbox':<38}{'lane':<10}{'accepted':>12}{'delivered':>12}{'waiting':>12}"
            f"{'put aside':>12}{'dropped':>12}",
        ]
        lines += [
            f"{lane.outbox:<38}{lane.lane:<10}{lane.accepted:>12}{lane.acknowledged:>12}"
            f"{lane.pending:>12}{lane.quarantined:>12}{sum(lane.dropped.values()):>12}"
            for lane in self.lanes
        ]
        for title, found in (
            ("problems", self.problems), ("repaired", self.repaired), ("earlier", self.history),
        ):  # fmt: skip
            if found:
                lines += ["", f"{title}:", *(f"  {words}" for words in found)]
        lines += ["", "damaged" if self.exit_code else "clean"]
        return "\n".join(lines)


def fsck(data_dir: Path, *, repair: bool = False) -> FsckReport:
    """Check a data folder. Pure read unless repair is set.

    Raises: ConfigError when the folder is in use or is no data folder.
    """
    folders = Folders(data_dir)
    if not folders.journal.is_dir():
        raise ConfigError(f"{data_dir} is not a data folder", hint="it has no journal in it")
    lock = FolderLock(data_dir)
    lock.acquire()
    try:
        report = _examine(folders)
        if repair and report.problems:
            return msgspec.structs.replace(report, repaired=_repair(folders))
        return report
    finally:
        lock.release()


def _examine(folders: Folders) -> FsckReport:
    found = survey(folders.journal)
    problems = _journal_problems(found)
    applied_seq, words = _database_problems(folders)
    problems += words + _snapshot_problems(folders)
    if applied_seq is not None and applied_seq >= found.next_seq:
        problems.append(f"{RECORDS_GONE}: {told([(found.next_seq, applied_seq)])}")
    return FsckReport(
        str(folders.root), len(found.segments), sum(segment.end for segment in found.segments),
        found.segments[0].first_seq if found.segments else found.next_seq, found.next_seq - 1,
        applied_seq, _lanes(found), problems, [str(d) for d in read_report(folders.quarantine)],
    )  # fmt: skip


def _journal_problems(found: Survey) -> list[str]:
    return [": ".join(words) for words in told_wounds(found, drop_notes(found))]


def _lanes(found: Survey) -> list[LaneLine]:
    lines = []
    for (outbox, lane), account in sorted(found.ledger.lanes.items()):
        depth = depth_of(account, None)
        lines.append(
            LaneLine(
                outbox, Lane(lane).name, depth.accepted, depth.acknowledged, depth.pending,
                depth.quarantined, depth.dropped,
            )
        )  # fmt: skip
    return lines


def _database_problems(folders: Folders) -> tuple[int | None, list[str]]:
    """Read every row of a copy, because opening writes, and this must change nothing.

    Without DuckDB's log: a start does not look at it either (rebuild.py).
    """
    if not (folders.root / FILE).exists():
        return None, []
    with tempfile.TemporaryDirectory(dir=folders.root, prefix="fsck-") as name:
        copy = Path(name) / FILE
        shutil.copyfile(folders.root / FILE, copy)
        try:
            database = Database(copy, 256 << 20, 2, Path(name))
        except duckdb.Error as error:
            return None, [f"database cannot be opened: {_first_line(error)}"]
        try:
            return database.applied_seq, _table_problems(database)
        finally:
            database.close()


def _table_problems(database: Database) -> list[str]:
    problems = []
    for table in (*KEYED_TABLES, *GROWING_TABLES):
        start: int | None = 0
        try:
            while start is not None:
                start = database.read_rows(table, start)
        except duckdb.Error as error:
            problems.append(f"database table {table}: {_first_line(error)}")
    return problems


def _snapshot_problems(folders: Folders) -> list[str]:
    current = snapshot.read(folders.snapshot / snapshot.CURRENT)
    if current is None or current.complete:
        return []
    return ["the snapshot of the state is damaged; the next one replaces it"]


def _repair(folders: Folders) -> list[str]:
    """What a start does, without starting."""
    done: list[Damage] = []
    folders.make()
    config = DuckdbStorageConfig()
    report = DamageReport(folders.quarantine, wall_clock_ms, done.append)
    journal = recover(folders, report, config.segment_bytes, 0, wall_clock_ms())
    opener = DatabaseOpener(folders, config, report, journal)
    database = opener.open()
    try:
        if _table_problems(database):
            database.close()
            database = opener.rebuild(None)
        database.checkpoint()
        snapshot.take(database, folders.snapshot)
    finally:
        database.close()
        journal.close()
    return [str(damage) for damage in done] or ["everything that was wrong could be put right"]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
