"""Channels into tables: CSV, LIBSVM, Parquet and RecordIO-protobuf, from files or a pipe.

The first column of CSV and Parquet is the label (the second the weight, where `csv_weights` says
so). The checks and texts are those of the container's data_utils.py.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from wildsage.algorithms.xgboost.dialect import CSV, LIBSVM, PARQUET, RECORDIO
from wildsage.algorithms.xgboost.log import info, warn
from wildsage.contract.channels import ChannelConfig, unwrap
from wildsage.contract.failure import ClientError
from wildsage.formats import delimited, libsvm, parquet, recordio
from wildsage.formats.matrix import SparseMatrix, concatenate

MAX_DEPTH = 3
_SNIPPET = 50
_PARQUET_SEAM = b"PAR1PAR1"

Opener = Callable[[], BinaryIO]


@dataclass(slots=True)
class Table:
    """Rows to train on. `queries` groups the rows of ranking data."""

    features: np.ndarray | SparseMatrix
    labels: np.ndarray
    weights: np.ndarray | None = None
    queries: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.features)

    @property
    def columns(self) -> int:
        return int(self.features.shape[1])


def read_channel(config: ChannelConfig, kind: str, *, csv_weights: bool = False) -> Table | None:
    """The rows of a channel; None where it has no data. Raises ClientError."""
    sources = _sources(config, kind)
    if not sources:
        return None
    try:
        table = _READERS[kind](sources, csv_weights)
    except parquet.ParquetUnavailable as error:
        raise ClientError(str(error)) from error
    except (ValueError, OverflowError) as error:
        raise ClientError(f"Failed to load {kind} data with exception:\n{error}") from error
    if table is None or not len(table):
        return None
    _check_labels(table, kind)
    return table


def combine(train: Table, validation: Table | None) -> Table:
    """The rows of both, for cross validation."""
    if validation is None:
        return train
    return _join([train, validation])


def warn_of_redundancy(train: ChannelConfig, validation: ChannelConfig) -> None:
    """Files of one name and size in both channels are suspected to be the same."""
    if train.is_pipe or validation.is_pipe:
        return
    others = {path.name: path for path in _files(validation)}
    for path in _files(train):
        other = others.get(path.name)
        if other is not None and other.stat().st_size == path.stat().st_size:
            warn(
                f"Suspected identical files found. ({_shown(train, path)} and "
                f"{_shown(validation, other)} with same size {path.stat().st_size} bytes). Note: "
                "Duplicate data in the training set and validation set is usually not intentional "
                "and can impair the validity of the model evaluation by the validation score."
            )


# --- where the bytes are -------------------------------------------------------------------------


def _sources(config: ChannelConfig, kind: str) -> list[Opener]:
    if config.is_pipe:
        return [lambda data=data: io.BytesIO(data) for data in _pipe_objects(config)]  # type: ignore[misc]
    files = [path for path in _files(config) if path.stat().st_size]
    for path in files:
        _check_first_lines(path, kind)
    return [lambda path=path: open(path, "rb") for path in files]  # type: ignore[misc]


def _pipe_objects(config: ChannelConfig) -> Iterator[bytes]:
    for stream in config.streams():
        objects = unwrap(stream) if config.is_wrapped else [stream.read()]
        yield from (data for data in objects if data)


def _files(config: ChannelConfig) -> list[Path]:
    """The channel's files down to the third level, without markers such as `_SUCCESS`."""
    folder = config.paths.channel(config.name)
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    if any(path.name.startswith(".") for path in found):
        raise ClientError("Hidden file found in the data path! Remove that before training.")
    shallow = [path for path in found if len(path.relative_to(folder).parts) <= MAX_DEPTH]
    if len(shallow) < len(found):
        warn(
            f"The depth of folder {_shown(config, folder)} exceed the limit {MAX_DEPTH}. Files in "
            "deeper sub dirs won't be loaded. Please adjust the folder structure accordingly."
        )
    return [path for path in shallow if not path.name.startswith("_")]


def _shown(config: ChannelConfig, path: Path) -> str:
    """The path as users know it, under /opt/ml."""
    return str(Path("/opt/ml") / path.relative_to(config.paths.base))


def _check_first_lines(path: Path, kind: str) -> None:
    if kind == LIBSVM:
        with open(path, "rb") as stream:
            _check_libsvm(stream, path.name)
    elif kind == CSV:
        with open(path, "rb") as stream:
            _delimiter(stream.readline())


def _check_libsvm(stream: BinaryIO, name: str) -> None:
    """The lines up to the first with two features must look like LIBSVM."""
    for line in stream:
        words = line.split()
        if not words:
            continue
        if not _is_label(words[0]) or any(word.count(b":") != 1 for word in words[1:]):
            snippet = line[:_SNIPPET].decode("utf-8", "replace").rstrip("\r\n")
            raise ClientError(
                f"First line '{snippet}...' of file '{name}' is not 'LIBSVM' format. "
                "Please ensure the file is in 'LIBSVM' format."
            )
        if len(words) > 2:
            return
    warn(
        f"File {name} is not an invalid LIBSVM file but has no features. "
        "Accepting simple validation."
    )


def _is_label(word: bytes) -> bool:
    parts = word.split(b":")
    if len(parts) > 2:
        return False
    try:
        return bool([float(part) for part in parts])
    except ValueError:
        return False


