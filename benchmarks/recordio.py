"""RecordIO-protobuf: ours and the SageMaker SDK's reader and writer in one run.

    python -m benchmarks.recordio [--rows 60000] [--peer-rows 3000] [--rounds 5]

The SDK handles a record at a time and is given fewer rows; figures are bytes per second. Its reader
yields protobuf objects; to be of use they must become an array, which is measured too.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from harness import Measurement, compare

os.environ["SAGEMAKER_SUPPRESS_V2_WARNING"] = "1"

import numpy as np

from wildsage.formats import recordio
from wildsage.formats.matrix import SparseMatrix

Bench = tuple[str, Callable[[], Any], int, Callable[[], Any], int]


def main() -> None:
    arguments = _arguments()
    print("| | ours GB/s | SDK GB/s | ratio |\n|---|---|---|---|")
    for title, ours, our_bytes, theirs, their_bytes in _benches(arguments):
        results = compare({"ours": ours, "sdk": theirs}, rounds=arguments.rounds)
        rates = [_rate(results[0], our_bytes), _rate(results[1], their_bytes)]
        print(
            f"| {title} | {rates[0]:.2f} | {rates[1]:.4f} | {rates[0] / rates[1]:.0f} |", flush=True
        )


def _rate(measurement: Measurement, size: int) -> float:
    return size / measurement.wall / 1e9


def _benches(arguments: argparse.Namespace) -> list[Bench]:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(arguments.rows, arguments.columns)).astype(np.float32)
    labels = (np.arange(arguments.rows) % 10).astype(np.float32)
    sparse = _sparse(rng, arguments.rows)
    return [*_dense_benches(table, labels, arguments), *_sparse_benches(sparse, arguments)]


def _dense_benches(
    table: np.ndarray, labels: np.ndarray, arguments: argparse.Namespace
) -> list[Bench]:
    few, few_labels = table[: arguments.peer_rows], labels[: arguments.peer_rows]
    content, small = recordio.encode(table, labels), recordio.encode(few, few_labels)
    sizes = len(content), len(small)
    return [
        ("dense encode", lambda: recordio.encode(table, labels), sizes[0],
         lambda: _sdk_encode(few, few_labels), sizes[1]),
        ("dense decode to arrays", lambda: recordio.decode(content), sizes[0],
         lambda: _sdk_decode(small), sizes[1]),
        ("dense decode from a stream", lambda: _stream(content), sizes[0],
         lambda: _sdk_decode(small), sizes[1]),
        ("the SDK's reader alone, to objects", lambda: recordio.decode(content), sizes[0],
         lambda: _sdk_objects(small), sizes[1]),
    ]  # fmt: skip


def _sparse_benches(matrix: SparseMatrix, arguments: argparse.Namespace) -> list[Bench]:
    few = matrix[: arguments.peer_rows]
    content, small = recordio.encode(matrix), recordio.encode(few)
    scipy_matrix = few.to_scipy()
    return [
        ("sparse encode (50 of 100,000)", lambda: recordio.encode(matrix), len(content),
         lambda: _sdk_encode_sparse(scipy_matrix), len(small)),
        ("sparse decode to CSR", lambda: recordio.decode(content), len(content),
         lambda: _sdk_decode_sparse(small), len(small)),
    ]  # fmt: skip


def _sparse(rng: np.random.Generator, rows: int) -> SparseMatrix:
    keys = np.sort(rng.integers(0, 100_000, (rows, 50)), axis=1).ravel()
    values = rng.normal(size=rows * 50).astype(np.float32)
    return SparseMatrix(values, keys, np.arange(rows + 1) * 50, (rows, 100_000))


def _stream(content: bytes) -> int:
    return sum(len(part) for part in recordio.read(io.BytesIO(content)))


def _sdk_encode(table: np.ndarray, labels: np.ndarray) -> bytes:
    from sagemaker.amazon.common import write_numpy_to_dense_tensor

    written = io.BytesIO()
    write_numpy_to_dense_tensor(written, table, labels)
    return written.getvalue()


def _sdk_encode_sparse(matrix: Any) -> bytes:
    from sagemaker.amazon.common import write_spmatrix_to_sparse_tensor

    written = io.BytesIO()
    write_spmatrix_to_sparse_tensor(written, matrix)
    return written.getvalue()


def _sdk_objects(content: bytes) -> list[Any]:
    from sagemaker.amazon.common import read_records

    records: list[Any] = read_records(io.BytesIO(content))
    return records


def _sdk_decode(content: bytes) -> np.ndarray:
    rows = [r.features["values"].float32_tensor.values for r in _sdk_objects(content)]
    table = np.empty((len(rows), len(rows[0])), np.float32)
    for number, row in enumerate(rows):
        table[number] = row
    return table


def _sdk_decode_sparse(content: bytes) -> list[tuple[np.ndarray, np.ndarray]]:
    tensors = [r.features["values"].float32_tensor for r in _sdk_objects(content)]
    return [(np.array(t.keys), np.array(t.values, np.float32)) for t in tensors]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--columns", type=int, default=784)
    parser.add_argument("--peer-rows", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    started = time.perf_counter()
    main()
    print(f"\n{time.perf_counter() - started:.0f} s in all")
