"""How many files this process may have open: as many as the system lets it.

A connection is a file, and so is a segment of the journal. A shell or a service manager starts a
process with 1,024 and lets it ask for more; a thousand devices must not keep storage from its own.
"""

from __future__ import annotations

import resource

FILES_MAX = 65_536
"""10,000 devices over MQTT, 4,096 over HTTP, and room for what an operator sets higher."""


def open_as_many_files_as_allowed() -> None:
    """Raise the soft limit to the hard one, or to FILES_MAX."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
