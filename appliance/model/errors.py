"""Errors answer whose problem it is; each carries a way out for the operator."""

from __future__ import annotations


class ApplianceError(Exception):
    """Base of our errors.

    hint: one sentence that tells an operator what to do; empty where the message says it.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} ({self.hint})" if self.hint else message


class Retryable(ApplianceError):
    """It will pass; try again later. retry_after_s: a good time to wait."""

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float = 1.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class Permanent(ApplianceError):
    """This item will never succeed; put it aside (quarantine) and go on."""


class Fatal(ApplianceError):
    """The component cannot go on; the supervisor decides."""


class ConfigError(ApplianceError):
    """The configuration is wrong; the message names the path."""


def first_plain(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first exception inside a group, however deep, that is no group itself."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
