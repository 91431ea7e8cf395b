"""The files of a channel: JSON lines, plain or gzipped, and Parquet, told by their names.

Where the channel's content type names a format, every file is read as that; otherwise the ending
tells. Files are read one after the other; only the series stay.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from wildsage.algorithms.base import Channel
from wildsage.algorithms.forecasting_deepar.frequency import Frequency
from wildsage.algorithms.forecasting_deepar.series import RecordError, Series, parse_record
from wildsage.algorithms.reading import empty_channel
from wildsage.algorithms.spec import base_type
from wildsage.contract.failure import ClientError
from wildsage.formats.parquet import MISSING

ROWS_AT_ONCE = 1024
_ENDINGS = {".json": "json", ".jsonl": "json", ".json.gz": "json", ".parquet": "parquet"}
_FIELDS = ("start", "target", "cat", "dynamic_feat")


def read_channel(channel: Channel, frequency: Frequency) -> list[Series]:
    """All series of a channel; ClientError names the file and the record that cannot be used."""
    series: list[Series] = []
    for path in channel.config.files():
        for number, record in enumerate(_records(path, channel), start=1):
            try:
                series.append(parse_record(record, frequency))
            except RecordError as error:
                raise ClientError(
                    f"Unable to read data channel '{channel.name}'. Invalid time series in record "
                    f"{number} of the file '{path.name}': {error}."
                ) from error
    if not series and channel.config.distribution != "ShardedByS3Key":
        raise empty_channel(channel.name)
    return series


def _records(path: Path, channel: Channel) -> Iterator[Any]:
    kind = _format_of(path, channel)
    try:
        if kind == "parquet":
            yield from _parquet(path)
        else:
            yield from _lines(path, channel.name)
    except (OSError, EOFError) as error:  # a file that is no gzip, or a broken one
        raise _unreadable(channel, path, str(error)) from error


def _format_of(path: Path, channel: Channel) -> str:
    told = base_type(channel.content_type)
    if told != "auto":
        return "parquet" if "parquet" in told else "json"
    for ending, kind in _ENDINGS.items():
        if path.name.lower().endswith(ending):
            return kind
    raise ClientError(
        f"Unable to read data channel '{channel.name}'. The format of the file '{path.name}' "
        "cannot be told from its extension. Please use one of .json, .json.gz, .parquet, or set "
        "the ContentType of the channel to json or parquet."
    )


def _unreadable(channel: Channel, path: Path, cause: str) -> ClientError:
    return ClientError(
        f"Unable to read data channel '{channel.name}'. Requested content-type is "
        f"'{channel.content_type}'. Please verify the data matches the requested content-type.",
        caused_by="ValueError",
        cause=f"(Input Error) {path.name}: {cause}",
    )


# --- JSON lines ----------------------------------------------------------------------------------


def _lines(path: Path, channel: str) -> Iterator[Any]:
    with _opened(path) as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield _object(line, number, path, channel)


def _opened(path: Path) -> BinaryIO:
    """The file, unpacked where it begins as a gzip file does."""
    with open(path, "rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else open(path, "rb")  # type: ignore[return-value]


def _object(line: bytes, number: int, path: Path, channel: str) -> Any:
    try:
        return decode_json(line)
    except ValueError as error:
        raise ClientError(
            f"Unable to read data channel '{channel}'. Line {number} of the file '{path.name}' is "
            f"not valid JSON: {error}. Please provide one JSON object per line."
        ) from error


def decode_json(text: bytes) -> Any:
    """JSON, and the bare NaN that Python writes."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return json.loads(text)
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error


# --- Parquet -------------------------------------------------------------------------------------


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ClientError(MISSING) from error
    try:
        file = pq.ParquetFile(path)
        wanted = [name for name in file.schema_arrow.names if name in _FIELDS]
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=wanted):
            for row in batch.to_pylist():
                yield {name: value for name, value in row.items() if value is not None}
    except pa.ArrowException as error:
        raise ClientError(
            f"The file '{path.name}' is not a valid Parquet file.",
            caused_by="ArrowException",
            cause=str(error),
        ) from error
