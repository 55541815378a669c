"""What can go wrong with a script: it does not compile, or it fails while it runs."""

from __future__ import annotations

from appliance.model.errors import Permanent


class TbelSyntaxError(Permanent):
    """The text is not a script that we understand; the node must not start.

    message: one sentence; line, column: where, counted from 1.
    """

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"{message} (line {line}, column {column})")
        self.message = message
        self.line = line
        self.column = column


class TbelError(Permanent):
    """The script failed while it ran; the message goes to the Failure relation.

    line and column are 0 until the statement that failed is known.
    """

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column

    def __str__(self) -> str:
        return (
            f"{self.message} (line {self.line}, column {self.column})"
            if self.line
            else self.message
        )


class LimitError(TbelError):
    """The script used more steps, memory or depth than it may."""
