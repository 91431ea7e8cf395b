"""Request bodies into rows as wide as the model: CSV, LIBSVM and RecordIO-protobuf.

Refusals bear the container's statuses and texts (algorithm_mode/serve_utils.py).
"""

from __future__ import annotations

import math

import numpy as np

from wildsage.algorithms.xgboost.dialect import CSV, LIBSVM, PARQUET, data_format
from wildsage.contract.failure import ClientError
from wildsage.formats import delimited, libsvm, recordio
from wildsage.formats.matrix import SparseMatrix
from wildsage.serving.handler import InvocationError

Features = np.ndarray | SparseMatrix

_SMALL = 1 << 14


def decode(body: bytes, content_type: str, width: int, *, as_trained: bool) -> Features:
    """The rows of a body. `as_trained` says that the model was trained on LIBSVM as it stood."""
    kind = _kind(content_type)
    if kind == CSV:
        return _fit(_read_csv(body), CSV, width)
    if kind == LIBSVM:
        return _read_libsvm(body, width, as_trained=as_trained)
    return _fit(_read_recordio(body, width), kind, width)


def _kind(content_type: str) -> str:
    try:
        kind = data_format(content_type)
    except ClientError as error:
        raise InvocationError(415, str(error)) from error
    if kind == PARQUET:
        raise InvocationError(415, f"Content-type {content_type} is not supported.")
    return kind


def _read_csv(body: bytes) -> np.ndarray:
    text = body.strip(b" \r\n")
    mark = delimited.sniff(text.partition(b"\n")[0]) or b","
    try:
        if len(text) < _SMALL:
            try:
                return np.array(
                    [[float(field) for field in line.split(mark)] for line in text.split(b"\n")],
                    np.float32,
                )
            except ValueError:
                pass  # an empty field or rows of different lengths: the full reader knows
        return delimited.decode(text, mark)
    except ValueError as error:
        raise _unreadable("csv", error) from error


def _read_libsvm(body: bytes, width: int, *, as_trained: bool) -> SparseMatrix:
    try:
        rows = libsvm.decode(body, labelled=False)
    except ValueError as error:
        raise _unreadable("libsvm", error) from error
    features = rows.features
    widest = features.shape[1]
    if rows.base is not None and rows.base >= 1 and (not as_trained or widest > width):
        features.indices = features.indices - 1  # counted from 1
        widest -= 1
    if widest > width:
        raise InvocationError(
            400,
            f"Unable to evaluate payload provided: Feature size of libsvm inference data {widest} "
            f"is larger than feature size of trained model {width}.",
        )
    return SparseMatrix(features.data, features.indices, features.indptr, (len(rows), width))


def _read_recordio(body: bytes, width: int) -> Features:
    try:
        records = recordio.decode(body, width)
    except (ValueError, OverflowError) as error:
        raise InvocationError(
            415,
            "Loading recordio-protobuf data failed with Exception, please ensure data is in "
            f"recordio-protobuf format: {type(error)} {error}",
        ) from error
    return records.features


def _fit(rows: Features, kind: str, width: int) -> Features:
    """Rows of the model's width; a last feature that all rows lack counts as missing."""
    given = int(rows.shape[1])
    if given == width:
        return rows
    if given != width - 1:
        raise InvocationError(
            400,
            f"Unable to evaluate payload provided: Feature size of {kind} inference data {given} "
            f"is not consistent with feature size of trained model {width}.",
        )
    if isinstance(rows, SparseMatrix):
        return SparseMatrix(rows.data, rows.indices, rows.indptr, (len(rows), width))
    return np.column_stack((rows, np.full(len(rows), math.nan, np.float32)))


def _unreadable(kind: str, error: Exception) -> InvocationError:
    return InvocationError(
        415,
        f"Loading {kind} data failed with Exception, please ensure data is in {kind} format:\n "
        f"{ValueError}\n {error}",
    )
