"""Making the journal of a data folder whole, whatever state it is in. Blocking, at start.

The last segment is scanned if it was not sealed; every other one is compared with the checksum in
its footer (a backlog of 1 M telemetry events is read in about 0.1 s from a warm disk). A damaged
segment is copied to `quarantine/` and rewritten with its intact records; its footer remembers what
is missing, so that nobody waits for that. What was lost is told in sequences and, for the ledger,
in events: an event is lost if the account behind the segment counts it as still to be delivered
and no intact record holds it. The end of the journal is lost, and not merely unfinished, where the
mark (mark.py) says that it was confirmed.

Order of steps, so that a crash in between loses nothing: scan, write what was lost as drop notes
into a new segment, then rewrite. A crash before the rewrite finds the same damage again, and the
drop notes make its loss come out as zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from appliance.model.errors import ApplianceError
from appliance.model.unit import Lane
from plugins.storage_duckdb.damage import DamageReport
from plugins.storage_duckdb.folders import Folders
from plugins.storage_duckdb.format import (
    ALL_LANES,
    GROUP_RECORDS_MAX,
    NOTES,
    LaneFigures,
    Record,
    encode_group,
    encode_record,
)
from plugins.storage_duckdb.journal import Journal, note_entry
from plugins.storage_duckdb.ledger import LaneKey, Ledger, Position, unfinished_until
from plugins.storage_duckdb.mark import read_mark
from plugins.storage_duckdb.records import TELEMETRY, UNIT, DropNote, decode_events
from plugins.storage_duckdb.segments import (
    Scan,
    Segment,
    holes,
    is_intact,
    open_sealed,
    read_footer,
    read_header,
    rewrite,
    scan_segment,
    seal,
    segment_paths,
    told,
)

_INDEX_MAX = 1 << 30
RECORDS_GONE = "journal records gone"


class Wound(msgspec.Struct):
    """A damaged segment, or (scan None) the place of one that is gone.

    before, after: the accounts around it; lost: ranges of sequences.
    """

    first_seq: int
    next_seq: int
    scan: Scan | None
    before: Ledger
    after: list[LaneFigures]
    lost: list[tuple[int, int]]
    tail: bool = False

    @property
    def records(self) -> list[Record]:
        """What is intact of it."""
        return self.scan.records if self.scan else []


class Survey(msgspec.Struct):
    """The journal as it was found. mark: the last sequence known to be confirmed."""

    segments: list[Segment] = []
    wounds: list[Wound] = []
    ledger: Ledger = msgspec.field(default_factory=Ledger)
    next_seq: int = 1
    mark: int = 0
    mark_damaged: bool = False


def survey(folder: Path) -> Survey:
    """Read every segment's footer, scan those that have none or are not as sealed. Pure read."""
    mark = read_mark(folder)
    found = Survey(mark=mark or 0, mark_damaged=mark is None)
    paths = segment_paths(folder)
    for number, path in enumerate(paths):
        first_seq = int(path.stem)
        if first_seq > found.next_seq:
            _note_hole(path, found)
        segment = open_sealed(path)
        if segment is None or not is_intact(path):
            following = paths[number + 1] if number + 1 < len(paths) else None
            segment = _examine(path, following, found)
        found.segments.append(segment)
        found.next_seq = max(found.next_seq, segment.next_seq)
        found.ledger = Ledger(segment.lanes)
    if found.mark >= found.next_seq:
        _add_hole(found, found.mark + 1, found.ledger.figures())
        found.next_seq = found.mark + 1
    return found


def _note_hole(path: Path, found: Survey) -> None:
    """Records in front of this segment are not there. Before the oldest that is as it should be."""
    header, _ = read_header(path)
    if header is not None:
        _add_hole(found, int(path.stem), header.lanes)


def _add_hole(found: Survey, next_seq: int, after: list[LaneFigures]) -> None:
    """Whole files are missing, or the end of the last."""
    lost = [(found.next_seq, next_seq - 1)]
    found.wounds.append(Wound(found.next_seq, next_seq, None, found.ledger, after, lost))


