"""Exit codes, the same for every verb; 78, 70 and 75 are those of sysexits.h."""

from __future__ import annotations

DONE = 0
USAGE = 2
FATAL = 70
TRY_AGAIN = 75
CONFIGURATION = 78

MEANING = {
    DONE: "done",
    USAGE: "the command line is wrong",
    FATAL: "it cannot go on; the last error line says why",
    TRY_AGAIN: "try again later: something is in use, away or not finished",
    CONFIGURATION: "the configuration is wrong; each line names place, origin and way out",
}
