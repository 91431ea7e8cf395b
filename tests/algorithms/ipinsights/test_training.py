"""Reading pairs, knowing prefixes, making up pairs; gradients against differences; hosts."""

from __future__ import annotations

import socket
import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from algorithms.ipinsights.helpers_ipinsights import SPEC, csv, visits
from wildsage.algorithms.ipinsights import kernels
from wildsage.algorithms.ipinsights.addresses import (
    LENGTHS,
    entity_keys,
    parse_address,
    prefix_keys,
)
from wildsage.algorithms.ipinsights.model import EmbeddingModel
from wildsage.algorithms.ipinsights.training import Trainer, auc
from wildsage.algorithms.ipinsights.vocabulary import Pairs, Sampler, Vocabulary, mini_batches
from wildsage.contract.cluster import Cluster
from wildsage.contract.failure import ClientError

Array = NDArray[Any]
ENTITIES = 1 << 20


def parsed(text: bytes) -> tuple[Pairs, int, int]:
    keys, addresses = np.empty(1000, np.uint64), np.empty(1000, np.uint32)
    count, wrong, line = kernels.parse(np.frombuffer(text, np.uint8), ENTITIES, keys, addresses)
    return Pairs(keys[:count], addresses[:count]), wrong, line


def pairs_of(visited: list[tuple[str, str]]) -> Pairs:
    names, addresses = zip(*visited, strict=True)
    numbers = np.array([parse_address(address) for address in addresses], np.uint32)
    return Pairs(entity_keys(names, ENTITIES), numbers)


def trainer_of(cluster: Cluster | None = None, **changes: Any) -> Trainer:
    raw = {"num_entity_vectors": ENTITIES, "vector_dim": 6, "mini_batch_size": 50} | changes
    return Trainer(SPEC.validate({k: str(v) for k, v in raw.items()}), cluster=cluster)


# --- reading -------------------------------------------------------------------------------------


def test_lines_are_read_as_the_library_reads_pairs() -> None:
    text = (
        b'anna,1.2.3.4\n\r\n"b, c",255.0.0.255\r\n  zoe \xc3\xa9 , 10.20.30.40 \n'
        b'"eve","10.0.0.1"\n7,0.0.0.0'
    )
    found, wrong, _ = parsed(text)
    assert wrong == kernels.FINE
    wanted = pairs_of(
        [
            ("anna", "1.2.3.4"),
            ("b, c", "255.0.0.255"),
            ("zoe é", "10.20.30.40"),
            ("eve", "10.0.0.1"),
            ("7", "0.0.0.0"),
        ]  # fmt: skip
    )
    assert found.keys.tolist() == wanted.keys.tolist()
    assert found.addresses.tolist() == wanted.addresses.tolist()


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (b"anna", kernels.NO_COMMA),
        (b",1.2.3.4", kernels.NO_ENTITY),
        (b"anna,", kernels.NO_ADDRESS),
        (b"anna,1.2.3", kernels.NO_ADDRESS),
        (b"anna,1.2.3.4.5", kernels.NO_ADDRESS),
        (b"anna,1.2.3.256", kernels.NO_ADDRESS),
        (b"anna,1..3.4", kernels.NO_ADDRESS),
        (b"anna,1.2.3.x", kernels.NO_ADDRESS),
        (b"anna,1.2.3.0004", kernels.NO_ADDRESS),
        (b"anna,::1", kernels.NO_ADDRESS),
    ],
)
def test_lines_that_cannot_be_read(line: bytes, wrong: int) -> None:
    assert parsed(b"bob,1.2.3.4\n" + line)[1:] == (wrong, 2)
    if wrong == kernels.NO_ADDRESS:
        with pytest.raises(ValueError, match="is not an IPv4 address"):
            parse_address(line.decode().partition(",")[2])


def test_hashes_are_those_of_fnv() -> None:
    """The published value of FNV-1a for "a", folded."""
    value = 0xAF63DC4C8601EC8C
    assert int(entity_keys(["a"], 1 << 40)[0]) & ~(1 << 63) == (value ^ value >> 32) % (1 << 40)


# --- knowing -------------------------------------------------------------------------------------


def test_prefixes_become_known_one_by_one() -> None:
    vocabulary = Vocabulary(10_000)
    here = pairs_of([("anna", "10.20.30.40")])
    known = []
    for _ in range(7):
        vocabulary.claim(here)
        rows = vocabulary.prefixes(here.addresses)[0]
        known.append(int((rows >= 0).sum()))
    assert known == [4, 5, 6, 7, 8, 8, 8]
    neighbour = vocabulary.prefixes(pairs_of([("x", "10.20.30.41")]).addresses)[0]
    assert (neighbour >= 0).sum() == len(LENGTHS) - 1
    assert (vocabulary.names[:9] > 0).all() and vocabulary.used == 9
    assert set(prefix_keys(here.addresses)[0].tolist()) < set(vocabulary.names[:9].tolist())


