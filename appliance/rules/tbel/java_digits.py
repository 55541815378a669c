"""The decimal digits of a binary fraction as Java 17 prints them, which are not always the fewest.

Java 17 generates digits one by one and stops as soon as what is left is smaller than half the
distance to the neighbouring number. It always looks at a second digit where the text has an
exponent, takes powers of two as if their neighbours were nearer, and counts in 32 or 64 bits where
they suffice. So 2^-31 is 4.6566128730773926E-10, one digit more than needed.
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple


class Form(NamedTuple):
    """A kind of binary fraction: mantissa bits without the leading one, and exponent bias."""

    mantissa_bits: int
    bias: int


DOUBLE = Form(52, 1023)
FLOAT = Form(23, 127)
# the bits of 5^n as Java's table counts them: 5^0 takes none
_BITS_OF_5 = (0, *((5**n).bit_length() for n in range(1, 27)))


class _Generator:
    """Digits of balance / scale; margin: how far off a neighbour would be.

    bits: the width of the machine number that Java calculates with, 0 for unlimited.
    """

    def __init__(self, balance: int, scale: int, margin: int, bits: int) -> None:
        self.balance, self.scale, self.margin, self.bits = balance, scale, margin, bits
        self.tens = scale * 10
        self.low = self.high = False

    def digit(self) -> int:
        """The next digit; low and high then say whether it, or the one above it, is near enough."""
        digit, rest = divmod(self.balance, self.scale)
        self.balance, self.margin = rest * 10, self._wrapped(self.margin * 10)
        if self.bits and self.margin <= 0:
            self.low = self.high = True
        elif self.bits:
            self.low = self.balance < self.margin
            self.high = self.balance + self.margin > self.tens
        else:
            self.low = self.balance < self.margin
            self.high = self.balance + self.margin >= self.tens
        return digit

    def _wrapped(self, value: int) -> int:
        if not self.bits:
            return value
        return (value + (1 << (self.bits - 1))) % (1 << self.bits) - (1 << (self.bits - 1))

    def rounds_up(self, last: int) -> bool:
        """Whether the last digit goes up by one."""
        if not (self.high and self.low):
            return self.high
        rest = self._wrapped(self._wrapped(2 * self.balance) - self.tens)
        return rest > 0 or (rest == 0 and last % 2 == 1)


def fraction_digits(value: float, form: Form) -> tuple[str, int]:
    """Digits d1d2… and exponent e of d1.d2… × 10^e, of a positive finite number.

    Args:
        value: no whole number below 2^63; those have a rule of their own.
        form: DOUBLE or FLOAT.
    """
    fraction, exponent, precision = _parts(value, form)
    trailing = (fraction & -fraction).bit_length() - 1
    fraction >>= trailing
    width = fraction.bit_length()
    tiny = max(0, width - exponent - 1)
    ten = _estimate(value, exponent)
    fives, scale_fives = max(0, -ten), max(0, ten)
    twos, scale_twos = fives + tiny + exponent, scale_fives + tiny
    margin_twos = twos - precision
    twos -= width - 1
    shared = min(twos, scale_twos)
    twos, scale_twos, margin_twos = twos - shared, scale_twos - shared, margin_twos - shared
    if width == 1:
        margin_twos -= 1
    if margin_twos < 0:
        twos, scale_twos, margin_twos = twos - margin_twos, scale_twos - margin_twos, 0
    needed = max(width + twos + _bits_of_5(fives), scale_twos + 1 + _bits_of_5(scale_fives + 1))
    generator = _Generator(
        fraction * 5**fives << twos, 5**scale_fives << scale_twos, 5**fives << margin_twos,
        32 if needed < 32 else 64 if needed < 64 else 0,
    )  # fmt: skip
    return _generate(generator, ten)


def _generate(generator: _Generator, ten: int) -> tuple[str, int]:
    digits = []
    first = generator.digit()
    if first == 0 and not generator.high:
        ten -= 1
    else:
        digits.append(first)
    if not -3 <= ten < 8:
        generator.low = generator.high = False
    while not (generator.low or generator.high):
        digits.append(generator.digit())
    number = int("".join(map(str, digits)))
    text = str(number + generator.rounds_up(digits[-1]))
    return text.rstrip("0"), ten + len(text) - len(digits)


def _parts(value: float, form: Form) -> tuple[int, int, int]:
    """Mantissa with its leading one at bit 52, binary exponent, significant bits."""
    if form is FLOAT:
        raw = struct.unpack(">I", struct.pack(">f", value))[0]
    else:
        raw = struct.unpack(">Q", struct.pack(">d", value))[0]
    mantissa, exponent = raw & ((1 << form.mantissa_bits) - 1), raw >> form.mantissa_bits
    precision = form.mantissa_bits + 1
    if exponent:
        mantissa |= 1 << form.mantissa_bits
    else:
        precision = mantissa.bit_length()
        exponent = precision - form.mantissa_bits
        mantissa <<= form.mantissa_bits + 1 - precision
    return mantissa << (52 - form.mantissa_bits), exponent - form.bias, precision


def _estimate(value: float, exponent: int) -> int:
    """The decimal exponent, or one too many."""
    mantissa = math.frexp(value)[0] * 2
    return math.floor((mantissa - 1.5) * 0.289529654 + 0.176091259 + exponent * 0.301029995663981)


def _bits_of_5(power: int) -> int:
    return _BITS_OF_5[power] if power < len(_BITS_OF_5) else power * 3
