"""ipinsights beside a logistic regression on hashed pairs and word2vec, in one run.

    python -m benchmarks.algorithms.ipinsights [--users 5000] [--pairs 200000] [--rounds 3]
        [--parts fit job] [--peers regression word2vec] [--skip-peaks]

Networks are real: autonomous systems with their address blocks, out of the table in the package
geoip2fast. Users are generated: each has a home, perhaps a phone, an office and a cafe, which are
systems drawn by their size, and appears at random addresses of them. Intruders are planted: known
users at addresses that other users' systems have. The AUC is that of telling new pairs of
the users from the intruders'.

Peers: scikit-learn's logistic regression on the hashed product of user and prefixes (8 to 32 bits),
against the same made-up pairs; gensim's word2vec on sentences of a user and prefixes. --vector-dim
and --layers are ours. Rates count real and made-up pairs, as all of them are trained on.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.harness import (
    Measurement,
    add_peak,
    compare,
    measure_peaks,
    print_peak,
    table,
)

from wildsage.algorithms import registry
from wildsage.algorithms.instances import Instance
from wildsage.algorithms.ipinsights import IPInsights
from wildsage.algorithms.ipinsights.addresses import entity_keys

SYSTEMS, EPOCHS, JOB_EPOCHS, BATCH, RATE = 2000, 10, 2, 5000, 0.005
LENGTHS = (8, 16, 24, 32)
PEERS = ("regression", "word2vec")

Pairs = tuple[np.ndarray, np.ndarray]


def main() -> None:
    arguments = _arguments()
    if importlib.util.find_spec("geoip2fast") is None:
        return print("geoip2fast is not installed: pip install geoip2fast")
    train, usual, intruders = traffic(arguments.users, arguments.pairs)
    if arguments.peak:
        _, name = arguments.peak
        work = _ours(train, arguments) | _peers(train, arguments) | _jobs(train, arguments)
        return print_peak(work[name])
    if "fit" in arguments.parts:
        _benchmark_fit(train, usual, intruders, arguments)
    if "job" in arguments.parts:
        jobs = compare(_jobs(train, arguments), rounds=arguments.rounds)
        if not arguments.skip_peaks:
            measure_peaks(jobs, "job")
        _say_rates(jobs, len(train[0]), JOB_EPOCHS)
        print(table(f"the whole job, {len(train[0])} pairs, {JOB_EPOCHS} epochs", *jobs))
    return None


def _benchmark_fit(train: Pairs, usual: Pairs, intruders: Pairs, arguments: Any) -> None:
    results = compare(_ours(train, arguments), rounds=arguments.rounds)
    peers = {n: fit for n, fit in _peers(train, arguments).items() if n in arguments.peers}
    # Once: they take minutes where we take seconds.
    results += compare(peers, rounds=1, warmups=0)
    for result in results:
        result.quality["AUC"] = auc(result.result(*usual), result.result(*intruders))
    if not arguments.skip_peaks:
        measure_peaks(results, "fit")
    _say_rates(results[:1], len(train[0]), EPOCHS)
    title = f"{len(train[0])} pairs of {arguments.users} users, {EPOCHS} epochs"
    print(table(title, *results), flush=True)


def _say_rates(results: list[Measurement], pairs: int, epochs: int) -> None:
    """Real and made-up pairs, as all of them are trained on."""
    for result in results:
        result.quality["pairs/s"] = 3 * pairs * epochs / result.wall
        result.quality["pairs/CPU-s"] = 3 * pairs * epochs / result.cpu


# --- traffic -------------------------------------------------------------------------------------


def systems() -> list[tuple[np.ndarray, np.ndarray]]:
    """The largest autonomous systems: first addresses and sizes of their blocks."""
    from geoip2fast import GeoIP2Fast, geoip2fast

    folder = Path(geoip2fast.__file__).parent
    GeoIP2Fast(geoip2fast_data_file=str(folder / "geoip2fast-asn.dat.gz"))
    parts = (
        geoip2fast.mainListFirstIPASN,
        geoip2fast.mainListIDASN,
        geoip2fast.mainListNetlengthASN,
    )
    first, owner, length = (
        np.array([value for chunk in part for value in chunk], np.int64) for part in parts
    )
    known = (owner >= 0) & (length <= 30) & (first > 0) & (first < 1 << 32)
    first, owner, size = first[known], owner[known], 1 << (32 - length[known])
    totals = np.bincount(owner, size)
    chosen = np.argsort(-totals)[:SYSTEMS]
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(len(totals) + 1))
    return [(first[o], size[o]) for o in (order[bounds[c] : bounds[c + 1]] for c in chosen)]


def traffic(users: int, pairs: int) -> tuple[Pairs, Pairs, Pairs]:
    """Pairs to train on, later pairs of the same users, and intruders."""
    rng, networks = np.random.default_rng(0), systems()
    chances = np.array([float(size.sum()) for _, size in networks]) ** 0.5
    places = 1 + rng.poisson(1.5, users)
    homes = [rng.choice(len(networks), n, p=chances / chances.sum()) for n in places]
    weights = [rng.dirichlet(np.full(n, 0.8)) for n in places]
    activity = rng.lognormal(0, 1, users)
    count = pairs + pairs // 10
    who = rng.choice(users, count, p=activity / activity.sum())
    bounds = [own.cumsum()[:-1] for own in weights]
    chances = rng.random(count)
    where = np.array(
        [homes[u][np.searchsorted(bounds[u], c)] for u, c in zip(who, chances, strict=True)]
    )
    addresses = _addresses(where, networks, rng)
    late = slice(pairs, count)
    strangers = rng.permutation(where[late])
    foreign = np.array([w not in homes[u] for u, w in zip(who[late], strangers, strict=True)])
    bad = (who[late][foreign], _addresses(strangers[foreign], networks, rng))
    return (who[:pairs], addresses[:pairs]), (who[late], addresses[late]), bad


def _addresses(where: np.ndarray, networks: Any, rng: np.random.Generator) -> np.ndarray:
    """A random address of each system."""
    found = np.empty(len(where), np.int64)
    order = np.argsort(where, kind="stable")
    bounds = np.searchsorted(where[order], np.arange(len(networks) + 1))
    for number, (first, size) in enumerate(networks):
        rows = order[bounds[number] : bounds[number + 1]]
        ends = np.cumsum(size)
        drawn = rng.integers(0, ends[-1], len(rows))
        block = np.searchsorted(ends, drawn, side="right")
        found[rows] = first[block] + drawn - (ends[block] - size[block])
    return found.astype(np.uint32)


def dotted(addresses: np.ndarray) -> list[str]:
    parts = np.asarray(addresses, ">u4").view(np.uint8).reshape(-1, 4)
    return [".".join(map(str, row)) for row in parts.tolist()]


def auc(usual: np.ndarray, intruders: np.ndarray) -> float:
    ordered = np.sort(intruders)
    below = np.searchsorted(ordered, usual, side="left")
    upto = np.searchsorted(ordered, usual, side="right")
    return float((below + upto).sum() / (2 * len(usual) * len(intruders)))


# --- contenders ----------------------------------------------------------------------------------


def _ours(train: Pairs, arguments: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    return {"wildsage": lambda: fit_ours(train, arguments.vector_dim, arguments.layers)}


def _peers(train: Pairs, arguments: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    peers: dict[str, Callable[[], Any]] = {}
    if importlib.util.find_spec("sklearn") is None:
        print("scikit-learn is not installed: it is left out", file=sys.stderr)
    else:
        peers["regression"] = lambda: fit_regression(train)
    if importlib.util.find_spec("gensim") is None:
        print("gensim is not installed: it is left out", file=sys.stderr)
    else:
        peers["word2vec"] = lambda: fit_word2vec(train, arguments.vector_dim)
    return peers


def fit_ours(train: Pairs, width: int, layers: int) -> Callable[..., np.ndarray]:
    model = IPInsights(
        20_000,
        width,
        epochs=EPOCHS,
        mini_batch_size=BATCH,
        learning_rate=RATE,
        num_ip_encoder_layers=layers,
    )
    model._fit(_keys(train[0]), train[1])
    return lambda who, where: model.model_.scores(_keys(who), where)


def _keys(who: np.ndarray) -> np.ndarray:
    names = entity_keys([f"user_{number}" for number in range(int(who.max()) + 1)], 1 << 40)
    return names[who]


def made_up(train: Pairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Real pairs with as many of random addresses and of shuffled ones, and labels."""
    rng = np.random.default_rng(0)
    who, where = train
    drawn = rng.integers(0, 1 << 32, len(where), np.uint32)
    addresses = np.concatenate([where, drawn, rng.permutation(where)])
    return np.tile(who, 3), addresses, np.repeat([1, 0, 0], len(who))


