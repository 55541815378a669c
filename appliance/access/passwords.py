"""Passwords as ThingsBoard keeps them: BCrypt, `$2a$`, the hash travels (edge-protocol.md §8).

A check takes about 50 ms of a processor on purpose, so it runs in a thread, and at most
`CHECKS_MAX` at once: someone who guesses passwords must not take the machine from the devices.
"""

from __future__ import annotations

import bcrypt
import trio

CHECKS_MAX = 2
ROUNDS = 10
"""ThingsBoard's strength."""
_BYTES_MAX = 72  # BCrypt reads no further; longer passwords are equal if they begin alike

# Nobody's: compared against when the user is unknown, so that the time tells nothing.
_NOBODY = b"$2a$10$kAP3PIJFRgMgmw7Lds3nQOFLVBumwHWfMk/l/GflKSRs2dWYPpVGy"

_limiter = trio.CapacityLimiter(CHECKS_MAX)


async def matches(password: str, hashed: str | None) -> bool:
    """Whether the password is the one of that hash; False, after the same time, for None."""
    stored = hashed.encode() if hashed else _NOBODY
    found = await trio.to_thread.run_sync(_check, password, stored, limiter=_limiter)
    return found and hashed is not None


async def hash_password(password: str) -> str:
    """A `$2a$` hash of the password."""
    return await trio.to_thread.run_sync(_hash, password, limiter=_limiter)


def _check(password: str, stored: bytes) -> bool:
    try:
        return bcrypt.checkpw(_bytes(password), stored)
    except ValueError:
        return False  # not a BCrypt hash: nobody can log in with it


def _hash(password: str) -> str:
    return bcrypt.hashpw(_bytes(password), bcrypt.gensalt(ROUNDS, prefix=b"2a")).decode()


def _bytes(password: str) -> bytes:
    return password.encode()[:_BYTES_MAX]
