"""What processes that share a prediction send each other: a line of JSON, then bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import IO, Any

from seqkit.cli.jobs import Answer
from seqkit.formats.blocks import Block, Part

__all__ = ["read_answer", "read_block", "read_message", "write_answer", "write_block", "write_message"]


def write_message(stream: IO[bytes], about: Any, payloads: Sequence[bytes] = ()) -> None:
    """Send a message.

    Args:
        stream: where to.
        about: anything of JSON's types.
        payloads: bytes that go along.
    """
    stream.write(json.dumps([about, list(map(len, payloads))]).encode("ascii") + b"\n")
    for payload in payloads:
        stream.write(payload)
    stream.flush()


def read_message(stream: IO[bytes]) -> tuple[Any, list[bytes]]:
    """Wait for a message.

    Args:
        stream: where from.

    Returns:
        What `write_message` was given.

    Raises:
        EOFError: the stream ends before that of the message.
    """
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    about, sizes = json.loads(line)
    payloads = [stream.read(size) for size in sizes]
    if [len(payload) for payload in payloads] != sizes:
        raise EOFError
    return about, payloads


def write_block(stream: IO[bytes], block: Block) -> None:
    """Send a block; see `write_message`."""
    about = [{"name": part.name, "format": part.format, "first": part.first, "head": part.head} for part in block]
    write_message(stream, about, [part.data for part in block])


def read_block(stream: IO[bytes]) -> Block:
    """Wait for a block; see `read_message`."""
    about, payloads = read_message(stream)
    return [Part(**fields, data=data) for fields, data in zip(about, payloads, strict=True)]


def write_answer(stream: IO[bytes], answer: Answer) -> None:
    """Send an answer; see `write_message`."""
    write_message(stream, [answer.counts, answer.fault], [answer.text])


def read_answer(stream: IO[bytes]) -> Answer:
    """Wait for an answer; see `read_message`."""
    (counts, fault), (text,) = read_message(stream)
    return Answer(text, counts, fault)