def _delimiter(line: bytes) -> bytes:
    mark = delimited.sniff(line)
    if mark is None:
        text = line[:_SNIPPET].decode("utf-8", "replace").rstrip("\r\n")
        raise ClientError(
            f"Could not determine delimiter on line {text}:\nCould not determine delimiter"
        )
    return mark


# --- what they mean ------------------------------------------------------------------------------


def _read_csv(sources: Sequence[Opener], csv_weights: bool) -> Table | None:
    tables: list[np.ndarray] = []
    for number, source in enumerate(sources):
        with source() as stream:
            first = stream.readline()
            stream.seek(0)
            mark = _delimiter(first)
            if not number:
                info(f"Determined delimiter of CSV input is '{mark.decode()}'")
            tables.extend(delimited.decode_parts(stream, mark))
    return _from_columns(tables, csv_weights)


def _read_parquet(sources: Sequence[Opener], csv_weights: bool) -> Table | None:
    tables: list[np.ndarray] = []
    for source in sources:
        with source() as stream:
            data = stream.read()
        tables.extend(parquet.decode(part) for part in _parquet_files(data))
    return _from_columns(tables, False)


def _parquet_files(data: bytes) -> Iterator[bytes]:
    """The files in a pipe's bytes: one follows the other, each between two magic words."""
    start = 0
    while start < len(data):
        seam = data.find(_PARQUET_SEAM, start + 4)
        end = len(data) if seam < 0 else seam + 4
        yield data[start:end]
        start = end


def _from_columns(tables: Sequence[np.ndarray], weighted: bool) -> Table | None:
    tables = [table for table in tables if len(table)]
    if not tables:
        return None
    widths = sorted({table.shape[1] for table in tables})
    if len(widths) > 1:
        raise ValueError(f"files differ in their number of columns: {widths}")
    first = 2 if weighted else 1
    if widths[0] <= first:
        raise ValueError(f"there are {widths[0]} columns, which leaves no features")
    rows = sum(map(len, tables))
    features = np.empty((rows, widths[0] - first), np.float32)
    begin = 0
    for table in tables:  # straight to their place: a large table is copied once
        features[begin : begin + len(table)] = table[:, first:]
        begin += len(table)
    labels = np.concatenate([table[:, 0] for table in tables])
    weights = np.concatenate([table[:, 1] for table in tables]) if weighted else None
    return Table(features, labels, weights)


def _read_libsvm(sources: Sequence[Opener], csv_weights: bool) -> Table | None:
    tables = []
    for source in sources:
        with source() as stream:
            rows = libsvm.decode(stream)
        if len(rows):
            labels = rows.labels if rows.labels is not None else np.zeros(0, np.float32)
            tables.append(Table(rows.features, labels, rows.weights, rows.queries))
    return _join(tables) if tables else None


def _read_recordio(sources: Sequence[Opener], csv_weights: bool) -> Table | None:
    tables = []
    for source in sources:
        with source() as stream:
            records = recordio.decode(stream.read())
        labels = np.zeros(0, np.float32) if records.labels is None else records.labels.ravel()
        tables.append(Table(records.features, labels))
    return _join(tables) if tables else None


_READERS: dict[str, Callable[[Sequence[Opener], bool], Table | None]] = {
    CSV: _read_csv,
    LIBSVM: _read_libsvm,
    PARQUET: _read_parquet,
    RECORDIO: _read_recordio,
}


def _join(tables: Sequence[Table]) -> Table:
    """The rows of all tables."""
    if len(tables) == 1:
        return tables[0]
    dense = [table.features for table in tables if isinstance(table.features, np.ndarray)]
    features: np.ndarray | SparseMatrix
    if len(dense) == len(tables):
        features = np.concatenate(dense)
    else:
        features = concatenate([_sparse(table.features) for table in tables])
    return Table(
        features,
        np.concatenate([table.labels for table in tables]),
        _optional(tables, [table.weights for table in tables]),
        _queries(tables),
    )


def _sparse(features: np.ndarray | SparseMatrix) -> SparseMatrix:
    return features if isinstance(features, SparseMatrix) else SparseMatrix.from_dense(features)


def _optional(tables: Sequence[Table], columns: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Weights of all rows; a table without weighs each row 1."""
    if all(column is None for column in columns):
        return None
    pairs = zip(tables, columns, strict=True)
    ones = [np.ones(len(t), np.float32) if column is None else column for t, column in pairs]
    return np.concatenate(ones)


def _queries(tables: Sequence[Table]) -> np.ndarray | None:
    columns = [table.queries for table in tables if table.queries is not None]
    if not columns:
        return None
    if len(columns) < len(tables):
        raise ValueError("some files have qid and others have none")
    return np.concatenate(columns)


def _check_labels(table: Table, kind: str) -> None:
    if len(table.labels) != len(table):
        raise ClientError(
            "Got input data without labels. Please check the input data set. If training job is "
            "running on multiple instances, please switch to using single instance if number of "
            "records in the data set is less than number of workers (16 * number of instance) in "
            "the cluster."
        )
    if not np.isfinite(table.labels).all():
        raise ClientError(
            f"Failed to load {kind} data with exception:\n"
            "Label contains NaN, infinity or a value too large."
        )
