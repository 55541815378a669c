"""The dice of the tests: the same in each run, unless APPLIANCE_SEED says otherwise.

A number repeats a run, `new` throws dice that nobody has seen; a test that fails prints them. What
decides whether a change is taken must not depend on luck; what looks for trouble must.
"""

from __future__ import annotations

import os
import random

DEFAULT = 1


def seed_of(word: str) -> int:
    """The seed that APPLIANCE_SEED asks for."""
    return random.SystemRandom().randrange(1, 2**31) if word == "new" else int(word)


SEED = seed_of(os.environ.get("APPLIANCE_SEED") or str(DEFAULT))
