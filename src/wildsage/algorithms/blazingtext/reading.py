"""Text from wherever it comes: a user's Python objects, or a channel in any of its formats.

A line of supervised text has its labels in it (`__label__4 linux ready ...`). JSON lines and
augmented manifests (`{"source": "linux ready ...", "label": 4}`, also with several labels in a
list) are turned into such lines.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from wildsage.algorithms.base import Channel
from wildsage.algorithms.blazingtext.dictionary import LABEL_PREFIX
from wildsage.algorithms.blazingtext.tokens import TokenReader, read_lines
from wildsage.algorithms.reading import empty_channel
from wildsage.algorithms.spec import JSONLINES, base_type
from wildsage.contract.channels import unwrap
from wildsage.contract.failure import ClientError

RECORDS = "application/x-recordio"
PIECE = 1 << 23


def read_corpus(corpus: Any) -> TokenReader:
    """A file's path, or sentences: each a text or a list of words."""
    if isinstance(corpus, str | Path):
        reader = TokenReader()
        with open(corpus, "rb") as file:
            add_stream(reader, file)
        return reader
    return read_lines(as_line(sentence) for sentence in corpus)


def as_line(sentence: Any) -> bytes:
    if isinstance(sentence, bytes):
        return sentence
    return (sentence if isinstance(sentence, str) else " ".join(sentence)).encode()


def add_stream(reader: TokenReader, stream: BinaryIO) -> None:
    while piece := stream.read(PIECE):
        reader.add(piece)
    reader.end_line()


def read_channel(channel: Channel) -> TokenReader:
    """All of a channel's text; ClientError where there is none."""
    mime = base_type(channel.content_type)
    if mime in (JSONLINES, RECORDS) or channel.config.is_wrapped:
        reader = read_lines(_labelled_lines(channel))
    else:
        reader = TokenReader()
        for stream in channel.config.streams():
            add_stream(reader, stream)
    if reader.distinct == 0:
        raise empty_channel(channel.name)
    return reader


# --- JSON lines and augmented manifests ----------------------------------------------------------


def _labelled_lines(channel: Channel) -> Iterator[bytes]:
    mime = base_type(channel.content_type)
    for stream in channel.config.streams():
        if mime == RECORDS or channel.config.is_wrapped:
            yield from _lines_of_records(unwrap_or_refuse(stream, channel), channel)
        else:
            yield from _lines_of_json(stream, channel)


def unwrap_or_refuse(stream: BinaryIO, channel: Channel) -> Iterator[bytes]:
    try:
        yield from unwrap(stream)
    except ValueError as error:
        raise unreadable(channel, str(error)) from error


def _lines_of_records(records: Iterator[bytes], channel: Channel) -> Iterator[bytes]:
    """Records are whole objects, or the attributes of an augmented manifest in turn."""
    first = next(records, None)
    if first is None:
        return
    records = itertools.chain([first], records)
    mime = base_type(channel.content_type)
    if mime == JSONLINES and first.lstrip().startswith(b"{"):
        for record in records:
            yield from _lines_of_json(record.splitlines(), channel)
    elif mime == "text/plain":
        for record in records:
            yield from record.splitlines()
    else:
        yield from _lines_of_attributes(records, channel)


def _lines_of_attributes(records: Iterator[bytes], channel: Channel) -> Iterator[bytes]:
    """`source` and `label` in turn, in either order: a label is a number, or a list of them."""
    label_first: bool | None = None
    for one in records:
        other = next(records, None)
        if other is None:
            raise unreadable(channel, "a source without a label")
        if label_first is None:
            label_first = _is_label(one) and not _is_label(other)
        source, label = (other, one) if label_first else (one, other)
        yield _labelled_or_refuse(source.decode("utf-8", "surrogateescape"), label, channel)


def _labelled_or_refuse(source: str, label: bytes, channel: Channel) -> bytes:
    try:
        return labelled(source, _label_of(label))
    except TypeError as error:
        raise unreadable(channel, str(error)) from error


def _is_label(record: bytes) -> bool:
    return isinstance(_label_of(record), int | list)


def _label_of(record: bytes) -> Any:
    try:
        return orjson.loads(record)
    except orjson.JSONDecodeError:
        return record.decode("utf-8", "surrogateescape")


def _lines_of_json(lines: Iterable[bytes], channel: Channel) -> Iterator[bytes]:
    for line in lines:
        if not line.strip():
            continue
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise unreadable(channel, str(error)) from error
        if not isinstance(record, dict) or not isinstance(record.get("source"), str):
            raise unreadable(channel, "a line is an object with a text 'source' and a 'label'")
        try:
            yield labelled(record["source"], record.get("label", []))
        except TypeError as error:
            raise unreadable(channel, str(error)) from error


def labelled(source: str, label: Any) -> bytes:
    """A line of text with its labels in front."""
    labels = label if isinstance(label, list) else [label]
    names = [label_name(name) for name in labels]
    return b" ".join([*names, source.encode("utf-8", "surrogateescape")])


def label_name(label: Any) -> bytes:
    """`__label__4` of 4; TypeError for what is no label."""
    if not isinstance(label, str | int | float) or isinstance(label, bool):
        raise TypeError(f"{label!r} is not a label")
    name = "".join(str(label).split()).encode("utf-8", "surrogateescape")
    return name if name.startswith(LABEL_PREFIX) else LABEL_PREFIX + name


def unreadable(channel: Channel, cause: str) -> ClientError:
    return ClientError(
        f"Unable to read data channel '{channel.name}'. Requested content-type is "
        f"'{channel.content_type}'. Please verify the data matches the requested content-type.",
        caused_by="ValueError",
        cause=f"(Input Error) {cause}",
    )