def test_a_vocabulary_grows_and_keeps_its_rows() -> None:
    vocabulary = Vocabulary(100_000)
    pairs = pairs_of([(f"user {n}", f"{n % 200}.{n // 200}.1.1") for n in range(5000)])
    new = vocabulary.claim(pairs.take(slice(0, 2500)))
    assert len(new) == len(np.unique(pairs.keys[:2500]))
    before = vocabulary.entities(pairs.keys[:2500])
    vocabulary.claim(pairs)
    assert (vocabulary.entities(pairs.keys[:2500]) == before).all()
    assert len(np.unique(vocabulary.entities(pairs.keys))) == len(np.unique(pairs.keys))


def test_prefixes_stop_at_the_limit_and_entities_do_not() -> None:
    vocabulary = Vocabulary(6)
    vocabulary.claim(pairs_of([("anna", "10.20.30.40"), ("bob", "99.1.1.1"), ("eve", "98.1.1.1")]))
    assert vocabulary.used == 7  # anna and four prefixes, then bob and eve alone


def test_made_up_pairs() -> None:
    vocabulary = Vocabulary(10_000)
    pairs = pairs_of(visits(200))
    vocabulary.claim(pairs)
    batch = Sampler(vocabulary, 2, 3, np.random.default_rng(0)).batch(pairs)
    assert batch.real == 200 and len(batch.prefixes) == 600
    assert batch.left[:200].tolist() == batch.right[:200].tolist() == list(range(200))
    assert batch.right[200:600].tolist() == list(range(200, 600))
    left, right = batch.left[600:], batch.right[600:]
    assert 500 < len(left) <= 600
    assert (pairs.keys[left] != pairs.keys[right]).all()


def test_batches_have_every_pair_once() -> None:
    blocks = [pairs_of(visits(n, seed=n)) for n in (130, 20, 75)]
    found = list(mini_batches(blocks, 50, np.random.default_rng(0)))
    assert [len(batch) for batch in found] == [50, 50, 50, 50, 25]
    wanted = np.sort(np.concatenate([block.addresses for block in blocks]))
    assert np.sort(np.concatenate([b.addresses for b in found])).tolist() == wanted.tolist()


# --- learning ------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [0, 2])
def test_gradients_are_those_of_the_loss(layers: int) -> None:
    trainer = trainer_of(num_ip_encoder_layers=layers)
    pairs = pairs_of(visits(30))
    batch = trainer.sampler.learn(pairs)
    trainer._make_room(batch.rows, batch.new_entities)
    rng = np.random.default_rng(0)
    trainer._state[:, 0] = rng.normal(size=trainer._state[:, 0].shape)
    trainer._layers[:, 0] = rng.normal(size=trainer._layers[:, 0].shape) / 3
    gradient = trainer._gradient(batch)

    def slope(table: Array, place: tuple[int, ...]) -> float:
        kept, losses = table[place], []
        for change in (1e-2, -1e-2):
            table[place] = kept + change
            losses.append(trainer._gradient(batch).figures[1])
        table[place] = kept
        return float((losses[0] - losses[1]) / 2e-2)

    for number in range(0, len(batch.touched), 7):
        wanted = slope(trainer._state, (int(batch.touched[number]), 0, number % 6))
        assert gradient.found[number, number % 6] == pytest.approx(wanted, rel=0.02, abs=0.02)
    for row in range(0, len(trainer._layers), 3):
        wanted = slope(trainer._layers, (row, 0, row % 6))
        assert gradient.layers[row, row % 6] == pytest.approx(wanted, rel=0.02, abs=0.05)


