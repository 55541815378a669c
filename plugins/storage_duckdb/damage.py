"""What was found damaged, kept in `quarantine/report.jsonl` so that a restart does not hide it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

REPORT = "report.jsonl"


class Damage(msgspec.Struct, frozen=True):
    """One finding. missing: what cannot be brought back, in words; empty if nothing is."""

    at_ms: int
    what: str
    missing: str

    def __str__(self) -> str:
        return f"{self.what}: {self.missing}" if self.missing else self.what


class DamageReport:
    """The findings of a data folder, old and new.

    Args:
        folder: the quarantine folder.
        clock: epoch milliseconds.
        announce: called with each new finding, from any thread.
    """

    def __init__(
        self, folder: Path, clock: Callable[[], int], announce: Callable[[Damage], None]
    ) -> None:
        self.findings = read_report(folder)
        self._folder = folder
        self._clock = clock
        self._announce = announce

    def add(self, what: str, missing: str) -> None:
        """Record a finding. A disk that cannot take the line does not stop anything."""
        damage = Damage(self._clock(), what, missing)
        self.findings.append(damage)
        try:
            with (self._folder / REPORT).open("ab") as file:
                file.write(msgspec.json.encode(damage) + b"\n")
                file.flush()
                os.fdatasync(file.fileno())
        except OSError:
            pass  # it is still in memory and announced
        self._announce(damage)

    def add_once(self, what: str, missing: str) -> None:
        """Record a finding that every start makes again, later ones perhaps with less to say."""
        known = any(k.what == what and k.missing.startswith(missing) for k in self.findings)
        if not known:
            self.add(what, missing)

    def keep(self, path: Path, *, move: bool) -> None:
        """Put the damaged original aside under a name that tells when."""
        target = self._folder / f"{self._clock()}-{path.name}"
        try:
            if move:
                path.replace(target)
            else:
                shutil.copyfile(path, target)
        except OSError:
            target.unlink(missing_ok=True)
            if move:
                path.unlink(missing_ok=True)


def read_report(folder: Path) -> list[Damage]:
    """Findings of former starts; lines that cannot be read are skipped."""
    findings: list[Damage] = []
    try:
        lines = (folder / REPORT).read_bytes().splitlines()
    except FileNotFoundError:
        return findings
    for line in lines:
        try:
            findings.append(msgspec.json.decode(line, type=Damage))
        except msgspec.DecodeError:
            continue
    return findings