def hashed(who: np.ndarray, where: np.ndarray) -> Any:
    """A row of 2^20 columns per pair: its prefixes alone, and each with the user."""
    from scipy.sparse import csr_matrix

    columns = []
    for length in LENGTHS:
        prefix = (where >> np.uint32(32 - length)).astype(np.uint64) + np.uint64(length << 40)
        for user in (np.uint64(0), (who.astype(np.uint64) + np.uint64(1)) << np.uint64(46)):
            mixed = (prefix + user) * np.uint64(0x9E3779B97F4A7C15)
            columns.append((mixed >> np.uint64(44)).astype(np.int64))
    table_ = np.stack(columns, axis=1)
    indptr = np.arange(0, table_.size + 1, table_.shape[1])
    ones = np.ones(table_.size, np.float32)
    return csr_matrix((ones, table_.ravel(), indptr), (len(who), 1 << 20))


def fit_regression(train: Pairs) -> Callable[..., np.ndarray]:
    from sklearn.linear_model import LogisticRegression

    who, where, labels = made_up(train)
    model = LogisticRegression(max_iter=100, C=1.0).fit(hashed(who, where), labels)
    return lambda w, a: np.asarray(model.decision_function(hashed(w, a)))


def fit_word2vec(train: Pairs, width: int) -> Callable[..., np.ndarray]:
    """Sentences of a user and an address's prefixes; the mean similarity of known prefixes."""
    from gensim.models import Word2Vec

    def sentence(user: int, address: int) -> list[str]:
        return [f"u{user}", *(f"{n}/{address >> (32 - n)}" for n in LENGTHS)]

    sentences = [sentence(*pair) for pair in zip(*map(np.ndarray.tolist, train), strict=True)]
    model = Word2Vec(
        sentences, vector_size=width, sg=1, negative=5, min_count=1, window=5, epochs=EPOCHS,
        workers=2, seed=0,
    )  # fmt: skip
    places, vectors = model.wv.key_to_index, model.wv.get_normed_vectors()

    def score(who: np.ndarray, where: np.ndarray) -> np.ndarray:
        found = np.full(len(who), -1.0)
        for number, pair in enumerate(zip(who.tolist(), where.tolist(), strict=True)):
            own, *prefixes = (places.get(word, -1) for word in sentence(*pair))
            known = [place for place in prefixes if place >= 0]
            if own >= 0 and known:
                found[number] = float((vectors[known] @ vectors[own]).mean())
        return found

    return score


# --- the whole job -------------------------------------------------------------------------------


def _jobs(train: Pairs, arguments: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    names = (f"user_{user}" for user in train[0].tolist())
    lines = map(",".join, zip(names, dotted(train[1]), strict=True))
    content = "\n".join(lines).encode()
    sizes = ((arguments.vector_dim, arguments.layers), (128, 1))
    return {
        f"vector_dim {width}, {layers} layers": lambda w=width, n=layers: _job(content, w, n)
        for width, layers in sizes
    }


def _job(content: bytes, width: int, layers: int) -> None:
    given = {
        "num_entity_vectors": "20000",
        "vector_dim": str(width),
        "num_ip_encoder_layers": str(layers),
        "epochs": str(JOB_EPOCHS),
        "mini_batch_size": str(BATCH),
    }
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(Path(folder), given)
        instance.add_channel("train", content, "text/csv")
        instance.run(registry.spec("ipinsights"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=5_000)
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--vector-dim", type=int, default=32)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=("fit", "job"), default=("fit", "job"))
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS)
    parser.add_argument("--skip-peaks", action="store_true", help="measure no memory")
    add_peak(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
