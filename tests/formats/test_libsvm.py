"""LIBSVM text against scikit-learn's reader and by hand."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

from wildsage.formats.libsvm import decode, encode
from wildsage.formats.matrix import SparseMatrix


def test_rows_and_labels() -> None:
    rows = decode(b"1 1:2 3:1\n-1.5 2:1e-1\n")
    assert rows.features.to_dense().tolist() == [[0, 2, 0, 1], [0, 0, np.float32(0.1), 0]]
    assert rows.labels is not None and rows.labels.tolist() == [1, -1.5]
    assert rows.base == 1 and rows.weights is None and rows.queries is None and len(rows) == 2


def test_blanks_comments_and_blank_lines_do_not_matter() -> None:
    rows = decode(b"\n 1  0:1   2:2 \t\r\n\n  \n0 # 5:5\n2 1:3#x\n")
    assert rows.features.to_dense().tolist() == [[1, 0, 2], [0, 0, 0], [0, 3, 0]]
    assert rows.labels is not None and rows.labels.tolist() == [1, 0, 2]


def test_weights() -> None:
    rows = decode(b"1:0.5 0:2\n0 0:1\n-1:2 1:1\n")
    assert rows.weights is not None and rows.weights.tolist() == [0.5, 1, 2]
    assert rows.labels is not None and rows.labels.tolist() == [1, 0, -1]
    assert rows.features.to_dense().tolist() == [[2, 0], [1, 0], [0, 1]]


def test_queries() -> None:
    rows = decode(b"1 qid:16777217 0:1\n0 qid:7 1:2\n")
    assert rows.queries is not None and rows.queries.tolist() == [16777217, 7]
    assert rows.features.to_dense().tolist() == [[1, 0], [0, 2]]


def test_rows_without_labels() -> None:
    rows = decode(b"1:2 3:4\n7\n0 2:1\n", labelled=False, columns=6)
    assert rows.features.shape == (3, 6)
    assert rows.features.to_dense()[:, :4].tolist() == [[0, 2, 0, 4], [0, 0, 0, 0], [0, 0, 1, 0]]
    assert rows.labels is None


@pytest.mark.parametrize("text", [b"", b"\n", b" \n\n"])
def test_nothing(text: bytes) -> None:
    rows = decode(text)
    assert len(rows) == 0 and rows.features.shape == (0, 0) and rows.base is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"1,2,3\n", "could not convert string to float: '1,2,3'"),
        (b"1 0:1\nx 0:1\n", "could not convert string to float: 'x'"),
        (b"1 2\n", "not of the form index:value"),
        (b"1 2:3:4\n", "not of the form index:value"),
        (b"1 2:\n", "a feature has no value"),
        (b"1 1.5:2\n", "index is not a whole number"),
        (b"1 -5:2\n", "index is not a whole number"),
        (b"1 qid:1 0:1\n1 0:1\n", "every line needs one qid"),
    ],
)
def test_what_is_no_libsvm(text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(text)


def test_large_text_reads_as_scikit_learn_reads_it() -> None:
    generator = np.random.default_rng(0)
    dense = generator.normal(size=(4000, 20)) * (generator.random((4000, 20)) < 0.4)
    labels = generator.integers(0, 5, 4000)
    stream = io.BytesIO()
    dump_svmlight_file(dense, labels, stream, zero_based=True)
    rows = decode(io.BytesIO(stream.getvalue()))
    stream.seek(0)
    expected, expected_labels = load_svmlight_file(stream, zero_based=True, dtype=np.float64)
    np.testing.assert_allclose(
        rows.features.to_dense(), expected.toarray().astype(np.float32), rtol=1.2e-7
    )
    np.testing.assert_array_equal(rows.labels, expected_labels)


numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(numbers, st.dictionaries(st.integers(0, 60), numbers, max_size=8))))
def test_what_is_written_is_read(lines: list[tuple[float, dict[int, float]]]) -> None:
    indices = np.array([index for _, row in lines for index in sorted(row)], np.int32)
    data = np.array([row[index] for _, row in lines for index in sorted(row)], np.float32)
    indptr = np.cumsum([0, *(len(row) for _, row in lines)])
    width = int(indices.max(initial=-1)) + 1
    matrix = SparseMatrix(data, indices, indptr, (len(lines), width))
    labels = np.array([label for label, _ in lines], np.float32)
    rows = decode(encode(matrix, labels.astype(np.float64)))
    np.testing.assert_allclose(rows.features.data, data, rtol=1.2e-7)
    np.testing.assert_array_equal(rows.features.indices, indices)
    np.testing.assert_array_equal(rows.features.indptr, indptr)