def _examine(path: Path, following: Path | None, found: Survey) -> Segment:
    """Scan one segment; a wound is noted unless it is merely unsealed."""
    scanned = scan_segment(path, found.ledger)
    segment = scanned.segment
    footer, _ = read_footer(path)
    after, next_seq = None, None
    if footer is not None:
        after, next_seq = footer.lanes, footer.next_seq
    elif following is not None:
        header, _ = read_header(following)
        after, next_seq = header.lanes if header else None, int(following.stem)
    if next_seq is None:
        next_seq = max(
            [segment.next_seq, *(gap.last_seq + 1 for gap in scanned.gaps if gap.last_seq)]
        )
    lost = holes(scanned.records, segment.first_seq, next_seq)
    if lost or scanned.gaps or footer is not None:
        tail = following is None and footer is None and _only_tail(scanned, lost, found.mark)
        after_wound = after or segment.lanes
        found.wounds.append(
            Wound(segment.first_seq, next_seq, scanned, found.ledger, after_wound, lost, tail)
        )
    segment.next_seq, segment.lost = next_seq, lost
    if after is not None:
        segment.lanes = after
    return segment


def _only_tail(scanned: Scan, lost: list[tuple[int, int]], mark: int) -> bool:
    """Whether nothing intact or confirmed follows what is missing."""
    last = scanned.records[-1].seq if scanned.records else scanned.segment.first_seq - 1
    reaches_end = len(scanned.gaps) > 0 and scanned.gaps[0].start >= scanned.segment.end
    return reaches_end and all(first > max(last, mark) for first, _ in lost)


def recover(
    folders: Folders,
    report: DamageReport,
    segment_bytes: int,
    free_bytes_min: int,
    now_ms: int,
) -> Journal:
    """The journal, whole again, ready to be appended to."""
    found = survey(folders.journal)
    journal = Journal(
        folders.journal, found.segments, found.ledger, found.next_seq, segment_bytes,
        free_bytes_min,
    )  # fmt: skip
    _drop_empty(journal, found)
    notes = drop_notes(found)
    try:
        if notes:
            journal.append([note_entry(note) for note in notes], now_ms)
        for words in told_wounds(found, notes):
            report.add_once(*words)
        journal.confirm()
        for wound in found.wounds:
            _heal(wound, journal, report)
        _seal_rest(journal)
    except (ApplianceError, OSError):
        pass  # a full disk: readers step over the damage, the next start tries again
    return journal


def _drop_empty(journal: Journal, found: Survey) -> None:
    """A segment that holds nothing, and never held anything, goes without a word."""
    wounded = {wound.first_seq for wound in found.wounds if wound.scan}
    empty = [
        segment
        for segment in journal.segments
        if segment.next_seq == segment.first_seq and segment.first_seq not in wounded
    ]
    journal.forget(empty)


def drop_notes(found: Survey) -> list[DropNote]:
    """The events that wounds cost, by lane."""
    notes = []
    for wound in found.wounds:
        after = Ledger(wound.after)
        for key, lane in after.lanes.items():
            note = _lane_loss(wound, key, lane.figures, found.ledger)
            if note is not None:
                notes.append(note)
    return notes


def _lane_loss(wound: Wound, key: LaneKey, after: LaneFigures, final: Ledger) -> DropNote | None:
    """What a wound cost one lane: what should wait there, less what can still be read."""
    lane = final.lane(*key)
    first: Position = (wound.first_seq, -1)
    last: Position = (wound.next_seq - 1, _INDEX_MAX)
    before = wound.before.lane(*key).figures
    count, size = unfinished_until(lane, after, last)
    count_before, size_before = unfinished_until(lane, before, first)
    left = [
        bytes_ for position, bytes_ in _events(wound.records, key) if not lane.finished(position)
    ]
    count -= count_before + len(left)
    if count <= 0 or not wound.lost:
        return None
    start, end = wound.lost[0][0], wound.lost[-1][1]
    first = max((start, 0), (lane.figures.cursor[0], lane.figures.cursor[1] + 1))
    return DropNote(
        key[0], key[1], first, (end, _INDEX_MAX), count, size - size_before - sum(left), "damage"
    )


