"""From a channel's bytes to checked batches of rows: readers, and AWS's data errors.

Wording: aws/sagemaker-rl-container, vw_serving/sagemaker/exceptions.py and validation.py.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from wildsage.algorithms.rows import Batch, all_finite, stack
from wildsage.algorithms.spec import CSV, RECORDIO, base_type
from wildsage.contract.channels import ChannelConfig, unwrap
from wildsage.contract.failure import ClientError
from wildsage.formats import csv, recordio
from wildsage.formats.matrix import SparseMatrix


@dataclass(frozen=True, slots=True)
class Reader:
    """How to read one channel: its content type, and the width that rows must have."""

    channel: str
    content_type: str
    feature_dim: int | None = None
    label_size: int = 1

    @property
    def mime(self) -> str:
        return base_type(self.content_type)


def content_parameters(content_type: str) -> dict[str, str]:
    """{"label_size": "0"} of `text/csv; label_size=0`."""
    pairs = (part.partition("=") for part in content_type.split(";")[1:])
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def label_size(content_type: str, default: int = 1) -> int:
    """How many leading columns of a CSV are labels."""
    text = content_parameters(content_type).get("label_size", "")
    return int(text) if text.isdigit() else default


def read_batches(config: ChannelConfig, reader: Reader, epoch: int) -> Iterator[Batch]:
    """The rows of one pass over the channel, in pieces as they come."""
    decode = _READERS.get(reader.mime)
    if decode is None:
        raise ClientError(f"No iterator has been registered for ContentType {(reader.mime, '1.0')}")
    for stream in streams(config, epoch):
        try:
            yield from decode(stream, reader)
        except (recordio.RecordFormatError, csv.CsvFormatError) as error:
            raise unreadable(reader, str(error)) from error


def streams(config: ChannelConfig, epoch: int) -> Iterator[BinaryIO]:
    for stream in config.streams(epoch):
        if config.is_wrapped:
            yield from map(io.BytesIO, unwrap(stream))
        else:
            yield stream


def _read_recordio(stream: BinaryIO, reader: Reader) -> Iterator[Batch]:
    for part in recordio.read(stream, reader.feature_dim):
        yield Batch(part.features, part.labels)


def _read_csv(stream: BinaryIO, reader: Reader) -> Iterator[Batch]:
    size = reader.label_size
    for table in csv.read(stream):
        if table.shape[1] <= size:
            raise csv.CsvFormatError(f"a row has {table.shape[1]} columns, {size} of them labels")
        yield Batch(table[:, size:], split_labels(table, size))


def split_labels(table: np.ndarray, size: int) -> np.ndarray | None:
    if size == 0:
        return None
    return table[:, 0].copy() if size == 1 else table[:, :size].copy()


_READERS: dict[str, Callable[[BinaryIO, Reader], Iterator[Batch]]] = {
    RECORDIO: _read_recordio,
    CSV: _read_csv,
}


# --- checks --------------------------------------------------------------------------------------


def unreadable(reader: Reader, cause: str) -> ClientError:
    return ClientError(
        f"Unable to read data channel '{reader.channel}'. Requested content-type is "
        f"'{reader.content_type}'. Please verify the data matches the requested content-type.",
        caused_by="MXNetError",
        cause=f"(Input Error) {cause}",
    )


def empty_channel(name: str) -> ClientError:
    return ClientError(
        f"Unable to read data channel '{name}'. "
        "Please verify the correct data channel configuration is provided.",
        caused_by="MXNetError",
        cause="(Input Error) The channel has no records",
    )


def check_batch(batch: Batch, reader: Reader) -> None:
    """Refuse missing or infinite values and a wrong number of features."""
    if reader.feature_dim is not None and batch.width != reader.feature_dim:
        raise ClientError(
            f"Incorrect configuration or {reader.channel} dataset provided. The value of "
            f"feature_dim hyperparameter '{reader.feature_dim}' doesn't match {reader.channel} "
            f"data dimensionality '{batch.width}'. Please set feature_dim to the number of "
            f"features in {reader.channel} dataset."
        )
    features = batch.features
    _check_finite(features.data if isinstance(features, SparseMatrix) else features, reader)
    if batch.labels is not None:
        _check_finite(batch.labels, reader)


def _check_finite(values: np.ndarray, reader: Reader) -> None:
    if all_finite(values):
        return
    what, which = "infinite floating point", "infinite floating point values"
    if np.isnan(values).any():
        what, which = "missing (NaN)", "missing (NaN) values"
    raise ClientError(
        f"Unable to read data channel '{reader.channel}'. Found {what} values. "
        f"Please remove any {which} in the input data.",
        caused_by="MXNetError",
        cause=f"(Input Error) ({'NaN' if 'NaN' in what else 'Inf'})",
    )


def label_error(channel: str, size: int) -> ClientError:
    # "labeled labeled" is AWS's wording.
    return ClientError(
        f"Labeled {channel} data required with label size equal 1. Label size on {channel} dataset "
        f"found to be {size}. Please provide a properly labeled labeled {channel} dataset."
    )


def cut(pieces: Iterable[Batch], rows: int) -> Iterator[Batch]:
    """The same rows in batches of `rows`; the last may be smaller."""
    waiting: list[Batch] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += len(piece)
        if count < rows:
            continue
        joined, begin = stack(waiting), 0
        while count - begin >= rows:
            yield joined[begin : begin + rows]
            begin += rows
        count -= begin
        waiting = [joined[begin:]] if count else []
    if count:
        yield stack(waiting)
