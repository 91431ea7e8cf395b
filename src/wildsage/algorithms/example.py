"""A small example of an algorithm's inputs, in every format it takes, for its checks and docs.

Each algorithm's package has an `example.py` with `def example() -> Example`. `tabular` makes one
from a matrix; algorithms with formats of their own write theirs out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from wildsage.algorithms.rows import Features, dense
from wildsage.algorithms.spec import CSV, JSON, JSONLINES, RECORDIO, base_type
from wildsage.formats import recordio
from wildsage.formats.matrix import SparseMatrix

if TYPE_CHECKING:
    from wildsage.algorithms.base import Estimator

Formats = Mapping[str, bytes]


@dataclass(frozen=True)
class Example:
    """Hyperparameters, channels and requests that belong together.

    `channels` and `requests` hold the same data once per content type. `answers` are the names in a
    response. `variations` says what to set where a hyperparameter cannot be varied alone.
    """

    hyperparameters: Mapping[str, str]
    channels: Mapping[str, Formats]
    requests: Formats
    records: int
    answers: Sequence[str]
    estimator: Callable[[], Estimator] | None = None
    variations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    is_tabular: bool = True

    def request_of(self, content_type: str) -> bytes:
        """The request in a content type, whatever its parameters."""
        wanted = base_type(content_type)
        return next(body for kind, body in self.requests.items() if base_type(kind) == wanted)


def tabular(
    hyperparameters: Mapping[str, str],
    channels: Mapping[str, tuple[Features, np.ndarray | None]],
    rows: np.ndarray,
    answers: Sequence[str],
    *,
    formats: Sequence[str] = (RECORDIO, CSV),
    request_formats: Sequence[str] = (CSV, JSON, JSONLINES, RECORDIO),
    **others: Any,
) -> Example:
    """An example from (features, labels) by channel, and the rows of a request."""
    return Example(
        hyperparameters=hyperparameters,
        channels={
            name: channel_formats(features, labels, formats)
            for name, (features, labels) in channels.items()
        },
        requests={kind: REQUESTS[kind](rows) for kind in request_formats},
        records=len(rows),
        answers=answers,
        **others,
    )


def channel_formats(
    features: Features, labels: np.ndarray | None, formats: Sequence[str] = (RECORDIO, CSV)
) -> dict[str, bytes]:
    """The same rows in each format, CSV with the right `label_size`."""
    size = 0 if labels is None else int(np.prod(labels.shape[1:]))
    made = {
        RECORDIO: lambda: recordio.encode(features, labels),
        CSV: lambda: encode_csv(dense(features), labels),
    }
    names = {CSV: f"{CSV};label_size={size}"}
    return {names.get(kind, kind): made[kind]() for kind in formats}


def encode_csv(features: np.ndarray, labels: np.ndarray | None = None) -> bytes:
    """Rows as CSV, labels in the first columns."""
    columns = [] if labels is None else [labels.reshape(len(features), -1)]
    table = np.hstack([*columns, features]).astype(np.float32)
    return "".join(",".join(map(repr, row)) + "\n" for row in table.tolist()).encode()


def encode_json(rows: np.ndarray) -> bytes:
    return json.dumps({"instances": [{"features": row} for row in rows.tolist()]}).encode()


def encode_jsonlines(rows: np.ndarray) -> bytes:
    return "\n".join(json.dumps({"features": row}) for row in rows.tolist()).encode()


def encode_sparse_json(rows: SparseMatrix) -> bytes:
    """Rows as `keys`, `shape` and `values`."""
    instances = []
    for begin, end in zip(rows.indptr[:-1], rows.indptr[1:], strict=True):
        values = {
            "keys": rows.indices[begin:end].tolist(),
            "shape": [rows.shape[1]],
            "values": rows.data[begin:end].tolist(),
        }
        instances.append({"data": {"features": values}})
    return json.dumps({"instances": instances}).encode()


REQUESTS: dict[str, Callable[[np.ndarray], bytes]] = {
    CSV: encode_csv,
    JSON: encode_json,
    JSONLINES: encode_jsonlines,
    RECORDIO: recordio.encode,
}