@pytest.mark.parametrize("width", [4, 16, 21, 40])
def test_chains_and_steps_are_what_they_are_row_by_row(width: int) -> None:
    """Vectors, gradients and Adam's first steps, of rows of any length, beside NumPy."""
    trainer, rng = trainer_of(vector_dim=width), np.random.default_rng(0)
    batch = trainer.sampler.learn(pairs_of(visits(60)))
    trainer._make_room(batch.rows, batch.new_entities)
    weights = trainer._state[:, 0]
    weights[:] = rng.normal(size=weights.shape)
    occurrences = [[row] for row in batch.entities] + [row[row >= 0] for row in batch.prefixes]
    vectors, before = np.concatenate(trainer._vectors(batch)), weights.copy()
    wanted = np.array([weights[rows].sum(axis=0) for rows in occurrences])
    assert vectors == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    slopes, summed = rng.normal(size=vectors.shape).astype(np.float32), np.zeros_like(weights)
    for vector, rows in enumerate(occurrences):
        summed[rows] += slopes[vector]
    found = np.empty((len(batch.touched), width), np.float32)
    kernels.gradients(batch.lasts, batch.links, slopes, found)
    assert found == pytest.approx(summed[batch.touched], rel=1e-4, abs=1e-5)
    chains, rates = (batch.touched, batch.lasts, batch.links), trainer._rates(batch.real)
    kernels.update(trainer._state, trainer._steps, *chains, slopes, *rates)
    slope = summed / batch.real + 1e-5 * before
    touched = np.isin(np.arange(len(weights)), batch.touched)[:, None]
    stepped = before - 0.001 * touched * slope / (np.abs(slope) + 1e-8 / 0.001**0.5)
    assert weights == pytest.approx(stepped, abs=1e-5)


def test_the_table_grows_and_keeps_what_it_has() -> None:
    trainer = trainer_of(vector_dim=4)
    trainer._make_room(3, np.arange(3))
    before = trainer._state[:3].copy()
    trainer._make_room(50_000, np.zeros(0, np.int64))
    assert len(trainer._state) == len(trainer._steps) == 50_000
    assert (trainer._state[:3] == before).all() and not trainer._state[3:].any()


def test_figures_and_scores_agree_with_the_model() -> None:
    trainer = trainer_of(learning_rate=0.05)
    pairs = pairs_of(visits(400))
    for _ in range(3):
        list(trainer.learn(mini_batches([pairs], 50, trainer.rng)))
    real, made_up = trainer.scores(pairs)
    model = trainer.model()
    assert model.scores(pairs.keys, pairs.addresses) == pytest.approx(real, abs=1e-4)
    assert auc(real, made_up) > 0.8
    assert model.entity_vectors.shape == (40, 6)


def test_a_loss_that_explodes_ends_the_training() -> None:
    trainer = trainer_of(learning_rate=10, vector_dim=64, num_ip_encoder_layers=0)
    with pytest.raises(ClientError, match="Training diverged"):
        pairs = pairs_of(visits(100))
        list(trainer.learn(iter([pairs])))
        trainer._state[:, 0] *= 1e30
        list(trainer.learn(iter([pairs])))


def test_hosts_have_the_same_model_and_learn_as_one_does() -> None:
    parts = [pairs_of(visits(300, seed=3)), pairs_of(visits(200, seed=4))]
    models = together(parts)
    one, other = models
    assert (one.prefix_keys == other.prefix_keys).all()
    assert (one.prefix_vectors == other.prefix_vectors).all()
    assert (one.entity_vectors == other.entity_vectors).all() and (one.layers == other.layers).all()
    alone = trainer_of(learning_rate=0.05, mini_batch_size=100)
    for epoch in range(4):
        joined = Pairs.join(parts)
        list(alone.learn(mini_batches([joined], 100, alone.rng), again=epoch > 0))
    assert (np.sort(alone.model().entity_keys) == one.entity_keys).all()
    test = pairs_of(visits(200, seed=5))
    made_up = Pairs(test.keys[::-1].copy(), test.addresses)
    found = [auc(m.scores(test.keys, test.addresses), m.scores(made_up.keys, made_up.addresses))
             for m in (one, alone.model())]  # fmt: skip
    assert found[0] == pytest.approx(found[1], abs=0.05)


def together(parts: list[Pairs]) -> list[EmbeddingModel]:
    hosts = ("algo-1", "algo-2")
    with socket.create_server(("127.0.0.1", 0)) as free:
        addresses = {"algo-1": f"127.0.0.1:{free.getsockname()[1]}"}
    models: dict[int, EmbeddingModel] = {}

    def work(rank: int) -> None:
        cluster = Cluster(hosts, hosts[rank], addresses, connect_seconds=20)
        trainer = trainer_of(cluster, learning_rate=0.05)
        for epoch in range(4):
            batches = mini_batches([parts[rank]], 50, trainer.rng)
            list(trainer.learn(batches, again=epoch > 0))
        models[rank] = trainer.model()
        cluster.close()

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [models[0], models[1]]


def test_auc_counts_ties_half() -> None:
    assert auc(np.array([1.0, 2.0]), np.array([1.0, 0.0])) == pytest.approx(3.5 / 4)
    assert auc(np.zeros(0), np.zeros(3)) == 0.5


def test_csv_of_the_helpers_is_read() -> None:
    assert len(parsed(csv(visits(20)))[0]) == 20
