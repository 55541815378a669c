"""The one error of this room."""

from __future__ import annotations

from appliance.model.errors import Permanent


class PayloadError(Permanent):
    """A payload that can never be taken.

    message: what is wrong, in words for the person who programs the device. line, column:
    1-based place in the text, or 0 where the text is good JSON but not what it should say.
    """

    def __init__(self, message: str, line: int = 0, column: int = 0, *, hint: str = "") -> None:
        place = f" at line {line} column {column}" if line else ""
        super().__init__(message + place, hint=hint or "correct what the device sends")
        self.line = line
        self.column = column
