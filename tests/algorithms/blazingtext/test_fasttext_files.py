"""Model files are fastText's to the byte, and fastText reads them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wildsage.algorithms.blazingtext import fasttext as files
from wildsage.algorithms.blazingtext.classifier import TextClassifier
from wildsage.algorithms.blazingtext.dictionary import Dictionary, Shape
from wildsage.algorithms.blazingtext.example import themed_sentences
from wildsage.algorithms.blazingtext.word2vec import Word2Vec

GOLDEN = bytes.fromhex(
    "ba164f2f0c000000"  # magic, version
    "02000000050000000500000001000000050000000200000003000000030000000300000000000000000000"
    "0064000000"  # dim 2, ws, epoch, minCount, neg, wordNgrams 2, softmax, supervised, bucket 3
    "2d431cebe2361a3f"  # t = 1e-4
    "03000000020000000100000009000000000000" + "00ffffffffffffffff"  # 3 entries, 9 tokens
    "6100040000000000000000"  # a, 4, word
    "3c2f733e00020000000000000000"  # </s>, 2, word
    "5f5f6c6162656c5f5f780002000000000000" + "0001"  # __label__x, 2, label
    "0005000000000000000200000000000000"  # dense, 5 rows of 2
    "0000803f000000400000000000000000000000000000000000004040000080400000000000000000"
    "0001000000000000000200000000000000"  # dense, 1 row of 2
    "0000a0400000c040"
)


def small() -> tuple[files.Arguments, Dictionary, files.Rows, np.ndarray]:
    arguments = files.Arguments(2, files.SUPERVISED, files.SOFTMAX, word_ngrams=2, buckets=3)
    dictionary = Dictionary(
        [b"a", b"</s>"],
        np.array([4, 2]),
        [b"__label__x"],
        np.array([2]),
        Shape(3, 0, 0, 2),
        9,
    )
    values = np.array([[1, 2, 9], [3, 4, 9]], np.float32)  # the third column is padding
    return arguments, dictionary, files.Rows(5, np.array([0, 3]), values), np.array([[5.0, 6.0]])


def test_a_file_has_these_bytes(tmp_path: Path) -> None:
    files.write(tmp_path / "model.bin", *small())
    assert (tmp_path / "model.bin").read_bytes() == GOLDEN


def test_a_file_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(GOLDEN)
    model = files.read(tmp_path / "model.bin")
    arguments, dictionary, _, outputs = small()
    assert model.arguments == arguments and model.is_supervised
    assert model.dictionary.words == dictionary.words
    assert model.dictionary.labels == dictionary.labels
    assert model.dictionary.counts.tolist() == [4, 2]
    assert model.inputs.tolist() == [[1, 2], [0, 0], [0, 0], [3, 4], [0, 0]]
    assert model.outputs.tolist() == outputs.tolist()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\0" * 200, "not a model file"),
        (GOLDEN[:100], "damaged|no end"),
        (GOLDEN[:-1], "cut off"),
        (GOLDEN.replace(b"\0\5\0\0\0\0\0\0\0\2", b"\1\5\0\0\0\0\0\0\0\2", 1), "quantized"),
        (GOLDEN[:4] + struct.pack("<i", 13) + GOLDEN[8:], "unknown version"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(files.ModelFileError, match=words):
        files.read(tmp_path / "model.bin")


def test_the_old_version_had_no_subwords_for_texts(tmp_path: Path) -> None:
    old = bytearray(GOLDEN)
    old[4:8] = struct.pack("<i", 11)
    old[48:52] = struct.pack("<i", 6)  # max_char
    (tmp_path / "model.bin").write_bytes(bytes(old))
    assert files.read(tmp_path / "model.bin").arguments.max_char == 0


def test_vectors_as_text(tmp_path: Path) -> None:
    files.write_text(tmp_path / "v.txt", [b"a", "é".encode()], np.array([[0.5, -1], [1e-9, 3]]))
    assert (tmp_path / "v.txt").read_text() == "2 2\na 0.5 -1\né 1e-09 3\n"


# --- fastText itself -----------------------------------------------------------------------------


@pytest.fixture
def their() -> Any:
    return pytest.importorskip("fasttext", reason="fastText is not installed")


def test_fasttext_predicts_the_same(tmp_path: Path, their: Any) -> None:
    texts, themes = themed_sentences(300)
    model = TextClassifier(vector_dim=10, min_count=2, buckets=500, learning_rate=0.5)
    model.fit(texts, themes).save(tmp_path / "model.bin")
    theirs = their.load_model(str(tmp_path / "model.bin"))
    asked = [*texts[:20], "unheard sea", "ünheard"]
    for text, (labels, chances) in zip(asked, model.top(asked, [2] * len(asked)), strict=True):
        their_labels, their_chances = theirs.predict(text, k=2)
        assert list(their_labels) == labels
        np.testing.assert_allclose(their_chances, chances, atol=3e-5)  # it adds 1e-5


@pytest.mark.parametrize("mode", ["skipgram", "cbow"])
def test_fasttext_has_the_same_vectors(tmp_path: Path, their: Any, mode: str) -> None:
    texts, _ = themed_sentences(100)
    model = Word2Vec(mode, vector_dim=10, min_count=2, subwords=True, buckets=500).fit(texts)
    model.save(tmp_path / "vectors.bin")
    theirs = their.load_model(str(tmp_path / "vectors.bin"))
    words = ["sea", "bread", "seaside", "brötchen"]
    expected = np.array([theirs.get_word_vector(word) for word in words])
    np.testing.assert_allclose(model.transform(words), expected, atol=1e-6)
    loaded = Word2Vec.load(tmp_path / "vectors.bin")
    np.testing.assert_allclose(loaded.transform(words), expected, atol=1e-6)


def test_fasttext_has_the_same_vectors_without_subwords(tmp_path: Path, their: Any) -> None:
    model = Word2Vec(vector_dim=5, min_count=2).fit(themed_sentences(100)[0])
    model.save(tmp_path / "vectors.bin")
    theirs = their.load_model(str(tmp_path / "vectors.bin"))
    (expected,) = model.transform(["sea"])
    np.testing.assert_allclose(theirs.get_word_vector("sea"), expected, atol=1e-7)
    assert theirs.get_words() == model.words_
