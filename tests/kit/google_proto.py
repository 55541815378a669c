"""A second opinion: proto/*.proto read by Google's own compiler and runtime.

Used only by tests. Messages are made from descriptors at run time, so there is no generated code
of theirs in the repository.
"""

from __future__ import annotations

import functools
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

PROTO = Path(__file__).resolve().parents[2] / "proto"


@functools.cache
def _pool() -> descriptor_pool.DescriptorPool:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "descriptors"
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", "--include_imports"]
        command += [f"--descriptor_set_out={out}", str(PROTO / "edge.proto")]
        subprocess.run(command, check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool


@functools.cache
def message_type(name: str) -> type[Message]:
    """The class of a message by its full name, e.g. "edge.UplinkMsg"."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


def new(name: str, **values: Any) -> Any:
    """A message with these fields."""
    return message_type(name)(**values)


def parse(name: str, data: bytes) -> Any:
    """The message in these bytes."""
    return message_type(name).FromString(data)


def filled(message: Any, rng: random.Random, skip: frozenset[str] = frozenset()) -> Any:
    """The message with every field set to something that is not its default, deeply."""
    for field in message.DESCRIPTOR.fields:
        if field.name in skip:
            continue
        target = getattr(message, field.name)
        if field.message_type is not None:
            for one in [target.add(), target.add()] if field.is_repeated else [target]:
                filled(one, rng, skip)
                one.SetInParent()
        elif field.is_repeated:
            target.extend(_scalar(field, rng) for _ in range(3))
        else:
            setattr(message, field.name, _scalar(field, rng))
    return message


def _scalar(field: FieldDescriptor, rng: random.Random) -> Any:
    if field.type == field.TYPE_STRING:
        return rng.choice(["plain", "Größe 💧", '{"json":true}', "x" * 300])
    if field.type == field.TYPE_BOOL:
        return True
    if field.type == field.TYPE_DOUBLE:
        return rng.choice([21.5, -0.0, 1e308])
    if field.type == field.TYPE_ENUM:
        return rng.choice([value.number for value in field.enum_type.values if value.number])
    bits = 31 if field.type == field.TYPE_INT32 else 63
    return rng.choice([1, -1, 2**bits - 1, -(2**bits), rng.getrandbits(bits) | 1])
