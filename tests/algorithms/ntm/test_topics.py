"""What topics are judged by."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from wildsage.algorithms.ntm import topics
from wildsage.algorithms.ntm.topics import Vocabulary
from wildsage.contract.failure import ClientError
from wildsage.formats.matrix import SparseMatrix

TOPS = np.array([[0, 1], [0, 2], [3, 4]])


def quiet(message: str) -> None:
    raise AssertionError(message)


def test_top_words_are_in_order_of_weight() -> None:
    weight = np.array([[0.1, 3], [0.3, 2], [0.2, 1]])
    np.testing.assert_array_equal(topics.top_words(weight, 2), [[1, 2], [0, 1]])
    assert topics.top_words(weight).shape == (2, 3)


def test_uniqueness_is_one_over_the_topics_that_share_a_word() -> None:
    np.testing.assert_allclose(topics.uniqueness(TOPS), [0.75, 0.75, 1])


def test_npmi_of_words_that_come_together_apart_and_by_chance() -> None:
    rows = SparseMatrix.from_dense(
        np.array([[2, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1]], np.float32)
    )
    found = topics.npmi(np.array([[0, 1], [0, 3], [0, 2]]), rows)
    chance = math.log(0.25 / (0.5 * 0.5)) / -math.log(0.25)
    np.testing.assert_allclose(found, [1, -1, chance], atol=1e-12)


def test_wetc_is_the_mean_cosine() -> None:
    vectors = np.array([[1, 0], [2, 0], [0, 3], [1, 1], [-1, -1]], np.float32)
    np.testing.assert_allclose(topics.wetc(TOPS, vectors), [1, 0, -1], atol=1e-6)


def folder(tmp_path: Path, **files: str) -> list[Path]:
    for name, text in files.items():
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    return sorted(tmp_path.iterdir())


def test_reads_words_and_embeddings(tmp_path: Path) -> None:
    warnings: list[str] = []
    files = folder(tmp_path, vocab="straße\nb\nc\n", embeddings="b 1 2\nother 5 5\nstraße 3 4\n")
    vocabulary = Vocabulary.read(files, 3, warnings.append)
    assert vocabulary.words == ["straße", "b", "c"]
    assert vocabulary.embeddings is not None
    np.testing.assert_array_equal(vocabulary.embeddings, [[3, 4], [1, 2], [2, 3]])
    assert warnings == [
        "1 out of 3 in vocabulary do not have embeddings! "
        "Default vector used for unknown embedding!"
    ]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"vocab": "a\nb"}, "must be equal to the value of the 'feature_dim' hyperparameter"),
        ({"one": "a", "two": "b"}, "Unable to find 'vocab.txt'"),
        ({"embeddings": "a 1 2"}, "Unable to find 'vocab.txt'"),
        ({"vocab": "a\nb\nc", "embeddings": "a 1 word"}, "must hold a word and its vector"),
        ({"vocab": "a\nb\nc", "embeddings": "a 1 2\nb 1"}, None),
        ({"vocab": "a\nb\nc", "embeddings": "a 1 2\nb 1 2 3"}, "must hold a word and its vector"),
        ({"vocab": "a\nb\nc", "embeddings": "d 1 2"}, "has no word of 'vocab.txt'"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, files: dict[str, str], words: str | None) -> None:
    paths = folder(tmp_path, **files)
    if words is None:
        assert Vocabulary.read(paths, 3, lambda message: None).embeddings is not None
        return
    with pytest.raises(ClientError, match=words):
        Vocabulary.read(paths, 3, quiet)


def test_words_must_be_utf8(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes(b"\xff\n")
    with pytest.raises(ClientError, match="UTF-8"):
        Vocabulary.read([tmp_path / "vocab.txt"], 1, quiet)
