"""gRPC's length-prefixed messages in a byte stream, pure.

    1 byte compressed flag · 4 bytes length, big-endian · message

A real edge compresses what it sends (`grpc-encoding: gzip`), so compressed messages are taken;
the limit holds for what travels and for what it decompresses to. At most one unfinished message
is held, which is at most the limit.
"""

from __future__ import annotations

import struct
import zlib

_PREFIX = struct.Struct(">?I")
_GZIP_WINDOW = 31  # gzip framing, window of any size
_COMPRESS_LEVEL = 6


class StreamFault(Exception):
    """The peer broke the framing; status is the gRPC status name to end the stream with."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def frame(message: bytes, *, compress: bool = False) -> bytes:
    """One message with its prefix."""
    if compress:
        squeezer = zlib.compressobj(_COMPRESS_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
        message = squeezer.compress(message) + squeezer.flush()
    return _PREFIX.pack(compress, len(message)) + message


class Deframer:
    """Messages out of chunks of any size.

    bytes_max: largest message, compressed or not. encoding: the peer's `grpc-encoding`.
    """

    def __init__(self, bytes_max: int, encoding: str = "identity") -> None:
        self.encoding = encoding
        self._bytes_max = bytes_max
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Add what arrived."""
        self._buffer += chunk

    def take(self, count_max: int) -> list[bytes]:
        """Whole messages, at most so many; those before a fault come before it is raised.

        Raises:
            StreamFault: the next message is too large or cannot be decompressed.
        """
        messages: list[bytes] = []
        at = 0
        try:
            while len(messages) < count_max:
                start = at + _PREFIX.size
                if len(self._buffer) < start:
                    break
                compressed, size = _PREFIX.unpack_from(self._buffer, at)
                if size > self._bytes_max:
                    raise _too_large(self._bytes_max)
                if len(self._buffer) < start + size:
                    break
                with memoryview(self._buffer) as view:
                    body = bytes(view[start : start + size])
                messages.append(self._decompress(body) if compressed else body)
                at = start + size
        except StreamFault:
            if not messages:
                raise
        del self._buffer[:at]
        return messages

    @property
    def unfinished(self) -> bool:
        """A part of a message is here."""
        return bool(self._buffer)

    def _decompress(self, body: bytes) -> bytes:
        if self.encoding != "gzip":
            status = "INTERNAL" if self.encoding == "identity" else "UNIMPLEMENTED"
            raise StreamFault(status, f"compressed with {self.encoding!r}, which is not taken")
        unpacker = zlib.decompressobj(_GZIP_WINDOW)
        try:
            message = unpacker.decompress(body, self._bytes_max + 1)
        except zlib.error as error:
            raise StreamFault("INTERNAL", f"cannot decompress: {error}") from error
        if len(message) > self._bytes_max:
            raise _too_large(self._bytes_max)
        if not unpacker.eof:
            raise StreamFault("INTERNAL", "cannot decompress: the message is cut off")
        return message


def _too_large(bytes_max: int) -> StreamFault:
    return StreamFault("RESOURCE_EXHAUSTED", f"a message of more than {bytes_max} bytes")