def _events(records: Sequence[Record], key: LaneKey) -> Iterator[tuple[Position, int]]:
    for record in records:
        if record.kind in (TELEMETRY, UNIT):
            for index, event in enumerate(decode_events(record.kind, record.payload)):
                if (event.outbox, event.lane) == key:
                    yield (record.seq, index), len(event.body)


def told_wounds(found: Survey, notes: Sequence[DropNote]) -> list[tuple[str, str]]:
    """(what is damaged, what is missing) in words, for every wound that is one.

    A place before the oldest segment is where delivered ones were, unless events are missing.
    """
    oldest = found.segments[0].first_seq if found.segments else 1
    words = [
        _words(wound, notes)
        for wound in found.wounds
        if wound.scan or wound.first_seq >= oldest or _notes_of(wound, notes)
    ]
    if found.mark_damaged:
        after = f"whatever followed record {found.next_seq - 1}, if anything did"
        words.append(("the mark of the journal's end damaged", after))
    return words


def _notes_of(wound: Wound, notes: Sequence[DropNote]) -> list[DropNote]:
    return [note for note in notes if wound.first_seq <= note.last[0] < wound.next_seq]


def _words(wound: Wound, notes: Sequence[DropNote]) -> tuple[str, str]:
    events = [
        f"{note.count} undelivered events of {note.outbox}/{Lane(note.lane).name}"
        for note in _notes_of(wound, notes)
    ]
    lost = told(wound.lost) if wound.lost else ""
    if wound.scan is None:
        return RECORDS_GONE, "; ".join([lost, *events])
    name = wound.scan.segment.path.name
    if wound.tail:
        damaged = sum(gap.end - gap.start for gap in wound.scan.gaps)
        return (
            f"journal {name} ends in {damaged} unfinished bytes {lost}".rstrip(),
            "nothing that was acknowledged, unless the disk lost what it had confirmed",
        )
    missing = lost or "nothing, every record is intact"
    return f"journal {name} damaged", "; ".join([missing, *events])


def _heal(wound: Wound, journal: Journal, report: DamageReport) -> None:
    """Put the original aside and leave a segment that is intact."""
    if wound.scan is None:
        return
    segment = wound.scan.segment
    if wound.tail and wound.scan.records and not wound.lost:
        seal(segment)
        return
    report.keep(segment.path, move=False)
    if not wound.scan.records and segment.first_seq != journal.segments[-1].first_seq:
        journal.forget([segment])
        return
    fresh = rewrite(wound.scan, wound.before, regrouped(wound.scan.records))
    journal.segments = tuple(
        fresh if other.first_seq == fresh.first_seq else other for other in journal.segments
    )


def regrouped(records: Sequence[Record]) -> Iterator[bytes]:
    """The records as groups again; a hole in the sequence starts a new group."""
    start = 0
    for at in range(1, len(records) + 1):
        if at < len(records) and _continues(records[at - 1], records[at], at - start):
            continue
        group = records[start:at]
        framed = [encode_record(r.seq, r.kind, r.payload) for r in group]
        lanes = ALL_LANES | NOTES
        yield encode_group(group[0].seq, group[0].committed_ms, lanes, framed)
        start = at


def _continues(one: Record, other: Record, size: int) -> bool:
    same = one.seq + 1 == other.seq and one.committed_ms == other.committed_ms
    return same and size < GROUP_RECORDS_MAX


def _seal_rest(journal: Journal) -> None:
    """Seal what a crash left unsealed, except the one that is being written now."""
    for segment in journal.segments:
        if not segment.sealed and not journal.is_active(segment):
            seal(segment)
